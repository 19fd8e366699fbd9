"""Rows for teachers that read texts or look at images: which of the two they are."""

import os

import numpy as np

from .._take_rows import one_column
from ..encoders._inputs import LazyRows, check_images, check_texts, is_lazy
from ..encoders._read_image import is_path, is_picture
from ..encoders._unreadable_rows import ImageError, TextError
from ..utils._check_params import check_choice
from ..utils._picture_files import PICTURE
from ..utils._remote_files import is_url
from ..utils._row_identity import row_keys, text_keys


class Rows:
    """Texts or images, by position: of which `kind`, with their `keys`, and which are `bad`.

    "auto": strings are images if they name files, texts if they do not, an error if some do.
    """

    def __init__(self, X, inputs="auto", on_error="raise"):
        check_choice(inputs, "inputs", ("auto", "text", "image"))
        X = LazyRows(X) if is_lazy(X) else one_column(X)
        self.kind = _find_kind(X) if inputs == "auto" else inputs
        if self.kind == "text":
            good, self.bad = check_texts(X)
            places = [row for row in range(len(good) + len(self.bad)) if row not in self.bad]
            self.items = dict(zip(places, good, strict=True))
            self.n = len(good) + len(self.bad)
            self.keys = text_keys([self.items.get(row, row) for row in range(self.n)])
            self.error = TextError
        else:
            self.items, self.bad = check_images(X, on_error)
            self.n, self.keys, self.error = len(self.items), row_keys(self.items), ImageError
        if self.bad and on_error == "raise":
            raise self.error(self.bad, "cannot be read")

    def __getitem__(self, row):
        return self.items[row]

    def __len__(self):
        return self.n


def _find_kind(X):
    if isinstance(X, str | bytes | os.PathLike):
        raise TypeError(f"X is one {type(X).__name__}; pass a list of rows: [X]")
    if isinstance(X, LazyRows) or getattr(X, "ndim", 1) > 1:
        return "image"
    if not hasattr(X, "__iter__"):
        raise TypeError(f"X is a {type(X).__name__}; pass a list of texts, or of images or paths")
    items = X.tolist() if hasattr(X, "tolist") and not isinstance(X, list) else list(X)
    named = {row: _names_file(item) for row, item in enumerate(items) if is_path(item)}
    if any(isinstance(item, bytes | np.ndarray) or is_picture(item) for item in items):
        return "image"
    files = [row for row, is_file in named.items() if is_file]
    texts = [row for row, is_file in named.items() if not is_file]
    if files and texts:
        raise ValueError(
            f"row {texts[0]} of X is a text, {items[texts[0]]!r:.60}, but row {files[0]} names a "
            f"file, {items[files[0]]!r:.60}: set inputs='text' or inputs='image'"
        )
    return "image" if files or (items and isinstance(items[0], list)) else "text"


def _names_file(item):
    if not isinstance(item, str) or is_url(item) or PICTURE.search(item):
        return True
    try:
        return os.path.isfile(item)
    except ValueError:  # a null character
        return False
