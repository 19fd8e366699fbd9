"""Other ways to run a farthest-first search, and the pass that all of them begin with."""

import numpy as np
import torch

ROWS = 4096


def plain_pass(points, centers):
    """Distances of all rows to their nearest center: one matrix product, in blocks."""
    centers = torch.from_numpy(np.ascontiguousarray(centers))
    norms, nearest = (centers * centers).sum(1), torch.empty(len(points))
    for start in range(0, len(points), ROWS):
        x = torch.from_numpy(points[start : start + ROWS])
        squares = torch.addmm(norms, x, centers.T, alpha=-2).amin(1)
        nearest[start : start + ROWS] = squares + (x * x).sum(1)
    return nearest.clamp_min_(0).sqrt_()


def running_minimum_torch(points, centers, n_select):
    """The tightest loop on torch: half squared distances, one product of a matrix and a row."""
    x, centers = torch.from_numpy(points), torch.from_numpy(centers)
    norms, known = (x * x).sum(1).mul_(0.5), (centers * centers).sum(1).mul_(0.5)
    lowest, total = torch.empty(len(x)), torch.empty(len(x))
    for start in range(0, len(x), ROWS):
        products = torch.addmm(known, x[start : start + ROWS], centers.T, alpha=-1)
        lowest[start : start + ROWS] = products.amin(1)
    picks = np.empty(n_select, np.int64)
    for step in range(n_select):
        torch.add(norms, lowest, out=total)
        picks[step] = at = int(total.argmax())
        torch.mv(x, x[at], out=total)
        torch.sub(norms[at], total, out=total)
        torch.minimum(lowest, total, out=lowest)
        lowest[at] = -torch.inf
    return picks


def running_minimum_numpy(points, centers, n_select):
    """The same on numpy."""
    norms = np.einsum("ij,ij->i", points, points) * np.float32(0.5)
    known = np.einsum("ij,ij->i", centers, centers) * np.float32(0.5)
    lowest, total = np.empty_like(norms), np.empty_like(norms)
    for start in range(0, len(points), ROWS):
        products = points[start : start + ROWS] @ centers.T
        np.subtract(known, products, out=products)
        products.min(1, out=lowest[start : start + ROWS])
    picks = np.empty(n_select, np.int64)
    for step in range(n_select):
        np.add(norms, lowest, out=total)
        picks[step] = at = int(total.argmax())
        np.matmul(points, points[at], out=total)
        np.subtract(norms[at], total, out=total)
        np.minimum(lowest, total, out=lowest)
        lowest[at] = -np.inf
    return picks


def running_minimum_sklearn(points, centers, n_select):
    """The same on scikit-learn's reductions."""
    from sklearn.metrics import pairwise_distances_argmin_min

    nearest = pairwise_distances_argmin_min(points, centers)[1]
    picks = np.empty(n_select, np.int64)
    for step in range(n_select):
        picks[step] = at = int(nearest.argmax())
        fresh = pairwise_distances_argmin_min(points, points[at : at + 1])[1]
        np.minimum(nearest, fresh, out=nearest)
        nearest[at] = -np.inf
    return picks


def skactiveml_core_set(points, centers, n_select):
    """scikit-activeml's CoreSet."""
    from skactiveml.pool import CoreSet

    y = np.full(len(points) + len(centers), np.nan)
    y[len(points) :] = 0
    return CoreSet(random_state=0).query(np.concatenate([points, centers]), y, batch_size=n_select)


def recompute_once(points, centers):
    """One pick of the method that measures all distances again for each."""
    points, centers = torch.from_numpy(points), torch.from_numpy(centers)
    parts = (torch.cdist(part, centers).amin(1) for part in points.split(1000))
    return int(torch.cat(list(parts)).argmax())


def error_against_brute_force(points, centers, picks, distances):
    """Largest difference to the float64 greedy's maximum at each step."""
    x = points.astype(np.float64)
    norms, nearest = np.einsum("ij,ij->i", x, x), np.full(len(x), np.inf)

    def lower(rows):
        for row in rows.astype(np.float64):
            squares = norms - 2 * (x @ row) + row @ row
            close = squares < 1e-6  # too few digits left in the difference of squares
            squares[close] = ((x[close] - row) ** 2).sum(1)
            np.minimum(nearest, squares, out=nearest)

    lower(centers)
    worst = 0.0
    for pick, distance in zip(picks, distances, strict=True):
        worst = max(worst, abs(np.sqrt(nearest.max()) - distance))
        lower(points[pick : pick + 1])
        nearest[pick] = 0.0
    return worst
