"""An encoder as a step of scikit-learn's pipelines."""

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted

from .._rows import n_rows
from ._embedding_teacher import EncodesRows, check_encoder
from ._encode_once import ROW_METHODS, encode_rows
from ._image_error import RowError
from ._skipping import collecting


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
