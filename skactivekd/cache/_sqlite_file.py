"""The SQLite file of embeddings: opened, created, and errors that say what to do."""

import os
import sqlite3
import warnings

from ..utils._file_locks import no_locks
from ..utils._untrusted_sqlite import check_schema, open_file

APPLICATION = 0x736B6B64  # "skkd" in the header says that the file is ours
SCHEMA_VERSION = 3  # 1 had no seals; 2 named encoders and rows otherwise
PATIENCE = 300  # seconds to wait while other processes write

# A batch is one blob, so that many rows are read with few steps. SQLite does not notice
# damage, so that whatever leads to a row is only a hint: a batch is sealed with the owner's
# name and the keys of its rows, and `files`, which says what a file in some state held, too.
# `written` is in seconds since 1970.
_TABLES = {
    "owner": "CREATE TABLE owner (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    "batch": "CREATE TABLE batch (id INTEGER PRIMARY KEY AUTOINCREMENT, owner INTEGER NOT NULL, "
    "n INTEGER NOT NULL, size INTEGER NOT NULL, seal INTEGER NOT NULL, written REAL NOT NULL)",
    "block": "CREATE TABLE block (batch INTEGER PRIMARY KEY, keys BLOB NOT NULL, "
    "data BLOB NOT NULL)",
    "place": "CREATE TABLE place (owner INTEGER NOT NULL, key BLOB NOT NULL, "
    "slot INTEGER NOT NULL, PRIMARY KEY (owner, key)) WITHOUT ROWID",
    "files": "CREATE TABLE files (stamp BLOB PRIMARY KEY, content BLOB NOT NULL, "
    "seal INTEGER NOT NULL) WITHOUT ROWID",
}


def connect(path, create):
    """Open the file; where there is none yet, and none is to be made, an empty one in memory.

    Also tells whether what was opened is what was asked for. The rollback journal is SQLite's
    default and stays: unlike a write-ahead log it works on network file systems and on read-only
    media, and leaves one file. With synchronous=NORMAL a killed process never does harm.
    """
    if path is not None and create:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    opened = path if create or (path is not None and os.path.exists(path)) else None
    # One lock guards the connection, so that threads may take turns.
    db = open_file(opened, "rwc" if create else "rw", PATIENCE)
    try:
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA cache_size = -16000")
        ours = _is_ours(db, opened)
        if not ours and opened is not None and not create:
            db.close()
            db = open_file(None, "rw", PATIENCE)
        if not ours:
            _create(db, opened)
    except BaseException:
        db.close()
        raise
    return db, ours or create or path is None


def _is_ours(db, path):
    """Tell whether the file holds our tables; if not, it is empty or of an old format."""
    application, version = pragma(db, "application_id"), pragma(db, "user_version")
    kinds = {kind for (kind,) in db.execute("SELECT type FROM sqlite_master").fetchall()}
    if application != APPLICATION:
        if application or version or kinds:
            raise ValueError(
                f"{path} is an SQLite file of another program, not a cache of embeddings; choose "
                "another path"
            )
        return False
    if version > SCHEMA_VERSION:
        raise ValueError(
            f"{path} was written by a newer skactivekd (format {version}, this one reads up "
            f"to {SCHEMA_VERSION}) or is damaged: upgrade skactivekd, choose another path, or "
            "delete it"
        )
    if version < 1 or (version < SCHEMA_VERSION and kinds - {"table", "index"}):
        raise sqlite3.DatabaseError("its tables are not those of a cache")
    if version < SCHEMA_VERSION:
        return False
    check_schema(db, _TABLES.values())
    return True


def _create(db, path):
    db.execute("PRAGMA page_size = 8192")
    db.execute("BEGIN IMMEDIATE")
    try:
        if _is_ours(db, path):  # another process was faster
            return
        if pragma(db, "user_version"):
            warnings.warn(
                f"{path} has the format of an older skactivekd: it is emptied, and its embeddings "
                "are encoded again",
                UserWarning,
                stacklevel=2,
            )
        for name, text in _TABLES.items():
            db.execute(f"DROP TABLE IF EXISTS {name}")
            db.execute(text)
        check_schema(db, _TABLES.values())
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    finally:
        db.execute("COMMIT")


def explain(path, error):
    """Turn an error of SQLite into one that says what to do.

    It is an OSError if the file may be sound but cannot be used now, a ValueError otherwise.
    """
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_NOTADB"):
        return ValueError(
            f"{path} is not a cache of embeddings: it is no SQLite file, or a damaged "
            "one; choose another path, or delete it"
        )
    if name.startswith(_LOCK_ERRORS):
        return no_locks(path, "a cache of embeddings", error)
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return TimeoutError(
            f"{path} was locked by another process for {PATIENCE} s; end that process, or choose "
            "another path"
        )
    if isinstance(error, sqlite3.OperationalError) and not name.startswith("SQLITE_ERROR"):
        return OSError(
            f"{path} cannot be used as a cache of embeddings: {error} ({name}); choose another "
            "path, or delete it if it is damaged"
        )
    return ValueError(
        f"{path} is damaged ({error}): delete it, its embeddings will be encoded again"
    )


# What SQLite makes of a file system that refuses a lock.
_LOCK_ERRORS = (
    "SQLITE_IOERR_LOCK",
    "SQLITE_IOERR_RDLOCK",
    "SQLITE_IOERR_UNLOCK",
    "SQLITE_IOERR_CHECKRESERVEDLOCK",
    "SQLITE_NOLFS",
)


def pragma(db, name):
    """Return a setting of a file."""
    return db.execute(f"PRAGMA {name}").fetchone()[0]
