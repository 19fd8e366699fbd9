"""Do labels and teacher pull the student the same way? One head against two.

    python -m benchmarks.evidence.gradients --banking77 DIR

In every second training step, before it is taken, the gradient of the label loss on the shared
backbone is compared with that of the distillation loss.
"""

import argparse
import time
from functools import cache
from itertools import product
from pathlib import Path

import pandas as pd

from skactivekd import DHOClassifier, DHONet
from skactivekd.student import GradientCosine

from ._draws import few_labels
from ._gradient_curves import plot, summary
from ._store import fill
from ._threads import use_one_thread
from .methods import DHO, NETS
from .tasks import load

RESULTS = Path(__file__).parents[1] / "results" / "gradients.md"
TASKS = {"digits": "mlp", "banking77": "lsa"}
HEADS = {"one head": "single", "two heads": "dual"}
KEYS = ["task", "seed", "heads"]
SHOTS, EVERY = 4, 2
HEAD = """# Gradients of labels and teacher

`python -m benchmarks.evidence.gradients --banking77 DIR` ({minutes:.1f} minutes of one core to fit)

Cosine between the gradients of the label loss and of the distillation loss on one batch, by
`GradientCosine(every={every})`: below 0 a step along the one raises the other. {shots} random
labels of each class, the rest of the pool unlabeled, zero-shot teacher; {n_seeds} seeds, which
draw the labels and start the student. Cosines and accuracy (percent of the test rows) are means
over the seeds (standard deviation). "line" compares the line of the figure with figure 3 of
arXiv:2505.07675, of image networks over 200 epochs: one head negative, two heads positive.

![Cosine over training](gradients.png)

The line is the mean over the seeds, the band goes from least to most; both are smoothed over a
fiftieth of the training.

"""


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence.gradients")
    parser.add_argument("--banking77", type=Path, help="folder with train.csv and test.csv")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    use_one_thread()
    task = cache(lambda name: load(name, banking77=arguments.banking77))
    curves = fill(
        arguments.out.with_suffix(".csv"),
        KEYS,
        product(TASKS, range(arguments.seeds), HEADS),
        lambda name, seed, heads: measure(task(name), TASKS[name], seed, heads),
    )
    plot(curves, list(HEADS), arguments.out.with_suffix(".png"))
    text = report(curves, arguments.seeds)
    arguments.out.write_text(text)
    print(text)


def measure(task, student, seed, heads):
    """Train once; return the cosines, a row for each step and part of the student."""
    start, rows = time.process_time(), task.inputs[student]
    net = DHONet(**NETS[student], callbacks=[("cosine", GradientCosine(every=EVERY))])
    clf = DHOClassifier(
        net,
        **{**DHO, "heads": HEADS[heads]},
        classes=range(task.n_classes),
        random_state=seed,
    )
    known = few_labels(task.y[task.pool], SHOTS, seed)
    clf.fit(rows[task.pool], known, teacher_proba=task.proba[task.pool])
    cosines = pd.DataFrame(dict(clf.net_.callbacks_)["cosine"].cosines_)
    cosines = cosines.melt("step", var_name="part", value_name="cosine")
    accuracy = 100 * clf.score(rows[task.test], task.y[task.test])
    seconds = time.process_time() - start
    return cosines.assign(accuracy=accuracy, seconds=seconds).to_dict("records")


def verdict(row):
    """Compare the mean line with the one of the paper."""
    claim, share = "positive", 100 - row["line below 0"]
    if row["heads"] == "one head":
        claim, share = "negative", row["line below 0"]
    return f"{claim}: {'holds' if share == 100 else f'in {share:.0f} % of the training'}"


def report(curves, n_seeds):
    minutes = curves.groupby(KEYS)["seconds"].first().sum() / 60
    head = "task, student, weights, mean, first tenth, last half, steps below 0, line, accuracy"
    lines = [f"| {head.replace(', ', ' | ')} |", "|---" * 9 + "|"]
    for _, row in summary(curves).iterrows():
        lines.append(
            f"| {row['task']} | {row['heads']} | {row['part']} "
            f"| {row['mean']:+.2f} ({row['spread']:.2f}) | {row['first tenth']:+.2f} "
            f"| {row['last half']:+.2f} | {row['steps below 0']:.0f} % | {verdict(row)} "
            f"| {row['accuracy']:.1f} ({row['accuracy spread']:.1f}) |"
        )
    head = HEAD.format(minutes=minutes, n_seeds=n_seeds, shots=SHOTS, every=EVERY)
    return head + "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
