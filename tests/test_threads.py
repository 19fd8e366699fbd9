"""Fits side by side in threads, and what they leave of torch's process-wide state."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed

from skactivekd import DHOClassifier, DHONet
from skactivekd._devices_and_seeds import alone, fewer_threads, seeded, threads_apart

X = np.random.RandomState(0).normal(size=(60, 5)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)
HIDDEN = np.where(np.arange(60) < 30, Y, -1)
TEACHER = 0.8 * np.eye(2)[Y] + 0.1
CPU = torch.device("cpu")


def fit(seed):
    net = DHONet(max_epochs=15, batch_size=16, module__dropout=0.5, module__hidden=32)
    return DHOClassifier(net, random_state=seed).fit(X, HIDDEN, teacher_proba=TEACHER)


def in_new_thread(function, *args):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args).result(timeout=60)


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_fits_in_threads_are_those_of_one_thread(two_threads):
    seeds = [0, 0, 1, 0, 2, 0, 1, 0, 0, 0]
    expected = {seed: fit(seed).predict_proba(X) for seed in set(seeds)}
    state = torch.get_rng_state()
    found = Parallel(n_jobs=10, backend="threading")(delayed(fit)(seed) for seed in seeds)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == in_new_thread(torch.get_num_threads) == 2
    for seed, clf in zip(seeds, found, strict=True):
        assert np.array_equal(clf.predict_proba(X), expected[seed])


def test_a_second_thread_waits_for_the_first():
    entered, waiting, order = threading.Event(), threading.Event(), []

    def second():
        entered.wait(60)
        waiting.set()
        with seeded(1, CPU):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with seeded(0, CPU), seeded(3, CPU):
        entered.set()
        waiting.wait(60)
        thread.join(0.2)
        order.append("first")
    thread.join(60)
    assert order == ["first", "second"]


def test_only_the_thread_that_trains_has_one_thread(two_threads):
    with fewer_threads():
        assert torch.get_num_threads() == 1
        assert in_new_thread(torch.get_num_threads) == 2
    assert torch.get_num_threads() == in_new_thread(torch.get_num_threads) == 2


def test_counts_that_differ_by_thread_come_back(two_threads):
    in_new_thread(torch.set_num_threads, 1)
    with fewer_threads():
        assert torch.get_num_threads() == 1
    assert (torch.get_num_threads(), in_new_thread(torch.get_num_threads)) == (2, 1)


@pytest.mark.parametrize("block", [fewer_threads, lambda: threads_apart(CPU)])
def test_counts_are_set_by_one_thread_at_a_time(two_threads, block):
    def is_free():
        # A second thread gets in only if the first has let go.
        from skactivekd import _devices_and_seeds

        free = _devices_and_seeds._lock.acquire(blocking=False)
        if free:
            _devices_and_seeds._lock.release()
        return free

    with block():
        assert not in_new_thread(is_free)
    assert in_new_thread(is_free)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_process_has_a_lock_of_its_own():
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with alone():
            entered.set()
            leave.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(60)
    child = os.fork()
    if child == 0:
        from skactivekd import _devices_and_seeds

        os._exit(0 if _devices_and_seeds._lock.acquire(timeout=10) else 1)
    leave.set()
    thread.join(60)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_workers_of_a_loader_fork_while_a_fit_holds_the_lock():
    plain, workers = (
        DHOClassifier(DHONet(max_epochs=2, iterator_train__num_workers=n), random_state=0)
        .fit(X, HIDDEN, teacher_proba=TEACHER)
        .predict_proba(X)
        for n in (0, 2)
    )
    assert np.array_equal(plain, workers)
