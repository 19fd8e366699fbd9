"""Killed while it encodes, and two at once: nothing done is lost, and nothing is wrong."""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

from skactivekd.cache import EmbeddingCache

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

BATCH, KILLS = 8, 20
# One process imports everything once and forks those that encode; each of their
# batches is noted in a file before it starts.
PROGRAM = """
import os, signal, sys, time
import numpy as np
from skactivekd.cache import EmbeddingCache, _cache, _sqlite_store
from skactivekd.encoders._base import encode_rows

class Encoder:
    batch_size = {batch}

    def fingerprint(self):
        return "angles"

    def encode_image(self, X):
        numbers = X[:, 0, 0]
        if self.log:
            with open(self.log, "a") as file:
                file.write(" ".join(str(int(x)) for x in numbers) + "\\n")
            time.sleep(0.003)
        return np.column_stack([np.cos(numbers), np.sin(numbers)])

def run(path, log, result, n, share):
    encoder = Encoder()
    encoder.log, encoder.cache = log, EmbeddingCache(path)
    _cache._GROUP_SHARE = share
    write = _sqlite_store.Store.write

    def write_and_say(*args):
        added = write(*args)
        with open(log, "a") as file:
            file.write("written\\n")
        return added

    _sqlite_store.Store.write = write_and_say
    np.save(result, encode_rows(encoder, np.arange(float(n)).reshape(-1, 1, 1)))

warm = Encoder()
warm.log, warm.cache = None, EmbeddingCache()
encode_rows(warm, np.zeros((1, 1, 1)))
print("ready", flush=True)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # leave no zombies
for line in sys.stdin:
    path, log, result, n, share = line.split()
    pid = os.fork()
    if not pid:
        run(path, log, result, int(n), int(share))
        os._exit(0)
    print(pid, flush=True)
"""


class Runs:
    """Processes that fill `cache.sqlite`; the rows each encodes are in a log of its own."""

    def __init__(self, server, folder, n):
        self.server, self.folder, self.n = server, folder, n
        self.path = folder / "cache.sqlite"

    def start(self, log, share=0):
        """Start a run; with a share of 0 each batch is a group of its own."""
        paths = [self.path, self.folder / log, self.folder / f"{log}.npy"]
        print(*paths, self.n, share, file=self.server.stdin, flush=True)
        return int(self.server.stdout.readline())

    def groups(self, log):
        """The rows encoded before each write, and at last those that were not written."""
        file = self.folder / log
        text = file.read_text() if file.exists() else ""
        return [[int(row) for row in part.split()] for part in text.split("written")]

    def encoded(self, log):
        return [row for group in self.groups(log) for row in group]

    def result(self, log):
        deadline, file = time.monotonic() + 60, self.folder / f"{log}.npy"
        while not (file.exists() and file.stat().st_size == 128 + 8 * self.n):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return np.load(file)

    def expected(self):
        numbers = np.arange(float(self.n))
        return np.column_stack([np.cos(numbers), np.sin(numbers)]).astype(np.float32)

    def check_file(self):
        db = sqlite3.connect(self.path)
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        n_places = db.execute("SELECT count(*) FROM place").fetchone()
        assert n_places == db.execute("SELECT sum(n) FROM batch").fetchone() == (self.n,)
        db.close()


@pytest.fixture(scope="module")
def server():
    command = [sys.executable, "-c", PROGRAM.format(batch=BATCH)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as server:
        assert server.stdout.readline() == "ready\n"
        yield server


@pytest.fixture
def runs(server, tmp_path):
    return Runs(server, tmp_path, n=1200)


def test_a_kill_loses_one_batch_at_most(runs):
    rng, kept, kill = random.Random(0), 0, 0
    # A slow disk needs time for a first batch, and a fast machine may be done before the last kill.
    while (kill < KILLS or (kept == 0 and kill < 100)) and kept < runs.n:
        pid = runs.start(f"log{kill}")
        time.sleep(rng.uniform(0, 0.03 * (1 + kill % 5)))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)
        now = len(EmbeddingCache(runs.path))
        assert len(runs.encoded(f"log{kill}")) - (now - kept) <= BATCH
        kept, kill = now, kill + 1
    assert 0 < kept
    runs.start("last")
    np.testing.assert_array_equal(runs.result("last"), runs.expected())
    assert len(runs.encoded("last")) == runs.n - kept
    runs.check_file()


def test_a_kill_loses_one_group_at_most(runs):
    rng, kept = random.Random(1), 0
    for kill in range(KILLS):
        pid = runs.start(f"log{kill}", share=1)  # as long as the last write took
        time.sleep(rng.uniform(0, 0.1 * (1 + kill % 5)))
        with contextlib.suppress(ProcessLookupError):  # it was done already
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)
        now = len(EmbeddingCache(runs.path))
        *written, lost = runs.groups(f"log{kill}")
        # A write that was done may not have been noted yet.
        assert sum(map(len, written)) <= now - kept <= sum(map(len, written)) + len(lost)
        kept = now
    runs.start("last", share=20)
    np.testing.assert_array_equal(runs.result("last"), runs.expected())
    assert len(runs.encoded("last")) == runs.n - kept
    assert kept == runs.n or len(runs.groups("last")) < 1 + (runs.n - kept) / BATCH
    runs.check_file()


def test_two_processes_share_the_work(runs):
    logs = ["first", "second"]
    for log in logs:
        runs.start(log)
    for log in logs:
        np.testing.assert_array_equal(runs.result(log), runs.expected())
    first, second = map(runs.encoded, logs)
    assert len(first) == len(set(first))
    assert len(second) == len(set(second))
    assert set(first) | set(second) == set(range(runs.n))
    assert len(first) + len(second) < 1.25 * runs.n
    assert min(len(first), len(second)) > 0.1 * runs.n
    runs.check_file()


def test_two_processes_of_which_one_is_killed(runs):
    pid = runs.start("killed")
    runs.start("other")
    time.sleep(0.2)
    os.kill(pid, signal.SIGKILL)
    np.testing.assert_array_equal(runs.result("other"), runs.expected())
    runs.check_file()
