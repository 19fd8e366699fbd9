"""Rows that cannot be encoded, all of them named, and models that cannot be loaded."""

import warnings
from contextlib import contextmanager
from contextvars import ContextVar


def remedy(who):
    """Return what to do about rows that cannot be read or encoded; `who` can skip them."""
    who = who if isinstance(who, str) else type(who).__name__
    return f"mend or leave out these rows, or in {who} set on_error='skip'"


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

    See Also
    --------
    ImageError, TextError : What encoders raise.
    SkippedRowsWarning : The same where rows are skipped.

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
        return list_rows(self.bad, self.noun, self.problem, self.limit)

    def at(self, places):
        """Name row i by all its places in a larger X, `places[i]`, in a new error."""
        bad = {place: reason for row, reason in self.bad.items() for place in places[row]}
        return type(self)(bad, self.problem, self.limit)


class ImageError(RowError):
    """Rows that are not usable images, all of them named at once.

    Parameters and attributes are those of `RowError`.

    .. versionadded:: 0.1

    Parameters
    ----------
    bad, problem, limit
        As in `RowError`.

    See Also
    --------
    RowError : What it has in common with `TextError`.

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

    Parameters
    ----------
    bad, problem, limit
        As in `RowError`.

    See Also
    --------
    RowError : What it has in common with `ImageError`.

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

    See Also
    --------
    RowError : The same where rows are not skipped.

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
        return list_rows(self.bad, self.noun, "skipped, to be taken for unknown")


def list_rows(bad, noun, problem, limit=None):
    """Name the rows and their reasons, a line each, at most `limit` of them."""
    rows = sorted(bad)
    lines = [f"{len(rows)} {noun}{'s' * (len(rows) > 1)} {problem}:"]
    lines += [f"  row {row}: {bad[row]}" for row in rows[:limit]]
    if limit is not None and len(rows) > limit:
        lines.append(f"  and {len(rows) - limit} more rows")
    return "\n".join(lines)


def explain_download(what, error, what_to_do):
    """Turn what a hub says of a model into an error that says what to do."""
    from huggingface_hub import constants

    offline = " (HF_HUB_OFFLINE is set)" if constants.HF_HUB_OFFLINE else ""
    return RuntimeError(f"{what} cannot be loaded{offline}: {error}\n{what_to_do}")


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

    `final` says that this X is the user's, so that nobody numbers its rows again; as a number, that
    it is so for the first ones, and that the others are rows of a pool.
    """
    places = [int(row) for row in rows]
    n_final = (len(places) if final else 0) if isinstance(final, bool) else final
    try:
        with collecting() as warned:
            yield
    except RowError as error:
        if error.final:
            raise
        moved = error.at([[place] for place in places])
        moved.final = final is not False
        raise moved from None
    for warning in warned:
        if warning.final:
            report(warning.bad, warning.noun, True)
            continue
        for part in (True, False):
            bad = {places[row]: why for row, why in warning.bad.items() if (row < n_final) == part}
            if bad:
                report(bad, warning.noun, part)


def report(bad, noun, final=False, stacklevel=4):
    """Warn of skipped rows, or hand them to who is `collecting`."""
    warning, warned = SkippedRowsWarning(bad, noun), _COLLECTED.get()
    warning.final = final
    if warned is None:
        warnings.warn(warning, stacklevel=stacklevel)
    else:
        warned.append(warning)
