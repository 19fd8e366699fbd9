"""Greedy k-center (farthest-first traversal): exact, and lazy where that pays."""

import numbers
from contextlib import nullcontext

import numpy as np
import torch
from scipy.sparse import issparse

from .._devices_and_seeds import own_settings, resolve_device
from ..utils._matrix import as_matrix, is_dask
from ._checks import check_same_width
from ._k_center_bounds import Shard
from ._k_center_search import OneShard, farthest_first
from ._k_center_small import running_minimum, sparse_running_minimum
from ._read_rows import common_dtype, mean_row, take

SMALL = 4_000_000  # cells of the points
SMALL_WORK = 1e9  # cells read


@own_settings()
def k_center_greedy(points, centers=None, n_select=1, *, device="auto", block_size=None):
    r"""Pick, one after another, the point farthest from everything chosen so far.

    Every pick maximizes the Euclidean distance to its nearest center,

    .. math:: i_t = \arg\max_i \min_{c \in C \cup \{i_1, \dots, i_{t-1}\}} \|x_i - c\|_2

    where :math:`C` are the rows of `centers`. This is the greedy
    2-approximation of the k-center problem [1]_ that core-set selection [2]_
    and PCoreSet [3]_ use.

    .. versionadded:: 0.1

    Parameters
    ----------
    points : array-like, sparse matrix, tensor or dask array of shape (n_points, n_features)
        Candidates: ndarray or memmap of any layout, a sparse matrix, which
        stays sparse, or a torch tensor on any device; any real dtype. The rows
        of a dask array stay on the workers of the current
        ``distributed.Client``, which send candidates only (extra ``dask``);
        with no client, this process does it.
    centers : array-like, sparse matrix or tensor of shape (n_centers, n_features), default=None
        Points that are covered already. With None, or no rows, the first pick
        is the point farthest from the mean of `points`; the mean itself is no
        center afterwards.
    n_select : int, default=1
        Number of picks, at most n_points.
    device : {"auto"}, str or torch.device, default="auto"
        Where distances are computed. "auto" stays with a tensor that lives on
        an accelerator, and else takes CUDA, MPS or the CPU. Points elsewhere
        go there block by block. Workers of a cluster and sparse points take the CPU.
    block_size : int, default=None
        Rows, and centers, of one matrix product; None takes 2048.

    Returns
    -------
    indices : ndarray of int64 of shape (n_select,)
        Rows of `points` in order of selection, each at most once. Ties go to
        the lowest index.
    distances : ndarray of float64 of shape (n_select,)
        Distance of each pick to its nearest center at the moment it was
        picked; for a first pick without `centers`, its distance to the mean.

    Raises
    ------
    TypeError
        If an input is not numeric, or a count is no integer.
    ValueError
        If a row is not finite or beyond 1e18 (it is named), widths differ, or
        `n_select` is not in [1, n_points].
    RuntimeError
        If workers of a cluster are lost again and again. One that is lost once
        is replaced, without a change in the picks.

    See Also
    --------
    PCoreSet : Farthest first among probabilities.
    CoreSet : Farthest first among features.

    Notes
    -----
    The search is exact and lazy. A point's distance to its nearest center only
    ever shrinks, so an old value bounds it from above: points whose bound
    cannot win are left alone. The first bounds come from a random projection
    to 32 dimensions, in which the likeliest two centers of each point are
    found; only points that may be the farthest are measured against all
    centers. Time lies between O(n_points * n_features * 32) and the
    O((n_centers + n_select) * n_points * n_features) of a running minimum,
    which is what small problems get. Memory beside the inputs is that of
    n_points bounds, of n_centers + n_select rows, and of a few blocks.

    Candidates are compared in float64 by their differences, so that distances
    keep their digits however far from zero the points are. Where the running
    minimum serves, float32 inputs stay in float32 while rounding errors are
    small beside the distances. It serves sparse points too, in float64: a pick
    costs one pass over what is not zero.

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
    points = as_matrix(points, "points", sparse=True)
    centers = points[:0] if centers is None else as_matrix(centers, "centers", sparse=True)
    centers = np.asarray(centers) if is_dask(centers) else centers
    centers = centers.toarray() if issparse(centers) and not issparse(points) else centers
    check_same_width(points, "points", centers, "centers")
    _check_count(n_select, "n_select", points.shape[0])
    if block_size is not None:
        _check_count(block_size, "block_size")
    if issparse(points):
        opened = nullcontext((points, sparse_running_minimum))
    elif is_dask(points):
        from ._k_center_dask import cluster_search

        opened = cluster_search(points, block_size)
    else:
        opened = nullcontext((points, _search_on(_device_for(points, device), block_size)))
    with opened as (points, search):
        if centers.shape[0]:
            index, squares = search(points, centers, n_select)
        else:
            index, squares = _from_the_mean(search, points, n_select)
    return index, np.sqrt(squares)


def _search_on(device, block_size):
    """Return the search for a device: ``search(points, centers, n_select, taken=())``."""

    def search(points, centers, n_select, taken=()):
        if device.type == "cpu" and _is_small(points.shape, len(centers), n_select):
            return running_minimum(points, centers, n_select, taken)
        room, dtype = len(centers) + n_select, common_dtype(points, centers)
        with torch.no_grad():
            shard = Shard(points, centers, room, dtype, device, block=block_size, taken=taken)
            return farthest_first(OneShard(shard), n_select)

    return search


def _is_small(shape, n_centers, n_select):
    """Tell whether running minima cost less than the bookkeeping of laziness.

    A pick costs a pass over memory; of centers known beforehand, eight do.
    """
    n_points, n_features = shape
    cells = n_points * n_features
    few_passes = cells * (n_centers / 8 + n_select) < SMALL_WORK
    return cells <= SMALL and (few_passes or n_select > n_points / 10)


def _from_the_mean(search, points, n_select):
    """Search without centers: the mean is the first, and then the first pick in its place."""
    first, square = search(points, mean_row(points, "points")[None], 1)
    if n_select == 1:
        return first, square
    start = take(points, first)
    rest, squares = search(points, start, n_select - 1, taken=first)
    return np.append(first, rest), np.append(square, squares)


def _device_for(points, device):
    """Resolve "auto"; a tensor on an accelerator stays where it is."""
    if (
        isinstance(device, str)
        and device == "auto"
        and torch.is_tensor(points)
        and points.device.type != "cpu"
    ):
        return points.device
    return resolve_device(device)


def _check_count(value, name, most=None):
    if not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}.")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}.")
    if most is not None and value > most:
        raise ValueError(f"{name}={value}, but there are only {most} points.")
