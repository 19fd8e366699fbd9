"""Embedding ended in the middle, and two at once: no shard is lost, and none is made twice."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from angle_encoder import Angles, angles_of

from skactivekd.encoders import embed_to_parquet, read_embeddings

pytest.importorskip("pyarrow")
distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs kill -9 and locks of files")

SIZE, SHARDS = 4, 40
PROGRAM = """
import sys
import numpy as np
from angle_encoder import Angles
from skactivekd.encoders import embed_to_parquet

folder, log, seconds, cluster = sys.argv[1:]
if __name__ == "__main__":
    client = None
    if cluster == "cluster":
        from distributed import Client, LocalCluster
        workers = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
        client = Client(workers)
    print("ready", flush=True)
    sys.stdin.readline()
    X = np.arange({n}.0)
    embed_to_parquet(X, Angles(log, float(seconds)), folder, shard_size={size}, client=client)
    if client is not None:
        client.close()
        workers.close()
"""


class Run:
    """A process that embeds."""

    def __init__(self, folder, log, seconds=0.0, cluster=""):
        self.folder, self.log = folder, log
        program = PROGRAM.format(n=SIZE * SHARDS, size=SIZE)
        path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
        file = folder.parent / f"{log.name}.py"
        file.write_text(program)
        self.process = subprocess.Popen(
            [sys.executable, file, folder, log, str(seconds), cluster],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            text=True,
        )

    def get_ready(self):
        assert self.process.stdout.readline() == "ready\n", self.process.communicate()[1]
        return self

    def begin(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def wait_for(self, n):
        """Wait until there are n shards, while it is at work."""
        while len(list(self.folder.glob("*.parquet"))) < n:
            assert self.process.poll() is None, self.process.communicate()[1]
            time.sleep(0.01)

    def made(self):
        """Say where each shard began that it encoded, and in which process."""
        if not self.log.exists():
            return []
        return [tuple(map(int, line.split()[:2])) for line in self.log.read_text().splitlines()]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def end(self):
        error = self.process.communicate(timeout=240)[1]
        assert self.process.returncode == 0, error


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "pool"


def check(folder, runs, most):
    """Check that each shard is there once, and that few were encoded again."""
    ids, embeddings = read_embeddings(folder)
    np.testing.assert_array_equal(ids, np.arange(SIZE * SHARDS))
    np.testing.assert_array_equal(embeddings, angles_of(np.arange(SIZE * SHARDS)))
    assert len(list(folder.glob("*.parquet"))) == SHARDS
    assert not list(folder.glob(".draft-*"))
    made = Counter(start for run in runs for _, start in run.made())
    assert set(made) == set(range(0, SIZE * SHARDS, SIZE))
    assert made.total() - SHARDS <= most


@pytest.mark.thorough
def test_killed_with_its_cluster_and_then_a_worker(folder, tmp_path):
    first = Run(folder, tmp_path / "first", 0.2, "cluster")
    first.get_ready().begin()
    first.wait_for(8)
    first.kill()
    second = Run(folder, tmp_path / "second", 0.2, "cluster")
    second.get_ready().begin()
    while len(second.made()) < 6:
        assert second.process.poll() is None, second.process.communicate()[1]
        time.sleep(0.01)
    os.kill(second.made()[-1][0], signal.SIGKILL)
    second.end()
    check(folder, [first, second], most=2 + 1)  # what two workers had in hand, and then one


def test_killed_while_it_writes(folder, tmp_path):
    """What a killed process has left of a shard is no shard, and goes."""
    run = Run(folder, tmp_path / "first", 0.02)
    run.get_ready().begin()
    run.wait_for(5)
    run.kill()
    n = len(list(folder.glob("*.parquet")))
    (folder / f".draft-embeddings-{n:08d}.parquet-x1y2").write_bytes(b"PAR1 half")
    run.log.write_text("".join(run.log.read_text().splitlines(keepends=True)[:n]))
    again = Run(folder, tmp_path / "again")
    again.get_ready().begin()
    again.end()
    assert len(again.made()) == SHARDS - n
    check(folder, [run, again], most=1)


@pytest.mark.thorough
def test_two_at_once_share_the_work(folder, tmp_path):
    runs = [Run(folder, tmp_path / name, 0.03) for name in ("one", "other")]
    for run in [run.get_ready() for run in runs]:
        run.begin()
    for run in runs:
        run.end()
    check(folder, runs, most=0)
    assert all(run.made() for run in runs)


@pytest.mark.thorough
def test_the_shard_of_a_killed_process_is_made_by_another(folder, tmp_path):
    """The claim of a process ends with it."""
    slow = Run(folder, tmp_path / "slow", 60.0)
    slow.get_ready().begin()
    while not slow.made():
        time.sleep(0.01)
    quick = Run(folder, tmp_path / "quick")
    quick.get_ready().begin()
    quick.wait_for(SHARDS - 1)
    time.sleep(0.5)
    assert quick.process.poll() is None  # it waits for the other
    slow.kill()
    quick.end()
    check(folder, [slow, quick], most=1)


def test_a_client_in_this_process(folder):
    with distributed.Client(processes=False, dashboard_address=":0") as client:
        X = np.arange(10.0)
        assert embed_to_parquet(X, Angles(), folder, shard_size=3, client=client) == 4
        assert embed_to_parquet(X, Angles(), folder, shard_size=3, client=client) == 0
        with pytest.raises(ValueError, match="shard 1, rows 3 to 3 that have not norm 1"):
            embed_to_parquet([1, 2, 3, np.nan], Angles(), tmp(folder), shard_size=3, client=client)
        assert not client.futures
    np.testing.assert_array_equal(read_embeddings(folder)[1], angles_of(X))


def tmp(folder):
    return folder.with_name("other")
