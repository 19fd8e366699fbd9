"""Tip-Adapter: the logits, and the choice of their strength on labelled rows."""

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


def grid_losses(zero_shot, similarity, key_classes, targets, alphas, betas, own=None):
    """Judge every pair of alpha and beta on labelled rows.

    Parameters
    ----------
    zero_shot : ndarray of shape (n, n_classes)
        Zero-shot logits of the rows to judge by.
    similarity : ndarray of shape (n, n_keys)
        Their cosines with the keys; ``-inf`` takes a key out for a row.
    key_classes : ndarray of int of shape (n_keys,)
        The classes of the keys.
    targets : ndarray of int of shape (n,)
        The classes of the rows.
    alphas, betas : sequence of float
        The candidates.
    own : ndarray of shape (n,), default=None
        Factors for what the keys of each row's own class add up to.

    Returns
    -------
    losses : ndarray of shape (n_alphas, n_betas, n)
        Log loss of each row, in nats.
    hits : ndarray of bool of shape (n_alphas, n_betas, n)
        Whether its class comes first.
    """
    from scipy.sparse import csr_array
    from scipy.special import log_softmax

    rows, n_keys = np.arange(len(targets)), len(key_classes)
    ones, shape = np.ones(n_keys, dtype=np.float32), (n_keys, zero_shot.shape[1])
    values = csr_array((ones, (np.arange(n_keys), key_classes)), shape=shape)
    losses = np.empty((len(alphas), len(betas), len(rows)))
    hits = np.empty(losses.shape, dtype=bool)
    for column, beta in enumerate(betas):
        sums = np.exp(-beta * (1 - similarity)) @ values
        if own is not None:
            sums[rows, targets] *= own
        for line, alpha in enumerate(alphas):
            log_proba = log_softmax(zero_shot + alpha * sums, axis=1)
            losses[line, column] = -log_proba[rows, targets]
            hits[line, column] = log_proba.argmax(axis=1) == targets
    return losses, hits


def leave_one_out(zero_shot, features, targets, alphas, betas):
    """Judge alpha and beta on the keys themselves, each without its own entry.

    A row's class has lost one of its k keys, which its sum makes good by the
    factor k / (k - 1). Rows that are alone in their class say nothing.

    Parameters
    ----------
    zero_shot : ndarray of shape (n, n_classes)
    features : ndarray of shape (n, d)
        Embeddings of the labelled rows, of norm 1.
    targets : ndarray of int of shape (n,)
    alphas, betas : sequence of float

    Returns
    -------
    losses, hits : ndarray of shape (n_alphas, n_betas, n_judged)
        As `grid_losses` gives them.
    """
    counts = np.bincount(targets)[targets]
    judged = np.flatnonzero(counts > 1)
    similarity = features[judged] @ features.T
    similarity[np.arange(len(judged)), judged] = -np.inf
    own = counts[judged] / (counts[judged] - 1)
    zero_shot = zero_shot[judged]
    return grid_losses(zero_shot, similarity, targets, targets[judged], alphas, betas, own)


def choose(losses, hits):
    """Choose by the one-standard-error rule: as accurate as the best, and most believable.

    Parameters
    ----------
    losses, hits : ndarray of shape (n_alphas, n_betas, n)
        As `grid_losses` gives them.

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
