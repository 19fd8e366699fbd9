"""Bars with the time left, for what takes more than a second."""

import sys

LATE = 1.0  # seconds; what is done before needs no bar
_SELDOM = 10.0  # seconds between two states of a bar in a file


def bar(total, unit="rows", *, what=None, shown=True, leave=True):
    """Return a bar on standard error that appears once this has taken a second.

    Parameters
    ----------
    total : int or None
    unit : str, default="rows"
    what : str, default=None
        What is done.
    shown : bool, default=True
    leave : bool, default=True
        Whether its end stays on the screen.

    Returns
    -------
    bar : tqdm
        A context manager; its ``update(n)`` counts.
    """
    from tqdm.auto import tqdm

    return tqdm(
        desc=what,
        total=total,
        unit=f" {unit}",
        leave=leave,
        delay=LATE,
        mininterval=0.1 if sys.stderr.isatty() else _SELDOM,
        file=sys.stderr,
        disable=not shown or total == 0,
    )
