"""Harder variants of a task: rare classes, and a teacher that knows less."""

import numpy as np
from scipy.special import softmax


def imbalanced_rows(y, ratio, seed=0):
    """Draw rows so that the commonest class is `ratio` times as frequent as the rarest.

    Frequencies fall geometrically over the classes in random order; a class keeps two rows at
    least.

    Parameters
    ----------
    y : ndarray of int of shape (n,)
    ratio : float >= 1
    seed : int, default=0

    Returns
    -------
    rows : ndarray of int, sorted
    """
    rng = np.random.RandomState(seed)
    classes = rng.permutation(np.unique(y))
    shares = ratio ** -np.linspace(0, 1, len(classes))
    largest = np.bincount(y).max()
    rows = []
    for label, share in zip(classes, shares, strict=True):
        n_rows = max(2, round(share * largest))
        rows.append(rng.permutation(np.flatnonzero(y == label))[:n_rows])
    return np.sort(np.concatenate(rows))


def degraded(proba, level, seed=0):
    """Add Gaussian noise to the teacher's logits.

    Parameters
    ----------
    proba : ndarray of shape (n, n_classes)
    level : float >= 0
        Standard deviation of the noise, in units of the logits' own.
    seed : int, default=0

    Returns
    -------
    proba : ndarray of float32 of shape (n, n_classes)
    """
    logits = np.log(np.maximum(proba, 1e-12))
    logits -= logits.mean(axis=1, keepdims=True)
    noise = np.random.RandomState(seed).standard_normal(logits.shape)
    return softmax(logits + level * logits.std() * noise, axis=1).astype(np.float32)
