"""Farthest-first strategies: PCoreSet among probabilities, CoreSet among features."""

import numpy as np
from scipy.sparse import csr_array, issparse

from ..utils._check_params import check_choice
from ..utils._matrix import blocks
from ._base import QueryStrategy
from ._k_center import k_center_greedy


class PCoreSet(QueryStrategy):
    """Spread the labels over the space of predicted probabilities.

    Greedy farthest-first traversal: each pick is the sample whose predicted
    probabilities lie farthest, in Euclidean distance, from those of every
    labeled sample and of the picks before it [1]_. A student that learns from
    a teacher inherits the clusters of the teacher's predictions; this labels
    the clusters that have no label yet.

    .. versionadded:: 0.1

    Parameters
    ----------
    device : {"auto"}, str or torch.device, default="auto"
        Where distances are computed, see `k_center_greedy`.
    missing_label : int, float nan, str or None, default=-1
        The marker of unlabeled rows.

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

    needs = ("proba_pool", "proba_labeled")

    def __init__(self, *, device="auto", missing_label=-1):
        self.device = device
        self.missing_label = missing_label

    def _pick(self, views, n_instances):
        pool, labeled = views.proba_pool, views.proba_labeled
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
        direction, stays at the origin. Half floats of unit length, such as
        a memory map of `read_embeddings`, are not copied for it.
    device : {"auto"}, str or torch.device, default="auto"
        Where distances are computed, see `k_center_greedy`.
    missing_label : int, float nan, str or None, default=-1
        The marker of unlabeled rows.

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
    >>> labeled = [[1.0, 0.0]]
    >>> CoreSet().select(features_pool=features_pool, features_labeled=labeled, n_instances=2)
    array([1, 2])
    """

    needs = ("features_pool", "features_labeled")

    def __init__(self, *, metric="cosine", device="auto", missing_label=-1):
        self.metric = metric
        self.device = device
        self.missing_label = missing_label

    def _pick(self, views, n_instances):
        check_choice(self.metric, "metric", ("cosine", "euclidean"))
        pool, labeled = views.features_pool, views.features_labeled
        if self.metric == "cosine":
            pool, labeled = (
                rows if _are_unit(rows) else unit_rows(rows) for rows in (pool, labeled)
            )
        return k_center_greedy(pool, labeled, n_instances, device=self.device)[0]


def _are_unit(features):
    """Tell half floats whose rows have unit length up to their own rounding."""
    if not isinstance(features, np.ndarray) or features.dtype != np.float16:
        return False
    digits = np.finfo(np.float16).eps / 2
    return all(
        (abs(np.linalg.norm(block, axis=1) - 1) <= digits).all()
        for _, block in blocks(features, np.float32)
    )


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
