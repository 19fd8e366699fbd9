"""Arrays as pictures: one rule of shapes and types, for teachers and students."""

import numpy as np

SHAPES = "(n, H, W), (n, H, W, C) or (n, C, H, W), C being 1 or 3"
_LOW, _HIGH = -1e-6, 1 + 1e-6  # interpolation overshoots by rounding errors


def channel_axis(shape):
    """Say which axis of n pictures has the channels, 1 or 3, None if there are no channels.

    One, three or four may come last or first, any other number first; what reads both ways raises.
    """
    if len(shape) != 4 or tuple(shape[1:]) == (1, 1, 1):
        return None if len(shape) == 3 else 1
    first, last = shape[1], shape[3]
    row = f"shape {tuple(shape[1:])}"
    for known in ((1, 3), (4,)):
        if first in known and last in known:
            raise ValueError(
                f"{row}, whose channels may be first or last: if they are first, pass "
                "np.moveaxis(X, -3, -1), if they are last, np.moveaxis(X, -1, -3)"
            )
        if first in known or last in known:
            return 1 if first in known else 3
    if last < min(first, shape[2]):
        raise ValueError(
            f"{row}, whose {last} channels seem to be last: put them first, as "
            "np.moveaxis(X, -1, -3)"
        )
    return 1


def white_level(dtype):
    """Return what stands for white: 1 of floats and bool, 255 of other types; of unsigned integers
    of 16 bits 65535. Other integers may hold nothing above it.
    """
    if dtype.kind in "fb":
        return 1
    if dtype.kind in "iu" and dtype != np.int8:  # which ends at 127
        return 65535 if dtype.kind == "u" and dtype.itemsize == 2 else 255
    raise ValueError(
        f"dtype {dtype}; images are floats in [0, 1], bool, uint8, uint16 up to 65535, or other "
        "integers in 0..255"
    )


def integer_problem(pixels):
    """Say which integers have no place in a picture; None if all have one."""
    if pixels.dtype.kind not in "iu" or not pixels.size:
        return None
    if pixels.dtype.kind == "u" and pixels.dtype.itemsize < 4:
        return None
    low, high = int(pixels.min()), int(pixels.max())
    if low >= 0 and high <= 255:
        return None
    hint = f"if {high} is white, pass X / {high}" if low >= 0 else "scale them to [0, 1]"
    return f"{pixels.dtype} values from {low} to {high}, outside 0..255: {hint}"


def range_problem(pixels):
    """Say why these values are no pixels; None if they are."""
    if pixels.dtype.kind != "f":
        return integer_problem(pixels)
    low, high = pixels.min(), pixels.max()
    if low >= _LOW and high <= _HIGH:  # both false for nan
        return None
    return f"values from {low:g} to {high:g}, outside [0, 1]"


def shape_problem(shape):
    """Say why rows of an array are not gray or RGB pictures; None if they are."""
    if len(shape) not in (2, 3):
        return f"shape {shape}; one image has (H, W), (H, W, C) or (C, H, W), C being 1 or 3"
    if 0 in shape:
        return f"shape {shape}, without a pixel"
    try:
        axis = channel_axis((1, *shape))
    except ValueError as error:
        return str(error)
    n_channels = 1 if axis is None else shape[axis - 1]
    if n_channels in (1, 3):
        return None
    if n_channels == 4:
        return (
            f"shape {shape} with 4 channels: if the last is transparency, compose the pictures on "
            "white, rgb * alpha + (1 - alpha) in [0, 1]; if not, leave one out"
        )
    return f"shape {shape} with {n_channels} channels; an image has 1 or 3"


def to_rgb_bytes(pixels):
    """Turn one picture into RGB, whatever its type and layout."""
    white = white_level(pixels.dtype)
    if white != 255:
        scale = np.float32(255 / white)
        pixels = np.rint(pixels * scale).clip(0, 255)
    pixels = pixels.astype(np.uint8, copy=False)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    elif channel_axis((1, *pixels.shape)) == 1:
        pixels = np.moveaxis(pixels, 0, 2)
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
