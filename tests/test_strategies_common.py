"""What every strategy of skactivekd.query keeps to, whichever it is."""

import inspect
import pickle

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.naive_bayes import GaussianNB
from sklearn.utils import estimator_checks

import skactivekd.query
from skactivekd.query import QueryStrategy

STRATEGIES = [
    value
    for value in vars(skactivekd.query).values()
    if inspect.isclass(value) and issubclass(value, QueryStrategy) and value is not QueryStrategy
]
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


def pool_name(Strategy):
    return next(name for name in inspect.signature(Strategy.select).parameters if name != "self")


def concerned(*names):
    """Keep the strategies whose pool has one of these names."""
    return [Strategy for Strategy in STRATEGIES if pool_name(Strategy) in names]


def select(Strategy, pool, labeled=None, n_instances=1, **params):
    return make(Strategy, **params).select(pool, labeled, n_instances)


@pytest.fixture(params=STRATEGIES, ids=lambda Strategy: Strategy.__name__)
def Strategy(request):
    return request.param


@pytest.fixture
def X():
    return np.random.default_rng(0).dirichlet(np.full(4, 0.7), size=N)


@pytest.fixture
def y(X):
    """Every third row, in a shuffled order, is labelled with one of three classes."""
    y = np.full(N, -1)
    labeled = np.random.default_rng(1).permutation(N)[: N // 3]
    y[labeled] = np.arange(N // 3) % 3
    return y


@pytest.fixture
def model(X, y):
    return GaussianNB(var_smoothing=0.1).fit(X[y != -1], y[y != -1])


def view(Strategy, X, y, model):
    """What `select` is to see of X, written out: probabilities, or else X itself."""
    seen = model.predict_proba(X) if pool_name(Strategy) == "proba_pool" else X
    return seen[y == -1], seen[y != -1]


def test_all_strategies_are_found_and_exported():
    names = {Strategy.__name__ for Strategy in STRATEGIES}
    assert {"PCoreSet", "CoreSet", "Entropy", "Margin", "Random"} <= names
    assert names <= set(skactivekd.query.__all__)


@pytest.mark.parametrize("check", CONSTRUCTOR_CHECKS, ids=lambda check: check.__name__)
def test_sklearn_constructor_checks(Strategy, check):
    check(Strategy.__name__, Strategy())


def test_parameters_are_keyword_only_and_survive_clone_repr_and_pickle(Strategy):
    parameters = inspect.signature(Strategy).parameters.values()
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters)
    strategy = make(Strategy, missing_label="?")
    for copy in (clone(strategy), pickle.loads(pickle.dumps(strategy))):
        assert copy.get_params() == strategy.get_params()
    assert repr(strategy).startswith(f"{Strategy.__name__}(")
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
    expected = select(Strategy, *view(Strategy, X, y, model), n_instances)
    np.testing.assert_array_equal(picks, pool[expected])


def test_select_takes_its_arguments_by_name(Strategy, X, y, model):
    pool, labeled = view(Strategy, X, y, model)
    names = pool_name(Strategy), list(inspect.signature(Strategy.select).parameters)[2]
    picks = make(Strategy).select(**dict(zip(names, (pool, labeled), strict=True)), n_instances=3)
    np.testing.assert_array_equal(picks, select(Strategy, pool, labeled, 3))


def test_smaller_batches_are_the_beginning_of_larger_ones(Strategy, X):
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
    expected = select(Strategy, *view(Strategy, X, np.full(N, -1), model), 5)
    np.testing.assert_array_equal(picks, expected)


def test_no_rows_of_labelled_are_the_same_as_none(Strategy, X):
    np.testing.assert_array_equal(select(Strategy, X, X[:0], 5), select(Strategy, X, None, 5))


def test_one_class_only(Strategy, X):
    y = np.where(np.arange(N) < 5, 0, -1)
    model = GaussianNB().fit(X[:5], y[:5])
    assert len(set(make(Strategy).query(X, y, model, 6))) == 6


def test_one_sample_left(Strategy, X, y, model):
    y = np.where(np.arange(N) == 17, -1, 0)
    assert make(Strategy).query(X, y, model, 1).tolist() == [17]


def test_duplicates_in_the_pool(Strategy, X):
    twins = np.repeat(X[:5], 4, axis=0)
    assert sorted(select(Strategy, twins, X[:2], 20)) == list(range(20))


def test_model_and_data_are_left_unchanged(Strategy, X, y, model):
    strategy = make(Strategy)
    before = joblib.hash((model, X, y, strategy))
    strategy.query(X, y, model, 5)
    assert joblib.hash((model, X, y, strategy)) == before


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


@pytest.mark.parametrize("Strategy", concerned("proba_pool", "features_pool"))
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_with_their_row(Strategy, X, bad):
    X[23, 1] = bad
    message = f"{pool_name(Strategy)}: row 23 has a value that is not finite"
    with pytest.raises(ValueError, match=message):
        select(Strategy, X)
    with pytest.raises(ValueError, match="row 23 has a value that is not finite"):
        select(Strategy, X[:5], X)


@pytest.mark.parametrize("Strategy", concerned("proba_pool"))
def test_rows_that_do_not_sum_to_one_are_refused(Strategy, X):
    X[23] *= 1.01
    with pytest.raises(ValueError, match="proba_pool: row 23 does not sum to one"):
        select(Strategy, X)
    with pytest.raises(ValueError, match="proba_labeled: row 23 does not sum to one"):
        select(Strategy, X[:5], X)


@pytest.mark.parametrize("missing_label", [-1, 7, np.nan, None, "?", ""])
@pytest.mark.parametrize("kind", ["list", "array"])
def test_any_missing_label(Strategy, X, y, model, missing_label, kind):
    names = ["cat", "dog", "owl"] if isinstance(missing_label, str | None) else [0, 1, 2]
    labels = [missing_label if label == -1 else names[label] for label in y]
    labels = np.array(labels) if kind == "array" else labels
    picks = make(Strategy, missing_label=missing_label).query(X, labels, model, 5)
    np.testing.assert_array_equal(picks, make(Strategy).query(X, y, model, 5))


def test_string_labels_of_the_model(Strategy, X, y, model):
    names = np.array(["cat", "dog", "owl", "?"])[y]
    named = GaussianNB(var_smoothing=0.1).fit(X[y != -1], names[y != -1])
    picks = make(Strategy, missing_label="?").query(X, names, named, 5)
    np.testing.assert_array_equal(picks, make(Strategy).query(X, y, model, 5))


def test_unknown_options_are_refused(Strategy, X):
    with pytest.raises(TypeError, match="random_tie_break"):
        make(Strategy)(None, X, n_instances=1, random_tie_break=True)
