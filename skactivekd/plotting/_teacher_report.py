"""The pictures of a teacher report."""

from ._common import (
    ABOVE,
    SHARE,
    bars,
    check_axes,
    draw_diagonal,
    draw_reliability,
    pyplot,
    whole_ticks,
)

_MOST_NAMES = 30  # of classes at an axis, to be read at the usual size


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
        if axes is None:
            _, axes = pyplot().subplots(1, 3, figsize=(11, 3.6), layout="constrained")
        self.axes_ = check_axes(axes, 3, "reliability, classes and clusters")
        self.figure_ = self.axes_[0].figure
        self._plot_reliability(self.axes_[0])
        self._plot_classes(self.axes_[1])
        self._plot_radii(self.axes_[2])
        return self

    def _plot_reliability(self, ax):
        draw_diagonal(ax)
        draw_reliability(ax, self.reliability, self.subject)
        ax.set(xlabel="confidence", ylabel="accuracy")
        ax.legend(**ABOVE)

    def _plot_classes(self, ax):
        table = self.per_class[self.per_class["n"] > 0].sort_values("accuracy")
        rank = range(len(table))
        ax.errorbar(table["accuracy"], rank, xerr=bars(table), fmt="o")
        ax.axvline(self.accuracy, color="C0", linestyle=":", label="all classes")
        ax.axvline(self.chance, color="gray", linestyle="--", label="chance")
        step = -(-len(table) // _MOST_NAMES) or 1  # as many names as can be read, the worst first
        ax.set_yticks(rank[::step], [str(name) for name in table.index[::step]])
        ax.set(xlabel="accuracy", ylabel="class", xlim=SHARE)
        ax.legend(**ABOVE)

    def _plot_radii(self, ax):
        for _, shuffle in self.control.groupby("shuffle"):
            radii = shuffle["mean_radius"].sort_values(ascending=False)
            (control,) = ax.plot(range(1, len(radii) + 1), radii, color="gray", alpha=0.6)
        control.set_label("shuffled")
        radii = self.clusters["mean_radius"].sort_values(ascending=False)
        ax.plot(range(1, len(radii) + 1), radii, marker=".", label=self.subject)
        ax.set(xlabel="clusters of predictions", ylabel="mean radius", ylim=(0, None))
        whole_ticks(ax.xaxis)
        ax.legend(**ABOVE)
