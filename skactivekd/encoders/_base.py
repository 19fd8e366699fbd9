"""Embeddings through a cache: an encoder sees only rows it has not seen before."""

import numbers
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .._rows import one_column
from ..cache._cache import DEFAULT_CACHE, EmbeddingCache
from ..cache._owner import identify, keep_identity
from ..cache._row_keys import row_keys, text_keys
from ._errors import RowError
from ._lazy_rows import LazyRows, is_lazy
from ._settings import count_workers
from ._skipping import collecting, report

ROW_METHODS = ("encode_image", "encode_audio", "encode_text")


def row_method(encoder):
    """Name the method that embeds samples: the first of `ROW_METHODS` the encoder has."""
    return next((name for name in ROW_METHODS if hasattr(encoder, name)), None)


def encode_rows(encoder, X):
    """Embed samples, giving the encoder only rows it has not seen.

    Parameters
    ----------
    encoder : object with `encode_image`, `encode_audio` or `encode_text`
        The first of these it has embeds the samples, `batch_size` (64 if it
        has none) at a time. Its `cache` attribute, if any, says where
        embeddings are kept: None, one cache for the process; an
        `EmbeddingCache`; False, nowhere. Its `fingerprint()`, if any, says
        what its embeddings depend on. Without one they are kept in memory
        only, and found again as long as its state is the same.
    X : array-like of n rows
        Whatever that method takes and scikit-learn can slice.

    Returns
    -------
    embeddings : ndarray of float32 of shape (n, d)
        Rows of norm 1, in the order of X; nan where the encoder skipped them.

    Raises
    ------
    RowError
        If rows cannot be encoded; they are numbered as in `X`, and what was
        encoded before them is kept.
    ValueError
        If the encoder returns anything but n rows of norm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.encoders._base import encode_rows
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
    method = row_method(encoder)
    if method == "encode_image" and is_lazy(X):
        X = LazyRows(X)
    return _encode(encoder, method, X, text_keys if method == "encode_text" else row_keys)


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
    >>> from skactivekd.encoders import OpenCLIPEncoder
    >>> from skactivekd.encoders._base import encode_texts
    >>> len(encode_texts(OpenCLIPEncoder(), ["seven", "seven", "nine"]))
    3
    """
    return _encode(encoder, "encode_text", texts, text_keys)


def remember(encoder, method):
    """Return the number that a method says of an encoder's model, asked once per cache."""
    cache, ask = _cache_of(encoder), getattr(encoder, method)
    if cache is None:
        return ask()
    keys, _, _ = text_keys([method])
    row = cache.fetch(identify(encoder, method), keys, lambda _: np.float32([[ask()]]))
    return float(row[0, 0])


def _encode(encoder, method, X, keys_of):
    X = one_column(X)
    n, cache = X.shape[0] if hasattr(X, "shape") else len(X), _cache_of(encoder)
    call = _Call(encoder, method, X, n)
    if cache is None or n == 0:
        rows = call.rows(call.all)
        call.report(lambda bad: bad)
        return rows
    keys, files, order = keys_of(X)
    options = {"batch_size": _batch_size(encoder), "verbose": _verbose(encoder)}
    owner = identify(encoder, method)
    if owner is None:  # for one call, the encoder is who it is
        cache = EmbeddingCache(max_bytes=2**62)
    try:
        rows = cache.fetch(
            owner or (call.name,), keys, call.rows, files=files, order=order, **options
        )
    except RowError as error:
        raise type(error)(_at_all(keys, error.bad), error.problem, error.limit) from None
    finally:
        call.close()
        if call.n_encoded:
            keep_identity(encoder, owner)
    call.report(lambda bad: _at_all(keys, bad))
    return rows


class _Call:
    """A method of an encoder, applied to some rows of X after others."""

    def __init__(self, encoder, method, X, n):
        self.encode, self.X, self.all = getattr(encoder, method), X, list(range(n))
        self.encoder, self.pool, self.begun = encoder, None, {}
        self.name, self.skipped, self.noun = f"{type(encoder).__name__}.{method}", {}, "row"
        self.n_encoded = 0

    def begin(self, indices):
        """Let threads read the rows that come next, while the encoder is at work."""
        from sklearn.utils import _safe_indexing

        prepare = getattr(self.encoder, "_prepare_ahead", None)
        if prepare is None or self.name.endswith("text"):
            return
        if self.pool is None:
            self.pool = ThreadPoolExecutor(count_workers(self.encoder.n_workers, wanted=True) or 1)
        X = prepare(list(_safe_indexing(self.X, indices)), self.pool)
        if X is not None:
            self.begun[tuple(indices)] = X

    def close(self):
        """Let go of the threads."""
        if self.pool is not None:
            self.pool.shutdown(wait=True, cancel_futures=True)

    def rows(self, indices):
        """Encode rows; nan where they were skipped."""
        from sklearn.utils import _safe_indexing

        self.n_encoded += len(indices)
        X = self.X if indices == self.all else _safe_indexing(self.X, indices)
        X = self.begun.pop(tuple(indices), X)
        with collecting() as warned:
            rows = np.asarray(self.encode(X), dtype=np.float32)
        skipped = {row: reason for warning in warned for row, reason in warning.bad.items()}
        self._check(rows, indices, skipped)
        self.noun = warned[0].noun if warned else self.noun
        self.skipped.update((indices[row], reason) for row, reason in skipped.items())
        return rows

    def report(self, number):
        """Warn of the rows that were skipped; `number` says where they are."""
        if self.skipped:
            report(number(self.skipped), self.noun)

    def _check(self, rows, indices, skipped):
        n = len(indices)
        if rows.ndim != 2 or len(rows) != n:
            raise ValueError(f"{self.name} returned shape {rows.shape}; it must return ({n}, d)")
        norms = np.linalg.norm(rows, axis=1)
        norms[list(skipped)] = 1
        bad = np.flatnonzero(~(np.abs(norms - 1) < 1e-2))
        if len(bad):
            raise ValueError(
                f"{self.name} returned {len(bad)} rows that have not norm 1, the first at "
                f"{indices[bad[0]]} with norm {norms[bad[0]]}; divide each row by its norm"
            )


def _at_all(keys, bad):
    """Name bad rows at every place of their keys."""
    reasons = {keys[row]: reason for row, reason in bad.items()}
    return {row: reasons[key] for row, key in enumerate(keys) if key in reasons}


def _batch_size(encoder):
    size = getattr(encoder, "batch_size", None)
    return int(size) if isinstance(size, numbers.Integral) and size > 0 else 64


def _verbose(encoder):
    verbose = getattr(encoder, "verbose", 0)
    return verbose if isinstance(verbose, numbers.Real) else 0


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
