"""The network itself: scaling, backbone and heads, as one module."""

from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ._backbones import channels_side_by_side
from ._heads import ResidualHeads


class Student(nn.Module):
    """Scaling, backbone and heads, as one module: X -> (ce_logits, kd_logits)."""

    def __init__(self, backbone, heads, scaler=None, channels_last=False):
        super().__init__()
        self.backbone = backbone
        self.heads = heads
        self.scaler = scaler
        self.channels_last = channels_last

    def forward(self, X):
        """Return the logits of both heads, each of shape (n, n_classes)."""
        return self.logits_and_features(X)[:2]

    def features(self, X):
        """Return the backbone's input and its features."""
        inputs = X if self.scaler is None else self.scaler(X)
        if inputs.ndim == 4 and not torch.compiler.is_compiling():
            # Whatever the caller's array was: convolutions are up to twice as fast on pixels whose
            # channels lie side by side, but some backbones flatten by `view`, which refuses them.
            inputs = channels_side_by_side(inputs) if self.channels_last else inputs.contiguous()
        return inputs, self.backbone(inputs)

    def logits_and_features(self, X):
        """Return the logits of both heads, and the features below them."""
        inputs, features = self.features(X)
        if isinstance(self.heads, ResidualHeads):
            return *self.heads(features, inputs), features
        return *self.heads(features), features


@contextmanager
def running_statistics(module):
    """Let batch normalization take its running statistics where a channel has one value.

    Of one value there is no variance, and torch raises.
    """

    def prepare(layer, inputs):
        layer.train(inputs[0].numel() > inputs[0].shape[1])

    layers = [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]
    modes = [layer.training for layer in layers]
    hooks = [layer.register_forward_pre_hook(prepare) for layer in layers if layer.training]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for layer, mode in zip(layers, modes, strict=True):
            layer.train(mode)
