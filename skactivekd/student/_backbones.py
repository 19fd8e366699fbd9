"""Backbones: the part of the student below its heads."""

import copy
import numbers
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from ..encoders._unreadable_rows import explain_download

_WHAT_TO_DO = (
    "Without a network name a file of the weights: DHONet({0!r}, module__pretrained=True, "
    "module__pretrained_cfg_overlay={{'file': '/path/to/model.safetensors'}}); or leave "
    "module__pretrained out, to learn from scratch."
)


class MLP(nn.Sequential):
    """Perceptron on rows of numbers, the default for 2-D X.

    Parameters
    ----------
    n_features : int
        Width of the input.
    hidden : int or tuple of int, default=(256, 256)
        Widths of the hidden layers; the last one is the feature width.
    dropout : float in [0, 1), default=0.0
        Share of hidden units dropped in training.
    """

    def __init__(self, n_features, hidden=(256, 256), dropout=0.0):
        if isinstance(hidden, numbers.Integral):
            hidden = [hidden]
        if not all(isinstance(width, numbers.Integral) and width > 0 for width in hidden):
            raise ValueError(f"hidden must be positive ints, got {hidden!r}.")
        widths = (n_features, *hidden)
        layers = []
        for n_in, n_out in pairwise(widths):
            layers += [nn.Linear(n_in, n_out), nn.ReLU(), nn.Dropout(dropout)]
        super().__init__(*layers)


# Where the first layer sees larger images whole, it takes most of the time: on digits enlarged to
# 64 pixels 3.3 times that of all, for 0.4 points (benchmarks/bench_stem.py, one seed).
_FINE = 32


class SmallCNN(nn.Sequential):
    """Small convolutional network, the default for images.

    Images are halved, with twice the channels, until they are 4 pixels wide. Those above 32 pixels
    are halved by the first convolution itself, which makes a step about three times as fast.

    Parameters
    ----------
    in_channels : int
        Channels of the images.
    image_size : int
        The longer side of the images in pixels.
    width : int, default=16
        Channels of the first layer; they double with each halving, up to 128.
    hidden : int, default=256
        The feature width.
    dropout : float in [0, 1), default=0.0
        Share of features dropped in training.
    batch_norm : bool, default=False
        Whether each convolution is followed by batch normalization.
    shift : float in [0, 0.5], default=0.0
        Training moves the images of each batch by up to this share of their sides, or
        by a pixel if that is more; what comes in repeats the border. 0 moves nothing.
    """

    def __init__(
        self,
        in_channels,
        image_size,
        width=16,
        hidden=256,
        dropout=0.0,
        batch_norm=False,
        shift=0.0,
    ):
        layers, channels = [RandomShift(shift)] if shift else [], in_channels

        def convolve(side=3, stride=1):
            norm = [nn.BatchNorm2d(width)] if batch_norm else []
            settings = {"padding": side // 2, "stride": stride, "bias": not batch_norm}
            return [nn.Conv2d(channels, width, side, **settings), *norm]

        if image_size > _FINE:
            layers += [*convolve(5, 2), nn.ReLU()]
            channels, image_size = width, -(-image_size // 2)
        while image_size > 4:
            # The largest of four is the same before and after the ReLU, which then has a quarter of
            # the numbers to go through.
            layers += [*convolve(), nn.MaxPool2d(2, ceil_mode=True), nn.ReLU()]
            channels, width, image_size = width, min(2 * width, 128), -(-image_size // 2)
        layers += [*convolve(), nn.ReLU(), AveragePool(4)]
        layers += [nn.Flatten(), nn.Linear(16 * width, hidden), nn.ReLU(), nn.Dropout(dropout)]
        super().__init__(*layers)


class AveragePool(nn.AdaptiveAvgPool2d):
    """Average pooling, which costs nothing where there is nothing to average."""

    def forward(self, X):
        side = self.output_size
        return X if X.shape[-2:] == (side, side) else super().forward(X)


class RandomShift(nn.Module):
    """Move the images of a batch by a few pixels, in training only; all alike, which is cheap.

    Parameters
    ----------
    share : float in [0, 0.5]
        Of its height and width.
    """

    def __init__(self, share):
        super().__init__()
        if not 0 <= share <= 0.5:
            raise ValueError(f"shift must be from 0 to 0.5, got {share!r}.")
        self.share = share

    def forward(self, X):
        """Return images of shape (n, C, H, W)."""
        if not self.training:
            return X
        for axis in (2, 3):
            size = X.shape[axis]
            most = max(1, round(self.share * size))
            moved = torch.randint(-most, most + 1, (), device=X.device)
            places = (torch.arange(size, device=X.device) + moved).clamp(0, size - 1)
            X = X.index_select(axis, places)
        return X


def build_backbone(module, input_shape, **kwargs):
    """Make a fresh backbone of what `DHONet` calls `module`, for rows of a shape.

    A module is copied, so that each fit starts from the state it was given in.
    """
    if isinstance(module, nn.Module):
        if kwargs:
            raise TypeError(
                f"The backbone is a module instance, which takes no arguments, but got "
                f"{sorted(kwargs)}. Pass its class to set them."
            )
        # A default dtype of float64 may have made it; rows are float32.
        floats = {weight.dtype for weight in module.parameters()}
        backbone = copy.deepcopy(module)
        return backbone.float() if torch.float64 in floats else backbone
    if isinstance(module, str):
        import timm

        if ":" not in module and not timm.is_model(module):
            raise ValueError(
                f"The backbone {module!r} is no model of timm; timm.list_models() names them."
            )
        if len(input_shape) == 3 and _takes_size(module, kwargs):
            # A Vision Transformer is built for one size.
            kwargs = {"img_size": input_shape[1:], **kwargs}
        try:
            return timm.create_model(module, num_classes=0, in_chans=input_shape[0], **kwargs)
        except Exception as error:
            if kwargs.get("pretrained") and _is_of_download(error):
                what = f"The backbone {module!r} with its trained weights"
                raise explain_download(what, error, _WHAT_TO_DO.format(module)) from error
            raise
    if module is not None:
        return module(**kwargs)
    if len(input_shape) == 1:
        return MLP(*input_shape, **kwargs)
    return SmallCNN(input_shape[0], max(input_shape[1:]), **kwargs)


def _is_of_download(error):
    """Tell what a file, the network or a hub says from wrong arguments."""
    library = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError) or library in ("huggingface_hub", "httpx", "requests")


@dataclass(frozen=True)
class PixelConfig:
    """How a backbone wants its images.

    Attributes
    ----------
    size : pair of int
        Height and width at which it was trained.
    fixed : bool
        Whether it takes no other.
    mean, std : tuple of float
        Of the channels, for pixels in [0, 1].
    interpolation, crop_pct, crop_mode
        As for `PlainView`.
    """

    size: tuple
    fixed: bool
    mean: tuple
    std: tuple
    interpolation: str
    crop_pct: float
    crop_mode: str

    def for_channels(self, n_channels):
        """Return mean and std; images that are not RGB have the average of the three."""
        if n_channels == len(self.mean):
            return self.mean, self.std
        return tuple([sum(v) / len(v)] * n_channels for v in (self.mean, self.std))


def find_pixel_config(module, **kwargs):
    """Look up how a backbone of timm wants its images; None of one that is not timm's."""
    known = _timm_config(module, kwargs)
    if known is None:
        return None
    from timm.data import resolve_data_config

    found = resolve_data_config({}, pretrained_cfg=known)
    size = kwargs.get("img_size", _built_for(module)) or found["input_size"][1:]
    return PixelConfig(
        size=(size, size) if isinstance(size, numbers.Integral) else tuple(size),
        fixed=_is_fixed(known, kwargs),
        mean=tuple(found["mean"]),
        std=tuple(found["std"]),
        interpolation=found["interpolation"],
        crop_pct=found["crop_pct"],
        crop_mode=found["crop_mode"],
    )


def _timm_config(module, kwargs):
    """Return timm's settings of a model as a dict, None of what is not timm's."""
    if isinstance(module, nn.Module):
        return getattr(module, "pretrained_cfg", None)
    if not isinstance(module, str):
        return None
    import timm

    if ":" in module or "pretrained_cfg" in kwargs:
        # Settings stand in files, or are replaced by the arguments.
        without = {**kwargs, "pretrained": False}
        return timm.create_model(module, num_classes=0, **without).pretrained_cfg
    known = timm.get_pretrained_cfg(module) if timm.is_model(module) else None
    return known and {**known.to_dict(), **(kwargs.get("pretrained_cfg_overlay") or {})}


def _is_fixed(known, kwargs):
    free = kwargs.get("dynamic_img_size") or kwargs.get("strict_img_size") is False
    return bool(known.get("fixed_input_size")) and not free


def _takes_size(module, kwargs):
    known = _timm_config(module, kwargs)
    return known is not None and _is_fixed(known, kwargs)


def _built_for(module):
    """Return the size that a Vision Transformer was built for, None of other modules."""
    return getattr(getattr(module, "patch_embed", None), "img_size", None)


def count_features(backbone, input_shape):
    """Return the width of a backbone's output, found by running one empty row."""
    was_training = backbone.training
    backbone.eval()
    rows = f"(n, {', '.join(map(str, input_shape))})"
    try:
        with torch.no_grad():
            features = backbone(torch.zeros(1, *input_shape))
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise ValueError(
            f"The backbone {type(backbone).__name__} cannot take one row of float32 input of shape "
            f"{rows}: {error}"
        ) from error
    finally:
        backbone.train(was_training)
    if not isinstance(features, torch.Tensor) or features.ndim != 2:
        got = tuple(features.shape) if isinstance(features, torch.Tensor) else type(features)
        raise ValueError(
            f"The backbone must return features of shape (n, d) for input of shape {rows}, but "
            f"gave {got} for one row."
        )
    if features.dtype != torch.float32:
        raise ValueError(
            f"The backbone must return float32 features, but gave {features.dtype}. Convert it "
            "with .float()."
        )
    return features.shape[1]


def takes_channels_last(backbone, input_shape):
    """Tell whether a backbone takes images whose channels lie side by side in memory.

    One that flattens by ``view`` does not. It has to take them otherwise.
    """
    if len(input_shape) != 3:
        return False
    was_training = backbone.training
    backbone.eval()
    try:
        with torch.no_grad():
            backbone(channels_side_by_side(torch.zeros(2, *input_shape)))
    except RuntimeError:
        return False
    finally:
        backbone.train(was_training)
    return True


_TINY = 8  # pixels of the longer side: a step of such images, gray, takes as long either way


def channels_side_by_side(images):
    """Return images of shape (n, C, H, W) as they lie in memory where convolutions are fastest.

    One channel lies beside itself in any order, and torch would take it for the slower one: a step
    of 12 to 96 pixels took 1.3 to 1.7 times as long, a prediction twice (benchmarks/bench_gray.py).
    """
    if images.shape[1] == 1 and max(images.shape[2:]) > _TINY:
        return images.contiguous()[:, 0, :, :, None].permute(0, 3, 1, 2)
    return images.contiguous(memory_format=torch.channels_last)
