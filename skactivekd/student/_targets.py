"""What the student learns from: class indices and aligned teacher probabilities."""

import numpy as np
from sklearn.utils import assert_all_finite, gen_batches
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from .._labels import as_labels, is_missing

_BLOCK = 4096  # rows checked at a time


def encode_labels(y, classes, missing_label=-1):
    """Turn labels into class indices, -1 where a row is not labelled.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels; `missing_label` marks unlabelled rows.
    classes : ndarray of shape (n_classes,)
        The sorted classes.
    missing_label : int, float nan, str or None, default=-1
        The marker.

    Returns
    -------
    codes : ndarray of int64 of shape (n_samples,)

    Raises
    ------
    ValueError
        If a label is not among `classes`.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.student._targets import encode_labels
    >>> encode_labels(["b", "", "a"], np.array(["a", "b"]), missing_label="")
    array([ 1, -1,  0])
    """
    y = as_labels(y)
    labeled = np.flatnonzero(~is_missing(y, missing_label))
    position = {label: index for index, label in enumerate(classes.tolist())}
    unknown = [label for label in np.unique(y[labeled]).tolist() if label not in position]
    if unknown:
        raise ValueError(
            f"y has the labels {unknown}, which are not among the classes {classes.tolist()}. "
            f"Name every class in classes=, and mark unlabelled rows with "
            f"missing_label={missing_label!r}."
        )
    codes = np.full(len(y), -1)
    codes[labeled] = [position[label] for label in y[labeled].tolist()]
    return codes


def check_labels(y, missing_label=-1):
    """Return y as a 1-D array and the mask of its labelled rows.

    Raises
    ------
    ValueError
        If y is None, not one-dimensional, not made of classes, or seems to
        mark unlabelled rows by something else than `missing_label`.
    """
    if y is None:
        raise ValueError(
            "DHOClassifier requires y to be passed, but the target y is None. To learn from the "
            "teacher alone, pass a y full of missing_label."
        )
    y = column_or_1d(as_labels(y), warn=True)
    labeled = ~is_missing(y, missing_label)
    known = y[labeled]
    _check_marker(known, missing_label)
    if len(known):
        if len({isinstance(label, str) for label in known.tolist()}) == 2:
            raise ValueError("y mixes strings and numbers among its labels; use one kind.")
        known = np.asarray(known.tolist())
        assert_all_finite(known, input_name="y")
        # Repeated, since few labels of many classes are usual here and no sign of a regression.
        check_classification_targets(np.tile(np.unique(known), 3))
    return y, labeled


def _check_marker(known, missing_label):
    """Refuse a marker of unlabelled rows other than the one declared."""
    if known.dtype == object and is_missing(known, None).any():
        found, fix = "None", "missing_label=None"
    elif not isinstance(missing_label, str) and str(missing_label) in set(known.tolist()):
        # A list that mixes strings and numbers becomes an array of strings.
        found = f"the string {str(missing_label)!r}"
        fix = f"an object array, or missing_label={str(missing_label)!r}"
    elif known.dtype.kind in "fO" and is_missing(known, np.nan).any():
        found, fix = "nan", "missing_label=np.nan"
    elif missing_label != -1 and known.dtype.kind in "if" and _looks_like_marker(known):
        found, fix = "-1", "missing_label=-1"
    else:
        return
    rows = "Input y contains NaN: it" if found == "nan" else "y"
    raise ValueError(
        f"{rows} holds {found} among its labels, while missing_label={missing_label!r}. If {found} "
        f"marks unlabelled rows, did you mean {fix}?"
    )


def _looks_like_marker(known):
    """-1 below 0, 1, 2 ... marks missing labels; the pair {-1, 1} are two classes."""
    labels = set(np.unique(known).tolist())
    return min(labels, default=0) == -1 and labels not in ({-1, 1}, {-1})


def resolve_classes(y, labeled, classes=None, teacher_classes=None, n_teacher=None):
    """Find the classes, and which column of the teacher belongs to each.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Labels.
    labeled : ndarray of bool of shape (n_samples,)
        The rows whose label counts.
    classes : array-like of shape (n_classes,), default=None
        All classes, as declared by the user.
    teacher_classes : array-like of shape (n_teacher,), default=None
        The labels of the teacher's columns, where it names them. Names
        beside numeric y mean positions: the class 3 is the fourth name.
    n_teacher : int, default=None
        The number of the teacher's columns; None without a teacher.

    Returns
    -------
    classes_ : ndarray of shape (n_classes,)
        Sorted.
    columns : ndarray of int of shape (n_classes,) or None
        The teacher's column of each class, -1 for a class it does not know.

    Raises
    ------
    ValueError
        If the classes cannot be told, or do not fit the teacher's.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.student._targets import resolve_classes
    >>> y = np.array(["cat", ""])
    >>> resolve_classes(y, y != "", teacher_classes=["dog", "cat"], n_teacher=2)
    (array(['cat', 'dog'], dtype='<U3'), array([1, 0]))
    """
    seen = np.unique(np.asarray(y[labeled].tolist()))
    if teacher_classes is not None and y.dtype.kind in "iuf":
        teacher_classes = np.asarray(teacher_classes)
        if teacher_classes.dtype.kind not in "iufb":
            teacher_classes = np.arange(len(teacher_classes))
    if classes is not None:
        declared = _check_declared(classes)
        names = declared if teacher_classes is None else np.asarray(teacher_classes)
        found = np.unique(declared)
    elif teacher_classes is not None:
        names = np.asarray(teacher_classes)
        found = np.unique(names)
    elif len(seen) or n_teacher is None:
        names = found = seen
    else:
        names = found = np.arange(n_teacher)
    if len(found) == 0:
        raise ValueError(
            "No row of y is labelled and there is no teacher: there is nothing to learn from."
        )
    if n_teacher is None:
        return found, None
    return found, _match_columns(found, names, n_teacher)


def _check_declared(classes):
    declared = np.asarray(list(classes))
    if declared.ndim != 1 or len(np.unique(declared)) != len(declared):
        raise ValueError(f"classes must be a list of distinct labels, got {classes!r}.")
    return declared


def _match_columns(found, names, n_teacher):
    if len(names) != n_teacher:
        raise ValueError(
            f"teacher_proba has {n_teacher} columns for the {len(names)} classes "
            f"{names.tolist()}. Name every class, in the order of the columns, in classes=."
        )
    position = {label: index for index, label in enumerate(names.tolist())}
    extra = [label for label in position if label not in set(found.tolist())]
    if extra:
        raise ValueError(
            f"The teacher has the classes {extra}, which are not among classes={found.tolist()}."
        )
    return np.array([position.get(label, -1) for label in found.tolist()])


def check_teacher_proba(proba, n_samples):
    """Return the teacher's probabilities, checked.

    Parameters
    ----------
    proba : array-like of shape (n_samples, n_classes)
        Rows of probabilities. Arrays and memory maps of floats are not copied,
        and read in blocks.
    n_samples : int
        The number of rows of X.

    Returns
    -------
    proba : ndarray of shape (n_samples, n_classes)

    Raises
    ------
    ValueError
        If the shape is wrong, or a row holds anything but probabilities that
        sum to one; the message names the row.
    """
    proba = proba if isinstance(proba, np.ndarray) else np.asarray(proba)
    if proba.ndim != 2 or len(proba) != n_samples:
        raise ValueError(
            f"teacher_proba must have shape (n_samples, n_classes) with n_samples={n_samples}, the "
            f"rows of X, but has shape {proba.shape}."
        )
    if proba.dtype.kind != "f":
        proba = proba.astype(np.float32)
    bad = [rows.start + _bad_rows(proba[rows]) for rows in gen_batches(len(proba), _BLOCK)]
    bad = np.concatenate(bad) if bad else np.zeros(0, dtype=int)
    if len(bad):
        row = proba[bad[0]]
        raise ValueError(
            f"teacher_proba must hold probabilities, but row {bad[0]} is {row} with sum "
            f"{row.sum():.4g} ({len(bad)} such rows). Logits become probabilities by softmax."
        )
    return proba


def _bad_rows(proba):
    sums = proba.sum(axis=1, dtype=np.float64)
    return np.flatnonzero(~np.isfinite(sums) | (proba < 0).any(axis=1) | (np.abs(sums - 1) > 1e-3))


def check_teacher_classes(teacher_classes, missing_label=-1):
    """Refuse a teacher that took unlabelled rows for a class of their own.

    Raises
    ------
    ValueError
        If `missing_label` is among the teacher's classes.
    """
    if teacher_classes is not None and is_missing(teacher_classes, missing_label).any():
        raise ValueError(
            f"The teacher learned missing_label={missing_label!r} as a class. Wrap it in "
            f"LabeledOnly(teacher), which keeps unlabelled rows from it, or one that is fitted "
            f"already in sklearn.frozen.FrozenEstimator(teacher)."
        )
