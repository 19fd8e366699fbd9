"""Tip-Adapter: the logits, and the choice of their strength on labeled rows."""

from typing import NamedTuple

import numpy as np

from ..utils._check_params import check_number


def tip_adapter_logits(features, class_embeddings, keys, values, alpha, beta, logit_scale=100.0):
    r"""Zero-shot logits plus what similar labeled rows say.

    .. math:: z = s \, f W^\top + \alpha \exp\bigl(-\beta (1 - f K^\top)\bigr) V

    .. versionadded:: 0.1

    Parameters
    ----------
    features : Tensor of shape (n, d)
        f, rows of norm 1.
    class_embeddings : Tensor of shape (n_classes, d)
        W, rows of norm 1.
    keys : Tensor of shape (n_keys, d)
        K: embeddings of the labeled rows, or what they were tuned to.
    values : Tensor of shape (n_keys, n_classes)
        V: their labels, one-hot.
    alpha : float
        Weight of the labeled rows.
    beta : float
        How fast it falls with the distance.
    logit_scale : float, default=100.0
        s.

    Returns
    -------
    logits : Tensor of shape (n, n_classes)

    See Also
    --------
    TipAdapterTeacher : Uses them.

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
    from .._devices_and_seeds import check_tensor

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
    """Labeled rows, and their cosines with keys that do not hold their labels; -inf for none.

    `own` are factors for what the keys of each row's own class add up to.
    """

    rows: np.ndarray
    similarity: np.ndarray
    key_classes: np.ndarray
    own: np.ndarray | None = None


def leave_one_out(features, targets):
    """Hold out each key from its own row; its class's sum makes good the lost one of its k keys.

    Rows that are alone in their class say nothing.
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
    """Judge pairs of alpha and beta on rows held out: log losses in nats, and hits.

    Both have the shape (n_alphas, n_betas, n_judged), part by part.
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
    """Choose the least mean loss among accuracies within one standard error of the best.

    It is the rule of Breiman et al., "Classification and Regression Trees", 1984, section 3.4.3.
    """
    accuracy = hits.mean(axis=2)
    best = accuracy.max()
    error = np.sqrt(best * (1 - best) / hits.shape[2])
    mean = np.where(accuracy >= best - error, losses.mean(axis=2), np.inf)
    line, column = np.unravel_index(mean.argmin(), mean.shape)
    return int(line), int(column)


def stratified_folds(targets, n_folds, seed):
    """Deal the rows of each class to folds in turn."""
    shuffled = np.random.RandomState(seed).permutation(len(targets))
    dealt = shuffled[np.argsort(targets[shuffled], kind="stable")]
    folds = np.empty(len(targets), dtype=int)
    folds[dealt] = np.arange(len(targets)) % n_folds
    return folds


def tune_keys(
    features,
    targets,
    class_embeddings,
    *,
    alpha,
    beta,
    logit_scale,
    lr,
    max_epochs,
    batch_size,
    seed,
    device,
):
    """Train the keys on the cross-entropy of the labeled rows."""
    import torch
    from torch.nn import functional

    x, y, w = (torch.tensor(rows, device=device) for rows in (features, targets, class_embeddings))
    values = functional.one_hot(y, len(w)).to(x.dtype)
    generator = torch.Generator().manual_seed(seed)
    keys = x.clone().requires_grad_()
    optimizer = torch.optim.AdamW([keys], lr=lr, eps=1e-4)
    n_steps = max_epochs * -(-len(x) // batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    for _ in range(max_epochs):
        for rows in torch.randperm(len(x), generator=generator).split(batch_size):
            optimizer.zero_grad()
            logits = tip_adapter_logits(x[rows], w, keys, values, alpha, beta, logit_scale)
            functional.cross_entropy(logits, y[rows]).backward()
            optimizer.step()
            schedule.step()
    return keys.detach().cpu().numpy()


def cross_validate(tune, features, targets, n_folds, seed):
    """Hold out rows from the tuning of the keys."""
    folds = stratified_folds(targets, n_folds, seed)
    shared = np.bincount(targets)[targets] > 1
    parts = []
    for fold in range(n_folds):
        train, rows = folds != fold, np.flatnonzero((folds == fold) & shared)
        if len(rows):
            keys = tune(features[train], targets[train])
            parts.append(HeldOut(rows, features[rows] @ keys.T, targets[train]))
    return parts
