"""Images in any form a user holds them: what they are, and which rows are none."""

import numpy as np

from .._rows import one_column
from ..utils._urls import check_urls
from ._errors import ImageError
from ._lazy_rows import LazyRows, is_lazy
from ._pixels import SHAPES, range_problem, shape_problem, white_level
from ._read_image import is_path, is_picture, item_problem
from ._settings import check_on_error

_MAX_LISTED = 10  # array rows named in one message; files are always all named


def check_images(X, on_error="raise"):
    """Validate X as images without reading any file.

    Parameters
    ----------
    X : array, list, Series or data set
        Array of shape (n, H, W), (n, H, W, C) or (n, C, H, W), C being 1 or 3,
        with values as `white_level` has it; or n file paths, URLs, bytes of files,
        PIL images or arrays of one image, also as the only column of a table; or
        a column of Hugging Face's datasets or a map-style data set of torch.
    on_error : {"raise", "skip"}, default="raise"
        Whether values out of range raise at once.

    Returns
    -------
    X : ndarray, list or LazyRows
        The pixels as they were, or a list of paths, bytes, PIL images and arrays.
    bad : dict of int to str
        Rows that are no images, as far as can be told without reading files,
        and their reasons.

    Raises
    ------
    TypeError
        If X is not a collection of images.
    ValueError
        If X is empty, or an array of another shape, type or range.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.encoders._images import check_images
    >>> check_images(np.zeros((5, 8, 8), dtype=np.uint8))[0].shape
    (5, 8, 8)
    >>> check_images(np.full((5, 8, 8), 16.0))
    Traceback (most recent call last):
    ...
    skactivekd.encoders._errors.ImageError: 5 images hold values out of range; ...
    """
    check_on_error(on_error)
    X = _as_list_or_array(one_column(X))
    if len(X) == 0:
        raise ValueError("X holds no image")
    if isinstance(X, LazyRows):  # a glance would read every row
        return X, {}
    if isinstance(X, list):
        check_urls(X)
        problems = {row: item_problem(item) for row, item in enumerate(X)}
        return X, {row: problem for row, problem in problems.items() if problem}
    return X, _check_pixels(X, on_error)


def _as_list_or_array(X):
    if isinstance(X, bytes) or is_path(X) or is_picture(X):
        raise TypeError(f"X is one image ({type(X).__name__}); pass a list of images: [X]")
    if is_lazy(X):
        return X if isinstance(X, LazyRows) else LazyRows(X)
    if hasattr(X, "iloc"):
        X = _series_to_list(X)
    if isinstance(X, list | tuple):
        pixels = bool(X) and all(isinstance(row, list) for row in X)
        return np.asarray(X) if pixels else _stack_arrays(list(X))
    if not hasattr(X, "__array__") or np.ndim(X) == 0:
        raise TypeError(
            f"X is a {type(X).__name__}; pass an array of shape {SHAPES}, "
            "or a list of file paths, bytes or PIL images"
        )
    X = np.asarray(X)
    if X.ndim == 1 and X.dtype.kind == "S":
        raise TypeError(
            f"X is an array of dtype {X.dtype}, which drops zeros at the end of bytes; pass a list"
        )
    return X.tolist() if X.ndim == 1 and X.dtype.kind in "OUT" else X


def _series_to_list(X):
    if X.ndim != 1:
        raise TypeError(f"X is a {type(X).__name__}; pass its column of paths, as X['path']")
    return X.tolist()


def _stack_arrays(X):
    kinds = {(x.shape, x.dtype) if isinstance(x, np.ndarray) else None for x in X}
    return X if len(kinds) != 1 or None in kinds else np.stack(X)


def _check_pixels(X, on_error):
    if X.ndim not in (3, 4):
        hint = "; X has flat rows: use X.reshape(n, H, W)" if X.ndim == 2 else ""
        raise ValueError(f"X has shape {X.shape}, images have {SHAPES}{hint}")
    if problem := shape_problem(X.shape[1:]):
        raise ValueError(f"X has images of {problem}")
    if problem := _single_problem(X.shape):
        raise ValueError(f"X has {problem}")
    try:
        white_level(X.dtype)
    except ValueError as error:
        raise ValueError(f"X has {error}") from None
    if not range_problem(X):
        return {}
    problems = {row: range_problem(image) for row, image in enumerate(X)}
    bad = {row: problem for row, problem in problems.items() if problem}
    if on_error == "raise":
        hint = "divide X by its largest possible value, or pass uint8 in 0..255"
        raise ImageError(bad, f"hold values out of range; {hint}", _MAX_LISTED)
    return bad


def _single_problem(shape):
    """Say why an array looks like one picture with its channels, and not like n grey ones."""
    if len(shape) == 3 and shape[2] in (3, 4) and shape[1] > shape[2]:
        return (
            f"shape {shape}: if it is one picture, pass X[None]; if these are {shape[0]} grey "
            f"ones, {shape[2]} pixels wide, pass X[..., None]"
        )
    return None
