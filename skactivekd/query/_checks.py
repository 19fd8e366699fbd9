"""Validation of what a strategy is given: clear errors, rows named."""

import numbers
import warnings

import numpy as np
from scipy.sparse import csr_array, issparse

_BLOCK_ELEMENTS = 2**22  # 32 MiB of float64


def as_matrix(values, name):
    """Return a 2-D numeric ndarray, CSR matrix, tensor or dask array, copied only for CSR.

    Parameters
    ----------
    values : array-like or tensor of shape (n_rows, n_columns)
        What the caller passed.
    name : str
        The argument's name, for the error.

    Returns
    -------
    matrix : ndarray, CSR matrix, tensor or dask array
        Detached from the graph if it is a tensor; CSR of any sparse matrix.
    """
    if issparse(values):
        values = values.tocsr()
        if not values.has_canonical_format:
            values = values.copy()
            values.sum_duplicates()
    elif not is_dask(values):
        values = values.detach() if hasattr(values, "detach") else np.asarray(values)
    if not _is_real(values):
        raise TypeError(f"{name} must hold real numbers, got dtype {values.dtype}.")
    if values.ndim != 2 or values.shape[1] == 0:
        raise ValueError(
            f"{name} must have two dimensions (rows, columns) and at least one column, "
            f"got shape {tuple(values.shape)}."
        )
    return values


def is_dask(values):
    """Tell a dask array from the arrays of this process."""
    return hasattr(values, "to_delayed")


def _is_real(values):
    if hasattr(values, "is_complex"):
        return not values.is_complex()
    return values.dtype.kind in "fiub"


def blocks(matrix, least=np.float64):
    """Yield (slice, ndarray of `least` or a wider dtype) over the rows; a dask array whole."""
    if is_dask(matrix):
        yield slice(0, len(matrix)), matrix
        return
    size = max(1, _BLOCK_ELEMENTS // matrix.shape[1])
    for start in range(0, matrix.shape[0], size):
        rows = slice(start, start + size)
        block = matrix[rows]
        block = block.toarray() if issparse(block) else block
        block = block.cpu().double().numpy() if hasattr(block, "cpu") else block
        yield rows, np.asarray(block, dtype=np.result_type(block.dtype, least))


def check_same_width(first, first_name, second, second_name):
    """Raise ValueError if two matrices differ in their number of columns."""
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"{first_name} has {first.shape[1]} columns but {second_name} has {second.shape[1]}."
        )


def check_labeled(features, pool):
    """Return features of labeled rows, finite and as wide as the pool's, sparse if these are."""
    if features is None:
        return pool[:0]
    labeled = check_finite(features, "features_labeled")
    check_same_width(pool, "features_pool", labeled, "features_labeled")
    if issparse(pool) and not issparse(labeled):
        return csr_array(labeled.cpu() if hasattr(labeled, "cpu") else labeled)
    return labeled.toarray() if issparse(labeled) and not issparse(pool) else labeled


def check_finite(values, name):
    """Return a 2-D matrix all of whose values are finite; the error names the row."""
    matrix = as_matrix(values, name)
    if issparse(matrix):
        bad = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        bad = bad[~np.isfinite(matrix.data)]
        _refuse(slice(0, None), np.bincount(bad) > 0, name, "has a value that is not finite.")
        return matrix
    for rows, block in blocks(matrix):
        _refuse(rows, ~np.isfinite(block).all(axis=1), name, "has a value that is not finite.")
    return matrix


def check_proba(values, name):
    """Return a 2-D matrix all of whose rows are probabilities.

    Parameters
    ----------
    values : array-like or tensor of shape (n_rows, n_classes)
        What the caller passed.
    name : str
        The argument's name, for the error.

    Returns
    -------
    matrix : ndarray or tensor of shape (n_rows, n_classes)

    Raises
    ------
    ValueError
        If a row is not finite, negative beyond rounding (1e-6), or does not
        sum to one within 1e-3.
    """
    matrix = as_matrix(values, name)
    if issparse(matrix):
        raise TypeError(f"{name} is sparse; pass a dense array, e.g. {name}.toarray().")
    hint = "are these logits? Pass probabilities, e.g. their softmax."
    for rows, block in blocks(matrix, np.float32):
        with np.errstate(over="ignore", invalid="ignore"):
            total, least = block.sum(axis=1), block.min(axis=1)
        _refuse(rows, ~np.isfinite(total), name, "has a value that is not finite.")
        _refuse(rows, least < -1e-6, name, f"has a negative value; {hint}")
        _refuse(rows, abs(total - 1) > 1e-3, name, f"does not sum to one; {hint}")
    return matrix


def check_n_instances(n_instances, n_pool, candidates=None):
    """Return the number of rows to pick: `n_instances`, or all there are with a warning."""
    if not isinstance(n_instances, numbers.Integral):
        raise TypeError(f"n_instances must be an integer, got {n_instances!r}.")
    if n_instances < 1:
        raise ValueError(f"n_instances must be at least 1, got {n_instances}.")
    if n_pool == 0:
        raise ValueError("The pool is empty: there is nothing left to select from.")
    most, holder = n_pool, "the pool holds"
    if candidates is not None:
        most, holder = len(candidates), "there are candidates"
    if n_instances > most:
        warnings.warn(
            f"n_instances={n_instances} is more than {holder}: all {most} are selected.",
            UserWarning,
            stacklevel=3,
        )
    return min(int(n_instances), most)


def _refuse(rows, bad, name, fault):
    if bad.any():
        raise ValueError(f"{name}: row {rows.start + int(bad.argmax())} {fault}")
