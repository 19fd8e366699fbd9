"""The command line: ``python -m benchmarks.paper table dtd --root DIR --out dtd.csv``."""

import argparse
import sys
from pathlib import Path

from .config import load_config, names


def main(arguments=None):
    """Run a command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paper", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    table = commands.add_parser("table", help="one table: all strategies and seeds on a data set")
    table.add_argument("name", help=f"one of {', '.join(names())}, or a TOML file")
    table.add_argument("--root", type=Path, required=True, help="folder of the data sets")
    table.add_argument("--out", type=Path, required=True, help="CSV of results; goes on from it")
    table.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="changes")
    table.add_argument("--student-checkpoint", type=Path, help="weights of the student")
    show = commands.add_parser("show", help="what a data set on disk holds")
    show.add_argument("name")
    show.add_argument("--root", type=Path, required=True)
    check = commands.add_parser("check", help="run every data set end to end on generated copies")
    check.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    return globals()[f"_{options.command}"](options)


def _table(options):
    from .table import markdown, run_table

    changes = list(options.changes)
    if options.student_checkpoint:
        changes.append(f"student_checkpoint={options.student_checkpoint}")
    config = load_config(options.name, changes)
    results = run_table(config, options.root, options.out)
    if config["accelerate"]:
        from accelerate import PartialState

        if not PartialState().is_main_process:
            return 0
    print(markdown(results))
    return 0


def _show(options):
    from .data import load

    data = load(load_config(options.name), options.root)
    print(f"{data.name}: {len(data.class_names)} classes, {data.source}")
    for part in ("train", "val", "test"):
        print(f"{part}: {len(getattr(data, part)[0])} images")
    print(", ".join(data.class_names))
    return 0


def _check(options):
    from .check import check_all

    return check_all(options.out)


if __name__ == "__main__":
    sys.exit(main())
