"""What a parameter may be, and errors that name it."""

import re
from contextlib import contextmanager

import numpy as np

_RAW = (OverflowError, RuntimeError, LookupError, AttributeError)


@contextmanager
def naming(name):
    """Put the argument's name before errors of numpy, torch and scikit-learn that lack it.

    Those that are neither ValueError nor TypeError become ValueError.
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


class WrongParameter(ValueError, TypeError):
    """A parameter that cannot be used; of both kinds, as scikit-learn's errors of the sort are."""


def check_integer(value, name, least, most=None):
    """Refuse what is no integer from `least` to `most` by `WrongParameter`."""
    if not is_integer(value):
        raise WrongParameter(f"{name}={value!r} must be an integer of at least {least}.")
    if value < least:
        raise WrongParameter(f"{name}={value!r} must be at least {least}.")
    if most is not None and value > most:
        raise WrongParameter(f"{name}={value!r} must be at most {most}.")


def check_number(value, name, least=None, most=None, *, above=None):
    """Refuse what is no finite number from `least` to `most`, or not above `above`, as above."""
    bounds = [f"at least {least}"] * (least is not None) + [f"above {above}"] * (above is not None)
    bounds += [f"at most {most}"] * (most is not None)
    if is_integer(value) and abs(int(value)) >= 2**63:  # torch takes no larger one
        raise WrongParameter(f"{name}={value!r} must be below 2**63.")
    # What float32, in which the networks compute, tells from zero and from infinity.
    largest, smallest = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)
    fits = is_number(value) and abs(value) <= largest
    fits = fits and (least is None or least <= value) and (most is None or value <= most)
    if not (fits and (above is None or value >= above + smallest)):
        wanted = " and ".join([*bounds, "finite"] if most is None else bounds)
        raise WrongParameter(f"{name}={value!r} must be {wanted}.")


def check_flag(value, name):
    """Refuse what is neither True nor False, as above."""
    if not isinstance(value, bool | np.bool_):
        raise WrongParameter(f"{name}={value!r} must be True or False.")


def check_choice(value, name, choices):
    """Refuse what is not among some strings, as above."""
    if not isinstance(value, str) or value not in choices:
        raise WrongParameter(f"{name}={value!r} must be one of {', '.join(map(repr, choices))}.")
