"""Write the report, `results/evidence.md` and its figure, from the recorded cells alone.

python -m benchmarks.evidence.report
"""

import argparse
from pathlib import Path

import pandas as pd

from .facts import FACTS
from .run import RESULTS, read
from .tables import (
    curve_table,
    distillation_table,
    labels_table,
    method_table,
    rank_tables,
    strategy_table,
)

DEVELOPMENT = ("digits", "banking77")
STUDENTS = {"default": "the default student", "dho": "the published mixture of two heads (dho)"}
LINES = {"none": "no distillation", "dho": "DHO", "default": "default"}
HEADLINES = {"digits": ("cnn", [0.8, 0.85, 0.9]), "banking77": ("lsa", [0.5, 0.6, 0.65, 0.7])}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS, help="what --out was")
    path = parser.parse_args().results
    cells, facts = read() if path == RESULTS else read(path), pd.read_csv(FACTS)
    text = write(cells, facts)
    path.with_suffix(".md").write_text(text)
    draw(cells, facts, path.with_suffix(".png"))
    print(text)


def write(cells, facts):
    """Put the report together.

    Parameters
    ----------
    cells : pandas.DataFrame
        What `read` returns.
    facts : pandas.DataFrame
        Sizes and zero-shot accuracies of the tasks.

    Returns
    -------
    text : str
        Markdown.
    """
    parts = [
        "# Evidence",
        f"{len(cells)} cells, seeds {sorted(cells['seed'].unique().tolist())}. Accuracy on test "
        "rows in per cent, mean over the seeds (standard deviation). Commands and settings: "
        "[README](../README.md).",
        "## Tasks",
        facts.to_markdown(index=False, floatfmt=".1f"),
    ]
    for task, (student, targets) in HEADLINES.items():
        chosen = headline(cells, task, student)
        parts += [f"## Headline: {task}, student {student}", curve_table(chosen)]
        parts += ["Labels to reach an accuracy, median over the seeds:"]
        parts += [labels_table(chosen, targets)]
    demo = headline(cells, "digits", "cnn", "demo")
    parts += ["## What `skactivekd demo` prints", curve_table(demo)]
    parts += ["## Methods of distillation, random labels", method_table(cells)]
    recorded = set(cells["method"])
    students = {method: name for method, name in STUDENTS.items() if method in recorded}
    for method, name in students.items():
        parts += [f"## When distillation helps, random labels: {name}"]
        parts += [distillation_table(cells, facts, method)]
    for method, name in students.items():
        parts += [f"## Strategies: {name}", strategy_table(cells, method)]
        parts += rank_tables(cells, DEVELOPMENT, method)
    return "\n\n".join(parts) + "\n"


def headline(cells, task, student, variant="plain"):
    """Return the cells of one student beside the zero-shot teacher."""
    keys = {"task": task, "variant": variant, "student": student, "teacher": "zero-shot"}
    return cells[(cells[list(keys)] == list(keys.values())).all(axis=1)]


def draw(cells, facts, path):
    """Draw the headline curves."""
    import matplotlib.pyplot as plt

    from skactivekd import LabelEfficiencyDisplay

    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for ax, (task, (student, _)) in zip(axes, HEADLINES.items(), strict=True):
        rows = headline(cells, task, student)
        rows = rows[
            rows["method"].isin(LINES)
            & ((rows["strategy"] == "random") | (rows["method"] == "default"))
            & rows["strategy"].isin(["random", "PCoreSet", "UncertaintyHerding"])
            & (rows["round"] < 8)
        ]
        rows = rows.assign(estimator=rows["method"].map(LINES))
        mine = facts[(facts["task"] == task) & (facts["variant"] == "plain")]
        teacher = {"zero-shot teacher": float(mine["zero-shot"].iloc[0]) / 100}
        LabelEfficiencyDisplay.from_results(rows, baselines=teacher, ax=ax)
        ax.set_title(task)
        ax.legend(fontsize="small")
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
