"""Farthest-first strategies, and the random baseline."""

import numpy as np
from scipy.sparse import csr_array, issparse

from .._rows import n_rows
from ..utils._matrix import blocks
from ..utils._params import check_choice
from ._base import QueryStrategy
from ._checks import check_finite, check_labeled, check_n_instances
from ._draw import generator
from ._embedding import embed
from ._k_center import k_center_greedy
from ._proba import ProbaStrategy


class PCoreSet(ProbaStrategy):
    """Spread the labels over the space of predicted probabilities.

    Greedy farthest-first traversal: each pick is the sample whose predicted
    probabilities lie farthest, in Euclidean distance, from those of every
    labelled sample and of the picks before it [1]_. A student that learns from
    a teacher inherits the clusters of the teacher's predictions; this labels
    the clusters that have no label yet.

    .. versionadded:: 0.1

    Parameters
    ----------
    device : {"auto"}, str or torch.device, default="auto"
        Where distances are computed, see `k_center_greedy`.
    missing_label : int, float nan, str or None, default=-1
        The marker of unlabelled rows.

    See Also
    --------
    CoreSet : The same rule in feature space.
    k_center_greedy : The rule itself.

    Notes
    -----
    Ask the student, not the teacher, for the probabilities. With no labels
    yet, the first pick is the prediction farthest from the mean prediction.

    References
    ----------
    .. [1] "PCoreSet: Effective Active Learning through Knowledge Distillation
       from Vision-Language Models". 2025. arXiv:2506.00910.

    Examples
    --------
    >>> from skactivekd.query import PCoreSet
    >>> proba_pool = [[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]]
    >>> PCoreSet().select(proba_pool, [[1.0, 0.0]], n_instances=2)
    array([2, 1])
    """

    def __init__(self, *, device="auto", missing_label=-1):
        self.device = device
        self.missing_label = missing_label

    def _pick(self, pool, labeled, n_instances):
        return k_center_greedy(pool, labeled, n_instances, device=self.device)[0]


class CoreSet(QueryStrategy):
    """Spread the labels over the feature space of the model.

    Greedy farthest-first traversal over the features of the estimator [1]_:
    its ``embed`` if it has one (inside a pipeline as well), or else the input
    of its last step.

    .. versionadded:: 0.1

    Parameters
    ----------
    metric : {"cosine", "euclidean"}, default="cosine"
        "cosine" scales rows to unit length and takes Euclidean distances,
        which orders them as 1 - cos does. A row of zeros, which has no
        direction, stays at the origin.
    device : {"auto"}, str or torch.device, default="auto"
        Where distances are computed, see `k_center_greedy`.
    missing_label : int, float nan, str or None, default=-1
        The marker of unlabelled rows.

    See Also
    --------
    PCoreSet : The same rule in probability space.

    References
    ----------
    .. [1] O. Sener and S. Savarese. "Active learning for convolutional neural
       networks: a core-set approach". ICLR 2018. arXiv:1708.00489.

    Examples
    --------
    >>> from skactivekd.query import CoreSet
    >>> features_pool = [[2.0, 0.1], [0.0, 3.0], [1.0, 1.0]]
    >>> CoreSet().select(features_pool, [[1.0, 0.0]], n_instances=2)
    array([1, 2])
    """

    def __init__(self, *, metric="cosine", device="auto", missing_label=-1):
        self.metric = metric
        self.device = device
        self.missing_label = missing_label

    def select(self, features_pool, features_labeled=None, n_instances=1):
        """Choose rows of a matrix of features.

        Parameters
        ----------
        features_pool : array-like, tensor or sparse matrix of shape (n_pool, n_features)
            Features of the samples to choose from.
        features_labeled : same, of shape (n_labeled, n_features), default=None
            Features of the labelled samples. None: no sample is labelled yet.
        n_instances : int, default=1
            Samples to choose.

        Returns
        -------
        indices : ndarray of int64 of shape (n_instances,)
            Rows of `features_pool` in order of selection; ties go to the lowest.

        Warns
        -----
        UserWarning
            If `n_instances` exceeds n_pool: the whole pool is returned.

        Raises
        ------
        ValueError
            If the pool is empty, a row is not finite (it is named), the two
            matrices differ in width, or `metric` is unknown.
        """
        check_choice(self.metric, "metric", ("cosine", "euclidean"))
        pool = check_finite(features_pool, "features_pool")
        labeled = check_labeled(features_labeled, pool)
        n_instances = check_n_instances(n_instances, pool.shape[0])
        if self.metric == "cosine":
            pool, labeled = unit_rows(pool), unit_rows(labeled)
        return k_center_greedy(pool, labeled, n_instances, device=self.device)[0]

    def _view(self, model, X):
        return embed(model, X)


class Random(QueryStrategy):
    """Take samples at random: the baseline every strategy has to beat.

    .. versionadded:: 0.1

    Parameters
    ----------
    random_state : None, int or numpy.random.RandomState, default=None
        With an int, picks depend on it and on the number of labelled samples:
        the same call returns the same picks, the next round others. None and a
        RandomState draw anew at each call; None never touches numpy's global
        generator.
    missing_label : int, float nan, str or None, default=-1
        The marker of unlabelled rows.

    See Also
    --------
    UncertaintyHerding : The strategy to compare with it first.

    Examples
    --------
    >>> from skactivekd.query import Random
    >>> indices = Random(random_state=0).select(range(100), n_instances=3)
    >>> len(set(indices.tolist()))
    3
    """

    def __init__(self, *, random_state=None, missing_label=-1):
        self.random_state = random_state
        self.missing_label = missing_label

    def select(self, pool, labeled=None, n_instances=1):
        """Choose rows of the pool.

        Parameters
        ----------
        pool : array-like of n_pool rows
            Samples to choose from; only their number matters.
        labeled : array-like of n_labeled rows, default=None
            Labelled samples; only their number matters.
        n_instances : int, default=1
            Samples to choose.

        Returns
        -------
        indices : ndarray of int64 of shape (n_instances,)
            Rows of `pool` in order of selection.

        Warns
        -----
        UserWarning
            If `n_instances` exceeds n_pool: the whole pool is returned.

        Raises
        ------
        ValueError
            If the pool is empty or `n_instances` is below 1.
        """
        n_instances = check_n_instances(n_instances, n_rows(pool, "pool"))
        rng = generator(self.random_state, 0 if labeled is None else n_rows(labeled))
        return rng.permutation(n_rows(pool))[:n_instances]

    def _view(self, model, X):
        return X

    def _training(self, learner):
        # Only the number of labels matters: those of one member tell the rounds apart.
        members = getattr(learner, "learner_list", None)
        return super()._training(members[0] if members else learner)


def unit_rows(features):
    """Scale rows to unit Euclidean length, as float32; rows of zeros stay.

    A CSR matrix remains one, of float64: many of its rows share no column, and have to be
    equally far from one another up to less than float32's rounding.
    """
    if issparse(features):
        rows = np.repeat(np.arange(features.shape[0]), np.diff(features.indptr))
        values = features.data.astype(np.float64)
        for size in (_largest, _lengths):
            values = values / size(rows, values, features.shape[0])[rows]
        return csr_array((values, features.indices, features.indptr), shape=features.shape)
    unit = np.empty(tuple(features.shape), dtype=np.float32)
    for rows, block in blocks(features):
        block = block / np.maximum(abs(block).max(axis=1, keepdims=True), np.finfo(float).tiny)
        norms = np.linalg.norm(block, axis=1, keepdims=True)
        unit[rows] = block / np.where(norms == 0, 1, norms)
    return unit


def _largest(rows, values, n):
    """Largest magnitude of each row of a sparse matrix, above zero."""
    largest = np.full(n, np.finfo(float).tiny)
    np.maximum.at(largest, rows, abs(values))
    return largest


def _lengths(rows, values, n):
    """Length of each row of a sparse matrix, 1 where it is zero."""
    lengths = np.sqrt(np.bincount(rows, values**2, minlength=n))
    return np.where(lengths == 0, 1, lengths)
