"""Embeddings through a cache: an encoder sees only rows it has not seen before."""

import os
import weakref

import numpy as np

from ._cache import DEFAULT_CACHE, EmbeddingCache
from ._image_error import ImageError
from ._row_keys import digest, row_keys


ROW_METHODS = ("encode_image", "encode_audio", "encode_text")


def row_method(encoder):
    """Name the method that embeds samples: the first of `ROW_METHODS` the encoder has."""
    return next((name for name in ROW_METHODS if hasattr(encoder, name)), None)


def encode_rows(encoder, X):
    """Embed samples, giving the encoder only rows it has not seen.

    Parameters
    ----------
    encoder : object with `encode_image`, `encode_audio` or `encode_text`
        The first of these it has embeds the samples. Its `cache` attribute, if any, says where embeddings are kept: None,
        one cache for the process; an `EmbeddingCache`; False, nowhere. Its
        `fingerprint()`, if any, says what its embeddings depend on. Without
        one it is known by its class and parameters, or by its class and what
        it holds at its first use.
    X : array-like of n rows
        Whatever that method takes and scikit-learn can slice.

    Returns
    -------
    embeddings : ndarray of float32 of shape (n, d)
        Rows of norm 1, in the order of X.

    Raises
    ------
    ImageError
        If rows cannot be read; they are numbered as in `X`.
    ValueError
        If the encoder returns anything but n rows of norm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.teacher._encode_once import encode_rows
    >>> class Brightness:
    ...     def encode_image(self, X):
    ...         print(len(X), "rows encoded")
    ...         mean = X.mean(axis=(1, 2))
    ...         return np.column_stack([np.cos(mean), np.sin(mean)])
    >>> encoder, X = Brightness(), np.zeros((3, 8, 8))
    >>> X[1] = 1
    >>> encode_rows(encoder, X).shape
    2 rows encoded
    (3, 2)
    >>> encode_rows(encoder, X[::-1]).shape
    (3, 2)
    """
    return _encode(encoder, row_method(encoder), X, row_keys)


def encode_texts(encoder, texts):
    """Embed texts, giving the encoder only texts it has not seen.

    Parameters
    ----------
    encoder : object with `encode_text`
        As for `encode_rows`.
    texts : list of str of length n

    Returns
    -------
    embeddings : ndarray of float32 of shape (n, d)
        Rows of norm 1.

    Examples
    --------
    >>> from skactivekd.teacher import OpenCLIPEncoder
    >>> from skactivekd.teacher._encode_once import encode_texts
    >>> len(encode_texts(OpenCLIPEncoder(), ["seven", "seven", "nine"]))
    3
    """
    return _encode(encoder, "encode_text", texts, lambda texts: list(map(digest, texts)))


def _encode(encoder, method, X, keys_of):
    from sklearn.utils import _safe_indexing

    encode, n = getattr(encoder, method), X.shape[0] if hasattr(X, "shape") else len(X)
    cache = _cache_of(encoder)
    if cache is None or n == 0:
        return _check_rows(encode(X), n, encoder, method)
    keys = keys_of(X)

    def encode_missing(indices):
        rows = X if len(indices) == n else _safe_indexing(X, indices)
        try:
            return _check_rows(encode(rows), len(indices), encoder, method)
        except ImageError as error:
            places = {key: [] for key in (keys[index] for index in indices)}
            for index, key in enumerate(keys):
                if key in places:
                    places[key].append(index)
            raise error.at(list(places.values())) from None

    # The function itself tells a patched or redefined method from the original.
    owner = (_identity(encoder), getattr(encode, "__func__", encode))
    return cache.fetch(owner, keys, encode_missing)


def _cache_of(encoder):
    cache = getattr(encoder, "cache", None)
    if cache is None:
        return DEFAULT_CACHE
    if cache is False:
        return None
    if not isinstance(cache, EmbeddingCache):
        raise TypeError(
            f"{type(encoder).__name__}.cache is {cache!r}; it must be None (one cache for the "
            "process), an EmbeddingCache, or False (no cache)"
        )
    return cache


def _check_rows(rows, n, encoder, method):
    rows, name = np.asarray(rows, dtype=np.float32), f"{type(encoder).__name__}.{method}"
    if rows.ndim != 2 or len(rows) != n:
        raise ValueError(f"{name} returned shape {rows.shape}; it must return ({n}, d)")
    norms = np.linalg.norm(rows, axis=1)
    bad = np.flatnonzero(~(np.abs(norms - 1) < 1e-2))
    if len(bad):
        raise ValueError(
            f"{name} returned {len(bad)} rows that have not norm 1, the first at {bad[0]} "
            f"with norm {norms[bad[0]]}; divide each row by its norm"
        )
    return rows


_KNOWN = {}  # id of a plain encoder -> (weak reference to it, identity)


def _identity(encoder):
    if hasattr(encoder, "fingerprint"):
        return encoder.fingerprint()
    if hasattr(encoder, "get_params"):
        return _hash_state(encoder, encoder.get_params())
    if not hasattr(encoder, "__weakref__"):
        return os.urandom(16)
    # At first use only: a counter it keeps must not make it another encoder.
    key = id(encoder)
    if key not in _KNOWN:
        # The reference's callback forgets the id before another object can take it.
        forget = weakref.ref(encoder, lambda _: _KNOWN.pop(key))
        _KNOWN[key] = forget, _hash_state(encoder, vars(encoder))
    return _KNOWN[key][1]


def _hash_state(encoder, state):
    import joblib

    kind = f"{type(encoder).__module__}.{type(encoder).__qualname__}"
    try:
        return joblib.hash((kind, state))
    except Exception:  # cannot be pickled: kept apart from all others
        return f"{kind}-{os.urandom(16).hex()}"
