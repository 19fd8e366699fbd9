"""`candidates`: rows to choose among, in every strategy and every way to call it."""

import inspect
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from skactiveml.pool import ProbCover, TypiClust, UncertaintySampling
from sklearn.naive_bayes import GaussianNB

import skactivekd.query
from skactivekd import simulate
from skactivekd.modal import ActiveLearner
from skactivekd.query import FromSkactiveml, PCoreSet, QueryStrategy, to_skactiveml

pytestmark = pytest.mark.filterwarnings("ignore:The maximum purity was")  # ProbCover on few rows
N = 40
STRATEGIES = {
    name: value
    for name, value in vars(skactivekd.query).items()
    if inspect.isclass(value)
    and issubclass(value, QueryStrategy)
    and value not in (QueryStrategy, FromSkactiveml)
}
WRAPPED = [TypiClust(), ProbCover(), UncertaintySampling(), to_skactiveml(PCoreSet())]


def make(Strategy):
    drawing = "random_state" in inspect.signature(Strategy).parameters
    return Strategy(**({"random_state": 0} if drawing else {}))


ALL = {name: make(Strategy) for name, Strategy in STRATEGIES.items()}
ALL |= {type(theirs).__name__: FromSkactiveml(theirs, random_state=0) for theirs in WRAPPED}


@pytest.fixture(params=ALL)
def strategy(request):
    return ALL[request.param]


@pytest.fixture
def X():
    return np.random.default_rng(0).dirichlet(np.full(4, 0.7), size=N)


@pytest.fixture
def y():
    y = np.full(N, -1)
    y[np.random.default_rng(1).permutation(N)[:12]] = np.arange(12) % 3
    return y


@pytest.fixture
def model(X, y):
    return GaussianNB(var_smoothing=0.1).fit(X[y != -1], y[y != -1])


@pytest.fixture
def some(y):
    """Every second unlabeled row."""
    return np.flatnonzero(y == -1)[::2]


def learner_of(X, y, model):
    return SimpleNamespace(
        X_training=X, y_training=y, estimator=model, predict_proba=model.predict_proba
    )


@pytest.mark.parametrize("n_instances", [1, 4, 14])
def test_picks_are_candidates_by_their_row_of_x(strategy, X, y, model, some, n_instances):
    picks = strategy.query(X, y, model, n_instances, candidates=some)
    assert picks.dtype == np.int64
    assert len(set(picks)) == n_instances
    assert set(picks) <= set(some)


def test_every_unlabeled_row_is_the_default(strategy, X, y, model):
    every = np.flatnonzero(y == -1)
    expected = strategy.query(X, y, model, 5)
    np.testing.assert_array_equal(strategy.query(X, y, model, 5, candidates=every), expected)


CONTAINERS = {
    "list": lambda rows: rows.tolist(),
    "tuple": lambda rows: tuple(rows.tolist()),
    "range": lambda rows: rows,
    "reversed": lambda rows: rows[::-1],
    "uint8": lambda rows: rows.astype(np.uint8),
    "object": lambda rows: rows.astype(object),
    "series": lambda rows: pd.Series(rows, index=rows + 7),
    "nullable": lambda rows: pd.Series(rows, dtype="Int64"),
    "index": pd.Index,
    "tensor": torch.from_numpy,
    "mask": lambda rows: np.isin(np.arange(N), rows),
    "list mask": lambda rows: np.isin(np.arange(N), rows).tolist(),
    "series mask": lambda rows: pd.Series(np.isin(np.arange(N), rows), index=np.arange(N) + 7),
    "nullable mask": lambda rows: pd.array(np.isin(np.arange(N), rows), dtype="boolean"),
    "tensor mask": lambda rows: torch.from_numpy(np.isin(np.arange(N), rows)),
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_any_container_in_any_order(strategy, X, y, model, some, kind):
    expected = strategy.query(X, y, model, 5, candidates=some)
    picks = strategy.query(X, y, model, 5, candidates=CONTAINERS[kind](some))
    np.testing.assert_array_equal(picks, expected)


def test_modal_takes_them_as_rows_of_the_pool(strategy, X, y, model, some):
    pool = np.flatnonzero(y == -1)
    expected = strategy.query(X, y, model, 5, candidates=some)
    rows = np.searchsorted(pool, some)
    answer = strategy(learner_of(X, y, model), X[pool], n_instances=5, candidates=rows)
    picks = answer[0] if isinstance(answer, tuple) else answer
    np.testing.assert_array_equal(pool[picks], expected)


def test_a_learner_of_modal_hands_them_on(X, y):
    learner = ActiveLearner(GaussianNB(), PCoreSet(), X[y != -1], y[y != -1])
    pool = np.flatnonzero(y == -1)
    indices, samples = learner.query(X[pool], n_instances=2, candidates=[3, 8, 9])
    assert set(indices) <= {3, 8, 9}
    np.testing.assert_array_equal(samples, X[pool][indices])


def test_skactiveml_takes_them_as_its_own(strategy, X, y, model, some):
    """The way there: rows of X, in the order of our `query`."""
    expected = strategy.query(X, y, model, 5, candidates=some)
    theirs = to_skactiveml(strategy, missing_label=-1)
    for rows in (some, some[::-1]):
        picks, utilities = theirs.query(
            X, y, model, fit_clf=False, candidates=rows, batch_size=5, return_utilities=True
        )
        np.testing.assert_array_equal(picks, expected)
        np.testing.assert_array_equal(np.flatnonzero(~np.isnan(utilities[0])), some)


@pytest.mark.parametrize("theirs", WRAPPED, ids=lambda theirs: type(theirs).__name__)
def test_skactiveml_is_given_them_as_its_own(theirs, X, y, model, some):
    """The way back: its strategies see the whole pool, and the candidates by their row of X."""
    asked = []

    class Spy(type(theirs)):
        def query(self, X, y, *args, candidates=None, **params):
            asked.append((len(X), int(np.isnan(y).sum()), candidates))
            return super().query(X, y, *args, candidates=candidates, **params)

    Spy.query.__signature__ = inspect.signature(type(theirs).query)
    spy = Spy(**theirs.get_params(deep=False))
    FromSkactiveml(spy, random_state=0).query(X, y, model, 2, candidates=some)
    n_rows, n_unlabeled, candidates = asked[0]
    assert (n_rows, n_unlabeled, len(candidates)) == (N, N - 12, len(some))


CONTEXT = {name for name, strategy in ALL.items() if strategy.needs_whole_pool}


@pytest.mark.parametrize("name", ALL)
def test_what_is_no_candidate_is_context_or_not_seen(name, X, y, model, some):
    """Who is to represent the pool looks at all of it; nobody else asks the model for it."""
    seen = []

    class Watched(GaussianNB):
        def predict_proba(self, X):
            seen.extend(map(tuple, X))
            return super().predict_proba(X)

        def embed(self, X):
            seen.extend(map(tuple, X))
            return np.asarray(X)

    watched = Watched(var_smoothing=0.1).fit(X[y != -1], y[y != -1])
    ALL[name].query(X, y, watched, 3, candidates=some)
    others = np.setdiff1d(np.flatnonzero(y == -1), some)
    assert set(map(tuple, X[others])) & set(seen) == (
        set(map(tuple, X[others])) if name in CONTEXT else set()
    )
    assert {"UncertaintyHerding", "TypiClust", "ProbCover"} <= CONTEXT


def test_the_rest_of_the_pool_decides_what_represents_it():
    """A crowd that nobody may be asked about still wants to be represented."""
    features = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], *[[0.05, 1.0]] * 9])
    proba = np.full((12, 2), 0.5)
    herding = ALL["UncertaintyHerding"]
    assert herding.select(proba, features_pool=features, candidates=[0, 1, 2]).tolist() == [2]
    assert herding.select(proba[:3], features_pool=features[:3]).tolist() == [1]


def test_select_takes_them(strategy, X, y, model, some):
    pool, known = np.flatnonzero(y == -1), np.flatnonzero(y != -1)
    proba = model.predict_proba(X)
    picks = strategy.select(
        proba[pool],
        proba[known],
        3,
        features_pool=X[pool],
        features_labeled=X[known],
        y_labeled=y[known],
        candidates=np.searchsorted(pool, some),
    )
    np.testing.assert_array_equal(pool[picks], strategy.query(X, y, model, 3, candidates=some))


def test_fewer_than_asked_for_warns_and_gives_all(strategy, X, y, model, some):
    with pytest.warns(UserWarning, match="more than there are candidates: all 3 are") as caught:
        picks = strategy.query(X, y, model, 5, candidates=some[:3])
    assert sum("n_instances" in str(warning.message) for warning in caught) == 1
    assert set(picks) == set(some[:3])


@pytest.mark.parametrize("skipped", [[], [5], [5, 6, 7]])
def test_what_was_skipped_is_not_asked_again(strategy, X, y, model, skipped):
    left = set(np.flatnonzero(y == -1)) - set(skipped)
    for _ in range(3):
        picks = strategy.query(X, y, model, 2, candidates=sorted(left))
        assert set(picks) <= left
        left -= set(picks)


def wrong(y, some):
    labeled = int(np.flatnonzero(y != -1)[2])
    mask = np.isin(np.arange(N), some)
    return {
        "labeled": ([some[0], labeled], ValueError, rf"row {labeled}, which is labeled: y\["),
        "labeled mask": (np.ones(N, bool), ValueError, r"which is labeled: .*mask & \(y =="),
        "beyond": ([some[0], N], ValueError, rf"candidates\[1\] is {N}, but the {N} rows of X"),
        "negative": ([-1], ValueError, r"candidates\[0\] is -1, but"),
        "huge": ([2**63], ValueError, r"candidates\[0\] is 9223372036854775808, but"),
        "repeated": ([some[1], some[0], some[1]], ValueError, f"holds row {some[1]} more than"),
        "empty": ([], ValueError, "candidates is empty"),
        "empty mask": (np.zeros(N, bool), ValueError, "candidates is empty"),
        "short mask": (mask[1:], ValueError, rf"a mask of {N - 1} rows, but X has {N} rows"),
        "long mask": ([*mask, True], ValueError, f"a mask of {N + 1} rows"),
        "mask of numbers": (mask.astype(int), ValueError, "A mask must be of dtype bool"),
        "floats": ([1.0, 2.0], TypeError, "row numbers .* got dtype float64"),
        "nan": ([np.nan], TypeError, "got dtype float64"),
        "names": (["a", "b"], TypeError, "got dtype <U1"),
        "none": ([None, 3], TypeError, "got dtype object"),
        "missing": (pd.array([True, None], dtype="boolean"), TypeError, "got dtype object"),
        "mixed": (np.array([True, 3], dtype=object), TypeError, "got dtype object"),
        "two dimensions": ([[1, 2]], ValueError, r"one dimension, .* got shape \(1, 2\)"),
        "a number": (3, ValueError, r"one dimension, .* got shape \(\)"),
        "ragged": ([[1], [2, 3]], TypeError, "candidates is no array"),
        "a set": ({1, 2}, TypeError, "got a set"),
        "a string": ("12", TypeError, "got a str"),
        "sparse": (sparse.csr_array(mask[None]), TypeError, "got a csr_array"),
    }


@pytest.mark.parametrize("kind", wrong(np.arange(N) - 1, np.arange(2)))
def test_what_are_no_candidates_is_said(strategy, X, y, model, some, kind):
    candidates, error, message = wrong(y, some)[kind]
    with pytest.raises(error, match=message):
        strategy.query(X, y, model, 1, candidates=candidates)


@pytest.mark.parametrize(
    ("candidates", "message"),
    [([N], f"the {N} rows of X_pool"), ([], "is empty"), ([True], f"X_pool has {N} rows")],
)
def test_modal_hears_it_too(strategy, X, y, model, candidates, message):
    with pytest.raises(ValueError, match=message):
        strategy(learner_of(X, y, model), X, candidates=candidates)


def test_select_hears_it_too(strategy, X):
    with pytest.raises(ValueError, match=f"the {N} rows of the pool"):
        strategy.select(X, features_pool=X, candidates=[N])


def test_own_strategies_need_not_know_of_them(X, y, model, some):
    class First(QueryStrategy):
        def __init__(self, *, missing_label=-1):
            self.missing_label = missing_label

        def _pick(self, views, n_instances):
            return np.arange(n_instances)

    picks = First().query(X, y, model, 2, candidates=some[::-1])
    np.testing.assert_array_equal(picks, some[:2])
    strategies = {"first": First(), "random": ALL["Random"]}
    labels = np.arange(N) % 3
    model = skactivekd.LabeledOnly(GaussianNB(var_smoothing=0.1), classes=range(3))
    results = simulate(
        model, X, labels, X_test=X, y_test=labels, strategies=strategies, n_rounds=2, seeds=1,
        n_instances=2, progress=False,
    )  # fmt: skip
    assert len(results) == 4
