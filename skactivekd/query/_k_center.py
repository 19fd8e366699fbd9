"""Greedy k-center (farthest-first traversal) on torch."""

import math
import numbers

import numpy as np
import torch

from .._torch import resolve_device
from ._checks import as_matrix, check_same_width, dtype_name

_BLOCK_ELEMENTS = 2**23  # 32 MiB of float32


def k_center_greedy(points, centers=None, n_select=1, *, device="auto", block_size=None):
    r"""Pick, one after another, the point farthest from everything chosen so far.

    Every pick maximises the Euclidean distance to its nearest centre,

    .. math:: i_t = \arg\max_i \min_{c \in C \cup \{i_1, \dots, i_{t-1}\}} \|x_i - c\|_2

    where :math:`C` are the rows of `centers`. This is the greedy
    2-approximation of the k-center problem [1]_ that core-set selection [2]_
    and PCoreSet [3]_ use.

    Parameters
    ----------
    points : array-like or tensor of shape (n_points, n_features)
        Candidates: ndarray or memmap of any layout, or a torch tensor on any
        device; any real dtype.
    centers : array-like or tensor of shape (n_centers, n_features), default=None
        Points that are covered already. With None, or no rows, the first pick
        is the point farthest from the mean of `points`; the mean itself is no
        centre afterwards.
    n_select : int, default=1
        Number of picks, at most n_points.
    device : {"auto"}, str or torch.device, default="auto"
        Where distances are computed. "auto" stays with a tensor that lives on
        an accelerator, and else takes CUDA, MPS or the CPU. An accelerator
        gets its own copy of the points, once.
    block_size : int, default=None
        Rows handled at a time. None takes as many as fill 32 MiB in float32.

    Returns
    -------
    indices : ndarray of int64 of shape (n_select,)
        Rows of `points` in order of selection, each at most once. Ties go to
        the lowest index.
    distances : ndarray of float64 of shape (n_select,)
        Distance of each pick to its nearest centre at the moment it was
        picked; for a first pick without `centers`, its distance to the mean.

    Raises
    ------
    TypeError
        If an input is sparse or not numeric, or a count is no integer.
    ValueError
        If a row is not finite or too large for distances (it is named), widths
        differ, or `n_select` is not in [1, n_points].

    Notes
    -----
    Time is O((n_centers + n_select) * n_points * n_features); on the CPU the
    extra memory is O(n_points + block), as only the distance of each point to
    its nearest centre is kept.

    Distances are square roots of sums of squared differences, never
    differences of squared norms: rounding is relative to the distance itself,
    however far from zero the points are. The arithmetic is float32 for inputs
    of at most 32-bit floats and float64 for wider ones (float32 on MPS, which
    has no float64).

    References
    ----------
    .. [1] T. F. Gonzalez. "Clustering to minimize the maximum intercluster
       distance". Theoretical Computer Science 38, 1985.
    .. [2] O. Sener and S. Savarese. "Active learning for convolutional neural
       networks: a core-set approach". ICLR 2018. arXiv:1708.00489.
    .. [3] "PCoreSet: Effective Active Learning through Knowledge Distillation
       from Vision-Language Models". 2025. arXiv:2506.00910.

    Examples
    --------
    >>> from skactivekd.query import k_center_greedy
    >>> indices, distances = k_center_greedy([[0.0], [4.0], [9.0]], [[1.0]], n_select=2)
    >>> indices
    array([2, 1])
    >>> distances
    array([8., 3.])
    """
    points = as_matrix(points, "points")
    centers = points[:0] if centers is None else as_matrix(centers, "centers")
    check_same_width(points, "points", centers, "centers")
    _check_count(n_select, "n_select", len(points))
    if block_size is None:
        block_size = max(1, _BLOCK_ELEMENTS // points.shape[1])
    _check_count(block_size, "block_size")

    device = _device_for(points, device)
    dtype = _dtype_for(points, centers, device)
    points = _Rows(points, dtype, device, block_size).checked("points").resident()
    centers = _Rows(centers, dtype, device, block_size).checked("centers")
    return _greedy(points, centers, n_select)


def _greedy(points, centers, n_select):
    """Run the traversal on checked rows; see `k_center_greedy`."""
    nearest = points.to_mean() if not len(centers) else points.full(torch.inf)
    for _, block in centers.blocks():
        _lower(nearest, points, block)

    indices = np.empty(n_select, dtype=np.int64)
    distances = np.empty(n_select)
    for step in range(n_select):
        if step == 1 and not len(centers):
            nearest.fill_(torch.inf)  # the mean was no centre
        if step:
            last = int(indices[step - 1])
            _lower(nearest, points, points[last : last + 1])
            nearest[last] = -1.0  # below every distance: never picked again
        indices[step] = int(nearest.argmax())
        distances[step] = float(nearest[indices[step]])
    return indices, distances


def _lower(nearest, points, centers):
    """Lower the distances in `nearest` to those of the nearest of more centres."""
    for rows, block in points.blocks():
        # Chunks of this length keep the distance matrix no larger than the block.
        for chunk in centers.split(block.shape[1]):
            distances = torch.cdist(block, chunk, compute_mode="donot_use_mm_for_euclid_dist")
            nearest[rows] = torch.minimum(nearest[rows], distances.amin(dim=1))


class _Rows:
    """Rows of an array or tensor, handed out as tensors of one dtype on the device."""

    def __init__(self, values, dtype, device, block_size):
        self.values = values
        self.dtype = dtype
        self.device = device
        self.block_size = block_size

    def __len__(self):
        return len(self.values)

    def __getitem__(self, rows):
        block = self.values[rows]
        if not torch.is_tensor(block):
            dtype = np.float32 if self.dtype == torch.float32 else np.float64
            # Copies only what torch cannot share: another dtype or layout, read-only memory.
            block = torch.from_numpy(np.require(block, dtype, "CW"))
        return block.to(self.device, self.dtype)

    def blocks(self):
        """Yield (slice, rows) over all rows."""
        for start in range(0, len(self), self.block_size):
            rows = slice(start, start + self.block_size)
            yield rows, self[rows]

    def full(self, value):
        """Return one value per row."""
        return torch.full((len(self),), value, dtype=self.dtype, device=self.device)

    def checked(self, name):
        """Raise for the first row whose distances would not be finite."""
        limit = math.sqrt(torch.finfo(self.dtype).max / self.values.shape[1]) / 2
        for rows, block in self.blocks():
            bad = ~(block.abs().amax(dim=1) < limit)  # also true of nan
            if bad.any():
                row = rows.start + int(bad.int().argmax())
                raise ValueError(
                    f"{name}: row {row} has a value that is not finite, or too large for "
                    f"distances in {self.dtype}; remove the row or rescale the data."
                )
        return self

    def resident(self):
        """Copy the rows to the device for good, if reading them means a transfer."""
        if self._lives_here():
            return self
        values = torch.empty(tuple(self.values.shape), dtype=self.dtype, device=self.device)
        for rows, block in self.blocks():
            values[rows] = block
        return _Rows(values, self.dtype, self.device, self.block_size)

    def _lives_here(self):
        return self.device.type == "cpu"

    def to_mean(self):
        """Return the distance of each row to the mean row, worked out in float64."""
        wide = _Rows(self.values, torch.float64, torch.device("cpu"), self.block_size)
        mean = sum(block.sum(dim=0) for _, block in wide.blocks()) / len(self)
        distances = self.full(torch.inf)
        for rows, block in wide.blocks():
            distances[rows] = torch.linalg.vector_norm(block - mean, dim=1).to(distances)
        return distances


def _device_for(points, device):
    """Resolve "auto"; a tensor on an accelerator stays where it is."""
    if device == "auto" and torch.is_tensor(points) and points.device.type != "cpu":
        return points.device
    return resolve_device(device)


def _dtype_for(points, centers, device):
    """Return the dtype that holds both inputs, where the device has it."""
    narrow = all(dtype_name(v).endswith(("float16", "float32")) for v in (points, centers))
    return torch.float32 if narrow or device.type == "mps" else torch.float64


def _check_count(value, name, most=None):
    if not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}.")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}.")
    if most is not None and value > most:
        raise ValueError(f"{name}={value}, but there are only {most} points.")
