"""The heads of the student: two side by side, or one that corrects the other."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .._devices_and_seeds import check_tensor
from ..utils._check_params import check_flag, check_integer, check_number, naming

_WIDEST = 2**31  # weights beyond it are no layer


class DualHead(nn.Module):
    """Two linear heads on shared features: one for labels, one for the teacher.

    .. versionadded:: 0.1

    Parameters
    ----------
    n_features : int
        Width of the features.
    n_classes : int
        Number of logits of each head.
    shared : bool, default=False
        True makes both heads the same layer: single-head distillation, the
        baseline in which the two losses meet in one set of weights.
    weights : array-like of shape (n_classes, n_features), default=None
        Initial weights of both heads, with a bias of zero: embeddings of the
        names of the classes, say. None draws them at random.
    kd_scale : float > 0, default=None
        Makes the teacher's head compare directions, as CLIP does:
        ``kd_scale * (W z / norm(z) + b)`` of the features z. None is
        ``W z + b``, the form of the other head.

    Raises
    ------
    ValueError
        If `weights` has another shape, or `kd_scale` comes with ``shared=True``.

    See Also
    --------
    clip_student : Both settings, from a CLIP model.

    References
    ----------
    .. [1] S. Kang, D. B. Lee, H. Jang, S. J. Hwang, "Simple Semi-supervised
       Knowledge Distillation from Vision-Language Models via Dual-Head
       Optimization", arXiv:2505.07675, section 2.2 and equation 10.

    Examples
    --------
    >>> import torch
    >>> from skactivekd.student import DualHead
    >>> ce_logits, kd_logits = DualHead(4, 3)(torch.zeros(2, 4))
    >>> ce_logits.shape, kd_logits.shape
    (torch.Size([2, 3]), torch.Size([2, 3]))
    """

    def __init__(self, n_features, n_classes, shared=False, weights=None, kd_scale=None):
        super().__init__()
        check_integer(n_features, "n_features", 1, _WIDEST)
        check_integer(n_classes, "n_classes", 1, _WIDEST)
        check_flag(shared, "shared")
        self.ce = nn.Linear(n_features, n_classes)
        self.kd = self.ce if shared else nn.Linear(n_features, n_classes)
        self.kd_scale = _check_scale(kd_scale, shared)
        if weights is not None:
            weights = _check_weights(weights, (n_classes, n_features))
            for head in (self.ce, self.kd):
                head.weight.data.copy_(weights)
                head.bias.data.zero_()

    def forward(self, features):
        """Return ``(ce_logits, kd_logits)``, each of shape (n, n_classes)."""
        if self.kd_scale is None:
            return self.ce(features), self.kd(features)
        return self.ce(features), self.kd_scale * self.kd(F.normalize(features, dim=1))


class ResidualHeads(nn.Module):
    r"""A head for the teacher, and one for the labels that corrects it.

    .. math:: h_{KD} &= (1 - m) (W_{KD} z + b_{KD}) + m (A x + a) \\
              h_{CE} &= s \, h_{KD} + W z + V x + b

    of features z and, where the backbone is the package's perceptron, of its
    inputs x. Training sees :math:`W_{KD}, b_{KD}` alone. A linear imitation
    of the teacher's choices (A, a) and the correction (s, W, V, b) are set
    afterwards; until then m and the correction are zero, and s is one.

    Parameters
    ----------
    n_features : int
        Width of z.
    n_classes : int
        Number of logits.
    n_inputs : int, default=0
        Width of x; 0 leaves it out.
    weights, kd_scale
        As in `DualHead`; `weights` are those of the teacher's head.
    """

    def __init__(self, n_features, n_classes, n_inputs=0, weights=None, kd_scale=None):
        super().__init__()
        self.kd = nn.Linear(n_features, n_classes)
        self.kd_scale = _check_scale(kd_scale, shared=False)
        if weights is not None:
            self.kd.weight.data.copy_(_check_weights(weights, (n_classes, n_features)))
            self.kd.bias.data.zero_()
        self.n_inputs = n_inputs
        # Buffers, as no step of the optimizer may move them.
        self.register_buffer("linear_share", torch.zeros(()))
        self.register_buffer("linear_weight", torch.zeros(n_classes, n_inputs))
        self.register_buffer("linear_bias", torch.zeros(n_classes))
        self.register_buffer("ce_scale", torch.ones(()))
        self.register_buffer("ce_weight", torch.zeros(n_classes, n_features))
        self.register_buffer("ce_skip", torch.zeros(n_classes, n_inputs))
        self.register_buffer("ce_bias", torch.zeros(n_classes))

    def forward(self, features, inputs):
        """Return ``(ce_logits, kd_logits)``, each of shape (n, n_classes)."""
        if self.kd_scale is None:
            kd = self.kd(features)
        else:
            kd = self.kd_scale * self.kd(F.normalize(features, dim=1))
        if self.training:
            return kd, kd
        ce = F.linear(features, self.ce_weight, self.ce_bias)
        if self.n_inputs:
            inputs = inputs.flatten(1)
            linear = F.linear(inputs, self.linear_weight, self.linear_bias)
            kd = torch.lerp(kd, linear, self.linear_share)
            ce = ce + F.linear(inputs, self.ce_skip)
        return self.ce_scale * kd + ce, kd

    def set_linear(self, weight, bias, share=0.5):
        """Let a linear model of the inputs have its share in the teacher's head."""
        self.linear_weight.copy_(weight)
        self.linear_bias.copy_(bias)
        self.linear_share.fill_(share)

    def set_correction(self, scale, weight, skip, bias):
        """Set s, W, V and b."""
        self.ce_scale.fill_(scale)
        self.ce_weight.copy_(weight)
        self.ce_skip.copy_(skip)
        self.ce_bias.copy_(bias)

    def reset_correction(self):
        """Take the correction off, for another to follow."""
        for buffer in (self.ce_weight, self.ce_skip, self.ce_bias):
            buffer.zero_()
        self.ce_scale.fill_(1)


def _check_scale(kd_scale, shared):
    if kd_scale is None:
        return None
    if shared:
        raise ValueError("kd_scale needs two heads: one layer cannot have two forms.")
    check_number(kd_scale, "kd_scale", above=0)
    return kd_scale


def _check_weights(weights, shape):
    with naming("weights"):
        if torch.is_tensor(weights):
            check_tensor(weights, "weights", (None, None), integer=not weights.is_floating_point())
        dense = weights if torch.is_tensor(weights) else np.asarray(weights, dtype=np.float32)
        weights = torch.as_tensor(dense, dtype=torch.float32)
    if not torch.isfinite(weights).all():
        raise ValueError("The weights of the heads must be finite.")
    if weights.shape != shape:
        raise ValueError(
            f"The initial weights of the heads have shape {tuple(weights.shape)}, but the student "
            f"has (n_classes, n_features) = {shape}. They need a row for each class, in the order "
            f"of the sorted classes; name every class in DHOClassifier(classes=...)."
        )
    return weights


def mix_heads(ce_logits, kd_logits, alpha=0.5, beta=1.0):
    r"""Mix the predictions of the two heads.

    .. math:: p = \alpha \, \mathrm{softmax}(h_{CE})
              + (1 - \alpha) \, \mathrm{softmax}(h_{KD} / \beta)

    .. versionadded:: 0.1

    Parameters
    ----------
    ce_logits, kd_logits : tensor of shape (n, n_classes)
        Outputs of the two heads.
    alpha : float in [0, 1], default=0.5
        Weight of the head trained on labels.
    beta : float > 0, default=1.0
        Temperature of the head trained on the teacher.

    Returns
    -------
    proba : tensor of shape (n, n_classes)
        Rows sum to one.

    See Also
    --------
    DualHead : The two heads.
    dho_loss : What they are trained on.

    References
    ----------
    .. [1] Kang et al., arXiv:2505.07675, equation 8.

    Examples
    --------
    >>> import torch
    >>> from skactivekd.student import mix_heads
    >>> mix_heads(torch.tensor([[0.0, 0.0]]), torch.tensor([[100.0, 0.0]]))
    tensor([[0.7500, 0.2500]])
    """
    check_tensor(ce_logits, "ce_logits", (None, None))
    check_tensor(kd_logits, "kd_logits", tuple(ce_logits.shape))
    check_number(alpha, "alpha", 0, 1)
    check_number(beta, "beta", above=0)
    ce = torch.softmax(ce_logits, dim=1)
    kd = torch.softmax(kd_logits / beta, dim=1)
    return alpha * ce + (1 - alpha) * kd
