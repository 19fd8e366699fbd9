"""Embeddings in SQLite, in memory or in one file that processes share."""

import contextlib
import math
import os
import sqlite3
import threading
import time
import weakref
import zlib

import numpy as np

from ..utils._file_locks import check_locks
from ..utils._untrusted_sqlite import vacuum
from ._sqlite_file import connect, explain, pragma

KEY_SIZE = 16  # bytes of a key
BATCH_LIMIT = 2**20  # rows in a batch; a slot is its number times this, plus the row
_CHUNK = 4096  # keys in one query
_LEAKED = []  # connections of a parent process: closing them here would harm it

WIDTHS = (
    "embeddings kept for one encoder have different lengths: what it computes changed, but not "
    "its class and parameters; give it a fingerprint() that tells, or clear() the cache"
)


class Store:
    """Rows by owner and key; those written longest ago are dropped first.

    Rows of another dtype in the same file count as absent. `path` None is memory; `max_bytes`
    is the largest size of the file, or of the rows in memory.
    """

    def __init__(self, path, dtype, max_bytes):
        self.place, self.dtype, self.max_bytes = path, np.dtype(dtype), max_bytes
        self._db, self._is_open, self._inode, self._can_lock = None, False, None, path is None
        self._lock, self._version = threading.RLock(), None

    def read(self, owner, keys, stamps=()):
        """Return what files of these stamps hold, the positions of the rows kept, and the rows.

        A stamp is its own key until the content of its file is known.
        """
        with self._open() as db, _transaction(db, "DEFERRED"):
            self._version = self._state(db)
            known = _read_files(db, stamps) if stamps else {}
            keys = [known.get(key, key) for key in keys] if known else keys
            slots = self._find(db, self._number(db, owner), keys)
            kept = np.flatnonzero(slots >= 0)
            if len(kept) < len(keys):
                keys, slots = [keys[position] for position in kept], slots[kept]
            return known, kept, self._gather(db, self._name(owner), slots, keys)

    def has_changed(self):
        """Tell whether another process has written since rows were last read."""
        if self.place is None:
            return False
        with self._open() as db:
            return self._version != self._state(db)

    def write(self, owner, batches, files):
        """Keep batches, pairs of keys and rows, and what was found in files, all or nothing.

        Returns the number of rows that nobody had written yet.
        """
        with self._open(create=True) as db, _transaction(db, "IMMEDIATE"):
            db.execute("INSERT OR IGNORE INTO owner (name) VALUES (?)", [self._name(owner)])
            number, added = self._number(db, owner), 0
            for keys, rows in batches:
                new = np.flatnonzero(self._find(db, number, keys) < 0)
                if len(new):
                    self._insert(db, owner, number, [keys[i] for i in new], rows[new])
                added += len(new)
            sealed = [(*item, zlib.crc32(b"".join(item))) for item in files.items()]
            db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", sealed)
            if self.max_bytes is not None and self._used(db) > self.max_bytes:
                # Of a file so much that it is not again at the next batch.
                self._shrink(db, self.max_bytes * (0.9 if self.place else 1))
        return added

    def read_files(self, stamps):
        """Return the content of files as far as it is known, by stamp."""
        with self._open() as db:
            return _read_files(db, stamps)

    def prune(self, max_bytes=None, before=None):
        """Drop rows beyond a size, and rows written before a time; return how many."""
        with self._open() as db:
            with _transaction(db, "IMMEDIATE"):
                count = _count(db)
                if before is not None:
                    _drop(db, "written < ?", before)
                if max_bytes is not None:
                    self._shrink(db, max_bytes)
                count -= _count(db)
            vacuum(db)
            return count

    def __len__(self):
        with self._open() as db:
            return _count(db)

    @property
    def nbytes(self):
        """Size of the file, or of the rows in memory."""
        if self.place is None:
            with self._open() as db:
                return self._used(db)
        try:
            return os.path.getsize(self.place)
        except FileNotFoundError:
            return 0

    @contextlib.contextmanager
    def _open(self, create=False):
        """Give the connection, to an empty store where there is no file and none is to be made."""
        with self._lock:
            if not self._can_lock:
                check_locks(self.place, "a cache of embeddings")
                self._can_lock = True
            try:
                if not self._is_open or (self.place and self._inode != _inode(self.place)):
                    self._close()
                    self._db, self._is_open = connect(self.place, create)
                    self._inode = self.place and _inode(self.place)
                yield self._db
            except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
                self._close()
                raise explain(self.place, error) from error

    def _close(self):
        if self._db is not None:
            self._db.close()
        self._db, self._is_open = None, False

    def _state(self, db):
        return self._inode, db.execute("PRAGMA data_version").fetchone()[0]

    def _name(self, owner):
        return f"{owner} {self.dtype.name}"

    def _number(self, db, owner):
        row = db.execute("SELECT id FROM owner WHERE name = ?", [self._name(owner)]).fetchone()
        return -1 if row is None else row[0]

    def _find(self, db, number, keys):
        """Slots of the keys, -1 where there is none."""
        query = "SELECT key, slot FROM place WHERE owner = ?"
        count = "SELECT sum(n) FROM batch WHERE owner = ?"
        found = dict(_look_up(db, query, count, "key", [number], keys))
        try:
            slots = np.array([found.get(key, -1) for key in keys], dtype=np.int64)
        except (TypeError, ValueError, OverflowError) as error:
            raise sqlite3.DatabaseError("a slot is no number") from error
        if len(found) and (slots < -1).any():
            raise sqlite3.DatabaseError("a slot is negative")
        return slots

    def _gather(self, db, name, slots, keys):
        """Rows of the slots, batch by batch, if they are those of the keys."""
        batches, places = np.divmod(slots, BATCH_LIMIT)
        order = np.argsort(batches, kind="stable")
        numbers, starts = np.unique(batches[order], return_index=True)
        stops = np.append(starts, len(slots))[1:]
        rows = np.empty((len(slots), 0), self.dtype)
        found = np.empty((len(slots), KEY_SIZE // 8), dtype=np.uint64)
        blocks = _read_blocks(db, name, numbers.tolist())
        for (n, own, data), start, stop in zip(blocks, starts, stops, strict=True):
            if not n or not data or len(data) % (n * self.dtype.itemsize):
                raise sqlite3.DatabaseError("the rows of a batch have no width")
            block = np.frombuffer(data, dtype=self.dtype).reshape(n, -1)
            if start == 0:
                rows = np.empty((len(slots), block.shape[1]), self.dtype)
            if block.shape[1] != rows.shape[1]:
                raise ValueError(WIDTHS)
            here = order[start:stop]
            chosen = places[here]
            try:
                rows[here], found[here] = block[chosen], _words(own)[chosen]
            except IndexError as error:
                raise sqlite3.DatabaseError("a slot is beyond its batch") from error
        if not np.array_equal(found, _words(b"".join(keys))):
            raise sqlite3.DatabaseError("a row is that of another key")
        return rows

    def _insert(self, db, owner, number, keys, rows):
        joined, data = b"".join(keys), rows.tobytes()
        seal = _seal(self._name(owner), len(rows), joined, data)
        values = [number, len(rows), len(data), seal, time.time()]
        query = "INSERT INTO batch (owner, n, size, seal, written) VALUES (?, ?, ?, ?, ?)"
        batch = db.execute(query, values).lastrowid
        db.execute("INSERT INTO block VALUES (?, ?, ?)", [batch, joined, data])
        first = batch * BATCH_LIMIT
        places = [(number, key, first + row) for row, key in enumerate(keys)]
        db.executemany("INSERT INTO place VALUES (?, ?, ?)", places)

    def _used(self, db):
        """Bytes of the file that hold something, or of the rows in memory."""
        if self.place is None:
            return db.execute("SELECT ifnull(sum(size), 0) FROM batch").fetchone()[0]
        pages = pragma(db, "page_count") - pragma(db, "freelist_count")
        return pages * pragma(db, "page_size")

    def _shrink(self, db, max_bytes):
        """Drop the oldest batches until what is used fits; in memory, not one row too many."""
        while (used := self._used(db)) > max_bytes:
            count, oldest = db.execute("SELECT count(*), min(id) FROM batch").fetchone()
            if not count:
                return
            if self.place is None:
                n, size = db.execute("SELECT n, size FROM batch WHERE id = ?", [oldest]).fetchone()
                surplus = math.ceil((used - max_bytes) * n / size)
                if surplus < n:
                    self._trim(db, oldest, surplus)
                    return
            n = math.ceil(count * (1 - max_bytes / used)) if self.place else 1
            _drop(db, "id IN (SELECT id FROM batch ORDER BY id LIMIT ?)", n)

    def _trim(self, db, batch, surplus):
        """Drop the first rows of the oldest batch, which keeps its number."""
        query = "SELECT name, owner, n, keys, data FROM owner, batch, block"
        query += " WHERE owner.id = owner AND batch = batch.id AND batch = ?"
        name, owner, n, keys, data = db.execute(query, [batch]).fetchone()
        keys, data = keys[surplus * KEY_SIZE :], data[surplus * len(data) // n :]
        n, slots = n - surplus, (batch * BATCH_LIMIT, (batch + 1) * BATCH_LIMIT)
        db.execute("DELETE FROM place WHERE slot >= ? AND slot < ?", slots)
        cut = (keys[i : i + KEY_SIZE] for i in range(0, len(keys), KEY_SIZE))
        places = [(owner, key, slots[0] + row) for row, key in enumerate(cut)]
        db.executemany("INSERT INTO place VALUES (?, ?, ?)", places)
        db.execute("UPDATE block SET keys = ?, data = ? WHERE batch = ?", [keys, data, batch])
        values = [n, len(data), _seal(name, n, keys, data), batch]
        db.execute("UPDATE batch SET n = ?, size = ?, seal = ? WHERE id = ?", values)


@contextlib.contextmanager
def _transaction(db, mode):
    """All or nothing: DEFERRED reads one state, IMMEDIATE writes."""
    db.execute(f"BEGIN {mode}")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _look_up(db, query, count, column, values, keys):
    """Return the records of a query whose first part is among the keys, and maybe more."""
    if len(keys) > _CHUNK and 4 * len(keys) > (db.execute(count, values).fetchone()[0] or 0):
        return db.execute(query, values).fetchall()  # to read them all is faster
    found, size = [], min(_CHUNK, db.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) - 1)
    for start in range(0, len(keys), size):
        chunk = keys[start : start + size]
        marks = ",".join("?" * len(chunk))
        found += db.execute(f"{query} AND {column} IN ({marks})", [*values, *chunk]).fetchall()
    return found


def _read_blocks(db, name, batches):
    """Yield (number of rows, keys, bytes of rows) of batches in ascending order."""
    size, found = 256, 0  # a few MB at a time
    for start in range(0, len(batches), size):
        chunk = batches[start : start + size]
        query = (
            "SELECT n, seal, keys, data FROM batch JOIN block ON batch = id WHERE id IN "
            f"({','.join('?' * len(chunk))}) ORDER BY id"
        )
        for n, seal, keys, data in db.execute(query, chunk):
            if not (isinstance(keys, bytes) and isinstance(data, bytes)):
                raise sqlite3.DatabaseError("a batch has no rows")
            if _seal(name, n, keys, data) != seal or len(keys) != KEY_SIZE * n:
                raise sqlite3.DatabaseError("the checksum of a batch is wrong")
            found += 1
            yield n, keys, data
    if found < len(batches):
        raise sqlite3.DatabaseError(f"{len(batches) - found} batches are missing")


def _seal(name, n, keys, data):
    """Checksum of a batch: of what is in it, in which order, and whose it is."""
    return zlib.crc32(data, zlib.crc32(keys, zlib.crc32(f"{name} {n}".encode())))


def _read_files(db, stamps):
    query = "SELECT stamp, content, seal FROM files WHERE 1"
    found = _look_up(db, query, "SELECT count(*) FROM files", "stamp", [], list(stamps))
    sound = (record for record in found if {bytes} == {type(part) for part in record[:2]})
    return {key: content for key, content, seal in sound if zlib.crc32(key + content) == seal}


def _words(keys):
    """Joined keys as rows of numbers, which compare fast."""
    return np.frombuffer(keys, dtype=np.uint64).reshape(-1, KEY_SIZE // 8)


def _drop(db, condition, value):
    chosen = f"SELECT id FROM batch WHERE {condition}"
    db.execute(f"DELETE FROM place WHERE slot / {BATCH_LIMIT} IN ({chosen})", [value])
    db.execute(f"DELETE FROM block WHERE batch IN ({chosen})", [value])
    db.execute(f"DELETE FROM batch WHERE {condition}", [value])
    db.execute("DELETE FROM owner WHERE id NOT IN (SELECT owner FROM batch)")
    db.execute("DELETE FROM files WHERE content NOT IN (SELECT key FROM place)")


def _count(db):
    return db.execute("SELECT count(*) FROM place").fetchone()[0]


def _inode(path):
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


# Parent and child must not harm each other where a process forks.
_CACHES, _FORKING = weakref.WeakSet(), []


def follow_forks(cache):
    """Let a cache, its stores and its lock survive the forks of this process."""
    _CACHES.add(cache)


def _before_fork():
    """Wait until nothing is under way: SQLite's locks do not survive a fork."""
    _FORKING[:] = [store for cache in list(_CACHES) for store in cache._stores()]
    for store in _FORKING:
        store._lock.acquire()


def _after_fork_in_parent():
    while _FORKING:
        _FORKING.pop()._lock.release()


def _after_fork_in_child():
    """Start with a connection of one's own to a file; what is in memory was copied."""
    for store in _FORKING:
        store._lock = threading.RLock()
        if store.place is not None:
            _LEAKED.append(store._db)
            store._db, store._is_open = None, False
    _FORKING.clear()
    for cache in _CACHES:  # a thread that is not in the child may have held it
        cache._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
