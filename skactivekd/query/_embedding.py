"""Features of samples as an estimator sees them."""

import numpy as np
from scipy.sparse import issparse
from sklearn.pipeline import Pipeline


def embed(estimator, X):
    """Compute the features in which a strategy compares samples.

    Parameters
    ----------
    estimator : fitted estimator
        - with a method ``embed``: that is asked, e.g. `DHOClassifier.embed`;
        - a scikit-learn `Pipeline`: its transformers are applied and the last
          step embeds what they return;
        - a search (``best_estimator_``): the best estimator embeds;
        - anything else: X itself, as it reaches this estimator, is the
          embedding. It has to be two-dimensional.
    X : array-like, DataFrame or sparse matrix of n_samples rows
        Samples, as passed to ``estimator.predict``.

    Returns
    -------
    features : ndarray of shape (n_samples, n_features)
        A sparse result is made dense.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skactivekd.query._embedding import embed
    >>> pipe = make_pipeline(StandardScaler(), LogisticRegression())
    >>> embed(pipe.fit([[0.0], [2.0]], [0, 1]), [[0.0], [3.0]])
    array([[-1.],
           [ 2.]])
    """
    if hasattr(estimator, "embed"):
        return _dense(estimator.embed(X))
    if hasattr(estimator, "best_estimator_"):
        return embed(estimator.best_estimator_, X)
    if isinstance(estimator, Pipeline):
        if len(estimator) > 1:
            X = estimator[:-1].transform(X)
        return embed(estimator[-1], X)
    return _dense(X)


def _dense(X):
    if issparse(X):
        return X.toarray()
    return X if hasattr(X, "detach") else np.asarray(X)
