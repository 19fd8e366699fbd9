"""The angle between what the labels and what the teacher ask of the student."""

import math
from contextlib import contextmanager

import torch
from skorch.callbacks import Callback
from skorch.dataset import unpack_data


def gradient_cosine(loss_a, loss_b, parameters):
    r"""Compute the cosine between the gradients of two losses.

    .. math:: \frac{\langle \nabla_\theta L_a, \nabla_\theta L_b \rangle}
              {\lVert \nabla_\theta L_a \rVert \, \lVert \nabla_\theta L_b \rVert}

    where :math:`\theta` are all parameters as one vector. Below zero the
    losses are in conflict: a step along the one raises the other.

    .. versionadded:: 0.1

    Parameters
    ----------
    loss_a, loss_b : scalar tensor
        Losses with a graph, which is kept; ``.grad`` of no tensor changes.
    parameters : iterable of tensor
        What to differentiate by; those without ``requires_grad`` are left out.

    Returns
    -------
    cosine : float in [-1, 1]
        nan where a loss does not depend on the parameters.

    See Also
    --------
    GradientCosine : Measures it while a student is trained.

    References
    ----------
    .. [1] Kang et al., "Simple Semi-supervised Knowledge Distillation from
       Vision-Language Models via Dual-Head Optimization", arXiv:2505.07675,
       figure 3 and appendix B.

    Examples
    --------
    >>> import torch
    >>> from skactivekd.student import gradient_cosine
    >>> w = torch.tensor([3.0, 4.0], requires_grad=True)
    >>> round(gradient_cosine(w.sum(), w[0], [w]), 4)
    0.7071
    """
    parameters = [weight for weight in parameters if weight.requires_grad]
    a, b = (_gradient(loss, parameters) for loss in (loss_a, loss_b))
    norms = math.sqrt(_dot(a, a) * _dot(b, b))
    return max(-1.0, min(1.0, _dot(a, b) / norms)) if norms else math.nan


def _gradient(loss, parameters):
    """Return a tensor for each parameter, zero where the loss does not depend on it."""
    if not parameters or not loss.requires_grad:
        return [torch.zeros_like(weight) for weight in parameters]
    return torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True)


def _dot(a, b):
    return sum((left * right).sum().item() for left, right in zip(a, b, strict=True))


class GradientCosine(Callback):
    """Measure during training whether labels and teacher agree on the weights.

    Every so many steps, before the step, the gradient of the label loss is
    compared with that of the distillation loss, both unweighted, on the batch
    and with the dropout that the step is about to use. The training is left
    as it is without the callback, to the last bit.

    .. versionadded:: 0.1

    Parameters
    ----------
    every : int, default=10
        Steps from one measurement to the next; each costs about two more
        passes through the network.

    Attributes
    ----------
    cosines_ : list of dict
        One for each measurement: "step", counted from 0 over all epochs;
        "backbone", the `gradient_cosine` on the weights of the backbone;
        and, where a single head learns both losses, "head", that on the
        weights of the head, without its bias. Two heads have no weight in
        common. nan where the batch has no label, or no teacher.

    See Also
    --------
    gradient_cosine : The measure.

    Notes
    -----
    For networks on one device: the gradients of parallel replicas are not
    gathered. A criterion of your own needs `distill_weight` as in `DHOLoss`,
    of which the two losses are the values at 0 and 1. "residual" heads, which
    are trained on the teacher alone, are refused.

    References
    ----------
    .. [1] Kang et al., "Simple Semi-supervised Knowledge Distillation from
       Vision-Language Models via Dual-Head Optimization", arXiv:2505.07675,
       figure 3.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd import DHOClassifier, DHONet
    >>> from skactivekd.student import GradientCosine
    >>> X = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    >>> teacher_proba = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.1, 0.9]])
    >>> net = DHONet(max_epochs=21, callbacks=[("cosine", GradientCosine())])
    >>> clf = DHOClassifier(net, heads="dual", random_state=0)
    >>> clf = clf.fit(X, [0, -1, -1, 1], teacher_proba)
    >>> cosines = dict(clf.net_.callbacks_)["cosine"].cosines_
    >>> [row["step"] for row in cosines]
    [0, 10, 20]
    """

    def __init__(self, every=10):
        self.every = every

    def initialize(self):
        """Forget the measurements of an earlier fit."""
        if self.every < 1:
            raise ValueError(f"every must be 1 or more, got {self.every!r}.")
        self.cosines_ = []
        self.step_ = 0
        return self

    def on_train_begin(self, net, **kwargs):
        """Refuse a training in which the labels have no part."""
        if net.heads == "residual":
            raise ValueError(
                "GradientCosine compares what labels and teacher ask of the network, but with "
                "heads='residual' it is trained on the teacher alone. Set heads='dual' or "
                "heads='single' on DHOClassifier."
            )

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        """Measure, if it is time to."""
        if not training:
            return
        if self.step_ % self.every == 0:
            with _nothing_changed(net):
                self.cosines_.append({"step": self.step_, **_measure(net, batch)})
        self.step_ += 1


def _measure(net, batch):
    """Return the cosines of a batch by the part of the student."""
    rows, y = unpack_data(batch)
    student = net.module_
    shared = {"backbone": student.backbone.parameters()}
    if student.heads.ce is student.heads.kd:
        shared["head"] = [student.heads.ce.weight]
    if "teacher_proba" not in rows:
        return dict.fromkeys(shared, math.nan)
    losses = _two_losses(net, net.infer(rows), y, rows)
    return {part: gradient_cosine(*losses, weights) for part, weights in shared.items()}


def _two_losses(net, logits, y, rows):
    """Return the label loss and the distillation loss, each with weight one."""
    criterion = net.criterion_
    weight, losses = criterion.distill_weight, []
    try:
        for end in (0, 1):
            criterion.distill_weight = end
            losses.append(net.get_loss(logits, y, X=rows, training=True))
    finally:
        criterion.distill_weight = weight
    return losses


@contextmanager
def _nothing_changed(net):
    """Run the student in training mode, and take back what that did to it."""
    buffers = {name: buffer.clone() for name, buffer in net.module_.named_buffers()}
    device = next(net.module_.parameters()).device
    # The mode the step sets anyway, so it needs no way back.
    net._set_training(True)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
    with torch.no_grad():
        for name, before in buffers.items():
            net.module_.get_buffer(name).copy_(before)
