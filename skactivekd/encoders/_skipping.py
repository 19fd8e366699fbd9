"""What becomes of rows that cannot be encoded: an error, or nan and a warning."""

import warnings
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from ._errors import RowError, list_rows, move

_COLLECTED = ContextVar("rows skipped so far", default=None)


class SkippedRowsWarning(UserWarning):
    """Rows that an encoder skipped, all of them named at once.

    Parameters
    ----------
    bad : dict of int to str
        Row index to the reason.
    noun : str, default="row"
        What the rows are.

    Attributes
    ----------
    bad : dict of int to str
        As given: what to leave out of X, and why.

    Examples
    --------
    >>> from skactivekd.encoders import SkippedRowsWarning
    >>> print(SkippedRowsWarning({2: "cat.png: no such file"}, "image"))
    1 image skipped, to be taken for unknown:
      row 2: cat.png: no such file
    """

    final = False  # whether the rows are numbered as in the user's X

    def __init__(self, bad, noun="row"):
        super().__init__(bad, noun)
        self.bad, self.noun = dict(bad), noun

    def __str__(self):
        count = f"{len(self.bad)} {self.noun}{'s' * (len(self.bad) > 1)}"
        return "\n".join([f"{count} skipped, to be taken for unknown:", *list_rows(self.bad)])


@contextmanager
def collecting():
    """Keep the skipped rows of encoders called inside, instead of warning of them.

    Yields
    ------
    warned : list of SkippedRowsWarning
        One for each call that skipped rows, in the numbers of that call.

    Examples
    --------
    >>> from skactivekd.encoders._skipping import collecting, report
    >>> with collecting() as warned:
    ...     report({2: "cat.png: no such file"}, "image")
    >>> warned[0].bad
    {2: 'cat.png: no such file'}
    """
    warned = []
    token = _COLLECTED.set(warned)
    try:
        yield warned
    finally:
        _COLLECTED.reset(token)


@contextmanager
def numbered(rows, *, final=True):
    """Name bad rows as in the X of the caller, of which only some rows are worked on inside.

    Parameters
    ----------
    rows : array-like of int
        Where the rows that are worked on stand in that X.
    final : bool, default=True
        Whether that X is the user's, so that nobody numbers its rows again.

    Raises
    ------
    RowError
        The one raised inside, its rows numbered so.

    Examples
    --------
    >>> from skactivekd.encoders._skipping import collecting, numbered, report
    >>> with collecting() as warned:
    ...     with numbered([7, 9]):
    ...         report({1: "cat.png: no such file"}, "image")
    >>> warned[0].bad
    {9: 'cat.png: no such file'}
    """
    places = [[int(row)] for row in rows]
    try:
        with collecting() as warned:
            yield
    except RowError as error:
        if error.final:
            raise
        moved = error.at(places)
        moved.final = final
        raise moved from None
    for warning in warned:
        bad = warning.bad if warning.final else move(warning.bad, places)
        report(bad, warning.noun, final or warning.final)


def show_progress(verbose):
    """Whether an encoder shows a bar: not inside `collecting`, where the cache shows its own."""
    return bool(verbose) and _COLLECTED.get() is None


def report(bad, noun, final=False):
    """Warn of skipped rows, or hand them to who is `collecting`."""
    warning, warned = SkippedRowsWarning(bad, noun), _COLLECTED.get()
    warning.final = final
    if warned is None:
        warnings.warn(warning, stacklevel=4)
    else:
        warned.append(warning)


def settle(embeddings, bad, n, on_error, error):
    """Put embeddings in their rows, and raise or report for the other rows.

    Parameters
    ----------
    embeddings : ndarray of shape (n - len(bad), d)
        Of the good rows, in their order and of any length.
    bad : dict of int to str
        The other rows and their reasons; those with no usable embedding are
        added.
    n : int
        Rows in all.
    on_error : {"raise", "skip"}
    error : subclass of RowError
        What to raise.

    Returns
    -------
    embeddings : ndarray of float32 of shape (n, d)
        Rows of norm 1; nan where they are bad.

    Raises
    ------
    RowError
        If rows are bad, or an embedding is nan, infinite or zero, unless
        they are to be skipped.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.encoders._errors import TextError
    >>> from skactivekd.encoders._skipping import settle
    >>> settle(np.array([[3.0, 4.0], [0.0, 2.0]]), {}, 2, "raise", TextError)
    array([[0.6, 0.8],
           [0. , 1. ]], dtype=float32)
    """
    embeddings = np.asarray(embeddings, dtype=np.float32)
    norms = np.sqrt(np.einsum("ij,ij->i", embeddings, embeddings))
    good = np.array([row for row in range(n) if row not in bad], dtype=np.intp)
    usable = np.isfinite(norms) & (norms > 0)
    for i in np.flatnonzero(~usable):
        bad[int(good[i])] = f"the model gives it an embedding of norm {norms[i]:g}"
    if bad and on_error == "raise":
        raise error(bad, "cannot be encoded")
    unit = embeddings[usable] / norms[usable, None]
    if not bad:
        return unit
    report(bad, error.noun)
    rows = np.full((n, embeddings.shape[1]), np.nan, dtype=np.float32)
    rows[good[usable]] = unit
    return rows
