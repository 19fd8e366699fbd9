"""Reading rows of ndarrays, memmaps and tensors, block by block and in another dtype."""

import numpy as np
import torch
from scipy.sparse import issparse

from ..utils._matrix import is_dask

LIMIT = 1e18  # values below it have squares that float32 holds


def take(points, index):
    """Return rows by a slice or an ndarray of int."""
    if torch.is_tensor(points) and not isinstance(index, slice):
        index = torch.as_tensor(index, device=points.device)
    return points[index]


def to_numpy(rows):
    """Return rows as a numpy array of native byte order; bfloat16 becomes float32."""
    if torch.is_tensor(rows):
        rows = rows.cpu()
        return (rows.float() if rows.dtype == torch.bfloat16 else rows).numpy()
    return np.asarray(rows, dtype=rows.dtype.newbyteorder("="))


def to_float64(rows):
    """Return rows as a numpy array of float64."""
    return to_numpy(rows).astype(np.float64, copy=False)


def as_float32(rows, shift, device):
    """Return rows, less the shift, as a tensor of float32 on the device.

    Parameters
    ----------
    rows : ndarray or tensor of shape (n, n_features)
        Not copied where that is not needed: the result may share its memory.
    shift : ndarray of float64 of shape (n_features,) or None
        What to subtract, in float64.
    device : torch.device

    Returns
    -------
    rows : tensor of float32 of shape (n, n_features)
    """
    if shift is not None:
        rows = to_float64(rows) - shift
    if not torch.is_tensor(rows):
        rows = torch.from_numpy(_writable(np.ascontiguousarray(rows, dtype=np.float32)))
    return rows.to(device, torch.float32)


class _Unlocked:
    """An array that says it may be written to."""

    def __init__(self, rows):
        address, _ = rows.__array_interface__["data"]
        self.__array_interface__ = {**rows.__array_interface__, "data": (address, False)}
        self.rows = rows


def _writable(rows):
    # torch warns of read-only memory, such as that of a memmap, whatever is done with it.
    return rows if rows.flags.writeable else np.asarray(_Unlocked(rows))


def common_dtype(*sources):
    """Return float32 if it holds the values of all sources as they are, or else float64."""
    dtypes = [to_numpy(source[:0]).dtype for source in sources]
    return np.result_type(np.float32, *dtypes)


def mean_row(points, name, block=2048):
    """Return the mean of all rows in float64; raises ValueError as `refuse_bad_row`."""
    if issparse(points):
        with np.errstate(over="ignore", invalid="ignore"):
            totals = np.bincount(points.indices, points.data, minlength=points.shape[1])
        block, mean = points.shape[0], totals / points.shape[0]
    elif is_dask(points):
        block, mean = len(points), np.asarray(points.mean(axis=0, dtype=np.float64))
    else:
        parts = (points[start : start + block] for start in range(0, len(points), block))
        with np.errstate(over="ignore", invalid="ignore"):
            mean = sum(to_float64(part).sum(0) for part in parts) / len(points)
    if not (np.abs(mean) < LIMIT).all():
        for start in range(0, points.shape[0], block):
            refuse_bad_row(points[start : start + block], name, start)
    return mean


def origin(points, n_rows=256):
    """Return a point to subtract where that spares the squares most of their size, or None."""
    sample = np.linspace(0, len(points) - 1, min(len(points), n_rows)).astype(np.int64)
    sample = to_float64(take(points, sample))
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused later
        mean = sample.mean(0)
        return mean if mean @ mean > 4 * sample.var(0).sum() else None


def refuse_bad_row(rows, name, offset=0):
    """Raise ValueError for the first row that is not finite or too large for distances."""
    if issparse(rows):
        number = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
        largest = np.zeros(rows.shape[0])
        with np.errstate(invalid="ignore"):
            np.maximum.at(largest, number, np.abs(rows.data))
    else:
        largest = np.abs(rows if is_dask(rows) else to_float64(rows)).max(1)
    good = largest < LIMIT / np.sqrt(rows.shape[1])  # false for nan
    if not good.all():
        raise ValueError(
            f"{name}: row {offset + int(good.argmin())} has a value that is not finite, or too "
            f"large for distances (the limit is {LIMIT:g}); remove the row or rescale the data."
        )
