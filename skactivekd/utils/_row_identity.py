"""What identifies a row, and the files that rows and models lie in: by what they hold."""

import contextlib
import hashlib
import json
import os
import stat
import threading
import time
from collections import OrderedDict, namedtuple
from hashlib import blake2b

import numpy as np

from ._remote_files import URL, url_state

# A change within one tick of the clock that dates files leaves the date as it is. Linux ticks
# every 1 to 10 ms; file systems without fractions of seconds (FAT, old NFS) every 2 s.
_TICK, _COARSE_TICK = 0.02, 2.0
_BLOCK = 2**24  # bytes hashed at once, so that no array is copied as a whole
_LONG = 1000  # numbers in an array within a row, a sound say, that are not written out
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


def identify_row(row):
    """Return the kind of a row, and 16 bytes that tell its content in every process and year.

    Numbers and arrays count by dtype, shape and values, images of PIL as they look, bytes as the
    file that they may be, the rest by what JSON makes of it. A TypeError names what has no such
    content. What a session's journal and a simulation's store hold depends on these digests.
    """
    if isinstance(row, np.ndarray | np.generic) and row.dtype.kind in "biufc":
        if not isinstance(row, np.ma.MaskedArray):
            return "array", _digest_array(row)
    if hasattr(row, "getbands"):
        return "image", _digest_picture(row)
    if isinstance(row, bytes):
        return "file", hash_content(row)
    if isinstance(row, str):
        return "text", _digest(row.encode("utf-8", "surrogatepass"))
    if hasattr(row, "detach"):
        return identify_row(tensor_values(row))
    if isinstance(row, list | tuple):
        with contextlib.suppress(ValueError):  # of lists of unequal length
            if (values := np.asarray(row)).dtype.kind in "biufc":
                return "array", _digest_array(values)
    return "row", _digest(json.dumps(_plain(row), sort_keys=True).encode())


def tensor_values(tensor):
    """Return the values of a tensor as an array, of a type that numpy lacks as float64."""
    tensor = tensor.detach().cpu()
    return tensor.numpy() if hasattr(np, str(tensor.dtype)[6:]) else tensor.double().numpy()


def identify_sparse_rows(X):
    """Yield kind and digest of each row of a sparse matrix."""
    X = X.tocsr()
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    parts = X.indices.astype("<i8"), X.data.astype(X.data.dtype.newbyteorder("<"))
    head = f"{parts[1].dtype.str}{X.shape[1]}".encode()
    for a, b in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        yield "sparse", _digest(head, *(part[a:b].tobytes() for part in parts))


def _digest(*parts):
    hasher = blake2b(digest_size=_SIZE)
    for part in parts:
        hasher.update(part)
    return hasher.digest()


def _array_head(dtype, shape):
    return f"{dtype.newbyteorder('<').str}{shape}".encode()


def _digest_array(array):
    hasher = blake2b(_array_head(array.dtype, array.shape), digest_size=_SIZE)
    little = array.dtype.newbyteorder("<")
    rows = np.atleast_1d(array)
    step = max(1, _BLOCK // max(1, rows[:1].nbytes))
    for start in range(0, len(rows), step):
        hasher.update(np.ascontiguousarray(rows[start : start + step], dtype=little).data)
    return hasher.digest()


def _digest_picture(image):
    from ..encoders._read_image import picture_marks

    palette = image.getpalette(None) if image.mode in ("P", "PA") else None
    shown = repr((image.mode, image.size, palette, picture_marks(image)))
    return _digest(shown.encode(), image.tobytes())


def _plain(value):
    """Put a value into JSON."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(type(value).__name__)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc" and value.size > _LONG:
        return f"array {_digest_array(value).hex()}"
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if type(value).__name__ == "NAType":  # the one of pandas
        return None
    raise TypeError(type(value).__name__)


# The cache's keys: one for each row, of a file a stamp made of its path and state; the stamps and
# their paths; what sorts the rows to encode, or None.
RowKeys = namedtuple("RowKeys", "keys files order")


def row_keys(X):
    """Identify each row of X for a cache, without reading a file.

    A file is known by path and state at first, and by what it holds before it is encoded; a URL
    by what its host says; a row of a data frame also by the columns' names and types. Paths
    without a file come first in the order: mistakes show before hours of work.
    """
    if hasattr(X, "to_numpy"):
        columns = _columns(X)
        X = X.to_numpy()
        if columns is not None:
            return RowKeys([_digest(columns, content_key(row)) for row in X], {}, None)
    elif not isinstance(X, list | tuple) and hasattr(X, "__array__"):
        X = tensor_values(X) if hasattr(X, "detach") else np.asanyarray(X)
    if isinstance(X, np.ndarray) and not isinstance(X, np.ma.MaskedArray) and X.ndim > 1:
        if X.dtype.kind in "biufc":
            start = blake2b(_array_head(X.dtype, X.shape[1:]), digest_size=_SIZE)
            X = X.astype(X.dtype.newbyteorder("<"), copy=False)
            return RowKeys([_array_key(start, row) for row in X], {}, None)
    if getattr(getattr(X, "dtype", None), "names", None):
        columns = repr(X.dtype.descr).encode()
        return RowKeys([_digest(columns, content_key(row)) for row in X], {}, None)
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
    order = [-len(text) if isinstance(text, str) else 0 for text in texts]
    return RowKeys([content_key(text, url=False) for text in texts], {}, order)


def file_key(path):
    """Identify the state of a file without reading it; None where there is none."""
    stamp = stamp_file(path)
    return (
        None if stamp is None else _tagged("stamp", _digest(stamp.encode(errors="surrogatepass")))
    )


def content_key(row, url=True):
    """Identify a row that is no file here: by its content, or what the host of a URL says of it.

    What cannot be identified has a new key each time: encoding will tell, or encode it again.
    """
    if url and isinstance(row, str) and URL.match(row):
        state = url_state(row)
        return (
            os.urandom(_SIZE)
            if state is None
            else _tagged("url", _digest(f"{row} {state}".encode()))
        )
    try:
        return _tagged(*identify_row(row))
    except TypeError:
        return _object_key(row)
    except Exception:  # a broken image
        return os.urandom(_SIZE)


def _row_key(row, files):
    if not isinstance(row, str | os.PathLike) or (isinstance(row, str) and URL.match(row)):
        return content_key(row)
    stamp = file_key(row)
    if stamp is None:  # a text, or a missing file: encoding will tell
        return content_key(os.fspath(row), url=False)
    files[stamp] = row
    return stamp


def _array_key(start, row):
    hasher = start.copy()  # faster than to start again for each row
    hasher.update(row.tobytes())
    return _tagged("array", hasher.digest())


def _object_key(row):
    """Identify what only this release of Python and its libraries can tell apart."""
    import joblib

    kind = type(row)
    if isinstance(row, np.ma.MaskedArray):  # joblib sees what lies below the mask
        row = "masked", row.filled(0), np.ma.getmaskarray(row)
    return _digest(repr(kind).encode(), joblib.hash(row).encode())


def _tagged(kind, digest):
    """Put the kind in the last of 16 bytes: a text and an array may have the same."""
    return digest[:-1] + kind[:1].encode()


def _columns(X):
    """Names and types of a data frame's columns; None of what has none."""
    if getattr(X, "ndim", 2) != 2 or not hasattr(X, "columns"):
        return None
    return repr((list(map(repr, X.columns)), list(map(str, X.dtypes)))).encode()
