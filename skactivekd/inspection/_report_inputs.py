"""What a teacher report looks at: probabilities of all rows, and columns of the labeled ones."""

import numpy as np
from sklearn.utils.validation import _num_samples

from .._take_rows import take_rows
from ..encoders._unreadable_rows import collecting, report
from ..teacher._zero_shot import ZeroShotTeacher
from ..utils._classes import check_classes, explain_kinds, refuse_learned_marker
from ..utils._label_values import as_labels, of_two_kinds
from ..utils._labels import check_labels, encode_labels, find_positions
from ..utils._matrix import as_ndarray
from ..utils._proba import (
    check_proba,
    column_names,
    find_columns,
    ordered_proba,
    refuse_no_teacher,
)


def teacher_proba(teacher, X):
    """Ask any kind of teacher for its probabilities.

    Parameters
    ----------
    teacher : estimator, callable, or array-like of shape (n_samples, n_classes)
    X : array-like of n_samples rows, or None for a matrix

    Returns
    -------
    proba : ndarray of shape (n_samples, n_classes)
        A copy; all nan in rows that the teacher skipped.
    names : ndarray of shape (n_classes,) or None
        What it calls its columns.

    Raises
    ------
    ValueError
        If a row holds anything but probabilities that sum to 1; it is named.
    TypeError
        If the teacher is none of these.

    Examples
    --------
    >>> from skactivekd.inspection._report_inputs import teacher_proba
    >>> teacher_proba(lambda X: [[0.5, 0.5] for _ in X], ["a", "b"])[0].shape
    (2, 2)
    """
    if isinstance(teacher, type):
        raise TypeError(f"teacher is the class {teacher.__name__}; pass a fitted object of it")
    if not hasattr(teacher, "predict_proba") and not callable(teacher):
        refuse_no_teacher(teacher)
        return _check_answer(teacher, "teacher", None if X is None else _num_samples(X))
    if X is None:
        raise TypeError("X is None; only beside a matrix of probabilities it is not needed")
    with collecting() as warned:
        answer = teacher.predict_proba(X) if hasattr(teacher, "predict_proba") else teacher(X)
    name, n_rows = "the teacher's output", _num_samples(X)
    if hasattr(teacher, "classes_"):
        names = as_labels(teacher.classes_)
        proba = _as_floats(ordered_proba(answer, names, name, n_rows=n_rows, skipped=True), name)
    else:
        proba, names = _check_answer(answer, name, n_rows)
    if warned:
        proba = proba.copy()
    for warning in warned:
        proba[list(warning.bad)] = np.nan  # what stands there is a guess
        report(warning.bad, warning.noun)
    return proba, names


def _check_answer(answer, name, n_rows):
    """Return probabilities as floats, and what their columns are called."""
    proba = as_ndarray(check_proba(answer, name, n_rows=n_rows, skipped=True))
    return _as_floats(proba, name), column_names(answer, name)


def _as_floats(proba, name):
    if not len(proba):
        raise ValueError(f"{name} has no rows")
    return proba.astype(np.promote_types(proba.dtype, np.float32), copy=False)


def label_columns(y, classes, names, n, n_columns, missing_label=-1):
    """Find the label of each column, and the column of each labeled row.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or None
    classes : sequence, or mapping of label to the teacher's name, or None
        As for `teacher_report`.
    names : ndarray of shape (n_columns,) or None
        What the teacher calls its columns.
    n, n_columns : int
        Shape of the probabilities.
    missing_label : int, float nan, pandas.NA, str or None, default=-1

    Returns
    -------
    classes : ndarray of shape (n_columns,)
    columns : ndarray of int of shape (n_samples,)
        -1 where a row is not labeled.

    Raises
    ------
    ValueError
        If y and the probabilities differ in length, or a label has no column.

    Examples
    --------
    >>> from skactivekd.inspection._report_inputs import label_columns
    >>> label_columns(["b", None], ["a", "b"], None, 2, 2, missing_label=None)[1]
    array([ 1, -1])
    """
    refuse_learned_marker(names, missing_label, "The teacher")
    classes = _name_columns(classes, names, n_columns, missing_label)
    if y is None:
        return classes, np.full(n, -1)
    return classes, encode_labels(y, classes, missing_label, n_rows=n)


def _name_columns(classes, names, n_columns, missing_label):
    """Return the label of each column, in the order of the columns."""
    if classes is None:
        return np.arange(n_columns) if names is None else names
    labels, called, given = check_classes(classes, missing_label)
    if len(labels) != n_columns:
        raise ValueError(f"there are {len(labels)} classes for {n_columns} columns of the teacher")
    if names is None:
        return labels[np.argsort(given)]
    if of_two_kinds(called, names):
        raise ValueError(explain_kinds(called, names, "classes"))
    ordered = np.empty_like(labels)
    ordered[find_columns(names, called, "the teacher's output")] = labels
    return ordered


def out_of_fold_proba(teacher, X, y, proba, cv, missing_label=-1, random_state=0):
    """Replace the labeled rows' probabilities by those of teachers that did not see them.

    Parameters
    ----------
    teacher : fitted estimator
        Its clones are fitted. One that knows no `missing_label` is fitted on
        labeled rows alone.
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

    from ..model_selection import LabeledStratifiedKFold

    if not hasattr(teacher, "fit") or isinstance(teacher, FrozenEstimator):
        raise TypeError("cv needs a teacher that can be fitted, not a frozen one or a matrix")
    if isinstance(cv, int):
        cv = LabeledStratifiedKFold(
            cv, shuffle=True, random_state=random_state, missing_label=missing_label
        )
    y, labeled = check_labels(y, missing_label, classes=teacher.classes_)
    proba = proba.copy()
    judged = labeled & ~np.isnan(proba).all(axis=1)
    for train, test in cv.split(X, y):
        if not knows_missing_label(teacher):
            train = train[labeled[train]]
        test = test[judged[test]]
        fold = clone(teacher).fit(take_rows(X, train), y[train])
        proba[test] = _align(fold, teacher, fold.predict_proba(take_rows(X, test)))
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


def is_student(model):
    """Tell a student of this package, also the last step of a pipeline, from a teacher."""
    while inside := _inside(model):
        model = inside
    # By name: students are imported after teachers.
    return any(kind.__name__ == "DHOClassifier" for kind in type(model).__mro__)


def _inside(model):
    from sklearn.frozen import FrozenEstimator
    from sklearn.pipeline import Pipeline

    if isinstance(model, Pipeline):
        return model[-1]
    if isinstance(model, FrozenEstimator):
        return model.estimator
    return getattr(model, "best_estimator_", None)


def _align(fold, teacher, proba):
    """Put the columns of a fold's teacher, which may lack classes, in the order of the whole's."""
    known = ordered_proba(proba, fold.classes_, "predict_proba of a fold's teacher")
    aligned = np.zeros((len(known), len(teacher.classes_)), dtype=known.dtype)
    aligned[:, find_positions(fold.classes_, teacher.classes_)] = known
    return aligned
