"""The two heads of DHO, and their mixture at inference."""

import torch
from torch import nn
from torch.nn import functional as F


class DualHead(nn.Module):
    """Two linear heads on shared features: one for labels, one for the teacher.

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
    >>> from skactivekd import DualHead
    >>> ce_logits, kd_logits = DualHead(4, 3)(torch.zeros(2, 4))
    >>> ce_logits.shape, kd_logits.shape
    (torch.Size([2, 3]), torch.Size([2, 3]))
    """

    def __init__(self, n_features, n_classes, shared=False, weights=None, kd_scale=None):
        super().__init__()
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


def _check_scale(kd_scale, shared):
    if kd_scale is None:
        return None
    if shared:
        raise ValueError("kd_scale needs two heads: one layer cannot have two forms.")
    if not kd_scale > 0:
        raise ValueError(f"kd_scale must be > 0, got {kd_scale!r}.")
    return kd_scale


def _check_weights(weights, shape):
    weights = torch.as_tensor(weights, dtype=torch.float32)
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

    References
    ----------
    .. [1] Kang et al., arXiv:2505.07675, equation 8.

    Examples
    --------
    >>> import torch
    >>> from skactivekd import mix_heads
    >>> mix_heads(torch.tensor([[0.0, 0.0]]), torch.tensor([[100.0, 0.0]]))
    tensor([[0.7500, 0.2500]])
    """
    ce = torch.softmax(ce_logits, dim=1)
    kd = torch.softmax(kd_logits / beta, dim=1)
    return alpha * ce + (1 - alpha) * kd
