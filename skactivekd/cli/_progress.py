"""Bars with the time left, for what takes more than a second."""

import sys
from contextlib import contextmanager

import click

from ._trouble import printable

_LATE = 1.0  # seconds; what is done before needs no bar
_SELDOM = 10.0  # seconds between two states of a bar in a file


@contextmanager
def progress(what, total, unit):
    """Show a bar on standard error once this has taken a second.

    Parameters
    ----------
    what : str
        What is done.
    total : int or None
    unit : str

    Yields
    ------
    bar : tqdm
        Its ``update(n)`` counts.
    """
    from tqdm.auto import tqdm

    settings = {"unit": f" {unit}", "delay": _LATE, "file": sys.stderr, "leave": False}
    settings["mininterval"] = 0.1 if sys.stderr.isatty() else _SELDOM
    with tqdm(desc=what, total=total, disable=not total and total is not None, **settings) as bar:
        yield bar


def in_blocks(rows, n):
    """Yield n of some rows at a time, as lists."""
    for start in range(0, len(rows), n):
        yield rows[start : start + n]


def say(text, err=False):
    """Write a line for the person."""
    click.echo(printable(text), err=err)
