"""Which classes are taken for which."""

import numpy as np

from ..utils._check_params import check_integer
from ..utils._labels import check_labels, encode_labels
from ._common import classes_in_order, own_axes, whole_ticks

_LONG_NAME = 3  # letters that stand side by side


class ClassConfusionDisplay:
    """Confusion matrix, or the pairs most confused where classes are many.

    Up to `max_classes` it is scikit-learn's matrix. Beyond, no cell could be
    read: a bar for each of the pairs that are confused most often, and above
    them how many of the errors these are.

    .. versionadded:: 0.1

    Parameters
    ----------
    confusion_matrix : ndarray of int of shape (n_classes, n_classes)
        Counts; rows are true classes, columns predicted ones.
    names : sequence of str of length n_classes
        What the classes are called.
    max_classes : int, default=20
        Most classes that are drawn as a matrix.
    n_pairs : int, default=20
        Most pairs that are drawn.

    Attributes
    ----------
    pairs_ : pandas.DataFrame
        Every pair that is confused, with the columns "true", "predicted", "n" and
        "share" (of the true class's rows), the most frequent first.
    ax_ : matplotlib.axes.Axes
        The axes drawn on.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    sklearn.metrics.ConfusionMatrixDisplay : Draws the matrix.

    Examples
    --------
    >>> from skactivekd import ClassConfusionDisplay
    >>> names = {0: "ant", 1: "bee", 2: "fly"}
    >>> display = ClassConfusionDisplay.from_predictions(
    ...     [0, 1, 2, 2, 2], [0, 1, 1, 1, 2], classes=names
    ... )
    >>> display.pairs_[["true", "predicted", "n"]].head(1).to_dict("records")
    [{'true': 'fly', 'predicted': 'bee', 'n': 2}]
    """

    def __init__(self, confusion_matrix, names, *, max_classes=20, n_pairs=20):
        matrix = np.asarray(confusion_matrix)
        if matrix.shape != (len(names), len(names)):
            raise ValueError(
                f"confusion_matrix of shape {matrix.shape} must have a row and a column for each "
                f"of the {len(names)} names."
            )
        _check_several(names)
        check_integer(max_classes, "max_classes", 0)
        check_integer(n_pairs, "n_pairs", 1)
        self.confusion_matrix, self.names = matrix, [str(name) for name in names]
        self.max_classes, self.n_pairs = max_classes, n_pairs

    @classmethod
    def from_predictions(
        cls,
        y_true,
        y_pred,
        *,
        classes=None,
        missing_label=-1,
        max_classes=20,
        n_pairs=20,
        ax=None,
    ):
        """Plot what was predicted of rows whose labels are known.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels. Rows that hold `missing_label` are left out.
        y_pred : array-like of shape (n_samples,)
            Predictions of the same rows.
        classes : sequence of labels, or dict of label to name, default=None
            The classes in their order. None: those found, sorted.
        missing_label : int, float nan, str or None, default=-1
            Marks unlabeled rows.
        max_classes : int, default=20
            Most classes that are drawn as a matrix.
        n_pairs : int, default=20
            Most pairs that are drawn.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : ClassConfusionDisplay

        Raises
        ------
        ValueError
            If lengths differ, no row is labeled, or there is a single class.
        """
        from sklearn.metrics import confusion_matrix

        known = names = None
        if classes is not None:
            known, names = classes_in_order(classes, missing_label)
        y, labeled = check_labels(y_true, missing_label, name="y_true", classes=known)
        predicted, answered = check_labels(y_pred, missing_label, name="y_pred", classes=known)
        if len(y) != len(predicted):
            raise ValueError(
                f"y_true has {len(y)} rows and y_pred {len(predicted)}; pass both for the same "
                "rows."
            )
        if not labeled.any():
            raise ValueError("No row of y_true is labeled; pass rows whose labels are known.")
        if not answered[labeled].all():
            row = int(np.flatnonzero(labeled & ~answered)[0])
            raise ValueError(
                f"Row {row} of y_pred holds missing_label={missing_label!r}, which is no "
                "prediction; did you swap y_true and y_pred?"
            )
        y, predicted = y[labeled], predicted[labeled]
        if known is None:
            found = np.unique(np.concatenate([y, predicted])).tolist()
            known, names = classes_in_order(found, missing_label)
        _check_several(names)
        codes = [
            encode_labels(values, known, missing_label, name=name)
            for values, name in ((y, "y_true"), (predicted, "y_pred"))
        ]
        matrix = confusion_matrix(*codes, labels=range(len(known)))
        display = cls(matrix, names, max_classes=max_classes, n_pairs=n_pairs)
        return display.plot(ax=ax)

    @classmethod
    def from_estimator(cls, estimator, X, y, **kwargs):
        """Plot what a fitted estimator predicts of labeled rows.

        Parameters
        ----------
        estimator : estimator
            Has ``predict``, and is fitted.
        X : array-like of shape (n_samples, ...)
            Rows.
        y : array-like of shape (n_samples,)
            Their labels.
        **kwargs
            As in `from_predictions`.

        Returns
        -------
        display : ClassConfusionDisplay
        """
        if not hasattr(estimator, "predict"):
            raise TypeError(f"estimator must have predict, got {type(estimator).__name__}.")
        return cls.from_predictions(y, estimator.predict(X), **kwargs)

    def plot(self, *, ax=None):
        """Draw the matrix, or the pairs.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : ClassConfusionDisplay
        """
        self.pairs_ = _pairs(self.confusion_matrix, self.names)
        n = len(self.names)
        as_matrix = n <= self.max_classes
        shown = self.pairs_[: self.n_pairs]
        side = max(4.8, 0.42 * n)
        size = (side + 0.8, side)
        if not as_matrix:
            letters = sum(shown[part].str.len().max() for part in ("true", "predicted"))
            size = (3.8 + 0.085 * letters, max(2.4, 1.4 + 0.24 * len(shown)))
        ax = own_axes(ax, figsize=size)
        if as_matrix:
            self._plot_matrix(ax)
        else:
            self._plot_pairs(ax, shown)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _plot_matrix(self, ax):
        from sklearn.metrics import ConfusionMatrixDisplay

        long = max(map(len, self.names)) > _LONG_NAME
        ConfusionMatrixDisplay(self.confusion_matrix, display_labels=self.names).plot(
            ax=ax,
            cmap="Blues",
            colorbar=False,
            values_format="d",
            xticks_rotation="vertical" if long else "horizontal",
            text_kw={"size": "small" if len(self.names) > 10 else "medium"},
        )
        ax.set(xlabel="predicted", ylabel="true")

    def _plot_pairs(self, ax, shown):
        places = np.arange(len(shown))
        bars = ax.barh(places, shown["n"], color="#1f77b4")
        ax.bar_label(bars, [f" {share:.0%}" for share in shown["share"]], size="small")
        texts = [f"{true} → {other}" for true, other in shown[["true", "predicted"]].to_numpy()]
        ax.set_yticks(places, texts, size="small")
        ax.invert_yaxis()
        ax.margins(x=0.18)
        whole_ticks(ax.xaxis)
        ax.set(xlabel="rows (share of the true class)", ylabel="true → predicted")
        ax.set_title(
            f"{len(shown)} most confused of {len(self.pairs_)} pairs:\n"
            f"{shown['n'].sum()} of {self.pairs_['n'].sum()} errors",
            size="medium",
        )


def _check_several(names):
    if len(names) < 2:
        raise ValueError(
            "A single class cannot be confused with another; name all classes in classes=."
        )


def _pairs(matrix, names):
    import pandas as pd

    true, predicted = np.nonzero(matrix * (1 - np.eye(len(matrix), dtype=int)))
    counts = matrix[true, predicted]
    order = np.argsort(-counts, kind="stable")
    true, predicted, counts = true[order], predicted[order], counts[order]
    names = np.asarray(names, dtype=object)
    shares = counts / matrix.sum(axis=1)[true]
    columns = {"true": names[true], "predicted": names[predicted], "n": counts, "share": shares}
    return pd.DataFrame(columns)
