"""Scaling of 2-D inputs: units and offsets do not matter, and rows without weight do not count."""

import warnings

import numpy as np
import pytest
from scipy import sparse

from skactivekd import DHOClassifier, DHONet
from skactivekd.student._input_scaling import measure_scaling

rng = np.random.RandomState(0)
X = rng.standard_normal((200, 6)) * [1, 2, 3, 1, 2, 3]


def scaled(X, weight=None):
    shift, scale = measure_scaling(X, weight)
    return (X - shift) / scale


def test_usual_columns_get_mean_0_and_spread_1():
    result = scaled(X)
    assert np.allclose(result.mean(axis=0), 0)
    assert np.allclose(result.std(axis=0), 1)


def test_a_column_in_another_unit_keeps_its_say():
    unit = np.array([1, 1e-4, 1, 1e3, 1, 1])
    assert (scaled(X * unit).std(axis=0) > 0.3).all()


def test_a_pixel_that_hardly_varies_is_not_blown_up():
    images = rng.uniform(size=(5000, 10))
    images[:, 0] = 0
    images[7, 0] = 1  # one row of 5000: with a spread of 1 it would be 71
    assert scaled(images)[:, 0].max() < 40


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e6 / 3])
def test_constant_columns_stay_quiet(constant):
    same = np.column_stack([X, np.full(len(X), constant)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.abs(scaled(same)[:, -1]).max() < 1e-6


def test_offsets_that_single_precision_cannot_hold_are_named():
    with pytest.warns(UserWarning, match=r"the columns 1, 4 vary by less .*StandardScaler"):
        measure_scaling(X + np.array([0, 1e7, 0, 0, 1e9, 0]))


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_matrix])
def test_rows_of_weight_0_do_not_count(container):
    weight = np.r_[np.ones(150), np.zeros(50)]
    spoiled = X.copy()
    spoiled[150:] *= 1e3
    for whole, part in zip(
        measure_scaling(container(spoiled), weight), measure_scaling(container(X[:150])),
        strict=True,
    ):  # fmt: skip
        assert np.allclose(whole, part)


def test_rows_of_weight_0_stand_for_no_class():
    """The surest rows of a class do not count, so that others stand in for it."""
    y, proba = np.full(200, -1), np.full((200, 2), 0.5)
    proba[:100] = [0.9, 0.1]
    proba[100:] = [0.1, 0.9]
    weight = np.r_[np.ones(150), np.zeros(50)]
    y[0] = 0

    def fit(rows, weight):
        net = DHONet(max_epochs=2, module__hidden=8)
        model = DHOClassifier(net, classes=[0, 1], random_state=0)
        return model.fit(X[rows], y[rows], teacher_proba=proba[rows], sample_weight=weight)

    taught = fit(np.arange(200), weight)
    alone = fit(np.arange(150), None)
    near = np.abs(taught.predict_proba(X) - alone.predict_proba(X)).max()
    assert near < 0.1  # not to the bit: batches differ
