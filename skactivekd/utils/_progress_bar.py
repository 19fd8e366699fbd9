"""Bars with the time left, for what takes more than a second."""

import sys

LATE = 1.0  # seconds; what is done before needs no bar
_SELDOM = 10.0  # seconds between two states of a bar in a file


def bar(total, unit="rows", *, what=None, shown=True, leave=True):
    """Return a bar of tqdm on standard error, which appears once this has taken a second.

    A context manager; its ``update(n)`` counts. `what` is done; its end stays on the screen if
    `leave`; there is none unless `shown`.
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
