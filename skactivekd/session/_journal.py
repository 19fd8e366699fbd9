"""The file in which every answer of a person is on disk before anybody goes on."""

import errno
import json
import os
import sqlite3
import tempfile
import threading
import time
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from ..utils._file_locks import check_locks
from ..utils._untrusted_sqlite import check_schema, open_file

APPLICATION = 0x736B6C62  # "sklb" in the header says that the file is ours
FORMAT = 1
_LARGEST = 2**26  # bytes of an event; they have some hundred
PATIENCE = 30  # seconds; a write of another process takes milliseconds
_LEAKED = []  # connections of a parent process: closing them here would harm it

# `file` only saves reading files again; all else is appended and never changed. `crc` is of
# the rest of its row, since SQLite does not notice a damaged value.
_SCHEMA = (
    "CREATE TABLE event (id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE, "
    "time REAL NOT NULL, kind TEXT NOT NULL, annotator TEXT, item TEXT, data TEXT NOT NULL, "
    "crc INTEGER NOT NULL)",
    "CREATE TRIGGER no_change BEFORE UPDATE ON event "
    "BEGIN SELECT raise(ABORT, 'the journal is append-only'); END",
    "CREATE TRIGGER no_loss BEFORE DELETE ON event "
    "BEGIN SELECT raise(ABORT, 'the journal is append-only'); END",
    "CREATE TABLE file (stamp TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID",
)


@dataclass(frozen=True)
class Event:
    """Something that happened: an answer, a question, an undo, a new class.

    Parameters
    ----------
    kind : str
        "opened", "class", "asked", "answered", "skipped", "rejected", "denied"
        or "undone".
    annotator : str or None
        Who did it.
    item : str or None
        Key of the row that it is about.
    data : dict
        The rest; JSON.
    uid : str
        The same wherever the event is copied to.
    time : float or None
        Seconds since 1970; None until it is written.
    id : int or None
        Place in the file; None until it is written.
    """

    kind: str
    annotator: str | None = None
    item: str | None = None
    data: dict = field(default_factory=dict)
    uid: str = field(default_factory=lambda: uuid4().hex)
    time: float | None = None
    id: int | None = None


class Journal:
    """An append-only SQLite file of events, shared by threads and processes.

    SQLite's rollback journal stays, unlike a write-ahead log it works where there is no
    shared memory and leaves one file. With ``synchronous=EXTRA`` a commit is on disk, the
    directory too, when it returns.

    Parameters
    ----------
    path : str or path
        Made where there is none, with its folder. "~" is the home folder.

    Raises
    ------
    ValueError
        If the file is of another program, of a newer format or damaged.
    OSError
        If the folder cannot be written to, or its file system has no locks.

    Examples
    --------
    >>> import os, tempfile
    >>> from skactivekd.session._journal import Event, Journal
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     journal = Journal(os.path.join(folder, "labels.sqlite"))
    ...     with journal.writing() as append:
    ...         append([Event("class", data={"name": "cat"})])
    ...     [(event.kind, event.data) for event in journal.read()]
    [('class', {'name': 'cat'})]
    """

    def __init__(self, path):
        self.path = os.path.realpath(os.path.expanduser(os.fspath(path)))
        self.lock, self._pid = threading.RLock(), os.getpid()
        self._db, self._place = None, None
        with self._connection():
            pass

    def __getstate__(self):
        return {"path": self.path}

    def __setstate__(self, state):
        self.__init__(state["path"])

    def read(self, after=0):
        """Return the events behind a place in the file, oldest first.

        Parameters
        ----------
        after : int, default=0
            The `id` of the last event that is known.

        Returns
        -------
        events : list of Event
        """
        with self._connection() as db:
            query = "SELECT id, uid, time, kind, annotator, item, data, crc FROM event WHERE id > ?"
            rows = db.execute(f"{query} ORDER BY id", [after]).fetchall()
        return [self._event(*row) for row in rows]

    @contextmanager
    def writing(self):
        """Keep all other writers out, and commit what is appended on the way out.

        Yields
        ------
        append : callable
            Takes a list of events. They are on disk when the block has ended
            without an error, and none of them is if it ended with one.
        """
        with self._connection(check_place=True) as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield lambda events: self._append(db, events)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    def known_files(self):
        """Return what files held when they were read: a dict of stamp to content."""
        with self._connection() as db:
            known = db.execute("SELECT stamp, content FROM file").fetchall()
            return {stamp: text for stamp, text in known if isinstance(text, str)}

    def remember_files(self, contents):
        """Keep what files held, so that they need not be read again."""
        with self._connection(check_place=True) as db:
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT OR REPLACE INTO file VALUES (?, ?)", contents.items())
            db.execute("COMMIT")

    def close(self):
        """Let go of the file; the next use opens it again."""
        with self.lock:
            if self._db is not None:
                self._db.close()
            self._db = None

    def _append(self, db, events):
        # An earlier answer must not look later because a clock was set back.
        last = db.execute("SELECT max(time) FROM event").fetchone()[0] or 0.0
        for event in events:
            check_event(event)
            when = max(time.time(), last) if event.time is None else event.time
            when = round(float(when), 6)  # as exactly as exported files can say it
            values = event.uid, when, event.kind, event.annotator, event.item
            values = *values, json.dumps(event.data, sort_keys=True)
            db.execute(
                "INSERT INTO event (uid, time, kind, annotator, item, data, crc) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                [*values, _crc(values)],
            )

    def _event(self, place, uid, when, kind, annotator, item, data, crc):
        values = uid, when, kind, annotator, item, data
        try:
            sound = _crc(values) == crc
            event = Event(kind, annotator, item, json.loads(data), uid, when, place)
            check_event(event)
        except (TypeError, ValueError, RecursionError):  # values of other types
            sound = False
        if not (sound and isinstance(event.data, dict)):
            raise ValueError(
                f"{self.path} is damaged: event {place} ({kind!r:.60}) is not as it was written. "
                "Restore the file from a backup."
            )
        return event

    @contextmanager
    def _connection(self, check_place=False):
        """Give the connection to one thread at a time, and put SQLite's errors into words."""
        if self._pid != os.getpid():  # SQLite's locks do not survive a fork
            _LEAKED.append(self._db)
            self.lock, self._pid, self._db = threading.RLock(), os.getpid(), None
        with self.lock:
            try:
                if self._db is None:
                    self._db = _open(self.path)
                    self._place = _place(self.path)
                elif check_place and self._place != _place(self.path):
                    raise OSError(
                        f"{self.path} was removed or replaced while it was in use, so that this "
                        "answer cannot be kept. Put it back, or open the session again."
                    )
                yield self._db
            except sqlite3.DatabaseError as error:
                raise _explain(self.path, error) from error


def check_event(event):
    """Refuse what SQLite would store as something else, so that it could not be read again."""
    texts = [event.uid, event.kind, event.annotator, event.item]
    if not (
        event.uid and event.kind and all(text is None or isinstance(text, str) for text in texts)
    ):
        raise ValueError(
            f"An event must have texts for id, kind, annotator and item: {event!r:.200}."
        )
    try:
        "".join(text for text in texts if text).encode()
    except UnicodeEncodeError:
        raise ValueError(f"An event has a character that is none: {event!r:.200}.") from None
    if event.time is not None and not 0 <= event.time < 1e11:  # the year 5138
        raise ValueError(f"An event was at the time {event.time!r}.")


def _crc(values):
    return zlib.crc32(json.dumps(values).encode())


def _place(path):
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _open(path):
    _check_folder(path)
    db = open_file(path, "rwc", PATIENCE)
    try:
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST)
        db.execute("PRAGMA synchronous = EXTRA")
        if not _is_ours(db, path):
            db.execute("BEGIN IMMEDIATE")
            if not _is_ours(db, path):  # no other process was faster
                for statement in _SCHEMA:
                    db.execute(statement)
                db.execute(f"PRAGMA application_id = {APPLICATION}")
                db.execute(f"PRAGMA user_version = {FORMAT}")
            db.execute("COMMIT")
        fault = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if fault != "ok":
            raise sqlite3.DatabaseError(fault)
        return db
    except BaseException:
        db.close()
        raise


def _is_ours(db, path):
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if application == APPLICATION:
        if version > FORMAT:
            raise ValueError(
                f"{path} was written by a newer skactivekd (format {version}, this one reads up to "
                f"{FORMAT}): upgrade skactivekd, or choose another journal."
            )
        check_schema(db, _SCHEMA)
        return True
    if application or version or db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise ValueError(
            f"{path} is an SQLite file of another program, not a labeling journal; choose another "
            "path for journal=."
        )
    return False


def _check_folder(path):
    """Raise OSError at once where answers could not be kept safely."""
    folder = os.path.dirname(path)
    if os.path.isdir(path):
        raise IsADirectoryError(f"journal={path} is a folder; name a file in it.")
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # SQLite writes beside the file too
            pass
    except OSError as error:
        raise type(error)(
            error.errno,
            f"No journal can be written in {folder} ({error.strerror}): answers would be lost. "
            "Choose another folder for journal=, or get the right to write there",
        ) from error
    check_locks(path, "a labeling journal")
    if os.path.exists(path) and not os.access(path, os.W_OK):
        raise PermissionError(f"{path} may not be written to: answers would be lost.")


def _explain(path, error):
    """Turn an error of SQLite into one that says what to do."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_NOTADB"):
        return ValueError(
            f"{path} is no labeling journal: it is no SQLite file, or its beginning is damaged. "
            "Choose another path for journal=, or restore the file from a backup."
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return TimeoutError(
            f"{path} was locked by another program for {PATIENCE} s; the answer was not kept. End "
            "that program and answer again."
        )
    if name.startswith("SQLITE_FULL"):
        return OSError(
            errno.ENOSPC, f"The disk of {path} is full; the answer was not kept. Make room", path
        )
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_IOERR")):
        return OSError(f"{path} cannot be written ({error}, {name}); the answer was not kept.")
    return ValueError(
        f"{path} is damaged or no labeling journal ({error}). Restore it from a backup, or choose "
        "another path for journal=."
    )
