"""What a row is, by its content: the key under which its embedding is kept."""

import os
from collections import namedtuple
from hashlib import blake2b

import numpy as np

from ..utils._files import stamp_file
from ..utils._urls import is_url, url_state

RowKeys = namedtuple("RowKeys", "keys files order")
RowKeys.__doc__ = """Keys of rows.

keys : list of bytes, one for each row; of a file a stamp made from its path and state.
files : dict of stamp to path.
order : list that sorts the rows to encode, or None.
"""


def row_keys(X):
    """Identify each row of X by its content.

    Parameters
    ----------
    X : array-like of n rows
        Array rows count by their bytes, shape and dtype, those of a data frame
        also by the columns' names; files by path and state at first, and by
        what they hold before they are encoded; PIL images by mode, size,
        pixels, palette, transparency and EXIF's orientation; strings that are
        no files by themselves.

    Returns
    -------
    keys : RowKeys
        In its order, paths without a file come first: if they are mistakes,
        that shows before hours of work.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.cache._row_keys import row_keys
    >>> a, b, c = row_keys(np.array([[0, 1], [0, 1], [1, 0]])).keys
    >>> a == b, a == c
    (True, False)
    """
    if hasattr(X, "to_numpy"):
        columns = _columns(X)
        X = X.to_numpy()
        if columns is not None:
            digest = digester("table", columns)
            return RowKeys([digest(_row_key(row, {})) for row in X], {}, None)
    elif not isinstance(X, list | tuple) and hasattr(X, "__array__"):
        X = np.asanyarray(X)
    if _is_plain(X) and X.ndim > 1:
        digest = digester("array", X.dtype.str, X.shape[1:])
        return RowKeys([digest(row.tobytes()) for row in X], {}, None)
    files = {}
    keys = [_row_key(row, files) for row in X]
    if not files:
        return RowKeys(keys, files, None)
    order = [key in files or not isinstance(row, str | os.PathLike) for key, row in zip(keys, X)]  # noqa: B905
    return RowKeys(keys, files, order)


def text_keys(texts):
    """Identify texts by themselves, whether or not there are files of that name.

    Parameters
    ----------
    texts : sequence of n texts

    Returns
    -------
    keys : RowKeys
        In its order, long texts come first, so that batches need little padding.

    Examples
    --------
    >>> from skactivekd.cache._row_keys import text_keys
    >>> text_keys(["six", "seven"]).order
    [-3, -5]
    """
    texts = [str(text) if isinstance(text, str) else text for text in texts]
    order = [-len(text) if isinstance(text, str) else 0 for text in texts]
    return RowKeys([_text(repr(text).encode()) for text in texts], {}, order)


def file_key(path):
    """Identify the state of a file without reading it; None where there is none."""
    stamp = stamp_file(path)
    return None if stamp is None else _file(stamp.encode(errors="surrogatepass"))


def _columns(X):
    """Names and types of a data frame's columns; None of what has none."""
    if getattr(X, "ndim", 2) != 2 or not hasattr(X, "columns"):
        return None
    return [repr(name) for name in X.columns], [str(dtype) for dtype in X.dtypes]


def _is_plain(X):
    """Whether bytes, shape and dtype are all there is to an array."""
    return (
        isinstance(X, np.ndarray | np.generic)
        and not isinstance(X, np.ma.MaskedArray)
        and X.dtype.kind not in "OTV"
    )


def _row_key(row, files):
    if isinstance(row, str | os.PathLike) and not is_url(row):
        stamp = file_key(row)
        if stamp is None:  # a text, or a missing file: encoding will tell
            return _text(repr(os.fspath(row)).encode())
        files[stamp] = row
        return stamp
    return content_key(row)


def content_key(row):
    """Identify a row that is no file here: by its content, or what its host says of it."""
    if is_url(row):
        state = url_state(row)
        return os.urandom(16) if state is None else digester("url", row)(state.encode())
    if _is_plain(row):
        return digester("array", row.dtype.str, row.shape)(row.tobytes())
    if hasattr(row, "getbands"):
        return _pil_key(row)
    import joblib

    if isinstance(row, np.ma.MaskedArray):  # joblib sees what lies below the mask
        row = "masked", row.filled(0), np.ma.getmaskarray(row)
    return digester(type(row))(joblib.hash(row).encode())


def _pil_key(image):
    from ..encoders._read_image import picture_marks

    try:
        marks = picture_marks(image)
        pixels = image.tobytes()
    except Exception:  # a broken image is never kept: encoding will tell
        return os.urandom(16)
    palette = image.getpalette(None) if image.mode in ("P", "PA") else None
    return digester("pil", image.mode, image.size, palette, marks)(pixels)


def digester(*parts):
    """Return a function that hashes bytes together with parts that have an exact repr."""
    start = blake2b(repr(parts).encode(), digest_size=16)

    def digest(data):
        hasher = start.copy()  # faster than to start again for each row
        hasher.update(data)
        return hasher.digest()

    return digest


_text, _file = digester("text"), digester("file")
