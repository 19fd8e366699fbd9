"""What a matrix of probabilities is, and whose its columns are."""

import numpy as np

from ._label_values import as_labels, of_two_kinds
from ._labels import find_positions
from ._matrix import as_matrix, as_ndarray, blocks, refuse_rows

_NEGATIVE = -1e-6  # what rounding may leave of a zero
_SUM = 1e-3  # how far from one a row of rounded probabilities may sum: float16 has three digits
_BFLOAT16 = 2.0**-7  # the same for bfloat16, which has two


def check_proba(values, name, *, n_rows=None, skipped=False, places=None):
    """Return a 2-D matrix all of whose rows are probabilities, or name the row that is not.

    Arrays, memory maps and tensors are read in blocks and not copied. Rows sum to one within 1e-3
    (2**-7 in bfloat16), and hold nothing below -1e-6; where some are `skipped`, these may be nan.
    `places` say where its rows stand in X, for the error.
    """
    matrix = as_matrix(values, name)
    if n_rows is not None and len(matrix) != n_rows:
        raise ValueError(
            f"{name} must have a row for each of the {n_rows} rows of X, but has {len(matrix)}."
        )
    tolerance = _BFLOAT16 if "bfloat16" in str(matrix.dtype) else _SUM
    hint = "are these logits? Pass probabilities, e.g. their softmax."
    for rows, block in blocks(matrix, np.float32):
        with np.errstate(over="ignore", invalid="ignore"):
            total, least = block.sum(axis=1), block.min(axis=1)
        infinite = ~np.isfinite(total)
        if skipped and infinite.any():
            infinite &= ~np.isnan(block).all(axis=1)
        refuse_rows(rows, infinite, name, "has a value that is not finite.", places)
        refuse_rows(rows, least < _NEGATIVE, name, f"has a negative value; {hint}", places)
        refuse_rows(rows, abs(total - 1) > tolerance, name, f"does not sum to one; {hint}", places)
    return matrix


def refuse_no_teacher(teacher):
    """Refuse what neither predicts nor is called, and has not the shape of a matrix."""
    try:
        shape = np.shape(teacher)
    except ValueError:  # rows of unequal length
        shape = ("?",)
    if len(shape) != 2:
        raise TypeError(
            "teacher must have predict_proba, or be a function from X to probabilities, or their "
            "matrix of shape (n_samples, n_classes), got "
            f"{type(teacher).__name__} of shape {shape}."
        )


def column_names(values, name):
    """Return the names of a frame's columns as an array; None for what has none."""
    names = getattr(values, "column_names", getattr(values, "columns", None))  # of Arrow, of pandas
    if names is None or not hasattr(values, "shape"):
        return None
    names = as_labels(list(names))
    if names.ndim != 1 or any(isinstance(label, tuple) for label in names.tolist()):
        raise ValueError(f"The columns of {name} have several levels; name each by its class.")
    if len({isinstance(label, str) for label in names.tolist()}) == 2:
        raise ValueError(f"The columns of {name} mix strings and others: {names.tolist()}.")
    if len(set(names.tolist())) < len(names):
        raise ValueError(f"Two columns of {name} have one name: {names.tolist()}.")
    return names


def find_columns(names, classes, name):
    """Find the column of each class in a frame whose columns are just the classes, by value."""
    columns = find_positions(classes, names)
    if (columns >= 0).all() and len(columns) == len(names):
        return columns
    names, classes = as_labels(names).tolist(), as_labels(classes).tolist()
    fault = f"The columns of {name} are {names}, but the classes are {classes}"
    if of_two_kinds(names, classes):
        raise ValueError(
            f"{fault}. Columns of a data frame are matched by name: set {name}.columns to the "
            f"class of each, or pass {name}.to_numpy(), whose columns follow classes=."
        )
    missing = [label for label in classes if label not in names]
    extra = [label for label in names if label not in classes]
    raise ValueError(
        f"{fault}: {f'{missing} have no column' if missing else ''}"
        f"{' and ' if missing and extra else ''}{f'{extra} are no classes' if extra else ''}. "
        "Name each column of a data frame by its class; a class that the teacher does not know "
        "is a column of zeros."
    )


def ordered_proba(values, classes, name, *, n_rows=None, skipped=False):
    """Return checked probabilities as an ndarray whose columns follow some classes.

    Columns of a frame are matched by name; those of all else follow the classes already.
    """
    names = column_names(values, name)
    proba = as_ndarray(check_proba(values, name, n_rows=n_rows, skipped=skipped))
    if names is not None:
        return proba[:, find_columns(names, classes, name)]
    if proba.shape[1] != len(classes):
        raise ValueError(
            f"{name} has {proba.shape[1]} columns for the {len(classes)} classes "
            f"{as_labels(classes).tolist()[:10]}."
        )
    return proba
