"""Tip-Adapter-F: the keys, tuned on the labelled rows."""

import numpy as np
import torch
from torch.nn import functional

from ._tip_adapter_math import grid_losses, stratified_folds, tip_adapter_logits


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


def cross_validate(tune, zero_shot, features, targets, alphas, betas, n_folds, seed):
    """Judge alpha and beta on rows that the keys were not tuned on.

    Parameters
    ----------
    tune : callable
        From features and targets to keys.
    zero_shot : ndarray of shape (n, n_classes)
    features : ndarray of shape (n, d)
    targets : ndarray of int of shape (n,)
    alphas, betas : sequence of float
    n_folds : int
    seed : int
        Draws the folds.

    Returns
    -------
    losses, hits : ndarray of shape (n_alphas, n_betas, n_judged)
        Of the rows that are not alone in their class, fold by fold.
    """
    folds = stratified_folds(targets, n_folds, seed)
    shared = np.bincount(targets)[targets] > 1
    parts = []
    for fold in range(n_folds):
        train, test = folds != fold, (folds == fold) & shared
        if test.any():
            similarity = features[test] @ tune(features[train], targets[train]).T
            known = targets[train], targets[test]
            parts.append(grid_losses(zero_shot[test], similarity, *known, alphas, betas))
    losses, hits = zip(*parts, strict=True)
    return np.concatenate(losses, axis=2), np.concatenate(hits, axis=2)
