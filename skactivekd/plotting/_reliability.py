"""Whether student and teacher know how often they are right."""

from collections.abc import Mapping

import numpy as np

from ..metrics import expected_calibration_error, reliability_curve
from ..utils._classes import classes_of
from ..utils._labels import encode_labels
from ..utils._proba import check_proba
from ._common import (
    ABOVE,
    SHARE,
    check_axes,
    draw_diagonal,
    draw_reliability,
    pyplot,
    whole_ticks,
)

_COLORS = ("#1f77b4", "#c76a00", "#2a8a2a", "#9467bd", "#d62728", "#222222")


class ReliabilityDisplay:
    """Accuracy against confidence, with the rows that each point stands for.

    Above, a point for each bin of the confidence that holds rows, with the
    interval of its accuracy; on the diagonal a model knows how often it is
    right. Below, the number of rows in each bin.

    .. versionadded:: 0.1

    Parameters
    ----------
    curves : dict of str to pandas.DataFrame
        Of each model its `skactivekd.metrics.reliability_curve`.
    errors : dict of str to float
        Of each model its `skactivekd.metrics.expected_calibration_error`.

    Attributes
    ----------
    axes_ : ndarray of two matplotlib.axes.Axes
        The axes drawn on.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    skactivekd.metrics.reliability_curve : The points.
    skactivekd.metrics.expected_calibration_error : The number in the legend.
    skactivekd.TeacherReportDisplay : Shows more of a teacher.

    Examples
    --------
    >>> from skactivekd import ReliabilityDisplay
    >>> display = ReliabilityDisplay.from_predictions(
    ...     {"student": [[0.9, 0.1], [0.6, 0.4]], "teacher": [[0.7, 0.3], [0.8, 0.2]]}, [0, 1]
    ... )
    >>> round(display.errors["student"], 2)
    0.35
    """

    def __init__(self, curves, errors):
        if not isinstance(curves, Mapping) or not curves or set(curves) != set(errors):
            raise ValueError(
                "curves and errors must be dicts with the same models; from_predictions makes "
                "both of probabilities."
            )
        self.curves, self.errors = curves, errors

    @classmethod
    def from_predictions(cls, probas, y, *, classes=None, missing_label=-1, n_bins=10, axes=None):
        """Plot probabilities of rows of which some are labeled.

        Parameters
        ----------
        probas : dict of str to array-like of shape (n_samples, n_classes)
            For each model its probabilities.
        y : array-like of shape (n_samples,)
            Labels. Rows that hold `missing_label` are left out.
        classes : sequence of labels of length n_classes, default=None
            The class of each column. None: labels are the numbers of columns.
        missing_label : int, float nan, str or None, default=-1
            Marks unlabeled rows.
        n_bins : int, default=10
            Bins of the confidence in [0, 1].
        axes : sequence of two matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : ReliabilityDisplay

        Raises
        ------
        ValueError
            If lengths differ, no row is labeled, or there is a single class.
        """
        if not isinstance(probas, Mapping) or not probas:
            raise TypeError(
                "probas must be a dict of the model's name to its probabilities, such as "
                "{'student': student.predict_proba(X)}."
            )
        curves, errors, n_columns, codes = {}, {}, None, None
        for name, proba in probas.items():
            matrix = check_proba(proba, f"probas[{name!r}]")
            if n_columns not in (None, matrix.shape[1]):
                raise ValueError(
                    f"probas[{name!r}] has {matrix.shape[1]} columns, the others {n_columns}; all "
                    "must be of the same classes."
                )
            n_columns = matrix.shape[1]
            if n_columns < 2:
                raise ValueError(
                    f"probas[{name!r}] has a single class, of which every model is sure; pass a "
                    "column for each class."
                )
            if codes is None:
                columns = range(n_columns) if classes is None else classes
                if len(columns) != n_columns:
                    raise ValueError(
                        f"classes has {len(columns)} labels, but probas[{name!r}] has {n_columns} "
                        "columns; name the class of each column."
                    )
                codes = encode_labels(y, np.asarray(columns), missing_label)
                known = np.flatnonzero(codes >= 0)
                if not len(known):
                    raise ValueError("No row of y is labeled; pass rows whose labels are known.")
            if len(codes) != len(matrix):
                raise ValueError(
                    f"y has {len(codes)} rows and probas[{name!r}] {len(matrix)}; pass both for "
                    "the same rows."
                )
            part = np.asarray(matrix)[known], codes[known], n_bins
            curves[name], errors[name] = reliability_curve(*part), expected_calibration_error(*part)
        return cls(curves, errors).plot(axes=axes)

    @classmethod
    def from_estimator(cls, estimator, X, y, *, teacher=None, **kwargs):
        """Plot a fitted student, and its teacher beside it.

        Parameters
        ----------
        estimator : estimator
            Has ``predict_proba`` and ``classes_``, and is fitted.
        X : array-like of shape (n_samples, ...)
            Rows that it was not fitted to.
        y : array-like of shape (n_samples,)
            Their labels.
        teacher : estimator or array-like of shape (n_samples, n_classes), default=None
            Has ``predict_proba`` too, or is its result, with columns in the
            order of the student's classes.
        **kwargs
            As in `from_predictions`, but for `classes`.

        Returns
        -------
        display : ReliabilityDisplay

        Raises
        ------
        TypeError
            If the estimator has no ``predict_proba``.
        ValueError
            If student and teacher have other classes, or another order of them.
        """
        if not hasattr(estimator, "predict_proba"):
            raise TypeError(f"estimator must have predict_proba, got {type(estimator).__name__}.")
        probas = {"student": estimator.predict_proba(X)}
        classes = classes_of(estimator)
        if teacher is not None and hasattr(teacher, "predict_proba"):
            theirs = classes_of(teacher)
            if theirs is not None and theirs.tolist() != classes.tolist():
                raise ValueError(
                    f"The teacher's classes {theirs.tolist()} are not the student's, "
                    f"{classes.tolist()}, in the same order; pass the teacher's probabilities with "
                    "their columns sorted as the student's."
                )
            teacher = teacher.predict_proba(X)
        if teacher is not None:
            probas["teacher"] = teacher
        return cls.from_predictions(probas, y, classes=classes, **kwargs)

    def plot(self, *, axes=None):
        """Draw the points and, below, the number of rows.

        Parameters
        ----------
        axes : sequence of two matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : ReliabilityDisplay
        """
        plt = pyplot()
        if axes is None:
            _, axes = plt.subplots(
                *(2, 1),
                figsize=(5, 6),
                height_ratios=(3, 1),
                sharex=True,
                layout="constrained",
            )
        self.axes_ = check_axes(axes, 2, "points and counts")
        self.figure_ = self.axes_[0].figure
        points, counts = self.axes_
        draw_diagonal(points)
        n_models = len(self.curves)
        for place, (name, curve) in enumerate(self.curves.items()):
            color = _COLORS[place % len(_COLORS)]
            label = f"{name}, ECE {self.errors[name]:.2f}, {curve['n'].sum()} rows"
            draw_reliability(points, curve, label, color=color, elinewidth=1)
            width = (curve["up_to"] - curve["above"]) * 0.9 / n_models
            left = curve["above"] + (curve["up_to"] - curve["above"]) * 0.05 + place * width
            counts.bar(left, curve["n"], width, align="edge", color=color)
        points.set(ylabel="accuracy")
        counts.set(xlabel="confidence", ylabel="rows", xlim=SHARE)
        whole_ticks(counts.yaxis)
        points.legend(**{**ABOVE, "ncols": 1})
        return self
