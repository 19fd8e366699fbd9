"""modAL's active learner, working on every supported scikit-learn."""

import numpy as np
import pandas as pd
import scipy.sparse as sp
from modAL.models import ActiveLearner as _ModALActiveLearner

from ._take_rows import find_rows, n_rows, take_rows
from .query import PCoreSet
from .utils._check_params import naming, refuse_mask
from .utils._missing_label import is_missing

__all__ = ["ActiveLearner"]


class ActiveLearner(_ModALActiveLearner):
    """The `ActiveLearner` of modAL, kept working on current scikit-learn and pandas.

    modAL validates with an argument scikit-learn 1.8 removed and stacks
    DataFrames with a method pandas 2 removed. Here the estimator validates,
    and only the number of rows is checked beforehand. Everything else is
    modAL's, and the picks are the same.

    .. versionadded:: 0.1

    Parameters
    ----------
    estimator : estimator
        Trained by the constructor if `X_training` is given.
    query_strategy : callable, default=None
        Called as ``query_strategy(learner, X_pool, **kwargs)``: any strategy
        of skactivekd or of modAL. None means `PCoreSet()`.
    X_training : ndarray, sparse matrix, DataFrame or list, default=None
        Initial samples; the whole pool if the estimator learns from unlabeled
        rows too.
    y_training : array-like of shape (n_samples,), default=None
        Their labels; unlabeled rows carry the missing label of the estimator
        and of the strategy.
    bootstrap_init : bool, default=False
        Train the first time on a bootstrap of the initial samples, drawn by
        numpy's global generator, as modAL does.
    on_transformed : bool, default=False
        Whether modAL's own strategies see what the pipeline makes of X.
    **fit_kwargs : dict
        Passed to ``estimator.fit`` in the constructor.

    See Also
    --------
    skactivekd.query.QueryStrategy : What the strategies of the package have in common.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skactivekd.modal import ActiveLearner
    >>> X = np.arange(10.0)[:, None]
    >>> learner = ActiveLearner(LogisticRegression(), X_training=X[[0, 9]], y_training=[0, 1])
    >>> indices, samples = learner.query(X, n_instances=2)
    >>> learner.teach(samples, [0, 1])
    >>> len(learner.y_training)
    4
    """

    def __init__(
        self,
        estimator,
        query_strategy=None,
        X_training=None,
        y_training=None,
        bootstrap_init=False,
        on_transformed=False,
        **fit_kwargs,
    ):
        super().__init__(
            estimator,
            PCoreSet() if query_strategy is None else query_strategy,
            X_training,
            y_training,
            bootstrap_init,
            on_transformed,
            **fit_kwargs,
        )

    def query(self, X_pool, *query_args, **query_kwargs):
        """Choose samples of the pool.

        Parameters
        ----------
        X_pool : ndarray, sparse matrix, DataFrame or list
            Samples to choose from.
        *query_args, **query_kwargs
            Passed to the strategy, e.g. ``n_instances``.

        Returns
        -------
        indices : ndarray of int
            Rows of `X_pool` in order of selection.
        samples : same type as X_pool
            Those rows.
        """
        result = self.query_strategy(self, X_pool, *query_args, **query_kwargs)
        indices = result[0] if isinstance(result, tuple) else result
        return indices, take_rows(X_pool, indices)

    def fit(self, X, y, bootstrap=False, **fit_kwargs):
        """Forget all samples seen so far and train on these.

        Parameters
        ----------
        X, y : array-like
            Samples and labels.
        bootstrap : bool, default=False
            Train on a bootstrap of them.
        **fit_kwargs : dict
            Passed to ``estimator.fit``.

        Returns
        -------
        self : ActiveLearner
        """
        _check_lengths(X, y)
        self.X_training, self.y_training = X, y
        return self._fit_to_known(bootstrap=bootstrap, **fit_kwargs)

    def teach(self, X, y, bootstrap=False, only_new=False, **fit_kwargs):
        """Add labeled samples and train again.

        A sample that is among the known ones without a label gets its label
        there, so that the pool stays as it is and no sample counts twice: what
        was distilled on it is found again. All others are added at the end.

        Parameters
        ----------
        X, y : array-like
            Samples and their labels.
        bootstrap : bool, default=False
            Train on a bootstrap of the samples.
        only_new : bool, default=False
            Train on these samples alone; they are remembered all the same.
        **fit_kwargs : dict
            Passed to ``estimator.fit``.
        """
        self._add_training_data(X, y)
        if only_new:
            self._fit_on_new(X, y, bootstrap=bootstrap, **fit_kwargs)
        else:
            self._fit_to_known(bootstrap=bootstrap, **fit_kwargs)

    def _add_training_data(self, X, y):
        _check_lengths(X, y)
        if self.X_training is not None:
            X, y = self._joined(X, y)
        self.X_training, self.y_training = X, y

    def _joined(self, X, y):
        """Put labels where the known samples lack them, and other samples below these."""
        known_X, known_y, n = self.X_training, self.y_training, n_rows(self.X_training)
        all_X, all_y = _stack(known_X, X, "X"), _stack(known_y, y, "y")
        places = self._places_of(X)
        if (places < 0).all():
            return all_X, all_y
        others = n + np.flatnonzero(places < 0)
        source = np.arange(n)
        source[places[places >= 0]] = n + np.flatnonzero(places >= 0)
        index = getattr(all_y, "index", None)
        all_y = take_rows(all_y, np.append(source, others))
        rows = np.append(np.arange(n), others)
        if isinstance(all_y, (pd.DataFrame, pd.Series)):
            all_y.index = index[rows]
        return (take_rows(all_X, rows) if len(others) else known_X), all_y

    def _places_of(self, X):
        """Find samples among the known ones that have no label yet; -1 where there is none."""
        marker = _marker(self.estimator, self.query_strategy)
        if marker is _NO_MARKER or np.ndim(self.y_training) != 1:
            return np.full(n_rows(X), -1)
        unlabeled = np.flatnonzero(is_missing(self.y_training, marker))
        return find_rows(self.X_training, unlabeled, X)

    def _fit_to_known(self, bootstrap=False, **fit_kwargs):
        return self._fit_on_new(self.X_training, self.y_training, bootstrap, **fit_kwargs)

    def _fit_on_new(self, X, y, bootstrap=False, **fit_kwargs):
        _check_lengths(X, y)
        if bootstrap:
            # modAL draws from the same generator: np.random.seed governs both.
            rows = np.random.choice(range(n_rows(X)), n_rows(X), replace=True)  # noqa: NPY002
            X, y = take_rows(X, rows), take_rows(y, rows)
        self.estimator.fit(X, y, **fit_kwargs)
        return self


_NO_MARKER = object()


def _marker(estimator, strategy):
    """Return the missing label of an estimator, or else of a strategy."""
    params = estimator.get_params() if hasattr(estimator, "get_params") else {}
    for name in sorted(params, key=len):
        if name.split("__")[-1] == "missing_label":
            return params[name]
    return getattr(strategy, "missing_label", _NO_MARKER)


def _check_lengths(X, y):
    if y is None:
        raise ValueError("X comes without y; pass one label for each row of X.")
    if n_rows(X) != n_rows(y, "y"):
        raise ValueError(f"X has {n_rows(X)} rows but y has {n_rows(y)} labels.")


def _stack(known, new, name):
    """Put new rows below the known ones, in the container of the known ones."""
    refuse_mask(new, name)
    if sp.issparse(new) and np.ndim(known) == 1:
        raise ValueError(f"{name} is a sparse matrix; pass one label for each row of X.")
    if sp.issparse(known) or sp.issparse(new):
        return sp.vstack([known, new], format=known.format if sp.issparse(known) else "csr")
    if isinstance(known, (pd.DataFrame, pd.Series)):
        return _stack_pandas(known, new, name)
    if isinstance(known, (list, tuple)) and not isinstance(new, (pd.DataFrame, dict, set)):
        return type(known)([*known, *new])
    if isinstance(known, np.ndarray):
        with naming(name):
            return _stack_arrays(known, np.asarray(new), name)
    raise TypeError(f"Cannot add {name} of type {type(new)} to known rows of type {type(known)}.")


def _stack_pandas(known, new, name):
    if not isinstance(new, type(known)):
        like = {"columns": known.columns} if known.ndim == 2 else {}
        new = type(known)(new, **like)
    if known.ndim == 2 and set(known.columns) != set(new.columns):
        raise ValueError(f"{name} has columns {list(new.columns)}, not {list(known.columns)}.")
    return pd.concat([known, new])


def _stack_arrays(known, new, name):
    if known.shape[1:] != new.shape[1:]:
        raise ValueError(
            f"{name} has shape {new.shape}, which does not go below the known {known.shape}; "
            "pass rows, e.g. X_pool[indices]."
        )
    kinds = {known.dtype.kind, new.dtype.kind}
    if kinds & set("US") and kinds - set("USO"):  # numpy would make strings of the numbers
        raise TypeError(f"{name} has dtype {new.dtype}, but the known rows have {known.dtype}.")
    return np.concatenate([known, new])
