"""How often a teacher is right, and whether it knows."""

import math

import numpy as np

from ..utils._check_params import check_integer, check_number
from ..utils._proba import check_proba
from ._temperature_scaling import TINY, check_columns

_MOST_BINS = 10**6  # more than float32 tells apart near 1


def accuracy_interval(n_right, n, confidence_level=0.95):
    """Wilson's interval of a share; nan where there is nothing to count.

    Parameters
    ----------
    n_right, n : int, or arrays of these
    confidence_level : float, default=0.95
        Above 0, below 1.

    Returns
    -------
    low, high : float, or arrays of these

    Raises
    ------
    ValueError
        If the level is no share.

    References
    ----------
    .. [1] E. B. Wilson. "Probable inference, the law of succession, and
       statistical inference". JASA 22, 1927.

    Examples
    --------
    >>> from skactivekd.metrics._reliability import accuracy_interval
    >>> [round(bound, 2) for bound in accuracy_interval(8, 10)]
    [0.49, 0.94]
    """
    from scipy.special import ndtri

    if not 0 < confidence_level < 1:
        raise ValueError(f"confidence_level={confidence_level!r} must be above 0 and below 1")
    z = ndtri((1 + confidence_level) / 2)
    n_right, n = np.asarray(n_right, dtype=float), np.asarray(n, dtype=float)
    with np.errstate(invalid="ignore", divide="ignore"):
        center = n_right + z**2 / 2
        spread = z * np.sqrt(n_right * (1 - n_right / n) + z**2 / 4)
        low = np.where(n_right == 0, 0.0, (center - spread) / (n + z**2))
        high = np.where(n_right == n, 1.0, (center + spread) / (n + z**2))
    low, high = np.where(n > 0, (low, high), math.nan)
    return (float(low), float(high)) if low.ndim == 0 else (low, high)


def reliability_curve(proba, y, n_bins=10, confidence_level=0.95):
    """Accuracy against confidence, in bins of equal width.

    The confidence of a row is its largest probability.

    .. versionadded:: 0.1

    Parameters
    ----------
    proba : array-like of shape (n_labeled, n_classes)
        Probabilities of the classes; each row sums to 1.
    y : array-like of int of shape (n_labeled,)
        The column of each row's class.
    n_bins : int, default=10
        Bins of the confidence in [0, 1].
    confidence_level : float, default=0.95
        Of the intervals of the accuracy.

    Returns
    -------
    curve : pandas.DataFrame
        One row for each bin that is not empty, with the columns "above" and
        "up_to" (its edges), "n", "confidence" (mean), "accuracy", "low" and
        "high" (the accuracy's interval).

    Raises
    ------
    ValueError
        If shapes do not fit or a column does not exist.

    See Also
    --------
    sklearn.calibration.calibration_curve : The same for two classes.

    Examples
    --------
    >>> from skactivekd.metrics import reliability_curve
    >>> curve = reliability_curve([[0.95, 0.05], [0.62, 0.38], [0.66, 0.34]], [0, 1, 0])
    >>> curve["accuracy"].tolist()
    [0.5, 1.0]
    """
    import pandas as pd

    check_integer(n_bins, "n_bins", 1, _MOST_BINS)
    check_number(confidence_level, "confidence_level", 0, 1)
    proba, y = check_columns(check_proba(proba, "proba"), y, "proba")
    confidence, right = proba.max(axis=1).astype(np.float64), proba.argmax(axis=1) == y
    edges = np.linspace(0, 1, n_bins + 1)
    bins = np.clip(np.searchsorted(edges, confidence) - 1, 0, n_bins - 1)
    rows = []
    for b in np.unique(bins):
        inside = bins == b
        n, n_right = int(inside.sum()), int(right[inside].sum())
        interval = accuracy_interval(n_right, n, confidence_level)
        rows.append((edges[b], edges[b + 1], n, confidence[inside].mean(), n_right / n, *interval))
    columns = ["above", "up_to", "n", "confidence", "accuracy", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def expected_calibration_error(proba, y, n_bins=10):
    r"""Mean distance between confidence and accuracy.

    .. math:: \mathrm{ECE} = \sum_b \frac{n_b}{n}
       \lvert \mathrm{accuracy}_b - \mathrm{confidence}_b \rvert

    over the bins of `reliability_curve`. It is biased upwards where bins hold
    few rows: with 30 labels even perfect probabilities can show 0.15.

    .. versionadded:: 0.1

    Parameters
    ----------
    proba : array-like of shape (n_labeled, n_classes)
        Probabilities of the classes; each row sums to 1.
    y : array-like of int of shape (n_labeled,)
        The column of each row's class.
    n_bins : int, default=10
        Bins of the confidence in [0, 1].

    Returns
    -------
    error : float
        In [0, 1]; nan if there is no row.

    Raises
    ------
    ValueError
        If shapes do not fit or a column does not exist.

    See Also
    --------
    reliability_curve : Accuracy by confidence.
    best_temperature : Mends a confidence that is off everywhere.

    References
    ----------
    .. [1] M. P. Naeini, G. F. Cooper, M. Hauskrecht. "Obtaining Well
       Calibrated Probabilities Using Bayesian Binning". AAAI 2015.

    Examples
    --------
    >>> from skactivekd.metrics import expected_calibration_error
    >>> round(expected_calibration_error([[0.9, 0.1], [0.9, 0.1]], [0, 1]), 2)
    0.4
    """
    curve = reliability_curve(proba, y, n_bins)
    if not len(curve):
        return math.nan
    gaps = (curve["accuracy"] - curve["confidence"]).abs()
    return float(np.average(gaps, weights=curve["n"]))


def log_loss(proba, y):
    """Mean of -log of each labeled row's probability of its class.

    Parameters
    ----------
    proba : array-like of shape (n_labeled, n_classes)
        A probability of 0 counts as 1e-38.
    y : array-like of int of shape (n_labeled,)

    Returns
    -------
    loss : float
        In nats; nan if there is no row.

    Examples
    --------
    >>> from skactivekd.metrics._reliability import log_loss
    >>> log_loss([[0.5, 0.5]], [1])
    0.693...
    """
    proba, y = check_columns(check_proba(proba, "proba"), y, "proba")
    if not len(y):
        return math.nan
    own = proba[np.arange(len(y)), y].astype(np.float64)
    return float(-np.log(np.maximum(own, TINY)).mean())
