"""Figures of learning curves: labels they need, the area under them, how two of them differ."""

import math
import numbers
from collections.abc import Hashable, Sequence

import numpy as np

from ..utils._check_params import naming
from ..utils._missing_label import is_missing

METHOD = ("estimator", "strategy")
_LARGEST = 1e100  # of scores and numbers of labels; squares of larger ones are infinite


def labels_to_reach(results, targets, *, method=METHOD):
    """Count the labels with which each run first reaches each of some scores.

    Nothing is interpolated: a run needs as many labels as its first round with
    the score had.

    .. versionadded:: 0.1

    Parameters
    ----------
    results : pandas.DataFrame
        Result of `simulate`, or any table with the columns of `method`, "seed",
        "n_labels" and "score".
    targets : float or sequence of float
        Scores to reach.
    method : sequence of str, default=("estimator", "strategy")
        Columns that tell a run, beside its seed.

    Returns
    -------
    labels : pandas.DataFrame
        One row per run and target, with the columns of `method`, "seed",
        "target" and "labels", which is inf where the target is not reached.

    Raises
    ------
    ValueError
        If columns, scores or targets are missing, or a run has two scores for
        as many labels.

    See Also
    --------
    area_under_curve : The mean score of a curve.

    Examples
    --------
    >>> import pandas as pd
    >>> from skactivekd import labels_to_reach
    >>> results = pd.DataFrame({
    ...     "estimator": "student", "strategy": "random", "seed": [0, 0, 1, 1],
    ...     "n_labels": [10, 20, 10, 20], "score": [0.5, 0.7, 0.6, 0.8],
    ... })
    >>> labels_to_reach(results, [0.6, 0.75])[["seed", "target", "labels"]]
       seed  target  labels
    0     0    0.60    20.0
    1     1    0.60    10.0
    2     0    0.75     inf
    3     1    0.75    20.0
    """
    import pandas as pd

    run, targets = [*check_columns(method, "method"), "seed"], check_targets(targets)
    results = check_rows(results, [*run, "n_labels"])
    runs = results[run].drop_duplicates()
    tables = []
    for target in targets:
        there = results[results["score"] >= target]
        first = there.groupby(run)["n_labels"].min().rename("labels").reset_index()
        table = runs.merge(first, on=run, how="left").fillna({"labels": math.inf})
        table.insert(len(run), "target", float(target))
        tables.append(table.astype({"labels": float}))
    return pd.concat(tables, ignore_index=True)


def area_under_curve(results, *, method=METHOD):
    """Average each run's score over its labels, by the trapezoidal rule.

    .. versionadded:: 0.1

    Parameters
    ----------
    results : pandas.DataFrame
        Result of `simulate`, or any table with the columns of `method`, "seed",
        "n_labels" and "score".
    method : sequence of str, default=("estimator", "strategy")
        Columns that tell a run, beside its seed.

    Returns
    -------
    areas : pandas.DataFrame
        One row per run, with the columns of `method`, "seed" and "area", in the
        unit of the scores. A run of one round has its score.

    Raises
    ------
    ValueError
        If columns or scores are missing, or a run has two scores for as many
        labels.

    See Also
    --------
    labels_to_reach : Labels until a score is reached.
    rank_table : Mean ranks over settings.

    Examples
    --------
    >>> import pandas as pd
    >>> from skactivekd import area_under_curve
    >>> results = pd.DataFrame({
    ...     "estimator": "student", "strategy": "random", "seed": 0,
    ...     "n_labels": [10, 20, 40], "score": [0.5, 0.7, 0.7],
    ... })
    >>> area_under_curve(results)["area"].round(4).tolist()
    [0.6667]
    """
    import pandas as pd

    run = [*check_columns(method, "method"), "seed"]
    results = check_rows(results, [*run, "n_labels"])
    rows = [(*key, _area(curve)) for key, curve in results.groupby(run, sort=False)]
    return pd.DataFrame(rows, columns=[*run, "area"])


def _area(curve):
    curve = curve.sort_values("n_labels")
    labels, scores = curve["n_labels"].to_numpy(float), curve["score"].to_numpy(float)
    if len(scores) == 1:
        return scores[0]
    return np.trapezoid(scores, labels) / (labels[-1] - labels[0])


def paired_difference(values, others):
    """Compare two series of figures, seed by seed.

    Parameters
    ----------
    values, others : pandas.Series
        Indexed by seed, with the same seeds.

    Returns
    -------
    difference : float
        Mean of ``values - others``.
    standard_error : float
        nan for one seed.

    Examples
    --------
    >>> import pandas as pd
    >>> from skactivekd.metrics._curves import paired_difference
    >>> paired_difference(pd.Series([0.5, 1.0, 1.5]), pd.Series([0.0, 0.0, 0.0]))[0]
    1.0
    """
    differences = values - others
    return float(differences.mean()), float(differences.sem())


def verdict(difference, standard_error):
    """Say whether a paired difference is more than chance.

    Parameters
    ----------
    difference, standard_error : float
        Of `paired_difference`.

    Returns
    -------
    verdict : {"gain", "no gain", "loss", "cannot tell"}
        A gain or loss exceeds two standard errors; one seed has none, and
        cannot tell.

    Examples
    --------
    >>> from skactivekd.metrics._curves import verdict
    >>> verdict(0.03, 0.01), verdict(0.03, 0.02), verdict(-0.03, 0.01)
    ('gain', 'no gain', 'loss')
    """
    if math.isnan(standard_error):
        return "cannot tell"
    if abs(difference) <= max(2 * standard_error, 1e-12):  # sums of scores are rounded
        return "no gain"
    return "gain" if difference > 0 else "loss"


def check_targets(targets):
    """Return scores to reach as an array of floats."""
    with naming("targets"):
        targets = np.atleast_1d(np.asarray(targets))
    if targets.ndim > 1 or not len(targets) or targets.dtype.kind not in "fiu":
        raise ValueError(f"targets must be one or more scores, got {targets.tolist()}")
    if not np.isfinite(targets).all():
        raise ValueError(f"targets must be one or more scores, got {targets.tolist()}")
    return targets.astype(float)


def check_columns(names, argument):
    """Return names of columns as a list; one name stands for itself.

    Raises
    ------
    TypeError
        If they are no strings.
    ValueError
        If there is none, or one comes twice.
    """
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{argument} must be a list of names of columns, got {names!r}")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"{argument} must name at least one column, and none twice, got {names!r}")
    return list(names)


def check_rows(results, keys):
    """Return a table whose rows are told apart by `keys`, in columns as numpy has them.

    Parameters
    ----------
    results : pandas.DataFrame
    keys : sequence of str
        Columns that are there and never missing. "n_labels" holds numbers.

    Returns
    -------
    results : pandas.DataFrame
        A copy. Categories and pandas' nullable types, by which groups and
        comparisons differ, have become what they hold.

    Raises
    ------
    TypeError
        If `results` is no data frame.
    ValueError
        If columns or scores are missing, "n_labels" or "score" are no numbers,
        or two rows have the same keys.
    """
    if not hasattr(results, "iloc") or not hasattr(results, "columns"):
        raise TypeError(f"results must be a pandas.DataFrame, got {type(results).__name__}")
    missing = [name for name in [*keys, "score"] if name not in results.columns]
    if missing:
        raise ValueError(f"results have no column {missing}, only {results.columns.tolist()}")
    twice = results.columns[results.columns.duplicated()]
    if len(twice):
        raise ValueError(f"results have the column {twice[0]!r} more than once")
    if not len(results):
        raise ValueError("results have no rows")
    results = results.reset_index(drop=True)
    for key in keys:
        if results[key].isna().any():
            row = int(np.flatnonzero(results[key].isna())[0])
            raise ValueError(f"row {row} of results has no {key}; give it a name of its own")
        if not isinstance(results[key].dtype, np.dtype):
            results[key] = np.asarray(results[key].tolist())
        odd = [not isinstance(value, Hashable) for value in results[key]]
        if any(odd):
            row = odd.index(True)
            raise ValueError(f"row {row} of results has {results[key].iloc[row]!r} for {key}")
    for name in {"n_labels", "score"} & {*keys, "score"}:
        results[name] = check_numbers(results[name], name)
        bad = ~(np.abs(results[name].to_numpy(dtype=float)) < _LARGEST)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise ValueError(f"row {row} of results has the {name} {results[name].iloc[row]}")
    twice = results.duplicated(keys)
    if twice.any():
        row = int(np.flatnonzero(twice)[0])
        raise ValueError(
            f"row {row} of results repeats {name_row(results.iloc[row], keys)}; is there another "
            "column that tells them apart, so that one part has to be chosen first?"
        )
    return results


def check_numbers(column, name):
    """Return a column of numbers in a dtype of numpy; text is refused, which sorts otherwise."""
    values = column.tolist()
    for row, value in enumerate(values):
        if isinstance(value, bool) or not (
            isinstance(value, numbers.Real) or is_missing([value], np.nan)[0]
        ):
            raise ValueError(
                f"row {row} of results has {value!r} for {name}, a {type(value).__name__}, not a "
                f"number; pandas.to_numeric(results[{name!r}]) makes numbers of text"
            )
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iuf":
        return column
    return column.to_numpy(dtype=float, na_value=np.nan)


def name_row(row, keys):
    """Write the keys of a row for an error message."""
    return ", ".join(f"{key}={row[key]}" for key in keys)
