"""The net of a fit: the user's settings, and those that the classifier decides."""

import torch
from sklearn.base import clone

from .._devices_and_seeds import draw_seed, resolve_device, seeded
from ..encoders._arrays_as_images import channel_axis
from ._dho_net import DHONet
from ._image_files import Pictures, naming_all
from ._input_scaling import measure_scaling

_ROUNDING = 0.1  # by which bicubic resizing may leave [0, 1]; normalized pixels leave it by far


class NetMaking:
    """The part of `DHOClassifier` that makes nets."""

    def _new_net(self, X, has_teacher=True):
        net = DHONet() if self.net is None else clone(self.net)
        owned = {"distill_weight", "temperature"} & set(net.get_params_for("criterion"))
        if owned:
            raise ValueError(f"Set {sorted(owned)} on DHOClassifier, not on its net.")
        if net.warm_start:
            raise ValueError("Set warm_start on DHOClassifier, not on its net.")
        heads, weight = self.heads, self._loss_weight()
        if heads == "residual":
            # Without a teacher there is nothing to correct: a head for the labels alone.
            heads, weight = ("residual", 1.0) if has_teacher else ("dual", 0.5)
        net.set_params(
            n_classes=len(self.classes_),
            input_shape=_input_shape(net, X),
            heads=heads,
            criterion__distill_weight=weight,
            criterion__temperature=self.temperature,
        )
        if self.device is not None:
            net.set_params(device=str(resolve_device(self.device)))
        return net

    def _scale_inputs(self, net, X, sample_weight):
        if self.heads == "residual" and net.module is None and len(X.shape) == 2:
            net.set_params(input_scaling=measure_scaling(X, sample_weight))

    def _fit_net(self, net, rows, keep=False):
        with naming_all(rows.X), seeded(draw_seed(self._seeds), device_of(net)):
            (net.partial_fit if keep else net.fit)(rows, None)


def device_of(net):
    # A net without a device has an accelerator that has one.
    return torch.device(net.device or getattr(net, "accelerator", net).device or "cpu")


def _input_shape(net, X):
    """Shape of one row as the network sees it: (n_features,) or (C, H, W)."""
    if isinstance(X, Pictures):
        return net._find_input_shape(X)
    shape = _row_shape(X.shape)
    if len(shape) != 3:
        return shape
    if net.normalize == "auto" and X.dtype.kind == "f" and net._pixel_config() is not None:
        pixels = X.min(initial=0) >= -_ROUNDING and X.max(initial=0) <= 1 + _ROUNDING
        net.set_params(normalize=bool(pixels))
    return net._find_input_shape(shape)


def _row_shape(shape):
    """Shape of one row with channels first."""
    if len(shape) > 4:
        raise ValueError(
            f"X must have rows of numbers, (n, n_features), or images, (n, H, W), (n, C, H, W) or "
            f"(n, H, W, C), got shape {tuple(shape)}."
        )
    axis = channel_axis(shape) if len(shape) > 2 else 1
    if axis is None:
        return (1, *shape[1:])
    return (shape[3], *shape[1:3]) if axis == 3 else tuple(shape[1:])
