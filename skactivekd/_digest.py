"""A short digest of settings, the same in every process."""

import functools
import hashlib
import numbers

import numpy as np

_IDLE = {"cache", "cache_dir", "memory", "n_jobs", "n_workers", "verbose"}  # decide no number


def digest(*settings):
    """Digest parameters by value, and what has no simple value by its name.

    Parameters
    ----------
    *settings : object
        Numbers, strings, None, arrays and containers of them count by value;
        estimators by the name of their class and their parameters, except where
        they keep what, and how many processes they use; all else, such as
        functions, classes and open files, by name.

    Returns
    -------
    digest : str
        Of 16 hexadecimal digits.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skactivekd._digest import digest
    >>> digest(LogisticRegression(), 3) == digest(LogisticRegression(verbose=1), 3)
    True
    >>> digest(LogisticRegression(), 3) == digest(LogisticRegression(C=2), 3)
    False
    """
    return hashlib.sha256(repr(describe(settings)).encode()).hexdigest()[:16]


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
    contents = hashlib.sha256(np.ascontiguousarray(array)).hexdigest()
    return array.dtype.str, array.shape, contents


def _describe_object(value):
    if isinstance(value, functools.partial):
        return "partial", describe([value.func, value.args, value.keywords])
    if hasattr(value, "get_params"):
        params = value.get_params(deep=False).items()
        kept = {name: param for name, param in params if name not in _IDLE}
        return type(value).__qualname__, describe(kept)
    return getattr(value, "__qualname__", type(value).__qualname__)
