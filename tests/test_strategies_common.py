"""What every strategy of skactivekd.query keeps to, whichever it is."""

import inspect
import pickle
from collections import Counter
from functools import partial
from types import SimpleNamespace

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from skactiveml.pool import TypiClust, UncertaintySampling
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import LinearSVC
from sklearn.utils import estimator_checks

import skactivekd.query
from skactivekd import DHOClassifier, DHONet
from skactivekd.query import (
    FromSkactiveml,
    PCoreSet,
    QueryStrategy,
    to_skactiveml,
)

STRATEGIES = [
    value
    for value in vars(skactivekd.query).values()
    if inspect.isclass(value) and issubclass(value, QueryStrategy) and value is not QueryStrategy
]
WRAPPED = [TypiClust(), UncertaintySampling(), to_skactiveml(PCoreSet())]
FACTORIES = {Strategy.__name__: Strategy for Strategy in STRATEGIES if Strategy != FromSkactiveml}
FACTORIES |= {
    f"FromSkactiveml-{type(wrapped).__name__}": partial(FromSkactiveml, wrapped)
    for wrapped in WRAPPED
}
# What these pick depends on how many they are asked for.
BATCHWISE = {"ClassBalanced", "FromSkactiveml-TypiClust"}
CONSTRUCTOR_CHECKS = [
    estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
    estimator_checks.check_estimator_cloneable,
    estimator_checks.check_estimator_repr,
    estimator_checks.check_estimator_tags_renamed,
    estimator_checks.check_get_params_invariance,
    estimator_checks.check_mixin_order,
    estimator_checks.check_no_attributes_set_in_init,
    estimator_checks.check_parameters_default_constructible,
    estimator_checks.check_set_params,
    estimator_checks.check_valid_tag_types,
]
N = 40


def make(Strategy, **params):
    """Construct a strategy, seeded if it draws."""
    if "random_state" in inspect.signature(Strategy).parameters:
        params["random_state"] = 0
    return Strategy(**params)


def views(X, proba, y, pool, labeled):
    """Return what `select` is given of these rows: the same for every strategy."""
    return {
        "proba_pool": proba[pool],
        "proba_labeled": proba[labeled],
        "features_pool": X[pool],
        "features_labeled": X[labeled],
        "y_labeled": y[labeled],
    }


def select(Strategy, pool, labeled=None, n_instances=1):
    """Select among rows that are probabilities and features at once."""
    known = {"proba_pool": pool, "features_pool": pool}
    if labeled is not None:
        known |= {"proba_labeled": labeled, "features_labeled": labeled}
        known["y_labeled"] = labeled.argmax(axis=1)
    return make(Strategy).select(**known, n_instances=n_instances)


def expected_of(Strategy, X, y, model, n_instances):
    """Select what `query` is to return, through `select`."""
    where = np.flatnonzero(y == -1), np.flatnonzero(y != -1)
    known = views(X, model.predict_proba(X), y, *where)
    return where[0][make(Strategy).select(**known, n_instances=n_instances)]


def looks_at(view):
    """Name the strategies that need a view."""
    return sorted(name for name, Strategy in FACTORIES.items() if view in Strategy().needs)


@pytest.fixture(params=FACTORIES)
def Strategy(request):
    return FACTORIES[request.param]


@pytest.fixture
def X():
    return np.random.default_rng(0).dirichlet(np.full(4, 0.7), size=N)


@pytest.fixture
def y(X):
    """Every third row, in a shuffled order, is labeled with one of three classes."""
    y = np.full(N, -1)
    labeled = np.random.default_rng(1).permutation(N)[: N // 3]
    y[labeled] = np.arange(N // 3) % 3
    return y


@pytest.fixture
def model(X, y):
    return GaussianNB(var_smoothing=0.1).fit(X[y != -1], y[y != -1])


def test_all_strategies_are_found_and_exported():
    names = {Strategy.__name__ for Strategy in STRATEGIES}
    assert {"PCoreSet", "CoreSet", "Entropy", "Margin", "Random", "Badge"} <= names
    assert names <= set(skactivekd.query.__all__), "in skactivekd/query/__init__.py"
    others = {"QueryStrategy", "k_center_greedy", "to_skactiveml"}
    assert names | others == set(skactivekd.query.__all__)


@pytest.mark.parametrize("check", CONSTRUCTOR_CHECKS, ids=lambda check: check.__name__)
def test_sklearn_constructor_checks(Strategy, check):
    if check is estimator_checks.check_parameters_default_constructible and hasattr(
        Strategy, "func"
    ):
        pytest.skip("what it adapts has no default")
    check("strategy", Strategy())


def test_parameters_are_keyword_only_and_survive_clone_repr_and_pickle(Strategy):
    parameters = inspect.signature(Strategy).parameters.values()
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters)
    strategy = make(Strategy, missing_label="?")
    for copy in (clone(strategy), pickle.loads(pickle.dumps(strategy))):
        assert str(copy.get_params()) == str(strategy.get_params())
    assert repr(strategy).startswith(f"{type(strategy).__name__}(")
    assert "missing_label='?'" in repr(strategy)


@pytest.mark.parametrize("n_instances", [1, 2, 3, "all"])
def test_query_returns_rows_of_the_X_passed(Strategy, X, y, model, n_instances):
    pool = np.flatnonzero(y == -1)
    n_instances = len(pool) if n_instances == "all" else n_instances
    picks = make(Strategy).query(X, y, model, n_instances)
    assert isinstance(picks, np.ndarray)
    assert picks.dtype == np.int64
    assert picks.shape == (n_instances,)
    assert len(set(picks)) == n_instances
    assert set(picks) <= set(pool)
    np.testing.assert_array_equal(picks, expected_of(Strategy, X, y, model, n_instances))


@pytest.mark.parametrize("kind", ["labeled rows alone", "the whole pool"])
def test_the_call_of_modal_picks_the_same(Strategy, X, y, model, kind):
    rows = y != -1 if kind == "labeled rows alone" else np.full(N, True)
    learner = SimpleNamespace(
        X_training=X[rows], y_training=y[rows], estimator=model, predict_proba=model.predict_proba
    )
    picks = make(Strategy)(learner, X[y == -1], n_instances=4)
    picks = picks[0] if isinstance(picks, tuple) else picks
    expected = expected_of(Strategy, X, y, model, 4)
    np.testing.assert_array_equal(np.flatnonzero(y == -1)[picks], expected)


def test_select_takes_probabilities_in_order(Strategy, X, y, model):
    proba = model.predict_proba(X)
    if {*make(Strategy).needs} <= {"proba_pool", "proba_labeled"}:
        picks = make(Strategy).select(proba[y == -1], proba[y != -1], 3)
        expected = expected_of(Strategy, X, y, model, 3)
        np.testing.assert_array_equal(np.flatnonzero(y == -1)[picks], expected)


def test_views_that_are_not_needed_are_only_counted(Strategy, X, y, model):
    where = np.flatnonzero(y == -1), np.flatnonzero(y != -1)
    known, strategy = views(X, model.predict_proba(X), y, *where), make(Strategy)
    expected = strategy.select(**known, n_instances=3)
    others = {
        name: view if name in strategy.needs else [object()] * len(view)
        for name, view in known.items()
    }
    np.testing.assert_array_equal(strategy.select(**others, n_instances=3), expected)
    needed = {name: view for name, view in known.items() if name in strategy.needs}
    if needed:
        alone = strategy.select(**needed, n_instances=3)
        np.testing.assert_array_equal(alone, expected)
    for name, view in known.items():
        with pytest.raises(ValueError, match=rf"rows.*{name}|{name}.*rows") as caught:
            strategy.select(**{**known, name: view[1:]}, n_instances=3)
        assert f"has {len(view) - 1}" in str(caught.value)


def test_a_view_that_is_needed_and_missing_is_named(Strategy, X, y, model):
    where = np.flatnonzero(y == -1), np.flatnonzero(y != -1)
    known, strategy = views(X, model.predict_proba(X), y, *where), make(Strategy)
    for name in set(strategy.needs) - set(strategy._optional):
        less = {other: view for other, view in known.items() if other != name}
        with pytest.raises(TypeError, match=rf"looks at {name}, .*by name: .*select\({name}="):
            strategy.select(**less)
    with pytest.raises(TypeError, match=r"looks at|has to know how many rows"):
        strategy.select()


@pytest.mark.parametrize("name", sorted(FACTORIES.keys() - BATCHWISE))
def test_smaller_batches_are_the_beginning_of_larger_ones(name, X):
    Strategy = FACTORIES[name]
    np.testing.assert_array_equal(select(Strategy, X, X[:5], 3), select(Strategy, X, X[:5], 20)[:3])


def test_more_than_the_pool_warns_and_returns_all_of_it(Strategy, X, y, model):
    n_pool = int((y == -1).sum())
    with pytest.warns(UserWarning, match=f"all {n_pool} are selected") as caught:
        picks = make(Strategy).query(X, y, model, n_pool + 5)
    assert len(caught) == 1
    assert set(picks) == set(np.flatnonzero(y == -1))
    with pytest.warns(UserWarning, match=f"n_instances={N + 1} is more than"):
        assert len(select(Strategy, X, None, N + 1)) == N


@pytest.mark.parametrize(
    ("n_instances", "error"),
    [(0, ValueError), (-1, ValueError), (2.0, TypeError), (None, TypeError)],
)
def test_wrong_n_instances(Strategy, X, y, model, n_instances, error):
    with pytest.raises(error, match="n_instances must be"):
        select(Strategy, X, None, n_instances)
    with pytest.raises(error, match="n_instances must be"):
        make(Strategy).query(X, y, model, n_instances)


def test_an_empty_pool_raises(Strategy, X, y, model):
    with pytest.raises(ValueError, match="pool is empty"):
        select(Strategy, X[:0], X)
    with pytest.raises(ValueError, match="no row is left to select"):
        make(Strategy).query(X, np.zeros(N), model)


def test_no_labels_at_all(Strategy, X, model):
    picks = make(Strategy).query(X, np.full(N, -1), model, 5)
    expected = expected_of(Strategy, X, np.full(N, -1), model, 5)
    np.testing.assert_array_equal(picks, expected)


def test_no_rows_of_labeled_are_the_same_as_none(Strategy, X):
    expected = select(Strategy, X, None, 5)
    np.testing.assert_array_equal(select(Strategy, X, X[:0], 5), expected)


def test_one_class_only(Strategy, X):
    y = np.where(np.arange(N) < 5, 0, -1)
    model = GaussianNB().fit(X[:5], y[:5])
    assert len(set(make(Strategy).query(X, y, model, 6))) == 6


def test_one_sample_left(Strategy, X, y, model):
    y = np.where(np.arange(N) == 17, -1, 0)
    assert make(Strategy).query(X, y, model, 1).tolist() == [17]


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
@pytest.mark.parametrize("n_instances", [1, 2, 3, 20])
def test_duplicates_in_the_pool(Strategy, X, n_instances):
    twins = np.repeat(X[:5], 4, axis=0)
    for labeled in (None, X[:2]):
        picks = select(Strategy, twins, labeled, n_instances)
        assert len(set(picks)) == n_instances
        assert set(picks) <= set(range(20))


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_rows_that_are_all_equal(Strategy):
    assert sorted(select(Strategy, np.full((6, 4), 0.25), None, 6)) == list(range(6))


def test_model_and_data_are_left_unchanged(Strategy, X, y, model):
    strategy = make(Strategy)
    before = joblib.hash((model, X, y, strategy))
    strategy.query(X, y, model, 5)
    assert joblib.hash((model, X, y, strategy)) == before


@pytest.mark.parametrize("container", [list, pd.DataFrame, sparse.csr_array])
def test_containers_of_samples_do_not_matter(Strategy, X, y, model, container):
    samples = container(X.tolist()) if container is list else container(X)
    dense = FunctionTransformer(lambda X: X.toarray() if sparse.issparse(X) else np.asarray(X))
    named = make_pipeline(dense, clone(model)).fit(samples, np.arange(N) % 3)
    plain = clone(model).fit(X, np.arange(N) % 3)
    picks = make(Strategy).query(samples, y, named, 5)
    np.testing.assert_array_equal(picks, make(Strategy).query(X, y, plain, 5))


def test_the_same_call_gives_the_same_picks(Strategy, X, y, model):
    strategy = make(Strategy)
    picks = strategy.query(X, y, model, 5)
    np.testing.assert_array_equal(strategy.query(X, y, model, 5), picks)
    np.testing.assert_array_equal(clone(strategy).query(X, y, model, 5), picks)


def test_global_generators_and_threads_are_left_alone(Strategy, X, y, model):
    def state():
        numpy_state = np.random.get_state()
        return (
            str(numpy_state),
            numpy_state[1].tolist(),
            torch.get_rng_state().tolist(),
            torch.get_num_threads(),
        )

    before = state()
    Strategy().query(X, y, model, 5)  # unseeded
    assert state() == before


def test_single_and_double_precision_give_the_same_picks(Strategy, X):
    single = X.astype(np.float32)
    expected = select(Strategy, single.astype(np.float64), single[:3].astype(np.float64), 12)
    np.testing.assert_array_equal(select(Strategy, single, single[:3], 12), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", sorted({*looks_at("proba_pool"), *looks_at("features_pool")}))
def test_values_that_are_not_finite_are_refused_with_their_row(name, X, bad):
    X[23, 1] = bad
    with pytest.raises(ValueError, match="_pool: row 23 has a value that is not finite"):
        select(FACTORIES[name], X)
    if {"proba_labeled", "features_labeled"} & {*make(FACTORIES[name]).needs}:
        with pytest.raises(ValueError, match="_labeled: row 23 has a value that is not finite"):
            select(FACTORIES[name], X[:5], X)


@pytest.mark.parametrize("name", looks_at("proba_pool"))
def test_rows_that_do_not_sum_to_one_are_refused(name, X):
    X[23] *= 1.01
    with pytest.raises(ValueError, match="proba_pool: row 23 does not sum to one"):
        select(FACTORIES[name], X)
    if "proba_labeled" in make(FACTORIES[name]).needs:
        with pytest.raises(ValueError, match="proba_labeled: row 23 does not sum to one"):
            select(FACTORIES[name], X[:5], X)


@pytest.mark.parametrize("name", looks_at("proba_pool"))
@pytest.mark.parametrize(("bad", "fault"), [(np.nan, "not finite"), (2.0, "not sum to one")])
def test_faulty_predictions_of_a_model_are_refused(name, X, y, model, bad, fault):
    class Faulty(GaussianNB):
        def predict_proba(self, X):
            last = np.arange(len(X))[:, None] == len(X) - 1  # of the pool
            return np.where(last, bad, super().predict_proba(X))

    faulty = Faulty(var_smoothing=0.1).fit(X[y != -1], y[y != -1])
    with pytest.raises(ValueError, match=f"proba_pool: row {(y == -1).sum() - 1} .*{fault}"):
        make(FACTORIES[name]).query(X, y, faulty, 2)


@pytest.mark.parametrize("name", looks_at("proba_pool"))
def test_an_estimator_without_probabilities_is_refused(name, X, y):
    with pytest.raises(TypeError, match=r"needs an estimator with predict_proba, got LinearSVC"):
        make(FACTORIES[name]).query(X, y, LinearSVC().fit(X[y != -1], y[y != -1]), 2)


@pytest.mark.parametrize("missing_label", [-1, 7, np.nan, None, "?", ""])
@pytest.mark.parametrize("kind", ["list", "array"])
def test_any_missing_label(Strategy, X, y, model, missing_label, kind):
    names = ["cat", "dog", "owl"] if isinstance(missing_label, str | None) else [0, 1, 2]
    labels = [missing_label if label == -1 else names[label] for label in y]
    labels = np.array(labels) if kind == "array" else labels
    named = GaussianNB(var_smoothing=0.1).fit(X[y != -1], np.array(names)[y[y != -1]])
    picks = make(Strategy, missing_label=missing_label).query(X, labels, named, 5)
    np.testing.assert_array_equal(picks, make(Strategy).query(X, y, model, 5))


def test_string_labels_of_the_model(Strategy, X, y, model):
    names = np.array(["cat", "dog", "owl", "?"])[y]
    named = GaussianNB(var_smoothing=0.1).fit(X[y != -1], names[y != -1])
    picks = make(Strategy, missing_label="?").query(X, names, named, 5)
    np.testing.assert_array_equal(picks, make(Strategy).query(X, y, model, 5))


def test_integer_labels_that_are_no_column_numbers(Strategy, X, y, model):
    years = np.where(y == -1, -1, 1990 + 10 * y)
    dated = GaussianNB(var_smoothing=0.1).fit(X[y != -1], years[y != -1])
    picks = make(Strategy).query(X, years, dated, 5)
    np.testing.assert_array_equal(picks, make(Strategy).query(X, y, model, 5))


def test_unknown_options_are_refused(Strategy, X):
    with pytest.raises(TypeError, match="random_tie_break"):
        make(Strategy)(None, X, n_instances=1, random_tie_break=True)


# How often the student looks


class Watched(torch.nn.Linear):
    """A backbone that counts the rows it sees, known by their first value."""

    seen = Counter()

    def forward(self, X):
        self.seen.update(X[:, 0].tolist())
        return super().forward(X)


class WatchedStep(FunctionTransformer):
    """A transformer that counts them too, and leaves them as they are."""

    seen = Counter()

    def transform(self, X):
        self.seen.update(np.asarray(X, dtype=np.float32)[:, 0].tolist())
        return super().transform(X)


STUDENTS = {
    "alone": lambda student: student,
    "frozen": FrozenEstimator,
    "in a pipeline": lambda student: make_pipeline(WatchedStep(), student),
    "in a frozen pipeline": lambda student: FrozenEstimator(make_pipeline(WatchedStep(), student)),
    "in a search": lambda student: GridSearchCV(
        make_pipeline(WatchedStep(), student), {"watchedstep__inverse_func": [None]}, cv=2
    ),
}


@pytest.mark.parametrize("kind", STUDENTS)
def test_the_student_sees_each_row_once_in_a_query(Strategy, X, kind):
    y = np.where(np.arange(N) < 9, np.arange(N) % 3, -1)
    net = DHONet(Watched, module__in_features=4, module__out_features=3, max_epochs=1)
    student = DHOClassifier(net, random_state=0).fit(X[:9], y[:9])
    model = STUDENTS[kind](student)
    model = model if "frozen" in kind else model.fit(X[:9], y[:9])
    learner = SimpleNamespace(
        X_training=X, y_training=y, estimator=model, predict_proba=model.predict_proba
    )
    strategy, rows = make(Strategy), X[:, 0].astype(np.float32).tolist()
    watched = [Watched.seen, WatchedStep.seen] if "in" in kind else [Watched.seen]
    for ask in (lambda: strategy.query(X, y, model, 4), lambda: strategy(learner, X[9:], 4)):
        for seen in watched:
            seen.clear()
        ask()
        for seen in watched:
            assert set(seen) <= set(rows)
            assert {seen[row] for row in rows[9:]} == {int(type(strategy).__name__ != "Random")}
            assert max(seen[row] for row in rows[:9]) <= 1


def test_a_query_is_one_question(Strategy, X, y, model):
    """Of labeled rows and pool together, however much is asked."""

    class Asked(GaussianNB):
        def predict_proba_embed(self, X):
            calls.append(X)
            return GaussianNB.predict_proba(self, X), X

        def predict_proba(self, X):
            calls.append(X)
            return super().predict_proba(X)

        def embed(self, X):
            calls.append(X)
            return X

    Both = type("Both", (Asked,), {"predict_proba_embed": Asked.predict_proba_embed})
    asked, calls = Both(var_smoothing=0.1).fit(X[y != -1], y[y != -1]), []
    make(Strategy).query(X, y, asked, 4)
    assert len(calls) == int(any(name[0] != "y" for name in make(Strategy).needs))
