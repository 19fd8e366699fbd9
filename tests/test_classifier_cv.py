"""DHOClassifierCV: which labels are hidden, what is chosen, and that all else is DHOClassifier."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import make_blobs
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import LeaveOneOut, RepeatedStratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline

from skactivekd import (
    DHOClassifier,
    DHOClassifierCV,
    DHONet,
    LabeledStratifiedKFold,
    TeacherProba,
    mix_heads,
)
from skactivekd.student._mixture_search import best_mixture, hidden_folds, score_mixtures

N_LABELED = 15


@pytest.fixture(scope="module")
def blobs():
    """X, y, y with most labels hidden, and a teacher that is right but unsure."""
    X, y = make_blobs(60, centers=3, n_features=4, cluster_std=1.5, random_state=0)
    return X, y, np.where(np.arange(60) < N_LABELED, y, -1), 0.7 * np.eye(3)[y] + 0.1


def net(**params):
    return DHONet(**{"max_epochs": 15, "lr": 0.04, "module__hidden": 8, **params})


def student(**params):
    return DHOClassifierCV(net(), **{"random_state": 0, **params})


@pytest.fixture(scope="module")
def fitted(blobs):
    X, _, hidden, teacher = blobs
    return student().fit(X, hidden, teacher_proba=teacher)


class OwnTeacher(ClassifierMixin, BaseEstimator):
    """Names the class of the nearest centre, surely."""

    def __init__(self, X=None, y=None):
        self.X = X
        self.y = y

    def fit(self, X, y=None):
        self.classes_ = np.unique(self.y)[::-1]
        self.centers_ = np.array([self.X[self.y == name].mean(axis=0) for name in self.classes_])
        return self

    def predict_proba(self, X):
        distances = ((X[:, None] - self.centers_) ** 2).sum(axis=2)
        return 0.7 * np.eye(3)[distances.argmin(axis=1)] + 0.1


def test_final_student_is_that_of_dho_classifier(blobs, fitted):
    X, _, hidden, teacher = blobs
    assert fitted.scores_.shape == fitted.log_likelihood_.shape == (21, 7)
    same = DHOClassifier(net(), alpha=fitted.alpha_, beta=fitted.beta_, random_state=0)
    same.fit(X, hidden, teacher_proba=teacher)
    assert np.array_equal(same.predict_proba(X), fitted.predict_proba(X))
    ce = same.predict_proba(X, head="ce")
    assert np.array_equal(fitted.predict_proba(X, head="ce"), ce)
    proba, features = fitted.predict_proba_embed(X)
    assert np.array_equal(proba, fitted.predict_proba(X))
    assert np.array_equal(features, fitted.embed(X))


def test_choice_is_the_best_score_then_the_best_likelihood(fitted):
    i = fitted.alphas_.tolist().index(fitted.alpha_)
    j = fitted.betas_.tolist().index(fitted.beta_)
    best = fitted.scores_ == fitted.scores_.max()
    assert best[i, j]
    assert best.sum() > 1
    assert fitted.log_likelihood_[i, j] == fitted.log_likelihood_[best].max()
    assert best_mixture(np.array([[1, 2], [2, 0]]), np.array([[9, 3], [4, 9]])) == (1, 0)


@pytest.mark.parametrize(("wrong", "side"), [("teacher", "labels"), ("labels", "teacher")])
def test_the_head_that_errs_gets_less_weight(blobs, wrong, side):
    X, y, _, teacher = blobs
    rng = np.random.RandomState(0)
    if wrong == "teacher":
        hidden = np.where(np.arange(60) < 45, y, -1)
        teacher = 0.97 * np.eye(3)[(y + 1) % 3] + 0.01
    else:  # each label of a row far from the others is a riddle that only the teacher knows
        X = np.vstack([X[:30], rng.normal(scale=9, size=(30, 4))])
        hidden = np.where(np.arange(60) >= 30, y, -1)
        teacher = 0.97 * np.eye(3)[y] + 0.01
    clf = student(scoring="neg_log_loss").fit(X, hidden, teacher_proba=teacher)
    assert clf.alpha_ > 0.8 if side == "labels" else clf.alpha_ < 0.5
    assert np.array_equal(clf.scores_, clf.log_likelihood_)


def test_scores_are_those_of_the_mixtures():
    torch.manual_seed(0)
    ce, kd, codes = torch.randn(9, 3), torch.randn(9, 3), np.arange(9) % 3
    names, alphas, betas = np.array(["a", "b", "c"]), [0, 0.3, 1], [0.5, 4]
    accuracy, likelihood = score_mixtures(ce, kd, codes, names, alphas, betas)
    by_name = score_mixtures(ce, kd, codes, names, alphas, betas, "balanced_accuracy")[0]

    def scorer(estimator, X, y):
        return -balanced_accuracy_score(y, estimator.predict(X))

    by_function = score_mixtures(ce, kd, codes, names, alphas, betas, scorer)[0]
    for i, alpha in enumerate(alphas):
        for j, beta in enumerate(betas):
            proba = mix_heads(ce, kd, alpha, beta).numpy()
            predicted = proba.argmax(axis=1)
            assert accuracy[i, j] == (predicted == codes).mean()
            expected = np.log([row[code] for row, code in zip(proba, codes, strict=True)]).mean()
            assert likelihood[i, j] == pytest.approx(expected)
            assert by_name[i, j] == balanced_accuracy_score(codes, predicted) == -by_function[i, j]


def test_hidden_rows_leave_a_label_of_their_class():
    codes = np.array([0, 0, -1, 1, 1, 1, -1, 2, 0, 0, 0, 1])
    names = np.array(["x", "y", "z"])
    folds = hidden_folds(codes, names)
    assert len(folds) == 3
    assert sorted(np.concatenate(folds)) == [0, 1, 3, 4, 5, 8, 9, 10, 11]  # class 2 has one label
    for fold in folds:
        left = np.delete(codes, fold)
        assert set(codes[fold]) <= set(left) - {-1}
    assert [len(fold) for fold in hidden_folds(np.array([0, 0, 1, 1]), names[:2])] == [2, 2]


def test_a_splitter_is_handed_the_labelled_rows_with_their_labels():
    codes = np.array([0, 1, -1, 1, 0, -1])
    assert [fold.tolist() for fold in hidden_folds(codes, np.array([0, 7]), LeaveOneOut())] == [
        [0],
        [1],
        [3],
        [4],
    ]
    marked = LabeledStratifiedKFold(2, missing_label=0)  # a class index, but not a label
    folds = hidden_folds(codes, np.array([5, 7]), marked)
    assert [fold.tolist() for fold in folds] == [[0, 1], [3, 4]]
    repeated = RepeatedStratifiedKFold(n_splits=2, n_repeats=3)
    assert len(hidden_folds(codes, np.array([0, 7]), repeated)) == 6


def test_labels_too_few_to_choose_by_leave_the_defaults(blobs):
    X, y, _, teacher = blobs
    one_each = np.full(60, -1)
    one_each[[np.flatnonzero(y == code)[0] for code in range(3)]] = range(3)
    clf = student(alpha=0.4, beta=0.5).fit(X, one_each, teacher_proba=teacher)
    assert (clf.alpha_, clf.beta_, clf.scores_) == (0.4, 0.5, None)
    plain = DHOClassifier(net(), alpha=0.4, beta=0.5, random_state=0)
    plain.fit(X, one_each, teacher_proba=teacher)
    assert np.array_equal(clf.predict_proba(X), plain.predict_proba(X))


@pytest.mark.parametrize(
    ("params", "labels", "taught", "heads"),
    [
        ({}, True, False, ("ce",)),
        ({}, False, True, ("kd",)),
        ({"distill_weight": 0}, True, True, ("ce",)),
        ({"distill_weight": 1}, True, True, ("kd",)),
        ({"heads": "single"}, True, True, ("ce",)),
    ],
)
def test_one_head_is_no_choice(blobs, params, labels, taught, heads):
    X, _, hidden, teacher = blobs
    hidden = hidden if labels else np.full(60, -1)
    clf = student(**params).fit(X, hidden, teacher_proba=teacher if taught else None)
    assert clf.trained_heads_ == heads
    assert (clf.alpha_, clf.beta_, clf.scores_) == (0.5, 1.0, None)
    assert clf.predict_proba(X).shape == (60, 3)


def test_hidden_labels_stay_hidden_and_their_rows_stay_in_training(blobs):
    """A fold's student sees every row and the teacher of each, but not the fold's labels."""
    X, _, hidden, teacher = blobs
    seen = []

    class Spy(DHONet):
        def fit(self, X, y=None):
            seen.append((len(X), X.y.copy(), X.teacher_proba.shape))
            return super().fit(X, y)

    clf = DHOClassifierCV(Spy(max_epochs=1, module__hidden=4), random_state=0)
    clf.fit(X, hidden, teacher_proba=teacher)
    assert {(n, shape) for n, _, shape in seen} == {(60, (60, 3))}
    whole, *folds = [y for _, y, _ in seen]
    assert np.array_equal(whole, hidden)
    hid = [np.flatnonzero(y != hidden) for y in folds]
    assert sorted(np.concatenate(hid)) == list(range(N_LABELED))
    assert all((y[rows] == -1).all() for y, rows in zip(folds, hid, strict=True))


@pytest.mark.parametrize(
    ("names", "missing_label"),
    [(["ape", "bee", "cat"], "?"), (["ape", "bee", "cat"], None), ([0.0, 1.0, 2.0], np.nan)],
)
def test_behind_a_teacher_in_a_pipeline(blobs, names, missing_label):
    X, y, hidden, _ = blobs
    labels = [names[code] if code >= 0 else missing_label for code in hidden]
    truth = np.array(names)[y]
    clf = student(missing_label=missing_label)
    pipe = make_pipeline(TeacherProba(OwnTeacher(X, truth)), clf)
    pipe.fit(X, labels)
    assert pipe.score(X, truth.tolist()) > 0.9
    assert pipe[-1].scores_.max() > 0.8
    assert pipe[-1].classes_.tolist() == names
    again = pickle.loads(pickle.dumps(pipe))
    assert np.array_equal(again.predict_proba(X), pipe.predict_proba(X))


def test_cross_validation_around_it(blobs):
    X, y, hidden, _ = blobs
    pipe = make_pipeline(TeacherProba(OwnTeacher(X, y)), student())
    assert cross_val_score(pipe, X, hidden, cv=LabeledStratifiedKFold(2)).mean() > 0.8


@pytest.mark.parametrize("convert", [sparse.csr_array, pd.DataFrame])
def test_forms_of_x_agree(blobs, fitted, convert):
    X, _, hidden, teacher = blobs
    clf = student().fit(convert(X), hidden, teacher_proba=teacher)
    np.testing.assert_allclose(clf.log_likelihood_, fitted.log_likelihood_, rtol=1e-3)


def test_parameters_are_kept_cloned_and_checked(blobs):
    X, _, hidden, teacher = blobs
    clf = student(alphas=[0.0, 1.0], betas=[2.0], cv=2).set_params(net__max_epochs=3)
    copy = clone(clf)
    assert copy.get_params()["net__max_epochs"] == 3
    fit = {"X": X, "y": hidden, "teacher_proba": teacher}
    assert copy.fit(**fit).scores_.shape == (2, 1)
    assert copy.beta_ == 2.0
    for params, message in [
        ({"alphas": [0.2, 1.2]}, r"alphas must be .* in \[0, 1\]"),
        ({"betas": []}, "betas must be"),
        ({"scoring": "acuracy"}, "scoring"),
        ({"cv": 1}, "n_splits"),
        ({"cv": [(np.arange(0), np.arange(N_LABELED))]}, "leaves no labelled row"),
    ]:
        with pytest.raises(ValueError, match=message):
            clone(clf).set_params(**params).fit(**fit)


def test_training_on_keeps_the_choice(blobs):
    X, _, hidden, teacher = blobs
    clf = student(alphas=[0.3], betas=[2.0]).partial_fit(X, hidden, teacher_proba=teacher)
    before = clf.predict_proba(X)
    clf.set_params(alphas=[0.9]).partial_fit(X, hidden, teacher_proba=teacher)
    assert (clf.alpha_, clf.beta_) == (0.3, 2.0)
    assert len(clf.net_.history) == 30
    assert not np.array_equal(clf.predict_proba(X), before)
