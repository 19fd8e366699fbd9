"""How good a teacher is, as far as the labels so far can tell."""

import math
import warnings

import numpy as np

from ..metrics._reliability import (
    accuracy_interval,
    expected_calibration_error,
    log_loss,
    reliability_curve,
)
from ..metrics._temperature_scaling import best_temperature
from ..utils._check_params import check_integer, check_number
from ._prediction_clusters import prediction_clusters
from ._report_inputs import (
    is_student,
    label_columns,
    learns_from_labels,
    out_of_fold_proba,
    teacher_proba,
)
from ._report_tables import chance_level, class_table, report_notes, report_text


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


class TeacherReport:
    """Figures about a teacher; `teacher_report` makes it.

    ``print`` shows the figures, `to_frame` gives tables, `plot` a picture.

    .. versionadded:: 0.1

    Parameters
    ----------
    proba : ndarray of shape (n_samples, n_classes)
        Probabilities; rows of nan were skipped by the teacher.
    columns : ndarray of int of shape (n_samples,)
        The column of each row's class, -1 where it is not labeled.
    classes : ndarray of shape (n_classes,)
        The label of each column.
    n_clusters, n_bins, confidence_level, random_state
        As for `teacher_report`.
    subject : {"teacher", "student"}, default="teacher"
        Who is judged, in words and pictures.

    Attributes
    ----------
    n_samples, n_labeled : int
        Rows judged, and labeled ones among them.
    skipped : ndarray of int
        Rows that the teacher skipped; no figure counts them.
    accuracy : float
        Share of the labeled rows that the teacher gets right.
    accuracy_interval : tuple of float
        Its interval.
    chance : float
        The accuracy of guessing each class as often as the teacher predicts it.
    near_chance : bool
        Whether labels are there and the interval does not lie above `chance`.
    mean_confidence : float
        Mean of the largest probability over the labeled rows.
    expected_calibration_error, log_loss : float
        On the labeled rows.
    temperature : float
        What would make the probabilities fit the labels best; above 1 the
        teacher is overconfident. Few labels leave it near 1.
    per_class, reliability : pandas.DataFrame
        See `to_frame`.
    clusters : sklearn.utils.Bunch
        Result of `prediction_clusters`, its table with the "accuracy" of the
        labeled rows in each cluster and the class "predicted" at its center.
    radius_ratio : float
        Mean radius of the clusters over that of the shuffled control: below 1
        the predictions bunch together more than their confidence explains.
        nan where all radii are 0.
    notes : list of str
        What to look at.

    See Also
    --------
    teacher_report : Makes it.

    Examples
    --------
    >>> from skactivekd import teacher_report
    >>> proba = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6], [0.1, 0.9]] * 4
    >>> report = teacher_report(proba, y=[0, 0, 1, 1, -1] * 4)
    >>> report.accuracy, report.n_labeled
    (1.0, 16)
    """

    def __init__(
        self,
        proba,
        columns,
        classes,
        *,
        n_clusters=None,
        n_bins=10,
        confidence_level=0.95,
        random_state=0,
        subject="teacher",
    ):
        check_integer(n_bins, "n_bins", 1)
        check_number(confidence_level, "confidence_level", 0, 1)
        self.subject = subject
        self.classes, self.confidence_level = classes, confidence_level
        # A row has only numbers or only nan, as `teacher_proba` checks.
        self.skipped = np.flatnonzero(np.isnan(proba[:, 0]))
        if len(self.skipped) == len(proba):
            raise ValueError(f"the {subject} skipped every row: there is nothing to report")
        if len(self.skipped):
            proba, columns = (np.delete(rows, self.skipped, axis=0) for rows in (proba, columns))
        self._judge(proba, columns, n_bins)
        self._cluster(proba, columns, n_clusters, random_state)
        self.notes = report_notes(self, proba, columns)

    def _judge(self, proba, columns, n_bins):
        labeled = columns >= 0
        known, y = proba if labeled.all() else proba[labeled], columns[labeled]
        right = known.argmax(axis=1) == y
        self.n_samples, self.n_labeled = len(proba), len(y)
        self.accuracy = float(right.mean()) if len(y) else math.nan
        self.accuracy_interval = accuracy_interval(right.sum(), len(y), self.confidence_level)
        self.chance = chance_level(known.argmax(axis=1), y, len(self.classes))
        self.near_chance = self.n_labeled > 0 and self.accuracy_interval[0] <= self.chance
        self.mean_confidence = float(known.max(axis=1).mean()) if len(y) else math.nan
        self.expected_calibration_error = expected_calibration_error(known, y, n_bins)
        self.log_loss = log_loss(known, y)
        self.temperature = best_temperature(known, y)
        self.reliability = reliability_curve(known, y, n_bins, self.confidence_level)
        self.per_class = class_table(proba, columns, self.classes, self.confidence_level)

    def _cluster(self, proba, columns, n_clusters, random_state):
        labeled = columns >= 0
        found = prediction_clusters(proba, labeled, n_clusters, random_state=random_state)
        right = np.where(labeled, proba.argmax(axis=1) == columns, np.nan)
        hits = np.bincount(found.labels[labeled], right[labeled], len(found.table))
        with np.errstate(invalid="ignore"):
            found.table["accuracy"] = hits / found.table["n_labeled"]
        found.table["predicted"] = self.classes[found.centers.argmax(axis=1)]
        self.clusters = found
        real = found.control_radius > 1e-6  # k-means leaves rounding errors
        self.radius_ratio = found.mean_radius / found.control_radius if real else math.nan

    def to_frame(self, table="summary"):
        """Give one of the report's tables.

        Parameters
        ----------
        table : {"summary", "per_class", "reliability", "clusters", "control"}, default="summary"
            The figures, one a row; or for each class its labeled rows ("n"),
            their "accuracy" with its interval ("low", "high") and mean
            "confidence", the class they are most often "confused_with", how
            often ("n_confused"), and the share of all rows "predicted" to be of
            this class; `reliability_curve`; or the clusters of the predictions
            and their shuffled control.

        Returns
        -------
        frame : pandas.DataFrame
            A copy.

        Raises
        ------
        ValueError
            If there is no such table.
        """
        import pandas as pd

        tables = {
            "per_class": self.per_class,
            "reliability": self.reliability,
            "clusters": self.clusters.table,
            "control": self.clusters.control,
        }
        if table == "summary":
            return pd.DataFrame.from_dict(self._summary(), orient="index", columns=["value"])
        if table not in tables:
            raise ValueError(f"table={table!r} must be one of {['summary', *tables]}")
        return tables[table].copy()

    def _summary(self):
        low, high = self.accuracy_interval
        return {
            "n_samples": self.n_samples,
            "n_labeled": self.n_labeled,
            "n_skipped": len(self.skipped),
            "accuracy": self.accuracy,
            "accuracy_low": low,
            "accuracy_high": high,
            "chance": self.chance,
            "mean_confidence": self.mean_confidence,
            "expected_calibration_error": self.expected_calibration_error,
            "log_loss": self.log_loss,
            "temperature": self.temperature,
            "n_clusters": len(self.clusters.table),
            "mean_radius": self.clusters.mean_radius,
            "control_radius": self.clusters.control_radius,
            "radius_ratio": self.radius_ratio,
            "coverage": self.clusters.coverage,
            "expected_coverage": self.clusters.expected_coverage,
            "row_coverage": self.clusters.row_coverage,
        }

    def plot(self, *, axes=None):
        """Draw the report.

        Parameters
        ----------
        axes : sequence of three matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : TeacherReportDisplay
        """
        from ..plotting import TeacherReportDisplay

        return TeacherReportDisplay.from_report(self, axes=axes)

    def __str__(self):
        return report_text(self)

    def __repr__(self):
        return f"<TeacherReport: accuracy {self.accuracy:.3f} on {self.n_labeled} labeled rows>"
