"""Rows that an encoder skips are not for choosing: nobody could look at them."""

import numpy as np

from .._rows import take_rows
from ..encoders._errors import collecting, numbered, report


def choose_known(choose, X_pool, rows):
    """Choose rows of a pool, again without those that turn out to be skipped.

    Parameters
    ----------
    choose : callable
        From rows of the pool, and their positions in it, to positions among
        these rows.
    X_pool : array-like, DataFrame, sparse matrix or list of rows
        The pool.
    rows : ndarray of int
        Where its rows stand in the user's X.

    Returns
    -------
    picks : ndarray of int64
        Positions in `X_pool`.

    Raises
    ------
    ValueError
        If all rows are skipped.
    RowError
        If rows cannot be encoded, named by their place in the user's X.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> from skactivekd.query._skipped import choose_known
    >>> from skactivekd.encoders._errors import report
    >>> def first(pool, left):
    ...     if "gone.png" in pool:
    ...         report({pool.index("gone.png"): "no such file"}, "image")
    ...     return np.array([0])
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     picks = choose_known(first, ["gone.png", "cat.png"], np.array([4, 6]))
    >>> picks
    array([1])
    >>> print(caught[0].message)
    1 image skipped, to be taken for unknown:
      row 4: no such file
    """
    left, skipped, noun = np.arange(len(rows)), {}, "row"
    while True:
        pool = X_pool if len(left) == len(rows) else take_rows(X_pool, left)
        with collecting() as warned, numbered(rows[left], final=False):
            picks = choose(pool, left)
        # Those that are numbered for good are labeled rows.
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
