"""The public checks: every class of the package passes them, and what is wrong does not."""

import inspect

import numpy as np
import pytest
from few_shot_data import NAMES, Directions, hide, make_rows
from skactiveml.pool import ProbCover, TypiClust, UncertaintySampling
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression

import skactivekd
import skactivekd.encoders
import skactivekd.query
import skactivekd.teacher
from skactivekd import LabeledOnly, ZeroShotTeacher
from skactivekd.query import FromSkactiveml, PCoreSet, QueryStrategy, Random, to_skactiveml
from skactivekd.utils.estimator_checks import check_encoder, check_query_strategy, check_teacher

STRATEGIES = [
    kind()
    for kind in vars(skactivekd.query).values()
    if inspect.isclass(kind)
    and issubclass(kind, QueryStrategy)
    and kind not in (QueryStrategy, FromSkactiveml)
]
WRAPPED = [TypiClust(), ProbCover(), UncertaintySampling(), to_skactiveml(PCoreSet())]
STRATEGIES += [FromSkactiveml(theirs) for theirs in WRAPPED]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_strategies(strategy):
    check_query_strategy(strategy)


# These need a model on disk or a server, or a classifier: test_generative.py, test_endpoint.py;
# a test below.
ELSEWHERE = {"EndpointTeacher", "GenerativeTeacher", "LabeledOnly"}
TEACHERS = {
    name: kind
    for name, kind in vars(skactivekd.teacher).items()
    if inspect.isclass(kind) and issubclass(kind, ClassifierMixin) and name not in ELSEWHERE
}


@pytest.mark.parametrize("name", sorted(TEACHERS))
@pytest.mark.parametrize("n_labels", [0, 20])
def test_teachers(name, n_labels):
    X, y = make_rows()
    names = np.array([*NAMES, "?"], dtype=object)[hide(y, n_labels)][:30]
    kind, zero_shot = TEACHERS[name], ZeroShotTeacher(Directions(), NAMES, missing_label="?")
    takes = inspect.signature(kind).parameters
    if "encoder" in takes:
        teacher = kind(Directions(), NAMES, missing_label="?")
    else:
        fault = f"{name} has neither encoder= nor estimator=: check it in its own test; ELSEWHERE"
        assert "estimator" in takes, fault
        teacher = kind(zero_shot)
    check_teacher(teacher, X[:30], names if n_labels else None, missing_label="?")


def test_a_classifier_of_labeled_rows_and_the_embedded_teacher():
    X, y = make_rows()
    check_teacher(LabeledOnly(LogisticRegression(), classes=range(3)), X[:20], hide(y, 30)[:20])
    check_teacher(LabeledOnly(LogisticRegression(), classes=range(3)), X[:20])


def test_an_encoder_of_a_users_own():  # those of the package: test_encoder_protocol.py
    check_encoder(Directions(), make_rows()[0][:5], NAMES)


# What is wrong


class Good(QueryStrategy):
    needs = ("proba_pool",)

    def __init__(self, *, missing_label=-1):
        self.missing_label = missing_label

    def _pick(self, views, n_instances):
        return np.argsort(-views.proba_pool[:, 0], kind="stable")[:n_instances]


class Twice(Good):
    def _pick(self, views, n_instances):
        return np.zeros(n_instances, dtype=np.int64)


class Short(Good):
    def _pick(self, views, n_instances):
        return np.arange(1)


class Floats(Good):
    def _pick(self, views, n_instances):
        return list(range(n_instances))


class Beyond(Good):
    def _pick(self, views, n_instances):
        return np.arange(views.n_pool)[::-1][:n_instances] + 1

    def query(self, X, y, estimator, n_instances=1, candidates=None):
        return np.arange(n_instances)


class Global(Good):
    def _pick(self, views, n_instances):
        return np.arange(n_instances) + 0 * np.random.randint(2)


class Forgetful(Good):
    def _pick(self, views, n_instances):
        return np.random.default_rng().permutation(views.n_pool)[:n_instances]


class Deaf(Good):
    def query(self, X, y, estimator, n_instances=1, candidates=None):
        if candidates is not None:
            return np.flatnonzero(np.asarray(y) == self.missing_label)[:n_instances]
        return super().query(X, y, estimator, n_instances)


class Careless(Good):
    def _check_labels(self, y, model, n_rows=None):
        return super()._check_labels(y[:n_rows], model)

    def query(self, X, y, estimator, n_instances=1, candidates=None):
        if not (np.asarray(y, dtype=object) == self.missing_label).any():
            return np.arange(n_instances)
        return super().query(X, y, estimator, n_instances, candidates)


class TwoBest(Good):
    def _pick(self, views, n_instances):
        best = np.sort(np.asarray(views.proba_pool), axis=1)
        return np.argsort(best[:, -1] - best[:, -2], kind="stable")[:n_instances]


class Dense(Good):
    needs = ("features_pool",)

    def _pick(self, views, n_instances):
        return np.argsort(np.einsum("ij->i", views.features_pool), kind="stable")[:n_instances]


class Refusing(Dense):
    def _pick(self, views, n_instances):
        if not isinstance(views.features_pool, np.ndarray):
            raise TypeError("features_pool must be an array.")
        return super()._pick(views, n_instances)


class Placing(Good):
    def _pick(self, views, n_instances):
        first = 0 if isinstance(views.proba_pool, np.ndarray) else 1
        return np.arange(views.n_pool)[(np.arange(n_instances) + first) % views.n_pool]


class NoMarker(Good):
    def __init__(self):
        pass


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (Twice, "chooses a row twice"),
        (Short, r"the shape \(1,\) for n_instances=3"),
        (Floats, "not an ndarray of int64"),
        (Beyond, "which it may not"),
        (Global, "draws from numpy's global generator"),
        (Forgetful, "choose(s)? (otherwise|differently)"),
        (Deaf, r"query with candidates chooses rows \[.*\], which it may not"),
        (Careless, "takes a y without unlabeled rows without an error"),
        (TwoBest, r"query for a model of one class, .* raises IndexError: index -2"),
        (Dense, r"select raises \w+ for (tensors|features in a csr).*np.asarray of a tensor"),
        (Placing, r"select chooses otherwise from tensors"),
        (NoMarker, "no parameter missing_label"),
    ],
)
def test_what_is_wrong_with_a_strategy_is_said(kind, fault):
    with pytest.raises(AssertionError, match=f"^{kind.__name__}: .*{fault}"):
        check_query_strategy(kind())
    check_query_strategy(Good())
    check_query_strategy(Refusing())


@pytest.mark.parametrize("check", [check_query_strategy, check_teacher, check_encoder])
def test_a_class_is_no_instance(check):
    with pytest.raises(AssertionError, match=rf"^Good: {check.__name__} takes an instance, Good\("):
        check(Good, *([] if check is check_query_strategy else [[0] * 4]))


def test_needs_that_do_not_exist_are_refused_where_they_are_written():
    for needs in (("gradients",), "proba_pool"):
        with pytest.raises(TypeError, match=r"Odd\.needs must be a tuple of some of proba_pool"):
            type("Odd", (Good,), {"needs": needs})
    with pytest.raises(NotImplementedError, match="Bare has no _pick"):
        type("Bare", (QueryStrategy,), {})().select([[1.0]])
    check_query_strategy(Random())


class Teacher(ClassifierMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.classes_ = np.arange(2)
        return self

    def predict_proba(self, X):
        first = 1 / (1 + np.exp(-np.asarray(X)[:, 0]))
        return np.column_stack([first, 1 - first])


class Unsorted(Teacher):
    def fit(self, X, y=None):
        self.classes_ = np.array([1, 0])
        return self


class Logits(Teacher):
    def predict_proba(self, X):
        return np.asarray(X)[:, :2]


class OverTheBatch(Teacher):
    def predict_proba(self, X):
        return super().predict_proba(np.asarray(X) - np.mean(X, axis=0))


class Nan(Teacher):
    def predict_proba(self, X):
        proba = super().predict_proba(X)
        proba[2] = np.nan
        return proba


class Nameless(Teacher):
    def fit(self, X, y=None):
        return self


class Wide(Teacher):
    def predict_proba(self, X):
        return np.full((len(X), 3), 1 / 3)


class NeedsLabels(Teacher):
    def fit(self, X, y=None):
        if len(set(y)) < 2:
            raise ValueError("needs two classes")
        return super().fit(X)


class Spoiling(Teacher):
    def predict_proba(self, X):
        proba = super().predict_proba(X)
        X[0, -1] += 1
        return proba


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (Unsorted, r"classes_ are not sorted and distinct: \[1, 0\]; see np.unique"),
        (Logits, "row 0 has a negative value; are these logits"),
        (OverTheBatch, "of two rows alone is not what it was"),
        (Nan, "row 2 has a value that is not finite"),
        (Nameless, "fit sets no classes_"),
        (Wide, r"of 8 rows and 2 classes has the shape \(8, 3\)"),
        (NeedsLabels, r"fit\(X, y\) with no row labeled, .* raises ValueError: needs two classes"),
        (Spoiling, "changes X"),
    ],
)
def test_what_is_wrong_with_a_teacher_is_said(kind, fault):
    X = np.random.default_rng(0).normal(size=(8, 3))
    with pytest.raises(AssertionError, match=f"^{kind.__name__}: .*{fault}"):
        check_teacher(kind(), X)
    check_teacher(Teacher(), X)


class Encoder:
    def encode_audio(self, X):
        return np.asarray(X) / np.linalg.norm(X, axis=1, keepdims=True)


class Long(Encoder):
    def encode_audio(self, X):
        return np.asarray(X)


class Flat(Encoder):
    def encode_audio(self, X):
        return super().encode_audio(X)[0]


class Sorting(Encoder):
    def encode_audio(self, X):
        return super().encode_audio(np.sort(X, axis=0))


class OtherWidth(Encoder):
    def encode_text(self, texts):
        return np.eye(2)[[0] * len(texts)]


class Restless(Encoder):
    def fingerprint(self):
        return object()


class Numbered(Encoder):
    def fingerprint(self):
        return 7


class Unsaid(Encoder):
    def fingerprint(self):
        return skactivekd.encoders.Encoder().fingerprint()


class FewWords(Encoder):
    def encode_text(self, texts):
        return np.eye(3)[[{"owl": 0}[text] for text in texts]]


class Mute:
    pass


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (Long, r"row 0 has the length [\d.]+ and not 1; divide it"),
        (Flat, r"the shape \(3,\); \(n, d\) is expected"),
        (Sorting, "does not follow the order"),
        (OtherWidth, "returns 3 columns but encode_text 2"),
        (Restless, "a cache would not find its rows again"),
        (Numbered, r"fingerprint\(\) is 7 and then 7, and no str"),
        (Unsaid, r"fingerprint\(\) raises NotImplementedError: .* _identity\(params, run\)"),
        (
            FewWords,
            r"encode_text\(\['a cat'.*\) raises KeyError: 'a cat'; give texts that it takes",
        ),
        (Mute, "none of the methods encode_image"),
    ],
)
def test_what_is_wrong_with_an_encoder_is_said(kind, fault):
    X = np.random.default_rng(0).normal(size=(8, 3))
    with pytest.raises(AssertionError, match=f"^{kind.__name__}: .*{fault}"):
        check_encoder(kind(), X)
    check_encoder(Encoder(), X)
    with pytest.raises(AssertionError, match="needs four rows or more, got 3"):
        check_encoder(Encoder(), X[:3])
