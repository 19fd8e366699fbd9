"""Choosing alpha and beta: whose labels to hide, and how good each mixture then is."""

import warnings
from itertools import product

import numpy as np
from sklearn.model_selection import StratifiedKFold

from skactivekd.student import mix_heads

ALPHAS = np.linspace(0, 1, 21)
BETAS = np.array([0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 4.0])


def hidden_folds(codes, n_classes, n_folds=3):
    """Share out the labeled rows whose labels the folds hide in turn.

    Parameters
    ----------
    codes : ndarray of int of shape (n_samples,)
        Class indices, -1 where a row is not labeled.
    n_classes : int
    n_folds : int, default=3

    Returns
    -------
    folds : list of ndarray of int
        Rows of each fold, stratified, of the classes with a second label, so that one is left to
        learn from; none if there are fewer than two labels for each class on average.
    """
    labeled = np.flatnonzero(codes >= 0)
    if len(labeled) < 2 * n_classes:
        return []
    counts = np.bincount(codes[labeled])
    rows = labeled[counts[codes[labeled]] > 1]
    splitter = StratifiedKFold(min(n_folds, counts.max()))
    with warnings.catch_warnings():
        # A class with fewer labels than folds is absent from some, which does no harm.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        return [rows[test] for _, test in splitter.split(rows, codes[rows])]


def score_mixtures(ce_logits, kd_logits, codes, alphas=ALPHAS, betas=BETAS):
    """Score every mixture of the heads on rows that neither head was shown the label of.

    Parameters
    ----------
    ce_logits, kd_logits : tensor of shape (n, n_classes)
    codes : ndarray of int of shape (n,)
        True class indices.
    alphas, betas : sequences of floats

    Returns
    -------
    accuracy, log_likelihood : ndarray of float of shape (n_alphas, n_betas)
    """
    accuracy, log_likelihood = np.empty((2, len(alphas), len(betas)))
    for i, j in product(range(len(alphas)), range(len(betas))):
        proba = mix_heads(ce_logits, kd_logits, float(alphas[i]), float(betas[j])).numpy()
        likelihood = proba[np.arange(len(codes)), codes]
        log_likelihood[i, j] = np.log(np.maximum(likelihood, np.finfo(np.float32).tiny)).mean()
        accuracy[i, j] = np.mean(proba.argmax(axis=1) == codes)
    return accuracy, log_likelihood


def best_mixture(accuracy, log_likelihood):
    """Return the position of the best accuracy; the log-likelihood decides ties."""
    return max(np.ndindex(accuracy.shape), key=lambda at: (accuracy[at], log_likelihood[at]))
