"""k_center_greedy against a brute-force greedy in float64."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skactivekd.query import _k_center, _k_center_bounds, _k_center_distances, k_center_greedy
from skactivekd.query._read_rows import common_dtype


def choose_path(monkeypatch, name):
    """Make every search lazy, or none."""
    monkeypatch.setattr(_k_center, "_is_small", lambda *_: name == "running minimum")


@pytest.fixture(params=["lazy", "running minimum"])
def path(request, monkeypatch):
    choose_path(monkeypatch, request.param)
    return request.param


def to_centers(points, centers):
    """Float64 distances of all points to their nearest center, one pair at a time."""
    gaps = points[:, None].astype(np.float64) - np.asarray(centers, dtype=np.float64)[None]
    return np.sqrt((gaps**2).sum(axis=2)).min(axis=1)


def assert_greedy(points, centers, indices, distances, tol=1e-5):
    """Each pick is a farthest point, and its reported distance is true, within tol."""
    points = np.asarray(points, dtype=np.float64)
    known = points.mean(axis=0)[None] if centers is None else np.asarray(centers, np.float64)
    tol = tol * max(1.0, np.ptp(np.concatenate([points, known]), axis=0).max())
    nearest = np.full(len(points), np.inf)
    for center in known:
        nearest = np.minimum(nearest, np.linalg.norm(points - center, axis=1))
    free = np.ones(len(points), dtype=bool)
    for step, (index, distance) in enumerate(zip(indices, distances, strict=True)):
        assert free[index]
        assert nearest[index] >= nearest[free].max() - tol
        assert abs(distance - nearest[index]) <= tol
        free[index] = False
        if step == 0 and centers is None:
            nearest[:] = np.inf  # the mean was no center
        nearest = np.minimum(nearest, np.linalg.norm(points - points[index], axis=1))


def rng_points(n, d, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(dtype)


def probabilities(n, n_classes, sharpness=3.0, seed=0):
    logits = sharpness * rng_points(n, n_classes, seed)
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


finite = st.floats(-1e3, 1e3, width=32)
few_values = st.sampled_from([0.0, 0.5, 1.0])


@pytest.mark.parametrize("name", ["lazy", "running minimum"])
@settings(deadline=None, max_examples=80)
@given(data=st.data(), values=st.sampled_from([finite, few_values]))
def test_every_pick_is_a_farthest_point(name, data, values):
    n, d, m = (data.draw(st.integers(low, high)) for low, high in [(1, 40), (1, 6), (0, 6)])
    points = data.draw(
        arrays(data.draw(st.sampled_from([np.float32, np.float64])), (n, d), elements=values)
    )
    centers = data.draw(arrays(np.float64, (m, d), elements=values)) if m else None
    n_select = data.draw(st.integers(1, n))
    block_size = data.draw(st.sampled_from([None, 1, 5]))
    with pytest.MonkeyPatch.context() as monkeypatch:
        choose_path(monkeypatch, name)
        indices, distances = k_center_greedy(points, centers, n_select, block_size=block_size)
    assert np.isfinite(distances).all()
    assert_greedy(points, centers, indices, distances)


HARD = {
    "normal": rng_points(1000, 20),
    "probabilities": probabilities(1000, 300).astype(np.float32),
    "saturated probabilities": probabilities(1000, 300, sharpness=30.0).astype(np.float32),
    "flat probabilities": probabilities(1000, 300, sharpness=0.1).astype(np.float32),
    "duplicates": np.repeat(probabilities(300, 300), 4, axis=0),
    "all equal": np.full((600, 300), 1 / 300, np.float32),
    "one-hot": np.eye(50)[np.random.default_rng(0).integers(50, size=1500)],
    "one column": rng_points(500, 1),
    "tiny cluster far away": 1e6 + 1e-3 * rng_points(500, 5),
    "float32 far away": (1e4 + rng_points(500, 5)).astype(np.float32),
    "two clusters far apart": np.concatenate([rng_points(200, 3), 4096 + rng_points(200, 3)]),
    "integers": np.random.default_rng(0).integers(0, 255, size=(600, 6)).astype(np.uint8),
    "long integers": 2**30 + np.random.default_rng(0).integers(0, 9, size=(600, 6)),
    "half precision": probabilities(600, 300).astype(np.float16),
    "tiny values": 1e-25 * rng_points(200, 4),
}


@pytest.mark.parametrize("n_centers", [0, 1, 20, 280])
@pytest.mark.parametrize("name", HARD)
def test_hard_data(path, name, n_centers, monkeypatch):
    monkeypatch.setattr(
        _k_center_distances, "SKETCH", 16
    )  # small enough for screens and several pools
    monkeypatch.setattr(_k_center_bounds, "POOL", 300)
    monkeypatch.setattr(_k_center_bounds, "FRONT", 64)
    points = np.random.default_rng(1).permutation(HARD[name])
    n_centers = min(n_centers, len(points) // 2)
    centers, points = points[:n_centers], points[n_centers:]
    n_select = min(120, len(points))
    indices, distances = k_center_greedy(points, centers if n_centers else None, n_select)
    assert indices.dtype == np.int64
    assert distances.dtype == np.float64
    assert_greedy(points, centers if n_centers else None, indices, distances)


def test_both_paths_pick_the_same(monkeypatch):
    points = probabilities(4000, 300)
    choose_path(monkeypatch, "lazy")
    lazy = k_center_greedy(points[300:], points[:300], 400)
    choose_path(monkeypatch, "running minimum")
    running = k_center_greedy(points[300:], points[:300], 400)
    np.testing.assert_array_equal(lazy[0], running[0])
    np.testing.assert_allclose(lazy[1], running[1], atol=1e-7)


def test_few_rows_are_measured_against_all_centers(monkeypatch):
    """The point of being lazy: most rows are covered by a bound alone."""
    cluster = np.random.default_rng(0).integers(300, size=6000)
    cluster[:600] %= 250  # the centers miss a sixth of the clusters
    points = 0.98 * probabilities(300, 300, seed=3)[cluster] + 0.02 * probabilities(6000, 300)
    settled = []
    settle = _k_center_bounds.Shard._settle
    monkeypatch.setattr(
        _k_center_bounds.Shard,
        "_settle",
        lambda *args: (settled.append(len(args[1])), settle(*args)),
    )
    choose_path(monkeypatch, "lazy")
    k_center_greedy(points[600:], points[:600], 50)
    assert 50 <= sum(settled) < 1500


def test_every_row_can_be_picked(path):
    points = probabilities(700, 10)
    indices, distances = k_center_greedy(points, points[:3], 700)
    assert sorted(indices) == list(range(700))
    assert (np.diff(distances) <= 0).all()
    assert not distances[-3:].any()


def test_a_tiny_cluster_far_from_the_origin_keeps_its_digits(path):
    small = rng_points(80, 5)
    expected = k_center_greedy(small, small[:3], 20)
    indices, distances = k_center_greedy(1e6 + 1e-3 * small, 1e6 + 1e-3 * small[:3], 20)
    np.testing.assert_array_equal(indices, expected[0])
    np.testing.assert_allclose(distances, 1e-3 * expected[1], rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_distances_within_two_distant_clusters_keep_their_digits(path, dtype):
    cluster = rng_points(30, 3, dtype=dtype)
    points = np.concatenate([cluster, cluster + dtype(4096)])
    indices, distances = k_center_greedy(points, points[[0, 30]], 20)
    true = points.astype(np.float64)
    known = [true[0], true[30]]
    for index, distance in zip(indices, distances, strict=True):
        gaps = to_centers(true, known)
        np.testing.assert_allclose(distance, gaps[index], rtol=1e-5)
        assert gaps[index] >= gaps.max() * (1 - 1e-5)
        known.append(true[index])


def test_same_picks_as_brute_force_where_nothing_is_near_a_tie(path):
    points, centers = probabilities(500, 10), probabilities(20, 10, seed=1)
    known, expected = list(centers), []
    for _ in range(60):
        expected.append(int(to_centers(points, known).argmax()))
        known.append(points[expected[-1]])
    np.testing.assert_array_equal(k_center_greedy(points, centers, 60)[0], expected)


def test_without_centers_the_first_pick_is_farthest_from_the_mean(path):
    indices, distances = k_center_greedy([[0.0], [1.0], [2.0], [9.0]], n_select=3)
    assert indices.tolist() == [3, 0, 2]
    # To the mean (3), then to the first pick, then to the nearer of both.
    np.testing.assert_allclose(distances, [6.0, 9.0, 2.0])


def test_no_rows_of_centers_is_the_same_as_none():
    points = rng_points(20, 3)
    np.testing.assert_array_equal(
        k_center_greedy(points, np.empty((0, 3)), 5), k_center_greedy(points, None, 5)
    )


def test_ties_go_to_the_first_row_and_no_row_comes_twice(path):
    for centers in (None, [[0.0, 0.0]]):
        indices, distances = k_center_greedy(np.zeros((700, 2)), centers, 700)
        assert indices.tolist() == list(range(700))
        assert not distances.any()
    rows = np.eye(4)[[2, 0, 2, 1, 0]]
    assert k_center_greedy(rows, [[0, 0, 0, 1]], 5)[0].tolist() == [0, 1, 3, 2, 4]


def test_ties_of_many_duplicates_go_to_the_first_row(path):
    points = np.tile(probabilities(100, 37).astype(np.float32), (8, 1))
    indices, _ = k_center_greedy(points, points[:1], 99)
    assert (indices < 100).all()


def read_only(points):
    points = points.copy()
    points.flags.writeable = False
    return points


LAYOUTS = {
    "fortran": np.asfortranarray,
    "strided": lambda points: np.repeat(points, 2, axis=1)[:, ::2],
    "reversed twice": lambda points: np.ascontiguousarray(points[::-1, ::-1])[::-1, ::-1],
    "read-only": read_only,
    "big endian": lambda points: points.astype(points.dtype.newbyteorder(">")),
    "list": lambda points: points.astype(np.float64).tolist(),
    "tensor": torch.from_numpy,
    "tensor with gradient": lambda points: torch.from_numpy(points).requires_grad_(),
    "transposed tensor": lambda points: torch.from_numpy(np.ascontiguousarray(points.T)).T,
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_container_and_layout_do_not_matter(path, layout, dtype):
    points = probabilities(90, 6).astype(dtype)
    expected = k_center_greedy(points[10:], points[:10], 12)
    change = LAYOUTS[layout]
    indices, distances = k_center_greedy(change(points[10:].copy()), change(points[:10].copy()), 12)
    np.testing.assert_array_equal(indices, expected[0])
    np.testing.assert_allclose(distances, expected[1], atol=1e-6)


def test_memmap_opened_for_reading(path, tmp_path):
    points = probabilities(60, 5).astype(np.float32)
    np.save(tmp_path / "points.npy", points)
    mapped = np.load(tmp_path / "points.npy", mmap_mode="r")
    np.testing.assert_array_equal(
        k_center_greedy(mapped, None, 9), k_center_greedy(points, None, 9)
    )


def test_bfloat16_tensors_are_taken_for_what_they_hold(path):
    points = torch.from_numpy(rng_points(50, 4)).to(torch.bfloat16)
    np.testing.assert_array_equal(
        k_center_greedy(points, None, 9), k_center_greedy(points.float(), None, 9)
    )


@pytest.mark.parametrize("block_size", [1, 7, 1000])
def test_block_size_changes_nothing(path, block_size):
    points, centers = rng_points(50, 4), rng_points(11, 4, seed=1)
    np.testing.assert_array_equal(
        k_center_greedy(points, centers, 20, block_size=block_size),
        k_center_greedy(points, centers, 20),
    )


def test_input_is_left_unchanged():
    points = rng_points(40, 3)
    before = points.copy()
    k_center_greedy(points, points[:4], 10)
    np.testing.assert_array_equal(points, before)


def resident_bytes(field):
    """Read VmRSS (now) or VmHWM (peak) of this process."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[field].split()[0]) * 1024


def reset_peak():
    """Make the present the peak, and return it in bytes."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pytest.skip("the peak of memory cannot be reset here")
    return resident_bytes("VmRSS")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_centers", [0, 50])
def test_extra_memory_is_that_of_a_few_blocks(dtype, n_centers):
    points = rng_points(80_000, 128).astype(dtype)  # 41 or 82 MB
    k_center_greedy(points[:5_000], points[:n_centers], 2)
    before = reset_peak()
    k_center_greedy(points, points[:n_centers], 3, block_size=4_000)  # 2 MB in float32
    assert resident_bytes("VmHWM") - before < 20e6


def test_extra_memory_does_not_grow_with_the_centers():
    points = rng_points(5_000, 16, dtype=np.float32)
    k_center_greedy(points, points[:20], 2)
    before = reset_peak()
    k_center_greedy(points, points, 1)  # all distances at once would take 100 MB
    assert resident_bytes("VmHWM") - before < 20e6


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("row", [0, 7])
def test_a_row_that_is_not_finite_is_named(path, bad, dtype, row):
    points = rng_points(10, 3).astype(dtype)
    good = points.copy()
    points[row, 1] = bad
    with pytest.raises(ValueError, match=rf"points: row {row} .*not finite"):
        k_center_greedy(points, None, 2, block_size=4)
    with pytest.raises(ValueError, match=rf"centers: row {row} .*not finite"):
        k_center_greedy(good, points, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_that_would_overflow_are_refused(path, dtype):
    with pytest.raises(ValueError, match=r"points: row 2 .*too large"):
        k_center_greedy(np.array([[0.0], [1.0], [1e30]], dtype), None, 2)


def test_global_state_is_left_as_found(path):
    torch.manual_seed(0)
    before = torch.get_rng_state(), torch.get_num_threads(), np.random.get_state()[1].copy()
    k_center_greedy(rng_points(600, 20), rng_points(30, 20), 20)
    assert torch.equal(before[0], torch.get_rng_state())
    assert torch.get_num_threads() == before[1]
    np.testing.assert_array_equal(np.random.get_state()[1], before[2])


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_products_of_less_precision_change_no_pick(path, precision):
    points = probabilities(2000, 300).astype(np.float32)
    expected = k_center_greedy(points[300:], points[:300], 60)
    before = torch.backends.mkldnn.matmul.fp32_precision
    torch.backends.mkldnn.matmul.fp32_precision = precision
    try:
        indices, distances = k_center_greedy(points[300:], points[:300], 60)
    finally:
        torch.backends.mkldnn.matmul.fp32_precision = before
    np.testing.assert_array_equal(indices, expected[0])
    np.testing.assert_array_equal(distances, expected[1])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.uint8, np.int16, np.bool_])
def test_narrow_inputs_stay_in_float32(dtype):
    assert common_dtype(np.zeros((2, 2), dtype), np.zeros((1, 2), np.float32)) == np.float32


@pytest.mark.parametrize("dtype", [np.float64, np.int32, np.int64])
def test_wide_inputs_are_kept_in_float64(dtype):
    assert common_dtype(np.zeros((2, 2), np.float32), np.zeros((1, 2), dtype)) == np.float64


@pytest.mark.parametrize(
    ("points", "centers", "n_select", "error", "message"),
    [
        ([[0.0]], None, 0, ValueError, "n_select must be at least 1, got 0"),
        ([[0.0]], None, 2, ValueError, "n_select=2, but there are only 1 points"),
        ([[0.0]], None, 1.0, TypeError, "n_select must be an integer"),
        (np.empty((0, 2)), None, 1, ValueError, "there are only 0 points"),
        ([[0.0]], [[0.0, 1.0]], 1, ValueError, "points has 1 columns but centers has 2"),
        ([0.0, 1.0], None, 1, ValueError, r"points must have two dimensions.*\(2,\)"),
        (np.empty((3, 0)), None, 1, ValueError, "at least one column"),
        ([["a"]], None, 1, TypeError, "points must hold real numbers"),
        ([[1j]], None, 1, TypeError, "points must hold real numbers"),
    ],
)
def test_wrong_arguments(points, centers, n_select, error, message):
    with pytest.raises(error, match=message):
        k_center_greedy(points, centers, n_select)


@pytest.mark.parametrize("block_size", [0, 2.5])
def test_wrong_block_size(block_size):
    with pytest.raises((TypeError, ValueError), match="block_size"):
        k_center_greedy([[0.0]], None, 1, block_size=block_size)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_the_cpu():
    points, centers = probabilities(500, 10), probabilities(20, 10, seed=1)
    expected = k_center_greedy(points, centers, 30, device="cpu")[0]
    for there in (points, torch.from_numpy(points).cuda()):
        np.testing.assert_array_equal(k_center_greedy(there, centers, 30)[0], expected)
