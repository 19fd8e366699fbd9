"""Batches: what skorch collates, and how the halves are paired."""

import numpy as np
import pytest
import torch
from scipy import sparse

from skactivekd.student._batches import (
    PairedBatchSampler,
    RowDataset,
    as_input,
    is_channels_last,
    steps_per_epoch,
)


def sampler(n_labeled, n_unlabeled, batch_size=4, seed=0):
    labeled, unlabeled = np.arange(n_labeled), 100 + np.arange(n_unlabeled)
    generator = torch.Generator().manual_seed(seed)
    return PairedBatchSampler(labeled, unlabeled, batch_size, generator)


@pytest.mark.parametrize("n_labeled", [1, 3, 4, 5, 9])
@pytest.mark.parametrize("n_unlabeled", [0, 1, 6, 50])
def test_each_batch_has_both_halves_without_repeats(n_labeled, n_unlabeled):
    batches = list(sampler(n_labeled, n_unlabeled))
    assert len(batches) == -(-n_labeled // 4)
    for rows in batches:
        assert (rows < 100).sum() == min(4, n_labeled)
        assert (rows >= 100).sum() == min(4, n_unlabeled)
        assert len(set(rows.tolist())) == len(rows)


def test_unlabeled_rows_alone_make_the_epoch():
    assert len(list(sampler(0, 10))) == 3
    assert steps_per_epoch(0, 0, 4) == 0


def test_no_row_is_seen_twice_before_all_are_seen_once():
    batches = sampler(3, 10)
    seen = np.concatenate([rows[rows >= 100] for _ in range(5) for rows in batches])
    assert sorted(seen[:10].tolist()) == list(range(100, 110))
    assert sorted(seen[10:20].tolist()) == list(range(100, 110))


def test_order_follows_the_generator():
    first, again, other = (np.concatenate(list(sampler(9, 50, seed=s))) for s in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_batch_is_one_look_up():
    class Counting(np.ndarray):
        calls = 0

        def __getitem__(self, key):
            Counting.calls += 1
            return np.asarray(self)[key]

    X = np.arange(20.0).reshape(10, 2).view(Counting)
    dataset = RowDataset(X, np.arange(10))
    rows, y = dataset.__getitems__([3, 1, 2])
    assert Counting.calls == 1
    assert rows["X"].tolist() == [[6, 7], [2, 3], [4, 5]]
    assert y.tolist() == [3, 1, 2]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_numbers_become_float32(dtype):
    tensor = as_input(np.array([[1, 2]], dtype=dtype))
    assert tensor.dtype == torch.float32
    assert tensor.tolist() == [[1, 2]]


def test_sparse_rows_become_dense():
    assert as_input(sparse.csr_array(np.eye(3))[[2, 0]]).tolist() == [[0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((2, 5, 6), (2, 1, 5, 6)),
        ((2, 3, 5, 6), (2, 3, 5, 6)),
        ((2, 5, 6, 3), (2, 3, 5, 6)),
        ((2, 5, 6, 1), (2, 1, 5, 6)),
        ((2, 1, 5, 3), (2, 1, 5, 3)),
        ((2, 7, 5, 6), (2, 7, 5, 6)),
    ],
)
def test_images_become_channels_first(shape, expected):
    assert as_input(np.zeros(shape, dtype=np.float32)).shape == expected
    assert is_channels_last(shape) == (expected == (shape[0], shape[-1], *shape[1:-1]))


def test_integer_images_are_scaled_to_one():
    image = np.full((1, 2, 2, 3), 255, dtype=np.uint8)
    assert as_input(image).max() == 1


def test_read_only_memory_is_copied():
    X = np.ones((2, 2), dtype=np.float32)
    X.flags.writeable = False
    as_input(X)[0] = 5
    assert X.max() == 1
