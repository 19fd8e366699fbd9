"""Tip-Adapter-F: the keys, tuned on the labelled rows."""

import numpy as np
import torch
from torch.nn import functional

from ._tip_adapter_math import HeldOut, stratified_folds, tip_adapter_logits


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
    """Train the keys on the cross-entropy of the labelled rows.

    Parameters
    ----------
    features : ndarray of float32 of shape (n, d)
        Embeddings of the labelled rows: data, and where the keys start.
    targets : ndarray of int of shape (n,)
    class_embeddings : ndarray of float32 of shape (n_classes, d)
    alpha, beta, logit_scale : float
        As in `tip_adapter_logits`.
    lr : float
        Of AdamW, which falls to 0 as a cosine, step by step.
    max_epochs, batch_size : int
    seed : int
        Draws the batches.
    device : torch.device

    Returns
    -------
    keys : ndarray of float32 of shape (n, d)
    """
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
    """Hold out rows from the tuning of the keys.

    Parameters
    ----------
    tune : callable
        From features and targets to keys.
    features : ndarray of shape (n, d)
    targets : ndarray of int of shape (n,)
    n_folds : int
    seed : int
        Draws the folds.

    Returns
    -------
    parts : list of HeldOut
        The rows of each fold that are not alone in their class.
    """
    folds = stratified_folds(targets, n_folds, seed)
    shared = np.bincount(targets)[targets] > 1
    parts = []
    for fold in range(n_folds):
        train, rows = folds != fold, np.flatnonzero((folds == fold) & shared)
        if len(rows):
            keys = tune(features[train], targets[train])
            parts.append(HeldOut(rows, features[rows] @ keys.T, targets[train]))
    return parts
