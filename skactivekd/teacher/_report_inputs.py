"""What a teacher report looks at: probabilities of all rows, and columns of the labelled ones."""

import numpy as np
from sklearn.utils.validation import _num_samples

from .._labels import as_labels, is_missing
from ._skipping import collecting, report
from ._zero_shot import ZeroShotTeacher


def teacher_proba(teacher, X):
    """Ask any kind of teacher for its probabilities.

    Parameters
    ----------
    teacher : estimator, callable, or array-like of shape (n_samples, n_classes)
    X : array-like of n_samples rows, or None for a matrix

    Returns
    -------
    proba : ndarray of shape (n_samples, n_classes)
        All nan in rows that the teacher skipped.

    Raises
    ------
    ValueError
        If a row holds anything but probabilities that sum to 1; it is named.
    TypeError
        If the teacher is none of these.

    Examples
    --------
    >>> from skactivekd.teacher._report_inputs import teacher_proba
    >>> teacher_proba(lambda X: [[0.5, 0.5] for _ in X], ["a", "b"]).shape
    (2, 2)
    """
    if isinstance(teacher, type):
        raise TypeError(f"teacher is the class {teacher.__name__}; pass a fitted object of it")
    if not hasattr(teacher, "predict_proba") and not callable(teacher):
        return _check_proba(teacher, None if X is None else _num_samples(X))
    if X is None:
        raise TypeError("X is None; only beside a matrix of probabilities it is not needed")
    with collecting() as warned:
        proba = teacher.predict_proba(X) if hasattr(teacher, "predict_proba") else teacher(X)
    proba = _check_proba(proba, _num_samples(X))
    if warned:
        proba = proba.copy()
    for warning in warned:
        proba[list(warning.bad)] = np.nan  # what stands there is a guess
        report(warning.bad, warning.noun)
    return proba


def _check_proba(proba, n):
    proba = np.asarray(proba)
    if proba.ndim != 2 or proba.dtype.kind not in "fiu" or 0 in proba.shape:
        raise TypeError(
            "teacher must have predict_proba, or be callable, or be a matrix of probabilities of "
            f"shape (n_samples, n_classes); got {type(proba).__name__} of shape {proba.shape}"
        )
    if n is not None and len(proba) != n:
        raise ValueError(f"the teacher gives {len(proba)} rows of probabilities for {n} rows of X")
    proba = proba.astype(np.promote_types(proba.dtype, np.float32), copy=False)
    sums = proba.sum(axis=1, dtype=np.float64)
    bad = np.flatnonzero(~((np.abs(sums - 1) <= 1e-3) & (proba.min(axis=1) >= 0)))
    bad = bad[~np.isnan(proba[bad]).all(axis=1)]
    if len(bad):
        raise ValueError(
            f"row {bad[0]} of the teacher's output is {proba[bad[0]]} with sum {sums[bad[0]]:.4g} "
            f"({len(bad)} such rows), not probabilities; logits become these by softmax"
        )
    return proba


def label_columns(y, classes, n, n_columns, missing_label=-1):
    """Find the column of each labelled row's class.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or None
    classes : sequence of length n_columns, or None
        The label of each column; None counts from 0. Beside numeric y, names
        are positions: the label 3 is the fourth.
    n, n_columns : int
        Shape of the probabilities.
    missing_label : int, float nan, str or None, default=-1

    Returns
    -------
    classes : ndarray of shape (n_columns,)
    columns : ndarray of int of shape (n_samples,)
        -1 where a row is not labelled.

    Raises
    ------
    ValueError
        If y and the probabilities differ in length, or a label has no column.

    Examples
    --------
    >>> from skactivekd.teacher._report_inputs import label_columns
    >>> label_columns(["b", None], ["a", "b"], 2, 2, missing_label=None)[1]
    array([ 1, -1])
    """
    classes = as_labels(range(n_columns) if classes is None else classes)
    if len(classes) != n_columns:
        raise ValueError(f"there are {len(classes)} classes for {n_columns} columns of the teacher")
    if is_missing(classes, missing_label).any():
        raise ValueError(
            f"the teacher learned missing_label={missing_label!r} as a class; fit it on labelled "
            "rows alone"
        )
    columns = np.full(n, -1)
    if y is None:
        return classes, columns
    y = as_labels(y)
    if y.shape != (n,):
        raise ValueError(f"y has the shape {y.shape} for {n} rows of X")
    by_position = y.dtype.kind in "iuf" and classes.dtype.kind not in "iufb"
    labels = range(n_columns) if by_position else classes.tolist()
    position = {label: column for column, label in enumerate(labels)}
    labeled = np.flatnonzero(~is_missing(y, missing_label))
    unknown = [row for row in labeled if y[row] not in position]
    if unknown:
        raise ValueError(
            f"y[{unknown[0]}] is {y[unknown[0]]!r}, which is not among the teacher's classes "
            f"{list(labels)[:10]}; say in classes= which column is which, and mark unlabelled rows "
            f"with missing_label={missing_label!r}"
        )
    columns[labeled] = [position[y[row]] for row in labeled]
    return classes, columns


def out_of_fold_proba(teacher, X, y, proba, cv, missing_label=-1, random_state=0):
    """Replace the labelled rows' probabilities by those of teachers that did not see them.

    Parameters
    ----------
    teacher : fitted estimator
        Its clones are fitted. One that knows no `missing_label` is fitted on
        labelled rows alone.
    X : array-like of n_samples rows
    y : array-like of shape (n_samples,)
    proba : ndarray of shape (n_samples, n_classes)
        Of the teacher itself.
    cv : int or cross-validation splitter
    missing_label : int, float nan, str or None, default=-1
    random_state : None, int or numpy.random.RandomState, default=0

    Returns
    -------
    proba : ndarray of shape (n_samples, n_classes)

    Raises
    ------
    TypeError
        If the teacher cannot be fitted.
    """
    from sklearn.base import clone
    from sklearn.frozen import FrozenEstimator
    from sklearn.utils import _safe_indexing

    from ..model_selection import LabeledStratifiedKFold

    if not hasattr(teacher, "fit") or isinstance(teacher, FrozenEstimator):
        raise TypeError("cv needs a teacher that can be fitted, not a frozen one or a matrix")
    if isinstance(cv, int):
        cv = LabeledStratifiedKFold(
            cv, shuffle=True, random_state=random_state, missing_label=missing_label
        )
    y, proba = as_labels(y), proba.copy()
    labeled = ~is_missing(y, missing_label)
    judged = labeled & ~np.isnan(proba).all(axis=1)
    for train, test in cv.split(X, y):
        if not knows_missing_label(teacher):
            train = train[labeled[train]]
        test = test[judged[test]]
        fold = clone(teacher).fit(_safe_indexing(X, train), y[train])
        proba[test] = _align(fold, teacher, fold.predict_proba(_safe_indexing(X, test)))
    return proba


def knows_missing_label(teacher):
    """Tell whether a teacher, or a step of it, has the parameter `missing_label`."""
    params = teacher.get_params() if hasattr(teacher, "get_params") else ()
    return any(name.split("__")[-1] == "missing_label" for name in params)


def learns_from_labels(teacher):
    """Tell whether a teacher may have seen the labels it is judged by."""
    from sklearn.utils import get_tags

    if not hasattr(teacher, "__sklearn_tags__"):
        return False
    if isinstance(teacher, ZeroShotTeacher):
        return teacher.logit_scale == "auto"
    return get_tags(teacher).target_tags.required or knows_missing_label(teacher)


def _align(fold, teacher, proba):
    """Put the columns of a fold's teacher, which may lack classes, in the order of the whole's."""
    whole = as_labels(teacher.classes_).tolist()
    aligned = np.zeros((len(proba), len(whole)), dtype=proba.dtype)
    aligned[:, [whole.index(label) for label in as_labels(fold.classes_).tolist()]] = proba
    return aligned
