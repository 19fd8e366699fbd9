import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_iris

from skactivekd import DHOClassifier, DHONet, UncertaintyHerding
from skactivekd.query import _greedy_coverage
from skactivekd.query._greedy_coverage import greedy_coverage
from skactivekd.query._uncertainty import margins


def brute_force(points, targets, weights, centers, n_select):
    """The definition in float64, every gain measured anew for every pick."""
    picks = []
    for _ in range(n_select):
        chosen = np.concatenate([centers, points[picks]])
        covered = np.maximum(chosen @ targets.T, 0).max(axis=0, initial=0)
        gains = np.maximum(points @ targets.T - covered, 0) @ weights
        gains[picks] = -1
        picks.append(int(gains.argmax()))
    return picks


def unit_rows(rng, n_rows, n_features):
    rows = rng.normal(size=(n_rows, n_features))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(0, 5), st.integers(2, 6))
def test_the_lazy_search_picks_as_the_full_one(seed, n_points, n_centers, n_features):
    rng = np.random.default_rng(seed)
    points = unit_rows(rng, n_points, n_features)
    targets = points[: rng.integers(1, n_points + 1)]
    centers = unit_rows(rng, n_centers, n_features)
    weights = rng.uniform(0.01, 1, size=len(targets))
    n_select = int(rng.integers(1, min(n_points, n_features) + 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_greedy_coverage, "FRONT", int(rng.integers(1, 9)))
        patch.setattr(_greedy_coverage, "_BLOCK", int(rng.integers(1, 200)))
        picks = greedy_coverage(
            *(torch.from_numpy(part) for part in (points, targets, weights, centers)), n_select
        )
    assert picks.tolist() == brute_force(points, targets, weights, centers, n_select)


def test_few_points_are_measured_again(monkeypatch):
    rng = np.random.default_rng(0)
    points = torch.from_numpy(unit_rows(rng, 4000, 16)).float()
    measured = []
    gains = _greedy_coverage._gains
    monkeypatch.setattr(
        _greedy_coverage,
        "_gains",
        lambda rows, *rest: measured.append(len(rows)) or gains(rows, *rest),
    )
    greedy_coverage(points, points, torch.rand(4000), points[:5], 50)
    assert sum(measured) < 0.2 * 4000 * 50


def test_what_the_model_is_sure_of_is_not_represented():
    features = np.repeat(np.eye(3), [50, 5, 20], axis=0)
    proba = np.repeat([[1.0, 0.0], [0.5, 0.5], [0.6, 0.4]], [50, 5, 20], axis=0)
    picks = UncertaintyHerding().select(proba, features_pool=features, n_instances=3)
    # Doubt in all: none among the first fifty, 5 x 1 in the next five, 20 x 0.8 in the rest.
    assert np.digitize(picks, [50, 55]).tolist() == [2, 1, 0]


def test_the_power_weighs_the_doubt():
    features = np.repeat(np.eye(2), [10, 20], axis=0)
    proba = np.repeat([[0.5, 0.5], [0.7, 0.3]], [10, 20], axis=0)  # margins 0 and 0.4
    crowds = [
        UncertaintyHerding(power=power).select(proba, features_pool=features)[0] // 10
        for power in (0, 1, 2)
    ]
    assert [min(crowd, 1) for crowd in crowds] == [1, 1, 0]  # 10 against 20, 12 and 7.2


@pytest.mark.parametrize("power", [-1, np.nan])
def test_a_negative_power_is_refused(power):
    with pytest.raises(ValueError, match=r"power=.* must be at least 0"):
        UncertaintyHerding(power=power).select([[1.0, 0.0]], features_pool=[[1.0]])


def test_labeled_samples_represent_their_neighbors():
    features = np.repeat(np.eye(2), [50, 5], axis=0)
    proba = np.full((55, 2), 0.5)
    assert (
        UncertaintyHerding().select(proba, features_pool=features, features_labeled=[[9.0, 0.1]])[0]
        >= 50
    )


def test_an_outlier_comes_after_a_crowd():
    features = np.array([[1.0, 0.0, 0.0]] + [[0.0, 1.0, 0.0]] * 3 + [[0.0, 0.1, 1.0]])
    proba = np.full((5, 2), 0.5)
    picks = UncertaintyHerding().select(
        proba, features_pool=features, features_labeled=[[0.0, 0.0, 1.0]], n_instances=2
    )
    assert picks[0] in (1, 2, 3)
    assert picks[1] == 0


def test_duplicates_come_last():
    features = np.repeat(np.eye(3), 4, axis=0)
    proba = np.full((12, 2), 0.5)
    picks = UncertaintyHerding().select(proba, features_pool=features, n_instances=12)
    assert sorted(picks[:3] // 4) == [0, 1, 2]
    assert sorted(picks) == list(range(12))


def test_a_large_pool_is_represented_by_a_draw():
    rng = np.random.default_rng(0)
    pool = rng.dirichlet(np.ones(3), 300), rng.normal(size=(300, 4))
    whole = UncertaintyHerding().select(pool[0], features_pool=pool[1], n_instances=20)
    drawn = UncertaintyHerding(max_targets=100, random_state=0)
    picks = drawn.select(pool[0], features_pool=pool[1], n_instances=20)
    assert picks.tolist() == drawn.select(pool[0], features_pool=pool[1], n_instances=20).tolist()
    assert picks.tolist() != whole.tolist()
    assert len(set(picks.tolist())) == 20
    assert picks.max() > 100

    def coverage(rows):
        unit = pool[1] / np.linalg.norm(pool[1], axis=1, keepdims=True)
        return np.maximum(unit[rows] @ unit.T, 0).max(axis=0) @ (1 - margins(pool[0]))

    assert coverage(picks) > 0.95 * coverage(whole)


@pytest.mark.parametrize("max_targets", [0, -1, 10.5, np.nan])
def test_no_targets_are_refused(max_targets):
    with pytest.raises(ValueError, match=r"max_targets=.* must be (an integer of )?at least 1"):
        UncertaintyHerding(max_targets=max_targets).select([[1.0, 0.0]], features_pool=[[1.0]])


def test_a_pool_without_features_is_refused():
    with pytest.raises(TypeError, match=r"looks at features_pool, but .* got proba_pool"):
        UncertaintyHerding().select([[0.5, 0.5]])


def test_labeled_features_of_another_width_are_refused():
    with pytest.raises(ValueError, match="features_pool has 2 columns but features_labeled has 3"):
        UncertaintyHerding().select(
            [[0.5, 0.5]], features_pool=[[1.0, 0.0]], features_labeled=[[1.0, 0.0, 0.0]]
        )


def test_with_a_student_it_asks_for_probabilities_and_features():
    X, y = load_iris(return_X_y=True)
    known = np.full(150, -1)
    known[[0, 60, 120]] = y[[0, 60, 120]]
    student = DHOClassifier(DHONet(max_epochs=5), random_state=0).fit(X, known)
    pool = np.flatnonzero(known == -1)
    features, proba = student.embed(X), student.predict_proba(X)
    labeled = np.flatnonzero(known != -1)
    expected = UncertaintyHerding().select(
        proba[pool], features_pool=features[pool], features_labeled=features[labeled], n_instances=7
    )
    picks = UncertaintyHerding().query(X, known, student, 7)
    assert picks.tolist() == pool[expected].tolist()


def test_margins_of_one_column_are_its_probabilities():
    assert margins(np.array([[0.7], [0.2]])).tolist() == [0.7, 0.2]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_picks_as_the_cpu():
    rng = np.random.default_rng(2)
    pool = rng.dirichlet(np.ones(3), 500), rng.normal(size=(500, 8))
    on_cpu, on_gpu = (
        UncertaintyHerding(device=device).select(
            pool[0], features_pool=pool[1], features_labeled=pool[1][:9], n_instances=40
        )
        for device in ("cpu", "cuda")
    )
    assert len(set(on_cpu) & set(on_gpu)) >= 39
