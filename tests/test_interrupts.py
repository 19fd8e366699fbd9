"""Interrupted at any moment: the caller learns of it, and nothing unfinished is kept.

SKACTIVEKD_INTERRUPTS=40 pytest -m "" tests/test_interrupts.py interrupts each 40 times.
"""

import dis
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB
from sklearn.utils.parallel import Parallel
from skorch.callbacks import Callback

from skactivekd import DHOClassifier, DHONet, LabeledOnly, simulate
from skactivekd._interrupts import noticed_interrupts, stopped_by
from skactivekd.simulation import _journal
from skactivekd.simulation._journal import Journal, Round

fcntl = pytest.importorskip("fcntl")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

TRIES = int(os.environ.get("SKACTIVEKD_INTERRUPTS", 2))
DEADLINE = 120

# One process imports everything once and forks those that are interrupted.
PROGRAM = """
import os, sys, time
from pathlib import Path
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from skactivekd import DHOClassifier, DHONet, Entropy, simulate

X, y = load_iris(return_X_y=True)
student = DHOClassifier(DHONet(max_epochs=10, lr=0.02, module__hidden=16), random_state=0)

def play(folder, n_jobs):
    simulate(
        student, X[::2], y[::2], X_test=X[1::2], y_test=y[1::2], strategies=[Entropy()],
        n_rounds=3, n_instances=4, seeds=2, progress=False, store=folder / "s.csv", n_jobs=n_jobs,
    )

def run(mode, folder):
    longer = clone(student).set_params(net__max_epochs=60)  # than it takes to be interrupted
    if mode == "cross_val_score":
        cross_val_score(longer, X, y, cv=10)
    elif mode == "GridSearchCV":
        GridSearchCV(longer, {"net__lr": [0.01, 0.02]}, cv=3).fit(X, y)
    else:
        play(folder, {"one process": None, "two processes": 2}[mode])

student.fit(X[:9], y[:9])
print("ready", flush=True)
for line in sys.stdin:
    mode, folder = line.rstrip().split("|")
    folder = Path(folder)
    pid = os.fork()
    if pid:
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
        continue
    os.setpgid(0, 0)
    (folder / "started").touch()
    try:
        run(mode, folder)
    except KeyboardInterrupt:
        store = folder / "s.csv"
        before = store.read_bytes() if store.exists() else b""
        time.sleep(0.3)
        if before != (store.read_bytes() if store.exists() else b""):
            sys.exit("written to after the call had ended")
        raise
    (folder / "done").touch()
    break
"""


class Server:
    """Starts runs, one at a time, each the leader of a group of processes."""

    def __init__(self, process):
        self.process = process

    def start(self, mode, folder):
        print(mode, folder, sep="|", file=self.process.stdin, flush=True)
        pid = int(self.process.stdout.readline())
        wait_until((folder / "started").exists)
        return pid

    def status(self):
        return int(self.process.stdout.readline())

    def finish(self, mode, folder):
        started = time.monotonic()
        folder.mkdir(exist_ok=True)
        self.start(mode, folder)
        assert self.status() == 0
        return time.monotonic() - started


@pytest.fixture(scope="module")
def server():
    command = [sys.executable, "-c", PROGRAM]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout.readline() == "ready\n"
        yield Server(process)


@pytest.fixture(scope="module")
def expected(server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    server.finish("one process", folder)
    return stored(folder)


def wait_until(condition):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def is_over(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def stored(folder):
    return sorted((folder / "s.csv").read_bytes().splitlines(keepends=True))


def interrupt(server, mode, whom, folder, wait):
    """Interrupt one run after a wait; return whether it had ended before."""
    folder.mkdir()
    pid = server.start(mode, folder)
    wait(folder)
    try:
        (os.killpg if whom == "group" else os.kill)(pid, signal.SIGINT)
        done = (folder / "done").exists()
    except ProcessLookupError:
        done = True
    status = server.status()
    assert status == -signal.SIGINT or (done and status == 0)
    wait_until(lambda: is_over(pid))
    for name in ("started", "done"):
        (folder / name).unlink(missing_ok=True)
    return done


def waits(seed, seconds):
    """Yield ways to wait, by turns from the start of a run and from a round that it stored."""
    moments = random.Random(seed)
    while True:
        for after in (0, moments.randint(1, 12)):
            pause = moments.uniform(0, 0.2 if after else seconds / 2)
            yield lambda folder, after=after, pause=pause: _wait(folder, after, pause)


def _wait(folder, n_lines, pause):
    def is_there():
        store = folder / "s.csv"
        lines = store.read_bytes().count(b"\n") if store.exists() else 0
        return lines >= n_lines or (folder / "done").exists()

    wait_until(is_there)
    time.sleep(pause)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("mode", "whom"),
    [
        ("one process", "main"),
        pytest.param("two processes", "group", marks=pytest.mark.thorough),
        pytest.param("one process", "group", marks=pytest.mark.thorough),
        pytest.param("two processes", "main", marks=pytest.mark.thorough),
    ],
)
def test_an_interrupted_simulation_goes_on_to_the_same_table(
    server, expected, tmp_path, mode, whom
):
    seconds = server.finish(mode, tmp_path / "timed")
    assert stored(tmp_path / "timed") == expected
    n_early = 0
    tries = TRIES if mode == "one process" else -(-TRIES // 2)  # two start for seconds
    for number, wait in zip(range(tries), waits(f"{mode}, {whom}", seconds), strict=False):
        folder = tmp_path / str(number)
        done = interrupt(server, mode, whom, folder, wait)
        assert {path.name for path in folder.iterdir()} <= {"s.csv"}
        if (folder / "s.csv").exists():
            assert set(stored(folder)) <= set(expected)
        n_early += not done
        server.finish("one process", folder)
        assert stored(folder) == expected
    assert n_early > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "mode", [pytest.param("cross_val_score", marks=pytest.mark.thorough), "GridSearchCV"]
)
def test_an_interrupted_validation_is_no_result(server, tmp_path, mode):
    seconds = server.finish(mode, tmp_path / "timed")
    moments, n_early = random.Random(mode), 0
    for number in range(TRIES):

        def wait(_):
            time.sleep(moments.uniform(0, seconds / 2))

        n_early += not interrupt(server, mode, "main", tmp_path / str(number), wait)
    assert n_early > 0


def test_an_interrupt_that_is_dropped_during_a_fit_ends_it_all_the_same():
    class Dropping(Callback):
        def on_epoch_end(self, net, **kwargs):
            with suppress(KeyboardInterrupt):  # as Python does in __del__
                signal.raise_signal(signal.SIGINT)

    X, y = np.random.RandomState(0).rand(20, 3), np.arange(20) % 2
    student = DHOClassifier(DHONet(max_epochs=2, module__hidden=4), random_state=0).fit(X, y)
    net, before = student.net_, student.predict_proba(X)
    student.set_params(net__callbacks=[("dropping", Dropping())])
    with pytest.raises(KeyboardInterrupt):
        student.fit(X, 1 - y)
    assert student.net_ is net
    np.testing.assert_array_equal(student.predict_proba(X), before)


@pytest.mark.filterwarnings("ignore:unclosed file")  # a dropped file closes, which is enough
def test_a_journal_is_sound_after_an_interrupt_at_each_of_its_steps(tmp_path):
    key, rounds = ("a", "b", 0), [Round(3, 0.5, [1, 2]), Round(5, 0.75, [])]

    def write(journal):
        journal.save(key, 0, rounds[0])
        journal.save(key, 1, rounds[1])
        journal.save(key, 1, rounds[1]._replace(queried=[4, 3]))  # exchanges the file

    for moment in range(10**5):
        (tmp_path / "s.csv").unlink(missing_ok=True)
        error = None
        try:
            with Steps(moment):
                write(Journal(tmp_path / "s.csv", {("a", "b"): "5eed"}))
        except KeyboardInterrupt as caught:
            error = caught  # as in a notebook, which keeps the last traceback
        if (tmp_path / "s.csv").exists():
            with open(tmp_path / "s.csv") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the other gave it back
        other = Journal(tmp_path / "s.csv", {("a", "b"): "5eed"})
        found = other.load([key])[key]
        assert [each.score for each in found] == [0.5, 0.75][: len(found)]
        write(other)
        assert other.load([key])[key][1].queried.tolist() == [4, 3]
        assert [path.name for path in tmp_path.iterdir()] == ["s.csv"]
        if error is None:
            break
    assert moment > 50


class Steps:
    """Interrupts the journal at the n-th place where Python looks for signals."""

    def __init__(self, moment):
        self.left, self.last = moment, {}

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self)

    def __exit__(self, *_):
        sys.settrace(self.before)

    def __call__(self, frame, event, _):
        if frame.f_code.co_filename != _journal.__file__:
            return None
        frame.f_trace_opcodes = True
        if event == "return":
            self.last[frame.f_back] = "RETURN"  # no such place, unlike after a call of C
        elif event == "opcode":
            after = self.last.get(frame, "")
            self.last[frame] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            self.left -= after.startswith(("CALL", "RESUME", "JUMP_BACKWARD"))
            if self.left < 0:
                sys.settrace(None)
                self.last.clear()
                raise KeyboardInterrupt
        return self


def test_a_swallowed_interrupt_is_noticed_and_the_handler_given_back():
    handler = signal.getsignal(signal.SIGINT)

    def train():
        with noticed_interrupts() as interrupts:
            for _ in range(2):
                try:
                    signal.raise_signal(signal.SIGINT)
                except KeyboardInterrupt:
                    pass
            interrupts.check()

    with pytest.raises(KeyboardInterrupt):
        train()
    assert signal.getsignal(signal.SIGINT) is handler


def test_an_interrupt_that_is_held_comes_later():
    came = []

    def work(fails):
        with noticed_interrupts() as interrupts:
            interrupts.hold()
            signal.raise_signal(signal.SIGINT)
            came.append("held")
            if fails:
                raise ValueError
            interrupts.release()
            came.append("lost")

    with pytest.raises(KeyboardInterrupt):
        work(fails=False)
    with pytest.raises(KeyboardInterrupt) as caught:
        work(fails=True)
    assert isinstance(caught.value.__context__, ValueError)
    assert came == ["held", "held"]


def test_an_event_ends_a_training_in_another_thread():
    student = DHOClassifier(DHONet(max_epochs=10**7, module__hidden=4))
    event, ended = threading.Event(), []

    def train():
        with stopped_by(event):
            try:
                student.fit(np.eye(4), [0, 1, 0, 1])
            except KeyboardInterrupt:
                ended.append("given up")

    thread = threading.Thread(target=train, daemon=True)
    thread.start()
    thread.join(0.5)
    assert thread.is_alive()
    event.set()
    thread.join(30)
    assert ended == ["given up"]
    assert not hasattr(student, "net_")
    student.set_params(net__max_epochs=1).fit(np.eye(4), [0, 1, 0, 1])  # here nothing is set


class Swallows(LabeledOnly):
    """Is interrupted, and fits all the same."""

    def fit(self, X, y):
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return super().fit(X, y)


def play_interrupted(student, store):
    X, y = np.arange(20.0).reshape(-1, 1), np.arange(20) // 10
    plan = {"n_rounds": 2, "n_instances": 3, "progress": False}
    with pytest.raises(KeyboardInterrupt):
        simulate(student, X, y, X_test=X, y_test=y, store=store, **plan)
    assert store.read_bytes().count(b"\n") == 1


def test_an_estimator_that_swallows_interrupts_stores_nothing(tmp_path):
    play_interrupted(Swallows(GaussianNB(), classes=range(2)), tmp_path / "s.csv")


def test_an_interrupt_waits_until_joblib_has_started(tmp_path, monkeypatch):
    started = []

    class Interrupted(Parallel):
        def __call__(self, jobs):
            signal.raise_signal(signal.SIGINT)
            started.append(super().__call__(jobs))
            return started[0]

    monkeypatch.setattr("skactivekd.simulation._simulate.Parallel", Interrupted)
    play_interrupted(LabeledOnly(GaussianNB(), classes=range(2)), tmp_path / "s.csv")
    assert len(started) == 1
