"""Features of samples as an estimator sees them."""

from inspect import getattr_static

import numpy as np
from scipy.sparse import issparse
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from ..utils._check_params import naming
from ._ask_proba import ask_proba, check_predicts

# Theirs hand on what the estimator inside predicts, and do nothing else.
_PASSING_ON = [getattr_static(kind, "predict_proba") for kind in (Pipeline, GridSearchCV)]


def embed(estimator, X):
    """Compute the features in which a strategy compares samples.

    Parameters
    ----------
    estimator : fitted estimator
        - with a method ``embed``: that is asked, e.g. `DHOClassifier.embed`;
        - a scikit-learn `Pipeline`: its transformers are applied and the last
          step embeds what they return;
        - a search (``best_estimator_``): the best estimator embeds;
        - a `FrozenEstimator`: what is frozen embeds;
        - anything else: X itself, as it reaches this estimator, is the
          embedding. It has to be two-dimensional.
    X : array-like, DataFrame or sparse matrix of n_samples rows
        Samples, as passed to ``estimator.predict``.

    Returns
    -------
    features : ndarray, tensor or sparse matrix of shape (n_samples, n_features)

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skactivekd.query._features import embed
    >>> pipe = make_pipeline(StandardScaler(), LogisticRegression())
    >>> embed(pipe.fit([[0.0], [2.0]], [0, 1]), [[0.0], [3.0]])
    array([[-1.],
           [ 2.]])
    """
    while step := _step_inside(estimator, X):
        estimator, X = step
    return _as_features(estimator.embed(X) if hasattr(estimator, "embed") else X)


def ask_proba_embed(strategy, model, X):
    """Compute probabilities and features, going through the samples once where possible.

    Transformers of a pipeline are applied once. An estimator with a method
    ``predict_proba_embed``, such as `DHOClassifier`, gives both in one pass;
    any other is asked twice. So is one that has overridden ``predict_proba`` or
    ``embed`` of the class that method comes from, whose answers it would miss.

    Parameters
    ----------
    strategy : QueryStrategy
        Who asks, for the error.
    model : fitted estimator
        As in `embed`, with ``predict_proba``.
    X : array-like, DataFrame or sparse matrix of n_samples rows
        Samples, as passed to ``model.predict``.

    Returns
    -------
    proba : array-like of shape (n_samples, n_classes)
        What ``model.predict_proba(X)`` returns.
    features : ndarray, tensor or sparse matrix of shape (n_samples, n_features)
        What ``embed(model, X)`` returns.

    Raises
    ------
    TypeError
        If the model has no ``predict_proba``.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skactivekd.query import Badge
    >>> from skactivekd.query._features import ask_proba_embed
    >>> pipe = make_pipeline(StandardScaler(), LogisticRegression())
    >>> pipe = pipe.fit([[0.0], [2.0]], [0, 1])
    >>> proba, features = ask_proba_embed(Badge(), pipe, [[1.0], [3.0]])
    >>> proba[0], features[0]
    (array([0.5, 0.5]), array([0.]))
    """
    check_predicts(strategy, model)
    while _passes_on(model) and (step := _step_inside(model, X)):
        model, X = step
    if _gives_both(model):
        proba, features = model.predict_proba_embed(X)
        return proba, _as_features(features)
    return ask_proba(strategy, model, X), embed(model, X)


def _step_inside(estimator, X):
    """Return the estimator within and what it sees of X; None where features are made here."""
    if isinstance(estimator, FrozenEstimator):
        return estimator.estimator, X
    if hasattr(estimator, "embed"):
        return None
    if hasattr(estimator, "best_estimator_"):
        return estimator.best_estimator_, X
    if isinstance(estimator, Pipeline):
        return estimator[-1], estimator[:-1].transform(X) if len(estimator) > 1 else X
    return None


def _passes_on(estimator):
    """Tell whether an estimator predicts just what the one within does."""
    if isinstance(estimator, FrozenEstimator):
        return True
    return any(getattr_static(estimator, "predict_proba", None) is own for own in _PASSING_ON)


def _gives_both(estimator):
    """Tell whether `predict_proba_embed` is not older than the methods it stands for."""
    for kind in (estimator, *type(estimator).__mro__):
        names = getattr(kind, "__dict__", {}).keys()
        if "predict_proba_embed" in names:
            return True
        if names & {"predict_proba", "embed"}:
            return False
    return False


def _as_features(X):
    with naming("X"):
        return X if hasattr(X, "detach") or issparse(X) else np.asarray(X)
