"""One door to every kind of query strategy: ours, scikit-activeml's and modAL's."""

import inspect

import numpy as np
from sklearn.base import clone

from .._played_rounds import _check_picks
from .._take_rows import take_rows
from ..modal import ActiveLearner
from ..query import FromSkactiveml
from ..utils._missing_label import is_missing


def check_strategy(strategy):
    """Return a strategy that `choose` can ask.

    Raises
    ------
    TypeError
        If it is no strategy.
    """
    if isinstance(strategy, type):
        raise TypeError(f"strategy is the class {strategy.__name__}; pass {strategy.__name__}().")
    if type(strategy).__module__.startswith("skactiveml"):
        return FromSkactiveml(strategy)
    if not hasattr(strategy, "query") and not callable(strategy):
        raise TypeError(
            f"strategy={strategy!r} is none: pass one of skactivekd or scikit-activeml, or a "
            "function of modAL's kind, called as strategy(learner, X_pool, n_instances=n)."
        )
    return strategy


def choose(strategy, X, y, model, n, candidates, missing_label, seed):
    """Let a strategy choose among some unlabeled rows.

    Parameters
    ----------
    strategy : strategy
        Of `check_strategy`.
    X : array-like of n_samples rows
    y : ndarray of shape (n_samples,)
        `missing_label` where unlabeled.
    model : fitted estimator
    n : int
        Rows to choose.
    candidates : ndarray of int
        Among these.
    missing_label : int, float nan, str or None
    seed : int
        For strategies whose `random_state` is None.

    Returns
    -------
    picks : ndarray of int
        Rows of X, in order of selection; as many as wanted or there are.

    Raises
    ------
    ValueError
        If the strategy returns something else than rows to choose from.
    """
    n = min(n, len(candidates))
    asked = _prepare(strategy, missing_label, seed)
    if not hasattr(strategy, "query"):
        picks = _ask_modal(asked, X, y, model, n, candidates, missing_label)
    elif "candidates" in inspect.signature(asked.query).parameters:
        picks = asked.query(X, y, model, n_instances=n, candidates=candidates)
    else:
        picks = _ask_subset(asked, X, y, model, n, candidates, missing_label)
    others = np.setdiff1d(np.arange(len(y)), candidates)
    return _check_picks(picks, others, len(y), n, strategy, None)


def _prepare(strategy, missing_label, seed):
    """Clone a strategy, with the session's marker and a seed."""
    if not hasattr(strategy, "get_params"):
        return strategy
    own = strategy.get_params(deep=False)
    params = {}
    if "missing_label" in own:
        params["missing_label"] = missing_label
    if "random_state" in own and own["random_state"] is None:
        params["random_state"] = seed
    return clone(strategy).set_params(**params)


def _ask_subset(strategy, X, y, model, n, candidates, missing_label):
    """Ask a strategy that takes no candidates: it sees them and the labeled rows alone."""
    labeled = np.flatnonzero(~is_missing(y, missing_label))
    rows = np.sort(np.concatenate([labeled, candidates]))
    return rows[strategy.query(take_rows(X, rows), y[rows], model, n_instances=n)]


def _ask_modal(strategy, X, y, model, n, candidates, missing_label):
    """Ask a function of modAL's kind, which wants a learner."""
    labeled = np.flatnonzero(~is_missing(y, missing_label))
    learner = ActiveLearner(model, strategy)
    learner.X_training, learner.y_training = take_rows(X, labeled), y[labeled]
    picks = strategy(learner, take_rows(X, candidates), n_instances=n)
    picks = picks[0] if isinstance(picks, tuple) else picks
    return candidates[np.asarray(picks)]
