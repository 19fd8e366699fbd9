"""The file that keeps the finished rounds of a simulation."""

import csv
import io
import numbers
import os
import shutil
from collections import namedtuple
from contextlib import contextmanager

import numpy as np

try:
    import fcntl
except ImportError:  # Windows; there a single write has to do
    fcntl = None

COLUMNS = "estimator strategy seed round n_labels score settings queried".split()
_HEADER = ",".join(COLUMNS).encode() + b"\n"

Round = namedtuple("Round", ["n_labels", "score", "queried"])
Round.__doc__ = "Labels of a round, its score, and the rows bought after it (none after the last)."


class Journal:
    """Finished rounds in a CSV file, one a line, safe against kills and other processes.

    Parameters
    ----------
    path : str or path
        Made if it is not there.
    settings : dict of (str, str) to str
        Digest of the settings for each pair of names of estimator and strategy.

    Examples
    --------
    >>> import os, tempfile
    >>> from skactivekd._journal import Journal, Round
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     journal = Journal(os.path.join(folder, "rounds.csv"), {("student", "random"): "5eed"})
    ...     journal.save(("student", "random", 0), 0, Round(3, 0.5, [8, 1]))
    ...     journal.load([("student", "random", 0)])
    {('student', 'random', 0): [Round(n_labels=3, score=0.5, queried=array([8, 1]))]}
    """

    def __init__(self, path, settings):
        self.path, self.settings = os.path.realpath(path), settings
        for name in {name for names in settings for name in names}:
            if not isinstance(name, str) or "\n" in name or "\r" in name:
                raise ValueError(f"store= needs names that are strings of one line, got {name!r}")

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
            damaged, or a run was stored with other settings.
        """
        for *_, seed in runs:
            if not isinstance(seed, numbers.Integral):
                raise ValueError(f"store= needs seeds that are ints, got {seed!r}")
        with _locked(self.path) as file:
            data = _repaired(file, self.path)
        stored = {run: {} for run in runs}
        for line, (name, label, seed, number, *values) in _parse(data, self.path):
            run = (name, label, seed)
            if run in stored:
                self._check_settings(run, values.pop(2), line)
                stored[run][number] = Round(*values)
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
        """
        queried = " ".join(str(int(row)) for row in finished.queried)
        key = _line(*run[:2], int(run[2]), number)[:-1] + b","
        values = [finished.n_labels, repr(float(finished.score)), self.settings[run[:2]]]
        whole = key + _line(*values, queried)
        with _locked(self.path) as file:
            data = _repaired(file, self.path)
            start = data.find(b"\n" + key) + 1
            if not start:
                return _append(file, whole)
            there = data[start : data.index(b"\n", start) + 1]
            if there.strip() == whole.strip():
                return None
            if there.strip() != (key + _line(*values, "")).strip():
                raise ValueError(
                    f"{self.path} holds another result of round {number} of {run}: "
                    f"{there.decode().strip()!r}, not {whole.decode().strip()!r}. Either two "
                    "simulations of it ran at once, or its result is not governed by the seed; "
                    "remove the lines of this run, or take another file."
                )
            return _rewrite(file, self.path, data[:start] + whole + data[start + len(there) :])

    def _check_settings(self, run, settings, line):
        if settings != self.settings[run[:2]]:
            raise ValueError(
                f"Line {line} of {self.path} was stored for estimator {run[0]!r} with strategy "
                f"{run[1]!r} under other settings (parameters, labels, scoring or numbers of "
                "labels); pass another store=, or give the estimator or the strategy another name."
            )


@contextmanager
def _locked(path):
    """Open the file to read and append, and keep other writers out meanwhile."""
    while True:
        with open(path, "a+b", buffering=0) as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
            if _is_at(file, path):  # not rewritten while this process waited
                yield file
                return


def _is_at(file, path):
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _repaired(file, path):
    """Return the contents up to the last sound line, and cut the rest off the file."""
    file.seek(0)
    data = file.readall()
    if _HEADER.startswith(data) and data != _HEADER:  # new, or killed at the first write
        sound = b""
    else:
        sound = data[: data.rfind(b"\n") + 1]
        first = sound.partition(b"\n")[0]
        if first.rstrip() != _HEADER.rstrip():
            raise ValueError(
                f"{path} is no store of simulate: its first line is {data[:80]!r}, not {_HEADER!r}"
            )
        last = sound[sound.rfind(b"\n", 0, -1) + 1 :]
        if _fields(last) != len(COLUMNS):
            sound = sound[: -len(last)]
    if len(sound) < len(data):
        file.truncate(len(sound))
    if not sound:
        _append(file, _HEADER)
    return sound or _HEADER


def _parse(data, path):
    """Yield the number of each line after the header, and its values."""
    lines = io.StringIO(data.decode(), newline="\n")
    for number, line in enumerate(lines, start=1):
        if number == 1:
            continue
        try:
            name, label, seed, turn, n_labels, score, settings, queried = _split(line)
            queried = np.array(queried.split(), dtype=np.int64)
            row = name, label, int(seed), int(turn), int(n_labels), float(score), settings, queried
        except ValueError as error:
            raise ValueError(f"Line {number} of {path} is damaged: {line!r} ({error})") from error
        yield number, row


def _split(line):
    """Split a line into its values; the last may be longer than csv takes."""
    head, _, queried = line.rstrip("\r\n").rpartition(",")
    return [*next(csv.reader([head]), []), queried]


def _fields(line):
    return len(_split(line.decode(errors="replace")))


def _line(*values):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()


def _append(file, line):
    """Append in one write, and see that it is on the disk."""
    if file.write(line) < len(line):
        raise OSError(f"{file.name} could not be written whole; is the disk full?")
    os.fsync(file.fileno())


def _rewrite(file, path, data):
    """Exchange the contents; a kill leaves the one or the other."""
    temporary = f"{path}.tmp"
    with open(temporary, "wb") as new:
        new.write(data)
        new.flush()
        os.fsync(new.fileno())
    shutil.copymode(path, temporary)
    if fcntl is None:
        file.close()  # Windows exchanges no open file
    os.replace(temporary, path)


def _consecutive(rounds):
    """List the rounds from 0 on, up to a gap or the first that lacks its query."""
    found = []
    while len(found) in rounds and (not found or len(found[-1].queried)):
        found.append(rounds[len(found)])
    return found
