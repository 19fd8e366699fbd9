"""How a picture comes to the size of the network: as it is, or as a random view of it."""

import functools
import random
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

# A crop holds half of the picture at least, as in arXiv:2506.00910.
_SCALE = (0.5, 1.0)
# Of pictures this small a flip or a crop changes what they show (digits), and takes what is there.
_SMALL = 64
# Photos hardly repeat a color exactly: blown-out skies stay below this share of the pixels, the
# ground of drawings, icons and scans lies above.
_ONE_COLOR = 0.3
_GRAY = 4  # levels by which the channels of a gray picture differ, for the rounding of JPEG
_ALL_GRAY = 0.99  # of the pixels: a colored stamp on a scan makes no photo of it
_SAMPLE = 32  # pictures looked at, to tell photos from drawings
_PIXELS = 250  # of each side of these, at most
_ROUNDING = 1e-3  # by which bicubic resizing and float arithmetic leave [0, 1]


@dataclass(frozen=True)
class PlainView:
    """A picture as it is shown at prediction: resized and cropped as timm does.

    Parameters
    ----------
    size : tuple of int
        Height and width of what comes out.
    interpolation : {"bilinear", "bicubic", ...}
    crop_pct : float
        Share of the shorter side that is left.
    crop_mode : {"center", "squash", "border"}
    mean : tuple of float
        The color of a border.
    """

    size: tuple
    interpolation: str = "bicubic"
    crop_pct: float = 1.0
    crop_mode: str = "center"
    mean: tuple = (0.5, 0.5, 0.5)

    def __call__(self, image):
        """Turn an RGB image of PIL into a uint8 tensor of shape (3, H, W)."""
        return _evaluation(self)(image)


@functools.lru_cache(maxsize=16)
def _evaluation(view):
    # Not imported on top, as timm takes seconds.
    from timm.data import create_transform

    return create_transform(
        input_size=(3, *view.size),
        interpolation=view.interpolation,
        crop_pct=view.crop_pct,
        crop_mode=view.crop_mode,
        mean=view.mean,
        normalize=False,
    )


@dataclass(frozen=True)
class CropAndFlip:
    """A random part of a picture, half of it or more, maybe mirrored: what "auto" does to photos.

    Parameters
    ----------
    size : tuple of int
        Height and width of what comes out.
    interpolation : {"bilinear", "bicubic"}
    """

    size: tuple
    interpolation: str = "bilinear"
    scale: tuple = _SCALE

    def __call__(self, image):
        """Turn an RGB image of PIL into a uint8 tensor of shape (3, H, W)."""
        from torchvision.transforms import InterpolationMode, RandomResizedCrop
        from torchvision.transforms.v2 import functional as F

        top, left, height, width = RandomResizedCrop.get_params(image, self.scale, (3 / 4, 4 / 3))
        part = image_tensor(image.crop((left, top, left + width, top + height)))
        known = ("bilinear", "bicubic")
        interpolation = InterpolationMode(
            self.interpolation if self.interpolation in known else "bicubic"
        )
        part = F.resize(part, list(self.size), interpolation, antialias=True)
        return part.flip(-1) if torch.rand(()) < 0.5 else part


class OwnView:
    """The user's augmentation of a picture.

    Parameters
    ----------
    augment : callable
        From a uint8 tensor of shape (3, H, W), the whole picture, to one of any
        size, or to a float tensor of pixels in [0, 1].
    plain : PlainView, default=None
        What brings the result to the size of the network, if it has another.
        None: nothing does.
    """

    def __init__(self, augment, plain=None):
        self.augment, self.plain = augment, plain

    def __repr__(self):
        return repr(self.augment)

    def __call__(self, image):
        """Turn an RGB image of PIL, or a tensor (C, H, W), into a tensor of shape (C, H, W)."""
        pixels = image if isinstance(image, torch.Tensor) else image_tensor(image)
        pixels = _check_augmented(self.augment, pixels)
        if self.plain is None or pixels.shape[-2:] == self.plain.size:
            return pixels
        from torchvision.transforms.v2 import functional as F

        shorter = max(self.plain.size)
        pixels = F.resize(pixels, [shorter], antialias=True)
        return F.center_crop(pixels, list(self.plain.size))


def image_tensor(image):
    """Return the pixels of an RGB image of PIL as a uint8 tensor of shape (3, H, W).

    Its memory lies as PIL's does, which is what torch resizes fastest.
    """
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def _check_augmented(augment, pixels):
    """Return what the user's augmentation makes of a picture, if that is a picture."""
    name = getattr(augment, "__name__", type(augment).__name__)
    given = pixels
    pixels = augment(given)
    if not isinstance(pixels, torch.Tensor) or pixels.ndim != 3 or len(pixels) != len(given):
        got = tuple(pixels.shape) if isinstance(pixels, torch.Tensor) else type(pixels).__name__
        raise ValueError(
            f"augment={name} must turn a tensor of shape ({len(given)}, H, W) into one of the same "
            f"kind, but returned {got}."
        )
    pixels = pixels.as_subclass(torch.Tensor)
    if pixels.dtype == torch.uint8:
        return pixels
    if not pixels.is_floating_point():
        raise ValueError(
            f"augment={name} must return uint8 or floats, but returned {pixels.dtype}."
        )
    pixels = pixels.float()
    if not (pixels.min() >= -_ROUNDING and pixels.max() <= 1 + _ROUNDING):
        raise ValueError(
            f"augment={name} returned values from {pixels.min():.3g} to {pixels.max():.3g}, but "
            "pixels are in [0, 1]. Leave Normalize out of it, as the network itself normalizes, "
            "and convert by v2.ToDtype(torch.float32, scale=True)."
        )
    return pixels.clamp(0, 1)


def is_augmentation(augment):
    """Tell whether this is a setting of `augment`."""
    return augment is None or callable(augment) or (isinstance(augment, str) and augment == "auto")


def row_seed(*parts):
    """Return a seed for the draws of one row."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


@contextmanager
def drawing():
    """Yield a function by which all that is random inside follows from a seed.

    The generators are put back in the end, which takes longer than many a view of a picture: once
    for a batch.
    """
    numbers, state = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            yield _seed
    finally:
        np.random.set_state(numbers)  # noqa: NPY002
        random.setstate(state)


def _seed(seed):
    torch.random.default_generator.manual_seed(seed)  # not those of the devices
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)


def sample_rows(n):
    """Draw rows by which a set of pictures is judged, the same ones each time."""
    return np.sort(np.random.RandomState(0).permutation(n)[:_SAMPLE])


def are_photos(images):
    """Tell whether two thirds of some RGB images are photos, which may be cropped and flipped.

    Drawings, scans and small pictures are none.
    """
    return 3 * sum(map(_is_photo, images)) >= 2 * len(images) > 0


def _is_photo(image):
    if min(image.size) <= _SMALL:
        return False
    step = tuple(-(-side // _PIXELS) for side in image.size)
    pixels = np.asarray(image)[:: step[1], :: step[0]].reshape(-1, 3).astype(np.int32)
    if (np.ptp(pixels, axis=1) <= _GRAY).mean() > _ALL_GRAY:
        return False
    _, counts = np.unique(pixels @ [1, 256, 65536], return_counts=True)
    return counts.max() < _ONE_COLOR * len(pixels)
