"""The file that keeps the finished rounds of a simulation."""

import csv
import errno
import hashlib
import io
import numbers
import os
import shutil
from collections import namedtuple
from contextlib import suppress
from uuid import uuid4

import numpy as np

from ..utils._file_locks import NO_LOCKS

try:
    import fcntl
except ImportError:  # Windows; there a single write has to do
    fcntl = None

COLUMNS = "estimator strategy seed round n_labels score settings queried".split()
_HEADER = ",".join(COLUMNS).encode() + b"\n"
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}

Round = namedtuple("Round", ["n_labels", "score", "queried"])
Round.__doc__ = "Labels of a round, its score, and the rows bought after it (none after the last)."


class Journal:
    """Finished rounds in a CSV file, one a line, safe against kills and other processes.

    The file, and the folders above it, are made where there are none.

    Parameters
    ----------
    path : str or path
        "~" is the home folder.
    settings : dict of (str, str) to str
        Digests for each pair of names of estimator and strategy: of the settings
        and, after a hyphen, of the samples.

    Attributes
    ----------
    locked : bool
        Whether the file system has locks, as far as is known.
    read_only : OSError or None
        Why the file can be read but not written.

    Examples
    --------
    >>> import os, tempfile
    >>> from skactivekd.simulation._journal import Journal, Round
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     journal = Journal(os.path.join(folder, "rounds.csv"), {("student", "random"): "5eed"})
    ...     journal.save(("student", "random", 0), 0, Round(3, 0.5, [8, 1]))
    ...     journal.load([("student", "random", 0)])
    {('student', 'random', 0): [Round(n_labels=3, score=0.5, queried=array([8, 1]))]}
    """

    def __init__(self, path, settings):
        self.path = _find_file(path)
        self.settings = settings
        self.locked, self.read_only = True, None
        self._closed, self._seen = False, ((), b"")
        for name in {name for names in settings for name in names}:
            if not isinstance(name, str) or "\n" in name or "\r" in name:
                raise ValueError(f"store= needs names that are strings of one line, got {name!r}")

    def __getstate__(self):
        return {**self.__dict__, "_seen": ((), b"")}  # a process reads for itself

    def load(self, runs):
        """Read what is there of some runs, and cut off a line that a kill left unfinished.

        Parameters
        ----------
        runs : list of (str, str, int)
            Estimator, strategy and seed of each.

        Returns
        -------
        rounds : dict of (str, str, int) to list of Round
            For each run its rounds from the first as far as they follow each
            other; only the last may lack its query.

        Raises
        ------
        ValueError
            If a seed is no int, the file is something else, a line of it is
            damaged or was edited, two lines contradict each other, or a run was
            stored with other settings or samples.
        """
        for *_, seed in runs:
            if not isinstance(seed, numbers.Integral):
                raise ValueError(f"store= needs seeds that are ints, got {seed!r}")
        try:
            with self._open() as file:
                data = self._contents(file)
        except OSError as error:
            if error.errno not in _READ_ONLY or not os.path.isfile(self.path):
                raise
            self.read_only = error
            with open(self.path, "rb") as file:
                data = _sound(file.read(), self.path)
        return self._collect(data, runs)

    def _collect(self, data, runs=None):
        """Put together the lines of runs made with our settings, or of all, however made."""
        stored = {run: {} for run in runs or ()}
        for line, (run, number, finished, settings) in self._parse(data):
            if runs is not None:
                if run not in stored:
                    continue
                self._check_settings(run, number, finished, settings, line)
            there = stored.setdefault(run, {}).setdefault(number, finished)
            if not _agree(there, finished):
                raise ValueError(
                    f"Line {line} of {self.path} contradicts an earlier line on round {number} of "
                    f"{run}; remove the wrong one."
                )
            if len(finished.queried):
                stored[run][number] = finished
        return {run: _consecutive(rounds) for run, rounds in stored.items()}

    def save(self, run, number, finished):
        """Write a finished round, unless it is there.

        Parameters
        ----------
        run : (str, str, int)
            Estimator, strategy and seed.
        number : int
            The round.
        finished : Round
            Completes a line that lacks its query.

        Raises
        ------
        ValueError
            If another result of this round is there.
        RuntimeError
            If the journal was closed.
        """
        if self._closed:
            raise RuntimeError(f"The simulation that writes to {self.path} has ended.")
        settings = self.settings[run[:2]]
        key = _line(*run[:2], int(run[2]), number)[:-1] + b","
        queried = " ".join(str(int(row)) for row in finished.queried)
        check = f"{settings}-{_checksum(run, number, finished, settings)}"
        whole = key + _line(finished.n_labels, repr(float(finished.score)), check, queried)
        with self._open() as file:
            data = self._contents(file)
            start = data.find(b"\n" + key) + 1
            if not start:
                return _append(file, whole)
            there = data[start : data.index(b"\n", start) + 1]
            _, _, other, used = _read_line(there)
            if not used.startswith(settings) or not _agree(other, finished):
                raise ValueError(
                    f"{self.path} holds another result of round {number} of {run}: "
                    f"{there.decode().strip()!r}, not {whole.decode().strip()!r}. Either two "
                    "simulations of it ran at once, or its result is not governed by the seed; "
                    "remove the lines of this run, or take another file."
                )
            if len(other.queried) or not len(finished.queried):
                return None
            return _rewrite(file, self.path, data[:start] + whole + data[start + len(there) :])

    def close(self):
        """Write nothing more, also from threads that go on."""
        self._closed = True

    def _open(self):
        """Open the file to read and append, and keep other writers out until it is closed.

        No context manager of our own: an interrupt between its lines would leave the
        lock with whoever keeps the traceback.
        """
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        while True:
            file = open(self.path, "a+b", buffering=0)
            try:
                self._lock(file)
                if _is_at(file, self.path):  # not rewritten while this process waited
                    return file
            except BaseException:
                file.close()
                raise
            file.close()

    def _lock(self, file):
        if fcntl is None or not self.locked:
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            self.locked = False

    def _contents(self, file):
        """Return the contents up to the last sound line, and cut the rest off the file.

        Reads on from what it saw before; only a rewritten file is read as a whole.
        """
        status = os.fstat(file.fileno())
        (place, seen), here = self._seen, (status.st_dev, status.st_ino)
        last = seen[seen.rfind(b"\n", 0, -1) + 1 :]
        file.seek(len(seen) - len(last))
        rest = file.readall() if place == here else b""
        if last and rest.startswith(last):
            data = seen + rest[len(last) :]
        else:
            file.seek(0)
            data = file.readall()
        sound = _sound(data, self.path)
        if len(sound) < len(data):
            file.truncate(len(sound))
        if not sound:
            _append(file, _HEADER)
        self._seen = here, sound or _HEADER
        return sound or _HEADER

    def _parse(self, data):
        """Yield the number of each line after the header, and what it says."""
        for number, line in enumerate(data.split(b"\n")[1:-1], start=2):
            try:
                yield number, _read_line(line)
            except (ValueError, OverflowError, csv.Error) as error:
                text = line.decode(errors="backslashreplace")
                text = text if len(text) < 200 else f"{text[:200]}..."
                raise ValueError(
                    f"Line {number} of {self.path} is damaged: {text!r} ({error}). Restore or "
                    "remove it."
                ) from error

    def _check_settings(self, run, number, finished, used, line):
        settings = self.settings[run[:2]]
        where = f"Line {line} of {self.path} was stored for estimator {run[0]!r} with strategy "
        remedy = "pass another store=, or give the estimator or the strategy another name."
        before, _, check = used.rpartition("-")
        if settings in (used, before):
            if used == settings or check == _checksum(run, number, finished, settings):
                return
            raise ValueError(
                f"Line {line} of {self.path} was changed after it was written: its checksum "
                f"{check!r} does not fit round {number} of {run}. Restore it, or remove it to "
                "run it again."
            )
        own, _, samples = settings.partition("-")
        if used == own:
            raise ValueError(
                f"{where}{run[1]!r} by a version that did not record X and X_test. If they are the "
                f"same as now, append '-{samples}' to the settings of its lines; else {remedy}"
            )
        if used.startswith(f"{own}-"):
            raise ValueError(f"{where}{run[1]!r} on another X or X_test; {remedy}")
        raise ValueError(
            f"{where}{run[1]!r} under other settings (parameters, labels, scoring or numbers of "
            f"labels); {remedy}"
        )


def read_store(path):
    """Return the rounds of every run in a store, by run; the file is left as it is."""
    journal = Journal(path, {})
    with open(journal.path, "rb") as file:
        return journal._collect(_sound(file.read(), journal.path))


def _find_file(path):
    """Return the whole path of a store, or say why no file can be there."""
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        raise TypeError(f"store= must be the path of a file, got {path!r}.")
    given, path = path, os.path.expanduser(os.fspath(path))
    if path.startswith("~"):
        raise ValueError(
            f"store={given!r} names a home folder that is not known; for a name that begins so, "
            f"pass {'./' + path!r}."
        )
    try:
        path = os.path.realpath(path)
        if os.path.isdir(path):
            code, problem = errno.EISDIR, "is a folder; name a file in it, such as rounds.csv"
            raise OSError(code, f"store={given!r} {problem}", path)
        if os.path.exists(path) and not os.path.isfile(path):  # a pipe, a device
            raise OSError(errno.EINVAL, f"store={given!r} is no regular file; name one", path)
        above = os.path.dirname(path)
        while not os.path.lexists(above):
            above = os.path.dirname(above)
    except ValueError as error:  # a null character
        raise ValueError(f"store={given!r} is no path of a file: {error}.") from None
    if not os.path.isdir(above):
        raise OSError(errno.ENOTDIR, f"store={given!r} lies below what is no folder", above)
    return path


def _is_at(file, path):
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _sound(data, path):
    """Return the contents of a store up to the last line that is whole."""
    if _HEADER.startswith(data) and data != _HEADER:  # new, or killed at the first write
        return b""
    sound = data[: data.rfind(b"\n") + 1]
    first = sound.partition(b"\n")[0]
    if first.rstrip() != _HEADER.rstrip():
        raise ValueError(
            f"{path} is no store of simulate: its first line is {data[:80]!r}, not {_HEADER!r}"
        )
    last = sound[sound.rfind(b"\n", 0, -1) + 1 :]
    try:
        whole = len(_split(last.decode(errors="replace"))) == len(COLUMNS)
    except csv.Error:
        whole = False
    return sound if whole else sound[: -len(last)]


def _read_line(line):
    """Return run, number, round and digests that a line holds."""
    name, label, seed, number, n_labels, score, settings, queried = _split(line.decode())
    queried = np.array(queried.split(), dtype=np.int64)
    finished = Round(int(n_labels), float(score), queried)
    return (name, label, int(seed)), int(number), finished, settings


def _split(line):
    """Split a line into its values; the last may be longer than csv takes."""
    head, _, queried = line.rstrip("\r\n").rpartition(",")
    return [*next(csv.reader([head]), []), queried]


def _checksum(run, number, finished, settings):
    """Digest what a line says, so that a change shows."""
    queried = [int(row) for row in finished.queried]
    values = int(run[2]), number, int(finished.n_labels), float(finished.score), queried
    return hashlib.sha256(repr((*run[:2], *values, settings)).encode()).hexdigest()[:8]


def _agree(one, other):
    """Tell whether two results of a round are the same, but for a query that one lacks."""
    same = one.n_labels == other.n_labels and repr(float(one.score)) == repr(float(other.score))
    queries = [list(map(int, each.queried)) for each in (one, other) if len(each.queried)]
    return same and (len(queries) < 2 or queries[0] == queries[1])


def _line(*values):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()


def _append(file, line):
    """Append in one write, and see that it is on the disk."""
    end = file.seek(0, os.SEEK_END)
    if file.write(line) < len(line):
        file.truncate(end)
        raise OSError(f"{file.name} could not be written whole; is the disk full?")
    os.fsync(file.fileno())


def _rewrite(file, path, data):
    """Exchange the contents; a kill leaves the one or the other."""
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{uuid4().hex}.tmp")  # surely not the user's
    try:
        with open(temporary, "xb") as new:
            new.write(data)
            new.flush()
            os.fsync(new.fileno())
        shutil.copymode(path, temporary)
        if fcntl is None:
            file.close()  # Windows exchanges no open file
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.remove(temporary)
        raise


def _consecutive(rounds):
    """List the rounds from 0 on, up to a gap or the first that lacks its query."""
    found = []
    while len(found) in rounds and (not found or len(found[-1].queried)):
        found.append(rounds[len(found)])
    return found
