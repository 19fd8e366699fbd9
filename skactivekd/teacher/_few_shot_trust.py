"""How far to follow what a few-shot teacher made of its labels, and where zero-shot stays."""

import numpy as np

from ..metrics._temperature_scaling import best_logit_scale

SHARES = np.linspace(0, 1, 6)  # of the taught logits in the mean with zero-shot's

# Log-odds of the labels against zero-shot, before any row was held out. Equal numbers of each class
# are drawn by design: it is what these methods were published for, with up to 16 of each. One of
# each may harm, so belief grows with the labels of a class that are held out. Other draws say too
# little of the classes they are short of, and of those alone: there zero-shot has to be proven
# wrong.
_PER_LABEL, _BY_DESIGN, _AT_RANDOM = 0.6, 6.0, -8.0
_EVEN = 0.95
_LEAST = 0.1  # a share that even the prior alone has


def is_even(codes, n_classes):
    """Tell whether labels are spread as a draw of equal numbers of each class is."""
    return evenness(codes, n_classes) >= _EVEN


def evenness(codes, n_classes):
    """Tell how evenly labels are spread: the effective share of the classes, 1 for equal counts."""
    counts = np.bincount(codes, minlength=n_classes)
    return float(counts.sum() ** 2 / (n_classes * np.square(counts).sum()))


def keep_unlabeled(zero_shot, taught, seen):
    """Leave classes without a label the probability that zero-shot gives them; all are logits.

    A teacher taught by labels of some classes would give all rows to these.
    """
    from scipy.special import logsumexp

    if seen.all():
        return taught
    kept = zero_shot.copy()
    before, after = (logsumexp(rows[:, seen], axis=1) for rows in (zero_shot, taught))
    kept[:, seen] = taught[:, seen] + (before - after)[:, None]
    return kept


def choose_trust(zero_shot, taught, targets, even):
    r"""Let held-out rows, whose labels `taught` did not know, say how far to follow it, in [0, 1].

    Shares g of the taught logits are averaged with weights in proportion to exp S(g), where
    S(g) = lambda g + max_T sum_i log softmax(((1 - g) z0_i + g z_i) / T)[y_i]. T is free, as being
    too sure is no reason to be distrusted; lambda depends on how the labels were drawn. One label
    of each class says nothing of the share, which is a half then: on weak encoders of rows the
    published method, a share of 1, loses several points there.
    """
    by_design = min(_PER_LABEL * len(targets) / zero_shot.shape[1], _BY_DESIGN)
    scores = SHARES * (by_design if even >= _EVEN else _AT_RANDOM)
    if len(targets):
        scores = scores + [
            _log_likelihood((1 - share) * zero_shot + share * taught, targets) for share in SHARES
        ]
    weights = np.exp(scores - scores.max())
    trust = float(weights @ SHARES / weights.sum() * even)
    return trust if trust > _LEAST else 0.0


def _log_likelihood(logits, targets):
    from scipy.special import log_softmax

    logits = best_logit_scale(logits, targets, default=1.0) * logits
    return log_softmax(logits, axis=1)[np.arange(len(targets)), targets].sum()


def count_folds(codes, n_classes):
    """Return how many parts to make of labels, and how many of these to hold out in turn.

    Few are held out one by one; of many, one part is enough. Even labels stay even in each part.
    """
    n = len(codes)
    n_parts = n if n <= 12 else 5 if n <= 250 else 3
    if is_even(codes, n_classes):
        n_parts = min(max(np.bincount(codes).min(), 2), 5 if n <= 250 else 3)
    return n_parts, n_parts if n <= 600 else 1
