"""Scaling of inputs: of columns, so that one learning rate fits them all, and of pixels."""

import warnings

import numpy as np
import torch
from scipy import sparse
from sklearn.utils import gen_batches
from torch import nn
from torch.nn import functional as F

# Columns that hardly vary but for single rows, such as pixels at the border, are not blown up
# beyond ten times what the usual column gets, nor so that the farthest of their values lies beyond
# 2. The latter tells them from columns in another unit, of which all values are small.
_FLOOR, _PEAK = 0.1, 2.0
# float32 has seven digits; a column that varies only in the last two of them is mostly rounding.
_DIGITS = 1e-5
_ROUNDING = 1e-12  # what a constant column seems to vary by, as float64 adds it up
_BLOCK = 4096  # rows measured at once, so that no copy of X as float64 is made


class InputScaler(nn.Module):
    """Shift and divide the columns of the input.

    Parameters
    ----------
    shift, scale : array-like of shape (n_features,)
    """

    def __init__(self, shift, scale):
        super().__init__()
        self.register_buffer("shift", torch.as_tensor(shift, dtype=torch.float32))
        self.register_buffer("scale", torch.as_tensor(scale, dtype=torch.float32))

    def forward(self, X):
        """Return the scaled rows."""
        return (X - self.shift) / self.scale


class PixelScaler(nn.Module):
    """Bring pixels in [0, 1] to the size and the range of a backbone.

    Parameters
    ----------
    mean, std : float or sequence of float of length n_channels
        What to subtract of each channel, and what to divide it by.
    size : pair of int, default=None
        Height and width that the backbone takes. None: those of the images.
    """

    def __init__(self, mean=0.0, std=1.0, size=None):
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32).reshape(-1, 1, 1))
        self.register_buffer("std", torch.as_tensor(std, dtype=torch.float32).reshape(-1, 1, 1))
        self.size = size

    def forward(self, X):
        """Return the scaled images."""
        if self.size is not None and tuple(X.shape[-2:]) != self.size:
            X = F.interpolate(X, self.size, mode="bicubic", antialias=True).clamp(0, 1)
        return (X - self.mean) / self.std


def measure_scaling(X, sample_weight=None):
    """Find what brings the columns of X to mean 0 and a spread of about 1.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, n_features)
        Read in blocks.
    sample_weight : ndarray of shape (n,), default=None
        Weights of the rows; None is 1 for each.

    Returns
    -------
    shift, scale : ndarray of float64 of shape (n_features,)
        Mean and standard deviation of each column, the latter held up for
        columns that hardly vary. Of a CSR matrix, zero and the root mean
        square of all entries: its zeros stay zeros, and rare words rare.

    Warns
    -----
    UserWarning
        If columns vary by less than single precision can tell apart.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.student._input_scaling import measure_scaling
    >>> shift, scale = measure_scaling(np.array([[0.0, 1.0], [4.0, 1.0]]))
    >>> shift, scale
    (array([2., 1.]), array([2. , 0.2]))
    """
    n, d = X.shape
    weight = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    n_rows = n if weight is None else float(weight.sum()) or 1.0
    if sparse.issparse(X):
        if not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
        squares = np.square(X.data.astype(np.float64))
        if weight is not None:
            squares *= np.repeat(weight, np.diff(X.indptr))
        return np.zeros(d), np.full(d, np.sqrt(float(squares.sum()) / (n_rows * d)) or 1.0)

    def total(values, rows):
        return (values if weight is None else weight[rows, None] * values).sum(axis=0)

    blocks = list(gen_batches(n, _BLOCK))
    mean = sum(total(np.asarray(X[rows], dtype=np.float64), rows) for rows in blocks) / n_rows
    square, peak = np.zeros(d), np.zeros(d)
    for rows in blocks:
        deviation = np.abs(X[rows] - mean)
        counted = deviation if weight is None else deviation[weight[rows] > 0]
        peak = np.maximum(peak, counted.max(axis=0, initial=0))
        square += total(np.square(deviation, out=deviation), rows)
    spread = np.sqrt(square / n_rows)
    spread[spread <= _ROUNDING * np.abs(mean)] = 0
    _warn_of_offsets(mean, spread)
    varying = spread[spread > 0]
    floor = _FLOOR * np.median(varying) if len(varying) else 1.0
    held_up = np.where(spread > 0, np.minimum(floor, peak / _PEAK), floor)
    return mean, np.maximum(spread, held_up)


def _warn_of_offsets(mean, spread):
    lost = np.flatnonzero((spread > 0) & (spread < _DIGITS * np.abs(mean)))
    if len(lost):
        shown = ", ".join(map(str, lost[:5])) + (" ..." if len(lost) > 5 else "")
        warnings.warn(
            f"X: the columns {shown} vary by less than {_DIGITS:g} of their size, which single "
            "precision, in which the student computes, can hardly hold. Subtract their mean "
            "first, as sklearn.preprocessing.StandardScaler does.",
            UserWarning,
            stacklevel=2,
        )
