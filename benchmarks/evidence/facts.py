"""Record what the tasks are: rows, classes, and the teacher's accuracy without a label.

python -m benchmarks.evidence.facts --banking77 DIR
"""

import argparse
from pathlib import Path

import pandas as pd

from ._threads import use_one_thread
from .run import RESULTS, plans
from .tasks import load

FACTS = RESULTS.with_name("evidence_tasks.csv")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--banking77", type=Path)
    arguments = parser.parse_args()
    use_one_thread()
    tasks = {}
    for plan in plans():
        for block in plan["cells"]:
            for variant in block.get("variants", ["plain"]):
                tasks[plan["task"], variant] = plan.get("variants", {}).get(variant, {})
    rows = [
        describe(task, variant, load(task, banking77=arguments.banking77, **harder))
        for (task, variant), harder in tasks.items()
    ]
    pd.DataFrame(rows).to_csv(FACTS, index=False)


def describe(name, variant, task):
    return {
        "task": name,
        "variant": variant,
        "pool": len(task.pool),
        "test": len(task.test),
        "classes": task.n_classes,
        "zero-shot": round(100 * task.teacher_accuracy, 1),
    }


if __name__ == "__main__":
    main()
