"""The names that a session takes for labels."""

import re
import unicodedata
from collections.abc import Mapping
from difflib import get_close_matches

import numpy as np

from ..utils._classes import check_classes
from ..utils._missing_label import is_missing

LONGEST = 200  # characters of a name that the page can show
_WHOLE = re.compile(r"\s*([+-]?[0-9]{1,18})(\.0*)?\s*", re.ASCII)


def plain_classes(classes, missing_label):
    """Return classes as a list of str, or of int, in their order.

    Raises
    ------
    TypeError
        If they are neither, or both.
    ValueError
        If there is none, one repeats or is the `missing_label`, or cannot be written.
    """
    if isinstance(classes, Mapping):
        raise TypeError(
            "classes is a mapping, but a session takes labels alone. What a teacher calls them "
            "belongs to the estimator, DHOClassifier(classes={label: name, ...}); pass its keys."
        )
    labels = [plain(label) for label in classes] if hasattr(classes, "__iter__") else []
    for label in labels:
        check_class(label, labels[0], missing_label)
    check_classes(classes, missing_label)
    return labels


def check_class(label, like, missing_label):
    """Refuse what cannot be a class beside another one."""
    if isinstance(label, bool) or not isinstance(label, str | int):
        raise TypeError(f"A class is a str or an int, got {label!r}.")
    if isinstance(label, str) != isinstance(like, str):
        raise TypeError(f"Classes must be all str or all int, got {like!r} and {label!r}.")
    if is_missing([label], missing_label)[0]:
        raise ValueError(f"{label!r} is the missing_label and cannot be a class.")
    if isinstance(label, str):
        if not label.strip():
            raise ValueError("The name of a class is empty.")
        try:
            label.encode()
        except UnicodeEncodeError:
            raise ValueError(f"The class {label!r} has a character that is none.") from None


def look(name):
    r"""Return what a person sees of a name: not how accents are encoded, nor blanks around it.

    Examples
    --------
    >>> from skactivekd.session._classes import look
    >>> look("cafe\u0301  au lait ") == look("caf\xe9 au lait")
    True
    """
    shown = unicodedata.normalize("NFC", str(name))
    return " ".join("".join(c for c in shown if unicodedata.category(c) != "Cf").split())


def whole_number(text):
    """Return the int that a text is, 2.0 of a column with gaps too; None if it is none.

    Examples
    --------
    >>> from skactivekd.session._classes import whole_number
    >>> whole_number(" 12.0"), whole_number("1_0"), whole_number("1.5")
    (12, None, None)
    """
    found = _WHOLE.fullmatch(text)
    return int(found[1]) if found else None


def cased_pair(names):
    """Return the first two names that differ in case alone, or None; a and A are two letters."""
    first = {}
    for name in names:
        like = look(name).casefold()
        if len(like) > 1 and first.setdefault(like, name) != name:
            return first[like], name
    return None


def check_new(label, known):
    """Refuse a new class that nobody could tell from one that is there."""
    alike = [name for name in known if name != label and look(name) == look(label)]
    if alike:
        raise ValueError(
            f"The class {label!a} looks like {alike[0]!a}, which is there already; use that one, "
            "or another name."
        )


def check_label(label, classes):
    """Return a label as the class it is.

    Raises
    ------
    ValueError
        If it is none of the classes.
    """
    label = plain(label)
    if isinstance(label, float) and label.is_integer():
        label = int(label)  # labels meet classes by value: a column with gaps holds floats
    for known in classes:
        if type(known) is type(label) and known == label:
            return known
    alike = [known for known in classes if str(known) == str(label)]
    alike = alike or get_close_matches(str(label), map(str, classes), n=1)
    hint = f" Did you mean {alike[0]!r}?" if alike else ""
    shown = ", ".join(map(repr, classes[:10])) + (", ..." if len(classes) > 10 else "")
    raise ValueError(
        f"{label!r} is none of the classes ({shown}).{hint} add_class({label!r}) makes it one."
    )


def plain(label):
    """Return numpy's scalars as Python's."""
    return label.item() if isinstance(label, np.generic) else label
