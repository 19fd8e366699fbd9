"""Learning curves of `simulate`."""

import itertools
from collections.abc import Mapping

from ..metrics._curves import check_rows
from ..utils._check_params import check_flag, check_number
from ._common import check_axes, line_styles, own_axes, pyplot, spread, whole_ticks

_FEW_LINES = 4  # whose legend finds a free corner
_FACETS = 4  # in a row
_LEADING = 1.3  # from one line of text to the next, in heights of it


class LabelEfficiencyDisplay:
    """Score against labels spent, with its spread over the seeds.

    A strategy of the package has the same color in every figure, another one as
    far as the others leave it free. `plot_facets` shows one line at a time.

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
    axes_ : ndarray of matplotlib.axes.Axes
        Those of `plot_facets`.
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
    def from_results(
        cls, results, *, baselines=None, score_name="accuracy", ax=None, direct_labels=False
    ):
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
        direct_labels : bool, default=False
            Write each name at the end of its line, instead of a legend; best
            from five lines on.

        Returns
        -------
        display : LabelEfficiencyDisplay
        """
        check_flag(direct_labels, "direct_labels")
        display = cls(summarize(results), baselines=baselines, score_name=score_name)
        return display.plot(ax=ax, direct_labels=direct_labels)

    def plot(self, *, ax=None, direct_labels=False):
        """Draw the lines, and a band of one standard deviation around each.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.
        direct_labels : bool, default=False
            Write each name at the end of its line, instead of a legend.

        Returns
        -------
        display : LabelEfficiencyDisplay
        """
        check_flag(direct_labels, "direct_labels")
        few = len(self.curves) + len(self.baselines or ()) <= _FEW_LINES
        height = max(4.8, 0.22 * len(self.curves)) if direct_labels else 4.8
        width = 6.4 if few and not direct_labels else 9.0  # names beside the curves
        ax = own_axes(ax, figsize=(width, height))
        styles = line_styles(self.curves)
        size = 6 if len(self.curves) <= _FEW_LINES else 3
        for name, curve in self.curves.items():
            _draw_curve(ax, curve, marker="o", ms=size, label=str(name), **styles[name])
        dashes = itertools.cycle(["--", ":", "-."])
        for (name, score), dash in zip((self.baselines or {}).items(), dashes, strict=False):
            ax.axhline(score, color="gray", linestyle=dash, label=str(name))
        ax.set(xlabel="labels", ylabel=self.score_name)
        whole_ticks(ax.xaxis)
        self.ax_, self.figure_ = ax, ax.figure
        if direct_labels:
            self._label_ends(styles)
        elif few:
            ax.legend()
        else:  # beside the axes, where it hides no curve
            ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
        return self

    def plot_facets(self, *, axes=None):
        """Draw a small picture for each line, which stands out there among all others in gray.

        Parameters
        ----------
        axes : sequence of matplotlib.axes.Axes, default=None
            One for each line; None makes a figure.

        Returns
        -------
        display : LabelEfficiencyDisplay
            With `axes_`, one for each line.

        Raises
        ------
        ValueError
            If there are not as many axes as lines.
        """
        plt, n = pyplot(), len(self.curves)
        if axes is None:
            n_columns = min(n, _FACETS)
            n_rows = -(-n // n_columns)
            width = max(2.3, 0.085 * max(len(str(name)) for name in self.curves))  # of a title
            figure, axes = plt.subplots(
                *(n_rows, n_columns),
                figsize=(max(width * n_columns, 3), 1.9 * n_rows + 0.4),
                sharex=True,
                sharey=True,
                squeeze=False,
                layout="constrained",
            )
            for ax in axes.flat[n:]:
                ax.remove()
            for ax in axes.flat[max(n - n_columns, 0) : n]:  # the lowest of each column
                ax.xaxis.set_tick_params(labelbottom=True)
            figure.supxlabel("labels", fontsize="medium")
            figure.supylabel(self.score_name, fontsize="medium")
            axes = axes.flat[:n]
        self.axes_ = check_axes(axes, n, "one for each line")
        styles = line_styles(self.curves)
        for ax, (chosen, curve) in zip(self.axes_, self.curves.items(), strict=True):
            for name, other in self.curves.items():
                if name != chosen:
                    ax.plot(other.index, other["mean"], color="lightgray", lw=1, zorder=1)
            _draw_curve(ax, curve, lw=2, zorder=3, **styles[chosen])
            for score in (self.baselines or {}).values():
                ax.axhline(score, color="gray", linestyle="--", lw=0.8)
            ax.set_title(str(chosen), fontsize="small", color=styles[chosen]["color"])
            whole_ticks(ax.xaxis)
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        return self

    def _label_ends(self, styles):
        ax = self.ax_
        ends = [
            (name, (curve.index[-1], curve["mean"].iloc[-1]), ax.transData, styles[name]["color"])
            for name, curve in self.curves.items()
        ]
        across = ax.get_yaxis_transform()
        ends += [
            (name, (1, score), across, "dimgray") for name, score in (self.baselines or {}).items()
        ]
        self.figure_.draw_without_rendering()  # the scale and the size of the axes are known then
        low, high = ax.get_ylim()
        ax.set_ylim(low, high)
        tall = ax.get_window_extent().height / self.figure_.dpi * 72  # in points
        size = max(5, min(9, tall / _LEADING / max(len(ends), 1)))
        at = ax.transAxes.inverted()
        heights = [at.transform(space.transform(end))[1] for _, end, space, _ in ends]
        places = spread(heights, _LEADING * size / tall)
        for (name, end, space, color), place in zip(ends, places, strict=True):
            ax.annotate(
                str(name),
                end,
                (1.04, place),
                xycoords=space,
                textcoords="axes fraction",
                color=color,
                size=size,
                va="center",
                annotation_clip=False,
                arrowprops={
                    "arrowstyle": "-",
                    "color": color,
                    "lw": 0.6,
                    "shrinkA": 0,
                    "relpos": (0, 0.5),
                },
            )


def _draw_curve(ax, curve, **style):
    (line,) = ax.plot(curve.index, curve["mean"], **style)
    low, high = curve["mean"] - curve["std"], curve["mean"] + curve["std"]
    ax.fill_between(curve.index, low, high, color=line.get_color(), alpha=0.15, lw=0)


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
