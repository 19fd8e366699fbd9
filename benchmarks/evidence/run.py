"""Play the cells of a config; a finished round is never run again."""

import sys
import tomllib
from pathlib import Path

import pandas as pd

from skactivekd import simulate
from skactivekd.query import (
    Badge,
    ClassBalanced,
    CoreSet,
    Entropy,
    LeastConfidence,
    Margin,
    PCoreSet,
    Random,
    UncertaintyHerding,
)

from .covering import probcover, typiclust
from .methods import estimator
from .tasks import load

HERE = Path(__file__).parent
CONFIGS, RESULTS = HERE / "configs", HERE.parent / "results" / "evidence.csv"
# The cells of the default student. Those of the published two heads were recorded before.
DEFAULT_RESULTS = RESULTS.with_name("evidence_default.csv")

STRATEGIES = {
    "random": Random,
    "PCoreSet": PCoreSet,
    "UncertaintyHerding": UncertaintyHerding,
    "CoreSet": CoreSet,
    "Badge": Badge,
    "class-balanced": ClassBalanced,
    "entropy": Entropy,
    "margin": Margin,
    "least confidence": LeastConfidence,
    "TypiClust": typiclust,
    "ProbCover": probcover,
}


def run(config, out=RESULTS, *, jobs=1, quick=False, banking77=None, methods=None, variants=None):
    """Play every cell of a config that the results file does not hold yet.

    Parameters
    ----------
    config : str
        The name of a file in ``configs``.
    out : path, default=RESULTS
        The results file; that of `simulate`'s ``store``.
    jobs : int, default=1
        Processes.
    quick : bool, default=False
        Only the blocks marked so.
    banking77 : path, default=None
        Folder of Banking77.
    methods, variants : list of str, default=None
        Only these; None is all.
    """
    plan = tomllib.loads((CONFIGS / f"{config}.toml").read_text())
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    tasks = {}
    for block in plan["cells"]:
        if quick and not block.get("quick"):
            continue
        block["methods"] = [name for name in block["methods"] if name in (methods or [name])]
        if not block["methods"]:
            continue
        for variant in block.get("variants", ["plain"]):
            if variant not in (variants or [variant]):
                continue
            if variant not in tasks:
                harder = plan.get("variants", {}).get(variant, {})
                tasks[variant] = load(plan["task"], banking77=banking77, **harder)
            task = tasks[variant]
            print(
                f"{plan['task']}, {variant}: {len(task.pool)} rows in the pool, {len(task.test)} "
                f"to test, zero-shot teacher {100 * task.teacher_accuracy:.1f} %",
                file=sys.stderr,
            )
            play(task, f"{plan['task']}, {variant}", {**plan, **block}, out, jobs)


def play(task, name, block, out, jobs):
    """Play the full cross of one block: students x teachers x methods x strategies x seeds."""
    estimators = {
        f"{name}, {student}, {teacher}, {method}": estimator(task, student, teacher, method)
        for student in block["students"]
        for teacher in block["teachers"]
        for method in block["methods"]
    }
    simulate(
        estimators,
        task.pool,
        task.y[task.pool],
        X_test=task.test,
        y_test=task.y[task.test],
        strategies={name: STRATEGIES[name]() for name in block["strategies"]},
        n_rounds=block["n_rounds"],
        n_instances=block.get("n_instances", task.n_classes),
        n_initial=block.get("n_initial"),
        seeds=block["seeds"],
        n_jobs=jobs,
        store=out,
    )


def plans(folder=CONFIGS):
    """Read every config of a folder."""
    return [tomllib.loads(path.read_text()) for path in sorted(Path(folder).glob("*.toml"))]


def read(*results):
    """Read the cells: a row each, with a column for each part of its name."""
    results = results or [path for path in (RESULTS, DEFAULT_RESULTS) if path.exists()]
    frame = pd.concat(map(pd.read_csv, results), ignore_index=True)
    parts = frame["estimator"].str.split(", ", expand=True)
    frame[["task", "variant", "student", "teacher", "method"]] = parts
    return frame.drop(columns=["estimator", "settings", "queried"])
