"""Who comes first, over many settings."""

import numpy as np

from ._curves import check_columns, check_rows, name_row

_ROUNDING = 1e-12


def rank_table(results, *, settings=("estimator", "round"), competitor="strategy"):
    """Rank competitors within each setting, and sum up over the settings.

    Within a setting competitors are ranked by their mean score over the seeds.
    Equal means share their places: the two best of three have rank 1.5, and
    half a first place each. "Near first" is a competitor whose paired
    difference to the best, seed by seed, has a mean of at most its standard
    error; with one seed that is the best alone.

    .. versionadded:: 0.1

    Parameters
    ----------
    results : pandas.DataFrame
        Result of `simulate`, or any table with the columns `settings`,
        `competitor`, "seed" and "score".
    settings : sequence of str, default=("estimator", "round")
        Columns that together make a setting.
    competitor : str, default="strategy"
        Column of what is compared.

    Returns
    -------
    table : pandas.DataFrame
        Indexed by competitor, the lowest mean rank first, with the columns
        "mean_rank", "std_rank" (over settings; nan for one), "first" and
        "near_first" (shares of the settings), and "n_settings".

    Raises
    ------
    ValueError
        If a competitor is missing in a setting or for one of its seeds, or has
        two scores there.

    See Also
    --------
    area_under_curve : What is ranked.

    Examples
    --------
    >>> import pandas as pd
    >>> from skactivekd import rank_table
    >>> results = pd.DataFrame({
    ...     "task": ["digits"] * 4 + ["letters"] * 4, "strategy": ["margin", "random"] * 4,
    ...     "seed": [0, 0, 1, 1] * 2, "score": [0.8, 0.6, 0.9, 0.7, 0.5, 0.5, 0.7, 0.6],
    ... })
    >>> rank_table(results, settings=["task"])[["mean_rank", "first", "near_first"]]
              mean_rank  first  near_first
    strategy
    margin          1.0    1.0         1.0
    random          2.0    0.0         0.5
    """
    placed = places(results, settings=settings, competitor=competitor)
    groups = placed.groupby(competitor, sort=False)
    table = groups.agg(
        mean_rank=("rank", "mean"),
        std_rank=("rank", "std"),
        first=("first", "mean"),
        near_first=("near_first", "mean"),
        n_settings=("rank", "size"),
    )
    return table.sort_values("mean_rank", kind="stable")


def places(results, *, settings=("estimator", "round"), competitor="strategy"):
    """Rank competitors within each setting.

    Parameters
    ----------
    results, settings, competitor
        As for `rank_table`.

    Returns
    -------
    placed : pandas.DataFrame
        One row per setting and competitor, with their columns and "score" (the
        mean over seeds), "rank", "first" (the part of the first place it has)
        and "near_first" (1 or 0).

    Raises
    ------
    ValueError
        As for `rank_table`.

    Examples
    --------
    >>> import pandas as pd
    >>> from skactivekd.metrics._ranks import places
    >>> results = pd.DataFrame(
    ...     {"round": 0, "strategy": ["a", "b", "c"], "seed": 0, "score": [0.5, 0.9, 0.9]}
    ... )
    >>> places(results, settings=["round"])["rank"].tolist()
    [3.0, 1.5, 1.5]
    """
    import pandas as pd

    settings = check_columns(settings, "settings")
    if not isinstance(competitor, str):
        raise TypeError(f"competitor must be the name of a column, got {competitor!r}")
    if competitor in settings:
        raise ValueError(f"competitor={competitor!r} is among settings={settings}")
    results = check_rows(results, [*settings, competitor, "seed"])
    names = results[competitor].unique()
    wide = _wide(results, settings, competitor)[names]
    scores, keys = wide.to_numpy(float), wide.index.to_frame(index=False)
    tables = []
    for setting, rows in keys.groupby(settings, sort=False):
        table = _place(scores[rows.index])
        table.insert(0, competitor, names)
        for position, (column, value) in enumerate(zip(settings, setting, strict=True)):
            table.insert(position, column, value)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _wide(results, settings, competitor):
    """Put the competitors side by side, and see that none is missing anywhere."""
    wide = results.pivot(index=[*settings, "seed"], columns=competitor, values="score")
    gaps = np.argwhere(wide.isna().to_numpy())
    if len(gaps):
        row, column = gaps[0]
        where = name_row(wide.index.to_frame().iloc[row], [*settings, "seed"])
        raise ValueError(
            f"{competitor} {wide.columns[column]!r} has no score in {where} ({len(gaps)} such "
            "gaps); only competitors that took part in every setting with the same seeds can be "
            "ranked"
        )
    return wide


def _place(scores):
    """Rank the columns of scores of shape (n_seeds, n_competitors)."""
    import pandas as pd
    from scipy.stats import rankdata

    means = scores.mean(axis=0).round(12)  # as in 0.1 + 0.2 and 0.3
    best = np.flatnonzero(means == means.max())
    first = (means == means.max()) / len(best)
    behind = scores[:, best, None] - scores[:, None, :]
    error = np.zeros(behind.shape[1:])
    if len(scores) > 1:
        error = behind.std(axis=0, ddof=1) / np.sqrt(len(scores))
    near = (behind.mean(axis=0) <= error + _ROUNDING).any(axis=0)
    ranks = rankdata(-means)
    return pd.DataFrame(
        {"score": means, "rank": ranks, "first": first, "near_first": near.astype(float)}
    )
