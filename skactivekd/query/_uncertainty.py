"""Strategies that score each sample by itself."""

import numpy as np
from scipy.special import entr

from ..utils._matrix import blocks
from ._base import QueryStrategy


class _ScoreStrategy(QueryStrategy):
    """Take the highest scores; subclasses write `_score`."""

    needs = ("proba_pool",)

    def __init__(self, *, missing_label=-1):
        self.missing_label = missing_label

    def _pick(self, views, n_instances):
        return np.argsort(-self._scores(views.proba_pool), kind="stable")[:n_instances]

    def _scores(self, proba):
        return np.concatenate([self._score(block) for _, block in blocks(proba)])


class Entropy(_ScoreStrategy):
    r"""Take the samples whose predicted probabilities have the highest entropy.

    The entropy is :math:`-\sum_c p_c \log p_c` [1]_; labeled samples play no part.

    .. versionadded:: 0.1

    Parameters
    ----------
    missing_label : int, float nan, str or None, default=-1
        The marker of unlabeled rows.

    See Also
    --------
    Margin : The two most probable classes only.
    LeastConfidence : The most probable class only.

    References
    ----------
    .. [1] B. Settles. "Active learning literature survey". University of
       Wisconsin-Madison, 2009.

    Examples
    --------
    >>> from skactivekd.query import Entropy
    >>> Entropy().select([[0.9, 0.1], [0.5, 0.5], [0.3, 0.7]], n_instances=2)
    array([1, 2])
    """

    def _score(self, proba):
        # Sorted, so that rows that are permutations of one another tie to the bit.
        return entr(np.sort(proba.clip(min=0), axis=1)).sum(axis=1)


class Margin(_ScoreStrategy):
    """Take the samples whose two most probable classes are closest.

    The margin is the difference of the two highest probabilities [1]_, and the
    smallest comes first; labeled samples play no part.

    .. versionadded:: 0.1

    Parameters
    ----------
    missing_label : int, float nan, str or None, default=-1
        The marker of unlabeled rows.

    See Also
    --------
    Entropy : Uncertainty over all classes.
    LeastConfidence : The most probable class only.

    References
    ----------
    .. [1] T. Scheffer, C. Decomain and S. Wrobel. "Active hidden Markov models
       for information extraction". IDA 2001.

    Examples
    --------
    >>> from skactivekd.query import Margin
    >>> Margin().select([[0.9, 0.1, 0.0], [0.4, 0.2, 0.4], [0.5, 0.3, 0.2]], n_instances=2)
    array([1, 2])
    """

    def _score(self, proba):
        return -margins(proba)


class LeastConfidence(_ScoreStrategy):
    """Take the samples whose most probable class has the lowest probability.

    The score is one minus the highest probability [1]_; labeled samples play
    no part. With two classes this orders the samples as `Margin` and `Entropy`
    do.

    .. versionadded:: 0.1

    Parameters
    ----------
    missing_label : int, float nan, str or None, default=-1
        The marker of unlabeled rows.

    See Also
    --------
    Margin : The two most probable classes only.
    Entropy : Uncertainty over all classes.

    References
    ----------
    .. [1] A. Culotta and A. McCallum. "Reducing labeling effort for structured
       prediction tasks". AAAI 2005.

    Examples
    --------
    >>> from skactivekd.query import LeastConfidence
    >>> LeastConfidence().select([[0.9, 0.1, 0.0], [0.4, 0.3, 0.3], [0.5, 0.5, 0.0]], n_instances=2)
    array([1, 2])
    """

    def _score(self, proba):
        return 1 - proba.max(axis=1)


def margins(proba):
    """Return how far the highest probability of each row is above the next."""
    if proba.shape[1] == 1:
        return proba[:, 0]
    second, first = np.partition(proba, (-2, -1), axis=1)[:, -2:].T
    return first - second
