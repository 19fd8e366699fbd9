import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_iris

from skactivekd import CoreSet, DHOClassifier, DHONet, MarginCoreSet
from skactivekd.query import _weighted
from skactivekd.query._uncertainty import margins
from skactivekd.query._weighted import weighted_farthest_first


def brute_force(points, centers, weights, n_select):
    """The definition, in float64, every distance measured anew for every pick."""
    picks = []
    for _ in range(n_select):
        covered = [*centers, *points[picks]] or [points.mean(axis=0)]
        keys = weights * np.min([np.linalg.norm(points - c, axis=1) for c in covered], axis=0)
        keys[picks] = -1
        picks.append(int(keys.argmax()))
    return picks


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(0, 5), st.integers(1, 6))
def test_the_lazy_search_picks_as_the_full_one(seed, n_points, n_centers, n_features):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n_points, n_features))
    centers = rng.normal(size=(n_centers, n_features))
    weights = rng.uniform(0.01, 1, size=n_points)
    n_select = int(rng.integers(1, n_points + 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_weighted, "FRONT", int(rng.integers(1, 9)))
        picks = weighted_farthest_first(
            torch.from_numpy(points), torch.from_numpy(centers), weights, n_select
        )
    assert picks.tolist() == brute_force(points, centers, weights, n_select)


def test_few_points_are_measured_again(monkeypatch):
    rng = np.random.default_rng(0)
    points = torch.from_numpy(rng.normal(size=(20_000, 4)))
    measured = []
    cdist = torch.cdist
    monkeypatch.setattr(
        torch, "cdist", lambda a, b, **kw: measured.append(len(a) * len(b)) or cdist(a, b, **kw)
    )
    weighted_farthest_first(points, points[:5], rng.uniform(0.01, 1, 20_000), 100)
    assert sum(measured) < 0.4 * 20_000 * 100


def test_no_power_is_the_core_set():
    rng = np.random.default_rng(1)
    proba, features = rng.dirichlet(np.ones(3), 50), rng.normal(size=(50, 4))
    picks = MarginCoreSet(power=0).select((proba, features), features[:4], 12)
    assert picks.tolist() == CoreSet().select(features, features[:4], 12).tolist()


def test_between_equally_far_samples_doubt_decides():
    features = [[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]
    proba = [[0.9, 0.1], [0.55, 0.45], [0.2, 0.8]]
    pick = MarginCoreSet().select((proba, features), [[1.0, 0.0]])
    assert pick.tolist() == [1]


def test_among_samples_without_doubt_distance_decides():
    features = [[1.0, 0.1], [0.0, 1.0], [1.0, 0.0]]
    certain = [[1.0, 0.0]] * 3
    assert MarginCoreSet().select((certain, features), [[1.0, 0.0]], 2).tolist() == [1, 0]


def test_duplicates_come_last():
    features = np.repeat(np.eye(3), 4, axis=0)
    proba = np.full((12, 2), 0.5)
    picks = MarginCoreSet().select((proba, features), None, 12)
    assert {row // 4 for row in picks[:3].tolist()} == {0, 1, 2}
    assert sorted(picks.tolist()) == list(range(12))


@pytest.mark.parametrize("power", [-1, np.nan])
def test_a_negative_power_is_refused(power):
    with pytest.raises(ValueError, match="power must be >= 0"):
        MarginCoreSet(power=power).select(([[1.0, 0.0]], [[1.0]]))


def test_a_pool_that_is_no_pair_is_refused():
    with pytest.raises(TypeError, match="pair"):
        MarginCoreSet().select([[0.5, 0.5]])


def test_labelled_features_of_another_width_are_refused():
    with pytest.raises(ValueError, match="features_pool has 2 columns but features_labeled has 3"):
        MarginCoreSet().select(([[0.5, 0.5]], [[1.0, 0.0]]), [[1.0, 0.0, 0.0]])


def test_with_a_student_it_asks_for_probabilities_and_features():
    X, y = load_iris(return_X_y=True)
    known = np.full(150, -1)
    known[[0, 60, 120]] = y[[0, 60, 120]]
    student = DHOClassifier(DHONet(max_epochs=5), random_state=0).fit(X, known)
    pool = np.flatnonzero(known == -1)
    features, proba = student.embed(X), student.predict_proba(X)
    labeled = np.flatnonzero(known != -1)
    expected = MarginCoreSet().select((proba[pool], features[pool]), features[labeled], 7)
    picks = MarginCoreSet().query(X, known, student, 7)
    assert picks.tolist() == pool[expected].tolist()


def test_margins_of_one_column_are_its_probabilities():
    assert margins(np.array([[0.7], [0.2]])).tolist() == [0.7, 0.2]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_picks_as_the_cpu():
    rng = np.random.default_rng(2)
    pool = rng.dirichlet(np.ones(3), 500), rng.normal(size=(500, 8))
    on_cpu, on_gpu = (
        MarginCoreSet(device=device).select(pool, pool[1][:9], 40) for device in ("cpu", "cuda")
    )
    assert on_cpu.tolist() == on_gpu.tolist()
