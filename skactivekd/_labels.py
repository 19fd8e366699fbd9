"""The marker of unlabelled rows, understood in one place."""

import numbers

import numpy as np


def is_missing(y, missing_label=-1):
    """Tell which entries of y are not labelled.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels; unlabelled rows carry `missing_label`.
    missing_label : int, float nan, str or None, default=-1
        The marker. ``nan`` also matches pandas' missing values.

    Returns
    -------
    mask : ndarray of bool of shape (n_samples,)
        True where the row is not labelled.

    Examples
    --------
    >>> from skactivekd._labels import is_missing
    >>> is_missing([0, -1, 2])
    array([False,  True, False])
    >>> is_missing(["cat", None], missing_label=None)
    array([False,  True])
    """
    y = as_labels(y)
    if missing_label is None:
        return np.fromiter((value is None for value in y), dtype=bool, count=len(y))
    if isinstance(missing_label, numbers.Real) and np.isnan(missing_label):
        # Only nan differs from itself; pandas.NA does not compare at all.
        return np.fromiter((not _equals_itself(value) for value in y), dtype=bool, count=len(y))
    if y.dtype.kind in "OUS" or isinstance(missing_label, str):
        return np.fromiter((_same(value, missing_label) for value in y), dtype=bool, count=len(y))
    return y == missing_label


def as_labels(y):
    """Return labels as an array, without making strings of None or numbers.

    Examples
    --------
    >>> from skactivekd._labels import as_labels
    >>> as_labels(["cat", -1])
    array(['cat', -1], dtype=object)
    """
    if hasattr(y, "dtype") or hasattr(y, "__array__"):
        return np.asarray(y)
    y = list(y)
    kinds = {type(value) for value in y}
    return np.asarray(y, dtype=object if len(kinds) > 1 or type(None) in kinds else None)


def _equals_itself(value):
    try:
        return bool(value == value)
    except TypeError:  # pandas.NA
        return False


def _same(value, marker):
    same_kind = isinstance(value, str) == isinstance(marker, str)
    return same_kind and _equals_itself(value) and value == marker
