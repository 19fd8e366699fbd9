"""BADGE: k-means++ seeding among gradients that are never written out."""

import numpy as np
import torch
from scipy.sparse import issparse

from .._devices_and_seeds import own_settings, resolve_device
from ..utils._matrix import blocks
from ._base import QueryStrategy
from ._random import generator

_BLOCK_ELEMENTS = 2**22  # 16 MiB of float32
_CANCELLED = 1e-2  # squared distances this small, relative to the squares, are worked out anew


class Badge(QueryStrategy):
    r"""Take samples whose gradients are long and unlike one another.

    The gradient embedding of a sample is the gradient of the cross-entropy at
    the last, linear layer, were the most probable class true [1]_:

    .. math:: g = (p - e_{\hat y}) \otimes z, \qquad \hat y = \arg\max_c p_c ,

    with the predicted probabilities :math:`p`, the features :math:`z` and the
    unit vector :math:`e`. The batch is a k-means++ seeding [2]_ among them:
    each pick is drawn with probability in proportion to :math:`D^2`, the
    squared distance of its gradient to the nearest one picked before. The
    first pick is the longest gradient, as in the code of the authors of [1]_.

    .. versionadded:: 0.1

    Parameters
    ----------
    random_state : None, int or numpy.random.RandomState, default=None
        With an int the same call returns the same picks. None and a
        RandomState draw anew at each call; None never touches numpy's global
        generator.
    device : {"auto"}, str or torch.device, default="auto"
        Where inner products are computed.
    missing_label : int, float nan, str or None, default=-1
        The marker of unlabeled rows.

    See Also
    --------
    CoreSet : Spread over the features, whatever the model is unsure of.

    Notes
    -----
    The gradients of n samples have n_classes * n_features columns and are not
    formed: from :math:`a = p - e_{\hat y}` follows :math:`\langle g_i, g_j
    \rangle = \langle a_i, a_j \rangle \langle z_i, z_j \rangle`, so that one
    pick costs O(n * (n_classes + n_features)). The memory is one float32 copy
    of the probabilities and one of the features. Distances that cancel to
    little or nothing are worked out from differences instead: samples with
    equal predictions and features are at distance zero exactly.

    A sample is never picked twice. When no gradient is left that differs from
    all picks, the rest is drawn uniformly.

    The experiments of arXiv:2506.00910 call another rule BADGE: gradients
    scaled to unit length, in farthest-first order. Lengths, by which BADGE
    sees uncertainty, play no part in it. This is the published BADGE.

    References
    ----------
    .. [1] J. T. Ash, C. Zhang, A. Krishnamurthy, J. Langford and A. Agarwal.
       "Deep batch active learning by diverse, uncertain gradient lower
       bounds". ICLR 2020. arXiv:1906.03671.
    .. [2] D. Arthur and S. Vassilvitskii. "k-means++: the advantages of
       careful seeding". SODA 2007.

    Examples
    --------
    >>> from skactivekd.query import Badge
    >>> proba_pool = [[0.9, 0.1], [0.5, 0.5], [0.9, 0.1], [1.0, 0.0]]
    >>> features_pool = [[1.0, 0.0], [0.0, 2.0], [1.0, 0.0], [0.0, 1.0]]
    >>> badge = Badge(random_state=0)
    >>> picks = badge.select(proba_pool, features_pool=features_pool, n_instances=4)
    >>> int(picks[0]), sorted(picks.tolist())
    (1, [0, 1, 2, 3])
    """

    needs = ("proba_pool", "features_pool")

    def __init__(self, *, random_state=None, device="auto", missing_label=-1):
        self.random_state = random_state
        self.device = device
        self.missing_label = missing_label

    @own_settings()
    def _pick(self, views, n_instances):
        device = resolve_device(self.device)
        gradients = _Gradients(views.proba_pool, views.features_pool, device)
        return _seed(gradients, n_instances, generator(self.random_state))


def _seed(gradients, n_instances, rng):
    """Draw rows as k-means++ draws its seeds; see `Badge`."""
    weights = gradients.squares.copy()
    picks = np.empty(n_instances, dtype=np.int64)
    free = np.ones(len(weights), dtype=bool)
    for step in range(n_instances):
        total = weights.sum()
        if total == 0:
            picks[step:] = rng.permutation(np.flatnonzero(free))[: n_instances - step]
            break
        last = rng.choice(len(weights), p=weights / total) if step else int(weights.argmax())
        picks[step], free[last] = last, False
        distances = gradients.squared_distances(last)
        weights = np.minimum(weights, distances) if step else distances
        weights[last] = 0
    return picks


class _Gradients:
    """Outer products of rows, known by their two factors."""

    def __init__(self, proba, features, device):
        # Against overflow; D^2 sampling does not see the scale, and a power of two rounds nothing.
        parts = [features.data] if issparse(features) else (part for _, part in blocks(features))
        largest = max(abs(part).max(initial=0.0) for part in parts)
        scale = 2.0 ** np.frexp(largest)[1].clip(-1022, 1022)
        self.errors, error_squares = _copy(proba, device, _minus_one_at_the_top)
        make = _SparseRows if issparse(features) else _Rows
        self.features = make(features, device, scale)
        feature_squares = self.features.squares
        self.squares = error_squares * feature_squares

    def squared_distances(self, row):
        """Return the squared distance of every row to one of them, as float64."""
        inner = _float64(self.errors @ self.errors[row])
        inner *= self.features.products(row)
        bound = self.squares + self.squares[row]
        distances = bound - 2 * inner
        close = np.flatnonzero(distances < _CANCELLED * bound)
        size = max(1, _BLOCK_ELEMENTS // (self.errors.shape[1] + self.features.width))
        for start in range(0, len(close), size):
            rows = close[start : start + size]
            distances[rows] = self._close_distances(rows, row)
        return np.maximum(distances, 0)

    def _close_distances(self, rows, row):
        # a (x) z - b (x) y = a (x) (z - y) + (a - b) (x) y: small where the factors are close.
        index = torch.from_numpy(rows).to(self.errors.device)
        errors, feature = self.errors[index], self.features.take([row])[0]
        d_errors, d_features = errors - self.errors[row], self.features.take(rows) - feature
        return _float64(
            (errors**2).sum(1) * (d_features**2).sum(1)
            + (d_errors**2).sum(1) * (feature**2).sum()
            + 2 * (errors * d_errors).sum(1) * (d_features @ feature)
        )


class _Rows:
    """Features, divided by a scale, with the squares of their lengths."""

    def __init__(self, features, device, scale):
        self.rows, self.squares = _copy(features, device, lambda block: block / scale)
        self.width = self.rows.shape[1]

    def products(self, row):
        """Return the inner products with one of them."""
        return _float64(self.rows @ self.rows[row])

    def take(self, rows):
        """Return some of them as a dense tensor."""
        return self.rows[torch.as_tensor(rows, device=self.rows.device)]


class _SparseRows:
    """The same of a CSR matrix; only what is taken is made dense."""

    def __init__(self, features, device, scale):
        self.rows, self.device = (features.astype(np.float64) / scale).tocsr(), device
        self.squares = np.asarray(self.rows.multiply(self.rows).sum(axis=1)).ravel()
        self.rows, self.width = self.rows.astype(np.float32), features.shape[1]

    def products(self, row):
        """Return the inner products with one of them."""
        return (self.rows @ self.rows[[row]].toarray()[0]).astype(np.float64)

    def take(self, rows):
        """Return some of them as a dense tensor."""
        return torch.from_numpy(self.rows[rows].toarray()).to(self.device)


def _copy(values, device, change):
    """Return rows, changed, as a float32 tensor, and the squares of their lengths."""
    rows_ = torch.empty(tuple(values.shape), dtype=torch.float32, device=device)
    squares = np.empty(len(values))
    for rows, block in blocks(values):
        block = change(block)
        rows_[rows] = torch.from_numpy(block.astype(np.float32))
        squares[rows] = np.einsum("ij,ij->i", block, block)
    return rows_, squares


def _minus_one_at_the_top(proba):
    errors = proba.copy()
    errors[np.arange(len(proba)), proba.argmax(axis=1)] -= 1
    return errors


def _float64(values):
    return values.cpu().numpy().astype(np.float64)
