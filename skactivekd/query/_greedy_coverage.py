"""Greedy choice of points that represent most of a weighted sample."""

import numpy as np
import torch

FRONT = 32  # points measured at a time
POOL = 4096  # points whose bounds are tightened at a time
BEHIND = 64  # picks that a bound may be behind; beyond, measuring costs less
_SLACK = 1e-5  # of a gain: more than float32 rounds away over all targets
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
    >>> from skactivekd.query._greedy_coverage import greedy_coverage
    >>> points = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    >>> greedy_coverage(points, points, torch.ones(3), points[:0], 2)
    array([1, 0])
    """
    search = _Search(points, targets, weights, centers)
    while len(search.picks) < n_select:
        search.step()
    return np.array(search.picks, dtype=np.int64)


class _Search:
    """Upper bounds of what each point would add, and what is covered so far.

    A bound is tightened by what the picks since have changed, which is little: the k-th pick
    changes about a k-th of the targets. Points that may be the best are then measured.
    """

    def __init__(self, points, targets, weights, centers):
        self.points, self.targets, self.weights = points, targets, weights
        self.covered = _coverage(targets, centers, weights)
        self.gains = _gains(points, targets, weights, self.covered)
        self.slack = _SLACK * self.gains.copy()
        self.measured = np.zeros(len(self.gains), dtype=np.int64)  # picks when it was measured
        self.tight = np.zeros(len(self.gains), dtype=np.int64)  # picks its bound knows of
        self.picks, self.changes = [], []
        self.n_changed = [0]

    def step(self):
        """Pick the best point, or come closer to knowing it."""
        best, now = int(self.gains.argmax()), len(self.picks)
        if self.measured[best] == now:
            return self._pick(best)
        if self.tight[best] < now:
            return self._tighten(self._top(POOL, best))
        front = self._top(FRONT, best)
        return self._measure(front[self.tight[front] == now])

    def _top(self, size, best):
        """Return points of the highest bounds that are not known exactly."""
        top = np.argpartition(self.gains, -min(size, len(self.gains)))[-size:]
        top[0] = best  # equal bounds may leave it out
        return top[(self.gains[top] >= 0) & (self.measured[top] < len(self.picks))]

    def _pick(self, best):
        self.picks.append(best)
        self.gains[best] = -1
        similar = _products(self.targets, self.points[best : best + 1])[:, 0]
        changed = torch.nonzero(similar > self.covered)[:, 0]
        before, after = self.covered[changed], similar[changed]
        self.changes.append((changed, before, after))
        if len(self.changes) > BEHIND:
            self.changes[-BEHIND - 1] = None  # nobody will ask
        self.n_changed.append(self.n_changed[-1] + len(changed))
        self.covered[changed] = after

    def _measure(self, rows):
        gains = _gains(self.points[rows], self.targets, self.weights, self.covered)
        self.gains[rows], self.slack[rows] = gains, _SLACK * gains
        self.measured[rows] = self.tight[rows] = len(self.picks)

    def _tighten(self, rows):
        """Lower bounds by what the last picks have changed, or measure those far behind."""
        now, counts = len(self.picks), np.array(self.n_changed)
        rows = rows[self.tight[rows] < now]
        behind = counts[now] - counts[self.tight[rows]]
        far = (now - self.tight[rows] > BEHIND) | (behind > self.targets.shape[0])
        if far.any():
            self._measure(rows[far])
        rows = rows[~far]
        for number in range(self.tight[rows].min(initial=now), now):
            part = rows[self.tight[rows] <= number]
            less = _losses(self.points[part], self.targets, self.weights, self.changes[number])
            lower = np.maximum(self.gains[part] - less + self.slack[part], 0)  # -1 is for picks
            self.gains[part] = np.minimum(self.gains[part], lower)
        self.tight[rows] = now


def _losses(points, targets, weights, change):
    """What each point would add no more, now that some targets are covered better."""
    changed, before, after = change
    losses = np.empty(points.shape[0])
    few = targets[changed if torch.is_tensor(targets) else changed.numpy()]
    weights = weights[changed]
    for rows, similar in _blocks(points, few):
        lost = similar.clamp(before, after).sub_(before)
        losses[rows] = (lost @ weights).cpu().numpy()
    return losses


def _gains(points, targets, weights, covered):
    """What each point alone would add, as float64."""
    gains = np.empty(points.shape[0])
    for rows, similar in _blocks(points, targets):
        gains[rows] = (similar.sub_(covered).relu_() @ weights).cpu().numpy()
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
