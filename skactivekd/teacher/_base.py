"""What all teachers share that compare embeddings with those of class names."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ..encoders._base import encode_rows, row_method
from ..encoders._embedder import EncodesRows, check_encoder
from ..encoders._open_clip import OpenCLIPEncoder
from ..encoders._sentence import SENTENCE_SCALE
from ..metrics._calibration import best_logit_scale
from ..utils._params import is_number
from ..utils._score import LabeledScoreMixin
from ._prompts import embed_classes, name_classes

CLIP_SCALE = 100.0  # all of CLIP's models end there, as training clips it
_DEFAULT_TEMPLATES = {"encode_image": "a photo of a {}.", "encode_text": "{}"}


class EmbeddingTeacher(
    EncodesRows, LabeledScoreMixin, ClassifierMixin, TransformerMixin, BaseEstimator
):
    """Base of the teachers: classes from their names, probabilities from logits.

    A subclass takes `encoder`, `classes`, `templates`, `logit_scale` and
    `missing_label`, calls `_fit_classes` and `_fit_scale` in its ``fit``, and
    may replace `_logits`.
    """

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
        embeddings = encode_rows(self.encoder_, X)
        proba = softmax(self._logits(embeddings), axis=1)
        proba[np.isnan(embeddings).any(axis=1)] = 1 / len(self.classes_)
        return proba

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

    def predict(self, X):
        """The most probable class of each sample.

        Parameters
        ----------
        X : array-like of n samples

        Returns
        -------
        y : ndarray of shape (n,)
        """
        columns = self.predict_proba(X).argmax(axis=1)
        return self.classes_[columns]

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

    def _fit_classes(self):
        encoder = check_encoder(self.encoder, ("encode_text",))
        check_scale(self.logit_scale)
        classes, templates = _defaults(encoder, self.classes, self.templates)
        labels, names = name_classes(classes, self.missing_label)
        self.class_embeddings_ = embed_classes(encoder, names, templates, labels)
        self.classes_ = labels
        self.encoder_ = encoder

    def _fit_scale(self, embeddings, codes):
        """Set the scale; "auto" fits it to the labelled rows, if there are any."""
        scale = self.logit_scale
        scale = own_scale(self.encoder_) if scale in (None, "auto") else scale
        if self.logit_scale == "auto":
            scale = best_logit_scale(embeddings @ self.class_embeddings_.T, codes, scale)
        self.logit_scale_ = scale

    def _logits(self, embeddings):
        return np.float32(self.logit_scale_) * embeddings @ self.class_embeddings_.T


def check_scale(scale):
    """Refuse what is no scale of logits."""
    if scale is None or (is_number(scale) and 1e-6 <= scale <= 1e6):
        return
    if not isinstance(scale, str) or scale != "auto":
        raise ValueError(
            f"logit_scale={scale!r} must be above 0 and finite, or 'auto', or None: from 1e-6 to "
            "1e6"
        )


def own_scale(encoder):
    """Return the scale that an encoder says its cosines have.

    Encoders may have the attribute `logit_scale_`. Without one, CLIP's is
    taken for samples that are no texts, and what sentence encoders are trained
    with for texts.

    Raises
    ------
    ValueError
        If the attribute is no number above 0.

    Examples
    --------
    >>> from skactivekd import OpenCLIPEncoder
    >>> from skactivekd.teacher._base import own_scale
    >>> own_scale(OpenCLIPEncoder())
    100.0
    """
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
    if embedded:
        from ..encoders._glyph import GLYPH_CLASSES, GLYPH_TEMPLATES, check_digits

        if classes is not None:
            check_digits(name_classes(classes)[1])
        return (
            GLYPH_CLASSES if classes is None else classes,
            GLYPH_TEMPLATES if templates is None else templates,
        )
    if classes is None:
        raise ValueError("set `classes`: the labels, or a mapping of each label to its name")
    if templates is None:
        templates = _DEFAULT_TEMPLATES.get(row_method(encoder), "{}")
    return classes, templates
