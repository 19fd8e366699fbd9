"""A short digest of settings and of samples, the same in every process."""

import datetime
import functools
import hashlib
import numbers
import os
import re
import stat

import numpy as np

from ._object_identity import hash_array, name_of
from ._row_identity import hash_file, identify_row, tensor_values

_MOMENTS = datetime.date | datetime.time | datetime.timedelta

_IDLE = {  # decide no number
    "cache",
    "cache_dir",
    "iterator_train__num_workers",
    "iterator_valid__num_workers",
    "memory",
    "n_jobs",
    "n_workers",
    "verbose",
}
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def digest(*settings):
    """Digest parameters by value, and what has no simple value by its name."""
    return hashlib.sha256(repr(describe(settings)).encode()).hexdigest()[:16]


def digest_rows(X, name="X"):
    """Digest the content of samples."""
    hasher = hashlib.sha256()
    _feed(hasher, X, name)
    return hasher.hexdigest()[:16]


def _feed(hasher, value, name):
    """Hash a value; its kind and size come first, so that no two values look alike."""
    if isinstance(value, np.generic):
        value = value[()] if value.dtype.kind == "V" else value.item()
    if isinstance(value, str | os.PathLike):
        _feed_text(hasher, os.fspath(value))
    elif value is None or isinstance(value, bytes | numbers.Number | range | _MOMENTS):
        _feed_mark(hasher, type(value).__name__, value)
    elif type(value).__name__ == "NAType":  # the one of pandas, which need not be there
        _feed_mark(hasher, "missing")
    elif hasattr(value, "getbands"):  # an image of PIL
        _feed_mark(hasher, *identify_row(value))
    elif hasattr(value, "tocsr"):
        _feed_sparse(hasher, value)
    elif hasattr(value, "detach"):  # a tensor
        _feed_mark(hasher, "tensor", str(value.dtype))
        _feed(hasher, tensor_values(value), name)
    elif isinstance(value, list | tuple):
        _feed_items(hasher, value, name)
    elif isinstance(value, dict):
        _feed_items(hasher, [part for item in value.items() for part in item], name)
    elif hasattr(value, "items") and hasattr(value, "columns"):  # a DataFrame of pandas
        _feed_mark(hasher, "table", value.shape)
        for column, values in value.items():
            _feed(hasher, column, name)
            _feed(hasher, values.to_numpy(), name)
    elif hasattr(value, "to_numpy") or hasattr(value, "__array__"):
        columns = getattr(value, "columns", None)
        _feed_mark(hasher, "columns", columns if columns is None else list(columns))
        array = value.to_numpy() if hasattr(value, "to_numpy") else np.asarray(value)
        _feed_array(hasher, array, name)
    else:
        raise ValueError(
            f"store= must tell one {name} from another, but cannot read the content of a "
            f"{type(value).__name__} in it. Pass arrays, sparse matrices, data frames, or lists of "
            "texts, paths, images or arrays; or pass row numbers as X and X_test, and let the "
            "first step of the estimator look the rows up."
        )


def _feed_mark(hasher, *parts):
    hasher.update(f"{parts!r};".encode(errors="surrogatepass"))


def _feed_text(hasher, text):
    """Hash a string; of a file its content, wherever it lies."""
    try:
        if stat.S_ISREG(os.stat(text).st_mode):
            _feed_mark(hasher, "file", os.path.basename(text), hash_file(text))
            return
    except (OSError, ValueError):  # no file, or no name of one
        pass
    _feed_mark(hasher, *identify_row(text))


def _feed_items(hasher, items, name):
    _feed_mark(hasher, "list", len(items))
    for item in items:
        _feed(hasher, item, name)


def _feed_sparse(hasher, matrix):
    rows = matrix.tocsr()
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    _feed_mark(hasher, "sparse", rows.shape)
    for part in (rows.indptr, rows.indices):  # of 32 or 64 bits, as their number asks
        _feed_array(hasher, part.astype(np.int64, copy=False), None)
    _feed_array(hasher, rows.data, None)


def _feed_array(hasher, array, name):
    if array.dtype.hasobject or array.dtype.kind in "UT":  # may be paths
        _feed_mark(hasher, "objects", array.shape)
        _feed_items(hasher, array.ravel().tolist(), name)
        return
    if array.dtype.kind in "biufc":
        _feed_mark(hasher, *identify_row(np.asarray(array)))
    else:  # dates, bytes, records
        _feed_mark(hasher, "array", array.dtype.descr, array.shape, array.tobytes())


def describe(value):
    """Put a value into simple ones whose repr tells it."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | bytes | numbers.Number | range):
        return value
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    if isinstance(value, set | frozenset):
        return "set", sorted(repr(describe(item)) for item in value)
    if isinstance(value, dict):
        items = [(describe(key), describe(item)) for key, item in value.items()]
        return "dict", sorted(items, key=repr)
    if isinstance(value, type):
        return value.__qualname__
    if hasattr(value, "to_numpy"):  # pandas
        value = value.to_numpy()
    if isinstance(value, np.ndarray):
        return _describe_array(value)
    return _describe_object(value)


def _describe_array(array):
    if array.dtype.hasobject:
        return describe(array.tolist())
    return array.dtype.str, array.shape, hash_array(array).hex()


def _describe_object(value):
    if isinstance(value, functools.partial):
        return "partial", describe([value.func, value.args, value.keywords])
    if hasattr(value, "extra_repr"):  # a module of torch, such as a transform of images
        return _ADDRESS.sub("", repr(value))
    if hasattr(value, "get_params"):
        params = value.get_params(deep=False).items()
        kept = {name: param for name, param in params if name not in _IDLE}
        return type(value).__qualname__, describe(kept)
    return name_of(value)
