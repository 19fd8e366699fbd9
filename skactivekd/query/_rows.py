"""Counting and taking rows of whatever scikit-learn accepts as X."""

from scipy.sparse import issparse
from sklearn.utils import _safe_indexing


def n_rows(X):
    """Count the rows of an array, a list, a DataFrame or a sparse matrix."""
    return X.shape[0] if hasattr(X, "shape") else len(X)


def take_rows(X, indices):
    """Return rows of X in its own container.

    Parameters
    ----------
    X : ndarray of any dimension, list, DataFrame or sparse matrix
        Samples along the first axis.
    indices : ndarray of int
        Positions, whatever the index of a DataFrame says.

    Returns
    -------
    rows : same type as X
        A sparse matrix whose format has no row access comes back as CSR.
    """
    if issparse(X) and X.format not in ("csr", "csc", "lil", "dok"):
        X = X.tocsr()
    return _safe_indexing(X, indices)
