"""Plots, as Display objects in scikit-learn's manner."""

import itertools
from collections.abc import Mapping

from .metrics._curves import check_rows
from .utils._params import check_number

__all__ = ["LabelEfficiencyDisplay", "TeacherReportDisplay"]


class LabelEfficiencyDisplay:
    """Score against labels spent, with its spread over the seeds.

    .. versionadded:: 0.1

    Parameters
    ----------
    curves : dict of str to pandas.DataFrame
        For each line a frame indexed by the number of labels, with the columns
        "mean" and "std".
    baselines : dict of str to float, default=None
        Scores that need no labels, drawn as horizontal lines.
    score_name : str, default="accuracy"
        Name of the vertical axis.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes drawn on.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    skactivekd.simulate : Makes the results that it draws.

    Examples
    --------
    >>> import pandas as pd
    >>> from skactivekd import LabelEfficiencyDisplay
    >>> results = pd.DataFrame({
    ...     "estimator": "student", "strategy": "random", "seed": [0, 0, 1, 1],
    ...     "round": [0, 1, 0, 1], "n_labels": [10, 20, 10, 20], "score": [0.5, 0.7, 0.6, 0.8],
    ... })
    >>> display = LabelEfficiencyDisplay.from_results(results)
    >>> display.ax_.get_xlabel()
    'labels'
    """

    def __init__(self, curves, *, baselines=None, score_name="accuracy"):
        if not (baselines is None or isinstance(baselines, Mapping)):
            raise TypeError(f"baselines must be a dict of name to score, got {baselines!r}.")
        for name, score in (baselines or {}).items():
            check_number(score, f"baselines[{name!r}]")
        if not isinstance(score_name, str):
            raise TypeError(f"score_name must be a text, got {score_name!r}.")
        self.curves = curves
        self.baselines = baselines
        self.score_name = score_name

    @classmethod
    def from_results(cls, results, *, baselines=None, score_name="accuracy", ax=None):
        """Plot what `simulate` returned.

        Parameters
        ----------
        results : pandas.DataFrame
            Result of `simulate`.
        baselines : dict of str to float, default=None
            Scores that need no labels, the zero-shot teacher's for example.
        score_name : str, default="accuracy"
            Name of the vertical axis.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : LabelEfficiencyDisplay
        """
        curves = summarize(results)
        return cls(curves, baselines=baselines, score_name=score_name).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw the lines, and a band of one standard deviation around each.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : LabelEfficiencyDisplay
        """
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        styles = _line_styles(plt)
        for name, curve in self.curves.items():
            (line,) = ax.plot(
                curve.index, curve["mean"], marker="o", label=str(name), **next(styles)
            )
            low, high = curve["mean"] - curve["std"], curve["mean"] + curve["std"]
            ax.fill_between(curve.index, low, high, color=line.get_color(), alpha=0.15, lw=0)
        dashes = itertools.cycle(["--", ":", "-."])
        for (name, score), dash in zip((self.baselines or {}).items(), dashes, strict=False):
            ax.axhline(score, color="gray", linestyle=dash, label=str(name))
        ax.set(xlabel="labels", ylabel=self.score_name)
        if len(self.curves) + len(self.baselines or ()) <= _FEW_LINES:
            ax.legend()
        else:  # beside the axes, where it hides no curve
            ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
        self.ax_, self.figure_ = ax, ax.figure
        return self


def summarize(results):
    """Average the runs of `simulate` over their seeds.

    Parameters
    ----------
    results : pandas.DataFrame
        Result of `simulate`.

    Returns
    -------
    curves : dict of str to pandas.DataFrame
        For each estimator and strategy a frame indexed by "n_labels" with the
        columns "mean" and "std" (0 where there is one seed).
    """
    results = check_rows(results, ["estimator", "strategy", "seed", "n_labels"])
    several = results["estimator"].nunique() > 1
    curves = {}
    for (estimator, strategy), runs in results.groupby(["estimator", "strategy"], sort=False):
        scores = runs.groupby("n_labels")["score"].agg(["mean", "std"]).fillna(0.0)
        curves[f"{estimator}, {strategy}" if several else strategy] = scores
    return curves


class TeacherReportDisplay:
    """A teacher report in three pictures.

    Accuracy against confidence, the diagonal being a teacher that knows how
    often it is right; the accuracy of each class, the worst first; and the
    radii of the clusters of its predictions, the widest first, beside those
    of the shuffled control. Bars are the report's intervals.

    .. versionadded:: 0.1

    Parameters
    ----------
    reliability, per_class, clusters, control : pandas.DataFrame
        Tables of `TeacherReport.to_frame`.
    accuracy : float
        Accuracy on the labeled rows.
    chance : float
        Accuracy of guessing.
    subject : str, default="teacher"
        Who is judged.

    Attributes
    ----------
    axes_ : ndarray of three matplotlib.axes.Axes
        The axes drawn on.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    skactivekd.teacher_report : Makes the report that it draws.

    Examples
    --------
    >>> from skactivekd import TeacherReportDisplay, teacher_report
    >>> proba = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6], [0.1, 0.9]] * 4
    >>> report = teacher_report(proba, y=[0, 0, 1, 1, -1] * 4)
    >>> display = TeacherReportDisplay.from_report(report)
    >>> display.axes_[0].get_xlabel()
    'confidence'
    """

    def __init__(
        self, reliability, per_class, clusters, control, *, accuracy, chance, subject="teacher"
    ):
        self.reliability = reliability
        self.per_class = per_class
        self.clusters = clusters
        self.control = control
        self.accuracy = accuracy
        self.chance = chance
        self.subject = subject

    @classmethod
    def from_report(cls, report, *, axes=None):
        """Plot what `teacher_report` returned.

        Parameters
        ----------
        report : TeacherReport
        axes : sequence of three matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : TeacherReportDisplay
        """
        names = ("reliability", "per_class", "clusters", "control")
        tables = {name: report.to_frame(name) for name in names}
        facts = {name: getattr(report, name) for name in ("accuracy", "chance", "subject")}
        return cls(**tables, **facts).plot(axes=axes)

    def plot(self, *, axes=None):
        """Draw the three pictures.

        Parameters
        ----------
        axes : sequence of three matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : TeacherReportDisplay
        """
        import matplotlib.pyplot as plt
        import numpy as np

        if axes is None:
            _, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
        self.axes_ = np.asarray(axes).ravel()
        self.figure_ = self.axes_[0].figure
        self._plot_reliability(self.axes_[0])
        self._plot_classes(self.axes_[1])
        self._plot_radii(self.axes_[2])
        return self

    def _plot_reliability(self, ax):
        table = self.reliability
        ax.plot([0, 1], [0, 1], color="gray", linestyle="--", label="calibrated")
        ax.errorbar(
            table["confidence"],
            table["accuracy"],
            yerr=_bars(table),
            marker="o",
            label=self.subject,
        )
        ax.set(xlabel="confidence", ylabel="accuracy", xlim=_SHARE, ylim=_SHARE)
        ax.legend(**_ABOVE)

    def _plot_classes(self, ax):
        table = self.per_class[self.per_class["n"] > 0].sort_values("accuracy")
        rank = range(len(table))
        ax.errorbar(table["accuracy"], rank, xerr=_bars(table), fmt="o")
        ax.axvline(self.accuracy, color="C0", linestyle=":", label="all classes")
        ax.axvline(self.chance, color="gray", linestyle="--", label="chance")
        step = -(-len(table) // _MOST_NAMES) or 1  # as many names as can be read, the worst first
        ax.set_yticks(rank[::step], [str(name) for name in table.index[::step]])
        ax.set(xlabel="accuracy", ylabel="class", xlim=_SHARE)
        ax.legend(**_ABOVE)

    def _plot_radii(self, ax):
        for _, shuffle in self.control.groupby("shuffle"):
            radii = shuffle["mean_radius"].sort_values(ascending=False)
            (control,) = ax.plot(range(1, len(radii) + 1), radii, color="gray", alpha=0.6)
        control.set_label("shuffled")
        radii = self.clusters["mean_radius"].sort_values(ascending=False)
        ax.plot(range(1, len(radii) + 1), radii, marker=".", label=self.subject)
        ax.set(xlabel="clusters of predictions", ylabel="mean radius", ylim=(0, None))
        ax.legend(**_ABOVE)


_FEW_LINES = 4  # whose legend finds a free corner
_MOST_NAMES = 30  # of classes at an axis, to be read at the usual size
_ABOVE = {"loc": "lower center", "bbox_to_anchor": (0.5, 1), "ncols": 2, "frameon": False}
_SHARE = (-0.02, 1.02)  # leaves room for whole markers


def _line_styles(plt):
    """Yield a color and a dash for each line, none of them twice for a long time."""
    colors = plt.rcParams["axes.prop_cycle"].by_key().get("color", ["black"])
    for dash, color in itertools.product(["-", "--", ":", "-."], colors):
        yield {"color": color, "linestyle": dash}
    yield from itertools.repeat({})


def _bars(table):
    """Lengths of the bars below and above the accuracies; rounding leaves none negative."""
    below, above = table["accuracy"] - table["low"], table["high"] - table["accuracy"]
    return [below.clip(lower=0), above.clip(lower=0)]
