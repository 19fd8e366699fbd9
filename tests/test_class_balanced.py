"""ClassBalanced: the shares, worked out by hand, and the draw."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.naive_bayes import GaussianNB

from skactivekd.query import ClassBalanced
from skactivekd.query._class_balanced import allocate


def pool_of(sizes, n_classes=None):
    """Return probabilities that predict each class so many times, and the classes."""
    predicted = np.repeat(np.arange(len(sizes)), sizes)
    proba = np.full((len(predicted), n_classes or len(sizes)), 0.1)
    proba[np.arange(len(predicted)), predicted] = 1 - 0.1 * (proba.shape[1] - 1)
    return proba, predicted


def drawn(sizes, counts, n_instances, seed=0):
    """Count the classes of the picks, given the labels per class."""
    proba, predicted = pool_of(sizes)
    labels = np.repeat(np.arange(len(counts)), counts)
    picks = ClassBalanced(random_state=seed).select(
        proba, y_labeled=labels, n_instances=n_instances
    )
    assert len(set(picks)) == n_instances
    return np.bincount(predicted[picks], minlength=len(sizes)).tolist()


@pytest.mark.parametrize(
    ("counts", "n_instances", "expected"),
    [
        ([0, 0, 0], 6, [2, 2, 2]),
        ([0, 0, 0], 7, [3, 2, 2]),  # one is left: equal weights, so the first class
        ([0, 1], 3, [2, 1]),  # weights 2/3, 1/3
        ([1, 0], 3, [1, 2]),
        ([0, 1], 4, [3, 1]),  # 2.67 and 1.33: one is left, for class 0
        ([0, 1, 3], 7, [4, 2, 1]),  # 4/7, 2/7, 1/7
        ([9, 0, 9], 12, [1, 10, 1]),  # 1/12, 10/12, 1/12
        ([2, 2, 2, 2], 2, [1, 1, 0, 0]),
        ([5, 4, 3], 1, [0, 0, 1]),
        ([4], 5, [5]),
    ],
)
def test_shares_worked_out_by_hand(counts, n_instances, expected):
    assert allocate(np.array(counts), n_instances).tolist() == expected
    assert drawn([20] * len(counts), counts, n_instances) == expected


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30), st.integers(1, 200))
def test_shares_add_up_and_fewer_labels_never_get_less(counts, n_instances):
    counts = np.array(counts)
    shares = allocate(counts, n_instances)
    assert shares.sum() == n_instances
    assert (shares >= 0).all()
    assert (np.diff(shares[np.argsort(counts, kind="stable")]) <= 0).all()


@pytest.mark.parametrize("n_classes", [3, 7, 49, 1000])
def test_equal_classes_get_equal_shares_whatever_rounding_does(n_classes):
    for each in (1, 3, 10):
        assert set(allocate(np.full(n_classes, 2), each * n_classes)) == {each}


def test_a_class_nobody_predicts_gets_nothing():
    assert drawn([10, 0, 10], [3, 0, 3], 6) == [3, 0, 3]


def test_shortfalls_are_filled_from_the_rest_at_random():
    # Class 0 is owed 9 of 10 and has 2: the other 7 come from classes 1 and 2.
    counts = [drawn([2, 50, 50], [0, 17, 17], 10, seed) for seed in range(30)]
    assert {row[0] for row in counts} == {2}
    assert len({tuple(row) for row in counts}) > 3
    assert drawn([2, 1, 1], [0, 8, 8], 4) == [2, 1, 1]


def test_the_class_with_fewest_labels_comes_first_and_the_fill_last():
    proba, predicted = pool_of([2, 30, 30])
    labels = [1] * 5 + [2] * 2
    picks = ClassBalanced(random_state=0).select(proba, y_labeled=labels, n_instances=14)
    shares = allocate(np.array([0, 5, 2]), 14)
    classes = predicted[picks].tolist()
    assert classes[: 2 + shares[2] + shares[1]] == [0, 0] + [2] * shares[2] + [1] * shares[1]


def test_rows_of_a_class_are_drawn_evenly():
    proba, _ = pool_of([8, 8])
    counts = np.zeros(16)
    for seed in range(800):
        counts[ClassBalanced(random_state=seed).select(proba, y_labeled=[0], n_instances=3)] += (
            1  # shares 1 and 2
        )
    assert abs(counts[:8] - 100).max() < 45
    assert abs(counts[8:] - 200).max() < 60


def test_the_same_round_repeats_and_the_next_differs():
    proba, _ = pool_of([500, 500])
    strategy = ClassBalanced(random_state=3)
    first = strategy.select(proba, y_labeled=[0, 1], n_instances=20)
    np.testing.assert_array_equal(strategy.select(proba, y_labeled=[1, 0], n_instances=20), first)
    assert set(strategy.select(proba, y_labeled=[0, 1, 0, 1], n_instances=20)) != set(first)
    unseeded = ClassBalanced()
    assert set(unseeded.select(proba, n_instances=20)) != set(
        unseeded.select(proba, n_instances=20)
    )


def test_query_counts_the_labels_in_y():
    X = np.concatenate([np.zeros((30, 1)), np.ones((30, 1))]) + np.linspace(0, 0.1, 60)[:, None]
    y = np.full(60, "?", dtype=object)
    y[:3], y[30] = "zebra", "ant"  # columns 1 and 0
    model = GaussianNB(var_smoothing=0.1).fit(X[y != "?"], y[y != "?"].astype(str))
    picks = ClassBalanced(random_state=0, missing_label="?").query(X, y, model, 6)
    assert (picks >= 30).sum() == 4  # 1/2 against 1/4 of 6


def test_labels_the_model_does_not_know_are_refused():
    X, y = np.arange(6.0)[:, None], np.array([0, 1, 2, -1, -1, -1])
    model = GaussianNB().fit(X[:4], [0, 1, 0, 1])
    with pytest.raises(ValueError, match=r"labels \[2\], first in row 2, .* classes \[0, 1\]"):
        ClassBalanced().query(X, y, model)


def test_a_model_without_classes_is_refused():
    class Bare:
        def predict_proba(self, X):
            return np.full((len(X), 2), 0.5)

    with pytest.raises(TypeError, match="ClassBalanced needs an estimator with classes_"):
        ClassBalanced().query(np.zeros((3, 1)), [0, -1, -1], Bare())


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([0, 2], ValueError, r"y_labeled\[1\] is 2, but proba_pool has 2 columns"),
        ([-1], ValueError, r"y_labeled\[0\] is -1"),
        (["cat"], TypeError, "must hold columns of proba_pool"),
        ([0.0], TypeError, "must hold columns of proba_pool"),
        ([[0]], ValueError, r"one dimension, got shape \(1, 1\)"),
    ],
)
def test_labels_that_are_no_columns_are_refused(labels, error, message):
    with pytest.raises(error, match=message):
        ClassBalanced().select([[0.5, 0.5]], y_labeled=labels)
