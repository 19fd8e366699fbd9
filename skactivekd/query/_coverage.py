"""Greedy choice of points that represent most of a weighted sample."""

import numpy as np
import torch

FRONT = 32  # points measured at a time
_BLOCK = 2**22  # similarities at a time, 16 MiB of float32


def greedy_coverage(points, targets, weights, centers, n_select):
    r"""Pick, one after another, the point that adds most to the coverage of the targets.

    The coverage by a set S, with the cosine k, or 0 where it is negative, is

    .. math:: F(S) = \sum_j w_j \max_{i \in S} k(x_i, t_j).

    What a point adds only shrinks as others join S. Each point keeps the last
    gain measured as an upper bound, and only points whose bound is among the
    highest are measured again: the picks are those of the full search [1]_.

    Parameters
    ----------
    points : float tensor or CSR matrix of shape (n_points, n_features)
        Candidates, with rows of unit length.
    targets : same, of shape (n_targets, n_features)
        What is to be covered, with rows of unit length.
    weights : float tensor of shape (n_targets,)
        Weights of the targets, at least 0.
    centers : same, of shape (n_centers, n_features)
        Points that are in S from the start.
    n_select : int
        Number of picks, at most n_points.

    Returns
    -------
    indices : ndarray of int64 of shape (n_select,)
        Rows of `points` in order of selection.

    References
    ----------
    .. [1] M. Minoux. "Accelerated greedy algorithms for maximizing submodular
       set functions". Optimization Techniques, 1978.

    Examples
    --------
    >>> import torch
    >>> from skactivekd.query._coverage import greedy_coverage
    >>> points = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    >>> greedy_coverage(points, points, torch.ones(3), points[:0], 2)
    array([1, 0])
    """
    covered = _coverage(targets, centers, weights)
    gains = _gains(points, targets, weights, covered)
    measured = np.zeros(len(gains), dtype=np.int64)
    picks = []
    while len(picks) < n_select:
        best = int(gains.argmax())
        if measured[best] == len(picks):
            picks.append(best)
            gains[best] = -1
            covered = torch.maximum(covered, _products(targets, points[best : best + 1])[:, 0])
            continue
        front = np.argpartition(gains, -min(FRONT, len(gains)))[-FRONT:]
        front[0] = best  # equal gains may leave it out
        front = front[(gains[front] >= 0) & (measured[front] < len(picks))]
        gains[front] = _gains(points[front], targets, weights, covered)
        measured[front] = len(picks)
    return np.array(picks, dtype=np.int64)


def _gains(points, targets, weights, covered):
    """What each point alone would add, as float64."""
    gains = np.empty(points.shape[0])
    for rows, similar in _blocks(points, targets):
        gains[rows] = (similar.sub_(covered).relu_() @ weights).cpu()
    return gains


def _coverage(targets, centers, weights):
    """Return each target's similarity to the nearest center; without any it is 0."""
    covered = torch.zeros_like(weights)
    for rows, similar in _blocks(targets, centers):
        covered[rows] = similar.amax(dim=1).relu_()
    return covered


def _blocks(points, others):
    size = max(1, _BLOCK // max(others.shape[0], 1))
    for start in range(0, points.shape[0] if others.shape[0] else 0, size):
        rows = slice(start, start + size)
        yield rows, _products(points[rows], others)


def _products(points, others):
    if torch.is_tensor(points):
        return points @ others.T
    return torch.from_numpy((points @ others.T).toarray())
