"""Markdown tables of recorded cells."""

import numpy as np
import pandas as pd

from skactivekd import area_under_curve, labels_to_reach, rank_table
from skactivekd.metrics._curves import paired_difference, verdict
from skactivekd.metrics._ranks import places

SETTING = ["task", "variant", "student", "teacher"]
METHODS = ("none", "feature", "single", "dho", "default")
PAIRS = (("dho", "single"), ("default", "single"), ("default", "dho"))


def curve_table(cells):
    """Accuracy by method, strategy and number of labels, up to eight rounds."""
    cells = _finished(cells[cells["round"] < 8])
    groups = cells.groupby(["method", "strategy", "n_labels"], sort=False)["score"]
    return groups.agg(_mean_std).unstack("n_labels").fillna("").to_markdown()


def labels_table(cells, targets):
    """Labels with which each method reaches each target, and those of the baseline over them."""
    runs = labels_to_reach(cells, targets, method=["method", "strategy"])
    labels = runs.groupby(["method", "strategy", "target"], sort=False)["labels"].median()
    labels = labels.unstack("target")
    baseline = labels.loc["none", "random"]
    most = cells.groupby(["method", "strategy"])["n_labels"].max()

    def cell(key, target):
        count, usual = labels.loc[key, target], baseline[target]
        if np.isinf(count):
            return f"over {most[key]}"
        return f"{count:.0f} ({count / usual:.2f})" if np.isfinite(usual) else f"{count:.0f}"

    rows = {key: {f"{100 * t:g} %": cell(key, t) for t in targets} for key in labels.index}
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(table.index, names=["method", "strategy"])
    return table.to_markdown() + "\n\nIn brackets: as a share of no distillation, random labels."


def method_table(cells):
    """Area under the curve of each method; one head and two, and the default student."""
    cells = _finished(cells[(cells["strategy"] == "random") & (cells["round"] < 8)])
    methods = [name for name in METHODS if name in set(cells["method"])]
    rows = []
    for setting, group in cells.groupby(SETTING, sort=False):
        areas = _areas(group, "method")
        pairs = [pair for pair in PAIRS if set(pair) <= set(areas)]
        if not pairs:
            continue
        row = dict(zip(SETTING, setting, strict=True))
        for method in methods:
            row[method] = _mean_std(areas[method]) if method in areas else ""
        for one, other in pairs:
            row[f"{one} - {other}"] = _difference(areas[one], areas[other])
        rows.append(row)
    note = "\n\nMean accuracy over the rounds (area under the curve). Differences are paired by "
    note += "seed, with their standard error; gain or loss is more than two of them."
    return pd.DataFrame(rows).fillna("").to_markdown(index=False) + note


def distillation_table(cells, facts, method):
    """What a method adds to no distillation and to its teacher, first and last round."""
    cells = _finished(cells[(cells["strategy"] == "random") & (cells["round"] < 8)])
    zero_shot = facts.set_index(["task", "variant"])["zero-shot"] / 100
    rows = []
    for setting, group in cells.groupby(SETTING, sort=False):
        wide = group.pivot(index=["round", "seed"], columns="method", values="score")
        if not {"none", method} <= set(wide):
            continue
        row = dict(zip(SETTING, setting, strict=True))
        row["zero-shot"] = f"{100 * zero_shot[setting[:2]]:.1f}"
        for name, number in (("first", 0), ("last", wide.index.get_level_values("round").max())):
            scores = wide.loc[number]
            row[f"{name}: {method}"] = f"{100 * scores[method].mean():.1f}"
            row[f"{name}: over none"] = _difference(scores[method], scores["none"])
            row[f"{name}: over teacher"] = (
                f"{100 * (scores[method].mean() - zero_shot[setting[:2]]):+.1f}"
            )
        rows.append(row)
    return pd.DataFrame(rows).to_markdown(index=False)


def strategy_table(cells, method):
    """Area under the curve of every strategy over random, setting by setting."""
    cells = _finished(_after_queries(cells, method))
    rows = []
    for setting, group in cells.groupby(SETTING, sort=False):
        areas = _areas(group, "strategy")
        if len(areas) < 2 or "random" not in areas:
            continue
        row = {"setting": ", ".join(setting), "random": _mean_std(areas["random"])}
        for strategy in [name for name in areas if name != "random"]:
            row[strategy] = _difference(areas[strategy], areas["random"])
        rows.append(row)
    note = f"\n\nArea under the curve of {method} with random labels, and what each strategy adds."
    return pd.DataFrame(rows).fillna("").to_markdown(index=False) + note


def rank_tables(cells, development, method):
    """Yield the rank tables: all settings, and those that chose nothing."""
    cells = ranked(cells, method)
    held_back = cells[~cells["task"].isin(development)]
    seen = cells[cells["task"].isin(development)]
    for title, part in (
        ("Ranks over all settings", cells),
        ("Ranks over the held-back tasks", held_back),
        (f"Ranks over {' and '.join(development)}, new rows", seen),
    ):
        if len(part):
            settings = part[[*SETTING, "round"]].drop_duplicates()
            yield f"### {title} ({len(settings)})"
            yield _ranks(part)


def ranked(cells, method):
    """Return a method's cells after queries, in settings where every strategy took part."""
    cells = _after_queries(cells, method)
    n_strategies, cells = cells["strategy"].nunique(), _finished(cells)
    return cells[cells.groupby(SETTING)["strategy"].transform("nunique") == n_strategies]


def _after_queries(cells, method):
    """Return a method's cells without first rounds, in which all strategies share a model."""
    return cells[(cells["method"] == method) & cells["round"].between(1, 7)]


def _ranks(cells):
    axes = {"settings": [*SETTING, "round"], "competitor": "strategy"}
    table = rank_table(cells, **axes)
    shares = table[["first", "near_first"]].map("{:.0%}".format)
    rank = table.apply(lambda row: f"{row['mean_rank']:.2f} ({row['std_rank']:.2f})", axis=1)
    shares.insert(0, "mean rank", rank)
    shares = shares.rename(columns={"near_first": "first or within one standard error"})
    return f"{shares.to_markdown()}\n\n{_references(places(cells, **axes))}"


def _references(placed):
    """What a choice without any knowledge, and one with all of it, would reach."""
    near = placed.groupby(["task", "strategy"])["near_first"].agg(["sum", "size"])
    best = near.groupby("task").max().sum()
    return (
        "First or within one standard error: a strategy drawn by lot for each setting in "
        f"{placed['near_first'].mean():.0%}, the best one of each task, chosen in hindsight, in "
        f"{best['sum'] / best['size']:.0%}."
    )


def _finished(cells):
    """Leave out curves that have not all their seeds and rounds yet."""
    curve = [*SETTING, "method", "strategy"]
    most = cells.groupby(SETTING)["round"].transform("max")
    complete = cells.assign(complete=cells["round"] == most).groupby([*curve, "seed"])["complete"]
    cells = cells[complete.transform("any")]
    n_seeds = cells.groupby(curve)["seed"].transform("nunique")
    return cells[n_seeds == cells["seed"].nunique()]


def _areas(cells, column):
    """Areas under the curve by seed, a series for each value of a column."""
    areas = area_under_curve(cells, method=[column])
    return {
        value: group.set_index("seed")["area"].sort_index()
        for value, group in areas.groupby(column, sort=False)
    }


def _mean_std(scores):
    return f"{100 * scores.mean():.1f} ({100 * scores.std(ddof=0):.1f})"


def _difference(values, others):
    difference, error = paired_difference(values, others)
    return f"{100 * difference:+.1f} ± {100 * error:.1f}, {verdict(difference, error)}"
