"""skactivekd.modal.ActiveLearner, and modAL's own with our strategies."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from modAL.models import ActiveLearner as PlainActiveLearner
from modAL.uncertainty import entropy_sampling
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from skactivekd.modal import ActiveLearner
from skactivekd.query import CoreSet, Entropy, Margin, PCoreSet, Random

X, Y = load_iris(return_X_y=True)
START = np.array([0, 60, 120])
OLD_SKLEARN = tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 8)


def needs_plain_teach(test):
    """Run where modAL can still teach, which it does with a deprecated argument."""
    test = pytest.mark.filterwarnings("ignore:'force_all_finite' was renamed:FutureWarning")(test)
    reason = "modAL's own teach needs scikit-learn < 1.8"
    return pytest.mark.skipif(not OLD_SKLEARN, reason=reason)(test)


class IgnoreUnlabeled(BaseEstimator):
    """A classifier that learns from the rows whose label is not -1."""

    def fit(self, X, y):
        y = np.asarray(y)
        self.model_ = GaussianNB().fit(np.asarray(X)[y != -1], y[y != -1])
        return self

    def predict_proba(self, X):
        return self.model_.predict_proba(X)


def rounds(learner, n_rounds=4, n_instances=3):
    """Query and teach for some rounds; return the rows of X that were picked."""
    left, picked = np.delete(np.arange(len(X)), START), []
    for _ in range(n_rounds):
        indices, samples = learner.query(X[left], n_instances=n_instances)
        np.testing.assert_array_equal(samples, X[left][indices])
        learner.teach(samples, Y[left][indices])
        picked.append(left[indices])
        left = np.delete(left, indices)
    return np.concatenate(picked)


def rounds_by_hand(strategy, n_rounds=4, n_instances=3):
    """Return the picks of the same rounds, made through `query`."""
    y = np.full(len(X), -1)
    y[START] = Y[START]
    picked = list(START)
    for _ in range(n_rounds):
        model = GaussianNB().fit(X[picked], Y[picked])
        picks = strategy.query(X, y, model, n_instances)
        y[picks] = Y[picks]
        picked.extend(picks)
    return np.array(picked[len(START) :])


STRATEGIES = [PCoreSet(), CoreSet(), Entropy(), Margin(), Random(random_state=0)]
each_strategy = pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: type(s).__name__)


@each_strategy
@pytest.mark.parametrize("n_instances", [1, 2, 3, 10])
def test_rounds_of_query_and_teach_pick_what_query_picks(strategy, n_instances):
    learner = ActiveLearner(GaussianNB(), strategy, X[START], Y[START])
    expected = rounds_by_hand(strategy, n_instances=n_instances)
    np.testing.assert_array_equal(rounds(learner, n_instances=n_instances), expected)


@needs_plain_teach
@each_strategy
@pytest.mark.parametrize("n_instances", [1, 2, 3, 10])
def test_the_same_picks_come_out_of_plain_modal(strategy, n_instances):
    arguments = GaussianNB(), strategy, X[START], Y[START]
    plain = rounds(PlainActiveLearner(*arguments), n_instances=n_instances)
    ours = rounds(ActiveLearner(*arguments), n_instances=n_instances)
    np.testing.assert_array_equal(ours, plain)


@needs_plain_teach
@pytest.mark.parametrize("only_new", [False, True])
def test_bootstraps_are_those_of_plain_modal(only_new):
    probabilities = []
    for Learner in (PlainActiveLearner, ActiveLearner):
        np.random.seed(0)
        learner = Learner(GaussianNB(), PCoreSet(), X[::3], Y[::3], bootstrap_init=True)
        learner.teach(X[1::3], Y[1::3], bootstrap=True, only_new=only_new)
        probabilities.append(learner.predict_proba(X))
    np.testing.assert_array_equal(*probabilities)


@pytest.mark.parametrize("Learner", [PlainActiveLearner, ActiveLearner])
@pytest.mark.parametrize("n_instances", [1, 2, 3, 10])
def test_query_agrees_with_select_under_both_learners(Learner, n_instances):
    learner = Learner(GaussianNB(), PCoreSet(), X[START], Y[START])
    indices, samples = learner.query(X, n_instances=n_instances)
    proba = learner.predict_proba(X)
    np.testing.assert_array_equal(indices, PCoreSet().select(proba, proba[START], n_instances))
    np.testing.assert_array_equal(samples, X[indices])


def test_the_default_strategy_is_pcoreset():
    assert isinstance(ActiveLearner(GaussianNB()).query_strategy, PCoreSet)


def test_strategies_of_modal_work_too():
    learner = ActiveLearner(GaussianNB(), entropy_sampling, X[START], Y[START])
    indices, samples = learner.query(X, n_instances=2)
    assert set(indices) == set(Entropy().select(learner.predict_proba(X), None, 2))
    np.testing.assert_array_equal(samples, X[indices])


@pytest.mark.parametrize("n_instances", [1, 2, 3])
def test_a_strategy_may_return_a_pair(n_instances):
    learner = ActiveLearner(
        GaussianNB(), lambda learner, X_pool, n: (np.arange(n), "metrics"), X[START], Y[START]
    )
    indices, samples = learner.query(X, n_instances)
    np.testing.assert_array_equal(indices, np.arange(n_instances))
    np.testing.assert_array_equal(samples, X[:n_instances])


def test_the_whole_pool_may_be_the_training_data():
    y = np.full(len(X), -1)
    y[START] = Y[START]
    learner = ActiveLearner(IgnoreUnlabeled(), PCoreSet(), X, y)
    np.testing.assert_array_equal(rounds(learner), rounds_by_hand(PCoreSet()))
    assert (np.asarray(learner.y_training) != -1).sum() == len(START) + 12


def test_a_learner_can_start_with_nothing():
    learner = ActiveLearner(GaussianNB())
    with pytest.raises(NotFittedError):
        learner.query(X)
    learner.teach(X[START], Y[START])
    np.testing.assert_array_equal(learner.X_training, X[START])
    assert len(learner.query(X, n_instances=2)[0]) == 2


def test_fit_forgets_and_returns_the_learner():
    learner = ActiveLearner(GaussianNB(), None, X[START], Y[START])
    assert learner.fit(X[::2], Y[::2]) is learner
    np.testing.assert_array_equal(learner.y_training, Y[::2])
    np.testing.assert_array_equal(
        learner.predict_proba(X), GaussianNB().fit(X[::2], Y[::2]).predict_proba(X)
    )


def test_only_new_trains_on_the_new_rows_and_remembers_all():
    learner = ActiveLearner(GaussianNB(), None, X[START], Y[START])
    learner.teach(X[::2], Y[::2], only_new=True)
    assert len(learner.y_training) == len(START) + len(X[::2])
    np.testing.assert_array_equal(
        learner.predict_proba(X), GaussianNB().fit(X[::2], Y[::2]).predict_proba(X)
    )


def test_fit_arguments_reach_the_estimator():
    weights = np.linspace(1, 2, len(X))
    expected = GaussianNB().fit(X, Y, sample_weight=weights).predict_proba(X)
    learner = ActiveLearner(GaussianNB(), None, X, Y, sample_weight=weights)
    np.testing.assert_array_equal(learner.predict_proba(X), expected)
    learner.fit(X, Y, sample_weight=weights)
    np.testing.assert_array_equal(learner.predict_proba(X), expected)


@pytest.mark.parametrize("kind", ["array", "list", "frame", "csr", "coo"])
def test_bootstraps_of_any_container(kind):
    learner = ActiveLearner(
        LogisticRegression(C=0.01, max_iter=1000), None, as_kind(X, kind), Y, bootstrap_init=True
    )
    learner.teach(as_kind(X, kind), Y, bootstrap=True)
    assert learner.predict_proba(as_kind(X, kind)).shape == (len(X), 3)


# Containers


def as_kind(X, kind):
    return {
        "array": lambda: X,
        "list": lambda: X.tolist(),
        "frame": lambda: pd.DataFrame(X, columns=list("abcd"), index=np.arange(len(X)) + 1000),
        "csr": lambda: sparse.csr_array(X),
        "coo": lambda: sparse.coo_array(X),
    }[kind]()


@pytest.mark.parametrize("kind", ["array", "list", "frame", "csr", "coo"])
def test_containers_survive_query_and_teach(kind):
    expected = ActiveLearner(LogisticRegression(C=0.01, max_iter=1000), None, X[START], Y[START])
    learner = ActiveLearner(
        LogisticRegression(C=0.01, max_iter=1000), None, as_kind(X[START], kind), Y[START]
    )
    for _ in range(3):
        indices, samples = learner.query(as_kind(X, kind), n_instances=2)
        np.testing.assert_array_equal(indices, expected.query(X, n_instances=2)[0])
        learner.teach(samples, Y[indices])
        expected.teach(X[indices], Y[indices])
    known = learner.X_training
    assert type(known) is type(as_kind(X, kind))
    assert not sparse.issparse(known) or known.format == kind
    dense = known.toarray() if sparse.issparse(known) else np.asarray(known)
    np.testing.assert_array_equal(dense, expected.X_training)


def test_images_are_stacked_along_the_first_axis():
    class Flat(BaseEstimator):
        def fit(self, X, y):
            self.model_ = GaussianNB().fit(X.reshape(len(X), -1), y)
            return self

        def predict_proba(self, X):
            return self.model_.predict_proba(X.reshape(len(X), -1))

    images = X.reshape(-1, 2, 2, 1)
    learner = ActiveLearner(Flat(), None, images[START], Y[START])
    indices, samples = learner.query(images, n_instances=2)
    learner.teach(samples, Y[indices])
    assert learner.X_training.shape == (5, 2, 2, 1)


@pytest.mark.parametrize(
    ("known", "new"),
    [
        (list(Y[START]), Y[:2]),
        (Y[START], list(Y[:2])),
        (pd.Series(Y[START], index=[7, 8, 9]), Y[:2]),
        (Y[START], pd.Series(Y[:2])),
    ],
)
def test_labels_of_different_containers_are_joined(known, new):
    learner = ActiveLearner(GaussianNB(), None, X[START], known)
    learner.teach(X[:2], new)
    assert type(learner.y_training) is type(known)
    assert list(learner.y_training) == [*Y[START], *Y[:2]]


def test_lists_of_samples_are_joined_as_they_are():
    learner = ActiveLearner(GaussianNB(), None)
    learner._add_training_data(["a.png"], ["cat"])
    learner._add_training_data(["b.png", ("c", 1)], [None, "dog"])
    assert learner.X_training == ["a.png", "b.png", ("c", 1)]
    assert learner.y_training == ["cat", None, "dog"]


def test_longer_strings_are_not_cut():
    learner = ActiveLearner(GaussianNB(), None, X[START], np.array(["a", "b", "c"]))
    learner.teach(X[:1], np.array(["longer"]))
    assert learner.y_training[-1] == "longer"


@pytest.mark.parametrize(
    ("new_X", "new_y", "error", "message"),
    [
        (X[:2], Y[:3], ValueError, "X has 2 rows but y has 3 labels"),
        (X[:2], None, ValueError, "X comes without y"),
        (X[:2, :3], Y[:2], ValueError, r"X has shape \(2, 3\).*known \(3, 4\)"),
        (X[:2], np.array(["a", "b"]), TypeError, "y has dtype <U1, but the known rows have int"),
        (X[:2], Y[:2, None], ValueError, r"y has shape \(2, 1\)"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_kept(new_X, new_y, error, message):
    learner = ActiveLearner(GaussianNB(), None, X[START], Y[START])
    with pytest.raises(error, match=message):
        learner.teach(new_X, new_y)
    np.testing.assert_array_equal(learner.X_training, X[START])
    np.testing.assert_array_equal(learner.y_training, Y[START])


def test_lengths_are_checked_by_the_constructor_and_by_fit():
    with pytest.raises(ValueError, match="X has 3 rows but y has 2 labels"):
        ActiveLearner(GaussianNB(), None, X[START], Y[:2])
    with pytest.raises(ValueError, match="X has 3 rows but y has 2 labels"):
        ActiveLearner(GaussianNB()).fit(X[START], Y[:2])


def test_frames_with_other_columns_are_refused():
    learner = ActiveLearner(GaussianNB(), None, as_kind(X[START], "frame"), Y[START])
    with pytest.raises(ValueError, match=r"X has columns \['e', 'b', 'c', 'd'\], not \['a'"):
        learner.teach(as_kind(X[:2], "frame").rename(columns={"a": "e"}), Y[:2])


def test_containers_that_cannot_be_joined_are_refused():
    learner = ActiveLearner(GaussianNB(), None, X[START].tolist(), Y[START])
    with pytest.raises(TypeError, match=r"Cannot add X of type .*DataFrame"):
        learner.teach(as_kind(X[:2], "frame"), Y[:2])
