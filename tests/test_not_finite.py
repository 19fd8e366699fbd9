"""What is not finite raises, and names the row if one is the cause."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from skactivekd import DHOClassifier, DHONet
from skactivekd.student import RowDataset

X = np.random.RandomState(0).normal(size=(40, 5))
Y = (X[:, 0] > 0).astype(int)
HIDDEN = np.where(np.arange(40) < 20, Y, -1)
TEACHER = 0.8 * np.eye(2)[Y] + 0.1


def with_value(row, value, dtype=np.float64):
    changed = X.astype(dtype)
    changed[row, 2] = value
    return changed


def fit(rows=X, teacher_proba=TEACHER, net=None, **params):
    net = DHONet(max_epochs=20) if net is None else net
    clf = DHOClassifier(net, heads="dual", random_state=0, **params)
    return clf.fit(rows, HIDDEN, teacher_proba)


@pytest.mark.parametrize("row", [3, 33])
def test_a_number_too_large_for_float32_is_named_by_its_row(row):
    with pytest.raises(ValueError, match=rf"Row {row} of X holds 1e\+39"):
        fit(with_value(row, 1e39))
    clf = fit()
    for method in (clf.predict, clf.predict_proba, clf.embed):
        with pytest.raises(ValueError, match=rf"Row {row} of X holds 1e\+39"):
            method(with_value(row, 1e39))


@pytest.mark.parametrize("row", [3, 33])
def test_a_number_that_makes_the_network_overflow_is_named_by_its_row(row):
    def backbone():
        return nn.Sequential(nn.Linear(5, 8), nn.Linear(8, 8)).apply(_wide)

    match = rf"loss is nan in epoch 1 at a learning rate of 0\.0005.*row {row} of X .*1e\+38"
    with pytest.raises(ValueError, match=match):
        fit(with_value(row, 1e38, np.float32), net=DHONet(backbone, max_epochs=20))


def _wide(layer):
    if isinstance(layer, nn.Linear):
        nn.init.constant_(layer.weight, 3.0)


def test_batch_normalization_does_not_hide_the_row():
    def backbone():
        return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8))

    with pytest.raises(ValueError, match=r"not finite in epoch .*row 33 of X .* up to 1e\+38"):
        fit(with_value(33, 1e38, np.float32), net=DHONet(backbone, max_epochs=20))


def test_a_learning_rate_too_high_is_named():
    match = r"is (nan|inf) in epoch \d+ at a learning rate of .*Lower the learning rate"
    with pytest.raises(ValueError, match=match) as error:
        fit(net=DHONet(lr=1e6))
    assert not re.search(r"row \d", str(error.value))


@pytest.mark.parametrize("teacher_proba", [None, TEACHER])
def test_the_last_step_is_looked_at_as_well(teacher_proba):
    net = DHONet(lr=3e38, max_epochs=1, optimizer=torch.optim.SGD, callbacks__schedule=None)
    with pytest.raises(ValueError, match=r"weights that are not finite in epoch 1 .* 3e\+38"):
        fit(1e4 * X, teacher_proba, net)


def test_a_setting_of_the_loss_is_no_fault_of_a_row():
    net = DHONet(n_classes=2, input_shape=(5,), max_epochs=1, criterion__temperature=np.inf)
    with pytest.raises(ValueError, match=r"temperature=inf must be above 0 and finite") as error:
        net.fit(RowDataset(X, HIDDEN, TEACHER))
    assert not re.search(r"row \d", str(error.value))


@pytest.mark.parametrize("name", ["X", "teacher_proba"])
@pytest.mark.parametrize("row", [3, 33])
def test_the_net_alone_names_what_is_not_finite(name, row):
    arrays = {"X": X.astype(np.float32), "teacher_proba": TEACHER.astype(np.float32)}
    arrays[name][row, 1] = np.nan
    net = DHONet(n_classes=2, input_shape=(5,), max_epochs=20)
    with pytest.raises(ValueError, match=rf"{name} is not finite in row {row} of X"):
        net.fit(RowDataset(arrays["X"], HIDDEN, arrays["teacher_proba"]), None)


def test_outputs_that_are_not_finite_are_refused():
    clf = fit()
    net = clf.net_
    rows = with_value(33, np.nan)
    for method in (net.predict, net.predict_proba, net.forward, net.embed):
        with pytest.raises(ValueError, match=r"not finite for row 33 of X \(1 of the 40 rows"):
            method(rows)
    with torch.no_grad():
        net.module_.heads.kd.bias[0] = np.nan
    with pytest.raises(ValueError, match=r"row 0 of X .*fit again with a lower learning rate"):
        clf.predict(X)


def test_large_outputs_whose_sum_overflows_are_let_through():
    clf = fit()
    with torch.no_grad():
        clf.net_.module_.heads.kd.bias.fill_(3e38)
    assert np.isfinite(clf.predict_proba(X)).all()
