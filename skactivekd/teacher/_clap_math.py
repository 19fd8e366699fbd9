"""CLAP on tensors: the loss, its class weights, and the training of prototypes."""

import math

from ..utils._params import check_choice, check_number

WEIGHTINGS = ("standard", "balanced", "corrected", "constant")
METRICS = ("l2", "cosine")
_WARM_UP = 1e-4  # share of the learning rate in the first epoch


def clap_loss(prototypes, anchors, multipliers, features, targets, logit_scale=100.0, metric="l2"):
    r"""Cross-entropy of a cosine classifier held near its zero-shot start.

    .. math:: L = \frac{1}{n} \sum_i -\log p(y_i \mid f_i)
       + \frac{1}{C} \sum_c a_c \, d(w_c, t_c), \qquad
       p(c \mid f) \propto \exp(s \cos(f, w_c))

    Parameters
    ----------
    prototypes : Tensor of shape (n_classes, d)
        w, of any norm.
    anchors : Tensor of shape (n_classes, d)
        t, the zero-shot embeddings of the classes.
    multipliers : Tensor of shape (n_classes,)
        a, from `class_multipliers`.
    features : Tensor of shape (n, d)
        f, embeddings of labelled rows.
    targets : Tensor of int64 of shape (n,)
        Their classes.
    logit_scale : float, default=100.0
        s.
    metric : {"l2", "cosine"}, default="l2"
        d: the squared distance, or one minus the cosine.

    Returns
    -------
    loss : Tensor of shape ()
        In nats.

    Raises
    ------
    ValueError
        If `metric` is unknown.

    References
    ----------
    .. [1] J. Silva-Rodriguez, S. Hajimiri, I. Ben Ayed, J. Dolz. "A Closer Look
       at the Few-Shot Adaptation of Large Vision-Language Models". CVPR 2024.
       arXiv:2312.12730.

    Examples
    --------
    >>> import torch
    >>> from skactivekd.teacher import clap_loss
    >>> t = torch.eye(2)
    >>> clap_loss(t, t, torch.ones(2), t, torch.tensor([0, 1]), logit_scale=1.0)
    tensor(0.3133)
    """
    from .._torch import check_targets, check_tensor

    check_tensor(prototypes, "prototypes", (None, None))
    n_classes, d = prototypes.shape
    check_tensor(anchors, "anchors", (n_classes, d))
    check_tensor(multipliers, "multipliers", (n_classes,))
    check_tensor(features, "features", (None, d))
    check_targets(targets, "targets", len(features), n_classes)
    if not len(targets):
        raise ValueError("targets is empty: there is no row to learn from.")
    if int(targets.min()) < 0:
        raise ValueError(f"targets must be at least 0, got {int(targets.min())}.")
    targets = targets.long()
    for name, rows in (("anchors", anchors), ("features", features)):
        if rows.dtype != prototypes.dtype:
            raise TypeError(f"{name} has dtype {rows.dtype}, but prototypes {prototypes.dtype}.")
    check_number(logit_scale, "logit_scale", above=0)
    check_choice(metric, "metric", METRICS)
    log_proba = (logit_scale * _unit(features) @ _unit(prototypes).T).log_softmax(dim=1)
    cross_entropy = -log_proba.gather(1, targets[:, None]).mean()
    return cross_entropy + (multipliers * drift(prototypes, anchors, metric)).mean()


def drift(prototypes, anchors, metric="l2"):
    """Return the distance d of each prototype from its anchor, Tensor of shape (n_classes,)."""
    if metric == "l2":
        return (prototypes - anchors).square().sum(dim=1)
    if metric == "cosine":
        return 1 - (_unit(prototypes) * _unit(anchors)).sum(dim=1)
    raise ValueError(f"metric={metric!r} must be one of {METRICS}")


def _unit(rows):
    return rows / rows.norm(dim=1, keepdim=True)


def class_multipliers(proba, targets, weighting="standard"):
    """Weight each class's constraint by how well zero-shot does on its labels.

    Parameters
    ----------
    proba : Tensor of shape (n, n_classes)
        Zero-shot probabilities of the labelled rows.
    targets : Tensor of int64 of shape (n,)
        Their classes.
    weighting : {"standard", "balanced", "corrected", "constant"}, default="standard"
        "standard": the mean probability of the class on its own rows;
        "balanced": 1; "corrected": standard, scaled to a mean of 1;
        "constant": the mean of standard, for all.

    Returns
    -------
    multipliers : Tensor of shape (n_classes,)
        Standard is 1, its largest value, for a class without rows: nothing
        speaks against its name.

    Raises
    ------
    ValueError
        If `weighting` is unknown.

    Examples
    --------
    >>> import torch
    >>> from skactivekd.teacher._clap_math import class_multipliers
    >>> class_multipliers(torch.tensor([[0.75, 0.25], [0.25, 0.75]]), torch.tensor([0, 0]))
    tensor([0.5000, 1.0000])
    """
    if weighting not in WEIGHTINGS:
        raise ValueError(f"weighting={weighting!r} must be one of {WEIGHTINGS}")
    ones = proba.new_ones(proba.shape[1])
    if weighting == "balanced":
        return ones
    counts = targets.bincount(minlength=len(ones))
    own = proba.gather(1, targets[:, None])[:, 0]
    sums = (0 * ones).index_add(0, targets, own)
    standard = (sums / counts.clamp(min=1)).where(counts > 0, ones)
    if weighting == "corrected":
        return standard / standard.mean()
    return ones * standard.mean() if weighting == "constant" else standard


def augmented_lagrangian(multipliers, penalty, violation):
    """Update the multipliers as the method of Powell, Hestenes and Rockafellar does.

    Parameters
    ----------
    multipliers : Tensor of shape (n_classes,)
        a.
    penalty : Tensor of shape (n_classes,)
        rho, 0 at first.
    violation : Tensor of shape (n_classes,)
        h, the distances of `drift` after an epoch.

    Returns
    -------
    multipliers : Tensor of shape (n_classes,)
        max(a + rho h, 0).
    penalty : Tensor of shape (n_classes,)
        h.

    Examples
    --------
    >>> import torch
    >>> from skactivekd.teacher._clap_math import augmented_lagrangian
    >>> augmented_lagrangian(torch.tensor([0.5]), torch.tensor([2.0]), torch.tensor([0.25]))
    (tensor([1.]), tensor([0.2500]))
    """
    return (multipliers + penalty * violation).clamp(min=0), violation


def train_prototypes(
    anchors,
    multipliers,
    features,
    targets,
    *,
    logit_scale,
    metric,
    adaptive,
    lr,
    momentum,
    max_epochs,
    batch_size,
    generator,
):
    """Minimise `clap_loss` from the anchors on, by SGD with a cosine schedule.

    Parameters
    ----------
    anchors, multipliers, features, targets, logit_scale, metric
        As in `clap_loss`.
    adaptive : bool
        Apply `augmented_lagrangian` after each epoch.
    lr, momentum : float
        Of the SGD.
    max_epochs, batch_size : int
        Passes, and rows of a step.
    generator : torch.Generator
        On the CPU; draws the batches, where there are several.

    Returns
    -------
    prototypes : Tensor of shape (n_classes, d)
    multipliers : Tensor of shape (n_classes,)
        As given, unless `adaptive`.
    """
    import torch

    prototypes = anchors.clone().requires_grad_()
    optimizer = torch.optim.SGD([prototypes], lr=lr, momentum=momentum)
    penalty = torch.zeros_like(multipliers)
    for epoch in range(max_epochs):
        decay = (1 + math.cos(math.pi * epoch / max_epochs)) / 2 if epoch else _WARM_UP
        optimizer.param_groups[0]["lr"] = lr * decay
        for rows in _batches(len(features), batch_size, generator):
            optimizer.zero_grad()
            batch = features[rows], targets[rows]
            loss = clap_loss(prototypes, anchors, multipliers, *batch, logit_scale, metric)
            loss.backward()
            optimizer.step()
        if adaptive:
            violation = drift(prototypes.detach(), anchors, metric)
            multipliers, penalty = augmented_lagrangian(multipliers, penalty, violation)
    return prototypes.detach(), multipliers


def _batches(n, batch_size, generator):
    import torch

    if n <= batch_size:
        return [slice(None)]
    return torch.randperm(n, generator=generator).split(batch_size)
