"""Cover what the model is unsure of."""

import numpy as np
import torch
from scipy.sparse import issparse

from .._devices_and_seeds import own_settings, resolve_device
from ..utils._check_params import check_integer, check_number
from ..utils._matrix import blocks
from ._base import QueryStrategy
from ._greedy_coverage import greedy_coverage
from ._pcoreset import unit_rows
from ._random import generator
from ._uncertainty import margins

_LEAST = 1e-6  # so that samples count even where the model is certain


class UncertaintyHerding(QueryStrategy):
    r"""Spread the labels so that they represent what the model is unsure of.

    Greedy choice of the samples that add most to the uncertainty coverage
    [1]_ of the pool by the labeled set S,

    .. math:: \sum_j (1 - m_j)^\gamma \max_{i \in S}
        \max\left(0, \frac{\langle z_i, z_j \rangle}{\|z_i\| \|z_j\|}\right) ,

    with the features z of the model and the margin m between the two highest
    predicted probabilities. A pick is like many unlabeled samples which the
    model is unsure of and which no label represents yet: unlike `Margin` it
    takes no ten neighbors, unlike `CoreSet` and `PCoreSet` no outliers.

    In the benchmarks it has the best mean rank: ahead of all others on digits,
    MNIST and Banking77, behind random labels on two of three further text
    tasks.

    .. versionadded:: 0.1

    Parameters
    ----------
    power : float >= 0, default=1.0
        The exponent :math:`\gamma` of the doubt. 0 is coverage alone; the larger
        it is, the less a crowd weighs that the model is nearly sure of.
    max_targets : int, default=16384
        The sum runs over at most so many samples of the pool, drawn at random
        where it holds more. All of the pool may be picked.
    random_state : None, int or numpy.random.RandomState, default=None
        Governs that draw, see `Random`; smaller pools need none.
    device : {"auto"}, str or torch.device, default="auto"
        Where similarities are computed.
    missing_label : int, float nan, str or None, default=-1
        The marker of unlabeled rows.

    See Also
    --------
    PCoreSet : Farthest-first in the space of predicted probabilities.
    Margin : The samples of least margin, whatever is like them.

    Notes
    -----
    With `candidates` the sum still runs over the whole pool: what nobody may be
    asked again still wants to be represented.

    The greedy picks are exact. One pass over all pairs of n samples and m
    targets, O(n m d), then only samples that may still be the best are
    measured again. The memory is one float32 copy of the features, one of the
    targets where they are drawn, and blocks of 16 MiB.

    [1]_ adapts the width of a Gaussian kernel and the temperature of the
    predictions from round to round. The cosine needs no width, and the
    predictions of a student with a teacher are smooth from the start.

    References
    ----------
    .. [1] W. Bae, G. L. Oliveira and D. J. Sutherland. "Uncertainty herding:
       one active learning method for all label budgets". ICLR 2025.
       arXiv:2412.20644.

    Examples
    --------
    The model is sure of the first sample; the third is like the second:

    >>> from skactivekd.query import UncertaintyHerding
    >>> proba_pool = [[1.0, 0.0], [0.6, 0.4], [0.5, 0.5], [0.4, 0.6]]
    >>> features_pool = [[1.0, 1.0], [0.1, 1.0], [0.0, 1.0], [-1.0, 0.1]]
    >>> UncertaintyHerding().select(
    ...     proba_pool, features_pool=features_pool, features_labeled=[[1.0, 0.0]], n_instances=2
    ... )
    array([2, 3])
    """

    needs = ("proba_pool", "features_pool", "features_labeled")
    needs_whole_pool = True

    def __init__(
        self,
        *,
        power=1.0,
        max_targets=16384,
        random_state=None,
        device="auto",
        missing_label=-1,
    ):
        self.power = power
        self.max_targets = max_targets
        self.random_state = random_state
        self.device = device
        self.missing_label = missing_label

    @own_settings()
    def _pick(self, views, n_instances):
        check_number(self.power, "power", 0)
        check_integer(self.max_targets, "max_targets", 1)
        proba, features, labeled = views.proba_pool, views.features_pool, views.features_labeled
        doubt = np.concatenate([1 - margins(block) for _, block in blocks(proba)])
        weights = (np.maximum(doubt, _LEAST) ** self.power).astype(np.float32)
        points, centers, weights = unit_rows(features), unit_rows(labeled), torch.tensor(weights)
        if issparse(points):
            points, centers = points.astype(np.float32), centers.astype(np.float32)
        else:
            device = resolve_device(self.device)
            points, centers = (torch.from_numpy(rows).to(device) for rows in (points, centers))
            weights = weights.to(device)
        rows = self._targets(views.n_pool, views.n_labeled)
        targets, weights = points[rows], weights[rows]
        if views.candidates is None:
            return greedy_coverage(points, targets, weights, centers, n_instances)
        points = points[views.candidates]
        return views.candidates[greedy_coverage(points, targets, weights, centers, n_instances)]

    def _targets(self, n_pool, n_labeled):
        """Rows of the pool over which the coverage is summed."""
        if n_pool <= self.max_targets:
            return slice(None)
        rng = generator(self.random_state, n_labeled)
        return np.sort(rng.permutation(n_pool)[: self.max_targets])
