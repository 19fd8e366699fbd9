"""How the losses of a student's heads went down."""

import numpy as np
from sklearn.exceptions import NotFittedError

from ._common import own_axes, whole_ticks

_TERMS = {
    "label_loss": ("label head", "#1f77b4"),
    "distill_loss": ("distillation head", "#c76a00"),
    "loss": ("both, weighted", "#222222"),
}
_FEW_EPOCHS = 20  # whose points are told apart


class TrainingHistoryDisplay:
    """Loss of each head against epochs.

    The label head's is the cross-entropy of the labeled rows, the distillation
    head's the divergence from the teacher; neither is weighted. What training
    minimizes is their weighted sum. Residual heads train on the teacher alone;
    the label head comes after, without epochs, and is not drawn.

    .. versionadded:: 0.1

    Parameters
    ----------
    losses : pandas.DataFrame
        One row for each epoch, its number being the index. Columns are
        "train_label_loss", "train_distill_loss" and "train_loss", and the same
        with "valid" where some rows were held out; those that are not there are
        not drawn.

    note : str, default=None
        Said above the lines.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes drawn on.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    skactivekd.DHOClassifier : The student.
    skactivekd.student.dho_loss : The loss and its terms.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skactivekd import DHOClassifier, DHONet, TrainingHistoryDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> student = DHOClassifier(DHONet(max_epochs=3), random_state=0).fit(X, y)
    >>> display = TrainingHistoryDisplay.from_estimator(student)
    >>> display.losses.shape  # without a teacher there is one loss
    (3, 1)
    """

    def __init__(self, losses, *, note=None):
        if not hasattr(losses, "columns") or not set(losses.columns) & set(_columns()):
            raise ValueError(
                f"losses must be a data frame with some of the columns {', '.join(_columns())}; "
                "TrainingHistoryDisplay.from_estimator makes one of a fitted student."
            )
        if not len(losses):
            raise ValueError("losses have no rows: there must be one for each epoch.")
        self.losses, self.note = losses, note

    @classmethod
    def from_estimator(cls, estimator, *, ax=None):
        """Plot the history of a fitted student.

        Parameters
        ----------
        estimator : estimator
            A fitted `DHOClassifier` or `DHONet`, or what ends with one, such as
            a pipeline.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : TrainingHistoryDisplay

        Raises
        ------
        TypeError
            If there is no student in it.
        sklearn.exceptions.NotFittedError
            If it is not fitted.
        ValueError
            If it has no history.
        """
        net = _find_net(estimator)
        losses, note = _losses_of(net.history_), None
        if net.heads == "residual" and "train_label_loss" not in losses:
            note = "The label head is fitted in one step after these epochs."
        return cls(losses, note=note).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw a line for each loss, dashed where the rows were held out.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : TrainingHistoryDisplay
        """
        ax = own_axes(ax)
        marker = "o" if len(self.losses) <= _FEW_EPOCHS else ""
        for kind, dash, held_out in (("train", "-", ""), ("valid", "--", ", held out")):
            for term, (name, color) in _TERMS.items():
                if (column := f"{kind}_{term}") in self.losses:
                    values = self.losses[column]
                    style = {"color": color, "linestyle": dash, "marker": marker, "markersize": 3}
                    ax.plot(values.index, values, label=name + held_out, **style)
        ax.set(xlabel="epoch", ylabel="loss")
        whole_ticks(ax.xaxis)
        if self.note:
            ax.set_title(self.note, size="medium")
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _columns():
    return [f"{kind}_{term}" for kind in ("train", "valid") for term in _TERMS]


def _find_net(estimator):
    """Return the trained net of the student that an estimator is, ends with or holds."""
    model = estimator
    while not (hasattr(model, "heads") and hasattr(model, "get_params")):
        if getattr(model, "steps", None):
            model = model.steps[-1][1]
        elif hasattr(model, "estimator_") or hasattr(model, "estimator"):
            model = getattr(model, "estimator_", getattr(model, "estimator", None))
        else:
            raise TypeError(
                "estimator must be a fitted DHOClassifier or DHONet, or a pipeline that ends with "
                f"one, got {type(estimator).__name__}, which has no such history."
            )
    net = getattr(model, "net_", None) if hasattr(model, "net") else model
    if net is None or not getattr(net, "initialized_", False):
        raise NotFittedError(
            f"This {type(model).__name__} is not fitted yet; call fit, then plot its history."
        )
    if not len(getattr(net, "history_", None) or ()):
        raise ValueError(
            f"This {type(model).__name__} has no history: it was not trained here, or was saved "
            "without. Plot it after fit, before it is saved."
        )
    return net


def _losses_of(history):
    """Average the terms over the batches of each epoch, as the net does with the whole loss."""
    import pandas as pd

    rows = []
    for epoch in history:
        row = {}
        for kind in ("train", "valid"):
            batches = [part for part in epoch["batches"] if f"{kind}_batch_size" in part]
            sizes = [part[f"{kind}_batch_size"] for part in batches]
            for term in _TERMS:
                column = f"{kind}_{term}"
                if batches and all(column in part for part in batches):
                    row[column] = np.average([part[column] for part in batches], weights=sizes)
        rows.append(row)
    losses = pd.DataFrame(rows, index=pd.Index([epoch["epoch"] for epoch in history], name="epoch"))
    for kind in ("train", "valid"):  # a term of no rows is zero, and no line
        terms = [f"{kind}_label_loss", f"{kind}_distill_loss"]
        there = [name for name in terms if name in losses and (losses[name] != 0).any()]
        losses = losses.drop(columns=[name for name in terms if name not in there], errors="ignore")
        if len(there) == 1 and np.allclose(losses[there[0]], losses[f"{kind}_loss"]):
            losses = losses.drop(columns=f"{kind}_loss")  # the only term: draw it once
    return losses
