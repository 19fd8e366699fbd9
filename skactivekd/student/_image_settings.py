"""How images reach the network: their size, normalization and augmentation."""

import numbers

import numpy as np

from ..utils._check_params import check_choice, is_integer
from ._augmentation import CropAndFlip, OwnView, PlainView, are_photos, is_augmentation, sample_rows
from ._backbones import find_pixel_config
from ._image_files import Pictures, holds_pictures
from ._input_scaling import InputScaler, PixelScaler

_SIZE = 64  # pixels of a side, which the package's network learns on a laptop


class ImageInput:
    """The part of `DHONet` that prepares images."""

    def _find_input_shape(self, X):
        """Return the shape (C, H, W) of images as the backbone is to take them.

        `X` is `Pictures`, or the shape of the images in an array.
        """
        check_pictures(self)
        files = isinstance(X, Pictures)
        if self.image_size not in ("auto", None):
            size = self.image_size
            size = (size, size) if isinstance(size, numbers.Integral) else tuple(size)
            return (3 if files else X[0], *size)
        config = None if self.image_size is None and not files else self._pixel_config()
        if not files:
            return (X[0], *config.size) if config is not None and config.fixed else X
        if config is not None:
            return (3, *config.size)
        if self.module is None:
            sizes = [X.size(row) for row in sample_rows(len(X))]
            shorter = [min(size) for size in sizes if size is not None]
            return (3, *[min(_SIZE, max(shorter, default=_SIZE))] * 2)
        size = getattr(self.module, "image_size", None)
        if size is None:
            raise ValueError(
                "Pictures in files have many sizes, and this backbone does not say which it takes. "
                "Set image_size of DHONet, to 224 say."
            )
        return (3, size, size) if isinstance(size, numbers.Integral) else (3, *size)

    def _pixel_config(self):
        """Return how the backbone wants its images, None if that is not known."""
        return find_pixel_config(self.module, **self.get_params_for("module"))

    def _make_scaler(self):
        """Return what stands before the backbone, None if nothing does."""
        if len(self.input_shape) != 3 and self.image_size not in ("auto", None):
            raise ValueError(
                f"image_size={self.image_size!r} is for images, but X has rows of shape "
                f"{tuple(self.input_shape)}."
            )
        if self.input_scaling is not None:
            return InputScaler(*self.input_scaling)
        if len(self.input_shape) != 3:
            return None
        config = self._pixel_config()
        fixed = (config is not None and config.fixed) or self.image_size not in ("auto", None)
        size = tuple(self.input_shape[1:]) if fixed else None
        if config is not None and self.normalize:
            return PixelScaler(*config.for_channels(self.input_shape[0]), size)
        return None if size is None else PixelScaler(size=size)

    def _show(self, X):
        """Return rows that the net can read: pictures get the size that the backbone takes."""
        if not isinstance(X, Pictures):
            if isinstance(X, np.ndarray) or not holds_pictures(X):
                return X
            X = Pictures(X, self.on_error)
        return X.shown(self._plain_view())

    def _plain_view(self):
        size, config = tuple(self.input_shape[1:]), self._pixel_config()
        if config is None:
            return PlainView(size)
        return PlainView(
            size, config.interpolation, config.crop_pct, config.crop_mode, tuple(config.mean)
        )

    def _choose_augmentation(self, X):
        """Return how training sees images, None if as they are."""
        if isinstance(X, Pictures):
            plain = X.view or self._plain_view()
            if callable(self.augment):
                return OwnView(self.augment, plain)
            if self.augment is None or max(plain.size) <= _SIZE:
                return None
            rows = sample_rows(len(X))
            seen = [image for image in map(X.try_open, rows) if image is not None]
            return CropAndFlip(plain.size, plain.interpolation) if are_photos(seen) else None
        if not callable(self.augment):
            return None
        if len(X.shape) not in (3, 4):
            raise ValueError(
                f"augment={self.augment!r} is for images, but X has rows of shape {X.shape[1:]}."
            )
        return OwnView(self.augment)


def check_pictures(net):
    """Refuse settings of images that mean nothing."""
    size = net.image_size
    sides = size if isinstance(size, tuple | list) else (size, size)
    automatic = size is None or (isinstance(size, str) and size == "auto")
    if not automatic and not (len(sides) == 2 and all(is_integer(s) and s >= 1 for s in sides)):
        raise ValueError(
            f"image_size must be 'auto', None, an int of at least 1 or a pair (height, width) of "
            f"these, got {size!r}."
        )
    if not (isinstance(net.normalize, bool) or str(net.normalize) == "auto"):
        raise ValueError(f"normalize must be 'auto', True or False, got {net.normalize!r}.")
    if net.normalize is True and net._pixel_config() is None:
        raise ValueError(
            "normalize=True needs a backbone of timm's, whose mean and standard deviation are "
            "known. Normalize in the backbone itself, by torch.nn.Sequential say."
        )
    if not is_augmentation(net.augment):
        raise ValueError(
            f"augment must be 'auto', None or a callable, such as a transform of "
            f"torchvision.transforms.v2, got {net.augment!r}."
        )
    check_choice(net.on_error, "on_error", ("raise", "skip"))
