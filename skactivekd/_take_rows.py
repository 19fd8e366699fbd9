"""Counting, taking and naming rows of whatever scikit-learn accepts as X."""

import os
from contextlib import suppress

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import _safe_indexing

from .utils._check_params import naming, refuse_mask
from .utils._row_identity import identify_row


def n_rows(X, name="X"):
    """Count the rows of an array, a list, a DataFrame or a sparse matrix.

    Raises
    ------
    TypeError
        If it has no rows to count.
    """
    no_rows = isinstance(X, type | str | bytes | set | frozenset | dict) and not issparse(X)
    if no_rows or not (len(getattr(X, "shape", ())) or hasattr(X, "__len__")):
        raise TypeError(f"{name} must be an array or a list of rows, got {type(X).__name__}.")
    with naming(name):
        return X.shape[0] if hasattr(X, "shape") else len(X)


def take_rows(X, indices):
    """Return rows of X in its own container.

    Parameters
    ----------
    X : ndarray of any dimension, list, DataFrame, sparse matrix or data set of pictures
        Samples along the first axis.
    indices : ndarray of int
        Positions, whatever the index of a DataFrame says.

    Returns
    -------
    rows : same type as X
        A sparse matrix whose format has no row access comes back as CSR, a data
        set as rows that are read when they are asked for.
    """
    if not isinstance(X, list | tuple) and not hasattr(X, "shape"):
        from .encoders._inputs import LazyRows, is_lazy

        if is_lazy(X):
            return (X if isinstance(X, LazyRows) else LazyRows(X)).take(indices)
    if issparse(X) and X.format not in ("csr", "csc", "lil", "dok"):
        X = X.tocsr()
    with naming("X"):
        return _safe_indexing(X, indices)


def one_column(X):
    """Return the only column of a table of texts, paths or images; anything else as it is.

    Without this, whoever goes through a table of one column meets the name of
    the column, or rows that are lists, in place of its n rows.

    Parameters
    ----------
    X : DataFrame of shape (n, 1), array of shape (n, 1), list of n lists of one, or other rows

    Returns
    -------
    rows : Series, array or list of length n, or X

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd._take_rows import one_column
    >>> one_column(np.array([["a.png"], ["b.png"]]))
    array(['a.png', 'b.png'], dtype='<U5')
    """
    if isinstance(X, list | tuple):
        single = X and all(isinstance(row, list | tuple) and len(row) == 1 for row in X)
        return [row[0] for row in X] if single and any(_is_item(row[0]) for row in X) else X
    if len(getattr(X, "shape", ())) != 2 or X.shape[1] != 1 or issparse(X):
        return X
    if hasattr(X, "iloc"):
        column = X.iloc[:, 0]
        return column if any(map(_is_item, column)) else X
    if getattr(X, "dtype", None) is not None and getattr(X.dtype, "kind", "f") in "OSUT":
        return X[:, 0] if any(_is_item(row[0]) for row in X) else X
    return X


def _is_item(value):
    return isinstance(value, str | bytes | os.PathLike) or hasattr(value, "getbands")


def check_row_count(answer, X, who):
    """Raise ValueError unless an answer has a row for each of X.

    Parameters
    ----------
    answer : array-like
        What `who` made of X.
    X : rows
    who : str
        Whose answer it is, for the error.
    """
    got, n = n_rows(answer), n_rows(X)
    if got == n:
        return
    hint = ""
    if len(getattr(X, "shape", ())) == 2 and hasattr(X, "columns"):
        name = X.columns[0] if X.shape[1] == 1 else "text"
        hint = (
            f" X is a DataFrame: what takes a sequence, such as TfidfVectorizer, goes through the "
            f"names of its columns. Pass the column, X[{name!r}], to fit as well."
        )
    raise ValueError(f"{who} returned {got} rows for the {n} rows of X.{hint}")


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
    >>> from skactivekd._take_rows import check_candidates
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
    refuse_mask(candidates, "candidates")
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


def find_rows(X, rows, new):
    """Find rows of X by their content.

    Parameters
    ----------
    X : ndarray of any dimension, list, Series, DataFrame or sparse matrix
        Where to look.
    rows : ndarray of int
        The rows of X to look at.
    new : same kind of container
        Rows to find. Files count by their path.

    Returns
    -------
    places : ndarray of int64 of shape (n_new,)
        The row of X that holds the same, each at most once, the first ones first;
        -1 where there is none.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd._take_rows import find_rows
    >>> find_rows(np.array([[0], [5], [5]]), np.array([1, 2]), np.array([[5], [5], [5]]))
    array([ 1,  2, -1])
    """
    X, new = take_rows(X, rows), _as_kind(new, X)
    wanted = {}
    for number, content in enumerate(_contents(new)):
        wanted.setdefault(content, []).append(number)
    places = np.full(n_rows(new), -1, dtype=np.int64)
    for row, content in zip(rows, _contents(X), strict=True):
        if wanted.get(content):
            places[wanted[content].pop(0)] = row
    return places


def same_rows(one, other):
    """Tell whether two containers hold the same rows in the same order, files by their path."""
    if n_rows(one) != n_rows(other):
        return False
    return all(a == b for a, b in zip(_contents(one), _contents(other), strict=True))


def _as_kind(new, X):
    """Give new rows the dtypes of X, which they may have lost on the way."""
    if issparse(X) and not issparse(new):
        return type(X)(np.asarray(new))
    if hasattr(X, "dtypes") and hasattr(X, "columns"):
        new = new if hasattr(new, "columns") else type(X)(new, columns=X.columns)
        return new[list(X.columns)].astype(X.dtypes.to_dict(), errors="ignore")
    if isinstance(X, np.ndarray) or issparse(X):
        new = new if issparse(new) else np.asarray(new)
        if {new.dtype.kind, X.dtype.kind} <= set("iufb") and new.dtype != X.dtype:
            cast = new.astype(X.dtype)
            return cast if X.dtype.kind == "f" or not (cast != new).sum() else new
    return new


def _contents(X):
    """Yield a hashable value for each row, equal for rows of equal content."""
    if issparse(X):
        X = X.tocsr(copy=True)
        X.sum_duplicates()
        X.eliminate_zeros()
        for start, stop in zip(X.indptr[:-1], X.indptr[1:], strict=True):
            yield X.indices[start:stop].astype(np.int64).tobytes(), X.data[start:stop].tobytes()
    elif hasattr(X, "itertuples"):
        for row in X.itertuples(index=False, name=None):
            yield tuple(map(_content, row))
    elif isinstance(X, np.ndarray) and X.dtype.kind not in "OT" and X.ndim > 1:
        for row in X:
            yield row.tobytes()
    else:
        yield from map(_content, X)


def _content(value):
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, list | tuple):
        return tuple(map(_content, value))
    try:
        hash(value)
        # Not a number is not equal to itself, and 1 is equal to True.
        return type(value), value if value == value else "nan"
    except TypeError:  # an image of PIL, a dict, pandas.NA
        with suppress(TypeError):
            return identify_row(value)
        return id(value)
