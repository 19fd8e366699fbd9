"""The three ways to call a strategy, written once."""

import re
from functools import cache
from importlib.metadata import version

import numpy as np
from sklearn.base import BaseEstimator

from .._rows import check_candidates, check_row_count, n_rows, same_rows, take_rows
from ..encoders._errors import numbered
from ..utils._labels import check_labels, classes_of, refuse_learned_marker
from ._checks import check_n_instances
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
    - ``_uses_labeled = False`` if `select` ignores the labelled rows,
    - ``_uses_pool = True`` if `select` takes ``candidates``, positions in the
      pool, and looks at the rest of the pool too; without it `select` is given
      the candidates alone.

    .. versionadded:: 0.1

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
    _uses_pool = False

    def query(self, X, y, estimator, n_instances=1, candidates=None):
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
        candidates : array-like of int of shape (n_candidates,) or mask of bool of shape \
                (n_samples,), default=None
            Unlabeled rows of X to choose among, say those that nobody has
            skipped; None is all of them. It restricts what may be chosen, in
            any order. What else a strategy looks at stays the same: labeled
            rows, and the whole pool where it is to be represented
            (`UncertaintyHerding`, `FromSkactiveml`). The other strategies do
            not look at unlabeled rows that are no candidates.

        Returns
        -------
        indices : ndarray of int64 of shape (n_instances,)
            Rows of X in order of selection.

        Warns
        -----
        UserWarning
            If fewer than `n_instances` rows can be chosen: all are returned.
        SkippedRowsWarning
            If an encoder skips rows (``on_error="skip"``): they are named by
            their place in X and not chosen, since nobody could see them.

        Raises
        ------
        TypeError
            If `candidates` are neither integers nor a mask.
        ValueError
            If no row of y is unlabelled, lengths differ, predictions are not
            what the strategy needs, or `candidates` has no row, one twice, one
            that is labeled or one that X does not have.

        Examples
        --------
        >>> import numpy as np
        >>> from skactivekd.query import Random
        >>> X, y, skipped = np.zeros((5, 1)), np.array([0, -1, -1, -1, 1]), [1, 3]
        >>> rows = np.setdiff1d(np.flatnonzero(y == -1), skipped)
        >>> Random().query(X, y, estimator=None, candidates=rows)
        array([2])
        """
        y, labeled = self._check_labels(y, estimator, n_rows(X))
        missing = ~labeled
        if not missing.any():
            raise ValueError(
                f"y has no missing_label={self.missing_label!r}: no row is left to select."
            )
        pool = np.flatnonzero(missing)
        if candidates is not None:
            candidates = check_candidates(candidates, len(missing))
            _refuse_labeled(candidates, missing, y)
            candidates = np.searchsorted(pool, candidates)
        X_pool = take_rows(X, pool)
        return pool[
            self._choose_known(pool, estimator, X_pool, X, y, labeled, n_instances, candidates)
        ]

    def __call__(self, learner, X_pool, n_instances=1, candidates=None):
        """Choose from a pool on behalf of a modAL learner.

        Parameters
        ----------
        learner : modAL.models.ActiveLearner or modAL.models.Committee
            Its labelled rows are those of ``learner.y_training`` that are not
            ``missing_label``; ``learner.X_training`` may hold the whole pool,
            or be None. Those of a committee are the ones of its members, which
            have to agree unless labelled rows play no part.
        X_pool : array-like, DataFrame, sparse matrix or list of rows
            Samples to choose from.
        n_instances : int, default=1
            Samples to choose.
        candidates : array-like of int, or mask of bool of shape (n_pool,), default=None
            Rows of `X_pool` to choose among, as in `query`.

        Returns
        -------
        indices : ndarray of int64 of shape (n_instances,)
            Rows of `X_pool` in order of selection. Under modAL 0.4.2 and
            newer, which unpacks two values, the pair ``(indices, None)``.

        Raises
        ------
        TypeError
            If the learner does not say what it was trained on, or a committee's
            members were trained on different rows.
        """
        X, y = self._training(learner)
        labeled = np.zeros(0, bool)
        if y is not None:
            n = None if X is None else n_rows(X, "X_training")
            y, labeled = self._check_labels(y, learner, n)
            if X is None and self._uses_labeled and labeled.any():
                raise TypeError(
                    f"{type(self).__name__} needs X_training, but the learner has None."
                )
        rows = np.arange(n_rows(X_pool))
        if candidates is not None:
            candidates = check_candidates(candidates, len(rows), "X_pool")
        model = self._model(learner)
        picks = self._choose_known(rows, model, X_pool, X, y, labeled, n_instances, candidates)
        return (picks, None) if _modal_wants_pair() else picks

    def _choose_known(self, rows, model, X_pool, X, y, labeled, n_instances, candidates=None):
        """Choose among rows that can be encoded; `rows` says where the pool is in the user's X."""

        def choose(pool, left):
            among = None if candidates is None else np.flatnonzero(np.isin(left, candidates))
            if among is not None and not len(among):
                raise ValueError(
                    "No candidate is left to select: all were skipped, since none can be encoded."
                )
            return self._choose(model, pool, X, y, labeled, n_instances, among)

        return choose_known(choose, X_pool, rows)

    def _choose(self, model, X_pool, X, y, labeled, n_instances, candidates=None):
        """Return positions in X_pool; `candidates` are such positions, in ascending order."""
        n_instances = check_n_instances(n_instances, n_rows(X_pool), candidates)
        if candidates is None:
            return self._ask(model, X_pool, X, y, labeled, n_instances)
        if self._uses_pool:
            return self._ask(model, X_pool, X, y, labeled, n_instances, candidates=candidates)
        X_pool = take_rows(X_pool, candidates)
        with numbered(candidates, final=False):
            return candidates[self._ask(model, X_pool, X, y, labeled, n_instances)]

    def _ask(self, model, X_pool, X, y, labeled, n_instances, **among):
        """Select on views of the pool and of the labeled rows."""
        view = None
        if self._uses_labeled and labeled.any():
            rows = np.flatnonzero(labeled)
            labeled_X = take_rows(X, rows)
            with numbered(rows):
                view = self._view_labeled(model, labeled_X, y[rows])
            _check_view(view, labeled_X, model)
        pool = self._view(model, X_pool)
        _check_view(pool, X_pool, model)
        try:
            return self.select(pool, view, n_instances, **among)
        except (TypeError, ValueError) as error:
            # Its words are on what the model makes of X, and rows are counted in parts of it.
            if not re.search(r"\b(features|proba)_(pool|labeled)\b", str(error)):
                raise
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(
                f"{error} (*_pool is what the estimator makes of the unlabeled rows of X, "
                "*_labeled of the others; rows are counted in each.)"
            ) from error

    def _view_labeled(self, model, X, y):
        return self._view(model, X)

    def _check_labels(self, y, model, n_rows=None):
        """Return y and its labeled rows, for a model that did not learn the marker."""
        classes = classes_of(model)
        refuse_learned_marker(classes, self.missing_label)
        return check_labels(y, self.missing_label, classes=classes, n_rows=n_rows, any_class=True)

    def _model(self, learner):
        """Return what `_view` is to ask, given a modAL learner."""
        return getattr(learner, "estimator", learner)

    def _training(self, learner):
        """Return the rows and labels that a modAL learner was trained on."""
        if hasattr(learner, "y_training"):
            return learner.X_training, learner.y_training
        kind, members = type(learner).__name__, getattr(learner, "learner_list", None)
        if not members:
            raise TypeError(
                f"The learner must know its X_training and y_training; {kind} does not."
            )
        known = [(member.X_training, member.y_training) for member in members]
        if self._uses_labeled and not all(_equal(known[0], other) for other in known[1:]):
            name = type(self).__name__
            raise TypeError(
                f"{name} compares with labeled rows, but the {len(members)} members of the {kind} "
                "were trained on different ones. Train all on the same rows, take a strategy that "
                f"asks for predictions only, such as Margin(), or call {name}().select(...) on "
                "arrays."
            )
        return known[0]


def _equal(one, other):
    """Tell whether two pairs of rows and labels are the same, by content."""
    return all(
        a is b or (a is not None and b is not None and same_rows(a, b))
        for a, b in zip(one, other, strict=True)
    )


def _check_view(view, X, model):
    """Refuse what a model says of X unless it says it of each row."""
    for part in view if isinstance(view, tuple) else (view,):
        if hasattr(part, "shape") and len(part.shape):
            check_row_count(part, X, f"The {type(model).__name__}")


def _refuse_labeled(candidates, missing, y):
    """Raise ValueError for the first candidate that has a label."""
    labeled = candidates[~missing[candidates]]
    if len(labeled):
        row = int(labeled[0])
        raise ValueError(
            f"candidates holds row {row}, which is labeled: y[{row}] is "
            f"{y[row : row + 1].tolist()[0]!r}. Only unlabeled rows can be chosen; "
            "leave the labeled ones out, of a mask by mask & (y == missing_label)."
        )


@cache
def _modal_wants_pair():
    """Tell whether the installed modAL unpacks (indices, metrics)."""
    release = re.findall(r"\d+", version("modAL-python"))
    return tuple(map(int, release[:3])) >= (0, 4, 2)
