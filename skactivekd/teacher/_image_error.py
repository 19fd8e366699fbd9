"""The error that names every row that is no usable image."""


class ImageError(ValueError):
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
    >>> from skactivekd.teacher import ImageError
    >>> print(ImageError({2: "cat.png: no such file"}, "cannot be read"))
    1 image cannot be read:
      row 2: cat.png: no such file
    """

    def __init__(self, bad, problem, limit=None):
        super().__init__(bad, problem, limit)
        self.bad, self.problem, self.limit = dict(bad), problem, limit

    def __str__(self):
        rows = sorted(self.bad)
        lines = [f"  row {row}: {self.bad[row]}" for row in rows[: self.limit]]
        if len(lines) < len(rows):
            lines.append(f"  and {len(rows) - len(lines)} more rows")
        count = f"{len(rows)} image{'s' * (len(rows) > 1)}"
        return "\n".join([f"{count} {self.problem}:", *lines])

    def at(self, places):
        """Name the rows by where they stand in a larger X.

        Parameters
        ----------
        places : sequence of sequence of int
            `places[i]` are all the places of row i in the larger X.

        Returns
        -------
        error : ImageError
        """
        bad = {place: reason for row, reason in self.bad.items() for place in places[row]}
        return ImageError(bad, self.problem, self.limit)
