"""What the student sees of a pool, made once, so that it can follow each answer at once."""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin


class Prepared(TransformerMixin, BaseEstimator):
    """Pipeline step that knows a pool's rows already, as the student takes them.

    A step of scikit-learn would be fitted again after each answer, and a student of files would
    read them again. Clones are the step itself.

    Parameters
    ----------
    X : list of str or DataFrame
        The pool.
    rows : ndarray of shape (n, ...)
        The same as the student takes it.
    prepare : callable
        Makes such rows of others than those of the pool.
    """

    def __init__(self, X, rows, prepare):
        self.pool, self.rows, self.prepare = X, rows, prepare
        self.place = {key: place for place, key in enumerate(_keys(X))}

    def __sklearn_clone__(self):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def get_params(self, deep=True):
        """Return no parameters: there is nothing to search."""
        return {}

    def fit(self, X, y=None):
        """Do nothing."""
        return self

    def transform(self, X):
        """Return rows as the student takes them.

        Parameters
        ----------
        X : list of str or DataFrame

        Returns
        -------
        rows : ndarray of shape (n, ...)
        """
        if X is self.pool:
            return self.rows
        places = [self.place.get(key) for key in _keys(X)]
        if None in places:
            return self.prepare(X)
        return self.rows[np.array(places, dtype=int)]


def _keys(X):
    """What tells the rows: of a table the place, which parts of it keep."""
    return X.index.tolist() if hasattr(X, "index") and hasattr(X, "columns") else list(X)
