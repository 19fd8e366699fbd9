"""Farthest-first search in which some points count for more than others."""

import numpy as np
import torch

FRONT = 32  # points measured at a time
_BLOCK = 2**22  # products at a time in the first pass


def weighted_farthest_first(points, centers, weights, n_select):
    r"""Pick, one after another, the point of the largest weighted distance.

    .. math:: i_t = \arg\max_i w_i \min_{c \in C \cup \{i_1, \dots, i_{t-1}\}} \|x_i - c\|_2

    A distance only shrinks as picks join the centres. Each point keeps the last
    one measured as an upper bound, and only points whose bound is among the
    highest are measured again: the picks are those of the full search.

    Parameters
    ----------
    points : float tensor of shape (n_points, n_features)
        Candidates.
    centers : float tensor of shape (n_centers, n_features)
        Points that are covered already. Without any, the first pick is measured
        from the mean of `points`, which is no centre afterwards.
    weights : ndarray of shape (n_points,)
        Above zero.
    n_select : int
        Number of picks, at most n_points.

    Returns
    -------
    indices : ndarray of int64 of shape (n_select,)
        Rows of `points` in order of selection. Ties go to the lowest index.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from skactivekd.query._weighted import weighted_farthest_first
    >>> points = torch.tensor([[0.0], [4.0], [6.0]])
    >>> weighted_farthest_first(points, points[:1], np.array([1.0, 1.0, 0.5]), 2)
    array([1, 2])
    """
    picks = []
    if len(centers) == 0:
        keys = weights * _nearest(points, points.mean(dim=0, keepdim=True))
        picks = [int(keys.argmax())]
        centers = points[picks]
    nearest = _nearest(points, centers)
    keys, measured = weights * nearest, np.full(len(points), len(picks))
    keys[picks] = -1
    while len(picks) < n_select:
        best = int(keys.argmax())
        if measured[best] == len(picks):
            picks.append(best)
            keys[best] = -1
            continue
        front = np.argpartition(keys, -min(FRONT, len(keys)))[-FRONT:]
        front = front[(keys[front] >= 0) & (measured[front] < len(picks))]
        latest = picks[measured[front].min() :]
        distances = torch.cdist(
            points[front], points[latest], compute_mode="donot_use_mm_for_euclid_dist"
        )
        nearest[front] = np.minimum(nearest[front], distances.amin(dim=1).cpu().numpy())
        keys[front], measured[front] = weights[front] * nearest[front], len(picks)
    return np.array(picks, dtype=np.int64)


def _nearest(points, centers):
    """Return each point's distance to its nearest centre, as float64."""
    nearest = np.empty(len(points))
    halves = (centers**2).sum(dim=1) / 2
    size = max(1, _BLOCK // max(centers.shape))
    for start in range(0, len(points), size):
        block = points[start : start + size]
        # Products find the centre; the difference measures it, without cancellation.
        closest = centers[(block @ centers.T - halves).argmax(dim=1)]
        nearest[start : start + size] = torch.linalg.vector_norm(block - closest, dim=1).cpu()
    return nearest
