"""Rows that an encoder skips are not for choosing: nobody could look at them."""

import numpy as np

from ..encoders._unreadable_rows import collecting, report


def choose_known(choose, rows):
    """Choose rows of a pool, again without those that turn out to be skipped.

    Parameters
    ----------
    choose : callable
        From positions in the pool to positions among these. It reports rows by
        their number in the user's X, labeled ones for good (``final``).
    rows : ndarray of int
        Where the pool stands in the user's X.

    Returns
    -------
    picks : ndarray of int64
        Positions in the pool.

    Raises
    ------
    ValueError
        If all rows are skipped.
    """
    left, skipped, noun = np.arange(len(rows)), {}, "row"
    while True:
        with collecting() as warned:
            picks = choose(left)
        found = {row: why for one in warned if not one.final for row, why in one.bad.items()}
        if not found:
            break
        noun = next(one.noun for one in warned if not one.final)
        skipped.update(found)
        left = left[~np.isin(rows[left], list(found))]
        if not len(left):
            report(skipped, noun, final=True)
            raise ValueError(
                f"No row is left to select: all {len(rows)} were skipped, since none can be "
                "encoded. The warning beside this error says why."
            )
    for one in warned:
        report(one.bad, one.noun, final=True)
    if skipped:
        report(skipped, noun, final=True)
    return left[picks]
