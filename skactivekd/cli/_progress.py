"""Bars with the time left, for what takes more than a second."""

import click

from ..utils._progress_bar import bar
from ._errors import printable


def progress(what, total, unit):
    """Return a bar for what is done here, which appears once it has taken a second.

    Parameters
    ----------
    what : str
        What is done.
    total : int or None
    unit : str

    Returns
    -------
    bar : tqdm
        A context manager; its ``update(n)`` counts.
    """
    return bar(total, unit, what=what, leave=False)


def in_blocks(rows, n):
    """Yield n of some rows at a time, as lists."""
    for start in range(0, len(rows), n):
        yield rows[start : start + n]


def say(text, err=False):
    """Write a line for the person."""
    click.echo(printable(text), err=err)
