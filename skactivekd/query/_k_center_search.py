"""The picks of a farthest-first search, from the fronts of its shards."""

import numpy as np
import torch

from ._k_center_distances import coarse

CLOSE = 1e-2  # of the norms; below, a difference of products has too few digits


def farthest_first(shards, n_select):
    """Pick the farthest row, make it a center, and so on.

    Parameters
    ----------
    shards : object
        ``fronts(n_wanted)`` returns the `Front` of each shard;
        ``advance(updates, rows)`` hands each its own ``(index, squares)``, and
        to all the new centers.
    n_select : int
        Picks to make; there are as many rows.

    Returns
    -------
    index : ndarray of int64 of shape (n_select,)
        In order of selection.
    squares : ndarray of float64 of shape (n_select,)
        Squared distance of each pick to the nearest center when it was picked.
    """
    index, squares = [], []
    while len(index) < n_select:
        n_wanted = n_select - len(index)
        fronts = shards.fronts(n_wanted)
        limit, first = max((front.limit, -front.first) for front in fronts)
        able = [front.squares >= limit for front in fronts]
        fresh = np.concatenate([front.rows[mask] for front, mask in zip(fronts, able, strict=True)])
        names = [front.index[mask] for front, mask in zip(fronts, able, strict=True)]
        values = [front.squares[mask] for front, mask in zip(fronts, able, strict=True)]
        named, after = np.concatenate(names), np.concatenate(values)
        picks, taken = pick(named, after, fresh.astype(np.float64), (limit, first), n_wanted)
        index.extend(named[picks])
        squares.extend(taken)
        cuts = np.cumsum([len(part) for part in names])[:-1]
        updates = list(zip(names, np.split(after, cuts), strict=True))
        shards.advance(updates, fresh[picks])
    return np.array(index, dtype=np.int64), np.array(squares)


def pick(index, squares, rows, limit, n_wanted):
    """Pick the farthest of some rows while it beats every other row.

    Parameters
    ----------
    index : ndarray of int64 of shape (n,)
        Numbers of the rows.
    squares : ndarray of float64 of shape (n,)
        Their squared distances to the nearest center; changed to those after
        the picks, -1 for the picks themselves.
    rows : ndarray of float64 of shape (n, n_features)
    limit : (float, int)
        Largest squared distance that another row may have, and the negated
        number of the first row that may have it.
    n_wanted : int
        Most picks to make.

    Returns
    -------
    picks : list of int
        Positions in order of selection.
    taken : list of float
        Their squared distances when they were picked.
    """
    picks, taken = [], []
    x = torch.from_numpy(rows)
    products = (x @ x.T).numpy()  # not numpy's threads, which would wait for torch's
    norms = products.diagonal()
    while len(index) and len(picks) < n_wanted:
        best = squares.argmax()
        if squares[best] < 0 or (squares[best], -index[best]) < limit:
            break
        picks.append(best)
        taken.append(squares[best])
        total = norms + norms[best]
        fresh = total - 2 * products[best]
        close = fresh < CLOSE * total
        gaps = rows[close] - rows[best]
        fresh[close] = np.einsum("ij,ij->i", gaps, gaps)
        np.minimum(squares, coarse(fresh), out=squares)
        squares[picks] = -1.0
    return picks, taken


class OneShard:
    """A shard in this process, as `farthest_first` wants them."""

    def __init__(self, shard):
        self.shard = shard

    def fronts(self, n_wanted):
        """Return its front."""
        return [self.shard.front(n_wanted)]

    def advance(self, updates, rows):
        """Hand it its update and the new centers."""
        self.shard.advance(*updates[0], rows)
