"""Names of classes: read from the command line or a file, and fit to be told apart."""

import os
import re

from ..session._classes import LONGEST, cased_pair, look
from ._errors import Trouble, is_shown

_WHOLE = re.compile(r"-?[0-9]+(\.0+)?")


def _looks(name):
    """What a person sees of a name: not how its accents are encoded, nor that 1.0 is not 1."""
    if _WHOLE.fullmatch(name):
        return name.partition(".")[0]
    return look(name)


def read_classes(text):
    """Return the classes that ``--classes`` names: by commas, or ``@file`` with one a line.

    Raises
    ------
    Trouble
        If there is none, or one comes twice.
    """
    if text.startswith("@"):
        path = os.path.expanduser(text[1:])
        try:
            with open(path, encoding="utf-8-sig") as file:
                names = [line.strip() for line in file]
        except UnicodeDecodeError:
            raise Trouble(f"{path} is no UTF-8; save it as such.") from None
        except OSError as error:
            raise Trouble(
                f"--classes: {path} cannot be read ({error.strerror}); name a file with one class "
                "a line."
            ) from None
        names = [name for name in names if name]
    else:
        names = [name.strip() for name in text.split(",")]
        if not all(names):
            raise Trouble(
                f"--classes {text!r} has an empty name; put commas between names only. (Names that "
                "hold commas go into a file, one a line: --classes @file.)"
            )
    return check_class_names(names, "--classes")


def check_class_names(names, where):
    """Return names of classes, if they can be such."""
    seen = {}
    check_shown(names, where)
    for name in names:
        if name in seen.values():
            raise Trouble(f"{where} names {name!r} more than once; name each class once.")
        if _looks(name) in seen:
            raise Trouble(
                f"{where} names {seen[_looks(name)]!a} and {name!a}, which nobody can tell apart; "
                "write them alike."
            )
        seen[_looks(name)] = name
    if pair := cased_pair(names):
        one, other = pair
        raise Trouble(
            f"{where} names {one!r} and {other!r}, alike but for upper and lower case: if they are "
            "one class, write them alike; else give one another name."
        )
    if len(names) < 2:
        raise Trouble(f"{where} must name two classes at least, got {', '.join(names) or 'none'}.")
    return names


def check_shown(names, where):
    """Refuse names that the page cannot show."""
    for name in names:
        if not is_shown(name):
            raise Trouble(f"{where}: the name {name!r} holds a character that cannot be shown.")
        if len(name) > LONGEST:
            raise Trouble(
                f"{where}: the name {name[:40]!r}... is {len(name)} characters long; up to "
                f"{LONGEST} fit on the page."
            )
