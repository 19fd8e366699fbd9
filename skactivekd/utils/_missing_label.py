"""What marks a row without a label, and what only looks like a marker."""

import numbers

import numpy as np

from ._label_values import as_labels, is_nan

# What None, nan and -1 become where an array of strings is made of them.
_AS_TEXT = ("nan", "NaN", "None", "<NA>", "NaT", "-1")


def is_missing(y, missing_label=-1):
    """Tell which entries of y are not labeled, as a mask of its shape.

    The markers nan and pandas.NA are one: what is missing to pandas.
    """
    y = as_labels(y)
    if missing_label is None:
        return _each(y, lambda value: value is None)
    if is_nan(missing_label):
        return np.isnan(y) if y.dtype.kind == "f" else _each(y, is_nan)
    if y.dtype.kind in "iufb":
        if isinstance(missing_label, str):
            return np.zeros(y.shape, dtype=bool)
        return y == missing_label
    return _each(y, lambda value: _same(value, missing_label))


def check_marker(missing_label):
    is_number = isinstance(missing_label, numbers.Real) and not isinstance(missing_label, bool)
    if not (missing_label is None or isinstance(missing_label, str) or is_number):
        if not is_nan(missing_label):
            raise TypeError(
                f"missing_label={missing_label!r} must be a number, nan, pandas.NA, a string or "
                "None."
            )


def refuse_strays(y, labeled, missing_label, name, declared):
    """Refuse labels that look like a marker other than the one declared."""
    stray = _find_stray(y, labeled, missing_label, declared)
    if stray is not None:
        row, found, fix = stray
        # Words that scikit-learn's checks ask for.
        start = f"Input {name} contains NaN: it" if found == "nan" else name
        raise ValueError(
            f"{start} holds {found} among its labels, first in row {row}, while "
            f"missing_label={missing_label!r}. If {found} marks unlabeled rows, did you mean "
            f"{fix}? Otherwise name all classes in classes=, or give the class another label."
        )
    if y.dtype.kind == "O" and len({isinstance(value, str) for value in y[labeled]}) == 2:
        raise ValueError(f"{name} mixes strings and numbers among its labels; use one kind.")


def _find_stray(y, labeled, missing_label, declared):
    """Return row, look and remedy of what seems to be a marker; None if nothing does."""
    rows = np.flatnonzero(labeled)
    known = y[rows]
    for marker, shown in ((None, "None"), (np.nan, "nan")):
        if known.dtype.kind in "fO" and (bad := is_missing(known, marker)).any():
            fix = "np.nan" if shown == "nan" else shown
            return rows[bad.argmax()], shown, f"missing_label={fix}"
    if known.dtype.kind in "OU":
        texts = {value: row for row, value in zip(rows[::-1], known[::-1].tolist(), strict=True)}
        texts = {value: row for value, row in texts.items() if value not in declared}
        own = None if isinstance(missing_label, str) else str(missing_label)
        # A list that mixes strings and numbers becomes an array of strings.
        for text in dict.fromkeys([own, "", *(() if len(rows) < len(y) else _AS_TEXT)]):
            if text in texts:
                fix = f"missing_label={text!r}"
                shown = f"the string {text!r}"
                return texts[text], shown, f"an object array, or {fix}" if text == own else fix
    if is_minus_one(missing_label) or -1 in declared:
        return None
    signs = _each(known, lambda value: _same(value, -1)) if known.dtype.kind == "O" else known == -1
    if known.dtype.kind not in "ifO" or not signs.any():
        return None
    others = set(known[~signs].tolist())
    names = any(isinstance(label, str) for label in others)
    # -1 below 0, 1, 2 ... is a marker, if no other is there; -1 and 1 are two classes.
    if names or (len(rows) == len(y) and others != {1} and min(others, default=0) >= 0):
        return rows[signs.argmax()], "-1", "missing_label=-1"
    return None


def is_minus_one(marker):
    return isinstance(marker, numbers.Real) and marker == -1


def check_not_binary(known, labeled, name):
    if len(known) and not labeled.all() and known.dtype.kind in "iuf" and (known == 1).all():
        raise ValueError(
            f"{name} holds -1 and 1 alone. If these are two classes, map -1 to another label, as "
            f"by np.where({name} == -1, 0, {name}), or set another missing_label. If -1 marks "
            "unlabeled rows, one class is too few to learn from: label rows of others, or name "
            "all classes in classes= where there is such a parameter."
        )


def _each(y, test):
    return np.fromiter((test(value) for value in y.ravel()), bool, y.size).reshape(y.shape)


def _same(value, marker):
    if isinstance(value, str) != isinstance(marker, str) or is_nan(value):
        return False
    try:
        return bool(value == marker)
    except (TypeError, ValueError):
        return False
