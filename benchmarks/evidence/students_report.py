"""Write `results/students.md` from the recorded cells alone.

python -m benchmarks.evidence.students_report
"""

import argparse
from pathlib import Path

import pandas as pd

from skactivekd.metrics._curves import paired_difference
from skactivekd.metrics._ranks import places

RESULTS = Path(__file__).parents[1] / "results" / "students.csv"
TABLE = ["task", "variant", "student", "draw"]
SETTING = [*TABLE, "labels"]
RUN_ENCODER = ("teacher", "embedding-logistic")
HEAD = """# The default student

`python -m benchmarks.evidence.students --banking77 DIR` ({minutes:.0f} minutes of one core to fit).
A row is a fit for each of the seeds: they draw the labels and start the student. The teacher is
zero-shot.

*default*: `DHOClassifier` with no parameter set but its backbone. *kd*: the teacher's head of
*dho* alone. *none*, *single*, *dho*, *dho-cv*: no teacher; one head for both losses; two heads,
mixed evenly as published; two heads, mixed as cross-validation on the labels says. *two-logistic*:
the average of a logistic regression on the labels and one on the teacher's choices.
*distilled-logistic*: one on both, which weigh as much; the forests likewise. *teacher* and
*embedding-logistic* (a logistic regression on the encoder's embeddings of the labeled rows) run the
encoder when they predict: they are a ceiling, and not compared.
"""
NOTE = """Percent of test rows right, mean (standard deviation over the seeds); behind the comma
what the default has more, paired by seed, with its standard error.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS, help="what --out was")
    path = parser.parse_args().results
    text = write(pd.read_csv(path))
    path.with_suffix(".md").write_text(text)
    print(text)


def write(cells):
    """Put the report together, test rows before development rows.

    Parameters
    ----------
    cells : DataFrame
        What `fill` returns.

    Returns
    -------
    text : str
        Markdown.
    """
    parts = [HEAD.format(minutes=_fits(cells)["seconds"].sum() / 60)]
    for split, title in (("test", "Test rows"), ("development", "Development halves")):
        part = cells[cells["split"] == split].drop(columns="split")
        if len(part):
            parts += [f"## {title}", *_summary(part), "### Seconds of a fit", _seconds(part), NOTE]
            for setting, rows in part.groupby(TABLE, sort=False):
                parts += [_title(*setting), accuracy_table(rows)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _title(task, variant, student, draw):
    how = "of each class" if draw == "class" else "for each class on average, drawn at random"
    return f"### {task}, {variant}, student {student}; labels {how}"


def standings(cells):
    """Say for each setting how the default stands among those that do not run the encoder.

    Parameters
    ----------
    cells : DataFrame
        Of one split.

    Returns
    -------
    standings : DataFrame
        A row for each setting in which the default and another have all seeds: its score and the
        best one ("score", "best score"), whose it is ("best"), whether the default is first
        ("first"; a part where it shares the place) or within one standard error of the first
        ("near"), what it lacks ("behind", 0 where it is first) with its standard error ("error"),
        and what it lacks to the kd head ("behind kd", negative where it is ahead).
    """
    rows = []
    for setting, part in complete(cells).groupby(SETTING, sort=False):
        part = part[~part["method"].isin(RUN_ENCODER)]
        if "default" not in set(part["method"]) or part["method"].nunique() == 1:
            continue
        wide = part.pivot(index="seed", columns="method", values="score")
        placed = places(part, settings=SETTING, competitor="method").set_index("method")
        others = placed[placed.index != "default"]
        mine, rival = placed.loc["default"], others["score"].idxmax()
        best = "default" if mine["first"] else rival
        difference, error = paired_difference(wide[best], wide["default"])
        kd = wide["kd"].mean() if "kd" in wide else float("nan")
        rows.append({
            **dict(zip(SETTING, setting, strict=True)),
            "score": mine["score"],
            "best": best,
            "best score": placed["score"].max(),
            "first": mine["first"],
            "near": mine["near_first"],
            "behind": difference,
            "error": error,
            "behind kd": kd - mine["score"],
        })  # fmt: skip
    return pd.DataFrame(rows)


def complete(cells):
    """Leave out methods that have not all seeds of their setting yet."""
    n_seeds = cells.groupby([*SETTING, "method"])["seed"].transform("nunique")
    return cells[n_seeds == cells.groupby(SETTING)["seed"].transform("nunique")]


def accuracy_table(cells):
    """Accuracy by method and labels, and what the default has more."""
    columns = {}
    for labels, part in complete(cells).groupby("labels"):
        wide = part.pivot(index="seed", columns="method", values="score")
        columns[labels] = {method: _cell(wide, method) for method in wide}
    methods = [name for name in cells["method"].unique() if name != "default"]
    table = pd.DataFrame(columns).reindex(["default", *methods]).fillna("")
    return table.rename_axis("labels per class").to_markdown()


def _cell(wide, method):
    text = f"{100 * wide[method].mean():.1f} ({100 * wide[method].std():.1f})"
    if method == "default" or "default" not in wide:
        return text
    difference, error = paired_difference(wide["default"], wide[method])
    return f"{text}, {100 * difference:+.1f} ± {100 * error:.1f}"


def _summary(cells):
    """Yield how often the default is first, and plainly where it loses."""
    stand = standings(cells)
    yield (
        "How often *default* is first, or within one standard error (of the paired difference over "
        "the seeds) of the first, among all that do not run the encoder when they predict; and the "
        "most it lacks, in points."
    )
    groups = {"all settings": stand}
    for column in ("labels", "draw", "task", "variant"):
        name = {"labels": "labels per class: {}", "draw": "labels drawn: {}"}.get(column, "{}")
        groups |= {name.format(value): part for value, part in stand.groupby(column, sort=True)}
    yield pd.DataFrame([{"settings": name, **_counts(part)} for name, part in groups.items()]) \
        .to_markdown(index=False)  # fmt: skip
    for column, rival in (("behind", "the best"), ("behind kd", "the kd head")):
        most = stand.loc[stand[column].idxmax()]
        where = ", ".join(str(most[name]) for name in SETTING[:-1])
        yield (
            f"Largest shortfall from {rival}: {100 * max(most[column], 0):.1f} points "
            f"({where}, {most['labels']} labels per class)."
        )
    yield "### Where the default loses by more than one standard error"
    yield _losses(stand[stand["near"] == 0], "behind")
    yield "### Where the default is below the kd head"
    yield _losses(stand[stand["behind kd"] > 0], "behind kd")


def _counts(stand):
    return {
        "number": len(stand),
        "first": f"{stand['first'].mean():.0%}",
        "first or within one standard error": f"{stand['near'].mean():.0%}",
        "most behind the best": f"{100 * stand['behind'].max():.1f}",
        "most behind the kd head": f"{100 * max(stand['behind kd'].max(), 0):.1f}",
    }


def _losses(stand, column):
    if not len(stand):
        return "Nowhere."
    table = stand[SETTING].assign(default=(100 * stand["score"]).map("{:.1f}".format))
    if column == "behind":
        table["best"] = stand["best"]
        table["points behind"] = [
            f"{100 * behind:.1f} ± {100 * error:.1f}"
            for behind, error in zip(stand["behind"], stand["error"], strict=True)
        ]
    else:
        table["points behind"] = (100 * stand[column]).map("{:.1f}".format)
    return table.iloc[stand[column].to_numpy().argsort()[::-1]].to_markdown(index=False)


def _seconds(cells):
    """Median time of a fit, and the longest, by method and task."""
    times = cells.groupby(["method", "task"], sort=False)["seconds"]
    table = times.agg(lambda fits: f"{fits.median():.1f} ({fits.max():.1f})").unstack("task")
    table = table.drop(index="teacher", errors="ignore").fillna("")
    return f"{table.to_markdown()}\n\nProcessor time of one core, median (longest)."


def _fits(cells):
    """Return the rows of fits of their own: with labels, the kd head is that of dho."""
    return cells[(cells["method"] != "kd") | (cells["labels"] == 0)]


if __name__ == "__main__":
    main()
