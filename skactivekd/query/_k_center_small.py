"""Farthest-first search by running minima, for searches too small to gain from laziness."""

import math

import numpy as np
from scipy.sparse import csr_array, issparse

from ._read_rows import LIMIT, refuse_bad_row, to_numpy

CELLS = 2**19  # products at a time in the first pass
TINY = 2**15  # cells that are quickly copied
MANY = 50  # picks that make up for the copy
EPS = {dtype: np.finfo(dtype).eps for dtype in (np.float32, np.float64)}
FLOOR = 4e-4  # of the scale times the width; below, float32 has too few digits left


def running_minimum(points, centers, n_select, taken=()):
    """Pick by keeping the distance of every point to its nearest center.

    Parameters
    ----------
    points : ndarray or tensor of shape (n_points, n_features)
    centers : ndarray or tensor of shape (n_centers, n_features)
    n_select : int
    taken : sequence of int, default=()
        Points that are picked already, and centers.

    Returns
    -------
    index : ndarray of int64 of shape (n_select,)
    squares : ndarray of float64 of shape (n_select,)
        Those of the search in float64, up to rounding.
    """
    run = _Run(to_numpy(points), to_numpy(centers), n_select, taken)
    if run.points.dtype == np.float32:
        run.go(np.float32)
    if len(run.picks) < n_select:
        run.go(np.float64)
    halves = np.array(run.halves, dtype=np.float64)
    return np.array(run.picks, dtype=np.int64), 2 * np.maximum(halves, 0.0)


def sparse_running_minimum(points, centers, n_select, taken=()):
    """Do the same among the rows of a CSR matrix, in float64 and without an origin.

    Parameters
    ----------
    points : CSR matrix of shape (n_points, n_features)
    centers : CSR matrix or ndarray of shape (n_centers, n_features)
    n_select : int
    taken : sequence of int, default=()
        Points that are picked already, and centers.

    Returns
    -------
    index : ndarray of int64 of shape (n_select,)
    squares : ndarray of float64 of shape (n_select,)
    """
    if not issparse(centers):
        centers = csr_array(to_numpy(centers))
    run = _SparseRun(points.astype(np.float64), centers.astype(np.float64), n_select, taken)
    run.go(np.float64)
    halves = np.array(run.halves, dtype=np.float64)
    return np.array(run.picks, dtype=np.int64), 2 * np.maximum(halves, 0.0)


class _Run:
    """One search: the picks so far, and half the squared distance of each when it was picked."""

    def __init__(self, points, centers, n_select, taken):
        self.points, self.centers, self.n_select = points, centers, n_select
        self.taken, self.picks, self.halves = list(taken), [], []

    def go(self, dtype):
        """Extend the picks; in float32, while its digits suffice."""
        with np.errstate(over="ignore", invalid="ignore"):
            x, centers = self._load(dtype)
            norms, others = self._norms(x), self._norms(centers)
            nearest = _first_pass(x, norms, centers, others)
            scale = float(np.maximum(norms.max(), others.max()))
        if not scale < LIMIT**2:
            refuse_bad_row(self.points, "points")
            refuse_bad_row(self.centers, "centers")
        if done := self.taken + self.picks:
            nearest[done] = -np.inf
        floor = FLOOR * x.shape[1] * scale if dtype == np.float32 else -np.inf
        slack = EPS[dtype] * (2 + math.sqrt(x.shape[1])) * scale
        fresh, measure = np.empty_like(nearest), self._measure(x, norms)
        while True:
            at = int(nearest.argmax())
            best = nearest[at]
            nearest[at] = -np.inf  # never picked again
            if nearest[nearest.argmax()] >= best - slack:
                nearest[at] = best
                at = int((nearest >= best - slack).argmax())  # the first of equals
                best, nearest[at] = nearest[at], -np.inf
            if best < floor:
                return
            self.picks.append(at)
            self.halves.append(best if best > slack else 0.0)
            if len(self.picks) == self.n_select:
                return
            measure(at, fresh)
            np.minimum(nearest, fresh, out=nearest)

    def _load(self, dtype):
        """Return points and centers so far; in float64 less an origin that keeps their digits."""
        centers = self.centers
        if self.picks:
            centers = np.concatenate([centers, self.points[self.picks]])
        if dtype == np.float32:
            return self.points, centers.astype(dtype, copy=False)
        shift = self.points.mean(0, dtype=dtype)
        return self.points - shift, centers - shift

    def _norms(self, x):
        return np.einsum("ij,ij->i", x, x) / 2

    def _measure(self, x, norms):
        return _measure(x, norms, self.n_select)


class _SparseRun(_Run):
    """The same for CSR matrices, which no origin would leave sparse."""

    def _load(self, dtype):
        return self.points, self.centers

    def _norms(self, x):
        rows = np.repeat(np.arange(x.shape[0]), np.diff(x.indptr))
        return np.bincount(rows, x.data**2, minlength=x.shape[0]) / 2

    def _measure(self, x, norms):
        row = np.zeros(x.shape[1])

        def by_steps(at, out):
            part = slice(x.indptr[at], x.indptr[at + 1])
            row[x.indices[part]] = x.data[part]
            np.subtract(norms, x @ row, out=out)
            np.add(out, norms[at], out=out)
            row[x.indices[part]] = 0

        return by_steps


def _measure(x, norms, n_times):
    """Return a function that writes half the squared distances to one row."""

    def by_steps(at, out):
        np.dot(x, x[at], out=out)
        np.subtract(norms, out, out=out)
        np.add(out, norms[at], out=out)

    def at_once(at, out):
        np.dot(left, right[at], out=out)

    if x.size > TINY or n_times < MANY:
        return by_steps
    ones = np.ones_like(norms)
    left, right = np.column_stack([-x, norms, ones]), np.column_stack([x, ones, norms])
    return at_once


def _first_pass(x, norms, centers, others):
    """Return half the squared distances to the nearest center, from half the squared norms."""
    nearest = np.empty_like(norms)
    step = max(1, CELLS // len(others))
    for start in range(0, len(norms), step):
        part = slice(start, start + step)
        products = x[part] @ centers.T
        products = products.toarray() if issparse(products) else products
        np.subtract(others, products, out=products).min(1, out=nearest[part])
    nearest += norms
    return nearest
