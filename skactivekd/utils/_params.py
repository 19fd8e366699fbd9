"""What a parameter may be, and errors that name it."""

import re
from contextlib import contextmanager

import numpy as np

_RAW = (OverflowError, RuntimeError, LookupError, AttributeError)


@contextmanager
def naming(name):
    """Put the argument's name before errors of numpy, torch and scikit-learn that lack it.

    Those that are neither ValueError nor TypeError become ValueError.

    Examples
    --------
    >>> from skactivekd.utils._params import naming
    >>> with naming("X"):
    ...     float("a")
    Traceback (most recent call last):
        ...
    ValueError: X: could not convert string to float: 'a'
    """
    try:
        yield
    except (ValueError, TypeError, *_RAW) as error:
        own = type(error).__module__.startswith("skactivekd")
        named = re.search(rf"\b{re.escape(name)}\b", str(error))
        if own or (named and not isinstance(error, _RAW)):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name}: {error}") from error


def refuse_mask(values, name):
    """Refuse arrays of numpy.ma that hide values: behind the mask lie numbers that nobody meant."""
    if np.ma.isMaskedArray(values) and np.ma.getmaskarray(values).any():
        raise ValueError(f"{name} hides values by a mask; fill them first, e.g. {name}.filled().")


def is_number(value):
    """Tell ints and floats, of Python and of numpy, from all else; booleans are no numbers."""
    numeric = isinstance(value, int | float | np.integer | np.floating)
    return numeric and not isinstance(value, bool)


def is_integer(value):
    """Tell ints of Python and of numpy; booleans are none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def check_integer(value, name, least, most=None):
    """Refuse what is no integer from `least` to `most`.

    Raises
    ------
    TypeError
        If it is no integer.
    ValueError
        If it is too small or too large.
    """
    if not is_integer(value):
        raise TypeError(f"{name} must be an integer, got {value!r}.")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}.")
    if most is not None and value > most:
        raise ValueError(f"{name} must be at most {most}, got {value}.")


def check_number(value, name, least=-np.inf, most=np.inf, *, above=None):
    """Refuse what is no finite number from `least` to `most`, or is not above `above`.

    Raises
    ------
    TypeError
        If it is no number.
    ValueError
        If it is out of range.
    """
    if not is_number(value):
        raise TypeError(f"{name} must be a number, got {value!r}.")
    if is_integer(value) and abs(int(value)) >= 2**63:  # torch takes no larger one
        raise ValueError(f"{name} must be below 2**63 if it is an integer, got {value}.")
    # What float32, in which the networks compute, tells from zero and from infinity.
    smallest = float(np.finfo(np.float32).tiny)
    if above is not None and not above + smallest <= value < np.inf:
        raise ValueError(f"{name} must be > {above} and finite, got {value!r}.")
    largest = float(np.finfo(np.float32).max)
    if not (least <= value <= most and abs(value) < largest):
        bounds = "finite" if least == -np.inf else f"in [{least}, {most}]"
        raise ValueError(f"{name} must be {bounds}, got {value!r}.")


def check_flag(value, name):
    """Refuse what is neither True nor False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}.")


def check_choice(value, name, choices):
    """Refuse what is not among some strings."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}.")
