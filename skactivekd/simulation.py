"""Active learning played through on data whose labels are known."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.metrics import check_scoring
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _num_samples
from tqdm.auto import tqdm

from ._labels import as_labels, is_missing
from .query import Random

__all__ = ["simulate"]


def simulate(
    estimator,
    X,
    y,
    *,
    X_test,
    y_test,
    strategies=(),
    n_rounds=8,
    n_instances=10,
    n_initial=None,
    seeds=3,
    scoring=None,
    missing_label=-1,
    n_jobs=None,
    progress=True,
):
    """Measure accuracy against labels spent, for several strategies and seeds.

    Each run starts from the same few labels of its seed, fits a clone of the
    estimator on the whole pool (unlabelled rows marked), scores it, lets the
    strategy query, reveals those labels, and so on. Random selection always
    takes part.

    Parameters
    ----------
    estimator : estimator or dict of str to estimator
        Classifier with ``predict_proba`` that takes unlabelled rows in ``fit``,
        such as ``make_pipeline(TeacherProba(teacher), DHOClassifier())``.
        A dict compares several under its names.
    X : array-like, sparse matrix or sequence of shape (n_samples, ...)
        The pool.
    y : array-like of shape (n_samples,)
        All its labels, revealed as they are queried.
    X_test, y_test : array-like
        What the models are scored on; the strategies never see it.
    strategies : list of query strategies, or dict of str to strategy, default=()
        A list is named after the classes. `Random` joins where it is missing.
    n_rounds : int, default=8
        Models trained per run; there is a query between each and the next.
    n_instances : int, default=10
        Labels bought by a query.
    n_initial : int, default=None
        Random rows labelled at the start, 0 for none. None: one row of each
        class.
    seeds : int or sequence of int, default=3
        Runs per strategy. A seed governs the initial labels, the estimator
        and the strategy; an int n means seeds 0 to n - 1.
    scoring : str, callable or None, default=None
        As in ``cross_val_score``; None is the estimator's ``score``.
    missing_label : int, float nan, str or None, default=-1
        The marker that estimator and strategies use for unlabelled rows.
    n_jobs : int, default=None
        Runs at a time, each in a process of its own; -1 is one per core. On
        small networks this pays more than the threads it takes away.
    progress : bool, default=True
        Show a progress bar on standard error.

    Returns
    -------
    results : pandas.DataFrame
        One row per estimator, strategy, seed and round, with the columns
        "estimator", "strategy", "seed", "round", "n_labels" and "score".

    Raises
    ------
    ValueError
        If y misses labels, or the pool is too small for the rounds.

    See Also
    --------
    LabelEfficiencyDisplay : Plots the results.

    References
    ----------
    .. [1] The rounds of "PCoreSet: Effective Active Learning through Knowledge
       Distillation from Vision-Language Models", arXiv:2506.00910.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skactivekd import DHOClassifier, DHONet, Entropy, simulate
    >>> X, y = load_iris(return_X_y=True)
    >>> results = simulate(
    ...     DHOClassifier(DHONet(max_epochs=5)), X[::2], y[::2], X_test=X[1::2], y_test=y[1::2],
    ...     strategies=[Entropy()], n_rounds=2, n_instances=3, seeds=1, progress=False,
    ... )
    >>> results[["strategy", "seed", "round", "n_labels"]]
      strategy  seed  round  n_labels
    0  entropy     0      0         3
    1  entropy     0      1         6
    2   random     0      0         3
    3   random     0      1         6
    """
    y = as_labels(y)
    estimators = estimator if isinstance(estimator, Mapping) else {"estimator": estimator}
    strategies = _with_random(strategies, missing_label)
    seeds = range(seeds) if isinstance(seeds, int) else seeds
    _check_pool(X, y, n_rounds, n_instances, n_initial, missing_label)
    runs = [(name, label, seed) for name in estimators for label in strategies for seed in seeds]
    jobs = (
        delayed(_run)(
            estimators[name],
            strategies[label],
            seed,
            (X, y, X_test, y_test),
            (n_initial, n_rounds, n_instances, missing_label, scoring),
        )
        for name, label, seed in runs
    )
    curves = Parallel(n_jobs=n_jobs, return_as="generator")(jobs)
    curves = tqdm(curves, total=len(runs), disable=not progress, unit="run")
    rows = [
        (*run, number, n_labels, score)
        for run, curve in zip(runs, curves, strict=True)
        for number, (n_labels, score) in enumerate(curve)
    ]
    columns = ["estimator", "strategy", "seed", "round", "n_labels", "score"]
    return pd.DataFrame(rows, columns=columns)


def _run(estimator, strategy, seed, data, plan):
    """Play one seed of one strategy; return (n_labels, score) of each round."""
    X, y, X_test, y_test = data
    n_initial, n_rounds, n_instances, missing_label, scoring = plan
    model, strategy = _seeded_clone(estimator, seed), _seeded_clone(strategy, seed)
    start = initial_rows(y, n_initial, seed)
    scorer = check_scoring(model, scoring)
    rounds = play(model, strategy, X, y, start, n_rounds, n_instances, missing_label)
    return [(len(labeled), scorer(fitted, X_test, y_test)) for fitted, labeled in rounds]


def play(estimator, strategy, X, y, start, n_rounds, n_instances, missing_label=-1):
    """Run the rounds of one active learner.

    Parameters
    ----------
    estimator : estimator
        Refitted in each round.
    strategy : query strategy
        Asked between the rounds.
    X : array-like of shape (n_samples, ...)
        The pool.
    y : ndarray of shape (n_samples,)
        All its labels.
    start : ndarray of int
        Rows labelled at the start.
    n_rounds, n_instances : int
        Models to train, and labels bought before each but the first.
    missing_label : int, float nan, str or None, default=-1
        The marker of unlabelled rows.

    Yields
    ------
    estimator : estimator
        Fitted on the labels so far.
    labeled : ndarray of int
        The labelled rows, in the order they were bought.
    """
    labeled = np.asarray(start, dtype=np.int64)
    for number in range(n_rounds):
        known = hide_labels(y, labeled, missing_label)
        if number:
            picks = strategy.query(X, known, estimator, n_instances=n_instances)
            labeled = np.concatenate([labeled, picks])
            known = hide_labels(y, labeled, missing_label)
        yield estimator.fit(X, known), labeled


def hide_labels(y, labeled, missing_label=-1):
    """Return labels of which only some rows are known.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        All labels.
    labeled : array-like of int
        The rows to show.
    missing_label : int, float nan, str or None, default=-1
        What the others carry.

    Returns
    -------
    known : ndarray of shape (n_samples,)
        Of dtype object where y's own cannot hold `missing_label`.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.simulation import hide_labels
    >>> hide_labels(np.array([3, 1, 2]), [2])
    array([-1, -1,  2])
    >>> hide_labels(np.array(["a", "b"]), [0], missing_label=None)
    array(['a', None], dtype=object)
    """
    numeric = y.dtype.kind in "iuf" and isinstance(missing_label, int | float)
    dtype = np.result_type(y.dtype, np.min_scalar_type(missing_label)) if numeric else object
    known = np.full(len(y), missing_label, dtype=dtype)
    known[labeled] = y[labeled]
    return known


def initial_rows(y, n_initial=None, seed=0):
    """Draw the rows that are labelled before the first query.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        All labels.
    n_initial : int, default=None
        Number of rows; None draws one of each class.
    seed : int, default=0
        Governs the draw.

    Returns
    -------
    rows : ndarray of int
    """
    rng = np.random.RandomState(seed)
    if n_initial is not None:
        return rng.permutation(len(y))[:n_initial]
    return np.array([rng.choice(np.flatnonzero(y == label)) for label in np.unique(y)])


def _with_random(strategies, missing_label):
    """Name the strategies, and put random selection among them."""
    if not isinstance(strategies, Mapping):
        names = [type(strategy).__name__.lower() for strategy in strategies]
        if len(set(names)) < len(names):
            raise ValueError(
                f"Two strategies share a name in {names}; pass a dict of name: strategy."
            )
        strategies = dict(zip(names, strategies, strict=True))
    if any(isinstance(strategy, Random) for strategy in strategies.values()):
        return strategies
    return {**strategies, "random": Random(missing_label=missing_label)}


def _seeded_clone(estimator, seed):
    """Clone, with every random_state inside set from one seed."""
    estimator = clone(estimator)
    rng = np.random.RandomState(seed)
    names = [
        name for name in sorted(estimator.get_params()) if name.split("__")[-1] == "random_state"
    ]
    return estimator.set_params(**{name: int(rng.randint(2**31 - 1)) for name in names})


def _check_pool(X, y, n_rounds, n_instances, n_initial, missing_label):
    if len(y) != _num_samples(X):
        raise ValueError(f"X has {_num_samples(X)} rows, but y has {len(y)}.")
    missing = is_missing(y, missing_label)
    if missing.any():
        raise ValueError(
            f"A simulation needs every label, but y misses {int(missing.sum())}, the first in row "
            f"{int(np.flatnonzero(missing)[0])}."
        )
    start = len(np.unique(y)) if n_initial is None else n_initial
    needed = start + (n_rounds - 1) * n_instances
    if needed > len(y):
        raise ValueError(
            f"{n_rounds} rounds of {n_instances} labels after {start} need {needed} rows, but the "
            f"pool has {len(y)}."
        )
