"""The default student against every other use of the same labels and teacher, from no label on.

    python -m benchmarks.evidence.students --banking77 DIR --jobs 2

Finished rows are kept, so that a killed run goes on; the report is written at the end, and by
`python -m benchmarks.evidence.students_report` from the rows alone.
"""

import argparse
from functools import partial
from pathlib import Path

from ._store import fill
from ._threads import use_one_thread
from .student_cells import KEYS, STUDENTS, TOGETHER, VARIANTS, cells, measure
from .students_report import RESULTS, write


def main():
    arguments = parse_arguments()
    use_one_thread()
    split = "development" if arguments.development else "test"
    rows = fill(
        arguments.out,
        KEYS,
        cells(arguments.tasks, arguments.variants, arguments.seeds, split),
        partial(measure, arguments.banking77),
        together=TOGETHER,
        jobs=arguments.jobs,
    )
    arguments.out.with_suffix(".md").write_text(write(rows))


def parse_arguments():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence.students")
    parser.add_argument("tasks", nargs="*", default=list(STUDENTS))
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS))
    parser.add_argument("--banking77", type=Path, help="folder with train.csv and test.csv")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--development", action="store_true", help="on halves of the pool")
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
