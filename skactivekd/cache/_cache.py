"""Embeddings kept by the content of what was encoded, in memory or in a file."""

import datetime
import functools
import os
import random
import threading
import time
import warnings
from contextlib import nullcontext
from hashlib import blake2b

import numpy as np

from ..utils._check_params import check_choice, check_number
from ..utils._progress_bar import bar
from ..utils._row_identity import file_key, hash_file
from ._sqlite_store import BATCH_LIMIT, KEY_SIZE, WIDTHS, Store, follow_forks

_MEMORY_BYTES = 2**29  # 262,144 rows of 512 float32 values
# Rows are written together: when a second has passed, or twenty times what the last write took,
# so that it takes a twentieth of the time at most; or when 64 MB wait.
_GROUP_SECONDS, _GROUP_SHARE, _GROUP_BYTES = 1.0, 20, 2**26


class EmbeddingCache:
    """Embeddings in memory or in one file, found by the content of what was encoded.

    In a file, embeddings outlive the process: they are written once a second or more often, so that
    whatever ends the process, at most one group of rows is lost. Several processes may fill one
    file at once. A different model, precision or preprocessing never gets the embeddings of
    another, and a model or a data file that only moved gets its own.

    Clones and deep copies are the same object, so every fold and candidate of a grid search shares
    it. A pickle carries the settings: processes of ``n_jobs`` open the same file.

    .. versionadded:: 0.1

    Parameters
    ----------
    path : str, path or None, default=None
        The file, made with its folders at the first write. None keeps embeddings in memory.
    max_bytes : int or None, default=None
        Most bytes kept; beyond it the rows written longest ago are dropped. Of
        a file it is the size, and None is no limit. In memory it is that of the
        rows, and None is 2**29: 262,144 rows of 512 float32 values.
    dtype : {"float32", "float16"}, default="float32"
        How embeddings are kept. float16 takes half the space and rounds each value to about
        three digits; what comes back is float32 of norm 1 in any case.

    Attributes
    ----------
    nbytes : int
        Size of the file, or of the rows in memory.

    See Also
    --------
    OpenCLIPEncoder : Takes one as ``cache``, as `SentenceEncoder` and `TeacherProba` do.

    Notes
    -----
    Array rows, PIL images and texts are found by their content. A data file is found by its
    path, size, inode and times of change, and where these are new by its content.

    An encoder is found by its ``fingerprint()``. The embeddings of one that has none never go
    into a file. In memory they are found again as long as the encoder, its class and what their
    code reads are as they were; where that cannot be seen, rows are encoded at each call, with
    a warning.

    Checksums cover all of a file that leads to a row: a damaged file gives an error or the
    right rows.

    Embeddings tell much about what was encoded: a cache of private data is private data.

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
        self._memory = Store(None, dtype, _MEMORY_BYTES if path or not max_bytes else max_bytes)
        self._store = self._memory if path is None else Store(self.path, dtype, max_bytes)
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
            the other. Rows with nan are returned, but not kept; where it has
            none at all, d may be 0, which comes back as nan.
        files : dict of bytes to path, default=None
            The keys that stand for files whose content is the real key.
        order : list of length n, default=None
            Sorts the rows to encode.
        batch_size : int, default=64
            Rows to encode at a time.
        verbose : int, default=0
            1 or more shows a progress bar of what takes more than a second.

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
            known, kept, rows = store.read(owner, keys, files or ())
            if len(kept) == len(keys):
                return self._decode(rows)
            rest = np.setdiff1d(np.arange(len(keys)), kept, assume_unique=True).tolist()
            missing = {}  # keys, in the order to encode them, and the first positions of each
            for position in rest if order is None else sorted(rest, key=order.__getitem__):
                missing.setdefault(keys[position], position)
            filling = _Filling(store, owner, files or {}, known, encode)
            fresh = filling.run(missing, min(batch_size, BATCH_LIMIT), verbose)
            self._warn(store, owner, fresh)
            added = [fresh[keys[position]] for position in rest]
            return self._decode(_join(kept, rows, rest, added))

    def hash_file(self, path):
        """Hash what a file holds, 16 bytes, unless it is known to whoever uses this cache."""
        stamp = file_key(path)
        content = self._store.read_files([stamp]).get(stamp)
        if content is None:
            content = hash_file(path)
            if file_key(path) == stamp:
                _try_to_write(self._store, "", [], {stamp: content})
        return content

    def prune(self, *, max_bytes=None, older_than=None):
        """Drop embeddings, and shrink the file.

        Parameters
        ----------
        max_bytes : int or None, default=None
            Size to reach; the rows written longest ago go first.
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
            store.prune(before=float("inf"))

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
                "a method fingerprint() that returns a str of all that they depend on, or, where "
                "it is an Encoder, _identity(params, run)",
                UserWarning,
                stacklevel=4,
            )

    def __len__(self):
        return sum(map(len, self._stores()))

    def __repr__(self):
        shown = [repr(self.path)] * (self.path is not None)
        shown += [f"max_bytes={self.max_bytes!r}"] * (self.max_bytes is not None)
        shown += [f"dtype={self.dtype!r}"] * (self.dtype != "float32")
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


def _join(kept, rows, rest, added):
    """Put the rows kept and those added in their places; one that has no width is nan."""
    nothing = np.full(max(map(len, [*rows[:1], *added])), np.nan, dtype=rows.dtype)
    added = np.stack([row if len(row) else nothing for row in added])
    if len(kept) and rows.shape[1] != added.shape[1]:
        raise ValueError(WIDTHS)
    joined = np.empty((len(kept) + len(rest), added.shape[1]), dtype=added.dtype)
    joined[kept], joined[rest] = rows if len(kept) else 0, added
    return joined


def _human(n_bytes):
    for unit in ("bytes", "kB", "MB", "GB"):
        if n_bytes < 1000 or unit == "GB":
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000


class _Filling:
    """Rows that are encoded batch by batch and written group by group.

    `files` maps the keys that are stamps of files to their paths, `known` stamps to contents.
    `encode` makes rows of positions; if it has ``begin(positions)``, it is told what comes next.
    """

    def __init__(self, store, owner, files, known, encode):
        self.store, self.owner, self.encode = store, owner, encode
        self.files, self.known, self.seen = files, known, {}
        self.waiting, self.n_bytes = [], 0  # batches of keys and rows that are not written yet
        self.last, self.cost = -float("inf"), 0.0  # when the last write ended, and what it took
        self.writable, self.first = True, True
        self.shared, self.alone = False, True  # whether others write too, and none of these rows

    def run(self, missing, batch_size, verbose=0):
        """Return the rows of missing keys, which have positions, in the order to encode them."""
        keys, rows = list(missing), {}
        batches = [keys[i : i + batch_size] for i in range(0, len(keys), batch_size)][::-1]
        begin = getattr(self.encode, "begin", None)
        try:
            with bar(len(keys), what="Encoding") if verbose else nullcontext() as shown:
                while batches:
                    batch = batches.pop()
                    if begin is not None and batches:
                        begin([missing[key] for key in batches[-1]])
                    rows.update(self._run_batch(batch, missing, batches))
                    if verbose:
                        shown.update(len(batch))
        finally:
            self._write()
        return rows

    def _run_batch(self, batch, missing, later):
        contents = {key: self._content(key) for key in batch}
        # What others wrote since `missing` was found may be rows of any batch still to come.
        self.shared = self.shared or (not self.first and self.store.has_changed())
        new = self.shared or any(key != content for key, content in contents.items())
        found, self.first = self._read(list(contents.values())) if new else {}, False
        todo = [key for key in batch if contents[key] not in found]
        rows = {key: found.get(content) for key, content in contents.items()}
        if todo:
            fresh = self.encode([missing[key] for key in todo]).astype(self.store.dtype)
            rows.update(zip(todo, fresh, strict=True))
        sound = {key: contents[key] for key in batch if self._is_sound(key, rows[key])}
        self.seen.update(
            (key, sound[key]) for key in sound if key in self.files and key not in self.known
        )
        fresh = {sound[key]: rows[key] for key in todo if key in sound}
        if fresh:
            self.waiting.append((list(fresh), np.stack(list(fresh.values()))))
            self.n_bytes += self.waiting[-1][1].nbytes
        met = any(key in found for key in batch)
        due = self.last + min(_GROUP_SECONDS, _GROUP_SHARE * self.cost)
        if self.n_bytes > _GROUP_BYTES or time.monotonic() > due:
            met |= self._write()
        if met and self.alone:
            # Another process fills the same rows: run across it, not beside it.
            self.alone = False
            random.SystemRandom().shuffle(later)
        return rows

    def _content(self, key):
        if key not in self.files or key in self.known:
            return self.known.get(key, key)
        try:
            return hash_file(self.files[key])
        except OSError:  # encoding will tell
            return key

    def _read(self, keys):
        found = {key: row for own, rows in self.waiting for key, row in zip(own, rows, strict=True)}
        found = {key: found[key] for key in keys if key in found}
        _, kept, rows = self.store.read(self.owner, keys)
        return found | {keys[position]: row for position, row in zip(kept, rows, strict=True)}

    def _is_sound(self, key, row):
        """Tell whether a row may be kept: not skipped, its file not changed meanwhile."""
        changed = key in self.files and file_key(self.files[key]) != key
        # A row that was skipped is nan, which is not equal to itself.
        return not changed and len(row) > 0 and row.sum() == row.sum()

    def _write(self):
        """Write what waits; tell whether another process has written some of it."""
        waiting, seen = self.waiting, self.seen
        self.waiting, self.n_bytes, self.seen = [], 0, {}
        if not (self.writable and (waiting or seen)):
            return False
        start = time.monotonic()
        added = _try_to_write(self.store, self.owner, waiting, seen)
        self.last = time.monotonic()
        self.cost = self.last - start
        self.writable = added is not None  # to wait for a lock once is enough
        return self.writable and added < sum(len(keys) for keys, _ in waiting)


def _try_to_write(store, owner, batches, files):
    """Write to a store, or warn that it cannot be; return how many rows are new."""
    try:
        return store.write(owner, batches, files)
    except OSError as error:
        warnings.warn(f"{error}; the embeddings are right, but not kept", stacklevel=6)
        return None


DEFAULT_CACHE = EmbeddingCache()
