"""What has to derive from scikit-activeml's classes; imported on first use only."""

import numpy as np
from skactiveml.base import SingleAnnotatorPoolQueryStrategy, SkactivemlClassifier
from skactiveml.utils import (
    MISSING_LABEL,
    check_equal_missing_label,
    check_scalar,
    is_labeled,
)
from sklearn.base import clone

from ..utils._classes import classes_of, refuse_learned_marker
from ..utils._labels import check_labels
from ..utils._matrix import as_ndarray
from ._ask_model import Rows
from ._features import embed
from ._uncertainty import _ScoreStrategy


class SkactivemlStrategy(SingleAnnotatorPoolQueryStrategy):
    """One of our strategies as a pool strategy of scikit-activeml.

    Parameters
    ----------
    strategy : QueryStrategy
        Does the selection.
    missing_label : scalar, str, nan or None, default=nan
        The marker of unlabeled rows.
    random_state : None, int or numpy.random.RandomState, default=None
        Seeds `strategy`, if it draws. None leaves it as it is.

    See Also
    --------
    skactivekd.query.to_skactiveml : Makes one, and has an example.
    """

    def __init__(self, strategy, missing_label=MISSING_LABEL, random_state=None):
        super().__init__(missing_label=missing_label, random_state=random_state)
        self.strategy = strategy

    def query(
        self,
        X,
        y,
        clf=None,
        fit_clf=True,
        sample_weight=None,
        candidates=None,
        batch_size=1,
        return_utilities=False,
    ):
        """Choose samples, with scikit-activeml's arguments.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            All samples.
        y : array-like of shape (n_samples,)
            Labels; unlabeled rows carry ``missing_label``.
        clf : classifier with predict_proba, default=None
            Of scikit-activeml, or one that takes ``missing_label``. None: for
            strategies that ask no model, or work on X itself.
        fit_clf : bool, default=True
            Fit a clone of `clf` on X and y first. False: it is fitted.
        sample_weight : array-like of shape (n_samples,), default=None
            For that fit.
        candidates : None, array-like of int of shape (n_candidates,), or array-like of \
                shape (n_candidates, ...), default=None
            What to choose from: the unlabeled rows, these rows of X, or these
            samples. Strategies that represent the pool look at all unlabeled
            rows all the same, unless `candidates` are samples, which are the
            pool then.
        batch_size : int, default=1
            Samples to choose.
        return_utilities : bool, default=False
            Whether to return utilities as well.

        Returns
        -------
        query_indices : ndarray of int64 of shape (batch_size,)
            Rows of X in order of selection; rows of `candidates` if these are
            samples.
        utilities : ndarray of float64 of shape (batch_size, n_samples)
            Row i is what pick i had the most of: the scores of strategies that
            score each sample by itself, or else 1 for the pick and 0 for the
            other candidates. nan for what was no candidate (any more). With
            `candidates` that are samples, of shape (batch_size, n_candidates).
        """
        X, y, candidates, batch_size, return_utilities = self._validate_data(
            X, y, candidates, batch_size, return_utilities
        )
        check_labels(y, self.missing_label_, n_rows=len(X), any_class=True)
        X_pool, mapping = self._transform_candidates(candidates, X, y)
        if not len(X_pool):
            raise ValueError(
                f"No candidate is left: y has no {self.missing_label!r} (missing_label)."
            )
        model = None if clf is None else self._fitted(clf, fit_clf, X, y, sample_weight)
        refuse_learned_marker(classes_of(model), self.missing_label_)
        labeled = is_labeled(y, self.missing_label_)
        if mapping is None:
            known = np.flatnonzero(labeled)
            rows = Rows(X, known, y[known], X_pool=X_pool)
            picks = self._seeded()._choose(model, rows, batch_size)
        else:
            picks = self._pick(model, mapping, X, y, labeled, batch_size)
        n_columns = len(X_pool) if mapping is None else len(X)
        mapping = np.arange(len(X_pool)) if mapping is None else mapping
        if not return_utilities:
            return mapping[picks]
        return mapping[picks], self._utilities(model, X_pool, picks, mapping, n_columns)

    def _fitted(self, clf, fit_clf, X, y, sample_weight):
        check_scalar(fit_clf, "fit_clf", bool)
        if hasattr(clf, "missing_label"):
            check_equal_missing_label(clf.missing_label, self.missing_label_)
        if fit_clf:
            weights = {} if sample_weight is None else {"sample_weight": sample_weight}
            clf = clone(clf).fit(X, y, **weights)
        return _Model(clf) if hasattr(clf, "estimator_") else clf

    def _pick(self, model, mapping, X, y, labeled, batch_size):
        """Return positions in `mapping`, the candidates among the rows of X."""
        strategy, known = self._seeded(), np.flatnonzero(labeled)
        if not strategy.needs_whole_pool:
            return strategy._choose(model, Rows(X, known, y[known], mapping), batch_size)
        pool = np.union1d(np.flatnonzero(~labeled), mapping)
        among = None if len(pool) == len(mapping) else np.searchsorted(pool, np.unique(mapping))
        rows = Rows(X, known, y[known], pool)
        picks = pool[strategy._choose(model, rows, batch_size, among)]
        order = np.argsort(mapping)
        return order[np.searchsorted(mapping, picks, sorter=order)]

    def _seeded(self):
        if self.random_state is None or "random_state" not in self.strategy.get_params():
            return self.strategy
        seed = int(self.random_state_.randint(2**31 - 1))
        return clone(self.strategy).set_params(random_state=seed)

    def _utilities(self, model, X_pool, picks, mapping, n_columns):
        utilities = np.full((len(picks), n_columns), np.nan)
        if isinstance(self.strategy, _ScoreStrategy):
            utilities[:, mapping] = self.strategy._scores(model.predict_proba(X_pool))
        else:
            utilities[:, mapping] = 0
            utilities[np.arange(len(picks)), mapping[picks]] = 1
        for step, pick in enumerate(mapping[picks]):
            utilities[step + 1 :, pick] = np.nan
        return utilities


class KnownPredictions(SkactivemlClassifier):
    """A classifier that knows its predictions for some rows, and no others.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        The rows.
    proba : ndarray of shape (n_samples, n_classes)
        Their predictions; rows of nan are not known.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.query._skactiveml_classes import KnownPredictions
    >>> clf = KnownPredictions(np.array([[1.0], [2.0]]), np.array([[0.3, 0.7], [0.9, 0.1]]))
    >>> clf.predict_proba([[2.0]])
    array([[0.9, 0.1]])
    """

    def __init__(self, X, proba):
        super().__init__()
        self.X = X
        self.proba = proba

    @property
    def classes_(self):
        """Columns of the probabilities."""
        return np.arange(self.proba.shape[1])

    def fit(self, X, y, sample_weight=None):
        """Refuse: the predictions are what they are."""
        raise TypeError(
            "This strategy fits its classifier itself: pass one of scikit-activeml as "
            "query_params={'clf': ...}."
        )

    def predict_proba(self, X):
        """Look up the predictions of rows.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows among the known ones.

        Returns
        -------
        proba : ndarray of shape (n_rows, n_classes)
        """
        X = np.asarray(X, dtype=np.float64)
        tail = slice(len(self.X) - len(X), None)  # the pool comes last
        proba = self.proba[tail] if np.array_equal(self.X[tail], X) else self._look_up(X)
        if np.isnan(proba).any():
            raise ValueError("This strategy asks for predictions of labeled rows: proba_labeled.")
        return proba

    def predict(self, X):
        """Return the most probable class of each row."""
        return self.predict_proba(X).argmax(axis=1)

    def _look_up(self, X):
        known = {row.tobytes(): number for number, row in enumerate(self.X)}
        try:
            return self.proba[[known[row.tobytes()] for row in X]]
        except KeyError:
            raise ValueError(
                "This strategy asks for predictions of rows that are not in X: pass a classifier "
                "of scikit-activeml as query_params={'clf': ...}."
            ) from None


def join_proba(proba_labeled, proba_pool, n_labeled):
    """Stack predictions of labeled rows, nan if not given, on those of the pool."""
    pool = as_ndarray(proba_pool).astype(np.float64)
    if proba_labeled is None:
        return np.concatenate([np.full((n_labeled, pool.shape[1]), np.nan), pool])
    return np.concatenate([as_ndarray(proba_labeled).astype(np.float64), pool])


class _Model:
    """A classifier of scikit-activeml as our strategies ask a model."""

    def __init__(self, clf):
        self.clf = clf
        if hasattr(clf, "predict_proba"):
            self.predict_proba = clf.predict_proba
        if hasattr(clf, "classes_"):
            self.classes_ = clf.classes_

    def __repr__(self):
        return repr(self.clf)

    def embed(self, X):
        """Let what scikit-activeml has wrapped embed X, once it is fitted."""
        wrapped = getattr(self.clf, "is_fitted_", False) and hasattr(self.clf, "estimator_")
        return embed(self.clf.estimator_ if wrapped else self.clf, X)
