"""Accuracy that nobody's choice has touched: a random sample, asked without suggestions."""

import math

import numpy as np

from ..metrics._reliability import accuracy_interval
from ._row_ids import place

_FOLDS = 5  # each fit lacks a fifth of the audit rows: 2 % of the labels at an audit of 10 %


class Reserve:
    """The share of a pool that only audits may ask of a person.

    Which items these are depends on a seed and on each item alone, so that the reserve is a
    random sample also of a pool that grows; strategies and confirming leave it alone, so that
    what is asked of it stays one.

    Parameters
    ----------
    keys : iterable of str
    share : float in [0, 1)
    seed : int

    Attributes
    ----------
    order : list of str
        The items in the order in which they are asked.
    """

    def __init__(self, keys, share, seed):
        places = {key: place(key, f"audit {seed}") for key in keys}
        inside = [key for key, there in places.items() if there < share]
        self.order = sorted(inside, key=places.__getitem__)
        self._inside = set(inside)

    def __contains__(self, key):
        return key in self._inside


def is_due(n_before, share):
    """Tell whether the next of a row of questions belongs to a share of them.

    Examples
    --------
    >>> from skactivekd.session._audit import is_due
    >>> [n for n in range(30) if is_due(n, 0.1)]
    [9, 19, 29]
    """
    rounding = 1e-9  # 10 * 0.1 has to count as one
    return math.floor((n_before + 1) * share + rounding) > math.floor(n_before * share + rounding)


def cross_fitted(predict, items, seed):
    """Predict items by fits that did not see their labels.

    Parameters
    ----------
    predict : callable
        Takes items whose labels are to be hidden, returns the predicted label of each of
        them, or None where nothing can be fitted yet.
    items : list of str
    seed : int

    Returns
    -------
    predicted : dict of str to label
        Without the items that could not be predicted.
    """
    order = sorted(items, key=lambda key: place(key, f"fold {seed}"))
    predicted = {}
    for fold in range(min(_FOLDS, len(order))):
        hidden = order[fold::_FOLDS]
        labels = predict(hidden)
        if labels is not None:
            predicted.update(zip(hidden, labels, strict=True))
    return predicted


def accuracy(predicted, truth, n_labels):
    """Count what was predicted right, with Wilson's interval.

    Parameters
    ----------
    predicted : dict of str to label
    truth : dict of str to label
        Of these items at least.
    n_labels : int
        Labels that the model learned from.

    Returns
    -------
    accuracy : dict or None
        None where nothing was predicted.
    """
    if not predicted:
        return None
    n_right = sum(bool(label == truth[key]) for key, label in predicted.items())
    low, high = accuracy_interval(n_right, len(predicted))
    return {
        "accuracy": n_right / len(predicted),
        "low": low,
        "high": high,
        "n": len(predicted),
        "labels": n_labels,
    }


def grouped_folds(items, labels, n_folds, seed):
    """Deal items into folds class by class.

    Returns
    -------
    folds : ndarray of int of shape (n_items,)
    """
    order = sorted(range(len(items)), key=lambda at: place(items[at], f"fold {seed}"))
    order.sort(key=lambda at: repr(labels[at]))  # stable: by chance within a class
    folds = np.empty(len(items), dtype=int)
    folds[order] = np.arange(len(items)) % n_folds
    return folds
