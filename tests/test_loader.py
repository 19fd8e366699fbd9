"""Batches prepared ahead: in order, whatever fails, and no thread left behind."""

import threading
import time

import pytest

from skactivekd.encoders._open_clip_preprocess import good_batches, load_batches


def square(row):
    time.sleep(0.001 * (row % 3))  # later rows are done first
    return row**2


@pytest.mark.parametrize("n_workers", [0, 1, 3])
def test_rows_come_in_order_and_in_batches(n_workers):
    batches = list(load_batches(square, [4, 0, 2, 9, 7], 2, n_workers))
    assert batches == [{4: 16, 0: 0}, {2: 4, 9: 81}, {7: 49}]
    assert list(load_batches(square, [], 2, n_workers)) == []


def test_without_workers_nothing_is_read_before_it_is_due():
    read = []
    batches = load_batches(read.append, range(5), 2, 0)
    assert read == []
    next(batches)
    assert read == [0, 1]


def test_workers_read_the_next_batch_meanwhile_and_no_more():
    read, second = [], threading.Event()

    def prepare(row):
        read.append(row)
        if len(read) == 4:
            second.set()

    batches = load_batches(prepare, range(10), 2, 2)
    next(batches)
    assert second.wait(5)
    assert sorted(read) == [0, 1, 2, 3]
    batches.close()


def test_closing_drops_what_has_not_begun():
    begun, go_on = [], threading.Event()

    def prepare(row):
        begun.append(row)
        if row > 1:
            go_on.wait(5)

    threads = threading.active_count()
    batches = load_batches(prepare, range(200), 2, 1)
    next(batches)
    threading.Timer(0.05, go_on.set).start()
    batches.close()
    time.sleep(0.1)
    assert len(begun) <= 4
    assert threading.active_count() == threads


def test_bad_rows_are_all_named_and_nothing_comes_after_the_first():
    def prepare(row):
        if row in (3, 8):
            raise OSError("lost")
        return row

    bad = {9: "known"}
    batches = good_batches(
        load_batches(prepare, range(9), 2, 0), bad, lambda row, e: f"{row} {e}", stop=False
    )
    assert list(batches) == [[0, 1], [2], [4, 5], [6, 7]]
    assert bad == {9: "known", 3: "3 lost", 8: "8 lost"}
    bad = {}
    batches = good_batches(
        load_batches(prepare, range(9), 2, 0), bad, lambda row, e: str(e), stop=True
    )
    assert list(batches) == [[0, 1]]
    assert bad == {3: "lost", 8: "lost"}


def test_an_interrupt_while_waiting_ends_the_workers():
    def prepare(row):
        if row == 1:
            raise KeyboardInterrupt
        return row

    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        list(load_batches(prepare, range(9), 1, 2))
    assert threading.active_count() == threads
