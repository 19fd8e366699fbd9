"""Embeddings kept in memory, by the content of what was encoded."""

import threading
import warnings
from collections import OrderedDict

import numpy as np


class EmbeddingCache:
    """Embeddings in memory, found by the content of what was encoded.

    The rows used longest ago are dropped first. Clones and deep copies are
    the same object, so every fold and candidate of a grid search shares it; a
    pickle carries the setting, not the embeddings, so worker processes (``n_jobs``)
    each fill their own.

    Parameters
    ----------
    max_bytes : int, default=2**29
        Most bytes of embeddings kept: the default holds 262,144 rows of 512
        float32 values.

    Examples
    --------
    >>> from skactivekd.teacher import EmbeddingCache, OpenCLIPEncoder
    >>> cache = EmbeddingCache(max_bytes=2**20)
    >>> encoder = OpenCLIPEncoder(cache=cache)
    >>> len(cache)
    0
    """

    def __init__(self, max_bytes=2**29):
        self.max_bytes = max_bytes
        self._rows = OrderedDict()
        self._n_bytes = 0
        # Held while encoding too: threads that want the same rows wait for them.
        self._lock = threading.RLock()

    def fetch(self, owner, keys, encode):
        """Return the rows of `keys`, encoding only those not kept yet.

        Parameters
        ----------
        owner : hashable
            Identity of what computes the rows.
        keys : list of bytes of length n
            Identity of each row's content.
        encode : callable
            Given the list of the first index of every key not kept, returns
            their rows, ndarray of shape (n_missing, d). Called once at most.

        Returns
        -------
        rows : ndarray of shape (n, d)
        """
        with self._lock:
            rows = {key: self._get((owner, key)) for key in keys}
            missing = {}
            for index, key in enumerate(keys):
                if rows[key] is None:
                    missing.setdefault(key, index)
            if missing:
                fresh = encode(list(missing.values()))
                rows.update(zip(missing, fresh, strict=True))
                self._put(owner, missing, fresh)
            return np.stack([rows[key] for key in keys])

    def clear(self):
        """Forget all embeddings."""
        with self._lock:
            self._rows.clear()
            self._n_bytes = 0

    def _get(self, key):
        row = self._rows.get(key)
        if row is not None:
            self._rows.move_to_end(key)
        return row

    def _put(self, owner, keys, rows):
        if rows.nbytes > self.max_bytes:
            warnings.warn(
                f"{rows.nbytes} bytes of embeddings do not fit the cache of {self.max_bytes}; "
                "rows will be encoded again: set `cache=EmbeddingCache(max_bytes=...)`",
                UserWarning,
                stacklevel=2,
            )
        for key, row in zip(keys, rows, strict=True):
            self._rows[owner, key] = row.copy()  # a view would keep its whole batch alive
            self._n_bytes += row.nbytes
        while self._n_bytes > self.max_bytes:
            self._n_bytes -= self._rows.popitem(last=False)[1].nbytes

    def __len__(self):
        return len(self._rows)

    def __repr__(self):
        return f"EmbeddingCache(max_bytes={self.max_bytes})"

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        return EmbeddingCache, (self.max_bytes,)


DEFAULT_CACHE = EmbeddingCache()
