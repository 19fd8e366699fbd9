"""Pools whose features are a sparse matrix: the same picks, and nothing made dense."""

import inspect
import tracemalloc

import numpy as np
import pytest
import torch
from scipy import sparse
from skactiveml.pool import TypiClust
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import skactivekd.query
from skactivekd import DHOClassifier, DHONet
from skactivekd.query import (
    Badge,
    CoreSet,
    FromSkactiveml,
    QueryStrategy,
    UncertaintyHerding,
    _from_skactiveml,
    k_center_greedy,
)

STRATEGIES = [
    value
    for value in vars(skactivekd.query).values()
    if inspect.isclass(value)
    and issubclass(value, QueryStrategy)
    and value not in (QueryStrategy, FromSkactiveml)
]


def make(Strategy, **params):
    drawing = "random_state" in inspect.signature(Strategy).parameters
    return Strategy(**({"random_state": 0} if drawing else {}), **params)


@pytest.fixture(params=[*STRATEGIES, "euclidean"], ids=lambda s: getattr(s, "__name__", s))
def strategy(request):
    if request.param == "euclidean":
        return CoreSet(metric="euclidean")
    return make(request.param)


@pytest.fixture
def rows():
    return sparse.random_array((300, 50), density=0.1, random_state=0, format="csr")


@pytest.fixture
def y(rows):
    y = np.full(rows.shape[0], -1)
    y[:12] = np.arange(12) % 3
    return y


FORMATS = {
    "csr": sparse.csr_array,
    "matrix": sparse.csr_matrix,
    "csc": sparse.csc_array,
    "coo": sparse.coo_array,
    "lil": sparse.lil_array,
    "float32": lambda rows: rows.astype(np.float32),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_picks_are_those_of_the_dense_pool(strategy, rows, y, kind):
    given = FORMATS[kind](rows)
    dense = given.toarray()
    model = LogisticRegression(max_iter=500).fit(dense[:12], y[:12])
    expected = strategy.query(dense, y, model, 30)
    np.testing.assert_array_equal(strategy.query(given, y, model, 30), expected)
    some = np.arange(20, 300, 3)
    np.testing.assert_array_equal(
        strategy.query(given, y, model, 5, candidates=some),
        strategy.query(dense, y, model, 5, candidates=some),
    )
    nobody = np.full(len(y), -1)
    np.testing.assert_array_equal(
        strategy.query(given, nobody, model, 5), strategy.query(dense, nobody, model, 5)
    )


def not_canonical():
    """[[3, 0], [0, 4], [1, 0]] with repeated, unsorted and stored zero entries."""
    data, columns = np.array([1.0, 2, 0, 4, 0.5, 0.5]), np.array([0, 0, 1, 1, 0, 0])
    return sparse.csr_array((data, columns, np.array([0, 3, 4, 6])), shape=(3, 2))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_entries_in_disorder_count_as_they_are(metric):
    given = not_canonical()
    before = given.data.copy()
    strategy = CoreSet(metric=metric)
    expected = strategy.select(features_pool=given.toarray(), n_instances=3)
    np.testing.assert_array_equal(strategy.select(features_pool=given, n_instances=3), expected)
    np.testing.assert_array_equal(given.data, before)


@pytest.mark.parametrize("n_centers", [0, 1, 40])
@pytest.mark.parametrize("dense_centers", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_k_center_of_sparse_points(rows, n_centers, dense_centers, dtype):
    given = (10 * rows).astype(dtype)
    centers = given[:n_centers] if n_centers else None
    expected = k_center_greedy(given.toarray(), None if centers is None else centers.toarray(), 60)
    if dense_centers and n_centers:
        centers = centers.toarray()
    indices, distances = k_center_greedy(given, centers, 60)
    np.testing.assert_array_equal(indices, expected[0])
    np.testing.assert_allclose(distances, expected[1], rtol=1e-6, atol=1e-6)


def test_sparse_centers_of_dense_points(rows):
    expected = k_center_greedy(rows.toarray(), rows[:9].toarray(), 20)
    indices, distances = k_center_greedy(rows.toarray(), rows[:9], 20)
    np.testing.assert_array_equal(indices, expected[0])
    np.testing.assert_array_equal(distances, expected[1])


@pytest.mark.parametrize("twins", [1, 3])
def test_every_sparse_row_can_be_picked(rows, twins):
    given = sparse.vstack([rows[:20]] * twins, format="csr")
    for centers in (None, rows[:2]):
        indices, distances = k_center_greedy(given, centers, 20 * twins)
        assert sorted(indices) == list(range(20 * twins))
        assert (np.diff(distances[1:]) <= 1e-9).all()


def test_rows_of_zeros_and_of_any_size():
    given = sparse.csr_array(np.array([[0.0, 0], [1e-200, 0], [0, 1e200], [3, 4]]))
    dense = CoreSet().select(features_pool=given.toarray(), n_instances=4)
    np.testing.assert_array_equal(CoreSet().select(features_pool=given, n_instances=4), dense)


@pytest.mark.parametrize("kinds", [("sparse", "dense"), ("dense", "sparse"), ("sparse", "tensor")])
def test_pool_and_labeled_rows_of_different_kinds(rows, kinds):
    as_kind = {
        "sparse": lambda rows: rows,
        "dense": lambda rows: rows.toarray(),
        "tensor": lambda rows: torch.from_numpy(rows.toarray()),
    }
    pool, labeled = as_kind[kinds[0]](rows), as_kind[kinds[1]](rows[:9])
    expected = CoreSet().select(
        features_pool=rows.toarray(), features_labeled=rows[:9].toarray(), n_instances=8
    )
    np.testing.assert_array_equal(
        CoreSet().select(features_pool=pool, features_labeled=labeled, n_instances=8), expected
    )
    proba = np.full((300, 2), 0.5)
    expected = UncertaintyHerding().select(
        proba, features_pool=rows.toarray(), features_labeled=rows[:9].toarray(), n_instances=8
    )
    picks = UncertaintyHerding().select(
        proba, features_pool=pool, features_labeled=labeled, n_instances=8
    )
    np.testing.assert_array_equal(picks, expected)


def test_values_that_are_not_finite_are_named(rows):
    bad = rows.copy()
    bad.data[bad.indptr[23]] = np.nan
    proba = np.full((300, 2), 0.5)
    for call in (
        lambda: CoreSet().select(features_pool=bad),
        lambda: CoreSet().select(features_pool=rows, features_labeled=bad),
        lambda: Badge().select(proba, features_pool=bad),
        lambda: UncertaintyHerding().select(proba, features_pool=bad),
        lambda: UncertaintyHerding().select(proba, features_pool=rows, features_labeled=bad),
        lambda: FromSkactiveml(TypiClust()).select(features_pool=bad),
    ):
        with pytest.raises(ValueError, match=r"features_\w+: row 23 has a value that is not fin"):
            call()
    with pytest.raises(ValueError, match=r"points: row 23 .*not finite"):
        k_center_greedy(bad, None, 2)
    with pytest.raises(ValueError, match=r"points: row 23 .*not finite"):
        k_center_greedy(bad, rows[:4], 2)
    with pytest.raises(ValueError, match=r"centers: row 23 .*not finite"):
        k_center_greedy(rows, bad, 2)
    with pytest.raises(ValueError, match=r"n_select=301, but there are only 300 points"):
        k_center_greedy(rows, None, 301)
    with pytest.raises(ValueError, match="features_labeled has 49"):
        CoreSet().select(features_pool=rows, features_labeled=rows[:, :49])
    with pytest.raises(TypeError, match=r"proba_pool is sparse; pass .*toarray"):
        Badge().select(sparse.csr_array(proba), features_pool=rows)


def test_memory_is_that_of_what_is_not_zero(strategy):
    """20,000 rows of 200,000 columns: 1.6 MB, and 30 GiB if they were dense."""
    n, d = 20_000, 200_000
    rng = np.random.default_rng(0)
    columns = rng.integers(d, size=(n, 5)).ravel()
    given = sparse.csr_array(
        (np.ones(n * 5, np.float32), columns, np.arange(0, n * 5 + 1, 5)), shape=(n, d)
    )
    y = np.full(n, -1)
    y[:9] = np.arange(9) % 3

    class Cheap(LogisticRegression):
        def predict_proba(self, X):
            return np.full((X.shape[0], 3), 1 / 3)

    model = Cheap()
    model.classes_ = np.arange(3)
    if isinstance(strategy, UncertaintyHerding):
        strategy = UncertaintyHerding(max_targets=300)
    tracemalloc.start()
    try:
        picks = strategy.query(given, y, model, 3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(set(picks)) == 3
    assert peak < 2**28


def test_scikit_activeml_says_what_it_would_take(rows, monkeypatch):
    strategy = FromSkactiveml(TypiClust(), random_state=0)
    expected = strategy.select(features_pool=rows.toarray(), n_instances=3)
    np.testing.assert_array_equal(strategy.select(features_pool=rows, n_instances=3), expected)
    pool = sparse.csr_array((20_000, 60_000), dtype=np.float32)
    message = (
        r"20000 samples are sparse with 60000 columns; .* take 9600000000 bytes \(8.9 GiB\), "
        r"and the limit is 1 GiB\. .*TruncatedSVD.* a strategy of skactivekd"
    )
    with pytest.raises(ValueError, match=message):
        strategy.query(pool, np.full(20_000, -1), None)
    monkeypatch.setattr(_from_skactiveml, "DENSE_LIMIT", 8 * 300 * 50)
    strategy.select(features_pool=rows)
    with pytest.raises(ValueError, match="301 samples are sparse"):
        strategy.select(features_pool=rows, features_labeled=rows[:1])
    strategy.select(features_pool=np.ones((301, 50)))  # what is dense is there already


def test_texts_through_a_pipeline():
    texts = [f"word{row} word{row % 7} word{row % 3}" for row in range(60)]
    y = np.full(60, -1)
    y[:6] = np.arange(6) % 3
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts[:6], y[:6])
    for strategy in (CoreSet(), Badge(random_state=0), UncertaintyHerding()):
        features = model[0].transform(texts)
        assert len(set(strategy.query(texts, y, model, 5))) == 5
        assert sparse.issparse(features)


def test_a_student_on_sparse_rows(rows, y):
    student = DHOClassifier(DHONet(max_epochs=1, module__hidden=16), random_state=0).fit(rows, y)
    for strategy in (CoreSet(), Badge(random_state=0), UncertaintyHerding()):
        assert len(set(strategy.query(rows, y, student, 5))) == 5
