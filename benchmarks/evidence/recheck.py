"""Train recorded cells again, each from the labels it had, and compare to the last digit.

python -m benchmarks.evidence.recheck --banking77 DIR --cells 20
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from skactivekd._played_rounds import hide_labels, initial_rows
from skactivekd.simulation._simulate import _seeded_clone

from ._threads import use_one_thread
from .methods import estimator
from .run import CONFIGS, RESULTS, plans
from .tasks import load


def main():
    arguments = parse_arguments()
    use_one_thread()
    cells = pd.read_csv(arguments.results, converters={"score": float})  # to the last digit
    drawn = cells.sample(arguments.cells, random_state=arguments.seed)
    wrong = 0
    for name, rows in drawn.groupby("estimator"):
        task, n_initial, model = rebuild(name, arguments.banking77)
        for row in rows.itertuples():
            run = cells[(cells[["estimator", "strategy", "seed"]] == [*row[1:4]]).all(axis=1)]
            score = train_again(task, model, run, row.round, n_initial)
            same = score == row.score
            wrong += not same
            print(
                f"{name}, {row.strategy}, seed {row.seed}, round {row.round}: {row.score} {score}"
            )
    print(f"{len(drawn) - wrong} of {len(drawn)} cells gave the recorded number")
    sys.exit(wrong > 0)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--banking77", type=Path, help="folder with train.csv and test.csv")
    parser.add_argument("--cells", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="governs which cells are drawn")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args()


def rebuild(name, banking77=None):
    """Return the task of a cell, its number of labels at the start, and its estimator."""
    task, variant, *parts = name.split(", ")
    plan = next(plan for plan in plans(CONFIGS) if plan["task"] == task and _knows(plan, variant))
    loaded = load(task, banking77=banking77, **plan.get("variants", {}).get(variant, {}))
    return loaded, plan.get("n_initial"), estimator(loaded, *parts)


def train_again(task, model, run, number, n_initial=None):
    """Score a model trained on what a run had bought before a round."""
    y = task.y[task.pool]
    bought = run[run["round"] < number].sort_values("round")["queried"]
    queried = [np.array(rows.split(), dtype=np.int64) for rows in bought]
    seed = int(run["seed"].iloc[0])
    labeled = np.concatenate([initial_rows(y, n_initial, seed), *queried])
    fitted = _seeded_clone(model, seed).fit(task.pool, hide_labels(y, labeled))
    return fitted.score(task.test, task.y[task.test])


def _knows(plan, variant):
    return variant == "plain" or variant in plan.get("variants", {})


if __name__ == "__main__":
    main()
