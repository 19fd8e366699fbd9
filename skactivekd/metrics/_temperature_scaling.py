"""The scale and temperature at which a teacher's probabilities fit the labels best."""

import math

import numpy as np
from sklearn.utils import gen_batches

from ..utils._check_params import check_number, naming, refuse_mask
from ..utils._label_values import as_labels, plain
from ..utils._matrix import as_matrix, as_ndarray
from ..utils._proba import check_proba

_BLOCK = 2**18  # numbers worked on at once: they stay in the processor's cache
_WIDEST = 1000.0  # times or through the default; no sensible scale lies beyond
TINY = float(np.finfo(np.float32).tiny)  # a float32 softmax gives nothing smaller but 0


def best_logit_scale(similarities, y, default=100.0, n_prior=10.0):
    r"""Fit the inverse temperature of a softmax to labels.

    .. math:: \hat s = \arg\min_{s > 0}
       - \sum_i \log \frac{\exp(s\, z_{i y_i})}{\sum_c \exp(s\, z_{i c})}
       + m \left(\frac{s}{s_0} - \log \frac{s}{s_0} - 1\right)

    The first term is the log loss of the n labels [1]_. The second keeps few
    labels from running away with the scale: it is the logarithm of a gamma
    density with its mode at the default :math:`s_0`, and as it bends, at its
    minimum, like the loss of about m labels, a handful of labels moves the
    scale little and many move it all the way. Both terms are convex in s: the
    minimum is one.

    .. versionadded:: 0.1

    Parameters
    ----------
    similarities : array-like of shape (n_labeled, n_classes)
        The labeled rows' cosines z with each class, or any logits.
    y : array-like of int of shape (n_labeled,)
        The column of each row's class.
    default : float, default=100.0
        The scale :math:`s_0` without labels.
    n_prior : float, default=10.0
        Weight m of the default, in labels. 0 gives the plain minimum, kept
        within a factor of 1000 of the default.

    Returns
    -------
    scale : float
        Exactly `default` if there is no row.

    Raises
    ------
    ValueError
        If shapes do not fit, a similarity is not finite, or a column does not
        exist.

    See Also
    --------
    best_temperature : The same for probabilities.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger. "On Calibration of
       Modern Neural Networks". ICML 2017, section 4.2. arXiv:1706.04599.

    Examples
    --------
    >>> from skactivekd.metrics import best_logit_scale
    >>> best_logit_scale([[0.3, 0.2]], [0])  # one label that is right
    100.0...
    >>> best_logit_scale([[0.3, 0.2]] * 1000, [0, 1] * 500) < 5  # no better than chance
    True
    """
    from scipy.optimize import minimize_scalar

    z, y = check_columns(similarities, y, "similarities")
    check_number(default, "default", above=0)
    check_number(n_prior, "n_prior", 0)
    if len(z) == 0:
        return float(default)
    total_loss = log_loss_of_scale(z, y)

    def loss(log_ratio):
        ratio = math.exp(log_ratio)
        return total_loss(ratio * default) + n_prior * (ratio - log_ratio - 1)

    width = math.log(_WIDEST)
    best = minimize_scalar(loss, bounds=(-width, width), method="bounded", options={"xatol": 1e-6})
    return float(default * math.exp(best.x))


def best_temperature(proba, y, n_prior=10.0):
    r"""Fit the temperature that makes probabilities most believable.

    It minimizes the log loss of :math:`p_c^{1/T} / \sum_k p_k^{1/T}`: above 1
    the probabilities are overconfident, below 1 they are too timid.

    .. versionadded:: 0.1

    Parameters
    ----------
    proba : array-like of shape (n_labeled, n_classes)
        Probabilities of the labeled rows; one of 0 counts as 1e-38.
    y : array-like of int of shape (n_labeled,)
        The column of each row's class.
    n_prior : float, default=10.0
        Weight of T = 1, in labels; see `best_logit_scale`.

    Returns
    -------
    temperature : float
        1 if there is no row.

    Raises
    ------
    ValueError
        As for `best_logit_scale`.

    See Also
    --------
    best_logit_scale : The same for cosines.
    expected_calibration_error : How far confidence is from accuracy.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger. "On Calibration of
       Modern Neural Networks". ICML 2017, section 4.2. arXiv:1706.04599.

    Examples
    --------
    >>> from skactivekd.metrics import best_temperature
    >>> best_temperature([[0.99, 0.01]] * 10, [0, 1] * 5) > 1.5
    True
    """
    proba, y = check_columns(as_ndarray(check_proba(proba, "proba")), y, "proba")
    logits = np.maximum(proba, TINY)
    logits = np.log(logits, out=logits)
    return 1 / best_logit_scale(logits, y, default=1.0, n_prior=n_prior)


def log_loss_of_scale(z, y):
    """Return the function from a scale to the summed log loss of its softmax of z.

    It works on blocks of rows, as a matrix of thousands of classes is large.
    """
    first = z.argmax(axis=1)
    best, own = (z[np.arange(len(y)), c].astype(np.float64) for c in (first, y))
    blocks = list(gen_batches(len(z), max(1, _BLOCK // z.shape[1])))
    room = np.empty(z[blocks[0]].shape)

    def loss(scale):
        total = scale * (best - own).sum()
        for rows in blocks:
            part = np.subtract(z[rows], best[rows, None], out=room[: len(z[rows])])
            part *= scale
            np.exp(part, out=part)[np.arange(len(part)), first[rows]] = 0
            total += np.log1p(part.sum(axis=1)).sum()  # exact where the first is nearly sure
        return total

    return loss


def check_columns(rows, y, name):
    """Return rows as floats and y as an array, once they fit each other."""
    rows = as_ndarray(as_matrix(rows, name))
    rows = rows if rows.dtype in (np.float32, np.float64) else rows.astype(np.float64)
    refuse_mask(y, "y")
    with naming("y"):
        y = plain(as_labels(y))
    if y.shape != rows.shape[:1]:
        raise ValueError(
            f"{name} of shape {rows.shape} and y of shape {y.shape} must have the shapes "
            "(n_labeled, n_classes) and (n_labeled,)"
        )
    with np.errstate(invalid="ignore"):
        bad = np.flatnonzero(
            ~np.isfinite(rows.min(axis=1, initial=0) + rows.max(axis=1, initial=0))
        )
    if len(bad):
        raise ValueError(f"{name} holds nan or infinity, first in row {bad[0]}")
    if len(y) and (y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= rows.shape[1]):
        raise ValueError(f"y must hold columns of {name}, 0 to {rows.shape[1] - 1}")
    return rows, y
