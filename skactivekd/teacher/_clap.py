"""CLAP: class prototypes trained on labels, each held near its name."""

import math
from functools import partial

import numpy as np

from ..utils._check_params import check_choice, check_flag, check_number
from ._clap_penalty import WEIGHTINGS, augmented_lagrangian, class_multipliers
from ._embedding_teacher import FewShotTeacher, check_at_least
from ._few_shot_trust import count_folds, keep_unlabeled
from ._tip_adapter_math import stratified_folds

METRICS = ("l2", "cosine")
_WARM_UP = 1e-4  # share of the learning rate in the first epoch
_STEP = 2.5  # learning rate of the logits' weights, s w_c


class CLAPTeacher(FewShotTeacher):
    r"""Zero-shot teacher whose class embeddings learn from labeled rows.

    The embedding :math:`t_c` of each class's name is where its prototype
    :math:`w_c` starts and what it is held to, the more firmly the better the
    name does on the labels of the class:

    .. math:: L = \mathrm{CE}\bigl(s \cos(f, w)\bigr)
       + \frac{\lambda}{C} \sum_c a_c \, \lVert w_c - t_c \rVert^2

    It trains on cached embeddings, in milliseconds a step, and has nothing
    to tune. Without labels it is `ZeroShotTeacher`, and with few it follows
    them no further than held-out labels justify; see Notes.

    .. versionadded:: 0.1

    Parameters
    ----------
    encoder, classes, templates, logit_scale
        As in `ZeroShotTeacher`.
    weighting : {"standard", "balanced", "corrected", "constant"}, default="standard"
        The multipliers a. "standard": the mean zero-shot probability of the
        class on its labeled rows, 1 for a class without; "balanced": 1;
        "corrected": standard, scaled to a mean of 1; "constant": the mean of
        standard, for all classes.
    metric : {"l2", "cosine"}, default="l2"
        Distance to the name: squared, or one minus the cosine.
    adaptive : bool, default=False
        After each epoch raise the multipliers by an augmented Lagrangian.
    guard : bool, default=True
        Fall back on zero-shot where the labels say too little. False is the
        method as published.
    constraint_weight : float, default=1.0
        :math:`\lambda`; 0 trains freely.
    lr : float or None, default=None
        Learning rate. None is ``2.5 / logit_scale**2``, since what moves the
        logits is :math:`s w_c`.
    momentum : float, default=0.9
        Of the SGD.
    max_epochs : int, default=300
        Passes over the labeled rows; the first is a warm-up, then the
        learning rate falls to 0 as a cosine.
    batch_size : int, default=256
        Labeled rows in a step.
    missing_label : int, float nan, str or None, default=-1
        Marks the unlabeled rows of y.
    random_state : None, int or numpy.random.RandomState, default=None
        Draws the folds of labels held out for the guard, and the batches of
        more than `batch_size` labels. Global generators are neither read nor
        moved.
    device : {"auto"}, str or torch.device, default="auto"
        Where to train. "auto" takes CUDA, then MPS, then the CPU.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted; columns of `predict_proba` follow them.
    class_embeddings_ : ndarray of float32 of shape (n_classes, d)
        Of the names; rows of norm 1.
    prototypes_ : ndarray of float32 of shape (n_classes, d)
        Of the trained classes; rows of norm 1.
    multipliers_ : ndarray of float32 of shape (n_classes,)
        :math:`\lambda a` at the end of training.
    n_labeled_ : int
        Rows it learned from.
    seen_ : ndarray of bool of shape (n_classes,)
        The classes that have a label.
    trust_ : float
        Share of the trained prototypes' logits in the mean with zero-shot's.
    logit_scale_ : float
        The scale in use.
    encoder_ : object
        The encoder in use.

    See Also
    --------
    TipAdapterTeacher : Compares with the labeled rows themselves.
    clap_loss : The loss.

    Notes
    -----
    Here embeddings of names have norm 1, while [1]_ leaves theirs unscaled;
    learning rates published for it do not carry over.

    The published method is made for as many labels of each class. From others
    it may learn to give everything to the classes it has seen. With `guard`
    those without a label keep the probability that zero-shot gives them, and
    the logits are a mean of zero-shot's and the trained ones, of the share
    `trust_`: it weighs the likelihood of labels that a fit in folds was not
    shown. It is a half for one label of each class, which leaves none to be
    held out, near 0 for few others, and goes to 1 where labels teach.

    References
    ----------
    .. [1] J. Silva-Rodriguez, S. Hajimiri, I. Ben Ayed, J. Dolz. "A Closer Look
       at the Few-Shot Adaptation of Large Vision-Language Models". CVPR 2024.
       arXiv:2312.12730.

    Examples
    --------
    >>> from skactivekd import CLAPTeacher, load_glyph_digits
    >>> X, y = load_glyph_digits(return_X_y=True)
    >>> hidden = y.copy()
    >>> hidden[40:] = -1
    >>> zero_shot, taught = CLAPTeacher().fit(), CLAPTeacher().fit(X, hidden)
    >>> bool(taught.score(X[40:400], y[40:400]) > zero_shot.score(X[40:400], y[40:400]))
    True
    """

    def __init__(
        self,
        encoder=None,
        classes=None,
        templates=None,
        logit_scale=None,
        *,
        weighting="standard",
        metric="l2",
        adaptive=False,
        guard=True,
        constraint_weight=1.0,
        lr=None,
        momentum=0.9,
        max_epochs=300,
        batch_size=256,
        missing_label=-1,
        random_state=None,
        device="auto",
    ):
        self.encoder = encoder
        self.classes = classes
        self.templates = templates
        self.logit_scale = logit_scale
        self.weighting = weighting
        self.metric = metric
        self.adaptive = adaptive
        self.guard = guard
        self.constraint_weight = constraint_weight
        self.lr = lr
        self.momentum = momentum
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.missing_label = missing_label
        self.random_state = random_state
        self.device = device

    def _fit_labeled(self, embeddings, codes):
        from .._devices_and_seeds import draw_seed

        lr, seed = self._check_params(), draw_seed(self.random_state)
        train = partial(self._train, lr=lr, seed=seed)
        self.prototypes_, self.multipliers_ = train(embeddings, codes)
        self.n_labeled_ = len(codes)
        return partial(self._hold_out, train, embeddings, codes, seed)

    def _train(self, embeddings, codes, lr, seed):
        """Return the prototypes and multipliers that some labeled rows lead to."""
        import torch

        from .._devices_and_seeds import resolve_device

        device = resolve_device(self.device)
        anchors, features, targets = (
            torch.tensor(rows, device=device)
            for rows in (self.class_embeddings_, embeddings, codes)
        )
        zero_shot = torch.softmax(self.logit_scale_ * features @ anchors.T, dim=1)
        multipliers = class_multipliers(zero_shot, targets, self.weighting)
        prototypes = anchors
        if len(codes):
            prototypes, multipliers = train_prototypes(
                anchors,
                self.constraint_weight * multipliers,
                features,
                targets,
                logit_scale=self.logit_scale_,
                metric=self.metric,
                adaptive=self.adaptive,
                lr=lr,
                momentum=self.momentum,
                max_epochs=self.max_epochs,
                batch_size=int(self.batch_size),
                generator=torch.Generator().manual_seed(seed),
            )
            if not torch.isfinite(prototypes).all():
                raise ValueError(
                    f"The training diverged: lr={lr:g}, momentum={self.momentum:g} or "
                    f"constraint_weight={self.constraint_weight:g} is too large."
                )
            prototypes = torch.nn.functional.normalize(prototypes, dim=1)
        return prototypes.cpu().numpy(), multipliers.cpu().numpy()

    def _hold_out(self, train, embeddings, codes, seed):
        """Judge rows that are not alone in their class by prototypes of the other folds."""
        n_parts, n_folds = count_folds(codes, len(self.classes_))
        folds = stratified_folds(codes, n_parts, seed)
        shared = np.bincount(codes)[codes] > 1
        zero_shot = self._zero_shot(embeddings)
        taught, judged = zero_shot.copy(), np.zeros(len(codes), bool)
        for fold in range(n_folds):
            rest, held = folds != fold, (folds == fold) & shared
            if held.any():
                prototypes, _ = train(embeddings[rest], codes[rest])
                logits = np.float32(self.logit_scale_) * embeddings[held] @ prototypes.T
                seen = np.bincount(codes[rest], minlength=logits.shape[1]) > 0
                taught[held] = keep_unlabeled(zero_shot[held], logits, seen)
                judged |= held
        return zero_shot[judged], taught[judged], codes[judged]

    def _check_params(self):
        check_choice(self.metric, "metric", METRICS)
        check_choice(self.weighting, "weighting", WEIGHTINGS)
        check_flag(self.adaptive, "adaptive")
        check_at_least(self, constraint_weight=0, momentum=0, max_epochs=1, batch_size=1)
        lr = _STEP / self.logit_scale_**2 if self.lr is None else self.lr
        check_number(lr, "lr", above=0)
        return lr

    def _taught(self, embeddings):
        return np.float32(self.logit_scale_) * embeddings @ self.prototypes_.T


def clap_loss(prototypes, anchors, multipliers, features, targets, logit_scale=100.0, metric="l2"):
    r"""Cross-entropy of a cosine classifier held near its zero-shot start.

    .. math:: L = \frac{1}{n} \sum_i -\log p(y_i \mid f_i)
       + \frac{1}{C} \sum_c a_c \, d(w_c, t_c), \qquad
       p(c \mid f) \propto \exp(s \cos(f, w_c))

    .. versionadded:: 0.1

    Parameters
    ----------
    prototypes : Tensor of shape (n_classes, d)
        w, of any norm.
    anchors : Tensor of shape (n_classes, d)
        t, the zero-shot embeddings of the classes.
    multipliers : Tensor of shape (n_classes,)
        a, from `class_multipliers`.
    features : Tensor of shape (n, d)
        f, embeddings of labeled rows.
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

    See Also
    --------
    CLAPTeacher : Minimizes it.

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
    from .._devices_and_seeds import check_targets, check_tensor

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
    return _loss(prototypes, anchors, multipliers, _unit(features), targets, logit_scale, metric)


def _loss(prototypes, anchors, multipliers, unit_features, targets, logit_scale, metric):
    """Compute `clap_loss` of what was checked; a step of few rows is quicker than the checks."""
    log_proba = (logit_scale * unit_features @ _unit(prototypes).T).log_softmax(dim=1)
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
    """Minimize `clap_loss` from the anchors on, by SGD with a cosine schedule."""
    import torch

    prototypes = anchors.clone().requires_grad_()
    optimizer = torch.optim.SGD([prototypes], lr=lr, momentum=momentum)
    penalty, features = torch.zeros_like(multipliers), _unit(features)
    for epoch in range(max_epochs):
        decay = (1 + math.cos(math.pi * epoch / max_epochs)) / 2 if epoch else _WARM_UP
        optimizer.param_groups[0]["lr"] = lr * decay
        for rows in _batches(len(features), batch_size, generator):
            optimizer.zero_grad()
            batch = features[rows], targets[rows]
            _loss(prototypes, anchors, multipliers, *batch, logit_scale, metric).backward()
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
