"""A y of labels, checked, and turned into places among the classes."""

import numpy as np
from sklearn.utils.validation import column_or_1d

from ._check_params import refuse_mask
from ._classes import explain_kinds, listed
from ._label_values import as_labels, is_list, of_two_kinds, plain, refuse_odd_values
from ._missing_label import check_marker, check_not_binary, is_minus_one, is_missing, refuse_strays


def check_labels(y, missing_label=-1, *, name="y", classes=None, n_rows=None, any_class=False):
    """Return labels as a 1-D array and the mask of the labeled rows, or say what is wrong.

    Errors call y by `name`. Where the `classes` are known, none of them is a stray marker; where
    they need not be, `any_class` lets 1 be the only label beside the marker -1.
    """
    check_marker(missing_label)
    y = _check_column(y, name, n_rows)
    labeled = ~is_missing(y, missing_label)
    declared = () if classes is None else set(as_labels(classes).tolist())
    refuse_strays(y, labeled, missing_label, name, declared)
    known = plain(y[labeled])
    if known.dtype.kind == "f":
        _check_whole(known, name)
    if classes is None and not any_class and is_minus_one(missing_label):
        check_not_binary(known, labeled, name)
    return y, labeled


def encode_labels(y, classes, missing_label=-1, *, name="y", n_rows=None):
    """Turn labels into positions among the classes (by value), -1 where a row is not labeled.

    Errors are those of `check_labels`, or name a label that is not among the classes.
    """
    classes = as_labels(classes)
    y, labeled = check_labels(y, missing_label, name=name, classes=classes, n_rows=n_rows)
    found, inverse = np.unique(plain(y[labeled]), return_inverse=True)
    positions = find_positions(found, classes)
    if (positions < 0).any():
        _refuse_unknown(found, positions, inverse, labeled, classes, missing_label, name)
    codes = np.full(len(y), -1, dtype=np.int64)
    codes[labeled] = positions[inverse]
    return codes


def find_positions(labels, classes):
    """Find each label among classes by value; -1 where it is none of them."""
    position = {label: place for place, label in enumerate(as_labels(classes).tolist())}
    found = [position.get(label, -1) for label in as_labels(labels).tolist()]
    return np.array(found, dtype=np.int64)


def find_classes(y, labeled):
    """Return the sorted classes of the labeled rows of a checked y."""
    return np.unique(plain(y[labeled]))


def _check_column(y, name, n_rows):
    if y is None:
        raise ValueError(
            f"This requires {name} to be passed, but the target {name} is None. Where no row is "
            "labeled, pass missing_label for each."
        )
    if isinstance(y, str | bytes) or not (is_list(y) or hasattr(y, "dtype")):
        raise TypeError(
            f"{name} must be an array or a list with a label for each row, got {type(y).__name__}."
        )
    refuse_mask(y, name)
    try:
        y = as_labels(y)
        y = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
    except ValueError:  # lists of unequal length
        raise ValueError(f"{name} must have one label for each row.") from None
    if y.ndim != 1:
        # The words of scikit-learn, with what to do.
        raise ValueError(
            f"y should be a 1d array, but {name} has shape {y.shape}: one label for each row. "
            "Columns of indicators become labels by their argmax."
        )
    if n_rows is not None and len(y) != n_rows:
        raise ValueError(f"X has {n_rows} rows but {name} has {len(y)} labels.")
    refuse_odd_values(y, name)
    return y


def _check_whole(known, name):
    """Refuse targets of a regression."""
    if not np.isfinite(known).all():
        raise ValueError(
            f"Input {name} contains infinity or a value too large for {known.dtype!r}."
        )
    fractions = known[known != np.floor(known)]
    if len(fractions):
        raise ValueError(
            f"Unknown label type: {name} holds {fractions[0]!r}, but classes are whole numbers or "
            "strings."
        )


def _refuse_unknown(found, positions, inverse, labeled, classes, missing_label, name):
    if of_two_kinds(found, classes):
        raise ValueError(explain_kinds(found, classes, name))
    row = int(np.flatnonzero(labeled)[(positions < 0)[inverse].argmax()])
    unknown = found[positions < 0].tolist()
    raise ValueError(
        f"{name} has the labels {listed(unknown)}, first in row {row}, which are not among the "
        f"classes {listed(classes.tolist())}. Name every class in classes=, and mark unlabeled "
        f"rows with missing_label={missing_label!r}."
    )
