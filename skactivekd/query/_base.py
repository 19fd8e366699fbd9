"""The three ways to call a strategy, written once."""

import re
from dataclasses import replace
from functools import cache
from importlib.metadata import version

import numpy as np
from sklearn.base import BaseEstimator

from .._take_rows import check_candidates, n_rows, same_rows
from ..utils._classes import classes_of, refuse_learned_marker
from ..utils._labels import check_labels, encode_labels
from ._ask_model import Rows
from ._checks import check_n_instances
from ._skipped_rows import choose_known
from ._strategy_inputs import check_needs, check_views


class QueryStrategy(BaseEstimator):
    """Base of all strategies: chooses the samples worth labeling next.

    A strategy has three calls. `select` takes arrays and comes from the
    subclass; `query` takes X, a y that marks the unlabeled rows, and a fitted
    estimator; calling the strategy itself is what modAL does. All of them
    return positions in what was passed, in order of selection.

    A subclass takes ``missing_label`` as a keyword of ``__init__``, says in
    ``needs`` what it looks at, and writes one method:

    ``needs`` : tuple of str
        Any of ``"proba_pool"``, ``"proba_labeled"`` (predicted probabilities),
        ``"features_pool"``, ``"features_labeled"`` (features of the model) and
        ``"y_labeled"`` (classes of the labeled rows, as columns of the
        probabilities). The model is asked for these and nothing else, once per
        query. Gradients at the last layer are outer products of probabilities
        and features: ask for both, as `Badge` does.
    ``_pick(views, n_instances)``
        Returns positions in the pool, in order of selection. `views` has
        ``n_pool``, ``n_labeled`` and what ``needs`` names, checked: rows of
        probabilities sum to one, features are finite, widths agree, and
        `n_instances` is at most the rows there are.
    ``needs_whole_pool`` : bool, default=False
        Set it to True where rows that may not be chosen count all the same:
        ``views.candidates`` then holds those that may, or None for all.
        Without it the pool is the candidates alone.

    .. versionadded:: 0.1

    See Also
    --------
    PCoreSet : Farthest-first in the space of predicted probabilities.
    skactivekd.utils.estimator_checks.check_query_strategy : Tests a strategy of yours.

    Examples
    --------
    A strategy that takes what the model calls the last class with least doubt:

    >>> import numpy as np
    >>> from skactivekd.query import QueryStrategy
    >>> class LastClass(QueryStrategy):
    ...     needs = ("proba_pool",)
    ...
    ...     def __init__(self, *, missing_label=-1):
    ...         self.missing_label = missing_label
    ...
    ...     def _pick(self, views, n_instances):
    ...         return np.argsort(-views.proba_pool[:, -1], kind="stable")[:n_instances]
    >>> LastClass().select([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]], n_instances=2)
    array([1, 2])
    """

    needs = ()
    needs_whole_pool = False
    _optional = ()  # what `select` can do without, of what is needed

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if not isinstance(cls.needs, property):
            check_needs(cls, cls.needs)

    def select(
        self,
        proba_pool=None,
        proba_labeled=None,
        n_instances=1,
        *,
        features_pool=None,
        features_labeled=None,
        y_labeled=None,
        candidates=None,
    ):
        """Choose rows of a pool of which predictions or features are known.

        Every strategy takes the same arguments and looks at those that its
        class names in ``needs``. Of the others only the rows are counted.

        Parameters
        ----------
        proba_pool : array-like or tensor of shape (n_pool, n_classes), default=None
            Predicted probabilities of the samples to choose from.
        proba_labeled : array-like or tensor of shape (n_labeled, n_classes), default=None
            Predictions of the same model for the labeled samples. None: no
            sample is labeled yet.
        n_instances : int, default=1
            Samples to choose.
        features_pool : array-like, tensor or sparse matrix of shape (n_pool, n_features), \
                default=None
            Features of the samples to choose from. Sparse ones stay sparse.
        features_labeled : same, of shape (n_labeled, n_features), default=None
            Features of the labeled samples.
        y_labeled : array-like of int of shape (n_labeled,), default=None
            Classes of the labeled samples, as columns of `proba_pool`. (`query`
            and modAL's call find the columns of any labels in the estimator's
            ``classes_``.)
        candidates : array-like of int, or mask of bool of shape (n_pool,), default=None
            Rows of the pool to choose among; None is all. Where the pool is to
            be represented (`UncertaintyHerding`, `FromSkactiveml`) all of it
            counts.

        Returns
        -------
        indices : ndarray of int64 of shape (n_instances,)
            Rows of the pool in order of selection.

        Warns
        -----
        UserWarning
            If `n_instances` exceeds the rows there are: all are returned.

        Raises
        ------
        TypeError
            If what the strategy looks at is not given, or `n_instances` is no
            integer.
        ValueError
            If the pool is empty, a row of probabilities does not sum to one or
            one of features is not finite (it is named), numbers of rows or
            columns differ, or a candidate is no row of the pool.
        """
        views = check_views(
            self,
            {
                "proba_pool": proba_pool,
                "proba_labeled": proba_labeled,
                "features_pool": features_pool,
                "features_labeled": features_labeled,
                "y_labeled": y_labeled,
            },
        )
        if candidates is not None:
            candidates = check_candidates(candidates, views.n_pool, "the pool")
        n_instances = check_n_instances(n_instances, views.n_pool, candidates)
        if candidates is None:
            return self._pick(views, n_instances)
        if self.needs_whole_pool:
            return self._pick(replace(views, candidates=candidates), n_instances)
        return candidates[self._pick(views.among(candidates), n_instances)]

    def _pick(self, views, n_instances):
        """Return positions in the pool; see the class."""
        raise NotImplementedError(f"{type(self).__name__} has no _pick(views, n_instances).")

    def query(self, X, y, estimator, n_instances=1, candidates=None):
        """Choose among the unlabeled rows of X.

        Parameters
        ----------
        X : array-like, DataFrame, sparse matrix or list of n_samples rows
            All samples, labeled or not, as `estimator` takes them.
        y : array-like of shape (n_samples,)
            Labels; unlabeled rows carry ``missing_label``.
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
            If no row of y is unlabeled, lengths differ, predictions are not
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
                f"{_hint_at_marker(y, classes_of(estimator))}"
            )
        pool, known = np.flatnonzero(missing), np.flatnonzero(labeled)
        if candidates is not None:
            candidates = check_candidates(candidates, len(missing))
            _refuse_labeled(candidates, missing, y)
            candidates = np.searchsorted(pool, candidates)
        rows = Rows(X, known, y[known], pool)
        return pool[self._choose_known(estimator, rows, n_instances, candidates)]

    def __call__(self, learner, X_pool, n_instances=1, candidates=None):
        """Choose from a pool on behalf of a modAL learner.

        Parameters
        ----------
        learner : modAL.models.ActiveLearner or modAL.models.Committee
            Its labeled rows are those of ``learner.y_training`` that are not
            ``missing_label``; ``learner.X_training`` may hold the whole pool,
            or be None. Those of a committee are the ones of its members, which
            have to agree unless labeled rows play no part.
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
        known = np.zeros(0, dtype=np.int64)
        if y is not None:
            n = None if X is None else n_rows(X, "X_training")
            y, labeled = self._check_labels(y, learner, n)
            known = np.flatnonzero(labeled)
            if X is None and len(known) and {"proba_labeled", "features_labeled"} & {*self.needs}:
                raise TypeError(
                    f"{type(self).__name__} needs X_training, but the learner has None."
                )
        rows = Rows(X, known, y if y is None else y[known], X_pool=X_pool)
        if candidates is not None:
            candidates = check_candidates(candidates, len(rows), "X_pool")
        # A committee's features are those of X: its members need not agree on others.
        features = any(name.startswith("features") for name in self.needs)
        model = getattr(learner, "estimator", learner) if features else learner
        picks = self._choose_known(model, rows, n_instances, candidates)
        return (picks, None) if _modal_wants_pair() else picks

    def _choose_known(self, model, rows, n_instances, candidates=None):
        """Choose among rows that can be encoded; return positions in the pool."""

        def choose(left):
            among = None if candidates is None else np.flatnonzero(np.isin(left, candidates))
            if among is not None and not len(among):
                raise ValueError(
                    "No candidate is left to select: all were skipped, since none can be encoded."
                )
            part = rows if len(left) == len(rows) else rows.take(left)
            return self._choose(model, part, n_instances, among)

        return choose_known(choose, rows.places)

    def _choose(self, model, rows, n_instances, candidates=None):
        """Return positions in the pool; `candidates` are such positions, in ascending order."""
        n_instances = check_n_instances(n_instances, len(rows), candidates)
        if candidates is None or self.needs_whole_pool:
            return self._ask(model, rows, n_instances, candidates)
        return candidates[self._ask(model, rows.take(candidates), n_instances)]

    def _ask(self, model, rows, n_instances, candidates=None):
        """Ask the model once, and pick on what it says."""
        known = rows.ask(self, model)
        if "y_labeled" in self.needs and len(rows.labeled):
            known["y_labeled"] = self._code(model, rows.y)
        try:
            views = check_views(self, known, (len(rows), len(rows.labeled)))
            return self._pick(replace(views, candidates=candidates), n_instances)
        except (TypeError, ValueError) as error:
            # Its words are on what the model makes of X, and rows are counted in parts of it.
            if not re.search(r"\b(features|proba)_(pool|labeled)\b", str(error)):
                raise
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(
                f"{error} (*_pool is what the estimator makes of the unlabeled rows of X, "
                "*_labeled of the others; rows are counted in each.)"
            ) from error

    def _code(self, model, y):
        """Return labels as columns of what the model predicts."""
        classes = classes_of(model)
        if classes is None:
            name = type(self).__name__
            raise TypeError(f"{name} needs an estimator with classes_, got {model!r}.")
        return encode_labels(y, classes, self.missing_label)

    def _check_labels(self, y, model, n_rows=None):
        """Return y and its labeled rows, for a model that did not learn the marker."""
        classes = classes_of(model)
        refuse_learned_marker(classes, self.missing_label)
        return check_labels(y, self.missing_label, classes=classes, n_rows=n_rows, any_class=True)

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
        compares = any(name.endswith("_labeled") for name in self.needs)
        if compares and not all(_equal(known[0], other) for other in known[1:]):
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


def _hint_at_marker(y, classes):
    """Name the one label that the model does not know, which may mark the unlabeled rows."""
    strange = [] if classes is None else list(set(y.tolist()) - set(np.asarray(classes).tolist()))
    if len(strange) != 1:
        return ""
    return (
        f" The estimator knows no class {strange[0]!r}: if that marks unlabeled rows, pass "
        f"missing_label={strange[0]!r}."
    )


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
