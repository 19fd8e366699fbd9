"""Do labels and teacher pull the student the same way? One head against two.

    python -m benchmarks.evidence.gradients --banking77 DIR

In every second training step, before it is taken, the gradient of the label loss on the shared
backbone is compared with that of the distillation loss.
"""

import argparse
import time
from pathlib import Path

import pandas as pd
import torch

from skactivekd import DHOClassifier, DHONet, GradientCosine

from ._draws import few_labels
from .methods import NETS
from .tasks import load

RESULTS = Path(__file__).parents[1] / "results"
TASKS = {"digits": "mlp", "banking77": "lsa"}
HEADS = {"one head": "single", "two heads": "dual"}
SHOTS, EVERY = 4, 2


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence.gradients")
    parser.add_argument("--banking77", type=Path, help="folder with train.csv and test.csv")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    start, curves = time.perf_counter(), []
    for name, student in TASKS.items():
        task = load(name, banking77=arguments.banking77)
        for heads in HEADS:
            curves += [measure(task, name, student, heads, seed) for seed in range(arguments.seeds)]
    curves = pd.concat(curves, ignore_index=True)
    minutes = (time.perf_counter() - start) / 60
    plot(curves, RESULTS / "gradients.png")
    text = report(curves, arguments.seeds, minutes)
    (RESULTS / "gradients.md").write_text(text)
    print(text)


def measure(task, name, student, heads, seed):
    """Train once; return the cosines, a row for each step and part of the student."""
    watch = GradientCosine(every=EVERY)
    net = DHONet(**NETS[student], callbacks=[("cosine", watch)])
    clf = DHOClassifier(net, heads=HEADS[heads], classes=range(task.n_classes), random_state=seed)
    rows, known = task.inputs[student], few_labels(task.y[task.pool], SHOTS, seed)
    clf.fit(rows[task.pool], known, teacher_proba=task.proba[task.pool])
    cosines = pd.DataFrame(dict(clf.net_.callbacks_)["cosine"].cosines_)
    cosines = cosines.melt("step", var_name="part", value_name="cosine")
    accuracy = 100 * clf.score(rows[task.test], task.y[task.test])
    return cosines.assign(task=name, heads=heads, seed=seed, accuracy=accuracy)


def summary(curves):
    """Describe the cosines of each task, kind of student and part, over the seeds.

    Parameters
    ----------
    curves : DataFrame with the columns task, heads, part, seed, step, cosine

    Returns
    -------
    table : DataFrame
        Mean cosine over all steps ("mean"), over the first tenth of them ("first tenth") and the
        last half ("last half"), each the mean over the seeds; "spread", the standard deviation of
        the first over the seeds; "negative", percent of all steps; and the accuracy.
    """
    cells, keys = [], ["task", "heads", "part"]
    for key, cell in curves.groupby(keys, sort=False):
        progress = cell["step"] / (cell["step"].max() + 1)
        by_seed = cell.groupby("seed")
        accuracy = by_seed["accuracy"].first()
        cells.append(
            {
                **dict(zip(keys, key, strict=True)),
                "mean": by_seed["cosine"].mean().mean(),
                "spread": by_seed["cosine"].mean().std(),
                "first tenth": cell.loc[progress < 0.1, "cosine"].mean(),
                "last half": cell.loc[progress >= 0.5, "cosine"].mean(),
                "negative": 100 * (cell["cosine"] < 0).mean(),
                "accuracy": accuracy.mean(),
                "accuracy spread": accuracy.std(),
            }
        )
    return pd.DataFrame(cells)


def verdict(row):
    """Compare a row of the summary with what the paper reports for its kind."""
    if row["heads"] == "one head":
        held, claim = row["mean"] < 0, "negative"
    else:
        held, claim = row["negative"] == 0, "positive throughout"
    return f"{claim}: {'holds' if held else 'does not hold'}"


def report(curves, n_seeds, minutes):
    lines = [
        "| task | student | weights | mean cosine | first tenth | last half | steps below 0 "
        "| published | accuracy |",
        "|---|---|---|---:|---:|---:|---:|---|---:|",
    ]
    for _, row in summary(curves).iterrows():
        lines.append(
            f"| {row['task']} | {row['heads']} | {row['part']} "
            f"| {row['mean']:+.2f} ({row['spread']:.2f}) | {row['first tenth']:+.2f} "
            f"| {row['last half']:+.2f} | {row['negative']:.0f} % | {verdict(row)} "
            f"| {row['accuracy']:.1f} ({row['accuracy spread']:.1f}) |"
        )
    return HEAD.format(minutes=minutes, n_seeds=n_seeds, shots=SHOTS) + "\n".join(lines) + "\n"


def plot(curves, path):
    """Draw the backbone's cosine over training, a panel for each task."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, len(TASKS), figsize=(8, 3), sharey=True, layout="constrained")
    backbone = curves[curves["part"] == "backbone"]
    for ax, name in zip(axes, TASKS, strict=True):
        for heads in HEADS:
            cell = backbone[(backbone["task"] == name) & (backbone["heads"] == heads)]
            steps = cell.pivot(index="step", columns="seed", values="cosine")
            steps = steps.rolling(max(1, len(steps) // 50), min_periods=1).mean()
            ax.plot(steps.mean(axis=1), label=heads)
            ax.fill_between(steps.index, steps.min(axis=1), steps.max(axis=1), alpha=0.25)
        ax.axhline(0, color="gray", linewidth=0.8)
        ax.set(title=name, xlabel="training step")
    axes[0].set_ylabel("cosine of the two gradients")
    axes[0].legend()
    fig.savefig(path, dpi=110)
    plt.close(fig)


HEAD = """# Gradients of labels and teacher
"""

if __name__ == "__main__":
    main()
