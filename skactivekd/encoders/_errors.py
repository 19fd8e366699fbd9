"""The errors that name every row that cannot be encoded."""


class RowError(ValueError):
    """Rows that cannot be encoded, all of them named at once.

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
        """Name the rows by where they stand in a larger X.

        Parameters
        ----------
        places : sequence of sequence of int
            `places[i]` are all the places of row i in the larger X.

        Returns
        -------
        error : RowError
            Of the same class.
        """
        return type(self)(move(self.bad, places), self.problem, self.limit)


class ImageError(RowError):
    """Rows that are not usable images, all of them named at once.

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
    >>> from skactivekd.encoders import ImageError
    >>> print(ImageError({2: "cat.png: no such file"}, "cannot be read"))
    1 image cannot be read:
      row 2: cat.png: no such file
    """

    noun = "image"


class TextError(RowError, TypeError):
    """Rows that are not usable texts, all of them named at once.

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
    >>> from skactivekd.encoders import TextError
    >>> print(TextError({0: "None is a NoneType, not a str"}, "cannot be encoded"))
    1 text cannot be encoded:
      row 0: None is a NoneType, not a str
    """

    noun = "text"


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
