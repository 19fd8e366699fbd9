"""Rows that cannot be encoded: the errors and the warning that name every one of them."""

import warnings
from contextlib import contextmanager
from contextvars import ContextVar

# What to do about rows that cannot be read or encoded, wherever they can be skipped.
REMEDY = "mend or leave out these rows, or set on_error='skip'"


class RowError(ValueError):
    """Rows that cannot be encoded, all of them named at once.

    .. versionadded:: 0.1

    Parameters
    ----------
    bad : dict of int to str
        Row index to the reason.
    problem : str
        What is wrong with these rows, and what to do.
    limit : int or None, default=None
        Rows named in the message; None names every one.

    Attributes
    ----------
    bad : dict of int to str
        As given: what to leave out of X, and why.

    Examples
    --------
    >>> from skactivekd.encoders import RowError
    >>> print(RowError({2: "no sound in it"}, "cannot be encoded"))
    1 row cannot be encoded:
      row 2: no sound in it
    """

    noun = "row"
    final = False  # whether the rows are numbered as in the user's X

    def __init__(self, bad, problem, limit=None):
        super().__init__(bad, problem, limit)
        self.bad, self.problem, self.limit = dict(bad), problem, limit

    def __str__(self):
        count = f"{len(self.bad)} {self.noun}{'s' * (len(self.bad) > 1)}"
        return "\n".join([f"{count} {self.problem}:", *list_rows(self.bad, self.limit)])

    def at(self, places):
        """Name row i by all its places in a larger X, `places[i]`, in a new error."""
        return type(self)(move(self.bad, places), self.problem, self.limit)


class ImageError(RowError):
    """Rows that are not usable images, all of them named at once.

    Parameters and attributes are those of `RowError`.

    .. versionadded:: 0.1

    Examples
    --------
    >>> from skactivekd.encoders import ImageError
    >>> print(ImageError({2: "cat.png: no such file"}, "cannot be read"))
    1 image cannot be read:
      row 2: cat.png: no such file
    """

    noun = "image"


class TextError(RowError, TypeError):
    """Rows that are not usable texts, all of them named at once.

    Parameters and attributes are those of `RowError`.

    .. versionadded:: 0.1

    Examples
    --------
    >>> from skactivekd.encoders import TextError
    >>> print(TextError({0: "None is a NoneType, not a str"}, "cannot be encoded"))
    1 text cannot be encoded:
      row 0: None is a NoneType, not a str
    """

    noun = "text"


class SkippedRowsWarning(UserWarning):
    """Rows that an encoder skipped, all of them named at once.

    .. versionadded:: 0.1

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


# What follows serves those who hand some rows of X to a whole pipeline, which lets through nothing
# but errors and warnings: queries, scores, fits on labeled rows. Encoders return what was bad.
_COLLECTED = ContextVar("rows skipped so far", default=None)


@contextmanager
def collecting():
    """Yield a list that gets a SkippedRowsWarning for each call inside that skips rows."""
    warned = []
    token = _COLLECTED.set(warned)
    try:
        yield warned
    finally:
        _COLLECTED.reset(token)


@contextmanager
def numbered(rows, *, final=True):
    """Name bad rows as in the X of the caller, of which only `rows` are worked on inside.

    `final` says that this X is the user's, so that nobody numbers its rows again.
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


def report(bad, noun, final=False, stacklevel=4):
    """Warn of skipped rows, or hand them to who is `collecting`."""
    warning, warned = SkippedRowsWarning(bad, noun), _COLLECTED.get()
    warning.final = final
    if warned is None:
        warnings.warn(warning, stacklevel=stacklevel)
    else:
        warned.append(warning)


def list_rows(bad, limit=None):
    """Lines that name the rows and their reasons, at most `limit` of them."""
    rows = sorted(bad)
    lines = [f"  row {row}: {bad[row]}" for row in rows[:limit]]
    if len(lines) < len(rows):
        lines.append(f"  and {len(rows) - len(lines)} more rows")
    return lines


def move(bad, places):
    """Rows and reasons by where they stand in a larger X."""
    return {place: reason for row, reason in bad.items() for place in places[row]}


def check_on_error(on_error):
    """Raise unless the setting is one of the two."""
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error={on_error!r} must be 'raise' or 'skip'")
