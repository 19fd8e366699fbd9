"""SQLite files that a stranger may have made: nothing in them runs."""

import pathlib
import sqlite3

_SEQUENCE = ("table", "sqlite_sequence", "CREATE TABLE sqlite_sequence(name,seq)")  # SQLite's own


def open_file(path, mode, timeout):
    """Connect to a file, without trust in what it says is to be computed."""
    uri = ":memory:" if path is None else f"{pathlib.Path(path).as_uri()}?mode={mode}"
    db = sqlite3.connect(
        uri, uri=True, timeout=timeout, isolation_level=None, check_same_thread=False
    )
    try:
        db.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        if hasattr(db, "setconfig"):  # Python 3.12
            db.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA cell_size_check = ON")
    except BaseException:
        db.close()
        raise
    return db


def vacuum(db):
    """Give the room of what was dropped back to the file system."""
    db.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 1)  # SQLite copies the file into another one
    try:
        db.execute("VACUUM")
    finally:
        db.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)


def check_schema(db, statements):
    """Refuse a file that holds anything but what we create: a trigger or a view is a program."""
    wanted = {text: _named(text) for text in statements}
    missing = dict(wanted)
    for kind, name, text in db.execute("SELECT type, name, sql FROM sqlite_master").fetchall():
        if wanted.get(text) == (kind, name):
            missing.pop(text, None)
        elif (kind, name, text) != _SEQUENCE and not (kind == "index" and text is None):
            raise sqlite3.DatabaseError(f"the {kind} {name!r} is not one of this format")
    for kind, name in missing.values():
        raise sqlite3.DatabaseError(f"the {kind} {name!r} is missing")


def _named(statement):
    """Return kind and name of what a CREATE statement makes."""
    _, kind, name = statement.split()[:3]
    return kind.lower(), name.partition("(")[0]
