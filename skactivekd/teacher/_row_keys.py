"""What a row is, by its content: the key under which its embedding is kept."""

import os
from hashlib import blake2b

import numpy as np


def row_keys(X):
    """Identify each row of X by its content.

    Parameters
    ----------
    X : array-like of n rows
        Array rows count by their bytes, shape and dtype; paths by the file's
        place, size and time of change; PIL images by mode, size and pixels;
        strings that are no files by themselves.

    Returns
    -------
    keys : list of bytes of length n

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.teacher._row_keys import row_keys
    >>> a, b, c = row_keys(np.array([[0, 1], [0, 1], [1, 0]]))
    >>> a == b, a == c
    (True, False)
    """
    if hasattr(X, "to_numpy"):
        X = X.to_numpy()
    elif not isinstance(X, list | tuple) and hasattr(X, "__array__"):
        X = np.asarray(X)
    return [_row_key(row) for row in X]


def _row_key(row):
    if isinstance(row, str | os.PathLike):
        return _path_key(row)
    if isinstance(row, np.ndarray | np.generic) and row.dtype.kind not in "OT":
        return digest("array", row.dtype.str, row.shape, row.tobytes())
    if hasattr(row, "getbands"):
        return _pil_key(row)
    import joblib

    return digest(type(row), joblib.hash(row))


def _path_key(path):
    try:
        stat = os.stat(path)
    except (OSError, ValueError):  # a text, or a missing file: encoding will tell
        return digest("text", os.fspath(path))
    return digest("file", os.path.abspath(path), stat.st_size, stat.st_mtime_ns)


def _pil_key(image):
    try:
        pixels = image.tobytes()
    except Exception:  # a broken image is never kept: encoding will tell
        return os.urandom(16)
    return digest("pil", image.mode, image.size, image.getpalette(), pixels)


def digest(*parts):
    """Hash parts that have an exact repr; only the last one may be bytes."""
    *head, tail = parts
    data = tail if isinstance(tail, bytes) else repr(tail).encode()
    hasher = blake2b(repr(head).encode(), digest_size=16)
    hasher.update(data)
    return hasher.digest()
