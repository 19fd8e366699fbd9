"""Plots, as Display objects in scikit-learn's manner."""

__all__ = ["LabelEfficiencyDisplay"]


class LabelEfficiencyDisplay:
    """Score against labels spent, with its spread over the seeds.

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
        for name, curve in self.curves.items():
            (line,) = ax.plot(curve.index, curve["mean"], marker="o", label=name)
            low, high = curve["mean"] - curve["std"], curve["mean"] + curve["std"]
            ax.fill_between(curve.index, low, high, color=line.get_color(), alpha=0.15, lw=0)
        for name, score in (self.baselines or {}).items():
            ax.axhline(score, color="gray", linestyle="--", label=name)
        ax.set(xlabel="labels", ylabel=self.score_name)
        ax.legend()
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
    several = results["estimator"].nunique() > 1
    curves = {}
    for (estimator, strategy), runs in results.groupby(["estimator", "strategy"], sort=False):
        scores = runs.groupby("n_labels")["score"].agg(["mean", "std"]).fillna(0.0)
        curves[f"{estimator}, {strategy}" if several else strategy] = scores
    return curves
