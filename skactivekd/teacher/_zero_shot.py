"""Zero-shot classification: images against the names of the classes."""

import copy

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ._encode_once import encode_rows
from ._encoders import OpenCLIPEncoder
from ._prompts import check_classes, embed_classes

_DEFAULT_TEMPLATES = ["a photo of a {}."]


class ZeroShotTeacher(ClassifierMixin, TransformerMixin, BaseEstimator):
    r"""Classify images by the names of the classes, without training.

    Each class is the mean of the embeddings of its name in every template;
    each image is compared with all of them:

    .. math:: p(c \mid x) \propto \exp(s \, f(x)^\top w_c), \qquad
       w_c = \frac{\bar g_c}{\lVert \bar g_c \rVert}, \qquad
       \bar g_c = \frac{1}{T} \sum_{t=1}^{T} g(\text{template}_t(c))

    where f and g give embeddings of norm 1 and s is `logit_scale`.

    Parameters
    ----------
    encoder : object or None, default=None
        Has ``encode_image(X)`` and ``encode_text(list of str)``, which return
        arrays of shape (n, d), rows of norm 1. None is ``OpenCLIPEncoder()``,
        the model of this package. One that is not a scikit-learn estimator
        is shared by clones, not copied.
    classes : sequence of labels, mapping of label to name, or None, default=None
        The classes, in the order of the columns of `predict_proba`; without a
        mapping, their names are ``str(label)``. None is the ten digits for
        the model of this package, an error for others.
    templates : str, callable, sequence of these, or None, default=None
        Each ``str`` has ``{}`` where the name goes; each callable takes the
        name and returns the text. None is what the model of this package was
        trained with, for others "a photo of a {}.".
    logit_scale : float, default=100.0
        Inverse temperature of the softmax; CLIP's models learn 100.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels in the order given.
    class_embeddings_ : ndarray of float32 of shape (n_classes, d)
        Rows of norm 1.
    encoder_ : object
        The encoder in use.

    See Also
    --------
    OpenCLIPEncoder : The default encoder.

    Notes
    -----
    Embeddings are kept by content (see `EmbeddingCache`): a teacher that is
    cloned for every fold of a grid search encodes each image once.

    References
    ----------
    .. [1] A. Radford et al. "Learning Transferable Visual Models From Natural
       Language Supervision". ICML 2021, section 3.1. arXiv:2103.00020.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skactivekd import ZeroShotTeacher
    >>> digits = load_digits()
    >>> teacher = ZeroShotTeacher().fit()
    >>> teacher.predict_proba(digits.images[:5] / 16).shape
    (5, 10)
    """

    def __init__(self, encoder=None, classes=None, templates=None, logit_scale=100.0):
        self.encoder = encoder
        self.classes = classes
        self.templates = templates
        self.logit_scale = logit_scale

    def fit(self, X=None, y=None):
        """Embed the names of the classes; no data is needed.

        Parameters
        ----------
        X, y : ignored

        Returns
        -------
        self : ZeroShotTeacher

        Raises
        ------
        ValueError
            If classes or templates are missing, repeated or malformed.
        TypeError
            If the encoder or the classes are of the wrong kind.
        """
        encoder = OpenCLIPEncoder() if self.encoder is None else self.encoder
        _check_encoder(encoder)
        if not 0 < self.logit_scale < np.inf:
            raise ValueError(f"logit_scale={self.logit_scale!r} must be above 0 and finite")
        classes, templates = _defaults(encoder, self.classes, self.templates)
        labels, names = check_classes(classes)
        self.class_embeddings_ = embed_classes(encoder, names, templates)
        self.classes_ = labels
        self.encoder_ = encoder
        return self

    def predict_proba(self, X):
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like of n images
            What the encoder takes: for `OpenCLIPEncoder` an array of shape
            (n, H, W) or (n, H, W, 3), file paths or PIL images.

        Returns
        -------
        proba : ndarray of float32 of shape (n, n_classes)
            Columns in the order of `classes_`.

        Raises
        ------
        ValueError
            If X has another form or files cannot be read; all are named.
        """
        from scipy.special import softmax

        check_is_fitted(self)
        embeddings = encode_rows(self.encoder_, X)
        return softmax(np.float32(self.logit_scale) * embeddings @ self.class_embeddings_.T, axis=1)

    def transform(self, X):
        """Probabilities of the classes, as `predict_proba` gives them.

        Parameters
        ----------
        X : array-like of n images

        Returns
        -------
        proba : ndarray of float32 of shape (n, n_classes)
        """
        return self.predict_proba(X)

    def predict(self, X):
        """The most probable class of each image.

        Parameters
        ----------
        X : array-like of n images

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

    def __sklearn_clone__(self):
        # A plain encoder may hold gigabytes and never changes: clones share it.
        if self.encoder is None or hasattr(self.encoder, "get_params"):
            return super().__sklearn_clone__()
        bare = copy.copy(self)
        bare.encoder = None
        return super(ZeroShotTeacher, bare).__sklearn_clone__().set_params(encoder=self.encoder)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.target_tags.required = False
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _check_encoder(encoder):
    if not hasattr(encoder, "encode_text") or isinstance(encoder, type):
        raise TypeError(
            f"encoder={encoder!r} must be an object with encode_text(texts) and, unless its "
            "samples are texts, encode_image(X), such as OpenCLIPEncoder()"
        )


def _defaults(encoder, classes, templates):
    embedded = isinstance(encoder, OpenCLIPEncoder) and encoder.model is encoder.pretrained is None
    if embedded:
        from ._glyph import GLYPH_CLASSES, GLYPH_TEMPLATES

        return (
            GLYPH_CLASSES if classes is None else classes,
            GLYPH_TEMPLATES if templates is None else templates,
        )
    if classes is None:
        raise ValueError("set `classes`: the labels, or a mapping of each label to its name")
    return classes, _DEFAULT_TEMPLATES if templates is None else templates
