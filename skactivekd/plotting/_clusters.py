"""Where a teacher's predictions bunch together, and which of them were asked about."""

import numpy as np

from ..inspection._prediction_clusters import check_mask, cluster_labels
from ..utils._check_params import is_integer
from ..utils._proba import check_proba
from ._common import own_axes, pyplot

_MOST_COLORS = 20  # of clusters; smaller ones are gray


class PredictionClustersDisplay:
    """Predictions of a teacher in the plane, by cluster.

    .. versionadded:: 0.1

    Parameters
    ----------
    points : ndarray of shape (n_samples, 2)
        Where to draw each row.
    clusters : ndarray of int of shape (n_samples,)
        The cluster of each row, the largest being 0.
    labeled : ndarray of bool of shape (n_samples,)
        The rows that are labeled.
    asked : ndarray of int
        Rows that were asked about.
    axis_names : tuple of two str, default=("first axis", "second axis")
        What the axes are.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes drawn on.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    skactivekd.inspection.prediction_clusters : Finds the clusters.
    skactivekd.PCoreSet : Asks for labels in clusters that have none.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd import PredictionClustersDisplay
    >>> proba = np.repeat([[0.6, 0.3, 0.1], [0.1, 0.2, 0.7]], 20, axis=0)
    >>> display = PredictionClustersDisplay.from_predictions(proba, asked=[0], n_clusters=2)
    >>> np.bincount(display.clusters).tolist()
    [20, 20]
    """

    def __init__(
        self, points, clusters, labeled, asked, *, axis_names=("first axis", "second axis")
    ):
        self.points, self.clusters = np.asarray(points), np.asarray(clusters)
        self.labeled, self.asked = np.asarray(labeled), np.asarray(asked, dtype=int)
        self.axis_names = axis_names
        n = len(self.clusters)
        if self.points.shape != (n, 2) or self.labeled.shape != (n,):
            raise ValueError(
                f"points of shape {self.points.shape}, clusters of {self.clusters.shape} and "
                f"labeled of {self.labeled.shape} must have the shapes (n, 2), (n,) and (n,)."
            )

    @classmethod
    def from_predictions(
        cls,
        proba,
        *,
        labeled=None,
        asked=(),
        n_clusters=None,
        projection=None,
        random_state=0,
        ax=None,
    ):
        """Plot a teacher's probabilities.

        Parameters
        ----------
        proba : array-like of shape (n_samples, n_classes)
            Probabilities of labeled and unlabeled rows alike.
        labeled : array-like of bool of shape (n_samples,), default=None
            The rows that are labeled; None: none is.
        asked : array-like of int, default=()
            Rows that were asked about, such as the result of a strategy.
        n_clusters : int, default=None
            As in `skactivekd.inspection.prediction_clusters`.
        projection : transformer or array-like of shape (n_samples, 2), default=None
            Makes two columns of the probabilities by ``fit_transform``, or these
            columns. None is ``PCA(2)``.
        random_state : None, int or numpy.random.RandomState, default=0
            Starts of k-means.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : PredictionClustersDisplay

        Raises
        ------
        ValueError
            If there is a single class, lengths differ, or a row is asked for that
            does not exist.
        """
        matrix = np.asarray(check_proba(proba, "proba"))
        n, n_classes = matrix.shape
        if n_classes < 2 or n < 2:
            raise ValueError(
                f"proba of shape {matrix.shape} has no clusters; pass two rows and two classes at "
                "least."
            )
        asked = _check_rows(asked, n)
        labeled = check_mask(labeled, n)
        clusters = cluster_labels(matrix, n_clusters, random_state)
        points, names = _project(matrix, projection)
        return cls(points, clusters, labeled, asked, axis_names=names).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw all rows, and mark those that are labeled or asked about.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : PredictionClustersDisplay
        """
        ax = own_axes(ax)
        palette = np.array([*pyplot().get_cmap("tab20").colors, (0.8, 0.8, 0.8)])
        colors = palette[np.minimum(self.clusters, _MOST_COLORS)]
        ax.scatter(*self.points.T, s=8, c=colors, alpha=0.6, lw=0, label="_rows")
        marks = (
            ("labeled", np.flatnonzero(self.labeled), {"marker": "x", "c": "black", "s": 35}),
            ("asked", self.asked, {"facecolors": "none", "edgecolors": "#d62728", "s": 70}),
        )
        for name, rows, style in marks:
            if len(rows):
                n_hit = len(np.unique(self.clusters[rows]))
                text = f"{name}: {len(rows)} rows in {n_hit} clusters"
                ax.scatter(*self.points[rows].T, lw=1.4, label=text, zorder=3, **style)
        ax.set(xlabel=self.axis_names[0], ylabel=self.axis_names[1])
        n_clusters = len(np.unique(self.clusters))
        title = f"{len(self.clusters)} predictions in {n_clusters} clusters"
        if n_clusters > _MOST_COLORS:
            title += f", the {_MOST_COLORS} largest in color"
        ax.set_title(title, size="medium")
        if ax.get_legend_handles_labels()[1]:
            ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, frameon=False)
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _check_rows(asked, n):
    rows = list(asked)
    if not all(is_integer(row) for row in rows):
        raise TypeError(
            "asked must hold numbers of rows, such as the result of a strategy's query; of a mask, "
            "pass numpy.flatnonzero(mask)."
        )
    outside = [row for row in rows if not 0 <= row < n]
    if outside:
        raise ValueError(f"asked has row {outside[0]}, but proba has the rows 0 to {n - 1}.")
    return np.array(rows, dtype=int)


def _project(proba, projection):
    """Return two columns and what they are called."""
    from sklearn.decomposition import PCA

    own = projection is None
    if own:
        projection = PCA(2)
    if hasattr(projection, "fit_transform"):
        points, name = np.asarray(projection.fit_transform(proba)), type(projection).__name__
    else:
        points, name = np.asarray(projection), "projection"
    if points.shape != (len(proba), 2):
        raise ValueError(
            f"projection must give shape ({len(proba)}, 2), two columns for each row of proba, got "
            f"{points.shape}."
        )
    if own:
        shares = np.nan_to_num(projection.explained_variance_ratio_)
        return points, tuple(
            f"principal axis {place} ({share:.0%} of the variance)"
            for place, share in enumerate(shares, 1)
        )
    return points, (f"{name} 1", f"{name} 2")
