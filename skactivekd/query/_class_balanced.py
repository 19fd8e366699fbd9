"""Labels where the classes have fewest."""

import numpy as np

from ..utils._check_params import naming, refuse_mask
from ..utils._matrix import blocks
from ._base import QueryStrategy
from ._random import generator


class ClassBalanced(QueryStrategy):
    r"""Take samples at random, most of them from the classes with fewest labels.

    Every sample counts for the class the model predicts. Class :math:`c`, of
    which :math:`n_c` samples are labeled, gets a share of the batch in
    proportion to :math:`1 / (n_c + 1)`, among the classes that are predicted
    at all: the shares are rounded down, and what is left over goes, one each,
    to the classes with the largest. Inside a class samples are drawn at
    random; where a class has fewer than its share, samples of any class, drawn
    at random, make up for it.

    .. versionadded:: 0.1

    Parameters
    ----------
    random_state : None, int or numpy.random.RandomState, default=None
        As in `Random`: with an int the same call returns the same picks, the
        next round others.
    missing_label : int, float nan, str or None, default=-1
        The marker of unlabeled rows.

    See Also
    --------
    Random : The same without looking at the classes.

    Notes
    -----
    A class without a label has :math:`n_c = 0` here, so it comes before one
    with a single label. The experiments of [1]_ let the two tie.

    References
    ----------
    .. [1] The class-balanced baseline of "PCoreSet: Effective Active Learning
       through Knowledge Distillation from Vision-Language Models". 2025.
       arXiv:2506.00910.

    Examples
    --------
    Class 0 has two labels and class 1 none, so shares are 1/4 and 3/4:

    >>> from skactivekd.query import ClassBalanced
    >>> proba_pool = [[0.9, 0.1]] * 6 + [[0.2, 0.8]] * 6
    >>> picks = ClassBalanced(random_state=0).select(proba_pool, y_labeled=[0, 0], n_instances=4)
    >>> int((picks >= 6).sum())
    3
    """

    needs = ("proba_pool", "y_labeled")

    def __init__(self, *, random_state=None, missing_label=-1):
        self.random_state = random_state
        self.missing_label = missing_label

    def _pick(self, views, n_instances):
        n_classes = views.proba_pool.shape[1]
        columns = _check_columns(views.y_labeled, n_classes)
        counts = np.bincount(columns, minlength=n_classes)
        parts = [block.argmax(axis=1) for _, block in blocks(views.proba_pool)]
        rng = generator(self.random_state, len(columns))
        return _draw_balanced(np.concatenate(parts), counts, n_instances, rng)


def allocate(counts, n_instances):
    """Share a batch among classes, more to those with fewer labels.

    Parameters
    ----------
    counts : ndarray of int of shape (n_classes,)
        Labels per class.
    n_instances : int
        Size of the batch.

    Returns
    -------
    shares : ndarray of int64 of shape (n_classes,)
        They sum to `n_instances`.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.query._class_balanced import allocate
    >>> allocate(np.array([0, 1, 3]), 7)  # 4, 2 and 1 sevenths
    array([4, 2, 1])
    """
    weights = 1 / (counts + 1)
    # The little more keeps a whole number whole when rounding took it below.
    shares = np.floor(n_instances * weights / weights.sum() + 1e-9).astype(np.int64)
    left = n_instances - shares.sum()
    shares[np.argsort(-weights, kind="stable")[:left]] += 1
    return shares


def _draw_balanced(predicted, counts, n_instances, rng):
    """Draw rows by class, then what is missing; see `ClassBalanced`."""
    order = rng.permutation(len(predicted))
    classes, codes, sizes = np.unique(predicted, return_inverse=True, return_counts=True)
    shares = allocate(counts[classes], n_instances)
    order = order[np.argsort(codes[order], kind="stable")]  # by class, shuffled inside
    place = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    taken = place < np.repeat(shares, sizes)
    picks, rest = order[taken], order[~taken]
    picks = picks[np.argsort(counts[predicted[picks]], kind="stable")]
    return np.concatenate([picks, rng.permutation(rest)[: n_instances - len(picks)]])


def _check_columns(y_labeled, n_classes):
    refuse_mask(y_labeled, "y_labeled")
    with naming("y_labeled"):
        columns = np.asarray(y_labeled)
    if columns.ndim != 1:
        raise ValueError(f"y_labeled must have one dimension, got shape {columns.shape}.")
    if not columns.size:
        return np.zeros(0, dtype=np.int64)
    if columns.dtype.kind not in "iu":
        raise TypeError(
            f"y_labeled must hold columns of proba_pool, got dtype {columns.dtype}; "
            "np.searchsorted(classes, labels) makes them of other labels."
        )
    bad = (columns < 0) | (columns >= n_classes)
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"y_labeled[{row}] is {columns[row]}, but proba_pool has {n_classes} columns."
        )
    return columns.astype(np.int64)
