"""An encoder as a step of scikit-learn's pipelines."""

import copy

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted

from .._rows import n_rows
from ._base import ROW_METHODS, encode_rows
from ._errors import RowError
from ._open_clip import OpenCLIPEncoder
from ._skipping import collecting


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
    LabeledOnly : Fits a classifier on the labelled rows.

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
                "encoder is None; set it to what embeds the rows, such as "
                "OpenCLIPEncoder('ViT-B-32', pretrained=...) or SentenceEncoder(folder). "
                "OpenCLIPEncoder() is the model of this package, which knows handwritten digits "
                "only."
            )
        encoder = check_encoder(self.encoder, ROW_METHODS)
        if n_rows(X) == 0:
            raise ValueError("X has no row to encode")
        try:
            with collecting():  # `transform` warns of all
                first = encode_rows(encoder, _safe_indexing(X, [0]))
        except RowError:
            first = encode_rows(encoder, X)  # whose error names every bad row
        self._n_features_out = first.shape[1]
        self.encoder_ = encoder
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
        embeddings = np.asarray(encode_rows(self.encoder_, X))
        skipped = np.isnan(embeddings).any(axis=1)
        if skipped.any():
            embeddings = np.where(skipped[:, None], np.float32(0), embeddings)
        return embeddings


def check_encoder(encoder, methods):
    """Return the encoder, the one of this package for None, if it has one of `methods`."""
    encoder = OpenCLIPEncoder() if encoder is None else encoder
    if isinstance(encoder, type) or not any(hasattr(encoder, name) for name in methods):
        raise TypeError(
            f"encoder={encoder!r} must be an object with encode_text(texts) and, unless its "
            "samples are texts, encode_image(X), such as OpenCLIPEncoder()"
        )
    return encoder
