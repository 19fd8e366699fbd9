"""The loss of DHO."""

import torch
from torch import nn
from torch.nn import functional as F

from .._devices_and_seeds import check_targets, check_tensor
from ..utils._check_params import check_number


def dho_loss(
    ce_logits,
    kd_logits,
    y,
    teacher_proba=None,
    *,
    distill_weight=0.5,
    temperature=2.0,
    sample_weight=None,
    teacher_weight=None,
):
    r"""Compute the loss of dual-head distillation on one mini-batch.

    With :math:`\lambda` the `distill_weight`, :math:`T` the `temperature`,
    :math:`q = \mathrm{softmax}(\log p / T)` the softened teacher and
    :math:`s = \mathrm{softmax}(h_{KD} / T)`,

    .. math:: (1 - \lambda) \, \mathrm{CE}(h_{CE}, y)
        + \lambda T^2 \left[ \overline{\mathrm{KL}(q \| s)}_{labeled}
        + \overline{\mathrm{KL}(q \| s)}_{unlabeled} \right]

    where each bar is a mean over its own rows and the two means are added,
    so that few labeled rows weigh as much as many unlabeled ones. A term
    without rows is zero. With weights :math:`w` a mean of :math:`l` is
    :math:`\sum_i w_i l_i / \sum_i w_i`, and zero where the weights sum to zero.

    .. versionadded:: 0.1

    Parameters
    ----------
    ce_logits, kd_logits : float tensor of shape (n, n_classes)
        Outputs of the two heads.
    y : integer tensor of shape (n,)
        Class of each row in [0, n_classes); negative means unlabeled.
    teacher_proba : float tensor of shape (n, n_classes), default=None
        The teacher's probabilities; rows sum to one. No gradient flows into
        them. None leaves the plain cross-entropy, with weight one.
    distill_weight : float in [0, 1], default=0.5
        Weight of the distillation terms.
    temperature : float > 0, default=2.0
        Softens teacher and student alike; the factor :math:`T^2` keeps the
        gradients' scale.
    sample_weight : float tensor of shape (n,), default=None
        Weights, zero or more, of the rows in the mean of the cross-entropy;
        those of unlabeled rows do not count. None weighs all rows alike.
    teacher_weight : float tensor of shape (n,), default=None
        Weights, zero or more, of the rows in each of the two means of the
        divergence. None weighs all rows alike.

    Returns
    -------
    loss : scalar tensor

    See Also
    --------
    DHOLoss : The same as a module, the criterion of `DHONet`.
    mix_heads : What the heads predict together.

    Notes
    -----
    Passing the same tensor for `ce_logits` and `kd_logits` gives single-head
    distillation.

    References
    ----------
    .. [1] Kang et al., "Simple Semi-supervised Knowledge Distillation from
       Vision-Language Models via Dual-Head Optimization", arXiv:2505.07675,
       equations 2 and 6.

    Examples
    --------
    >>> import torch
    >>> from skactivekd.student import dho_loss
    >>> logits = torch.zeros(2, 2)
    >>> teacher = torch.tensor([[0.5, 0.5], [0.5, 0.5]])
    >>> dho_loss(logits, logits, torch.tensor([0, -1]), teacher)
    tensor(0.3466)

    The first of two labeled rows counts three times as much as the second:

    >>> logits = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    >>> weight = torch.tensor([3.0, 1.0])
    >>> dho_loss(logits, logits, torch.tensor([0, 0]), sample_weight=weight)
    tensor(0.5516)
    """
    weights = {"sample_weight": sample_weight, "teacher_weight": teacher_weight}
    terms = loss_terms(ce_logits, kd_logits, y, teacher_proba, temperature, **weights)
    return weigh_terms(terms, distill_weight)


def loss_terms(
    ce_logits, kd_logits, y, teacher_proba, temperature, sample_weight=None, teacher_weight=None
):
    """Return the cross-entropy and the divergence, not weighted; None without a teacher."""
    check_tensor(ce_logits, "ce_logits", (None, None))
    shape = tuple(ce_logits.shape)
    check_tensor(kd_logits, "kd_logits", shape)
    check_targets(y, "y", *shape)
    check_number(temperature, "temperature", above=0)
    for name, weight in (("sample_weight", sample_weight), ("teacher_weight", teacher_weight)):
        if weight is not None:
            check_tensor(weight, name, shape[:1])
    if teacher_proba is not None:
        check_tensor(teacher_proba, "teacher_proba", shape)
    y = y.long()
    labeled = y >= 0
    if sample_weight is None:
        cross_entropy = F.cross_entropy(ce_logits[labeled], y[labeled], reduction="sum")
        cross_entropy = cross_entropy / labeled.sum().clamp(min=1)
    else:
        cross_entropy = F.cross_entropy(ce_logits[labeled], y[labeled], reduction="none")
        cross_entropy = _mean(cross_entropy, sample_weight[labeled])
    if teacher_proba is None:
        return cross_entropy, None
    softened = torch.softmax(teacher_proba.detach().log() / temperature, dim=1)
    student = torch.log_softmax(kd_logits / temperature, dim=1)
    divergence = temperature**2 * F.kl_div(student, softened, reduction="none").sum(dim=1)
    distillation = sum(
        _mean(divergence[half], None if teacher_weight is None else teacher_weight[half])
        for half in (labeled, ~labeled)
    )
    return cross_entropy, distillation


def weigh_terms(terms, distill_weight):
    """Add the terms up; what there is of them without a teacher."""
    check_number(distill_weight, "distill_weight", 0, 1)
    cross_entropy, distillation = terms
    if distillation is None:
        return cross_entropy
    return (1 - distill_weight) * cross_entropy + distill_weight * distillation


def _mean(values, weights=None):
    if weights is None:
        return values.sum() / max(len(values), 1)
    total = weights.sum()
    return (weights * values).sum() / torch.where(total > 0, total, 1)


class DHOLoss(nn.Module):
    """`dho_loss` as a module, the form in which skorch takes a criterion.

    .. versionadded:: 0.1

    Parameters
    ----------
    distill_weight : float in [0, 1], default=0.5
        Weight of the distillation terms.
    temperature : float > 0, default=2.0
        Softens teacher and student alike.

    See Also
    --------
    dho_loss : The same as a function.

    Examples
    --------
    >>> import torch
    >>> from skactivekd.student import DHOLoss
    >>> logits = torch.zeros(1, 2), torch.zeros(1, 2)
    >>> DHOLoss(distill_weight=0)(logits, torch.tensor([1]))
    tensor(0.6931)
    """

    def __init__(self, distill_weight=0.5, temperature=2.0):
        super().__init__()
        self.distill_weight = distill_weight
        self.temperature = temperature

    def forward(self, logits, y, teacher_proba=None, sample_weight=None, teacher_weight=None):
        """Return the loss of ``logits = (ce_logits, kd_logits)``."""
        terms = self.terms(logits, y, teacher_proba, sample_weight, teacher_weight)
        return weigh_terms(terms, self.distill_weight)

    def terms(self, logits, y, teacher_proba=None, sample_weight=None, teacher_weight=None):
        """Return the cross-entropy and the divergence, not weighted; None without a teacher."""
        pair = _check_pair(logits)
        return loss_terms(*pair, y, teacher_proba, self.temperature, sample_weight, teacher_weight)


def _check_pair(logits):
    if not isinstance(logits, tuple | list) or len(logits) != 2:
        raise TypeError(
            f"logits must be a pair (ce_logits, kd_logits), got {type(logits).__name__}."
        )
    return logits
