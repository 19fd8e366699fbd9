"""The rows of a farthest-first search, or of one worker's part of it, with their bounds."""

from collections import namedtuple

import numpy as np
import torch

from .._devices_and_seeds import threads_apart
from ._k_center_distances import Centers, squared_norms
from ._read_rows import LIMIT, as_float32, origin, refuse_bad_row, take, to_float64, to_numpy

FRONT = 256  # rows settled together
POOL = 4096  # rows screened together
BLOCK = 2048  # rows, and centers, of one matrix product

Front = namedtuple("Front", "index squares rows limit first")
Front.__doc__ = """The farthest rows of a shard, and what the others could be.

Attributes
----------
index : ndarray of int64 of shape (n,)
    Numbers of the rows, counted over all shards.
squares : ndarray of float64 of shape (n,)
    Their squared distances to the nearest center.
rows : ndarray of shape (n, n_features)
    The rows as they are.
limit : float
    No row that is not in the front has a larger squared distance.
first : int
    No row that has the limit comes before this one.
"""


class Shard:
    """Upper bounds of squared distances, refreshed only where a row could be the next pick.

    A distance to the nearest center can only shrink, so what was once true of a row bounds it
    from above for good. Most rows are covered by one screen (see `Centers`); a row is settled,
    that is measured against all centers, when its bound says that it may be the farthest.

    Parameters
    ----------
    points : ndarray or tensor of shape (n_points, n_features)
    centers : ndarray or tensor of shape (n_centers, n_features)
    room : int
        Centers there will be in the end.
    dtype : numpy dtype
        See `Centers`.
    device : torch.device
    block : int, default=None
        Rows and centers of one matrix product; None is 2048.
    offset : int, default=0
        Number of the first row.
    taken : sequence of int, default=()
        Rows, numbered from `offset`, that are picked already.
    """

    def __init__(self, points, centers, room, dtype, device, *, block=None, offset=0, taken=()):
        self.points, self.device, self.offset = points, device, offset
        self.block = block or BLOCK
        self.shift = origin(points)
        self.centers = Centers(centers, room, dtype, self.shift, device, self.block)
        n = len(points)
        self.bound = np.full(n, np.inf)
        self.norm = np.empty(n, np.float32)
        self.settled = np.zeros(n, np.int32)  # centers a row has been settled against
        self.screened = np.zeros(n, np.int32)  # centers a row has been screened against
        self.exact = np.zeros(n, bool)  # the bound is the distance to centers[:settled]
        self.pool = None
        self._first_pass()
        self.bound[np.asarray(taken, np.int64) - offset] = -1.0

    def _first_pass(self):
        """Bound every row by a screen or, where that saves nothing, by all distances."""
        bound = self.centers.screen if self.centers.screening_pays() else self.centers.nearest

        @torch.no_grad()  # a setting of the thread
        def bound_block(start):
            where = slice(start, start + self.block)
            x = self._load(where)
            norms = squared_norms(x)
            self.norm[where] = norms.cpu().numpy()
            if not (self.norm[where] < LIMIT**2).all():
                refuse_bad_row(self.points[where], "points", self.offset + start)
            self.bound[where] = bound(x, norms)

        with threads_apart(self.device) as run:
            run(bound_block, range(0, len(self.points), self.block))
        self.screened[:] = self.centers.count

    def front(self, n_wanted):
        """Settle rows until the farthest is among them.

        Parameters
        ----------
        n_wanted : int
            Picks still to be made.

        Returns
        -------
        front : Front
        """
        size = min(FRONT, max(32, 4 * n_wanted))
        while True:
            if self.pool is None:
                self.pool, *self.outside = top(self.bound, POOL)
                self._screen(self.pool)
            index, limit, first = self._top_of_pool(size)
            if index is None:
                self.pool = None
                continue
            self._screen(index)
            index = index[self.bound[index] >= max(limit, 0.0)]  # below zero: picked already
            rows = to_numpy(take(self.points, index))
            if len(index):
                self._settle(index, rows)
            able = self.bound[index] >= limit
            index = index[able]
            if limit < 0 or _farthest(self.bound, index) >= (limit, -first):
                squares = self.bound[index]
                return Front(index + self.offset, squares, rows[able], limit, first + self.offset)

    def _top_of_pool(self, size):
        """Return rows with the highest bounds, the limit of all others, and who has it first.

        None for the rows means that one outside the pool may be farther than all in it.
        """
        position, limit, first = top(self.bound[self.pool], size)
        index, outside = self.pool[position], (self.outside[0], -self.outside[1])
        if _farthest(self.bound, index) < outside:
            return None, None, None
        first = self.pool[first] if first < len(self.pool) else len(self.points)
        limit, first = max((limit, -first), outside)
        return index, limit, -first

    def advance(self, index, squares, rows):
        """Take note of new centers.

        Parameters
        ----------
        index : ndarray of int64 of shape (n,)
            Rows of the last front, numbered as in it.
        squares : ndarray of float64 of shape (n,)
            Their squared distances after the picks; below zero where picked.
        rows : ndarray of shape (n_new, n_features)
            The new centers.
        """
        index = index - self.offset
        self.centers.append(rows)
        self.bound[index] = squares
        self.settled[index] = self.screened[index] = self.centers.count

    def _screen(self, index):
        """Lower the bounds of rows by the centers that came since their last screen."""
        index = index[self.screened[index] < self.centers.count]
        for start in range(0, len(index), self.block):
            part = index[start : start + self.block]
            norms = as_float32(self.norm[part], None, self.device)
            bounds = self.centers.screen(self._load(part), norms, self.screened[part].min())
            lower = bounds < self.bound[part]
            self.bound[part[lower]] = bounds[lower]
            self.exact[part[lower]] = False
        self.screened[index] = self.centers.count

    def _settle(self, index, rows):
        """Make the bounds of rows their distances to the nearest of all centers."""
        x, exact = as_float32(rows, self.shift, self.device), to_float64(rows)
        squares = np.where(self.exact[index], self.bound[index], np.inf)
        first = self.settled[index] == 0
        for group in (np.flatnonzero(first), np.flatnonzero(~first)):
            if len(group):
                start = self.settled[index[group]].min()
                fresh = self.centers.exact_nearest(x[group], exact[group], start)
                squares[group] = np.minimum(squares[group], fresh)
        self.bound[index] = squares
        self.settled[index] = self.centers.count
        self.exact[index] = True

    def _load(self, index):
        return as_float32(take(self.points, index), self.shift, self.device)


def _farthest(bound, index):
    """Return the highest bound of some rows, and the first row that has it, negated."""
    if not len(index):
        return -np.inf, 0
    best = bound[index].argmax()
    return bound[index[best]], -index[best]


def top(values, size):
    """Find the largest values, the first ones among equals.

    Parameters
    ----------
    values : ndarray of float64 of shape (n,)
    size : int

    Returns
    -------
    position : ndarray of int64 of shape (min(size, n),)
        In ascending order.
    limit : float
        The largest value left out; -1 where none is.
    first : int
        Position of the first of these; n where there is none.
    """
    n = len(values)
    if size >= n:
        return np.arange(n), -1.0, n
    least = np.partition(values, n - size)[n - size]
    above = np.flatnonzero(values > least)
    equal = np.flatnonzero(values == least)
    spare = size - len(above)
    position = np.sort(np.concatenate([above, equal[:spare]]))
    if spare < len(equal):
        return position, float(least), int(equal[spare])
    below = np.where(values < least, values, -np.inf)
    return position, float(below.max()), int(below.argmax())
