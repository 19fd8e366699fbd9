"""The three ways to call a strategy, written once."""

import re
from functools import cache
from importlib.metadata import version

import numpy as np
from sklearn.base import BaseEstimator

from .._labels import as_labels, is_missing
from ..teacher._skipping import numbered
from ._checks import check_n_instances
from ._rows import n_rows, take_rows
from ._skipped import choose_known


class QueryStrategy(BaseEstimator):
    """Base of all strategies: chooses the samples worth labelling next.

    A strategy has three calls. `select` takes arrays and comes from the
    subclass; `query` takes X, a y that marks the unlabelled rows, and a fitted
    estimator; calling the strategy itself is what modAL does. All of them
    return positions in what was passed, in order of selection.

    Subclasses take ``missing_label`` as a keyword of ``__init__`` and write

    - ``select(pool, labeled=None, n_instances=1)``,
    - ``_view(estimator, X)``: what `select` wants to know of the rows of X,
    - ``_view_labeled(estimator, X, y)`` if it wants something else of the
      labelled rows, such as their labels y,
    - ``_uses_labeled = False`` if `select` ignores the labelled rows.

    See Also
    --------
    PCoreSet : Farthest-first in the space of predicted probabilities.

    Examples
    --------
    A strategy that takes the first rows:

    >>> import numpy as np
    >>> from skactivekd.query import QueryStrategy
    >>> class First(QueryStrategy):
    ...     def __init__(self, *, missing_label=-1):
    ...         self.missing_label = missing_label
    ...
    ...     def _view(self, estimator, X):
    ...         return X
    ...
    ...     def select(self, pool, labeled=None, n_instances=1):
    ...         return np.arange(n_instances)
    >>> First().query(np.zeros((4, 1)), [0, -1, 1, -1], estimator=None, n_instances=2)
    array([1, 3])
    """

    _uses_labeled = True

    def query(self, X, y, estimator, n_instances=1):
        """Choose among the unlabelled rows of X.

        Parameters
        ----------
        X : array-like, DataFrame, sparse matrix or list of n_samples rows
            All samples, labelled or not, as `estimator` takes them.
        y : array-like of shape (n_samples,)
            Labels; unlabelled rows carry ``missing_label``.
        estimator : fitted estimator
            Asked for predictions only, and left unchanged.
        n_instances : int, default=1
            Samples to choose.

        Returns
        -------
        indices : ndarray of int64 of shape (n_instances,)
            Rows of X in order of selection.

        Warns
        -----
        UserWarning
            If fewer than `n_instances` rows are unlabelled: all are returned.
        SkippedRowsWarning
            If an encoder skips rows (``on_error="skip"``): they are named by
            their place in X and not chosen, since nobody could see them.

        Raises
        ------
        ValueError
            If no row of y is unlabelled, lengths differ, or predictions are
            not what the strategy needs.
        """
        missing = unlabeled_mask(y, self.missing_label)
        if len(missing) != n_rows(X):
            raise ValueError(f"X has {n_rows(X)} rows but y has {len(missing)}.")
        if not missing.any():
            raise ValueError(
                f"y has no missing_label={self.missing_label!r}: no row is left to select."
                + _marker_hint(y, self.missing_label)
            )
        pool = np.flatnonzero(missing)
        X_pool = take_rows(X, pool)
        return pool[self._choose_known(pool, estimator, X_pool, X, y, ~missing, n_instances)]

    def __call__(self, learner, X_pool, n_instances=1):
        """Choose from a pool on behalf of a modAL learner.

        Parameters
        ----------
        learner : modAL.models.ActiveLearner
            Its labelled rows are those of ``learner.y_training`` that are not
            ``missing_label``; ``learner.X_training`` may hold the whole pool,
            or be None.
        X_pool : array-like, DataFrame, sparse matrix or list of rows
            Samples to choose from.
        n_instances : int, default=1
            Samples to choose.

        Returns
        -------
        indices : ndarray of int64 of shape (n_instances,)
            Rows of `X_pool` in order of selection. Under modAL 0.4.2 and
            newer, which unpacks two values, the pair ``(indices, None)``.
        """
        if not hasattr(learner, "y_training"):
            name = type(learner).__name__
            raise TypeError(
                f"The learner must know its X_training and y_training; {name} does not."
            )
        X, y = learner.X_training, learner.y_training
        labeled = np.zeros(0, bool) if y is None else ~unlabeled_mask(y, self.missing_label)
        rows = np.arange(n_rows(X_pool))
        picks = self._choose_known(rows, self._model(learner), X_pool, X, y, labeled, n_instances)
        return (picks, None) if _modal_wants_pair() else picks

    def _choose_known(self, rows, model, X_pool, *args):
        """Choose among rows that can be encoded; `rows` says where the pool is in the user's X."""
        return choose_known(lambda pool: self._choose(model, pool, *args), X_pool, rows)

    def _choose(self, model, X_pool, X, y, labeled, n_instances):
        n_instances = check_n_instances(n_instances, n_rows(X_pool))
        view = None
        if self._uses_labeled and labeled.any():
            rows = np.flatnonzero(labeled)
            with numbered(rows):
                view = self._view_labeled(model, take_rows(X, rows), as_labels(y)[rows])
        return self.select(self._view(model, X_pool), view, n_instances)

    def _view_labeled(self, model, X, y):
        return self._view(model, X)

    def _model(self, learner):
        """Return what `_view` is to ask, given a modAL learner."""
        return learner.estimator


def unlabeled_mask(y, missing_label):
    """Tell which rows of y are unlabelled, and refuse what cannot be a label.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels; unlabelled rows carry `missing_label`.
    missing_label : int, float nan, str or None
        The marker.

    Returns
    -------
    mask : ndarray of bool of shape (n_samples,)

    Raises
    ------
    ValueError
        If y is not one-dimensional, or holds a nan or None that is not the
        `missing_label`.
    """
    if np.ndim(y) != 1:
        raise ValueError(f"y must have one dimension, got shape {np.shape(y)}.")
    mask = is_missing(y, missing_label)
    for marker in (None, np.nan):
        stray = is_missing(y, marker) & ~mask
        if stray.any():
            raise ValueError(
                f"y[{stray.argmax()}] is {marker}, which is no label; "
                f"did you mean missing_label={marker}?"
            )
    return mask


def _marker_hint(y, missing_label):
    """Name the marker that y seems to use instead."""
    for marker in (-1, "-1", "nan", "None", ""):
        if is_missing(y, marker).any():
            return f" Did you mean missing_label={marker!r} instead of {missing_label!r}?"
    return ""


@cache
def _modal_wants_pair():
    """Tell whether the installed modAL unpacks (indices, metrics)."""
    release = re.findall(r"\d+", version("modAL-python"))
    return tuple(map(int, release[:3])) >= (0, 4, 2)
