"""Which labels are known at the start."""

import numpy as np


def few_labels(y, shots, seed):
    """Hide all labels but `shots` random ones of each class.

    Parameters
    ----------
    y : ndarray of int of shape (n,)
    shots, seed : int

    Returns
    -------
    known : ndarray of int of shape (n,)
        -1 where hidden.
    """
    rng, known = np.random.RandomState(seed), np.full(len(y), -1)
    for label in np.unique(y):
        known[rng.permutation(np.flatnonzero(y == label))[:shots]] = label
    return known


def labels_of_pool(y, shots, seed):
    """Hide all labels but `shots` for each class on average: rare classes may have none."""
    rows = np.random.RandomState(seed).permutation(len(y))[: shots * len(np.unique(y))]
    return np.where(np.isin(np.arange(len(y)), rows), y, -1)


DRAWS = {"class": few_labels, "pool": labels_of_pool}
