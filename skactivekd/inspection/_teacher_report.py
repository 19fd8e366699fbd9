"""From any kind of teacher to its report."""

import warnings

from ._report import TeacherReport
from ._report_inputs import (
    is_student,
    label_columns,
    learns_from_labels,
    out_of_fold_proba,
    teacher_proba,
)


def teacher_report(
    teacher,
    X=None,
    y=None,
    *,
    classes=None,
    missing_label=-1,
    cv=None,
    n_clusters=None,
    n_bins=10,
    confidence_level=0.95,
    random_state=0,
):
    """Judge a teacher by the labeled rows, and by the shape of all its predictions.

    .. versionadded:: 0.1

    Parameters
    ----------
    teacher : fitted estimator, callable, or array-like of shape (n_samples, n_classes)
        Anything with ``predict_proba``, a function from X to probabilities,
        or the probabilities themselves. A `DHOClassifier`, also in a pipeline
        or a search, is called a student.
    X : array-like of n_samples rows, default=None
        The pool, labeled or not. Not needed beside a matrix.
    y : array-like of shape (n_samples,), default=None
        Labels, `missing_label` where unknown; None: none is known.
    classes : sequence, or mapping of label to the teacher's name, default=None
        The label of each column, for a matrix or a function. A teacher's
        ``classes_`` and the columns of a data frame are names, which need no
        `classes`: where y holds other labels, the mapping says which name each
        stands for. None counts from 0 where there are no names.
    missing_label : int, float nan, str or None, default=-1
        Marks the unlabeled rows of y.
    cv : int, cross-validation splitter or None, default=None
        A teacher that learned from these very labels looks better on them
        than it is. With `cv`, each labeled row is judged by a clone of the
        teacher that was fitted without it. An int makes as many folds with
        `LabeledStratifiedKFold`. None: the teacher is taken as it is.
    n_clusters : int, default=None
        Clusters of the predictions; see `prediction_clusters`.
    n_bins : int, default=10
        Bins of the confidence.
    confidence_level : float, default=0.95
        Of all intervals (Wilson's).
    random_state : None, int or numpy.random.RandomState, default=0
        Folds, k-means and shuffles.

    Returns
    -------
    report : TeacherReport

    Raises
    ------
    ValueError
        If the teacher's output is no probabilities, or labels do not fit.
    TypeError
        If `teacher` is none of the above, or `cv` is set and it cannot be
        fitted.

    Warns
    -----
    UserWarning
        If the labels cannot tell the teacher from guessing.

    See Also
    --------
    TeacherReport : What it returns.
    prediction_clusters : What a teacher takes for one class.

    Notes
    -----
    The figures hold for the pool only if the labeled rows are a random sample
    of it. Rows that a query strategy chose are harder than most, and a
    teacher looks worse on them than it is.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd import ZeroShotTeacher, load_glyph_digits, teacher_report
    >>> X, y = load_glyph_digits(return_X_y=True)
    >>> known = np.where(np.random.default_rng(0).random(len(y)) < 0.06, y, -1)
    >>> teacher = ZeroShotTeacher().fit()
    >>> report = teacher_report(teacher, X, known)
    >>> report.n_labeled
    107
    >>> low, high = report.accuracy_interval
    >>> low < teacher.score(X, y) < high
    True
    """
    proba, names = teacher_proba(teacher, X)
    classes, columns = label_columns(y, classes, names, *proba.shape, missing_label)
    notes, subject = [], "student" if is_student(teacher) else "teacher"
    if cv is not None:
        proba = out_of_fold_proba(teacher, X, y, proba, cv, missing_label, random_state)
    elif learns_from_labels(teacher) and (columns >= 0).any():
        notes.append(
            f"this {subject} learns from labels: judged by the ones it was fitted on it looks "
            "better than it is; teacher_report(..., cv=5) judges each row without it"
        )
    report = TeacherReport(
        proba,
        columns,
        classes,
        n_clusters=n_clusters,
        n_bins=n_bins,
        confidence_level=confidence_level,
        random_state=random_state,
        subject=subject,
    )
    report.notes += notes
    if report.near_chance:
        warnings.warn(report.notes[0], UserWarning, stacklevel=2)
    return report
