"""modAL's learners that hold the whole pool, and its committees."""

import numpy as np
import pandas as pd
import pytest
from modAL.models import ActiveLearner as PlainActiveLearner
from modAL.models import Committee, CommitteeRegressor
from PIL import Image
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

from skactivekd import DHOClassifier, DHONet, LabeledOnly, TeacherProba
from skactivekd.modal import ActiveLearner
from skactivekd.query import (
    Badge,
    ClassBalanced,
    CoreSet,
    Entropy,
    Margin,
    PCoreSet,
    Random,
    UncertaintyHerding,
)
from skactivekd.student import _reuse_distilled

X, Y = load_iris(return_X_y=True)
ONCE = np.sort(np.unique(X, axis=0, return_index=True)[1])  # it holds one flower twice
X, Y = X[ONCE], Y[ONCE]
START = np.array([0, 60, 120])


class Learns(ClassifierMixin, BaseEstimator):
    """Takes any rows, and keeps what it was given."""

    def __init__(self, missing_label=-1):
        self.missing_label = missing_label

    def fit(self, X, y):
        self.seen_ = X, y
        return self


def partly(names=None, missing=-1):
    """Labels of one row of each class; all others are missing."""
    labels = [missing] * len(X)
    for row in START:
        labels[row] = int(Y[row]) if names is None else names[Y[row]]
    return labels


IMAGES = [Image.fromarray(np.full((2, 2), row, dtype=np.uint8)) for row in range(len(X))]
CONTAINERS = {
    "array": (X, lambda rows: X[rows]),
    "float32": (X.astype(np.float32), lambda rows: X.astype(np.float32)[rows]),
    "other dtype": (X.astype(np.float32), lambda rows: X.astype(np.float32)[rows].astype(float)),
    "images": (X.reshape(-1, 2, 2), lambda rows: X.reshape(-1, 2, 2)[rows]),
    "list of rows": (X.tolist(), lambda rows: [X.tolist()[row] for row in rows]),
    "csr": (sparse.csr_array(X), lambda rows: sparse.csr_array(X)[rows]),
    "coo": (sparse.coo_array(X), lambda rows: sparse.csr_array(X)[rows]),
    "frame": (
        pd.DataFrame(X, columns=list("abcd"), index=np.arange(len(X)) + 7),
        lambda rows: pd.DataFrame(X, columns=list("abcd"), index=np.arange(len(X)) + 7).iloc[rows],
    ),
    "frame with gaps": (
        pd.DataFrame({"a": np.arange(len(X)), "b": np.nan, "c": pd.NA}),
        lambda rows: pd.DataFrame({"a": np.arange(len(X)), "b": np.nan, "c": pd.NA}).iloc[rows],
    ),
    "texts": (
        [f"text {row}" for row in range(len(X))],
        lambda rows: [f"text {row}" for row in rows],
    ),
    "array of texts": (
        np.array([f"text {row}" for row in range(len(X))]),
        lambda rows: np.array([f"text {row}" for row in rows]),
    ),
    "column of texts": (
        pd.Series([f"text {row}" for row in range(len(X))]),
        lambda rows: pd.Series([f"text {row}" for row in rows]),
    ),
    "pictures": (IMAGES, lambda rows: [IMAGES[row].copy() for row in rows]),
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_a_label_goes_where_its_sample_lies_in_the_pool(kind):
    pool, take = CONTAINERS[kind]
    given = np.array(partly())
    learner = ActiveLearner(Learns(), Random(), pool, given)
    rows = np.array([7, 33, 2])
    learner.teach(take(rows), Y[rows])
    expected = np.array(partly())
    expected[rows] = Y[rows]
    np.testing.assert_array_equal(learner.y_training, expected)
    assert learner.X_training is pool
    assert learner.estimator.seen_[0] is pool
    np.testing.assert_array_equal(given, partly())  # the caller's array is the caller's


LABELS = {
    "list": (list, None, -1),
    "array": (np.array, None, -1),
    "series": (lambda y: pd.Series(y, index=np.arange(len(y)) + 5), None, -1),
    "names": (np.array, ["a", "b", "longer"], "?"),
    "objects": (lambda y: np.array(y, dtype=object), ["a", "b", "c"], None),
    "nan": (np.array, None, np.nan),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_any_kind(kind):
    container, names, missing = LABELS[kind]
    known = container(partly(names, missing))
    learner = ActiveLearner(Learns(missing_label=missing), Random(), X, known)
    label = 2 if names is None else names[2]
    learner.teach(X[[100]], container([label]))
    assert type(learner.y_training) is type(known)
    y = list(learner.y_training)
    assert len(y) == len(X)
    assert y[100] == label
    assert y[60] == known[60 + (5 if kind == "series" else 0)]
    if kind == "series":
        assert learner.y_training.index.equals(known.index)


def test_other_samples_are_added_and_labels_that_are_there_stay():
    learner = ActiveLearner(Learns(), Random(), X, np.array(partly()))
    learner.teach(np.array([X[5], X[5] + 100, X[60]]), [0, 1, 2])
    assert learner.y_training[5] == 0
    assert learner.y_training[60] == Y[60]
    assert learner.y_training[len(X) :].tolist() == [1, 2]
    np.testing.assert_array_equal(learner.X_training, [*X, X[5] + 100, X[60]])


def test_numbers_that_an_integer_cannot_hold_are_other_samples():
    for container in (np.array, sparse.csr_array):
        pool = container([[0], [1], [2]])
        learner = ActiveLearner(Learns(), Random(), pool, [0, -1, -1])
        learner.teach(container([[1.5], [2.0]]), [1, 1])
        assert learner.y_training == [0, -1, -1, 1, 1]
        learner.teach(container([[2.0]]), [0])
        assert learner.y_training == [0, -1, 0, 1, 1]


def test_each_of_equal_samples_takes_one_label():
    twins = np.array([[0.0], [1.0], [1.0], [1.0]])
    learner = ActiveLearner(Learns(), Random(), twins, np.array([0, -1, -1, -1]))
    learner.teach(twins[1:3], [1, 2])
    assert learner.y_training.tolist() == [0, 1, 2, -1]


def test_the_marker_is_that_of_the_estimator_before_that_of_the_strategy():
    learner = ActiveLearner(make_pipeline(Learns(missing_label=9)), Random(), X[:3], [9, -1, 0])
    learner.teach(X[:2], [1, 1])
    assert learner.y_training == [1, -1, 0, 1]
    learner = ActiveLearner(GaussianNB(), Random(missing_label=5), X[:3], [5, -1, 0])
    learner.teach(X[:2], [1, 1])
    assert learner.y_training == [1, -1, 0, 1]


def test_without_a_marker_samples_are_added_as_modal_does():
    learner = ActiveLearner(GaussianNB(), lambda *_: [0], X[:3], [-1, -1, 0])
    learner.teach(X[:1], [1])
    assert learner.y_training == [-1, -1, 0, 1]


def test_a_student_distills_once_however_often_it_is_taught(monkeypatch):
    trained, train = [], DHONet.fit_loop
    monkeypatch.setattr(
        DHONet, "fit_loop", lambda net, *args, **kw: (trained.append(net), train(net, *args, **kw))
    )
    _reuse_distilled.memory.clear()
    teacher = np.random.default_rng(0).dirichlet(np.ones(3), size=len(X))
    student = DHOClassifier(DHONet(max_epochs=3, module__hidden=16), random_state=0)
    model = make_pipeline(TeacherProba(teacher), student)
    learner = ActiveLearner(model, PCoreSet(), X, np.array(partly()))
    left = np.setdiff1d(np.arange(len(X)), START)
    for _ in range(2):
        indices, samples = learner.query(X[left], n_instances=3)
        learner.teach(samples, Y[left][indices])
        left = np.delete(left, indices)
    assert len(trained) == 1
    assert (learner.y_training != -1).sum() == 9
    y = Y.copy()
    y[left] = -1
    np.testing.assert_array_equal(learner.y_training, y)
    expected = make_pipeline(TeacherProba(teacher), student).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(learner.predict_proba(X), expected)


# Committees


def committee(strategy, starts, Learner=PlainActiveLearner, models=None):
    models = models or (GaussianNB(var_smoothing=0.1), LogisticRegression(max_iter=500))
    members = [
        Learner(model, X_training=X[rows], y_training=Y[rows], query_strategy=Margin())
        for model, rows in zip(models, starts, strict=True)
    ]
    return Committee(members, query_strategy=strategy)


APART = [START, START + 1]
ALONE = [Entropy(), Margin(), Badge(random_state=0), Random(random_state=0)]
TOGETHER = [PCoreSet(), CoreSet(), UncertaintyHerding(), ClassBalanced(random_state=0)]


def picks_of(answer):
    return answer[0] if isinstance(answer, tuple) else answer


@pytest.mark.parametrize("Learner", [PlainActiveLearner, ActiveLearner])
@pytest.mark.parametrize("strategy", ALONE, ids=lambda strategy: type(strategy).__name__)
def test_who_needs_no_labeled_rows_asks_any_committee(strategy, Learner):
    asked = committee(strategy, APART, Learner)
    picks = picks_of(strategy(asked, X, n_instances=4))
    assert len(set(picks)) == 4
    if isinstance(strategy, Margin | Entropy):
        np.testing.assert_array_equal(picks, strategy.select(asked.predict_proba(X), None, 4))
    indices, samples = asked.query(X, n_instances=4)[:2]
    np.testing.assert_array_equal(samples, X[indices])


@pytest.mark.parametrize("strategy", TOGETHER, ids=lambda strategy: type(strategy).__name__)
def test_a_committee_that_shares_its_rows_may_be_asked_by_all(strategy):
    asked = committee(strategy, [START, START.copy()])
    expected = {
        PCoreSet: lambda s: s.select(asked.predict_proba(X), asked.predict_proba(X[START]), 4),
        CoreSet: lambda s: s.select(features_pool=X, features_labeled=X[START], n_instances=4),
        UncertaintyHerding: lambda s: s.select(
            asked.predict_proba(X), features_pool=X, features_labeled=X[START], n_instances=4
        ),
        ClassBalanced: lambda s: s.select(
            asked.predict_proba(X), y_labeled=Y[START], n_instances=4
        ),
    }
    picks = picks_of(strategy(asked, X, n_instances=4))
    np.testing.assert_array_equal(picks, expected[type(strategy)](strategy))


@pytest.mark.parametrize("strategy", TOGETHER, ids=lambda strategy: type(strategy).__name__)
def test_a_committee_of_different_rows_is_refused_where_these_count(strategy):
    name = type(strategy).__name__
    message = rf"{name} compares with labeled rows, but the 2 members of the Committee .*Margin\(\)"
    with pytest.raises(TypeError, match=message):
        strategy(committee(strategy, APART), X)
    with pytest.raises(TypeError, match=message):
        strategy(committee(strategy, [START, START[:2]]), X)


def test_a_committee_without_probabilities_is_refused():
    members = [
        PlainActiveLearner(LinearRegression(), lambda *_: [0], X[START], Y[START].astype(float))
        for _ in range(2)
    ]
    with pytest.raises(TypeError, match="Margin needs an estimator with predict_proba, got Comm"):
        Margin()(CommitteeRegressor(members), X)


def test_what_is_no_learner_is_still_refused():
    with pytest.raises(TypeError, match="must know its X_training and y_training; GaussianNB"):
        Margin()(GaussianNB().fit(X, Y), X)


def test_a_committee_of_pool_holders():
    y = np.array(partly())
    members = [
        ActiveLearner(LabeledOnly(model), Margin(), X, y)
        for model in (GaussianNB(var_smoothing=0.1), LogisticRegression(max_iter=500))
    ]
    asked = Committee(members, query_strategy=PCoreSet())
    asked.teach(X[[5, 90]], Y[[5, 90]])
    picks = picks_of(PCoreSet()(asked, X, n_instances=3))
    rows = np.sort([*START, 5, 90])
    proba = asked.predict_proba(X)
    np.testing.assert_array_equal(picks, PCoreSet().select(proba, proba[rows], 3))
