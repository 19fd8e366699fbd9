"""The command ``skactivekd``."""

import argparse

__all__ = ["main"]


def main(argv=None):
    """Run the command line.

    Parameters
    ----------
    argv : list of str, default=None
        Arguments; None takes those of the process.
    """
    parser = argparse.ArgumentParser(
        prog="skactivekd",
        description="Active learning with knowledge distillation from large pretrained models.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser(
        "demo",
        help="handwritten digits from 10 to 80 labels, offline",
        description="Learn handwritten digits from 10 to 80 labels with and without a teacher, and "
        "with random and PCoreSet queries; print the table and write the plot.",
    )
    demo.add_argument("--out", default="skactivekd-demo.png", help="the plot (%(default)s)")
    demo.add_argument("--seeds", type=int, default=3, help="runs per curve (%(default)s)")
    args = parser.parse_args(argv)

    from .demo import run_demo

    run_demo(args.out, args.seeds)
