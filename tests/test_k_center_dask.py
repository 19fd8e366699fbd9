"""k_center_greedy over the workers of a dask cluster."""

import logging
import os
import signal
import threading
import time

import numpy as np
import pytest

from skactivekd.query import PCoreSet, _k_center, _k_center_dask, k_center_greedy

da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")


def probabilities(n, n_classes, seed=0):
    cluster = np.random.default_rng(seed).normal(scale=3.0, size=(200, n_classes))
    rows = np.random.default_rng(seed + 1).integers(200, size=n)
    logits = cluster[rows] + np.random.default_rng(seed + 2).normal(size=(n, n_classes))
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return proba.astype(np.float32)


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster) as client:
        client.wait_for_workers(2)
        yield client


@pytest.fixture(scope="module")
def rows():
    return probabilities(6000, 40)


@pytest.fixture(autouse=True)
def lazy_at_home(monkeypatch):
    monkeypatch.setattr(_k_center, "_is_small", lambda *_: False)


@pytest.mark.parametrize("n_centers", [0, 1, 50])
@pytest.mark.parametrize("chunks", [(6000, 40), (1000, 7)])
def test_picks_are_those_of_one_machine(client, rows, n_centers, chunks):
    centers = rows[:n_centers] if n_centers else None
    expected = k_center_greedy(rows, centers, 120)
    indices, distances = k_center_greedy(da.from_array(rows, chunks=chunks), centers, 120)
    np.testing.assert_array_equal(indices, expected[0])
    np.testing.assert_allclose(distances, expected[1], rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float16])
def test_other_dtypes(client, rows, dtype):
    wide = rows[:500].astype(dtype)
    expected = k_center_greedy(wide, wide[:3], 20)[0]
    there = da.from_array(wide, chunks=100)
    np.testing.assert_array_equal(k_center_greedy(there, there[:3], 20)[0], expected)


def test_ties_over_several_workers_go_to_the_first_row(client):
    there = da.from_array(np.tile(np.eye(5), (40, 1)), chunks=50)
    assert k_center_greedy(there, [[1.0, 0, 0, 0, 0]], 6)[0].tolist() == [1, 2, 3, 4, 0, 5]


def test_every_row_can_be_picked(client, rows):
    indices, _ = k_center_greedy(da.from_array(rows[:90], chunks=40), rows[:2], 90)
    assert sorted(indices) == list(range(90))


def test_a_strategy_takes_a_dask_array(client, rows):
    there = da.from_array(rows, chunks=2000)
    expected = PCoreSet().select(rows, rows[:20], 10)
    np.testing.assert_array_equal(PCoreSet().select(there, rows[:20], 10), expected)
    with pytest.raises(ValueError, match="row 4000 does not sum to one"):
        PCoreSet().select(da.concatenate([there[:4000], 2 * there[4000:]]), None, 10)


@pytest.mark.parametrize("centers", [None, [[0.0] * 40]])
def test_a_row_that_is_not_finite_is_named(client, rows, centers):
    bad = rows.copy()
    bad[4321, 7] = np.nan
    with pytest.raises(ValueError, match=r"points: row 4321 .*not finite"):
        k_center_greedy(da.from_array(bad, chunks=900), centers, 3)


def test_chunks_of_unknown_length_are_refused_with_the_remedy(client, rows):
    there = da.from_array(rows, chunks=900)
    with pytest.raises(ValueError, match=r"compute_chunk_sizes"):
        k_center_greedy(there[there[:, 0] > 0], None, 3)


def test_workers_keep_nothing(client, rows):
    k_center_greedy(da.from_array(rows, chunks=900), rows[:9], 5)
    assert client.run(lambda: len(_k_center_dask._SHARDS)) == dict.fromkeys(client.nthreads(), 0)


def kept(client):
    """What the workers hold of searches once they are at rest: shards, and tasks."""

    def held(dask_worker):
        state = dask_worker.state
        return len(_k_center_dask._SHARDS), len(state.executing) + len(state.ready)

    deadline = time.monotonic() + 10
    while any(active for _, active in client.run(held).values()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    while client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return sum(shards for shards, _ in client.run(held).values())


@pytest.mark.parametrize("bad_row", [0, -1])
def test_a_search_that_is_refused_leaves_nothing(client, bad_row):
    bad = probabilities(20_000, 60)
    bad[bad_row, 7] = np.inf
    there, errors = da.from_array(bad, chunks=5_000), []
    for _ in range(6):  # the other worker is still at its part when the error comes
        with pytest.raises(ValueError, match=r"points: row .*not finite") as caught:
            k_center_greedy(there, np.eye(60)[:40], 3)
        errors.append(caught.value)  # as a notebook keeps tracebacks
    assert kept(client) == 0
    with pytest.raises(ValueError, match=r"centers: row 1 .*not finite"):
        k_center_greedy(there, [[0.0] * 60, [np.nan] * 60], 3)
    assert kept(client) == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("moment", [1, 2, 5])
def test_a_search_that_ends_in_the_middle_leaves_nothing(client, rows, monkeypatch, error, moment):
    gather, calls = distributed.Client.gather, []

    def stop(self, futures, *args, **kwargs):
        calls.append(len(futures))
        if len(calls) == moment:
            raise error
        return gather(self, futures, *args, **kwargs)

    monkeypatch.setattr(distributed.Client, "gather", stop)
    with pytest.raises(error):
        k_center_greedy(da.from_array(rows, chunks=900), rows[:20], 200)
    assert len(calls) == moment
    monkeypatch.undo()
    assert kept(client) == 0


def test_a_shard_that_is_ready_too_late_is_not_kept(rows):
    settings = (30, np.dtype(np.float32), None)
    for key in (("gone", 0), ("here", 0)):
        if key[0] == "gone":
            _k_center_dask._forget("gone")
        _k_center_dask._build(rows, key, settings, rows[:20], [], 3)
    assert list(_k_center_dask._SHARDS) == [("here", 0)]
    _k_center_dask._forget("here")
    assert not _k_center_dask._SHARDS


def test_candidates_are_a_small_part_of_the_rows(client, caplog):
    rows = probabilities(20_000, 100)
    with caplog.at_level(logging.INFO, logger="skactivekd"):
        k_center_greedy(da.from_array(rows, chunks=5_000), rows[:200], 50)
    n_bytes = int(caplog.messages[-1].split()[-2])
    assert 0 < n_bytes < rows.nbytes / 5


def test_without_a_cluster_this_process_does_it(rows):
    expected = k_center_greedy(rows, rows[:20], 10)[0]
    there = da.from_array(rows, chunks=900)
    np.testing.assert_array_equal(k_center_greedy(there, rows[:20], 10)[0], expected)


def test_a_worker_killed_on_the_way_changes_no_pick(client, rows, monkeypatch):
    expected = k_center_greedy(rows, rows[:20], 200)[0]
    rounds, killed = [], threading.Event()
    fronts = _k_center_dask.RemoteShards.fronts

    def kill_in_the_third_round(self, n_wanted):
        rounds.append(n_wanted)
        if len(rounds) == 3:
            victim = next(iter(client.run(os.getpid).values()))
            os.kill(victim, signal.SIGKILL)
            killed.set()
        return fronts(self, n_wanted)

    monkeypatch.setattr(_k_center_dask.RemoteShards, "fronts", kill_in_the_third_round)
    indices, _ = k_center_greedy(da.from_array(rows, chunks=900), rows[:20], 200)
    assert killed.is_set()
    assert len(rounds) > 3
    np.testing.assert_array_equal(indices, expected)
    client.wait_for_workers(2)
