"""Was it worth it: what a simulation says about the labels saved."""

import math

import numpy as np

from ..metrics._curves import METHOD, area_under_curve, check_numbers, check_rows, labels_to_reach
from ..metrics._ranks import places, rank_table
from ._value_report import ValueReport

__all__ = [
    "ValueReport",
    "area_under_curve",
    "labels_to_reach",
    "places",
    "rank_table",
    "value_report",
]


def value_report(results, *, targets=None, baseline=None, random="random"):
    """Judge estimators and strategies by what `simulate` measured.

    A method is an estimator with a strategy. It is held against two
    references: a baseline, by default random selection without distillation,
    and random selection with its own estimator.

    .. versionadded:: 0.1

    Parameters
    ----------
    results : pandas.DataFrame
        Result of `simulate`.
    targets : float or sequence of float, default=None
        Scores of which to say how many labels they take. None: half, three
        quarters and nine tenths of the way from the baseline's first mean
        score to the best last one, rounded down.
    baseline : (str, str), default=None
        Estimator and strategy. None is "no distillation" with `random`, where
        the results have it, and otherwise no baseline.
    random : str, default="random"
        Name of random selection among the strategies.

    Returns
    -------
    report : ValueReport
        Printed, it reads in words and tables.

    Raises
    ------
    ValueError
        If a reference is missing, a score is not finite, or a method lacks a
        seed or a round that another has.

    See Also
    --------
    LabelEfficiencyDisplay : Plots the same results.
    rank_table, labels_to_reach, area_under_curve : For larger tables.

    Examples
    --------
    >>> import pandas as pd
    >>> from skactivekd import value_report
    >>> results = pd.DataFrame({
    ...     "estimator": "student", "strategy": ["margin"] * 4 + ["random"] * 4,
    ...     "seed": [0, 0, 1, 1] * 2, "round": [0, 1] * 4, "n_labels": [10, 20] * 4,
    ...     "score": [0.5, 0.9, 0.6, 0.9, 0.5, 0.8, 0.6, 0.7],
    ... })
    >>> report = value_report(results, targets=0.9)
    >>> report.gains[["strategy", "difference", "standard_error", "verdict"]].round(3)
      strategy  difference  standard_error verdict
    0   margin       0.075           0.025    gain
    >>> report.labels[["strategy", "labels", "n_reached"]]
      strategy  labels  n_reached
    0   margin    20.0          2
    1   random     NaN          0
    """
    results = _check_grid(results)
    methods = list(results[list(METHOD)].drop_duplicates().itertuples(index=False, name=None))
    if not isinstance(random, str):
        raise TypeError(f"random must be the name of a strategy, got {random!r}")
    if random not in set(results["strategy"]):
        raise ValueError(
            f"no strategy is called {random!r}; say in random= what random selection is called "
            f"among {results['strategy'].unique().tolist()}"
        )
    for estimator in dict(methods):
        if (estimator, random) not in methods:
            raise ValueError(f"estimator {estimator!r} has no strategy {random!r} to compare with")
    if baseline is None:
        usual = ("no distillation", random)
        baseline = usual if usual in methods else None
    elif not isinstance(baseline, tuple | list) or tuple(baseline) not in methods:
        raise ValueError(f"baseline={baseline!r} is not among the methods {methods}")
    baseline = None if baseline is None else tuple(baseline)
    if targets is None:
        targets = default_targets(results, baseline or (methods[0][0], random))
    return ValueReport(results, methods, targets, baseline, random)


def default_targets(results, reference):
    """Choose scores between a reference's first mean and the best last one.

    Parameters
    ----------
    results : pandas.DataFrame
    reference : (str, str)
        Estimator and strategy.

    Returns
    -------
    targets : ndarray of at most three floats
        Half, three quarters and nine tenths of the way, rounded down to what
        is about a hundredth of it.

    Examples
    --------
    >>> import pandas as pd
    >>> from skactivekd.simulation._make_value_report import default_targets
    >>> results = pd.DataFrame({
    ...     "estimator": "a", "strategy": "random", "round": [0, 1], "score": [0.2, 0.987],
    ... })
    >>> default_targets(results, ("a", "random")).tolist()
    [0.59, 0.79, 0.9]
    """
    means = results.groupby([*METHOD, "round"])["score"].mean()
    low = means.loc[reference].iloc[0]
    high = means[means.index.get_level_values("round") == results["round"].max()].max()
    if high - low <= 1e-12:
        return np.array([high])
    decimals = 1 - math.floor(math.log10(high - low))
    targets = low + (high - low) * np.array([0.5, 0.75, 0.9])
    return np.unique(np.round(np.floor(targets * 10**decimals) / 10**decimals, decimals))


def _check_grid(results):
    """Return results in which every method has the same seeds, rounds and numbers of labels."""
    results = check_rows(results, [*METHOD, "seed", "round"])
    results["round"] = check_numbers(results["round"], "round")
    results = check_rows(results, [*METHOD, "seed", "n_labels"])
    wide = results.pivot(index=["seed", "round"], columns=list(METHOD), values="score")
    gaps = np.argwhere(wide.isna().to_numpy())
    if len(gaps):
        (seed, number), method = wide.index[gaps[0][0]], wide.columns[gaps[0][1]]
        raise ValueError(
            f"estimator {method[0]!r} with strategy {method[1]!r} misses round {number} of seed "
            f"{seed} ({len(gaps)} such gaps); methods are compared where all have the same"
        )
    sizes = results.groupby("round")["n_labels"].agg(["min", "max"])
    uneven = sizes[sizes["min"] < sizes["max"]]
    if len(uneven):
        number, (low, high) = uneven.index[0], uneven.iloc[0]
        raise ValueError(
            f"round {number} has {low} labels in one run and {high} in another; methods are "
            "compared at the same numbers of labels"
        )
    return results
