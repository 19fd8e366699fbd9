"""The default learning rate and length of training against a grid of both, on development halves.

    python -m benchmarks.evidence.training_length --banking77 DIR

Each backbone is distilled once for a cell of the grid and seed, and then corrected by one and by
eight labels of each class. Finished rows are kept, so that a killed run goes on.
"""

import argparse
from functools import partial
from pathlib import Path

import pandas as pd

from skactivekd.simulation._simulate import _seeded_clone

from ._draws import few_labels
from ._store import fill
from ._threads import use_one_thread
from .methods import estimator
from .student_cells import STUDENTS, _load

RESULTS = Path(__file__).parents[1] / "results" / "training_length.csv"
KEYS = ["task", "student", "lr", "max_epochs", "seed", "labels"]
GRID = [(lr, epochs) for lr in ("0.0003", "0.001", "0.003", "0.01") for epochs in ("5", "20", "80")]
LABELS = (1, 8)


def main():
    arguments = parse_arguments()
    use_one_thread()
    cells = [
        (task, student, lr, epochs, seed, labels)
        for task in arguments.tasks
        for student in STUDENTS[task]
        for lr, epochs in [("default", "default"), *GRID]
        for seed in range(arguments.seeds)
        for labels in LABELS
    ]
    measured = partial(measure, arguments.banking77)
    rows = fill(arguments.out, KEYS, cells, measured, together=KEYS[:5], jobs=arguments.jobs)
    report = write(rows)
    arguments.out.with_suffix(".md").write_text(report)
    print(report)


def parse_arguments():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence.training_length")
    parser.add_argument("tasks", nargs="*", default=list(STUDENTS))
    parser.add_argument("--banking77", type=Path, help="folder with train.csv and test.csv")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


def measure(banking77, task, student, lr, max_epochs, seed, labels):
    """Fit the default student, at one learning rate and length, on half of the pool.

    Returns
    -------
    rows : list of dict
        Its accuracy on the other half.
    """
    rows = _load(task, "plain", True, banking77)
    model = estimator(rows, student, "zero-shot", "default")
    if lr != "default":
        model.set_params(dhoclassifier__net__lr=float(lr))
        model.set_params(dhoclassifier__net__max_epochs=int(max_epochs))
    model = _seeded_clone(model, seed)
    model.fit(rows.pool, few_labels(rows.y[rows.pool], labels, seed))
    return [{"score": model.score(rows.test, rows.y[rows.test])}]


def write(rows):
    """Compare the default with the cell of the grid that is best on average over the seeds."""
    rows = rows.assign(setting=rows["lr"].astype(str) + " x " + rows["max_epochs"].astype(str))
    lines = []
    for (task, student, labels), part in rows.groupby(["task", "student", "labels"], sort=False):
        wide = part.pivot(index="seed", columns="setting", values="score")
        default = wide.pop("default x default")
        best = wide.mean().idxmax()
        lines.append({
            "task": task,
            "student": student,
            "labels per class": labels,
            "default": f"{100 * default.mean():.1f} ({100 * default.std():.1f})",
            "best of the grid": f"{100 * wide[best].mean():.1f} ({100 * wide[best].std():.1f})",
            "its lr x epochs": best,
            "default behind": f"{100 * (wide[best] - default).mean():+.1f}",
            "median of the grid behind": f"{100 * (wide[best] - wide.T.median()).mean():+.1f}",
        })  # fmt: skip
    return (
        f"# Learning rate and length of training\n\n`python -m benchmarks.evidence.training_length "
        f"--banking77 DIR`: percent of development rows right, mean (standard deviation over "
        f"{rows['seed'].nunique()} seeds).\nThe best of {len(GRID)} is picked on the same rows, "
        f"which flatters it.\n\n{pd.DataFrame(lines).to_markdown(index=False)}\n"
    )


if __name__ == "__main__":
    main()
