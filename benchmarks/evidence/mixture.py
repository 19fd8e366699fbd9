"""Alpha and beta chosen on the labels, against fixed ones and against the best in hindsight.

    python -m benchmarks.evidence.mixture --banking77 DIR

One fit gives the two heads, and their outputs every mixture: a student is fitted once on its
labels, and once for each fold of the choice. Finished rows are kept, so that a killed run goes on.
"""

import argparse
import time
from functools import cache
from pathlib import Path

from skactivekd import DHONet
from skactivekd.student._soft_labels import SoftLabeled

from ._draws import DRAWS
from ._mixture_search import score_mixtures
from ._store import fill
from ._threads import use_one_thread
from .dho_cv import DHOClassifierCV
from .methods import NETS
from .tasks import load

RESULTS = Path(__file__).parents[1] / "results" / "mixture.md"
STUDENTS = {"digits": "mlp", "diagnoses": "lsa", "banking77": "lsa"}
SHOTS = {"digits": (1, 2, 4, 8, 16)}
KEYS = ["task", "split", "draw", "shots", "seed"]
COLUMNS = ["fixed", "cross-validated", "hindsight", "CE head", "KD head"]
HEAD = """# Alpha and beta: fixed, chosen on the labels, best in hindsight

`python -m benchmarks.evidence.mixture --banking77 DIR` ({test:.0f} minutes of one core);
the last tables, for which settings may be chosen, come from the halves of the pool:
`python -m benchmarks.evidence.mixture digits diagnoses --development --shots 2 3 4 6 --seeds 8`,
once more with `--draw pool`. A row is a fit for each of seeds 0, 1, ...: they draw the labels and
start the student.

Percent of test rows right: mean (standard deviation over the seeds). "fixed" is alpha 0.5 and
beta 1. "cross-validated" is `DHOClassifierCV`, which has the labeled rows alone; with one label
per class it cannot choose, and is the fixed mixture. "hindsight" is the best of the same 147
mixtures on the test rows themselves, seed by seed: **no method can attain it**, it bounds what a
better choice could give. All mix the same two heads of the same fit. "gain" is cross-validated
less fixed, seed by seed: mean (least to most).

The development tables decided below how many labels for each class `DHOClassifierCV` keeps the
fixed mixture: two. Three or four would spare digits its losses, and cost diagnoses, where the
heads differ more, several times as much.
"""


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence.mixture")
    parser.add_argument("tasks", nargs="*", default=list(STUDENTS))
    parser.add_argument("--banking77", type=Path, help="folder with train.csv and test.csv")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--shots", type=int, nargs="*", help="labels of each class")
    parser.add_argument("--development", action="store_true", help="on halves of the pool")
    parser.add_argument("--draw", choices=DRAWS, default="class")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    use_one_thread()
    split = "development" if arguments.development else "test"
    cells = [
        (name, split, arguments.draw, shots, seed)
        for name in arguments.tasks
        for seed in range(arguments.seeds)
        for shots in arguments.shots or SHOTS.get(name, (1, 2, 4, 8))
    ]
    task = cache(
        lambda name, split: load(
            name, development=split == "development", banking77=arguments.banking77
        )
    )

    def measure_cell(name, split, draw, shots, seed):
        labels = task(name, split).y[task(name, split).pool]
        known = DRAWS[draw](labels, shots, seed)
        return [measure(task(name, split), STUDENTS[name], known, seed)]

    text = report(fill(arguments.out.with_suffix(".csv"), KEYS, cells, measure_cell))
    arguments.out.write_text(text)
    print(text)


def measure(task, student, known, seed):
    """Fit on the known labels (-1: hidden); return percent right on the test rows, and more."""
    start, rows = time.process_time(), task.inputs[student]
    clf = DHOClassifierCV(DHONet(**NETS[student]), task.n_classes, random_state=seed)
    clf.fit(SoftLabeled(rows[task.pool], task.proba[task.pool]), known)
    alpha, beta = clf.student_.alpha, clf.student_.beta
    ce, kd = clf.student_.net_.forward(rows[task.test])

    def accuracy(*mixtures):
        return 100 * score_mixtures(ce, kd, task.y[task.test], *mixtures)[0].max()

    return {
        "fixed": accuracy([0.5], [1.0]),
        "cross-validated": accuracy([alpha], [beta]),
        "hindsight": accuracy(),
        "CE head": accuracy([1.0], [1.0]),
        "KD head": accuracy([0.0], [1.0]),
        "alpha": alpha,
        "beta": beta,
        "seconds": time.process_time() - start,
    }


def report(cells):
    """Write a table for each task and draw, and plainly where the choice loses."""
    cells = cells.sort_values(KEYS[1:], kind="stable")
    cells["gain"] = cells["cross-validated"] - cells["fixed"]
    text = HEAD.format(test=cells.loc[cells["split"] == "test", "seconds"].sum() / 60)
    order = cells.groupby(["split", "draw", "task"], sort=False)
    for (split, draw, task), part in sorted(order, key=lambda item: item[0][0] != "test"):
        how = "of each class" if draw == "class" else "for each class on average, drawn at random"
        where = "test rows" if split == "test" else "development half"
        text += f"\n## {task}, {where}, labels {how}\n\n{table(part)}\n{word(part)}\n"
    return text


def table(part):
    head = ["labels", *COLUMNS, "gain", "alpha: median (least to most)", "seeds"]
    lines = [f"| {' | '.join(head)} |", "|---:" * len(head) + "|"]
    for shots, cell in part.groupby("shots"):
        values = [f"{cell[name].mean():.1f} ({cell[name].std():.1f})" for name in COLUMNS]
        gain, alpha = cell["gain"], cell["alpha"]
        values.append(f"{gain.mean():+.1f} ({gain.min():+.1f} to {gain.max():+.1f})")
        values.append(f"{alpha.median():.2f} ({alpha.min():.2f} to {alpha.max():.2f})")
        lines.append(f"| {shots} | {' | '.join(values)} | {len(cell)} |")
    return "\n".join(lines) + "\n"


def word(part):
    """Say where cross-validation loses to the fixed mixture."""
    gains = part.groupby("shots")["gain"].agg(["mean", "sem"])
    lost = [
        f"{-gain['mean']:.1f} points ± {gain['sem']:.1f} at {shots}"
        for shots, gain in gains.iterrows()
        if gain["mean"] < 0
    ]
    if not lost:
        return "Cross-validation never loses to the fixed mixture here, on average."
    return f"**Cross-validation loses** {', '.join(lost)} (mean ± standard error)."


if __name__ == "__main__":
    main()
