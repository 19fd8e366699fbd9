"""Images and texts in any form a user holds them: what they are, and which rows are none."""

import os
import stat
import warnings

import numpy as np

from .._take_rows import one_column
from ..utils._check_params import refuse_mask
from ..utils._remote_files import check_urls, is_url
from ..utils._row_identity import tensor_values
from ._arrays_as_images import SHAPES, range_problem, shape_problem, white_level
from ._unreadable_rows import ImageError

_SHOWN, _SHOWN_OF_PATH = 60, 300  # characters of a text in a message, and of a path
_MAX_LISTED = 10  # array rows named in one message; files are always all named


def check_images(X, on_error="raise"):
    """Tell what X is, without reading a file: an array of pixels, a list or `LazyRows`.

    Also returned are the rows that are no images, as far as a glance tells, and the reasons.
    Pixels out of range raise here unless they are to be skipped, as a whole array is wrong.
    """
    plain = isinstance(X, list) and X and not isinstance(X[0], list | tuple)
    X = _as_list_or_array(X if plain else one_column(X))
    if len(X) == 0:
        raise ValueError("X holds no image")
    if isinstance(X, LazyRows):  # a glance would read every row
        return X, {}
    if isinstance(X, list):
        if any(isinstance(item, str) and "://" in item for item in X):
            check_urls(X)
        return X, {row: why for row, item in enumerate(X) if (why := item_problem(item))}
    return X, _check_pixels(X, on_error)


def _as_list_or_array(X):
    refuse_single(X)
    if is_lazy(X):
        return X if isinstance(X, LazyRows) else LazyRows(X)
    if hasattr(X, "iloc"):
        if X.ndim != 1:
            raise TypeError(f"X is a {type(X).__name__}; pass its column of paths, as X['path']")
        X = X.tolist()
    if isinstance(X, list | tuple):
        if X and all(isinstance(row, list) for row in X):
            return np.asarray(X)
        kinds = {(x.shape, x.dtype) if isinstance(x, np.ndarray) else None for x in X}
        return list(X) if len(kinds) != 1 or None in kinds else np.stack(X)
    if not hasattr(X, "__array__") or np.ndim(X) == 0:
        raise TypeError(
            f"X is a {type(X).__name__}; pass an array of shape {SHAPES}, "
            "or a list of file paths, bytes or PIL images"
        )
    refuse_mask(X, "X")
    X = tensor_values(X) if hasattr(X, "detach") else np.asarray(X)
    if X.ndim == 1 and X.dtype.kind == "S":
        raise TypeError(
            f"X is an array of dtype {X.dtype}, which drops zeros at the end of bytes; pass a list"
        )
    return X.tolist() if X.ndim == 1 and X.dtype.kind in "OUT" else X


def refuse_single(X):
    """Refuse one picture, or a folder, in place of rows."""
    if is_path(X) and os.path.isdir(X):
        raise TypeError(
            f"X is the folder {name_file(X)}; pass its files, as "
            f"sorted(Path({os.fspath(X)!r}).rglob('*.jpg'))"
        )
    if isinstance(X, bytes) or is_path(X) or is_picture(X):
        raise TypeError(f"X is one image ({type(X).__name__}); pass a list of images: [X]")


def _check_pixels(X, on_error):
    if X.ndim not in (3, 4):
        hint = "; X has flat rows: use X.reshape(n, H, W)" if X.ndim == 2 else ""
        raise ValueError(f"X has shape {X.shape}, images have {SHAPES}{hint}")
    if problem := shape_problem(X.shape[1:]):
        raise ValueError(f"X has images of {problem}")
    if len(X.shape) == 3 and X.shape[2] in (3, 4) and X.shape[1] > X.shape[2]:
        raise ValueError(
            f"X has shape {X.shape}: if it is one picture, pass X[None]; if these are {len(X)} "
            f"gray ones, {X.shape[2]} pixels wide, pass X[..., None]"
        )
    try:
        white_level(X.dtype)
    except ValueError as error:
        raise ValueError(f"X has {error}") from None
    if not range_problem(X):
        _warn_of_flags(X)
        return {}
    bad = {row: problem for row, image in enumerate(X) if (problem := range_problem(image))}
    if on_error == "raise":
        hint = "divide X by its largest possible value, or pass uint8 in 0..255"
        raise ImageError(bad, f"hold values out of range; {hint}", _MAX_LISTED)
    return bad


def _warn_of_flags(X):
    """Warn of integers that are 0 and 1 alone: black and nearly black."""
    if X.dtype.kind in "iu" and X[0].max() <= 1 and X.max() == 1:
        warnings.warn(
            f"X holds 0 and 1 alone as {X.dtype}, of which {white_level(X.dtype)} is white: all "
            "images are black. If 1 is white, pass X.astype(bool).",
            UserWarning,
            stacklevel=2,
        )


def holds_files(X):
    """Tell whether rows have to be read first, which threads can do ahead."""
    files = isinstance(X, list) and any(isinstance(x, str | bytes | os.PathLike) for x in X)
    return files or isinstance(X, LazyRows)


def item_problem(item):
    """Say what keeps a row from being a picture, as far as a glance tells; None if nothing."""
    if isinstance(item, np.ndarray):
        problem = array_problem(item)
        return problem and f"array of {problem}"
    problem = kind_problem(item)
    if problem or not is_path(item) or ("://" in os.fspath(item) and is_url(item)):
        return problem
    problem = file_problem(item)
    return problem and f"{name_file(item)}: {problem}"


def kind_problem(item):
    """Say why a row is nothing that holds a picture; None if it may be."""
    if isinstance(item, bytes):
        return None if item else "no bytes"
    if is_path(item) or is_picture(item) or isinstance(item, np.ndarray):
        return None
    kinds = "neither a file path, nor bytes of one, nor a PIL image, nor an array"
    return f"{item!r:.60} is a {type(item).__name__}, {kinds}"


def file_problem(path):
    """Say what keeps a path from being a file with something in it; None if nothing."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return "no such file" if os.fspath(path) else "no such file, as the path is empty"
    except ValueError:
        return "no such file, as no path holds the character \\0"
    except OSError as error:  # not allowed, links in a circle
        return error.strerror
    if stat.S_ISDIR(status.st_mode):
        return "a directory, not a file"
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    return None if status.st_size else "an empty file"


def array_problem(pixels):
    """Say what keeps an array from being one picture; None if nothing."""
    if np.ma.isMaskedArray(pixels) and np.ma.getmaskarray(pixels).any():
        return "an array that hides values by a mask; fill them first"
    if problem := shape_problem(pixels.shape):
        return problem
    try:
        white_level(pixels.dtype)
    except ValueError as error:
        return str(error)
    return range_problem(pixels)


def name_file(path):
    name = str(os.fspath(path))
    name = name if name.isprintable() and name else repr(name)
    return name if len(name) <= _SHOWN_OF_PATH else f"{name[:_SHOWN_OF_PATH]}..."


def is_picture(item):
    """Tell whether this is an image of PIL."""
    return hasattr(item, "getbands")


def is_path(item):
    """Tell whether this names a file."""
    return isinstance(item, str | os.PathLike)


def is_lazy(X):
    """Tell a column of Hugging Face's datasets or a map-style data set of torch."""
    if type(X).__module__.partition(".")[0] == "datasets":
        return type(X).__name__ in ("Column", "Dataset")
    if isinstance(X, LazyRows):
        return True
    from torch.utils.data import Dataset, IterableDataset

    return isinstance(X, Dataset) and not isinstance(X, IterableDataset) and hasattr(X, "__len__")


class LazyRows:
    """The rows of a data set as pictures, each read when it is asked for; of a pair the first."""

    def __init__(self, source, rows=None):
        if type(source).__module__.startswith("datasets.") and hasattr(source, "column_names"):
            raise TypeError(
                f"X is a whole data set with the columns {source.column_names}; pass its column "
                "of pictures, as X['image']."
            )
        self.source = source
        self.rows = np.arange(len(source)) if rows is None else rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        item = self.source[int(self.rows[index])]
        if isinstance(item, tuple) and len(item) == 2:
            item = item[0]
        if isinstance(item, dict) and {"bytes", "path"} <= set(item):  # of Image(decode=False)
            item = item["path"] if item["bytes"] is None else item["bytes"]
        return item.detach().cpu().numpy() if hasattr(item, "detach") else item

    def __iter__(self):
        """Yield the rows, and in place of one that raises something that cannot be opened."""
        for index in range(len(self)):
            try:
                item = self[index]
            except Exception as error:  # who opens the row will name it
                item = f"{type(error).__name__}: {error}".encode()
            yield item

    def take(self, indices):
        """Return some of the rows, in their order."""
        return LazyRows(self.source, self.rows[indices])


def check_texts(texts):
    """Return the rows that are texts, and the others with the reasons, a dict of int to str.

    `texts` is a list, an array, a Series or a table of one column; empty texts are welcome.
    """
    if isinstance(texts, str | bytes):
        raise TypeError(f"texts is one {type(texts).__name__}; pass a list of str: [texts]")
    texts = one_column(texts)
    if getattr(texts, "ndim", 1) != 1 or not hasattr(texts, "__iter__"):
        shape = f" of shape {texts.shape}" if hasattr(texts, "shape") else ""
        raise TypeError(
            f"texts is a {type(texts).__name__}{shape}; pass a list of str, or one column: "
            "X['text']"
        )
    texts = list(texts)
    if not texts:
        raise ValueError("texts holds no text")
    bad = {row: reason for row, text in enumerate(texts) if (reason := _reason(text))}
    return [text for row, text in enumerate(texts) if row not in bad], bad


def _reason(text):
    if not isinstance(text, str):
        return f"{shorten(text)} is a {type(text).__name__}, not a str"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"{shorten(text)} has half a surrogate pair at {error.start}: no character"
    return None


def shorten(value):
    """Show a value in a message, however long it is."""
    text = repr(value[:_SHOWN] if isinstance(value, str | bytes) else value)
    return text if len(text) <= _SHOWN + 2 else text[:_SHOWN] + "..."


def warn_of_long_texts(texts, limit, room, count):
    """Warn of texts that lose their end as they have more tokens than a model's limit.

    Those that fit `room` need no counting: a token is a byte at least.
    """
    cut = [text for text in texts if len(text.encode()) > room and count(text) > limit]
    if cut:
        warnings.warn(
            f"{len(cut)} texts are longer than the model's {limit} tokens and lose their end, "
            f"the first: {shorten(cut[0])}",
            UserWarning,
            stacklevel=4,
        )
