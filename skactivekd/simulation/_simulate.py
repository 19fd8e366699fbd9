"""Active learning played through on data whose labels are known."""

import numbers
import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd
from joblib import effective_n_jobs
from sklearn.base import clone
from sklearn.metrics import check_scoring, get_scorer
from sklearn.utils.parallel import Parallel, delayed
from tqdm.auto import tqdm

from .._interrupts import noticed_interrupts
from .._played_rounds import check_bought, hide_labels, initial_rows, play, play_on  # noqa: F401
from .._take_rows import n_rows
from ..query import Random
from ..utils._check_params import check_flag, check_integer, naming
from ..utils._digest import digest, digest_rows
from ..utils._labels import check_labels
from ._journal import Journal, Round

__all__ = ["simulate"]

_MOST_SEEDS = 10**6  # of runs that nobody waits for


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
    store=None,
):
    """Measure accuracy against labels spent, for several strategies and seeds.

    Each run starts from the same few labels of its seed, fits a clone of the
    estimator on the whole pool (unlabeled rows marked), scores it, lets the
    strategy query, reveals those labels, and so on. Random selection always
    takes part.

    .. versionadded:: 0.1

    Parameters
    ----------
    estimator : estimator or dict of str to estimator
        Classifier with ``predict_proba`` that takes unlabeled rows in ``fit``,
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
        Random rows labeled at the start, 0 for none. None: one row of each
        class.
    seeds : int or sequence of int, default=3
        Runs per strategy. A seed governs the initial labels, the estimator
        and the strategy; an int n means seeds 0 to n - 1.
    scoring : str, callable or None, default=None
        As in ``cross_val_score``; None is the estimator's ``score``.
    missing_label : int, float nan, str or None, default=-1
        The marker that estimator and strategies use for unlabeled rows.
    n_jobs : int, default=None
        Runs at a time, each in a process of its own; -1 is one per core. On
        small networks this pays more than the threads it takes away.
    progress : bool, default=True
        Show a progress bar on standard error.
    store : str or path, default=None
        CSV file that keeps every finished round, so that the same call goes on
        after a kill or an interrupt and fits nothing twice, except where
        ``warm_start=True`` makes a model depend on those before it. Simulations
        under other names may write to the same file, also at the same time.
        "~" is the home folder; missing folders are made.

    Returns
    -------
    results : pandas.DataFrame
        One row per estimator, strategy, seed and round, with the columns
        "estimator", "strategy", "seed", "round", "n_labels" and "score".

    Raises
    ------
    ValueError
        If y misses labels, the pool is too small for the rounds, a count is
        too small, a seed comes twice, two strategies share a name, a strategy
        does not return `n_instances` different unlabeled rows, or `store` holds
        runs of these names with other parameters, samples, labels or scoring,
        or lines that were edited.
    TypeError
        If a count or a seed is no integer, or a strategy has no ``query``.
    OSError
        If `store` cannot be written and rounds are missing from it, or `n_jobs`
        is more than one and its file system has no locks.
    KeyboardInterrupt
        At an interrupt, also where the estimator swallows it. The round that was
        not finished is not stored.

    Warns
    -----
    UserWarning
        If the file system of `store` has no locks.

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
    y, labeled = check_labels(y, missing_label, n_rows=n_rows(X))
    y_test, _ = check_labels(
        y_test, missing_label, name="y_test", classes=np.unique(y), n_rows=n_rows(X_test, "X_test")
    )
    estimators = estimator if isinstance(estimator, Mapping) else {"estimator": estimator}
    if not estimators:
        raise ValueError("estimator is an empty dict: there is nothing to play.")
    strategies = _with_random(strategies, missing_label)
    seeds = _check_seeds(seeds)
    for name, value, least in (
        ("n_rounds", n_rounds, 1),
        ("n_instances", n_instances, 1),
        ("n_initial", 0 if n_initial is None else n_initial, 0),
    ):
        check_integer(value, name, least)
    if n_jobs is not None:
        check_integer(n_jobs, "n_jobs", -(2**15), 2**15)  # as many as operating systems have
        if n_jobs == 0:
            raise ValueError("n_jobs must not be 0; -1 is one per core.")
    check_flag(progress, "progress")
    _check_scoring(scoring)
    _check_pool(y, labeled, n_rounds, n_instances, n_initial)
    runs = [(name, label, seed) for name in estimators for label in strategies for seed in seeds]
    plan = (n_initial, n_rounds, n_instances, missing_label, scoring)
    rounds, journal = {run: [] for run in runs}, None
    if store is not None:
        samples = digest(digest_rows(X, "X"), digest_rows(X_test, "X_test"))
        journal = Journal(store, _settings(estimators, strategies, y, y_test, plan, samples))
        rounds = journal.load(runs)
        _check_stored(rounds, y, n_initial, n_instances, journal.path)
    todo = [run for run in runs if len(rounds[run]) < n_rounds]
    if journal is not None and todo:
        _check_writable(journal, effective_n_jobs(n_jobs))
    jobs = (
        delayed(_run)(
            estimators[name],
            strategies[label],
            (name, label, seed),
            (X, y, X_test, y_test),
            plan,
            rounds[name, label, seed],
            journal and journal.save,
        )
        for name, label, seed in todo
    )
    with noticed_interrupts() as interrupts:
        interrupts.hold()  # joblib cannot stop a thread that is just being started
        # Whatever ends this block also ends the processes at work.
        with Parallel(n_jobs=n_jobs, return_as="generator") as parallel:
            try:
                curves = parallel(jobs)
                interrupts.release()
                curves = tqdm(curves, total=len(todo), disable=not progress, unit="run")
                for run, curve in zip(todo, curves, strict=True):
                    interrupts.check()
                    rounds[run] = curve
            finally:
                if journal is not None:
                    journal.close()
    rows = [
        (*run, number, finished.n_labels, finished.score)
        for run in runs
        for number, finished in enumerate(rounds[run][:n_rounds])
    ]
    columns = ["estimator", "strategy", "seed", "round", "n_labels", "score"]
    return pd.DataFrame(rows, columns=columns)


def _run(estimator, strategy, run, data, plan, past, save):
    """Play what one seed of one strategy still lacks; return all its rounds."""
    *_, label, seed = run
    X, y, X_test, y_test = data
    n_initial, n_rounds, n_instances, missing_label, scoring = plan
    model, strategy = _seeded_clone(estimator, seed), _seeded_clone(strategy, seed)
    scorer = check_scoring(model, scoring)
    past = [] if _learns_on(model) else past
    queries = [finished.queried for finished in past if len(finished.queried)]
    bought = [initial_rows(y, n_initial, seed), *queries]
    turns = play_on(model, strategy, X, y, bought, n_rounds, n_instances, missing_label, label)
    done = list(past)
    with noticed_interrupts() as interrupts:
        for number, (fitted, labeled, picks) in enumerate(turns, start=len(queries)):
            if number < len(past):  # it was the last, and is only asked
                score = past[number].score
            else:
                score = float(scorer(fitted, X_test, y_test))
            interrupts.check()  # the model may be half-trained
            done[number:] = [Round(len(labeled), score, picks)]
            if save is not None:
                save(run, number, done[number])
    return done


def _learns_on(model):
    """Tell whether a fit depends on the fits before it, so that none can be left out."""
    params = model.get_params().items()
    return any(name.split("__")[-1] == "warm_start" and value is True for name, value in params)


def _with_random(strategies, missing_label):
    """Name the strategies, and put random selection among them."""
    if not isinstance(strategies, Mapping):
        if hasattr(strategies, "query") or isinstance(strategies, str | type):
            raise TypeError(
                f"strategies must be a list or a dict of query strategies, got {strategies!r}."
            )
        with naming("strategies"):
            strategies = list(strategies)
        names = [type(strategy).__name__.lower() for strategy in strategies]
        if len(set(names)) < len(names):
            raise ValueError(
                f"Two strategies share a name in {names}; pass a dict of name: strategy."
            )
        strategies = dict(zip(names, strategies, strict=True))
    for name, strategy in strategies.items():
        if isinstance(strategy, type) or not hasattr(strategy, "query"):
            raise TypeError(
                f"Strategy {name!r} must be an object with query(X, y, estimator, n_instances), "
                f"such as Margin(), got {strategy!r}."
            )
    if any(isinstance(strategy, Random) for strategy in strategies.values()):
        return strategies
    return {**strategies, "random": Random(missing_label=missing_label)}


def _check_stored(rounds, y, n_initial, n_instances, path):
    """Refuse rounds of a file that cannot have been played."""
    for run, finished in rounds.items():
        start = initial_rows(y, n_initial, run[-1])
        fault = check_bought(finished, start, len(y), n_instances)
        if fault is not None:
            raise ValueError(
                f"{path} holds what was never played: in round {fault[0]} of {run} {fault[1]}. "
                "Restore its line, or remove the lines of this run to play it again."
            )


def _check_writable(journal, n_jobs):
    """Refuse to play rounds that could not be kept."""
    if journal.read_only is not None:
        raise OSError(
            journal.read_only.errno,
            "The store lacks rounds of this simulation and cannot be written; copy it to where "
            "it can, and pass the copy as store=",
            journal.path,
        ) from journal.read_only
    if journal.locked:
        return
    if n_jobs > 1:
        raise OSError(
            f"The file system of {journal.path} has no locks, so that {n_jobs} processes cannot "
            "write to it at once. Pass n_jobs=1, or a store= on a local disk."
        )
    warnings.warn(
        f"The file system of {journal.path} has no locks: let no other simulation write to it at "
        "the same time, or pass a store= on a local disk.",
        UserWarning,
        stacklevel=3,
    )


def _settings(estimators, strategies, y, y_test, plan, samples):
    """Digest what decides the scores of each estimator with each strategy, but for the seed.

    The samples stand by themselves, so that an error can tell what differs.
    """
    n_initial, _, n_instances, missing_label, scoring = plan
    common = (n_initial, n_instances, missing_label, scoring)
    labels = [values.tolist() for values in (y, y_test)]
    shared = digest(*common, *labels)
    return {
        (name, label): f"{digest(_seeded_clone(model, 0), _seeded_clone(strategy, 0), shared)}"
        f"-{samples}"
        for name, model in estimators.items()
        for label, strategy in strategies.items()
    }


def _seeded_clone(estimator, seed):
    """Clone, with every random_state inside set from one seed."""
    estimator = clone(estimator)
    rng = np.random.RandomState(seed)
    names = [
        name for name in sorted(estimator.get_params()) if name.split("__")[-1] == "random_state"
    ]
    return estimator.set_params(**{name: int(rng.randint(2**31 - 1)) for name in names})


def _check_seeds(seeds):
    """Return the seeds as a list of different ints, at least one."""
    if isinstance(seeds, numbers.Integral) and not isinstance(seeds, bool):
        check_integer(seeds, "seeds", 1, _MOST_SEEDS)
        return list(range(seeds))
    if isinstance(seeds, str | bytes) or not hasattr(seeds, "__iter__"):
        raise TypeError(f"seeds must be an integer or a list of integers, got {seeds!r}.")
    with naming("seeds"):
        seeds = list(seeds)
    seeds = [seed.item() if isinstance(seed, np.generic) else seed for seed in seeds]
    for seed in seeds:
        check_integer(seed, "seeds", 0, 2**32 - 1)  # numpy takes no larger one
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must hold at least one seed, and none twice, got {seeds}.")
    return seeds


def _check_scoring(scoring):
    if not (scoring is None or isinstance(scoring, str) or callable(scoring)):
        raise TypeError(f"scoring must be a name, a scorer or None, got {scoring!r}.")
    if isinstance(scoring, str):
        with naming("scoring"):
            get_scorer(scoring)


def _check_pool(y, labeled, n_rounds, n_instances, n_initial):
    if not labeled.all():
        raise ValueError(
            f"A simulation needs every label, but y misses {int((~labeled).sum())}, the first in "
            f"row {int(np.flatnonzero(~labeled)[0])}."
        )
    start = len(np.unique(y)) if n_initial is None else n_initial
    needed = start + (n_rounds - 1) * n_instances
    if needed > len(y):
        raise ValueError(
            f"{n_rounds} rounds of {n_instances} labels after {start} need {needed} rows, but the "
            f"pool has {len(y)}."
        )
