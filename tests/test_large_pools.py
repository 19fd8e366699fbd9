"""Teachers, strategies and students on embeddings that lie on the disk."""

import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from skactivekd import CoreSet, OpenCLIPEncoder, PCoreSet, ZeroShotTeacher, load_glyph_digits
from skactivekd.encoders import (
    PrecomputedEncoder,
    RowError,
    SkippedRowsWarning,
    embed_to_parquet,
    read_embeddings,
)
from skactivekd.query._pcoreset import _are_unit
from skactivekd.teacher import proba_to_memmap

pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def digits():
    return load_glyph_digits(return_X_y=True)[0][:60]


@pytest.fixture(scope="module")
def folder(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pool")
    embed_to_parquet(digits, OpenCLIPEncoder(), folder, shard_size=25)
    return folder


def test_a_teacher_takes_the_folder(digits, folder):
    teacher = ZeroShotTeacher(PrecomputedEncoder(folder, OpenCLIPEncoder())).set_params(
        classes=dict(enumerate("zero one two three four five six seven eight nine".split())),
        templates="the digit {}",
        logit_scale=10.0,
    )
    plain = ZeroShotTeacher(OpenCLIPEncoder()).set_params(
        **{name: getattr(teacher, name) for name in ("classes", "templates", "logit_scale")}
    )
    expected = plain.fit().predict_proba(digits)
    np.testing.assert_allclose(teacher.fit().predict_proba(np.arange(60)), expected, atol=1e-2)
    with pytest.raises(RowError, match="60 is no row of the embeddings"):
        teacher.predict_proba([60])


def test_the_folder_is_known_by_its_shards(digits, folder, tmp_path):
    embed_to_parquet(digits, OpenCLIPEncoder(), tmp_path / "same", shard_size=25)
    embed_to_parquet(digits[::-1], OpenCLIPEncoder(), tmp_path / "other", shard_size=25)
    prints = [
        PrecomputedEncoder(path).fingerprint()
        for path in (folder, tmp_path / "same", tmp_path / "other")
    ]
    assert prints[0] == prints[1] != prints[2]


def test_the_folder_is_looked_up_by_its_ids(digits, tmp_path):
    ids = [f"d{row}" for row in range(60)]
    embed_to_parquet(digits, OpenCLIPEncoder(), tmp_path, shard_size=25, ids=ids)
    found = PrecomputedEncoder(tmp_path).encode_image(["d31", "d2"])
    np.testing.assert_allclose(found, OpenCLIPEncoder().encode_image(digits[[31, 2]]), atol=1e-3)
    numbered = PrecomputedEncoder(tmp_path, id_column=None).encode_image([31, 2])
    np.testing.assert_array_equal(numbered, found)
    with pytest.raises(ValueError, match="a Parquet file brings its ids"):
        PrecomputedEncoder(tmp_path, ids=ids).encode_image(["d31"])


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_probabilities_are_those_of_the_model(digits, tmp_path, dtype):
    teacher = ZeroShotTeacher().fit()
    proba = proba_to_memmap(teacher, digits, tmp_path / "p.npy", dtype=dtype, block_size=17)
    assert isinstance(proba, np.memmap)
    assert proba.dtype == dtype
    tolerance = 1e-3 if dtype == "float16" else 1e-6
    np.testing.assert_allclose(proba, teacher.predict_proba(digits), atol=tolerance)


def test_a_block_at_a_time(tmp_path):
    asked = []

    class Model:
        def predict_proba(self, X):
            asked.append(len(X))
            return np.full((len(X), 2), 0.5)

    assert proba_to_memmap(Model(), range(10), tmp_path / "p.npy", block_size=4).shape == (10, 2)
    assert asked == [4, 4, 2]


def test_bad_rows_have_their_places_in_X(digits, tmp_path):
    X = [*digits[:5], "missing.png", *digits[5:8], "gone.png"]
    teacher = ZeroShotTeacher(OpenCLIPEncoder(on_error="skip")).fit()
    with pytest.warns(SkippedRowsWarning) as caught:
        proba = proba_to_memmap(teacher, X, tmp_path / "p.npy", block_size=4)
    assert sorted(caught[0].message.bad) == [5, 9]
    np.testing.assert_allclose(proba[[5, 9]], 0.1, atol=1e-3)
    before = (tmp_path / "p.npy").read_bytes()
    with pytest.raises(RowError, match=r"row 5: missing\.png"):
        proba_to_memmap(ZeroShotTeacher().fit(), X, tmp_path / "p.npy", block_size=4)
    assert (tmp_path / "p.npy").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["p.npy"]


def test_what_are_no_probabilities_is_refused(tmp_path):
    class Logits:
        def predict_proba(self, X):
            return np.full((len(X), 2), 3.0)

    with pytest.raises(ValueError, match=r"Logits\.predict_proba: row 0 does not sum to one"):
        proba_to_memmap(Logits(), range(3), tmp_path / "p.npy")
    with pytest.raises(ValueError, match="X has no row"):
        proba_to_memmap(Logits(), [], tmp_path / "p.npy")
    with pytest.raises(ValueError, match="dtype"):
        proba_to_memmap(Logits(), [1], tmp_path / "p.npy", dtype="int8")


def test_strategies_pick_from_the_map_what_they_pick_from_memory(folder, tmp_path):
    _, embeddings = read_embeddings(folder)
    known, values = np.array([3, 40]), np.array(embeddings)
    picked = CoreSet().select(
        features_pool=embeddings, features_labeled=embeddings[known], n_instances=9
    )
    expected = CoreSet().select(features_pool=values, features_labeled=values[known], n_instances=9)
    np.testing.assert_array_equal(picked, expected)
    wide = values.astype(np.float32)  # scaled to unit length, which these are but for rounding
    expected = CoreSet().select(features_pool=wide, features_labeled=wide[known], n_instances=9)
    np.testing.assert_array_equal(picked, expected)
    assert not set(picked) & set(known)  # at distance zero from themselves
    student = LogisticRegression().fit(values, np.arange(60) % 3)
    proba = proba_to_memmap(student, embeddings, tmp_path / "p.npy", block_size=7)
    picked = PCoreSet().select(proba_pool=proba, proba_labeled=proba[known], n_instances=9)
    expected = PCoreSet().select(np.array(proba), np.array(proba)[known], 9)
    np.testing.assert_array_equal(picked, expected)
    assert not set(picked) & set(known)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_picks_take_little_memory_beside_the_map(tmp_path):
    measure = pytest.importorskip("benchmarks._measure")
    n, d = 200_000, 256  # 98 MiB
    path = tmp_path / "rows.npy"
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(n, d))
    rng = np.random.default_rng(0)
    for start in range(0, n, 10_000):
        block = rng.normal(size=(10_000, d))
        rows[start : start + 10_000] = block / np.linalg.norm(block, axis=1, keepdims=True)
    del rows
    rows = np.load(path, mmap_mode="r")
    CoreSet().select(features_pool=rows[:5000], n_instances=5)  # what libraries take once
    with measure.Memory() as memory:
        CoreSet().select(features_pool=rows, n_instances=20)
    assert memory.growth < 60
    assert _are_unit(rows)
    assert not _are_unit(2 * rows[:10])
