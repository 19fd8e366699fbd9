"""Images in any form a user holds them, turned into batches of PIL images."""

import os

import numpy as np

from ._image_error import ImageError

_SHAPES = "(n, H, W), (n, H, W, 1) or (n, H, W, 3)"
_DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_MAX_LISTED = 10  # array rows named in one message; files are always all named


def check_images(X):
    """Validate X as images without reading any file.

    Parameters
    ----------
    X : array, list or Series
        Array of shape (n, H, W), (n, H, W, 1) or (n, H, W, 3), uint8 or
        float in [0, 1]; or n file paths or PIL images.

    Returns
    -------
    X : ndarray or list
        The pixels as they were, or a list of paths and PIL images.

    Raises
    ------
    TypeError
        If X is not a collection of images.
    ValueError
        If X is empty, or an array of another shape, type or range.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.teacher._images import check_images
    >>> check_images(np.zeros((5, 8, 8), dtype=np.uint8)).shape
    (5, 8, 8)
    >>> check_images(np.full((5, 8, 8), 16.0))
    Traceback (most recent call last):
    ...
    skactivekd.teacher._image_error.ImageError: 5 images hold floats outside [0, 1]; ...
    """
    if isinstance(X, str | bytes | os.PathLike) or hasattr(X, "getbands"):
        raise TypeError(f"X is one image ({type(X).__name__}); pass a list of images: [X]")
    if hasattr(X, "iloc"):
        X = _series_to_list(X)
    if isinstance(X, list | tuple):
        X = np.asarray(X) if X and isinstance(X[0], list) else _stack_arrays(list(X))
    elif not hasattr(X, "__array__"):
        raise TypeError(
            f"X is a {type(X).__name__}; pass an array of shape {_SHAPES}, "
            "or a list of file paths or PIL images"
        )
    X = X if isinstance(X, list) else np.asarray(X)
    if isinstance(X, np.ndarray) and X.ndim == 1 and X.dtype.kind in "OUT":
        X = X.tolist()
    if len(X) == 0:
        raise ValueError("X holds no image")
    return X if isinstance(X, list) else _check_pixels(X)


def _series_to_list(X):
    if X.ndim != 1:
        raise TypeError(f"X is a {type(X).__name__}; pass its column of paths, as X['path']")
    return X.tolist()


def _stack_arrays(X):
    if not (X and isinstance(X[0], np.ndarray)):
        return X
    if len({getattr(row, "shape", None) for row in X}) > 1:
        raise ValueError(
            "X is a list of arrays of different shapes; pass PIL images instead: "
            "[PIL.Image.fromarray(x) for x in X]"
        )
    return np.stack(X)


def _check_pixels(X):
    if X.ndim not in (3, 4) or (X.ndim == 4 and X.shape[3] not in (1, 3)):
        raise ValueError(f"X has shape {X.shape}, images have {_SHAPES}{_shape_hint(X)}")
    if X.dtype == np.uint8:
        return X
    if X.dtype.kind != "f":
        raise ValueError(
            f"X has dtype {X.dtype}; images are uint8 in 0..255 or float in [0, 1]: "
            "scale X if need be and use X.astype(np.uint8)"
        )
    # Interpolation overshoots by rounding errors; nan fails both comparisons.
    if not (X.min() >= -1e-6 and X.max() <= 1 + 1e-6):
        raise _out_of_range(X)
    return X


def _shape_hint(X):
    if X.ndim == 2:
        return "; X has flat rows: use X.reshape(n, H, W)"
    if X.ndim == 4 and X.shape[1] in (1, 3):
        return "; channels come last: use X.transpose(0, 2, 3, 1)"
    if X.ndim == 4 and X.shape[3] == 4:
        return "; drop the alpha channel: use X[..., :3]"
    return ""


def _out_of_range(X):
    low, high = (reduce(X, axis=tuple(range(1, X.ndim))) for reduce in (np.min, np.max))
    rows = np.flatnonzero(~((low >= -1e-6) & (high <= 1 + 1e-6)))
    bad = {int(row): f"values from {low[row]:g} to {high[row]:g}" for row in rows}
    hint = "divide X by its largest possible value, or pass uint8 in 0..255"
    return ImageError(bad, f"hold floats outside [0, 1]; {hint}", _MAX_LISTED)


def image_batches(X, batch_size):
    """Yield X as lists of PIL images in RGB, reading files only when due.

    Parameters
    ----------
    X : ndarray or list
        What `check_images` returned. Floats become ``rint(255 * x)``.
    batch_size : int
        Images per batch; the last one may hold fewer.

    Yields
    ------
    images : list of PIL.Image.Image

    Raises
    ------
    ImageError
        If any file or image cannot be read. Once one is found nothing more is
        yielded, and the rest of X is read to name all the bad rows at once.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.teacher._images import image_batches
    >>> X = np.zeros((3, 8, 8), dtype=np.uint8)
    >>> [len(batch) for batch in image_batches(X, batch_size=2)]
    [2, 1]
    """
    if isinstance(X, list) and any(_is_missing_file(item) for item in X):
        _read(X, 0, keep=False)
    for start in range(0, len(X), batch_size):
        yield _read(X, start, start + batch_size)


def _is_missing_file(item):
    return isinstance(item, str | os.PathLike) and not os.path.isfile(item)


def _read(X, start, stop=None, keep=True):
    """Read a slice of X; at a bad row go on through all of X to find the others."""
    images, bad = [], {}
    for row in range(start, len(X)):
        if stop is not None and row >= stop and not bad:
            break
        try:
            image = _to_pil(X[row])
        except Exception as error:  # PIL lets almost anything escape from a broken file
            bad[row] = _reason(X[row], error)
            images.clear()
        else:
            if keep and not bad:
                images.append(image)
    if bad:
        raise ImageError(bad, "cannot be read")
    return images


def _to_pil(item):
    from PIL import Image

    if isinstance(item, np.ndarray):
        return _array_to_pil(item)
    if isinstance(item, Image.Image):
        return _to_rgb(item)
    if not isinstance(item, str | os.PathLike):
        raise TypeError("neither a file path nor a PIL image")
    with Image.open(item) as image:
        return _to_rgb(image)


def _array_to_pil(pixels):
    from PIL import Image

    if pixels.dtype.kind == "f":
        pixels = np.rint(pixels * np.float32(255)).clip(0, 255).astype(np.uint8)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    return Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")


def _to_rgb(image):
    if image.mode in _DEEP_MODES:  # converting would clip at 255 without a word
        raise ValueError(f"mode {image.mode!r} has more than 8 bits a channel; scale it to uint8")
    if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
        image = image.convert("RGBA")  # else PIL warns
    return image.convert("RGB")


def _reason(item, error):
    if _is_missing_file(item):
        return f"{os.fspath(item)}: no such file"
    name = os.fspath(item) if isinstance(item, str | os.PathLike) else repr(item)
    return f"{name}: {type(error).__name__}: {error}"
