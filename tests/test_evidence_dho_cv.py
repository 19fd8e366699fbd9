"""The cross-validated mixture: whose labels are hidden, what is chosen, and how it trains."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.evidence._mixture_search import (
    ALPHAS,
    BETAS,
    best_mixture,
    hidden_folds,
    score_mixtures,
)
from benchmarks.evidence.dho_cv import DHOClassifierCV
from skactivekd import DHOClassifier, DHONet
from skactivekd.student import mix_heads
from skactivekd.student._soft_labels import SoftLabeled

N_LABELED = 15


@pytest.fixture(scope="module")
def blobs():
    """Rows with a teacher that is right but unsure, y, and y with most labels hidden."""
    X, y = make_blobs(60, centers=3, n_features=4, cluster_std=1.5, random_state=0)
    taught = SoftLabeled(X, 0.7 * np.eye(3)[y] + 0.1)
    return taught, y, np.where(np.arange(60) < N_LABELED, y, -1)


def student(net=DHONet, **params):
    params = {"max_epochs": 15, "lr": 0.04, "module__hidden": 8, **params}
    return DHOClassifierCV(net(**params), 3, random_state=0)


def published(**params):
    net = DHONet(max_epochs=15, lr=0.04, module__hidden=8)
    params = {"heads": "dual", "distill_weight": 0.5, "random_state": 0, **params}
    return DHOClassifier(net, classes=range(3), **params)


@pytest.fixture(scope="module")
def fitted(blobs):
    taught, _, hidden = blobs
    return student().fit(taught, hidden)


def test_final_student_is_that_of_dho_classifier(blobs, fitted):
    taught, _, hidden = blobs
    assert fitted.accuracy_.shape == fitted.log_likelihood_.shape == (21, 7)
    mixture = {"alpha": fitted.student_.alpha, "beta": fitted.student_.beta}
    same = published(**mixture).fit(taught, hidden)
    assert np.array_equal(same.predict_proba(taught.X), fitted.predict_proba(taught.X))


def test_choice_is_the_best_accuracy_then_the_best_likelihood(fitted):
    i = ALPHAS.tolist().index(fitted.student_.alpha)
    j = BETAS.tolist().index(fitted.student_.beta)
    best = fitted.accuracy_ == fitted.accuracy_.max()
    assert best[i, j]
    assert best.sum() > 1
    assert fitted.log_likelihood_[i, j] == fitted.log_likelihood_[best].max()
    assert best_mixture(np.array([[1, 2], [2, 0]]), np.array([[9, 3], [4, 9]])) == (1, 0)


def test_the_head_that_errs_gets_less_weight(blobs):
    taught, y, _ = blobs
    wrong = SoftLabeled(taught.X, 0.97 * np.eye(3)[(y + 1) % 3] + 0.01)
    hidden = np.where(np.arange(60) < 45, y, -1)
    alpha = student().fit(wrong, hidden).student_.alpha
    assert alpha > 0.8
    riddles = np.vstack([taught.X[:30], np.random.RandomState(0).normal(scale=9, size=(30, 4))])
    knows = SoftLabeled(riddles, 0.97 * np.eye(3)[y] + 0.01)
    assert student().fit(knows, np.where(np.arange(60) >= 30, y, -1)).student_.alpha < 0.8


def test_scores_are_those_of_the_mixtures():
    torch.manual_seed(0)
    ce, kd, codes = torch.randn(9, 3), torch.randn(9, 3), np.arange(9) % 3
    alphas, betas = [0, 0.3, 1], [0.5, 4]
    accuracy, likelihood = score_mixtures(ce, kd, codes, alphas, betas)
    for i, alpha in enumerate(alphas):
        for j, beta in enumerate(betas):
            proba = mix_heads(ce, kd, alpha, beta).numpy()
            assert accuracy[i, j] == (proba.argmax(axis=1) == codes).mean()
            expected = np.log([row[code] for row, code in zip(proba, codes, strict=True)]).mean()
            assert likelihood[i, j] == pytest.approx(expected)


def test_hidden_rows_leave_a_label_of_their_class():
    codes = np.array([0, 0, -1, 1, 1, 1, -1, 2, 0, 0, 0, 1])
    folds = hidden_folds(codes, 3)
    assert len(folds) == 3
    assert sorted(np.concatenate(folds)) == [0, 1, 3, 4, 5, 8, 9, 10, 11]  # class 2 has one label
    for fold in folds:
        left = np.delete(codes, fold)
        assert set(codes[fold]) <= set(left) - {-1}
    assert [len(fold) for fold in hidden_folds(np.array([0, 0, 1, 1]), 2)] == [2, 2]


@pytest.mark.parametrize("n_labels", [0, 1])
def test_labels_too_few_to_choose_by_leave_the_fixed_mixture(blobs, n_labels):
    taught, y, _ = blobs
    few = np.full(60, -1)
    for code in range(3):
        few[np.flatnonzero(y == code)[:n_labels]] = code
    clf = student().fit(taught, few)
    assert clf.accuracy_ is None
    plain = published(alpha=0.5, beta=1.0).fit(taught, few)
    assert np.array_equal(clf.predict_proba(taught.X), plain.predict_proba(taught.X))


def test_hidden_labels_stay_hidden_and_their_rows_stay_in_training(blobs):
    """A fold's student sees every row and the teacher of each, but not the fold's labels."""
    taught, _, hidden = blobs
    seen = []

    class Spy(DHONet):
        def fit(self, X, y=None):
            seen.append((len(X), X.y.copy(), X.teacher_proba.shape))
            return super().fit(X, y)

    student(Spy, max_epochs=1).fit(taught, hidden)
    assert {(n, shape) for n, _, shape in seen} == {(60, (60, 3))}
    whole, *folds = [y for _, y, _ in seen]
    assert np.array_equal(whole, hidden)
    hid = [np.flatnonzero(y != hidden) for y in folds]
    assert sorted(np.concatenate(hid)) == list(range(N_LABELED))
    assert all((y[rows] == -1).all() for y, rows in zip(folds, hid, strict=True))
