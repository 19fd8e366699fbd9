"""How far to follow what a few-shot teacher made of its labels, and where zero-shot stays."""

import numpy as np

from ..metrics._calibration import best_logit_scale

SHARES = np.linspace(0, 1, 6)  # of the taught logits in the mean with zero-shot's

# Log-odds of the labels against zero-shot, before any row was held out. Equal numbers of each class
# are drawn by design: it is what these methods were published for. Other draws say too little of
# the classes they are short of, and of those alone: there zero-shot has to be proven wrong.
_BY_DESIGN, _AT_RANDOM = 6.0, -8.0
_EVEN = 0.95
_LEAST = 0.1  # a share that even the prior alone has


def is_even(codes, n_classes):
    """Tell whether labels are spread as a draw of equal numbers of each class is."""
    return evenness(codes, n_classes) >= _EVEN


def evenness(codes, n_classes):
    """Tell how evenly labels are spread: the effective share of the classes, 1 for equal counts.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.teacher._trust import evenness
    >>> evenness(np.array([0, 1, 2]), 3), evenness(np.array([1, 1, 1, 1]), 4)
    (1.0, 0.25)
    """
    counts = np.bincount(codes, minlength=n_classes)
    return float(counts.sum() ** 2 / (n_classes * np.square(counts).sum()))


def keep_unlabeled(zero_shot, taught, seen):
    """Leave classes without a label the probability that zero-shot gives them.

    Labels tell the labeled classes apart. Of the others they say nothing, but a
    teacher taught by them gives all rows to the labeled ones.

    Parameters
    ----------
    zero_shot, taught : ndarray of shape (n, n_classes)
        Logits.
    seen : ndarray of bool of shape (n_classes,)
        Whether a class has a label.

    Returns
    -------
    logits : ndarray of shape (n, n_classes)

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.teacher._trust import keep_unlabeled
    >>> logits = np.zeros((1, 3))
    >>> keep_unlabeled(logits, logits + [9.0, 9.0, 0.0], np.array([True, True, False]))
    array([[0., 0., 0.]])
    """
    from scipy.special import logsumexp

    if seen.all():
        return taught
    kept = zero_shot.copy()
    before, after = (logsumexp(rows[:, seen], axis=1) for rows in (zero_shot, taught))
    kept[:, seen] = taught[:, seen] + (before - after)[:, None]
    return kept


def choose_trust(zero_shot, taught, targets, even):
    r"""Let held-out rows say how far to follow what the labels taught.

    Each share g of the taught logits has the score

    .. math:: S(g) = \lambda g + \max_T \sum_i \log \mathrm{softmax}
       \bigl((1 - g) z_{0i} + g z_i) / T\bigr)_{y_i}

    and the shares are averaged with weights in proportion to
    :math:`\exp S(g)`. With equal numbers of labels these are 0 and 1: the
    published method, or zero-shot. The temperature is free, as being too sure is no reason
    to be distrusted, and :math:`\lambda` depends on how the labels were drawn.

    Parameters
    ----------
    zero_shot, taught : ndarray of shape (n_judged, n_classes)
        Logits of labeled rows, the taught ones without the rows' own labels.
    targets : ndarray of int of shape (n_judged,)
    even : float
        From `evenness`; the share never exceeds it.

    Returns
    -------
    trust : float in [0, 1]

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.teacher._trust import choose_trust
    >>> y = np.arange(40) // 20
    >>> right, wrong = np.eye(2)[y], np.eye(2)[1 - y]
    >>> choose_trust(wrong, right, y, even=0.9) > 0.8
    True
    >>> choose_trust(right, wrong, y, even=1.0)
    0.0
    """
    by_design = even >= _EVEN
    shares = SHARES[[0, -1]] if by_design else SHARES
    scores = shares * (_BY_DESIGN if by_design else _AT_RANDOM)
    if len(targets):
        scores = scores + [
            _log_likelihood((1 - share) * zero_shot + share * taught, targets) for share in shares
        ]
    weights = np.exp(scores - scores.max())
    trust = float(weights @ shares / weights.sum() * even)
    return trust if trust > _LEAST else 0.0


def _log_likelihood(logits, targets):
    from scipy.special import log_softmax

    logits = best_logit_scale(logits, targets, default=1.0) * logits
    return log_softmax(logits, axis=1)[np.arange(len(targets)), targets].sum()


def count_folds(codes, n_classes):
    """Return how many parts to make of labels, and how many of these to hold out in turn.

    Few are held out one by one; of many, one part is evidence enough. Labels
    that are spread evenly stay so in each part, and in what is left.
    """
    n = len(codes)
    n_parts = n if n <= 12 else 5 if n <= 250 else 3
    if is_even(codes, n_classes):
        n_parts = min(max(np.bincount(codes).min(), 2), 5 if n <= 250 else 3)
    return n_parts, n_parts if n <= 600 else 1
