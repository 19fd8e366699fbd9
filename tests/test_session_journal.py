"""The journal: nothing acknowledged is lost, nothing is there twice, nothing foreign is touched."""

import errno
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest
from session_tools import answer, blobs, open_session

from skactivekd.session import _journal
from skactivekd.session._journal import Event, Journal
from skactivekd.utils import _file_locks

X, TRUTH = blobs()
KILLS = int(os.environ.get("SKACTIVEKD_KILLS", "15"))

# One process imports everything once and forks those that answer; each answer is noted in a
# file after the session has acknowledged it.
PROGRAM = """
import os, signal, sys
import numpy as np
from session_tools import blobs, open_session
X, truth = blobs()
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # leave no zombies
print("ready", flush=True)
for line in sys.stdin:
    folder, log, who = line.split()
    pid = os.fork()
    if not pid:
        session = open_session(folder, X, annotator=who)
        with open(log, "a") as file:
            while questions := session.ask():
                for question in questions:
                    label = session.classes[truth[question.index]]
                    session.tell(question, label)
                    file.write(f"{question.index} {label}\\n")
                    file.flush()
            file.write("done\\n")
        os._exit(0)
    print(pid, flush=True)
"""


@pytest.fixture(scope="module")
def server():
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    path = os.pathsep.join([os.path.dirname(__file__), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, env=environment, **pipes) as server:
        assert server.stdout.readline() == "ready\n"
        yield server


def start(server, folder, log, who="annotator"):
    print(folder, folder / log, who, file=server.stdin, flush=True)
    return int(server.stdout.readline())


def noted(file):
    text = file.read_text() if file.exists() else ""
    return [line.split() for line in text.split("\n")[:-1] if line != "done"]


def wait_until_done(*files):
    deadline = time.monotonic() + 120
    while not all(file.exists() and file.read_text().endswith("done\n") for file in files):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def check_file(path):
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()


@pytest.mark.parametrize("turn", range(-(-KILLS // 15)))
def test_a_kill_loses_no_answer_that_was_acknowledged(server, tmp_path, turn):
    rng, log = random.Random(turn), tmp_path / "log"
    for _ in range(15):
        pid = start(server, tmp_path, "log")
        time.sleep(rng.uniform(0.005, 0.25))
        with suppress(ProcessLookupError):  # all was answered
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
        if not (tmp_path / "labels.sqlite").exists():
            continue
        session = open_session(tmp_path, X)
        labels = dict(noted(log))
        assert all(session.y[int(row)] == label for row, label in labels.items())
        asked = session.ask(3)
        session.close()
        assert open_session(tmp_path, X).ask(3) == asked
    start(server, tmp_path, "log")
    wait_until_done(log)
    session = open_session(tmp_path, X)
    assert [session.classes.index(label) for label in session.y] == TRUTH.tolist()
    answers = [event.item for event in session._journal.read() if event.kind == "answered"]
    assert len(answers) == len(set(answers)) == len(X)
    check_file(session.journal)


def test_two_processes_on_one_journal(server, tmp_path):
    for who in ("ann", "ben"):
        start(server, tmp_path, who, who)
    wait_until_done(tmp_path / "ann", tmp_path / "ben")
    session = open_session(tmp_path, X)
    assert [session.classes.index(label) for label in session.y] == TRUTH.tolist()
    rows = [row for who in ("ann", "ben") for row, _ in noted(tmp_path / who)]
    assert len(rows) == len(set(rows)) == len(X)
    assert session.agreement()["labels"].keys() == {"ann", "ben"}
    check_file(session.journal)


def test_two_processes_with_one_name(server, tmp_path):
    for log in ("one", "two"):
        start(server, tmp_path, log)
    wait_until_done(tmp_path / "one", tmp_path / "two")
    session = open_session(tmp_path, X)
    assert [session.classes.index(label) for label in session.y] == TRUTH.tolist()
    answers = [event.item for event in session._journal.read() if event.kind == "answered"]
    assert len(answers) == len(set(answers)) == len(X)


def test_a_session_sees_what_another_one_says(tmp_path):
    one, two = open_session(tmp_path), open_session(tmp_path, annotator="ben")
    one.tell(0, "ant")
    assert two.y[0] == "ant"
    two.add_class("dog")
    one.tell(1, "dog")
    assert two.y[1] == "dog"
    assert one.ask()[0].index != two.ask()[0].index


def test_events_are_neither_changed_nor_removed(tmp_path):
    open_session(tmp_path).tell(0, "ant")
    db = sqlite3.connect(tmp_path / "labels.sqlite")
    for change in ("DELETE FROM event", "UPDATE event SET annotator = 'me'"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            db.execute(change)


def write(journal, events, error=None):
    with journal.writing() as append:
        append(events)
        if error:
            raise error


def test_nothing_is_kept_of_what_failed(tmp_path):
    journal, event = Journal(tmp_path / "a.sqlite"), Event("class", data={"name": "a"})
    with pytest.raises(RuntimeError):
        write(journal, [event], RuntimeError())
    assert journal.read() == []
    with pytest.raises(ValueError, match="damaged"):
        write(journal, [event, event])  # one event twice
    assert journal.read() == []


def test_an_earlier_answer_never_looks_later(tmp_path, monkeypatch):
    session = open_session(tmp_path)
    session.tell(0, "ant")
    monkeypatch.setattr(_journal.time, "time", lambda: 1000.0)  # the clock was set back
    session.tell(0, "bee")
    assert session.y[0] == "bee"
    assert open_session(tmp_path).y[0] == "bee"


def test_it_keeps_its_promise_across_a_fork(tmp_path):
    session = open_session(tmp_path)
    session.tell(0, "ant")
    pid = os.fork()
    if not pid:
        try:
            session._journal.read()
            with session._journal.writing() as append:
                append([Event("class", data={"name": "dog"})])
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    session.tell(1, "dog")
    assert session.y[1] == "dog"


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"index,label\n0,cat\n" * 50, "no labeling journal"),
        (b"SQLite format 3\0" + b"x" * 5000, "journal"),
    ],
)
def test_other_files_are_refused_and_left_alone(tmp_path, content, match):
    path = tmp_path / "labels.sqlite"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=match):
        open_session(tmp_path)
    assert path.read_bytes() == content


def test_files_of_other_programs_are_refused(tmp_path):
    db = sqlite3.connect(tmp_path / "labels.sqlite")
    db.execute("CREATE TABLE mine (x)")
    db.commit()
    db.close()
    with pytest.raises(ValueError, match="of another program"):
        open_session(tmp_path)


def test_a_newer_format_is_refused(tmp_path):
    open_session(tmp_path).close()
    db = sqlite3.connect(tmp_path / "labels.sqlite")
    db.execute("PRAGMA user_version = 2")
    db.close()
    with pytest.raises(ValueError, match="format 2, this one reads up to 1"):
        open_session(tmp_path)


def test_an_event_that_was_changed_is_noticed(tmp_path):
    session = open_session(tmp_path)
    session.tell(0, "ant")
    session.close()
    path = tmp_path / "labels.sqlite"
    content = path.read_bytes()
    assert content.count(b'"label": "ant"') == 1
    path.write_bytes(content.replace(b'"label": "ant"', b'"label": "bee"'))
    with pytest.raises(ValueError, match=r"damaged: event .* is not as it was written"):
        open_session(tmp_path)


def test_a_damaged_file_is_refused_in_words(tmp_path):
    session = open_session(tmp_path)
    answer(session, TRUTH, 40)
    session.close()
    path = tmp_path / "labels.sqlite"
    content = bytearray(path.read_bytes())
    size = len(content)
    for at in range(4096, size, 4096):
        content[at : at + 64] = os.urandom(64)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        open_session(tmp_path)
    path.write_bytes(content[: size // 2])
    with pytest.raises(ValueError, match="damaged"):
        open_session(tmp_path)


def test_a_journal_that_goes_away_is_noticed(tmp_path):
    session = open_session(tmp_path)
    session.tell(0, "ant")
    os.rename(tmp_path / "labels.sqlite", tmp_path / "elsewhere.sqlite")
    with pytest.raises(OSError, match="was removed or replaced"):
        session.tell(1, "bee")
    os.rename(tmp_path / "elsewhere.sqlite", tmp_path / "labels.sqlite")
    session.tell(1, "bee")
    assert open_session(tmp_path).y[1] == "bee"


def test_a_full_disk_loses_nothing_that_was_there(tmp_path):
    session = open_session(tmp_path)
    session.tell(0, "ant")
    pages = session._journal._db.execute("PRAGMA page_count").fetchone()[0]
    session._journal._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OSError, match="full; the answer was not kept") as caught:
        answer(session, TRUTH, 120)
    assert caught.value.errno == errno.ENOSPC
    n_kept = int((session.y != -1).sum())
    again = open_session(tmp_path)
    assert int((again.y != -1).sum()) == n_kept >= 1


def test_a_locked_file_is_said_to_be(tmp_path, monkeypatch):
    monkeypatch.setattr(_journal, "PATIENCE", 0.1)
    session = open_session(tmp_path)
    db = sqlite3.connect(tmp_path / "labels.sqlite", isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    with pytest.raises(TimeoutError, match="the answer was not kept"):
        session.tell(0, "ant")
    db.execute("ROLLBACK")
    session.tell(0, "ant")
    assert session.y[0] == "ant"


@pytest.mark.skipif(_file_locks.fcntl is None, reason="needs fcntl")
def test_file_systems_without_locks_are_refused(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(_file_locks.fcntl, "lockf", refuse)
    with pytest.raises(OSError, match="a labeling journal needs file locks"):
        open_session(tmp_path)
    assert not (tmp_path / "labels.sqlite").exists()


def test_folders_that_cannot_be_written(tmp_path, monkeypatch):
    with pytest.raises(IsADirectoryError, match="name a file in it"):
        open_session(tmp_path, name="")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="No journal can be written"):
        open_session(tmp_path / "file")
    with pytest.raises(OSError, match="No journal can be written"):
        open_session("/proc")

    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(_journal.tempfile, "TemporaryFile", refuse)
    with pytest.raises(OSError, match="answers would be lost"):
        open_session(tmp_path)


def test_folders_are_made_and_home_is_known(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    session = open_session("~/some/where")
    session.tell(0, "ant")
    assert (tmp_path / "some" / "where" / "labels.sqlite").exists()
    assert os.listdir(tmp_path / "some" / "where") == ["labels.sqlite"]


def test_journals_of_other_rows_or_settings(tmp_path):
    session = open_session(tmp_path)
    answer(session, TRUTH, 5)
    before = session.y
    with pytest.raises(ValueError, match="None of the 5 items"):
        open_session(tmp_path, X + 1)
    with pytest.raises(ValueError, match="another dtype"):
        open_session(tmp_path, X.astype(np.float32))
    with pytest.raises(ValueError, match=r"opened with audit=0\.1, not 0\.2"):
        open_session(tmp_path, X, audit=0.2)
    with pytest.raises(ValueError, match="opened with random_state=0, not 1"):
        open_session(tmp_path, X, random_state=1)
    with pytest.raises(ValueError, match="none of which is in classes"):
        open_session(tmp_path, X, classes=["up", "down"])
    with pytest.raises(TypeError, match="all str or all int"):
        open_session(tmp_path, X, classes=["ant", 1])
    np.testing.assert_array_equal(open_session(tmp_path, X).y, before)
    assert open_session(tmp_path, X, classes=["ant", "dog"]).classes == ["ant", "bee", "cow", "dog"]
