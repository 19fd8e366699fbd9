"""What identifies a row, and the files that rows and models lie in: by what they hold."""

import hashlib
import os
import stat
import threading
import time
from collections import OrderedDict, namedtuple
from hashlib import blake2b

import numpy as np

from ._urls import URL, url_state

# A change within one tick of the clock that dates files leaves the date as it is. Linux ticks
# every 1 to 10 ms; file systems without fractions of seconds (FAT, old NFS) every 2 s.
_TICK, _COARSE_TICK = 0.02, 2.0
_SIZE = 16  # bytes of a digest: no two of a billion items will share one


def stamp_status(status):
    """Tell one state of a file from another: nobody can set ctime, and a file put in place of
    another has its own inode.
    """
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns


def stamp_file(path):
    """Name the state of a file at a place without reading it; None where there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return repr((os.path.abspath(os.fspath(path)), *stamp_status(status)))


def stamp_path(path, limit):
    """Name the state of a file, or of all files in a folder; None where there is nothing.

    It is "too many" for a folder of more than `limit` files.
    """
    if not os.path.isdir(path):
        return stamp_file(path)
    stamps = []
    for folder, _, names in os.walk(path):
        stamps += [stamp_file(os.path.join(folder, name)) for name in names]
        if len(stamps) > limit:
            return "too many"
    return repr(sorted(filter(None, stamps)))


def hash_file(path):
    """Hash what a file holds, in 16 bytes.

    One that was changed a moment ago is read a moment later: a further change might not show.
    """
    with open(path, "rb") as file:
        _wait_for_tick(os.fstat(file.fileno()))
        return hashlib.file_digest(file, "sha256").digest()[:_SIZE]


def hash_content(content):
    """Hash bytes as `hash_file` hashes a file that holds them."""
    return hashlib.sha256(content).digest()[:_SIZE]


def settle_file(path):
    """Name the state of a file like `stamp_file`, once a further change would show in it."""
    _wait_for_tick(os.stat(path))
    return stamp_file(path)


def _wait_for_tick(status):
    tick = _TICK if status.st_ctime_ns % 10**9 else _COARSE_TICK
    age = time.time() - status.st_ctime_ns / 1e9
    if age < tick:  # also if its clock runs ahead of ours
        time.sleep(min(tick, tick - age))


_HASHING = threading.Lock()  # a second thread waits for the hash instead of reading too
_HASHES = OrderedDict()  # path and state: what a model's file holds
_MOST_HASHES = 4096


def hash_model_file(*paths, cache=None):
    """Hash what files hold, in their order; each is read again only if its state differs.

    What an `EmbeddingCache` knows of files from other processes is not read either.
    """
    with _HASHING:
        found = [_hash_known(os.path.realpath(path), cache) for path in paths]
    return found[0].hex() if len(found) == 1 else hashlib.sha256(b"".join(found)).hexdigest()


def _hash_known(path, cache):
    key = path, stamp_status(os.stat(path))
    if key not in _HASHES:
        while len(_HASHES) >= _MOST_HASHES:
            _HASHES.popitem(last=False)
        remembers = getattr(cache, "path", None) is not None
        _HASHES[key] = cache.hash_file(path) if remembers else hash_file(path)
    return _HASHES[key]


# One key for each row, of a file a stamp made of its path and state; the stamps and their paths;
# what sorts the rows to encode, or None.
RowKeys = namedtuple("RowKeys", "keys files order")


def row_keys(X):
    """Identify each row of X by its content.

    Array rows count by their bytes, shape and dtype, those of a data frame also by the columns'
    names; files by path and state at first, and by what they hold before they are encoded; PIL
    images as they look; strings that are no files by themselves. Paths without a file come first
    in the order: if they are mistakes, that shows before hours of work.
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

    In their order long ones come first, so that batches need little padding.
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
    if isinstance(row, str | os.PathLike) and not _is_url(row):
        stamp = file_key(row)
        if stamp is None:  # a text, or a missing file: encoding will tell
            return _text(repr(os.fspath(row)).encode())
        files[stamp] = row
        return stamp
    return content_key(row)


def content_key(row):
    """Identify a row that is no file here: by its content, or what its host says of it."""
    if _is_url(row):
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


def _is_url(row):
    return isinstance(row, str) and URL.match(row) is not None
