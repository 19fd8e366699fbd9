"""Badge against gradients written out in float64."""

import resource
import sys

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skactivekd.query import Badge, _badge


def problem(n=30, n_classes=5, n_features=4, seed=0):
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.full(n_classes, 0.4), size=n)
    return proba, rng.normal(size=(n, n_features))


def gradients(proba, features):
    """Write the embeddings out."""
    errors = proba - np.eye(proba.shape[1])[proba.argmax(axis=1)]
    return np.einsum("ic,id->icd", errors, features).reshape(len(proba), -1)


def d_squared(rows, picks):
    """Return the squared distances of all rows to the nearest pick."""
    return ((rows[:, None] - rows[picks]) ** 2).sum(axis=2).min(axis=1)


class Recorder:
    """A generator that keeps the probabilities it was asked to draw with."""

    def __init__(self, seed=0):
        self.rng, self.seen = np.random.default_rng(seed), []

    def choice(self, n, p):
        self.seen.append(p)
        return self.rng.choice(n, p=p)

    def permutation(self, rows):
        self.seen.append("uniform")
        return self.rng.permutation(rows)


def seeded_run(proba, features, n_instances):
    """Return picks, the probabilities they were drawn with, and the gradients' scale."""
    recorder = Recorder()
    factors = _badge._Gradients(proba, features, torch.device("cpu"))
    return _badge._seed(factors, n_instances, recorder), recorder.seen


@pytest.mark.parametrize("shape", [(30, 5, 4), (40, 2, 9), (25, 1, 3), (12, 30, 1)])
@pytest.mark.parametrize("seed", range(3))
def test_distances_are_those_of_explicit_outer_products(shape, seed):
    proba, features = problem(*shape, seed=seed)
    features[3:6], proba[3:6] = features[0], proba[0]  # equal
    features[7] = features[1] * (1 + 1e-4)  # all but equal
    proba[7] = proba[1]
    proba, features = proba.astype(np.float32), features.astype(np.float32)
    rows = gradients(proba.astype(np.float64), features.astype(np.float64))
    factors = _badge._Gradients(proba, features, torch.device("cpu"))
    scale = 4.0 ** np.frexp(np.abs(features).max())[1]
    for row in range(len(rows)):
        expected = ((rows - rows[row]) ** 2).sum(axis=1)
        found = factors.squared_distances(row) * scale
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-13)
        np.testing.assert_array_equal(found[expected == 0], 0)
    np.testing.assert_allclose(factors.squares * scale, (rows**2).sum(axis=1), rtol=1e-5)


def test_every_draw_has_the_probabilities_of_brute_force():
    proba, features = problem(60)
    rows = gradients(proba, features)
    picks, seen = seeded_run(proba, features, 25)
    assert picks[0] == (rows**2).sum(axis=1).argmax()
    assert len(seen) == 24
    for step, probabilities in enumerate(seen, start=1):
        weights = d_squared(rows, picks[:step])
        np.testing.assert_allclose(probabilities, weights / weights.sum(), rtol=1e-4, atol=1e-12)
        assert (probabilities[picks[:step]] == 0).all()


def test_second_picks_come_as_often_as_their_squared_distance_says():
    proba, features = problem(7)
    rows = gradients(proba, features)
    first = (rows**2).sum(axis=1).argmax()
    weights = d_squared(rows, [first])
    counts, n_runs = np.zeros(7), 700
    for seed in range(n_runs):
        picks = Badge(random_state=seed).select(proba, features_pool=features, n_instances=2)
        assert picks[0] == first
        counts[picks[1]] += 1
    expected = weights / weights.sum()
    spread = np.sqrt(expected * (1 - expected) / n_runs)
    assert (abs(counts / n_runs - expected) < 5 * spread + 1e-9).all()


def test_it_is_not_farthest_first_and_lengths_count():
    proba, features = problem(200, seed=1)
    sure = np.eye(5)[np.zeros(200, int)] * 0.999 + 0.0002
    proba = np.concatenate([proba, sure / sure.sum(axis=1, keepdims=True)])
    features = np.concatenate([features, features])
    picks = [
        Badge(random_state=seed).select(proba, features_pool=features, n_instances=10)
        for seed in range(20)
    ]
    assert len({tuple(row) for row in picks}) == 20
    # Of the 200 short gradients one may stand for all: it lies far from the long ones.
    assert max((row >= 200).sum() for row in picks) <= 2


def test_rows_without_gradient_are_drawn_last_and_uniformly():
    proba, features = problem(4)
    certain = np.eye(5)[np.arange(20) % 5]
    proba, features = np.concatenate([certain, proba]), np.ones((24, 4))
    features[20:] = [[1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 3, 0], [0, 0, 0, 4]]
    picks, seen = seeded_run(proba, features, 24)
    assert sorted(picks) == list(range(24))
    assert seen[-1] == "uniform"
    assert len(seen) <= 6  # four gradients and, perhaps, one of the twenty without


def test_all_zero_gradients_are_drawn_uniformly():
    proba, features = np.eye(3)[np.arange(30) % 3], np.ones((30, 2))
    counts = np.zeros(30)
    for seed in range(600):
        counts[Badge(random_state=seed).select(proba, features_pool=features, n_instances=3)] += 1
    assert counts.min() > 25
    assert counts.max() < 105
    assert sorted(
        Badge(random_state=0).select(proba, features_pool=features, n_instances=30)
    ) == list(range(30))
    zeros = Badge(random_state=0).select(
        problem(6)[0], features_pool=np.zeros((6, 2)), n_instances=6
    )
    assert sorted(zeros) == list(range(6))


def test_duplicates_wait_until_every_distinct_row_is_drawn():
    proba, features = problem(6)
    proba, features = np.tile(proba, (50, 1)), np.tile(features, (50, 1))
    picks = Badge(random_state=0).select(proba, features_pool=features, n_instances=300)
    assert sorted(picks[:6] % 6) == list(range(6))
    assert sorted(picks) == list(range(300))


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1.0, 1e30, 1e200])
def test_the_scale_of_the_features_does_not_matter(scale):
    proba, features = problem(60)
    expected = Badge(random_state=0).select(proba, features_pool=features, n_instances=20)
    picks = Badge(random_state=0).select(proba, features_pool=features * scale, n_instances=20)
    np.testing.assert_array_equal(picks, expected)


def test_tensors_memmaps_and_blocks_do_not_matter(tmp_path, monkeypatch):
    proba, features = problem(60)
    expected = Badge(random_state=0).select(proba, features_pool=features, n_instances=40)
    np.save(tmp_path / "proba.npy", proba)
    mapped = np.load(tmp_path / "proba.npy", mmap_mode="r")
    tensors = torch.tensor(proba, requires_grad=True), torch.tensor(features)
    monkeypatch.setattr(_badge, "_BLOCK_ELEMENTS", 20)
    for pool in ((mapped, np.asfortranarray(features)), tensors):
        np.testing.assert_array_equal(
            Badge(random_state=0).select(pool[0], features_pool=pool[1], n_instances=40), expected
        )


def test_the_inputs_are_left_as_they_are():
    pool = problem(30)
    before = [part.copy() for part in pool]
    Badge(random_state=0).select(pool[0], features_pool=pool[1], n_instances=10)
    for part, copy in zip(pool, before, strict=True):
        np.testing.assert_array_equal(part, copy)


def test_none_and_random_state_draw_anew():
    pool = problem(200)
    for random_state in (None, np.random.RandomState(0)):
        strategy = Badge(random_state=random_state)
        first, second = (
            strategy.select(pool[0], features_pool=pool[1], n_instances=30) for _ in range(2)
        )
        assert set(first) != set(second)


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss counts in KiB on Linux")
def test_the_outer_products_are_never_built():
    proba, features = (part.astype(np.float32) for part in problem(4000, 1000, 512))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (
        len(set(Badge(random_state=0).select(proba, features_pool=features, n_instances=20))) == 20
    )
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 300 * 2**10  # written out they would take 7.6 GiB


def test_query_asks_for_predictions_and_for_what_reaches_the_last_step():
    X = np.random.default_rng(0).normal(size=(40, 3)) * [1, 10, 100]
    y = np.where(np.arange(40) % 4 == 0, np.arange(40) // 4 % 2, -1)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X[y != -1], y[y != -1])
    pool = np.flatnonzero(y == -1)
    views = model.predict_proba(X[pool]), model[0].transform(X[pool])
    expected = pool[Badge(random_state=0).select(views[0], features_pool=views[1], n_instances=6)]
    np.testing.assert_array_equal(Badge(random_state=0).query(X, y, model, 6), expected)


def test_what_is_missing_or_of_unequal_length_is_refused():
    proba, features = problem()
    for pool in ((proba, features), proba):
        with pytest.raises(TypeError, match=r"Badge looks at features_pool, but .* got proba_pool"):
            Badge().select(pool)
    with pytest.raises(ValueError, match="proba_pool has 30 rows but features_pool has 29"):
        Badge().select(proba, features_pool=features[1:])
    features[4, 0] = np.nan
    with pytest.raises(ValueError, match="features_pool: row 4 has a value that is not finite"):
        Badge().select(proba, features_pool=features)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_draws_what_the_cpu_draws():
    pool = problem(500)
    expected = Badge(random_state=0, device="cpu").select(
        pool[0], features_pool=pool[1], n_instances=60
    )
    np.testing.assert_array_equal(
        Badge(random_state=0, device="cuda").select(pool[0], features_pool=pool[1], n_instances=60),
        expected,
    )
