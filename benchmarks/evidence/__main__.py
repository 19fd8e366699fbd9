"""Evidence on real tasks: `python -m benchmarks.evidence --help`."""

import argparse
from pathlib import Path

from ._threads import use_one_thread
from .run import CONFIGS, RESULTS, run


def main():
    arguments = parse_arguments()
    use_one_thread()
    for config in arguments.configs:
        run(
            config,
            arguments.out,
            jobs=arguments.jobs,
            quick=arguments.quick,
            banking77=arguments.banking77,
            methods=arguments.methods,
            variants=arguments.variants,
        )


def parse_arguments():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence")
    parser.add_argument(
        "configs", nargs="*", default=sorted(p.stem for p in CONFIGS.glob("*.toml"))
    )
    parser.add_argument("--banking77", type=Path, help="folder with train.csv and test.csv")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="only the headline cells")
    parser.add_argument("--methods", nargs="*", help="only these, default for the default student")
    parser.add_argument("--variants", nargs="*", help="only these, plain for the tasks as they are")
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
