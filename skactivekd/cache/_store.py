"""Embeddings in one SQLite file, shared by processes."""

import math
import os
import sqlite3
import threading
import time
import zlib
from contextlib import contextmanager

import numpy as np

from ..utils._locks import check_locks
from ._memory_store import WIDTHS
from ._sqlite import connect, explain, transaction, used_bytes

KEY_SIZE = 16  # bytes of a key
BATCH_LIMIT = 2**20  # rows in a batch; a slot is its number times this, plus the row
_CHUNK = 4096  # keys in one query
_LEAKED = []  # connections of a parent process: closing them here would harm it


class FileStore:
    """Rows by owner and key in a file; those written longest ago are dropped first.

    Parameters
    ----------
    path : str
    dtype : dtype
        Of the rows. Rows of another dtype in the same file count as absent.
    max_bytes : int or None
        Largest size of the file; None is no limit.
    """

    def __init__(self, path, dtype, max_bytes):
        self.place, self.dtype, self.max_bytes = path, np.dtype(dtype), max_bytes
        self._db, self._inode, self._can_lock = None, None, False
        self._lock = threading.RLock()

    def read(self, owner, keys):
        """Return the positions in `keys` of the rows kept, and these rows."""
        with self._open() as db:
            if db is not None:
                with transaction(db, "DEFERRED"):
                    slots = self._find(db, self._number(db, owner), keys)
                    kept = np.flatnonzero(slots >= 0)
                    if len(kept) < len(keys):
                        keys, slots = [keys[position] for position in kept], slots[kept]
                    return kept, self._gather(db, self._name(owner), slots, keys)
        return np.empty(0, dtype=np.intp), np.empty((0, 0), dtype=self.dtype)

    def write(self, owner, keys, rows, files):
        """Keep rows, and what was found in files; return how many rows are new."""
        with self._open(create=True) as db:
            with transaction(db, "IMMEDIATE"):
                db.execute("INSERT OR IGNORE INTO owner (name) VALUES (?)", [self._name(owner)])
                number = self._number(db, owner)
                new = np.flatnonzero(self._find(db, number, keys) < 0)
                if len(new):
                    self._insert(db, owner, number, [keys[i] for i in new], rows[new])
                sealed = [(*item, zlib.crc32(b"".join(item))) for item in files.items()]
                db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", sealed)
                if self.max_bytes is not None and used_bytes(db) > self.max_bytes:
                    self._shrink(db, 0.9 * self.max_bytes)  # not again at the next batch
            return len(new)

    def read_files(self, stamps):
        """Return the content of files as far as it is known, by stamp."""
        with self._open() as db:
            if db is None:
                return {}
            query = "SELECT stamp, content, seal FROM files WHERE 1"
            found = _look_up(db, query, "SELECT count(*) FROM files", "stamp", [], stamps)
        return {record[0]: record[1] for record in found if _is_sealed(*record)}

    def prune(self, max_bytes=None, before=None):
        """Drop rows beyond a size, and rows written before a time; return how many."""
        with self._open() as db:
            if db is None:
                return 0
            with transaction(db, "IMMEDIATE"):
                count = _count(db)
                if before is not None:
                    _drop(db, "written < ?", before)
                if max_bytes is not None:
                    self._shrink(db, max_bytes)
                count -= _count(db)
            db.execute("VACUUM")
            return count

    def clear(self):
        """Drop everything."""
        self.prune(before=float("inf"))

    def __len__(self):
        with self._open() as db:
            return 0 if db is None else _count(db)

    @property
    def nbytes(self):
        """Size of the file."""
        try:
            return os.path.getsize(self.place)
        except FileNotFoundError:
            return 0

    def before_fork(self):
        """Wait until nothing is under way: SQLite's locks do not survive a fork."""
        self._lock.acquire()

    def after_fork_in_parent(self):
        """Go on."""
        self._lock.release()

    def after_fork_in_child(self):
        """Start with a connection of one's own."""
        _LEAKED.append(self._db)
        self._db, self._lock = None, threading.RLock()

    @contextmanager
    def _open(self, create=False):
        """Give the connection, None if there is no file and none is to be made."""
        with self._lock:
            if not self._can_lock:
                check_locks(self.place, "a cache of embeddings")
                self._can_lock = True
            try:
                if self._db is None or self._inode != _inode(self.place):
                    self._close()
                    self._db = connect(self.place, create)
                    self._inode = _inode(self.place)
                yield self._db
            except (sqlite3.Error, UnicodeDecodeError) as error:
                self._close()
                raise explain(self.place, error) from error

    def _close(self):
        if self._db is not None:
            self._db.close()
        self._db = None

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
        slots = [found.get(key, -1) for key in keys]
        try:
            slots = np.array(slots, dtype=np.int64)
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
        query = "INSERT INTO batch (owner, n, seal, written) VALUES (?, ?, ?, ?)"
        batch = db.execute(query, [number, len(rows), seal, time.time()]).lastrowid
        db.execute("INSERT INTO block VALUES (?, ?, ?)", [batch, joined, data])
        first = batch * BATCH_LIMIT
        places = [(number, key, first + row) for row, key in enumerate(keys)]
        db.executemany("INSERT INTO place VALUES (?, ?, ?)", places)

    def _shrink(self, db, max_bytes):
        """Drop the oldest batches until what is used fits."""
        while (used := used_bytes(db)) > max_bytes:
            count = db.execute("SELECT count(*) FROM batch").fetchone()[0]
            if not count:
                return
            n = math.ceil(count * (1 - max_bytes / used))
            _drop(db, "id IN (SELECT id FROM batch ORDER BY id LIMIT ?)", n)


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


def _is_sealed(stamp, content, seal):
    sound = isinstance(stamp, bytes) and isinstance(content, bytes)
    return sound and zlib.crc32(stamp + content) == seal


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
