"""What a label is: a string or a real number, in an array that keeps it so."""

import numbers
from collections.abc import Mapping, Set

import numpy as np


def as_labels(y):
    """Return labels as an array, without making strings of None or numbers."""
    if hasattr(y, "dtype") or hasattr(y, "__array__"):
        return np.asarray(y)
    y = list(y)
    kinds = {type(value) for value in y}
    return np.asarray(y, dtype=object if len(kinds) > 1 or type(None) in kinds else None)


def plain(labels):
    """Return labels of one kind as an array of a dtype that can be sorted."""
    return labels if labels.dtype.kind in "iufbU" else np.asarray(labels.tolist())


def of_two_kinds(labels, classes):
    """Tell whether one of two sequences holds strings alone, and the other none."""
    texts, others = (
        {isinstance(label, str) for label in as_labels(values).tolist()}
        for values in (labels, classes)
    )
    return len(texts) == len(others) == 1 and texts != others


def refuse_odd_values(y, name):
    """Refuse what is neither a string nor a real number nor missing."""
    if y.dtype.kind in "iufbU":
        return
    for row, value in enumerate(y.tolist()):
        if isinstance(value, str | numbers.Real | np.bool_) or value is None or is_nan(value):
            continue
        hint = "; decode it" if isinstance(value, bytes) else ""
        raise TypeError(
            f"{name} holds {value!r}, a {type(value).__name__}, in row {row}: labels are strings "
            f"or real numbers{hint}."
        )


def is_list(values):
    """Tell what has an order and a length from sets, mappings, generators and scalars."""
    if isinstance(values, Set | Mapping):
        return False
    return hasattr(values, "__array__") or (hasattr(values, "__len__") and hasattr(values, "index"))


def is_nan(value):
    """Tell nan, NaT and pandas.NA, without pandas."""
    if isinstance(value, str | bytes) or value is None:
        return False
    try:
        return bool(value != value)
    except TypeError:  # pandas.NA compares to nothing
        return type(value).__name__ == "NAType"
    except ValueError:  # an array
        return False
