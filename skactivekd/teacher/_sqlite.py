"""The SQLite file of embeddings: opened, created, and errors that say what to do."""

import os
import pathlib
import sqlite3
from contextlib import contextmanager

APPLICATION = 0x736B6B64  # "skkd" in the header says that the file is ours
SCHEMA_VERSION = 1
PATIENCE = 300  # seconds to wait while other processes write

# A batch is one blob, so that many rows are read with few steps; `crc` is of that blob,
# which SQLite itself does not check. `written` is in seconds since 1970. `files` says
# what a file of some path, size and time of change held.
_SCHEMA = """
CREATE TABLE owner (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE batch (id INTEGER PRIMARY KEY AUTOINCREMENT, owner INTEGER NOT NULL,
    n INTEGER NOT NULL, crc INTEGER NOT NULL, written REAL NOT NULL);
CREATE TABLE block (batch INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE place (owner INTEGER NOT NULL, key BLOB NOT NULL, slot INTEGER NOT NULL,
    PRIMARY KEY (owner, key)) WITHOUT ROWID;
CREATE TABLE files (stamp BLOB PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID;
"""


def connect(path, create):
    """Open the file, or return None where there is nothing to read.

    The rollback journal is SQLite's default and stays: unlike a write-ahead log
    it works on network file systems and on read-only media, and leaves one file.
    With synchronous=NORMAL a killed process never does harm.

    Parameters
    ----------
    path : str
    create : bool
        Make the file, its parent directories and its tables.

    Returns
    -------
    db : sqlite3.Connection or None
    """
    if create:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    elif not os.path.exists(path):
        return None
    uri = f"{pathlib.Path(path).as_uri()}?mode={'rwc' if create else 'rw'}"
    # One lock guards the connection, so that threads may take turns.
    db = sqlite3.connect(
        uri, uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False
    )
    try:
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA cache_size = -16000")
        if _is_ours(db, path):
            return db
        if create:
            _create(db, path)
            return db
    except BaseException:
        db.close()
        raise
    db.close()
    return None


def _is_ours(db, path):
    application, version = _pragma(db, "application_id"), _pragma(db, "user_version")
    if application == APPLICATION:
        if version > SCHEMA_VERSION:
            raise ValueError(
                f"{path} was written by a newer skactivekd (format {version}, this one reads up "
                f"to {SCHEMA_VERSION}): upgrade skactivekd, or choose another path"
            )
        return True
    if application or version or db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise ValueError(
            f"{path} is an SQLite file of another program, not a cache of embeddings; choose "
            "another path"
        )
    return False


def _create(db, path):
    db.execute("PRAGMA page_size = 8192")
    with transaction(db, "IMMEDIATE"):
        if _is_ours(db, path):  # another process was faster
            return
        for statement in _SCHEMA.split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _pragma(db, name):
    return db.execute(f"PRAGMA {name}").fetchone()[0]


def used_bytes(db):
    """Bytes of the file that hold something."""
    pages = _pragma(db, "page_count") - _pragma(db, "freelist_count")
    return pages * _pragma(db, "page_size")


@contextmanager
def transaction(db, mode):
    """All or nothing: DEFERRED reads one state, IMMEDIATE writes."""
    db.execute(f"BEGIN {mode}")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def explain(path, error):
    """Turn an error of SQLite into one that says what to do.

    Returns
    -------
    error : ValueError or OSError
        OSError if the file may be sound but cannot be used now.
    """
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_NOTADB"):
        return ValueError(
            f"{path} is not a cache of embeddings: it is no SQLite file, or a damaged "
            "one; choose another path, or delete it"
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return TimeoutError(
            f"{path} was locked by another process for {PATIENCE} s; end that process, or choose "
            "another path (some network file systems have no locks)"
        )
    if isinstance(error, sqlite3.OperationalError) and not name.startswith("SQLITE_ERROR"):
        return OSError(f"{path} cannot be used as a cache of embeddings: {error} ({name})")
    return ValueError(
        f"{path} is damaged ({error}): delete it, its embeddings will be encoded again"
    )
