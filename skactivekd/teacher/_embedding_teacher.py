"""What all teachers share that compare embeddings with those of class names."""

import copy

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted

from .._take_rows import n_rows, take_rows
from ..encoders._base import ROW_METHODS, encode_rows, row_method
from ..encoders._open_clip import OpenCLIPEncoder
from ..encoders._open_clip_models import GLYPH_CLASSES, GLYPH_TEMPLATES, check_digits
from ..encoders._sentence import SENTENCE_SCALE
from ..encoders._unreadable_rows import RowError, collecting, numbered
from ..metrics._temperature_scaling import best_logit_scale
from ..utils._check_params import check_integer, check_number, is_number
from ..utils._labels import encode_labels
from ..utils._score import LabeledScoreMixin, warn_of_scorer
from ._few_shot_trust import choose_trust, evenness, keep_unlabeled
from ._prompts import embed_classes, name_classes

_COUNTS = ("max_epochs", "batch_size")
CLIP_SCALE = 100.0  # all of CLIP's models end there, as training clips it
_DEFAULT_TEMPLATES = {"encode_image": "a photo of a {}.", "encode_audio": "This is a sound of {}."}


class EncodesRows:
    """Mixin of estimators whose parameter `encoder` embeds the rows of X."""

    def __sklearn_clone__(self):
        # A plain encoder may hold gigabytes and never changes: clones share it.
        if self.encoder is None or hasattr(self.encoder, "get_params"):
            return super().__sklearn_clone__()
        bare = copy.copy(self)
        bare.encoder = None
        return super(EncodesRows, bare).__sklearn_clone__().set_params(encoder=self.encoder)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.target_tags.required = False
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


class Embedder(ClassNamePrefixFeaturesOutMixin, EncodesRows, TransformerMixin, BaseEstimator):
    """Turn images or texts into embeddings, each row once.

    It makes a step of a pipeline out of an encoder: for a classifier on
    embeddings as a teacher, or as ``TeacherProba(features=...)`` for a student
    on embeddings. Rows come from the encoder's cache where they are known.

    A row that the encoder skips (``on_error="skip"``) is named in its
    `SkippedRowsWarning` and becomes zeros, the point from which all directions
    are equally far: compared with the names of classes it gives the uniform
    probabilities that teachers give such rows. So a pipeline goes on, and
    strategies, which notice the warning, never choose it.

    .. versionadded:: 0.1

    Parameters
    ----------
    encoder : object
        Has ``encode_image(X)`` or ``encode_text(list of str)``. One that is not
        a scikit-learn estimator is shared by clones, not copied.

    Attributes
    ----------
    encoder_ : object
        The encoder in use.

    See Also
    --------
    LabeledOnly : Fits a classifier on the labeled rows.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from skactivekd import Embedder, OpenCLIPEncoder, load_glyph_digits
    >>> X, y = load_glyph_digits(return_X_y=True)
    >>> classifier = make_pipeline(Embedder(OpenCLIPEncoder()), LogisticRegression())
    >>> classifier = classifier.fit(X[:200], y[:200])
    >>> bool(classifier.score(X[200:400], y[200:400]) > 0.8)
    True
    """

    def __init__(self, encoder=None):
        self.encoder = encoder

    def fit(self, X, y=None):
        """Encode the first row, to know the width.

        Parameters
        ----------
        X : array-like of n samples
            What the encoder takes.
        y : ignored

        Returns
        -------
        self : Embedder

        Raises
        ------
        TypeError
            If `encoder` embeds no rows, or is None.
        ValueError
            If X is empty, or its first row cannot be encoded; the error names
            every row that cannot.
        """
        if self.encoder is None:
            raise TypeError(
                "encoder is None; set it to what embeds the rows, as SentenceEncoder(folder) or "
                "OpenCLIPEncoder('ViT-B-32', pretrained=...). OpenCLIPEncoder() is the model of "
                "this package, which knows handwritten digits only."
            )
        encoder = check_encoder(self.encoder, ROW_METHODS)
        if n_rows(X) == 0:
            raise ValueError("X has no row to encode")
        with collecting():  # `transform` warns of all
            try:
                width = encode_rows(encoder, _safe_indexing(X, [0])).shape[1]
            except RowError:
                width = 0
            width = width or encode_rows(encoder, X).shape[1]  # whose error names every bad row
        if not width:
            raise ValueError("The encoder skips all rows of X, so that their width is not known.")
        self._n_features_out, self.encoder_ = width, encoder
        return self

    def transform(self, X):
        """Embed rows.

        Parameters
        ----------
        X : array-like of n samples

        Returns
        -------
        embeddings : ndarray of float32 of shape (n, d)
            Rows of norm 1; zeros where the encoder skipped one.
        """
        check_is_fitted(self)
        embeddings = np.asarray(encode_rows(self.encoder_, X, self._n_features_out))
        skipped = np.isnan(embeddings).any(axis=1, keepdims=True)
        return np.where(skipped, np.float32(0), embeddings) if skipped.any() else embeddings


class KnowsClasses(LabeledScoreMixin, ClassifierMixin, BaseEstimator):
    """Base of what has `classes_` and ``predict_proba``, from which the rest follows."""

    def predict(self, X):
        """The most probable class of each sample.

        Parameters
        ----------
        X : array-like of n samples

        Returns
        -------
        y : ndarray of shape (n,)
        """
        check_is_fitted(self)
        warn_of_scorer(self.missing_label)
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


class Teacher(TransformerMixin, KnowsClasses):
    """Base of the teachers of this package: all that follows from ``predict_proba``.

    A subclass keeps what it computed for a row, so that nobody else has to.
    """

    _asks_once = True

    def transform(self, X):
        """Probabilities of the classes, as `predict_proba` gives them.

        Parameters
        ----------
        X : array-like of n samples

        Returns
        -------
        proba : ndarray of float32 of shape (n, n_classes)
        """
        return self.predict_proba(X)

    def get_feature_names_out(self, input_features=None):
        """Names of the columns of `transform`: the classes.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        names : ndarray of str of shape (n_classes,)
        """
        check_is_fitted(self)
        return np.asarray([str(label) for label in self.classes_], dtype=object)


class EmbeddingTeacher(EncodesRows, Teacher):
    """Base of the teachers: classes from their names, probabilities from logits.

    A subclass may learn from labeled rows in `_learn`, and replace `_logits`.
    """

    _learns = False  # from labels, whatever the scale is

    def fit(self, X=None, y=None):
        """Embed the names of the classes, and learn from the labeled rows.

        Parameters
        ----------
        X : array-like of n samples, default=None
            Only labeled rows are encoded, those not seen before; by
            `ZeroShotTeacher` for ``logit_scale="auto"`` alone.
        y : array-like of shape (n,), default=None
            Labels among `classes`; `missing_label` marks rows without.
            None: no labels, which leaves the zero-shot teacher.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If classes or templates are missing, repeated or malformed, a label
            is not among the classes, X and y do not fit, or a parameter has a
            wrong value.
        TypeError
            If the encoder or the classes are of the wrong kind.
        """
        encoder, scale = check_encoder(self.encoder, ("encode_text",)), self.logit_scale
        check_scale(scale)
        classes, templates = _defaults(encoder, self.classes, self.templates)
        labels, names = name_classes(classes, self.missing_label)
        self.class_embeddings_ = embed_classes(encoder, names, templates, labels)
        self.classes_, self.encoder_ = labels, encoder
        if not self._learns and scale != "auto":
            X = y = None
        embeddings, codes = _labeled_embeddings(self, X, y)
        self.logit_scale_ = own_scale(encoder) if scale in (None, "auto") else scale
        if scale == "auto":
            cosines = embeddings @ self.class_embeddings_.T
            self.logit_scale_ = best_logit_scale(cosines, codes, self.logit_scale_)
        if self._learns:
            self._learn(embeddings, codes)
        return self

    def predict_proba(self, X):
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like of n samples
            What the encoder takes: for `OpenCLIPEncoder` an array of shape
            (n, H, W) or (n, H, W, 3), file paths or PIL images; for
            `SentenceEncoder` texts.

        Returns
        -------
        proba : ndarray of float32 of shape (n, n_classes)
            Columns in the order of `classes_`. Rows that the encoder skipped
            (``on_error="skip"``) are uniform: nothing is known of them.

        Raises
        ------
        ValueError
            If X has another form or rows cannot be encoded; all are named.
        """
        from scipy.special import softmax

        check_is_fitted(self)
        embeddings = encode_rows(self.encoder_, X, self.class_embeddings_.shape[1])
        proba = softmax(self._logits(embeddings), axis=1)
        proba[np.isnan(embeddings).any(axis=1)] = 1 / len(self.classes_)
        return proba

    def _logits(self, embeddings):
        return np.float32(self.logit_scale_) * embeddings @ self.class_embeddings_.T


class FewShotTeacher(EmbeddingTeacher):
    """Base of the few-shot teachers: zero-shot until rows are labeled.

    A subclass has ``_taught(embeddings)``, logits, and ``_fit_labeled(embeddings, codes)``, which
    returns a function without arguments: it gives the zero-shot logits of labeled rows, those of
    a fit that did not know their labels, and their classes.
    """

    _learns = True

    def _learn(self, embeddings, codes):
        from .._devices_and_seeds import own_settings

        with own_settings():
            hold_out = self._fit_labeled(embeddings, codes)
            self.seen_ = np.bincount(codes, minlength=len(self.classes_)) > 0
            self.trust_ = 0.0 if self.guard else 1.0
            if self.guard and len(codes):
                even = evenness(codes, len(self.classes_))
                self.trust_ = choose_trust(*hold_out(), even)

    def _logits(self, embeddings):
        from .._devices_and_seeds import own_settings

        zero_shot = self._zero_shot(embeddings)
        if self.trust_ == 0:
            return zero_shot
        with own_settings():
            taught = self._taught(embeddings)
        if not self.guard:
            return taught
        kept = keep_unlabeled(zero_shot, taught, self.seen_)
        return zero_shot + np.float32(self.trust_) * (kept - zero_shot)

    def _zero_shot(self, embeddings):
        return super()._logits(embeddings)


def _labeled_embeddings(teacher, X, y):
    """Embed the labeled rows of X that the encoder does not skip, for a teacher with classes."""
    n = 0 if X is None else n_rows(X)
    known = teacher.classes_, teacher.missing_label
    codes = np.full(n, -1) if y is None else encode_labels(y, *known, n_rows=n)
    rows = np.flatnonzero(codes >= 0)
    if not len(rows):
        return teacher.class_embeddings_[:0], codes[rows]
    with numbered(rows):
        width = teacher.class_embeddings_.shape[1]
        embeddings = encode_rows(teacher.encoder_, take_rows(X, rows), width)
    known = ~np.isnan(embeddings).any(axis=1)
    return embeddings[known], codes[rows[known]]


def check_at_least(estimator, **bounds):
    """Refuse parameters of an estimator that are below a bound, or not finite."""
    for name, bound in bounds.items():
        check_number(getattr(estimator, name), name, bound)
        if name in _COUNTS:
            check_integer(getattr(estimator, name), name, bound, 2**31)


def check_encoder(encoder, methods):
    """Return the encoder, the one of this package for None, if it has one of `methods`."""
    encoder = OpenCLIPEncoder() if encoder is None else encoder
    if isinstance(encoder, type) or not any(hasattr(encoder, name) for name in methods):
        raise TypeError(
            f"encoder={encoder!r} must be an object with encode_text(texts) and, unless its "
            "samples are texts, encode_image(X), such as OpenCLIPEncoder()"
        )
    return encoder


def check_scale(scale):
    """Refuse what is no scale of logits."""
    named = scale is None or (isinstance(scale, str) and scale == "auto")
    if not named and not (is_number(scale) and 1e-6 <= scale <= 1e6):
        raise ValueError(
            f"logit_scale={scale!r} must be above 0 and finite, or 'auto', or None: from 1e-6 to "
            "1e6"
        )


def own_scale(encoder):
    """Return the scale that an encoder says its cosines have, its attribute `logit_scale_`."""
    scale = getattr(encoder, "logit_scale_", None)
    if scale is None:
        return SENTENCE_SCALE if row_method(encoder) == "encode_text" else CLIP_SCALE
    if not (is_number(scale) and 0 < scale < np.inf):
        raise ValueError(
            f"{type(encoder).__name__}.logit_scale_ is {scale!r}; it must be a number above 0, or "
            "None where the model has none"
        )
    return float(scale)


def _defaults(encoder, classes, templates):
    embedded = isinstance(encoder, OpenCLIPEncoder) and encoder.model is encoder.pretrained is None
    if classes is None and not embedded:
        raise ValueError("set `classes`: the labels, or a mapping of each label to its name")
    if classes is not None and embedded:
        check_digits(name_classes(classes)[1])
    if templates is None:
        kind = row_method(getattr(encoder, "text_encoder", encoder))  # who reads the prompts
        templates = GLYPH_TEMPLATES if embedded else _DEFAULT_TEMPLATES.get(kind, "{}")
    return GLYPH_CLASSES if classes is None else classes, templates
