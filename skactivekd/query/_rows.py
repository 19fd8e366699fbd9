"""Counting, taking and naming rows of whatever scikit-learn accepts as X."""

import numpy as np
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


def check_candidates(candidates, n, name="X"):
    """Return the rows among which to choose, ascending, or say why they are none.

    Parameters
    ----------
    candidates : array-like of int of shape (n_candidates,), or of bool of shape (n,)
        Positions, or a mask.
    n : int
        Rows there are.
    name : str, default="X"
        Whose rows they are, for the error.

    Returns
    -------
    rows : ndarray of int64

    Raises
    ------
    TypeError
        If they are neither integers nor booleans.
    ValueError
        If they are not one-dimensional, empty, or a row is repeated or not there.

    Examples
    --------
    >>> from skactivekd.query._rows import check_candidates
    >>> check_candidates([4, 0], 5), check_candidates([True, False, True], 3)
    (array([0, 4]), array([0, 2]))
    """
    rows = _as_positions(candidates, n, name)
    if not len(rows):
        raise ValueError("candidates is empty: there is no row to choose among.")
    outside = (rows < 0) | (rows >= n)
    if outside.any():
        at = int(outside.argmax())
        raise ValueError(
            f"candidates[{at}] is {rows[at]}, but the {n} rows of {name} are numbered from 0 to "
            f"{n - 1}."
        )
    rows = np.sort(rows.astype(np.int64))
    again = rows[1:][rows[1:] == rows[:-1]]
    if len(again):
        mask = len(rows) == n and rows[-1] <= 1
        hint = " A mask must be of dtype bool, not of 0 and 1." if mask else ""
        raise ValueError(f"candidates holds row {again[0]} more than once.{hint}")
    return rows


def _as_positions(candidates, n, name):
    """Return candidates as integers, whatever container they came in."""
    if isinstance(candidates, str | bytes | set | frozenset | dict) or issparse(candidates):
        raise TypeError(
            f"candidates must be an array or list of row numbers, or a mask, got a "
            f"{type(candidates).__name__}."
        )
    try:
        values = np.asarray(candidates)
    except (TypeError, ValueError) as error:  # lists of unequal length, a tensor elsewhere
        raise TypeError(f"candidates is no array of row numbers, nor a mask: {error}") from None
    if values.ndim != 1:
        raise ValueError(
            f"candidates must have one dimension, row numbers or a mask, got shape {values.shape}."
        )
    if values.dtype == object and len(values):  # nullable columns of pandas
        kinds = {np.asarray(value).dtype.kind for value in values}
        if kinds <= {"b"} or kinds <= set("iu"):
            values = np.array(values.tolist())
    if values.dtype.kind == "b":
        if len(values) != n:
            raise ValueError(
                f"candidates is a mask of {len(values)} rows, but {name} has {n} rows."
            )
        return np.flatnonzero(values)
    if values.dtype.kind not in "iu" and len(values):
        raise TypeError(
            f"candidates must be row numbers (integers) or a mask (booleans), got dtype "
            f"{values.dtype}."
        )
    return values
