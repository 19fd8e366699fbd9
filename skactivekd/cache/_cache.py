"""Embeddings kept by the content of what was encoded, in memory or in a file."""

import datetime
import functools
import os
import threading
import time
import warnings
from hashlib import blake2b

import numpy as np

from ..utils._params import check_choice, check_number
from ._fill import Filling
from ._fork import follow_forks
from ._memory_store import WIDTHS, MemoryStore
from ._store import BATCH_LIMIT, KEY_SIZE, FileStore


class EmbeddingCache:
    """Embeddings in memory or in one file, found by the content of what was encoded.

    In a file, embeddings outlive the process: each batch is written before the
    next is encoded, so that whatever ends the process, at most one batch is
    lost. Several processes may fill one file at once. A different model,
    precision or preprocessing never gets the embeddings of another, and a model
    or a data file that only moved gets its own.

    Clones and deep copies are the same object, so every fold and candidate of
    a grid search shares it. A pickle carries the settings: worker processes
    (``n_jobs``) open the same file, or each fill a memory of their own.

    Parameters
    ----------
    path : str, path or None, default=None
        The file, made with its parent directories when the first batch is
        written. None keeps embeddings in memory.
    max_bytes : int or None, default=None
        Most bytes kept. Of a file it is the size; None is no limit, and
        beyond it the rows written longest ago are dropped. In memory None is
        2**29, that is 262,144 rows of 512 float32 values, and the rows used
        longest ago are dropped.
    dtype : {"float32", "float16"}, default="float32"
        How embeddings are kept. float16 takes half the space and rounds each
        value to about three digits; what comes back is float32 of norm 1 in
        any case.

    Attributes
    ----------
    nbytes : int
        Size of the file, or of the rows in memory.

    Notes
    -----
    Array rows, PIL images and texts are found by their content. A data file
    is found by its path, size, inode and times of change, and where these are
    new by its content.

    An encoder is found by its ``fingerprint()``. The embeddings of one that has
    none never go into a file. In memory they are found again as long as the
    encoder, its class and what their code reads are as they were; where that
    cannot be seen, rows are encoded at each call, with a warning.

    Checksums cover all of a file that leads to a row: a damaged file gives an
    error or the right rows.

    Embeddings tell much about what was encoded: a cache of private data is
    private data.

    Examples
    --------
    >>> import os, tempfile
    >>> from skactivekd import OpenCLIPEncoder, ZeroShotTeacher, load_glyph_digits
    >>> from skactivekd.cache import EmbeddingCache
    >>> X, _ = load_glyph_digits(return_X_y=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cache = EmbeddingCache(os.path.join(folder, "embeddings.sqlite"))
    ...     proba = ZeroShotTeacher(OpenCLIPEncoder(cache=cache)).fit().predict_proba(X[:5])
    ...     len(EmbeddingCache(cache.path)) == len(cache) >= 5
    True
    """

    def __init__(self, path=None, *, max_bytes=None, dtype="float32"):
        if not isinstance(path, str | os.PathLike | None):
            raise TypeError(f"path={path!r} must be a path or None; a size goes in max_bytes=")
        if isinstance(dtype, type | np.dtype):
            dtype = np.dtype(dtype).name
        check_choice(dtype, "dtype", ("float32", "float16"))
        if max_bytes is not None:
            check_number(max_bytes, "max_bytes", above=0)
        self.path = None if path is None else os.path.abspath(os.path.expanduser(os.fspath(path)))
        self.max_bytes, self.dtype = max_bytes, str(np.dtype(dtype))
        if path is None:
            self._store = self._memory = MemoryStore(dtype, max_bytes or 2**29)
        else:
            self._store, self._memory = FileStore(self.path, dtype, max_bytes), MemoryStore(dtype)
        # Held while encoding too: threads that want the same rows wait for them.
        self._lock = threading.RLock()
        follow_forks(self)

    def fetch(self, owner, keys, encode, *, files=None, order=None, batch_size=64, verbose=0):
        """Return the rows of `keys`, encoding only those not kept yet.

        Parameters
        ----------
        owner : hashable
            Identity of what computes the rows. A str counts in every process;
            rows of any other owner, a tuple that begins with its name, are kept
            in memory even if there is a file.
        keys : list of bytes of length n
            Identity of each row's content.
        encode : callable
            Given a list of positions in `keys`, returns their rows, ndarray of
            shape (n_missing, d). Called for one batch of missing rows after
            the other. Rows with nan are returned, but not kept.
        files : dict of bytes to path, default=None
            The keys that stand for files whose content is the real key.
        order : list of length n, default=None
            Sorts the rows to encode.
        batch_size : int, default=64
            Rows to encode at a time.
        verbose : int, default=0
            1 or more shows a progress bar.

        Returns
        -------
        rows : ndarray of float32 of shape (n, d)

        Raises
        ------
        ValueError
            If the file is damaged, of another program or of a newer version.
        OSError
            If the file cannot be read, or its file system has no locks. If it
            can be read but not written there is a warning, and the rows are
            returned all the same.
        """
        if not {KEY_SIZE}.issuperset(map(len, keys)):
            keys = [_sized(key) for key in keys]
            files = {_sized(key): path for key, path in (files or {}).items()}
        with self._lock:
            store = self._store if isinstance(owner, str) else self._memory
            known = store.read_files(list(files)) if files else {}
            kept, rows = store.read(owner, [known.get(key, key) for key in keys] if known else keys)
            if len(kept) == len(keys):
                return self._decode(rows)
            missing = _first_positions(keys, kept, order)
            size = min(batch_size, BATCH_LIMIT)
            filling = Filling(store, owner, files or {}, known, encode)
            fresh = filling.run(missing, size, verbose)
            self._warn(store, owner, fresh)
            return self._decode(_join(keys, kept, rows, fresh))

    def prune(self, *, max_bytes=None, older_than=None):
        """Drop embeddings, and shrink the file.

        Parameters
        ----------
        max_bytes : int or None, default=None
            Size to reach. From a file the rows written longest ago go first,
            from memory those used longest ago.
        older_than : datetime.timedelta, float or None, default=None
            Drop rows written longer ago than this, a number being seconds.

        Returns
        -------
        n_dropped : int
            Rows dropped.

        Raises
        ------
        ValueError
            If neither is given.
        OSError
            If the file cannot be written.
        """
        if max_bytes is None and older_than is None:
            raise ValueError("prune needs max_bytes=, older_than= or both; clear() drops all")
        if isinstance(older_than, datetime.timedelta):
            older_than = older_than.total_seconds()
        before = None if older_than is None else time.time() - older_than
        return sum(store.prune(max_bytes, before) for store in self._stores())

    def clear(self):
        """Forget all embeddings, and shrink the file."""
        for store in self._stores():
            store.clear()

    @property
    def nbytes(self):
        """Size of the file, or of the rows in memory."""
        return sum(store.nbytes for store in self._stores())

    def _stores(self):
        return {id(store): store for store in (self._store, self._memory)}.values()

    def _decode(self, rows):
        if rows.dtype == np.float32:
            return rows
        rows = rows.astype(np.float32)
        rows /= np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]  # no copy of them all
        return rows

    def _warn(self, store, owner, fresh):
        n_bytes, room = sum(row.nbytes for row in fresh.values()), store.max_bytes
        if room is not None and n_bytes > room:
            warnings.warn(
                f"{n_bytes} bytes of embeddings do not fit the cache of {room}; rows will be "
                "encoded again: set `cache=EmbeddingCache(max_bytes=...)`",
                UserWarning,
                stacklevel=4,
            )
        if store is not self._store:
            warnings.warn(
                f"{owner[0]} has no fingerprint() of its own, so that its embeddings cannot be "
                f"told from others in another process: they are not kept in {self.path}. Give it "
                "a method fingerprint() that returns a str of all that they depend on",
                UserWarning,
                stacklevel=4,
            )

    def __len__(self):
        return sum(map(len, self._stores()))

    def __repr__(self):
        settings = {"max_bytes": self.max_bytes, "dtype": self.dtype}
        defaults = {"max_bytes": None, "dtype": "float32"}
        shown = [repr(self.path)] if self.path else []
        shown += [f"{k}={v!r}" for k, v in settings.items() if v != defaults[k]]
        try:
            size = f"{len(self):,} rows, {_human(self.nbytes)}"
        except (OSError, ValueError):
            size = "unreadable"
        return f"<EmbeddingCache({', '.join(shown)}): {size}>"

    # Where it keeps embeddings does not change them: no part of an encoder's identity.
    _decides_nothing = True

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        settings = {"max_bytes": self.max_bytes, "dtype": self.dtype}
        return functools.partial(EmbeddingCache, self.path, **settings), ()


def _sized(key):
    """Bring a key to the size of those in a file."""
    return key if len(key) == KEY_SIZE else blake2b(key, digest_size=KEY_SIZE).digest()


def _first_positions(keys, kept, order):
    """Map the keys that are not kept to their first positions, sorted by `order`."""
    positions = np.setdiff1d(np.arange(len(keys)), kept, assume_unique=True).tolist()
    if order is not None:
        positions.sort(key=order.__getitem__)
    missing = {}
    for position in positions:
        missing.setdefault(keys[position], position)
    return missing


def _join(keys, kept, rows, fresh):
    """Put the rows kept and the fresh ones in the places of their keys."""
    rest = np.setdiff1d(np.arange(len(keys)), kept, assume_unique=True)
    added = np.stack([fresh[keys[position]] for position in rest])
    if len(kept) and rows.shape[1] != added.shape[1]:
        raise ValueError(WIDTHS)
    joined = np.empty((len(keys), added.shape[1]), dtype=added.dtype)
    joined[kept], joined[rest] = rows if len(kept) else 0, added
    return joined


def _human(n_bytes):
    for unit in ("bytes", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}" if unit != "bytes" else f"{n_bytes} bytes"
        n_bytes /= 1000
    return f"{n_bytes:.3g} GB"


DEFAULT_CACHE = EmbeddingCache()
