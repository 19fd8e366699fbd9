"""Images in any form a user holds them: what they are, and which rows are none."""

import numpy as np

from .._rows import one_column
from ._image_error import ImageError
from ._read_image import dtype_problem, file_problem, pixel_problem, range_problem
from ._settings import check_on_error

_SHAPES = "(n, H, W), (n, H, W, 1) or (n, H, W, 3)"
_MAX_LISTED = 10  # array rows named in one message; files are always all named


def check_images(X, on_error="raise"):
    """Validate X as images without reading any file.

    Parameters
    ----------
    X : array, list or Series
        Array of shape (n, H, W), (n, H, W, 1) or (n, H, W, 3), uint8 or
        float in [0, 1]; or n file paths, PIL images or arrays of one image,
        also as the only column of a table.
    on_error : {"raise", "skip"}, default="raise"
        Whether values outside [0, 1] raise at once.

    Returns
    -------
    X : ndarray or list
        The pixels as they were, or a list of paths, PIL images and arrays.
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
    >>> from skactivekd.teacher._images import check_images
    >>> check_images(np.zeros((5, 8, 8), dtype=np.uint8))[0].shape
    (5, 8, 8)
    >>> check_images(np.full((5, 8, 8), 16.0))
    Traceback (most recent call last):
    ...
    skactivekd.teacher._image_error.ImageError: 5 images hold floats outside [0, 1]; ...
    """
    check_on_error(on_error)
    X = _as_list_or_array(one_column(X))
    if len(X) == 0:
        raise ValueError("X holds no image")
    if isinstance(X, list):
        problems = {row: _row_problem(item) for row, item in enumerate(X)}
        return X, {row: problem for row, problem in problems.items() if problem}
    return X, _check_pixels(X, on_error)


def _as_list_or_array(X):
    if isinstance(X, str | bytes) or hasattr(X, "__fspath__") or hasattr(X, "getbands"):
        raise TypeError(f"X is one image ({type(X).__name__}); pass a list of images: [X]")
    if hasattr(X, "iloc"):
        X = _series_to_list(X)
    if isinstance(X, list | tuple):
        pixels = bool(X) and all(isinstance(row, list) for row in X)
        return np.asarray(X) if pixels else _stack_arrays(list(X))
    if not hasattr(X, "__array__") or np.ndim(X) == 0:
        raise TypeError(
            f"X is a {type(X).__name__}; pass an array of shape {_SHAPES}, "
            "or a list of file paths or PIL images"
        )
    X = np.asarray(X)
    return X.tolist() if X.ndim == 1 and X.dtype.kind in "OUT" else X


def _series_to_list(X):
    if X.ndim != 1:
        raise TypeError(f"X is a {type(X).__name__}; pass its column of paths, as X['path']")
    return X.tolist()


def _stack_arrays(X):
    kinds = {(x.shape, x.dtype) if isinstance(x, np.ndarray) else None for x in X}
    return X if len(kinds) != 1 or None in kinds else np.stack(X)


def _row_problem(item):
    if isinstance(item, np.ndarray):
        return pixel_problem(item)
    if hasattr(item, "getbands"):
        return None
    if isinstance(item, str) or hasattr(item, "__fspath__"):
        return file_problem(item)
    return f"{item!r:.60} is a {type(item).__name__}, neither a file path nor a PIL image"


def _check_pixels(X, on_error):
    if X.ndim not in (3, 4) or (X.ndim == 4 and X.shape[3] not in (1, 3)):
        raise ValueError(f"X has shape {X.shape}, images have {_SHAPES}{_shape_hint(X)}")
    if problem := dtype_problem(X.dtype):
        raise ValueError(f"X has {problem}")
    if not X.size:
        raise ValueError(f"X has shape {X.shape}: images without a pixel")
    if not range_problem(X):
        return {}
    problems = {row: range_problem(image) for row, image in enumerate(X)}
    bad = {row: problem for row, problem in problems.items() if problem}
    if on_error == "raise":
        hint = "divide X by its largest possible value, or pass uint8 in 0..255"
        raise ImageError(bad, f"hold floats outside [0, 1]; {hint}", _MAX_LISTED)
    return bad


def _shape_hint(X):
    if X.ndim == 2:
        return "; X has flat rows: use X.reshape(n, H, W)"
    if X.ndim == 4 and X.shape[1] in (1, 3):
        return "; channels come last: use X.transpose(0, 2, 3, 1)"
    if X.ndim == 4 and X.shape[3] == 4:
        return "; drop the alpha channel: use X[..., :3]"
    return ""
