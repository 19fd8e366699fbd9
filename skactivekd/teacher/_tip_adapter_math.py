"""Tip-Adapter: the logits, and the choice of their strength on labelled rows."""

from typing import NamedTuple

import numpy as np

from ..utils._params import check_number


def tip_adapter_logits(features, class_embeddings, keys, values, alpha, beta, logit_scale=100.0):
    r"""Zero-shot logits plus what similar labelled rows say.

    .. math:: z = s \, f W^\top + \alpha \exp\bigl(-\beta (1 - f K^\top)\bigr) V

    Parameters
    ----------
    features : Tensor of shape (n, d)
        f, rows of norm 1.
    class_embeddings : Tensor of shape (n_classes, d)
        W, rows of norm 1.
    keys : Tensor of shape (n_keys, d)
        K: embeddings of the labelled rows, or what they were tuned to.
    values : Tensor of shape (n_keys, n_classes)
        V: their labels, one-hot.
    alpha : float
        Weight of the labelled rows.
    beta : float
        How fast it falls with the distance.
    logit_scale : float, default=100.0
        s.

    Returns
    -------
    logits : Tensor of shape (n, n_classes)

    References
    ----------
    .. [1] R. Zhang et al. "Tip-Adapter: Training-free Adaption of CLIP for
       Few-shot Classification". ECCV 2022, section 3. arXiv:2207.09519.

    Examples
    --------
    >>> import torch
    >>> from skactivekd.teacher import tip_adapter_logits
    >>> W = torch.eye(2)
    >>> tip_adapter_logits(W[:1], W, W[1:], W[1:], alpha=1.0, beta=1.0, logit_scale=1.0)
    tensor([[1.0000, 0.3679]])
    """
    from .._torch import check_tensor

    check_tensor(class_embeddings, "class_embeddings", (None, None))
    n_classes, d = class_embeddings.shape
    check_tensor(keys, "keys", (None, d))
    check_tensor(values, "values", (len(keys), n_classes))
    check_tensor(features, "features", (None, d))
    check_number(alpha, "alpha")
    check_number(beta, "beta")
    for name, rows in (("keys", keys), ("values", values), ("features", features)):
        if rows.dtype != class_embeddings.dtype:
            raise TypeError(
                f"{name} has dtype {rows.dtype}, but class_embeddings {class_embeddings.dtype}."
            )
    check_number(logit_scale, "logit_scale", above=0)
    affinity = (-beta * (1 - features @ keys.T)).exp()
    return logit_scale * features @ class_embeddings.T + alpha * affinity @ values


class HeldOut(NamedTuple):
    """Labelled rows, and how alike the keys are to them that do not hold their labels.

    Attributes
    ----------
    rows : ndarray of int of shape (m,)
    similarity : ndarray of shape (m, n_keys)
        Cosines; ``-inf`` takes a key out for a row.
    key_classes : ndarray of int of shape (n_keys,)
    own : ndarray of shape (m,) or None
        Factors for what the keys of each row's own class add up to.
    """

    rows: np.ndarray
    similarity: np.ndarray
    key_classes: np.ndarray
    own: np.ndarray | None = None


def leave_one_out(features, targets):
    """Hold out the keys themselves, each from its own row.

    A row's class has lost one of its k keys, which its sum makes good by the
    factor k / (k - 1). Rows that are alone in their class say nothing.

    Parameters
    ----------
    features : ndarray of shape (n, d)
        Embeddings of the labelled rows, of norm 1.
    targets : ndarray of int of shape (n,)

    Returns
    -------
    parts : list of HeldOut
        One, or none.
    """
    counts = np.bincount(targets, minlength=1)[targets]
    rows = np.flatnonzero(counts > 1)
    if not len(rows):
        return []
    similarity = features[rows] @ features.T
    similarity[np.arange(len(rows)), rows] = -np.inf
    return [HeldOut(rows, similarity, targets, counts[rows] / (counts[rows] - 1))]


def votes(part, targets, beta, n_classes):
    """Add up what the keys say of the rows of a part, of shape (m, n_classes)."""
    from scipy.sparse import csr_array

    n_keys = len(part.key_classes)
    ones = np.ones(n_keys, dtype=np.float32)
    values = csr_array((ones, (np.arange(n_keys), part.key_classes)), shape=(n_keys, n_classes))
    sums = np.exp(-beta * (1 - part.similarity)) @ values
    if part.own is not None:
        sums[np.arange(len(sums)), targets[part.rows]] *= part.own
    return sums


def judge(parts, zero_shot, targets, alphas, betas):
    """Judge every pair of alpha and beta on rows held out.

    Parameters
    ----------
    parts : list of HeldOut
    zero_shot : ndarray of shape (n, n_classes)
        Zero-shot logits of the labelled rows.
    targets : ndarray of int of shape (n,)
        Their classes.
    alphas, betas : sequence of float
        The candidates.

    Returns
    -------
    losses : ndarray of shape (n_alphas, n_betas, n_judged)
        Log loss of each row, in nats, part by part.
    hits : ndarray of bool of shape (n_alphas, n_betas, n_judged)
        Whether its class comes first.
    """
    from scipy.special import log_softmax

    rows = np.concatenate([part.rows for part in parts])
    own, every = targets[rows], np.arange(len(rows))
    losses = np.empty((len(alphas), len(betas), len(rows)))
    hits = np.empty(losses.shape, dtype=bool)
    for column, beta in enumerate(betas):
        sums = [votes(part, targets, beta, zero_shot.shape[1]) for part in parts]
        sums = np.concatenate(sums)
        for line, alpha in enumerate(alphas):
            log_proba = log_softmax(zero_shot[rows] + alpha * sums, axis=1)
            losses[line, column] = -log_proba[every, own]
            hits[line, column] = log_proba.argmax(axis=1) == own
    return losses, hits


def choose(losses, hits):
    """Choose by the one-standard-error rule: as accurate as the best, and most believable.

    Parameters
    ----------
    losses, hits : ndarray of shape (n_alphas, n_betas, n)
        As `judge` gives them.

    Returns
    -------
    line, column : int
        The candidate of least mean loss among those whose accuracy is within
        one standard error of the best; the first of equals.

    References
    ----------
    .. [1] L. Breiman et al. "Classification and Regression Trees". 1984,
       section 3.4.3.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.teacher._tip_adapter_math import choose
    >>> losses = np.array([[[0.1, 0.1, 9.0, 0.1]], [[0.3, 0.3, 0.5, 0.9]]])
    >>> hits = np.array([[[True, True, True, True]], [[True, True, True, False]]])
    >>> choose(losses, hits)
    (0, 0)
    """
    accuracy = hits.mean(axis=2)
    best = accuracy.max()
    error = np.sqrt(best * (1 - best) / hits.shape[2])
    mean = np.where(accuracy >= best - error, losses.mean(axis=2), np.inf)
    line, column = np.unravel_index(mean.argmin(), mean.shape)
    return int(line), int(column)


def stratified_folds(targets, n_folds, seed):
    """Deal the rows of each class to folds in turn.

    Parameters
    ----------
    targets : ndarray of int of shape (n,)
    n_folds : int
    seed : int

    Returns
    -------
    folds : ndarray of int of shape (n,)

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.teacher._tip_adapter_math import stratified_folds
    >>> folds = stratified_folds(np.array([0, 1, 0, 1]), 2, seed=0)
    >>> sorted(folds[[0, 2]].tolist()), sorted(folds[[1, 3]].tolist())
    ([0, 1], [0, 1])
    """
    shuffled = np.random.RandomState(seed).permutation(len(targets))
    dealt = shuffled[np.argsort(targets[shuffled], kind="stable")]
    folds = np.empty(len(targets), dtype=int)
    folds[dealt] = np.arange(len(targets)) % n_folds
    return folds
