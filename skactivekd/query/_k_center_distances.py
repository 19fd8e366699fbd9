"""The centers of a farthest-first search, and distances of rows to the nearest of them.

There are three prices for such a distance. A *screen* ranks the centers in a random sketch of 32
dimensions and measures the distance to the two that rank best: an upper bound, at a tenth of the
price of all distances. `Centers.nearest` is an upper bound from all distances in float32, tight
up to rounding. `Centers.exact_nearest` then measures in float64 those that rounding leaves in
doubt.
"""

import numpy as np
import torch

from ._read_rows import LIMIT, as_float32, refuse_bad_row, to_numpy

SKETCH = 32  # dimensions of the random sketch
GATHER = 128  # rows whose candidates are gathered together
BITS = {"tf32": 11, "bf16": 8}  # of the mantissa, where the user allows less than float32's 24
TINY = 1e-36  # what float32 may lose to underflow


class Centers:
    """Rows that are covered, growing while the search picks.

    Parameters
    ----------
    centers : ndarray or tensor of shape (n_centers, n_features)
    room : int
        Rows there will be in the end.
    dtype : numpy dtype
        float32 if it holds centers and points as they are, or else float64.
    shift : ndarray of shape (n_features,) or None
        The origin of the products in float32.
    device : torch.device
    block : int
        Centers of one matrix product.
    """

    def __init__(self, centers, room, dtype, shift, device, block):
        self.shift, self.device, self.block = shift, device, block
        n_features = centers.shape[1]
        self.count = 0
        self.rows = np.empty((room, n_features), dtype)
        self.basis = _basis(n_features).to(device)
        self.unit = _rounding(n_features, device)
        shared = dtype == np.float32 and shift is None and device.type == "cpu"
        self.fast = torch.from_numpy(self.rows) if shared else self._empty(room, n_features)
        self.norms = self._empty(room)
        self.sketches = self._empty(room, self.basis.shape[1])
        self.sketch_norms = self._empty(room)
        for start in range(0, len(centers), block):
            self.append(to_numpy(centers[start : start + block]))
            if not (self.norms[start : self.count] < LIMIT**2).all():
                refuse_bad_row(centers[start : start + block], "centers", start)

    def _empty(self, *shape):
        return torch.empty(*shape, device=self.device)

    def append(self, rows):
        """Add centers, as they are, after the present ones."""
        where = slice(self.count, self.count + len(rows))
        self.rows[where] = rows
        self.fast[where] = as_float32(self.rows[where], self.shift, self.device)
        self.norms[where] = squared_norms(self.fast[where])
        self.sketches[where] = self.fast[where] @ self.basis
        self.sketch_norms[where] = squared_norms(self.sketches[where])
        self.count = where.stop

    def screening_pays(self):
        """Tell whether a screen is cheaper than all distances by far."""
        return min(self.rows.shape[1], self.count) > 4 * SKETCH

    def screen(self, x, norms, start=0):
        """Bound squared distances to the nearest of centers[start:], from the likeliest two.

        Parameters
        ----------
        x : tensor of float32 of shape (n, n_features)
            Rows, less the shift.
        norms : tensor of float32 of shape (n,)
            Their squared norms.
        start : int, default=0
            The first center that counts.

        Returns
        -------
        bounds : ndarray of float32 of shape (n,)
            No smaller than the squared distances.
        """
        # The sketch's own norms rank close pairs rightly, true norms rows far from every center.
        sketch, bounds = x @ self.basis, np.inf
        for where in self._blocks(start):
            near = self.sketch_norms[where]
            scores = torch.addmm(near, sketch, self.sketches[where].T, alpha=-2)
            best = [_argmin(scores), _argmin(scores.add_(self.norms[where] - near))]
            best = torch.stack(best, 1) + where.start
            total = (norms[:, None] + self.norms[best]) * (1 + self.unit)
            squares = torch.add(total, _paired_products(x, self.fast, best), alpha=-2)
            bounds = np.minimum(bounds, squares.amin(1).cpu().numpy())
        return np.maximum(bounds, 0.0) + TINY

    def nearest(self, x, norms):
        """Bound squared distances to the nearest center, from all; see `screen`."""
        bounds = np.inf
        for where in self._blocks(0):
            high = self.norms[where] * (1 + self.unit)
            squares = torch.addmm(high, x, self.fast[where].T, alpha=-2).amin(1)
            squares.add_(norms, alpha=1 + self.unit)
            bounds = np.minimum(bounds, squares.cpu().numpy())
        return np.maximum(bounds, 0.0) + TINY

    def exact_nearest(self, x, exact, start=0):
        """Squared distances to the nearest of centers[start:].

        Parameters
        ----------
        x : tensor of float32 of shape (n, n_features)
            Rows, less the shift.
        exact : ndarray of float64 of shape (n, n_features)
            The same rows as they are.
        start : int, default=0
            The first center that counts.

        Returns
        -------
        squares : ndarray of float64 of shape (n,)
            Right in float64, and rounded by `coarse`.
        """
        squares = np.full(len(x), np.inf)
        for where in self._blocks(start):
            i, j = _doubtful(x, self.fast[where], self.norms[where], self.unit)
            if len(i) > 8 * len(x):  # float32 cannot tell them apart
                i, j = np.arange(len(x)), self._nearest_in_float64(exact, where)
            gaps = exact[i] - self.rows[where][j]
            np.minimum.at(squares, i, coarse(np.einsum("ij,ij->i", gaps, gaps)))
        return squares

    def _nearest_in_float64(self, exact, where):
        shift = 0.0 if self.shift is None else self.shift
        centers = self.rows[where].astype(np.float64) - shift
        half = np.einsum("ij,ij->i", centers, centers) / 2
        return (half - (exact - shift) @ centers.T).argmin(1)

    def _blocks(self, start):
        for first in range(start, self.count, self.block):
            yield slice(first, min(first + self.block, self.count))


def squared_norms(x):
    """Squared norms of the rows of a tensor."""
    return torch.linalg.vector_norm(x, dim=1).square_()


def coarse(squares):
    """Round to 41 bits, so that equal distances compare equal however they were summed."""
    big = squares * 4097.0
    return big - (big - squares)


def _doubtful(x, centers, norms, unit):
    """Pairs of a row and a center that may be its nearest, given the rounding of the product."""
    low = torch.addmm(norms * (1 - unit), x, centers.T, alpha=-2)
    near = _argmin(low)
    slack = unit * (norms[near] + squared_norms(x)) + TINY
    limit = low.gather(1, near[:, None]) + 2 * slack[:, None]
    return (index.cpu().numpy() for index in (low <= limit).nonzero(as_tuple=True))


def _argmin(scores):
    """Position of the least score of each row; numpy's is several times faster than torch's."""
    if scores.device.type == "cpu":
        return torch.from_numpy(scores.numpy().argmin(1))
    return scores.argmin(1)


def _paired_products(x, centers, best):
    """Products of each row with its own few centers, gathered in pieces that fit the cache."""
    if x.device.type != "cpu":
        return torch.einsum("nd,nkd->nk", x, centers[best])
    products = np.empty(best.shape, np.float32)
    x, centers, best = x.numpy(), centers.numpy(), best.numpy()
    for start in range(0, len(x), GATHER):
        part = slice(start, start + GATHER)
        np.einsum("nd,nkd->nk", x[part], centers[best[part]], out=products[part])
    return torch.from_numpy(products)


def _basis(n_features):
    """Orthonormal columns that span a random subspace: products in it never gain length."""
    if n_features <= SKETCH:
        return torch.eye(n_features)
    normal = np.random.default_rng(0).standard_normal((n_features, SKETCH), dtype=np.float32)
    return torch.linalg.qr(torch.from_numpy(normal))[0]


def _rounding(n_features, device):
    """Bound the relative rounding error of a squared distance by matrix product."""
    backend = torch.backends.cuda if device.type == "cuda" else torch.backends.mkldnn
    bits = BITS.get(backend.matmul.fp32_precision, 24)
    return 2.0**-bits * (n_features + 16)
