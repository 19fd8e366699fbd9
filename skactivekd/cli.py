"""The command ``skactivekd``."""

import argparse
from importlib.metadata import version

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
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('skactivekd')}")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser(
        "demo",
        help="handwritten digits from 10 to 80 labels, offline",
        description="Learn handwritten digits from 10 to 80 labels with and without a teacher, and "
        "with random and PCoreSet queries; print the table and write the plot.",
    )
    demo.add_argument("--out", default="skactivekd-demo.png", help="the plot (%(default)s)")
    demo.add_argument("--seeds", type=_count, default=3, help="runs per curve (%(default)s)")
    args = parser.parse_args(argv)

    from .demo import find_plot, run_demo

    try:
        find_plot(args.out)
    except (ImportError, OSError, ValueError) as error:
        demo.error(f"argument --out: {error}")
    run_demo(args.out, args.seeds)


def _count(text):
    """Read a number of at least one."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return number
