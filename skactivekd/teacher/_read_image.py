"""One image, from whatever it is in to RGB."""

import os

import numpy as np

LOW, HIGH = -1e-6, 1 + 1e-6  # interpolation overshoots by rounding errors
_DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_MAX_RATIO = 200  # resizing the shorter side to 224 pixels makes 10 million of them
_SHOWN = 300  # characters of a path in a message


def read_image(item):
    """Read one image.

    Parameters
    ----------
    item : ndarray, PIL image or path
        What `check_images` let pass. Floats become ``rint(255 * x)``; of an
        animation the first frame is taken.

    Returns
    -------
    image : PIL.Image.Image
        In RGB.

    Raises
    ------
    Exception
        PIL lets almost anything escape from a broken file: see `reason`.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.teacher._read_image import read_image
    >>> read_image(np.full((2, 3), 0.5)).getpixel((0, 0))
    (128, 128, 128)
    """
    from PIL import Image

    if isinstance(item, np.ndarray):
        return _array_to_rgb(item)
    if isinstance(item, Image.Image):
        return _to_rgb(item)
    with Image.open(item) as image:
        return _to_rgb(image)


def _array_to_rgb(pixels):
    from PIL import Image

    if pixels.dtype.kind == "f":
        pixels = np.rint(pixels * np.float32(255)).clip(0, 255).astype(np.uint8)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    return _to_rgb(Image.fromarray(np.ascontiguousarray(pixels)))


def _to_rgb(image):
    if max(image.size) > _MAX_RATIO * min(image.size):
        raise ValueError(
            f"{image.size[0]} x {image.size[1]} pixels: one side is more than {_MAX_RATIO} times "
            "the other; cut it into pieces"
        )
    if image.mode in _DEEP_MODES:  # converting would clip at 255 without a word
        raise ValueError(f"mode {image.mode!r} has more than 8 bits a channel; scale it to uint8")
    if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
        image = image.convert("RGBA")  # else PIL warns
    return image.convert("RGB")


def reason(item, error):
    """Say which image could not be read and why."""
    from PIL import Image

    what = f"{type(error).__name__}: {error}"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        what += " Raise PIL.Image.MAX_IMAGE_PIXELS if you trust the file"
    if isinstance(item, np.ndarray):
        return f"array of shape {item.shape}: {what}"
    is_path = isinstance(item, str | os.PathLike)
    return f"{_name(item)}: {what}" if is_path else f"{item!r:.120}: {what}"


def file_problem(path):
    """Say what keeps a path from being opened, as far as can be told at a glance; None if nothing.

    Examples
    --------
    >>> from skactivekd.teacher._read_image import file_problem
    >>> file_problem("cat.png")
    'cat.png: no such file'
    """
    if os.path.isfile(path):
        return f"{_name(path)}: an empty file" if os.path.getsize(path) == 0 else None
    if os.path.isdir(path):
        return f"{_name(path)}: a directory, not a file"
    if os.path.exists(path):
        return f"{_name(path)}: not a regular file"
    return f"{_name(path)}: no such file"


def _name(path):
    name = str(os.fspath(path))
    return name if len(name) <= _SHOWN else f"{name[:_SHOWN]}..."


def pixel_problem(pixels):
    """Say what keeps an array from being one image; None if nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.teacher._read_image import pixel_problem
    >>> pixel_problem(np.full((4, 4), 16.0))
    'values from 16 to 16, outside [0, 1]'
    """
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3)):
        return f"array of shape {pixels.shape}; one image has (H, W), (H, W, 1) or (H, W, 3)"
    if not pixels.size:
        return f"array of shape {pixels.shape} has no pixel"
    return dtype_problem(pixels.dtype) or range_problem(pixels)


def dtype_problem(dtype):
    """Say why values of this type are no pixels; None if they may be."""
    if dtype == np.uint8 or dtype.kind == "f":
        return None
    return (
        f"dtype {dtype}; images are uint8 in 0..255 or float in [0, 1]: "
        "scale them if need be and use X.astype(np.uint8)"
    )


def range_problem(pixels):
    """Say why these values are no pixels; None if they are."""
    if pixels.dtype == np.uint8:
        return None
    low, high = pixels.min(), pixels.max()
    if low >= LOW and high <= HIGH:  # both false for nan
        return None
    return f"values from {low:g} to {high:g}, outside [0, 1]"
