"""Matrices of numbers from whatever holds them, without copies."""

import numpy as np
from scipy.sparse import issparse

from ._check_params import refuse_mask

_BLOCK_ELEMENTS = 2**20  # 8 MiB of float64: a memory map is read in small parts


def as_matrix(values, name, *, sparse=False):
    """Return a 2-D numeric ndarray, torch tensor or dask array, without copying it.

    Lists and frames become new arrays; where `sparse` may be, any sparse matrix canonical CSR.
    """
    if issparse(values):
        if not sparse:
            raise TypeError(f"{name} is sparse; pass a dense array, e.g. {name}.toarray().")
        matrix = values.tocsr()
        if not matrix.has_canonical_format:
            matrix = matrix.copy()
            matrix.sum_duplicates()
    elif is_dask(values):
        matrix = values
    else:
        matrix = _as_tensor(values, name) if _is_tensor(values) else _as_array(values, name)
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise ValueError(
            f"{name} must have two dimensions (rows, columns) and at least one column, "
            f"got {type(values).__name__} of shape {tuple(matrix.shape)}."
        )
    if not _is_real(matrix):
        raise TypeError(f"{name} must hold real numbers, got dtype {matrix.dtype}.")
    return matrix


def as_ndarray(matrix):
    """Return what `as_matrix` gave as an ndarray of a dtype that torch and pandas know.

    Copied are only tensors that lie elsewhere, dask arrays and odd dtypes.
    """
    if hasattr(matrix, "cpu"):
        matrix = matrix.cpu()
        # numpy has no bfloat16.
        return (matrix.float() if "bfloat16" in str(matrix.dtype) else matrix).numpy()
    matrix = np.asanyarray(matrix)
    odd = matrix.dtype.itemsize > 8 or not matrix.dtype.isnative
    return matrix.astype(np.float64) if odd else matrix


def is_dask(values):
    """Tell a dask array from the arrays of this process."""
    return hasattr(values, "to_delayed")


def blocks(matrix, least=np.float64):
    """Yield (slice, ndarray of `least` or float64) over the rows; a dask array whole."""
    if is_dask(matrix):
        yield slice(0, len(matrix)), matrix
        return
    size = max(1, _BLOCK_ELEMENTS // matrix.shape[1])
    for start in range(0, matrix.shape[0], size):
        rows = slice(start, start + size)
        block = matrix[rows]
        block = block.toarray() if issparse(block) else block
        block = block.cpu().double().numpy() if hasattr(block, "cpu") else block
        dtype = np.result_type(block.dtype, least)
        yield rows, np.asarray(block, dtype=np.float64 if dtype.itemsize > 8 else dtype)


def refuse_rows(rows, bad, name, fault, places=None):
    """Raise ValueError that names the first bad row of a block, by its place if there are any."""
    if bad.any():
        row = rows.start + int(bad.argmax())
        raise ValueError(f"{name}: row {row if places is None else places[row]} {fault}")


def _is_tensor(values):
    # A data frame may have a column of this name.
    return hasattr(values, "detach") and not hasattr(values, "columns")


def _as_tensor(values, name):
    if "strided" not in str(values.layout):
        raise TypeError(f"{name} is a sparse tensor; pass {name}.to_dense().")
    if values.device.type == "meta":
        raise TypeError(f"{name} is a tensor on the device meta, which holds no numbers.")
    return values.detach()


def _as_array(values, name):
    refuse_mask(values, name)
    if hasattr(values, "iloc") and hasattr(values, "dtypes"):
        values = _from_frame(values)
    own = isinstance(values, np.matrix | np.ma.MaskedArray)
    try:
        # A memory map stays one, so that its rows are read when they are needed.
        values = np.asarray(values) if own else np.asanyarray(values)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} must have two dimensions (rows, columns), got {type(values).__name__} whose "
            "rows do not make an array of numbers."
        ) from None
    if values.dtype != object or values.ndim != 2:
        return values
    texts = [type(value).__name__ for value in values.ravel() if isinstance(value, str | bytes)]
    try:
        if texts:
            raise TypeError
        return values.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        kind = texts[0] if texts else "objects"
        raise TypeError(f"{name} must hold real numbers, got {kind}.") from None


def _from_frame(frame):
    """Take the numbers out of pandas' nullable columns; text stays text, to be refused."""
    dtypes = np.atleast_1d(np.asarray(frame.dtypes, dtype=object))
    if all(isinstance(dtype, np.dtype) for dtype in dtypes):
        return frame
    if all(getattr(dtype, "kind", "O") in "fiub" for dtype in dtypes):
        return frame.to_numpy(dtype=np.float64, na_value=np.nan)
    return frame.to_numpy(dtype=object)


def _is_real(values):
    if hasattr(values, "is_complex"):
        return not values.is_complex()
    return values.dtype.kind in "fiub"
