"""Scale, temperature, reliability: against brute force, known answers and few labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss as sklearn_log_loss

from skactivekd.metrics import (
    best_logit_scale,
    best_temperature,
    expected_calibration_error,
    reliability_curve,
)
from skactivekd.metrics._reliability import accuracy_interval, log_loss


def sample(n, scale, n_classes=10, seed=0):
    """Cosines, and labels drawn with the probabilities that `scale` gives."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0.2, 0.05, (n, n_classes))
    proba = softmax(scale * z, axis=1)
    return z, (proba.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=n_classes - 1)


@pytest.mark.parametrize("scale", [10.0, 50.0, 200.0])
def test_many_labels_find_the_true_scale(scale):
    z, y = sample(4000, scale)
    assert best_logit_scale(z, y) == pytest.approx(scale, rel=0.12)


def test_the_scale_minimizes_the_stated_loss():
    z, y = sample(60, 30.0)

    def loss(s):
        return -log_softmax(s * z, axis=1)[range(60), y].sum() + 7 * (s / 80 - np.log(s / 80) - 1)

    grid = np.geomspace(10, 100, 2001)
    expected = grid[np.argmin([loss(s) for s in grid])]
    assert best_logit_scale(z, y, default=80.0, n_prior=7.0) == pytest.approx(expected, rel=1e-3)


def test_no_label_leaves_the_default():
    assert best_logit_scale(np.empty((0, 5)), np.empty(0, int)) == 100.0
    assert best_logit_scale(np.empty((0, 5)), np.empty(0, int), default=7) == 7.0
    assert best_temperature(np.empty((0, 5)), np.empty(0, int)) == 1.0


def test_a_few_labels_that_are_all_right_do_not_run_away():
    z, _ = sample(5, 100.0)
    y = z.argmax(axis=1)
    assert 100 < best_logit_scale(z, y) < 200
    assert best_logit_scale(z, y, n_prior=0.0) > 10_000


def test_more_labels_weigh_more():
    z, y = sample(20, 20.0)
    scales = [best_logit_scale(np.tile(z, (k, 1)), np.tile(y, k)) for k in (1, 5, 25, 1000)]
    assert 100 > scales[0] > scales[1] > scales[2] > scales[3]
    assert scales[3] == pytest.approx(best_logit_scale(z, y, n_prior=0.0), rel=0.01)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(2, 6), st.floats(0.1, 1000))
def test_the_scale_is_finite_and_ignores_shifts(seed, n, n_classes, default):
    rng = np.random.default_rng(seed)
    z, y = rng.uniform(-1, 1, (n, n_classes)), rng.integers(n_classes, size=n)
    scale = best_logit_scale(z, y, default)
    assert default / 1000 <= scale <= default * 1000
    shifted = best_logit_scale(z + rng.normal(size=(n, 1)), y, default)
    assert shifted == pytest.approx(scale, rel=1e-3)


def test_a_temperature_undoes_one():
    z, y = sample(4000, 20.0)
    proba = softmax(20.0 * z * 3, axis=1)
    assert best_temperature(proba, y) == pytest.approx(3, rel=0.1)
    assert best_temperature(softmax(20.0 * z / 3, axis=1), y) == pytest.approx(1 / 3, rel=0.1)


def test_certain_mistakes_have_a_temperature():
    proba = np.eye(2)[[0, 0, 0, 1]].astype(np.float32)
    assert 1 < best_temperature(proba, [0, 0, 1, 1]) < np.inf


@pytest.mark.parametrize(
    ("rows", "y", "message"),
    [
        ([0.5, 0.5], [0], "must have two dimensions"),
        ([[0.5, 0.5]], [0, 1], "must have the shapes"),
        (
            [[0.5, 0.5], [np.nan, 1]],
            [0, 1],
            "first in row 1|: row 1 has a value that is not finite",
        ),
        ([[0.5, 0.5]], [2], "0 to 1"),
        ([[0.5, 0.5]], [-1], "0 to 1"),
        ([[0.5, 0.5]], ["a"], "0 to 1"),
    ],
)
def test_rows_and_labels_that_do_not_fit_are_refused(rows, y, message):
    for function in (best_logit_scale, reliability_curve, expected_calibration_error):
        with pytest.raises(ValueError, match=message):
            function(rows, y)


@pytest.mark.parametrize("setting", [{"default": 0}, {"default": np.inf}, {"n_prior": -1}])
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(ValueError, match=r"must be (above|at least) 0"):
        best_logit_scale([[0.1, 0.2]], [0], **setting)


def test_the_reliability_curve_agrees_with_scikit_learn():
    z, y = sample(500, 20.0)
    proba = softmax(20.0 * z, axis=1)
    curve = reliability_curve(proba, y, n_bins=8)
    right = (proba.argmax(axis=1) == y).astype(int)
    accuracy, confidence = calibration_curve(right, proba.max(axis=1), n_bins=8)
    np.testing.assert_allclose(curve["accuracy"], accuracy)
    np.testing.assert_allclose(curve["confidence"], confidence)
    assert curve["n"].sum() == 500
    assert ((curve["low"] <= curve["accuracy"]) & (curve["accuracy"] <= curve["high"])).all()
    assert ((curve["above"] < curve["confidence"]) & (curve["confidence"] <= curve["up_to"])).all()


def test_certainty_falls_in_the_last_bin():
    curve = reliability_curve(np.eye(3), [0, 1, 2], n_bins=4)
    assert curve[["above", "up_to", "n", "accuracy"]].to_numpy().tolist() == [[0.75, 1, 3, 1]]


def test_calibration_error_of_known_cases():
    sure = np.tile([0.9, 0.1], (10, 1))
    assert expected_calibration_error(sure, [0] * 9 + [1]) == pytest.approx(0)
    assert expected_calibration_error(sure, [1] * 10) == pytest.approx(0.9)
    mixed = np.vstack([sure, np.tile([0.55, 0.45], (30, 1))])
    expected = (10 * 0.1 + 30 * 0.45) / 40
    assert expected_calibration_error(mixed, [0] * 40) == pytest.approx(expected)
    assert np.isnan(expected_calibration_error(np.empty((0, 2)), np.empty(0, int)))


def test_calibrated_probabilities_have_little_error():
    z, y = sample(5000, 20.0)
    calibrated = expected_calibration_error(softmax(20.0 * z, axis=1), y)
    assert calibrated < 0.03 < expected_calibration_error(softmax(80.0 * z, axis=1), y)


@pytest.mark.parametrize(("n_right", "n"), [(0, 7), (7, 7), (31, 40)])
def test_the_interval_is_wilson_s(n_right, n):
    p, z = n_right / n, 1.959963984540054
    center, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    expected = (center + np.array([-half, half])) / (1 + z**2 / n)
    np.testing.assert_allclose(accuracy_interval(n_right, n), expected, atol=1e-9)
    wider = accuracy_interval(n_right, n, confidence_level=0.99)
    assert wider[1] - wider[0] > expected[1] - expected[0]


def test_nothing_counted_has_no_interval():
    assert np.isnan(accuracy_interval(0, 0)).all()


def test_log_loss_agrees_with_scikit_learn():
    z, y = sample(50, 20.0)
    proba = softmax(20.0 * z, axis=1)
    expected = sklearn_log_loss(y, proba, labels=range(10))
    assert log_loss(proba, y) == pytest.approx(expected, rel=1e-9)
    assert 80 < log_loss(np.array([[1.0, 0.0]]), [1]) < 90
