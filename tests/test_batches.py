"""Batches: what skorch collates, and how the halves are paired."""

import numpy as np
import pytest
import torch
from scipy import sparse

from skactivekd.student._batches import PairedBatchSampler
from skactivekd.student._dataset import RowDataset
from skactivekd.student._tensors import as_input
from skactivekd.student._training_length import steps_per_epoch


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
        ((2, 1, 5, 4), (2, 1, 5, 4)),
        ((2, 5, 6, 4), (2, 4, 5, 6)),
        ((2, 1, 1, 1), (2, 1, 1, 1)),
        ((2, 7, 5, 6), (2, 7, 5, 6)),
    ],
)
def test_images_become_channels_first(shape, expected):
    assert as_input(np.zeros(shape, dtype=np.float32)).shape == expected


def test_integer_images_are_scaled_to_one():
    image = np.full((1, 2, 2, 3), 255, dtype=np.uint8)
    assert as_input(image).max() == 1


@pytest.mark.parametrize(
    ("dtype", "white"), [(np.uint8, 255), (np.uint16, 65535), (np.int64, 255), (bool, 1)]
)
def test_images_are_scaled_by_the_white_of_their_type(dtype, white):
    image = np.array([[[0, white]], [[white, 0]]]).astype(dtype)
    assert as_input(image).tolist() == [[[[0, 1]]], [[[1, 0]]]]


@pytest.mark.parametrize("value", [-1, 256, 4095])
def test_integers_that_no_image_holds_are_refused_with_their_row(value):
    images = np.zeros((5, 2, 2), dtype=np.int32)
    images[3, 1, 0] = value
    match = rf"Row 3 of X holds int32 values from .* outside 0\.\.255: .*{abs(value)}?"
    with pytest.raises(ValueError, match=match):
        RowDataset(images).__getitems__([0, 3])
    assert RowDataset(images).__getitems__([0, 4])[0]["X"].shape == (2, 1, 2, 2)


@pytest.mark.parametrize("shape", [(2, 3, 5, 3), (2, 1, 5, 3), (2, 4, 5, 4), (2, 6, 7, 5)])
def test_channels_that_may_be_first_or_last_are_refused(shape):
    with pytest.raises(ValueError, match=r"channels (may be first or last|seem to be last)"):
        as_input(np.zeros(shape))


@pytest.mark.parametrize("dtype", [np.float64, np.longdouble])
@pytest.mark.parametrize("value", [1e39, -1e300])
def test_what_float32_cannot_hold_is_refused_with_its_row(dtype, value):
    X = np.ones((6, 3), dtype=dtype)
    X[4, 1] = value
    match = r"Row 4 of X holds -?1e\+(39|300), which is too large for float32"
    for rows in (X, sparse.csr_array(X.astype(float))):
        dataset = RowDataset(rows)
        assert dataset.__getitems__([1, 3])[0]["X"].shape == (2, 3)
        with pytest.raises(ValueError, match=match):
            dataset.__getitems__([5, 4, 0])
    with pytest.raises(ValueError, match=match):
        as_input(X.reshape(6, 1, 3))


def test_infinity_itself_is_no_overflow():
    assert as_input(np.array([[np.inf, 1e-300]])).tolist() == [[np.inf, 0]]


def test_columns_of_the_teacher_are_ordered_by_the_batch():
    reads = []

    class Counting(np.ndarray):
        def __getitem__(self, key):
            rows = np.asarray(self)[key]
            reads.append(rows.shape)
            return rows

    teacher = np.asfortranarray(np.random.RandomState(0).dirichlet(np.ones(3), 50))
    dataset = RowDataset(np.eye(50), None, teacher.view(Counting), columns=[2, -1, 0])
    proba = dataset.__getitems__([7, 3])[0]["teacher_proba"]
    assert reads == [(2, 3)]
    expected = np.stack([teacher[:, 2], np.zeros(50), teacher[:, 0]], axis=1)[[7, 3]]
    assert np.array_equal(proba, expected.astype(np.float32))
    assert proba.dtype == torch.float32
    assert proba.is_contiguous()


def test_weights_and_places_travel_with_the_rows():
    dataset = RowDataset(np.eye(4), sample_weight=[0, 1, 2, 3], teacher_weight=[3, 2, 1, 0])
    rows, _ = dataset.__getitems__([2, 0])
    assert rows["sample_weight"].tolist() == [2, 0]
    assert rows["teacher_weight"].tolist() == [1, 3]
    assert rows["row"].tolist() == [2, 0]
    assert set(RowDataset(np.eye(4)).__getitems__([0])[0]) == {"X", "row", "labeled"}


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"y": [0, 1]}, "y has 2 rows, but X has 3"),
        ({"y": ["a", "b", "c"]}, "y must hold class indices"),
        ({"teacher_proba": np.eye(2)}, "teacher_proba has 2 rows, but X has 3"),
        ({"columns": [0, 3]}, "one of the teacher's 3 columns"),
        ({"columns": [0.0, 1.0]}, "must be a list of integers"),
        ({"sample_weight": [1, 2]}, r"sample_weight must have shape \(3,\)"),
        ({"sample_weight": [1, 2, -1]}, "sample_weight .* row 2 is -1"),
        ({"teacher_weight": [1, np.nan, 1]}, "teacher_weight .* row 1 is nan"),
    ],
)
def test_rows_that_do_not_fit_together_are_refused(params, match):
    with pytest.raises(ValueError, match=match):
        RowDataset(np.eye(3), **{"teacher_proba": np.eye(3), **params})


def test_an_epoch_may_pass_over_the_larger_half():
    assert steps_per_epoch(3, 10, 4, epoch="all") == 3
    assert steps_per_epoch(10, 3, 4, epoch="all") == 3
    assert steps_per_epoch(0, 10, 4, epoch="all") == 3
    generator = torch.Generator().manual_seed(0)
    batches = list(PairedBatchSampler(np.arange(3), 100 + np.arange(12), 4, generator, epoch="all"))
    seen = np.concatenate(batches)
    assert sorted(seen[seen >= 100].tolist()) == list(range(100, 112))
    assert [(rows < 100).sum() for rows in batches] == [3, 3, 3]
    with pytest.raises(ValueError, match="epoch must be 'labeled' or 'all', got 'both'"):
        steps_per_epoch(1, 1, 1, epoch="both")


def drawn(n_labeled, n_unlabeled, n_rounds=1, **params):
    generator = torch.Generator().manual_seed(0)
    labeled, unlabeled = np.arange(n_labeled), 100 + np.arange(n_unlabeled)
    sampler = PairedBatchSampler(labeled, unlabeled, 4, generator, replacement=True, **params)
    return [rows.tolist() for _ in range(n_rounds) for rows in sampler]


@pytest.mark.parametrize("n_labeled", [1, 3, 9])
@pytest.mark.parametrize("even", [True, False])
def test_labels_drawn_with_replacement_fill_their_half(n_labeled, even):
    batches = drawn(n_labeled, 20, n_rounds=20, even=even)
    assert len(batches) == 20 * -(-n_labeled // 4)
    assert [[row < 100 for row in rows] for rows in batches] == [[True] * 4 + [False] * 4] * len(
        batches
    )
    seen = [row for rows in batches for row in rows if row < 100]
    assert set(seen) == set(range(n_labeled))
    assert any(len(set(rows[:4])) < 4 for rows in batches)
    passed = [row for rows in batches for row in rows if row >= 100]
    assert sorted(passed[:20]) == list(range(100, 120))  # the other half in rounds, as ever


def test_no_labels_cannot_be_drawn():
    assert [len(rows) for rows in drawn(0, 8)] == [4, 4]


def test_processes_share_what_was_drawn_with_replacement():
    shares = [drawn(3, 20, share=(process, 2), n_rounds=5) for process in (0, 1)]
    for whole, *parts in zip(drawn(3, 20, n_rounds=5), *shares, strict=True):
        assert sorted(whole) == sorted(parts[0] + parts[1])
        assert len(parts[0]) == len(parts[1]) == 4


def test_read_only_memory_is_copied():
    X = np.ones((2, 2), dtype=np.float32)
    X.flags.writeable = False
    as_input(X)[0] = 5
    assert X.max() == 1
