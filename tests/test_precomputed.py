"""Embeddings from elsewhere: found by the value of their ids, or an error that says what to do."""

import os
import pickle
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from skactivekd import (
    CLAPTeacher,
    DHOClassifier,
    DHONet,
    Embedder,
    OpenCLIPEncoder,
    SentenceEncoder,
    TeacherProba,
    ZeroShotTeacher,
    simulate,
)
from skactivekd.encoders import PrecomputedEncoder, RowError, SkippedRowsWarning, TextError
from skactivekd.encoders._base import encode_rows, encode_texts
from skactivekd.utils.estimator_checks import check_encoder, check_teacher

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(8, 16)).astype(np.float32)
UNIT = ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)
NAMES = [f"clip {letter}" for letter in "hgfedcba"]


@pytest.fixture
def texts(tiny_clip):
    return OpenCLIPEncoder(tiny_clip.directory)


def save(tmp_path, form, dtype=np.float32):
    """Return the arguments that hold ROWS with NAMES in some form."""
    rows = ROWS.astype(dtype)
    if form == "array":
        return {"embeddings": rows, "ids": NAMES}
    if form == "list":
        return {"embeddings": rows.tolist(), "ids": NAMES}
    if form == "tensor":
        import torch

        return {"embeddings": torch.from_numpy(rows), "ids": np.array(NAMES)}
    if form == "memmap":
        values = np.memmap(tmp_path / "rows.raw", rows.dtype, "w+", shape=rows.shape)
        values[:] = rows
        return {"embeddings": values, "ids": pd.Series(NAMES)}
    if form == "npy":
        np.save(tmp_path / "rows.npy", rows)
        return {"embeddings": tmp_path / "rows.npy", "ids": NAMES}
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    kind = pa.from_numpy_dtype(dtype)
    kind = pa.list_(kind, 16) if form == "fixed" else pa.list_(kind)
    table = pa.table({"id": NAMES, "embedding": pa.array(list(rows), kind), "more": range(8)})
    if form == "shards":
        (tmp_path / "shards").mkdir()
        for part in range(3):
            parquet.write_table(
                table.slice(3 * part, 3), tmp_path / "shards" / f"part-{part}.parquet"
            )
        return {"embeddings": str(tmp_path / "shards")}
    parquet.write_table(table, tmp_path / "rows.parquet", row_group_size=3)
    return {"embeddings": str(tmp_path / "rows.parquet")}


FORMS = ["array", "list", "tensor", "memmap", "npy", "lists", "fixed", "shards"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_embeddings_of_any_form_are_found_by_id(tmp_path, texts, form, dtype):
    if form == "list" and dtype == np.float16:
        pytest.skip("a list has no such floats")
    encoder = PrecomputedEncoder(text_encoder=texts, **save(tmp_path, form, dtype))
    order = [3, 0, 7, 3]
    X = [NAMES[row] for row in order]
    for asked in (X, np.array(X), np.array(X, dtype=object), pd.Series(X), np.array(X)[:, None]):
        for found in (encoder.encode_image(asked), encode_rows(encoder, asked)):
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, UNIT[order], atol=1e-3)
    check_encoder(encoder, NAMES)


@pytest.mark.parametrize("ids", [None, [10, 20, 30, 40, 50, 60, 70, 80], NAMES])
def test_it_drives_teachers_students_and_simulations(texts, ids):
    from sklearn.pipeline import make_pipeline

    encoder = PrecomputedEncoder(ROWS, texts, ids=ids)
    X = np.arange(8) if ids is None else np.array(ids)
    zero_shot = ZeroShotTeacher(encoder, classes={0: "cat", 1: "dog"})
    check_teacher(zero_shot, X)
    expected = texts.encode_text(["a photo of a cat.", "a photo of a dog."])
    logits = 100 * UNIT @ expected.T
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(zero_shot.fit().predict_proba(X), proba, atol=1e-4)
    teacher = CLAPTeacher(encoder, classes={0: "cat", 1: "dog"}, random_state=0)
    step = TeacherProba(teacher, features=Embedder(encoder), encoder_at_predict=True)
    student = DHOClassifier(DHONet(max_epochs=1), classes=[0, 1], random_state=0)
    pipe = make_pipeline(step, student).fit(X, [0, 1, 0, 1, -1, -1, -1, -1])
    assert np.isfinite(pipe.predict_proba(X)).all()
    truth = np.arange(8) % 2
    curve = simulate(
        pipe, X, truth, X_test=X, y_test=truth, n_rounds=2, n_instances=1, n_initial=2, seeds=1,
        progress=False,
    )  # fmt: skip
    assert len(curve) == 2


def test_clones_share_the_table_and_paths_travel(tmp_path, texts):
    encoder = PrecomputedEncoder(ROWS, texts, ids=NAMES)
    copied = clone(encoder)
    assert copied.embeddings is ROWS
    assert copied.text_encoder is not texts
    assert clone(ZeroShotTeacher(encoder)).encoder.embeddings is ROWS
    written = PrecomputedEncoder(text_encoder=texts, **save(tmp_path, "lists"))
    sent = pickle.dumps(written)
    assert len(sent) < 2000
    np.testing.assert_allclose(pickle.loads(sent).encode_image(NAMES), UNIT, atol=1e-6)


def test_fingerprints_follow_the_content(tmp_path, texts):
    def fingerprint(**params):
        return PrecomputedEncoder(
            **{"embeddings": ROWS, "text_encoder": texts, **params}
        ).fingerprint()

    prints = {
        fingerprint(),
        fingerprint(embeddings=ROWS + 1),
        fingerprint(ids=NAMES),
        fingerprint(ids=NAMES[::-1]),
        fingerprint(text_encoder=None),
    }
    assert len(prints) == 5
    assert fingerprint(embeddings=ROWS.copy(), on_error="skip") == fingerprint()
    saved = save(tmp_path, "npy")
    before = fingerprint(**saved)
    np.save(saved["embeddings"], ROWS + 1)
    assert fingerprint(**saved) != before
    encoder = PrecomputedEncoder(**saved)
    expected = (ROWS + 1) / np.linalg.norm(ROWS + 1, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.encode_image(NAMES), expected, atol=1e-6)


def test_sentence_encoders_keep_their_scale(tiny_sentence):
    encoder = PrecomputedEncoder(ROWS, SentenceEncoder(tiny_sentence))
    assert encoder.logit_scale_ == SentenceEncoder(tiny_sentence).logit_scale_

    class Bare:
        def encode_text(self, texts):
            return UNIT[: len(texts)]

    assert PrecomputedEncoder(ROWS, Bare()).logit_scale_ == 20
    assert PrecomputedEncoder(ROWS).logit_scale_ is None
    assert clone(PrecomputedEncoder(ROWS, texts := Bare())).text_encoder is texts


BAD_IDS = {
    "unknown": (99, "there are no embeddings with the id 99$"),
    "below 0": (-1, "no embeddings with the id -1"),
    "a text": ("10", "the id '10'; the ids are numbers, such as 10"),
    "a fraction": (10.5, "10.5 is no id: ids are integers or texts"),
    "nan": (np.nan, "nan is no id"),
    "infinite": (np.inf, "inf is no id"),
    "None": (None, "None is no id"),
    "True": (True, "True is no id"),
    "a tuple": ((10, 20), r"\(10, 20\) is no id"),
    "bytes": (b"10", "b'10' is no id"),
    "beyond all integers": (2**70, "no embeddings with the id 1180591620717411303424"),
    "an embedding": (ROWS[0], "is no id"),
    "pandas.NA": (pd.NA, "<NA> is no id"),
}


@pytest.mark.parametrize("case", BAD_IDS)
def test_bad_ids_are_named(texts, case):
    item, message = BAD_IDS[case]
    ids = [10, 20, 30, 40, 50, 60, 70, 80]
    X = [20, 30, item, 10]
    encoder = PrecomputedEncoder(ROWS, texts, ids=ids)
    for encode in (encoder.encode_image, lambda X: encode_rows(encoder, X)):
        with pytest.raises(RowError, match=f"(?s)1 row cannot be looked up.*row 2: .*{message}"):
            encode(X)
    with pytest.warns(SkippedRowsWarning, match="row 2"):
        rows = PrecomputedEncoder(ROWS, texts, ids=ids, on_error="skip").encode_image(X)
    assert np.isnan(rows[2]).all()
    np.testing.assert_allclose(rows[[0, 1, 3]], UNIT[[1, 2, 0]], atol=1e-6)


@pytest.mark.parametrize("item", [8, -1, "0", 10**6])
def test_numbers_of_no_row_are_named(item):
    message = rf"row 1: {item!r} is no row of the embeddings, .* from 0 to 7; if X holds ids, say"
    with pytest.raises(RowError, match=message):
        PrecomputedEncoder(ROWS).encode_image([0, item])


def test_values_count_and_not_types():
    ids = np.array([10, 20, 30, 40, 50, 60, 70, 80], dtype=np.uint8)
    encoder = PrecomputedEncoder(ROWS, ids=ids)
    for X in ([10, 30.0], np.array([10, 30], np.int8), pd.Series([10, 30], dtype="Int64")):
        np.testing.assert_allclose(encoder.encode_image(X), UNIT[[0, 2]], atol=1e-6)
    mixed = PrecomputedEncoder(ROWS, ids=[1, "1", 2, "2", "a", "b", "c", "d"])
    np.testing.assert_allclose(mixed.encode_image(["1", 1, "d"]), UNIT[[1, 0, 7]], atol=1e-6)


@pytest.mark.parametrize("value", [0, np.nan, np.inf])
def test_rows_without_a_direction_are_named(value):
    rows = ROWS.copy()
    rows[3, :] = value
    what = "zeros alone" if value == 0 else "nan or infinite numbers"
    with pytest.raises(RowError, match=f"row 1: row 3 of the embeddings holds {what}"):
        PrecomputedEncoder(rows, ids=NAMES).encode_image([NAMES[0], NAMES[3]])
    assert np.isfinite(PrecomputedEncoder(rows).encode_image([0, 1, 2])).all()


BAD_TABLES = {
    "one dimension": ({"embeddings": ROWS[0]}, ValueError, r"shape \(16,\); \(n, d\) is expected"),
    "three dimensions": ({"embeddings": ROWS[None]}, ValueError, r"shape \(1, 8, 16\)"),
    "nothing": ({"embeddings": ROWS[:0]}, ValueError, r"shape \(0, 16\)"),
    "integers": ({"embeddings": ROWS.astype(int)}, TypeError, "dtype int64; they must be floats"),
    "texts": ({"embeddings": [["a"]]}, TypeError, "must be floats"),
    "unequal rows": ({"embeddings": [[1.0], [1.0, 2.0]]}, ValueError, "unequal length"),
    "None": ({"embeddings": None}, ValueError, r"shape \(\)"),
    "no file": ({"embeddings": "gone.npy"}, FileNotFoundError, r"there is no file .*gone\.npy"),
    "no folder": ({"embeddings": "gone"}, FileNotFoundError, "there is no file"),
    "an empty folder": ({"embeddings": "."}, FileNotFoundError, r"holds no \.parquet file"),
    "a broken file": ({"embeddings": "bad.npy"}, ValueError, r"bad\.npy cannot be read as an arr"),
    "pickled objects": ({"embeddings": "objects.npy"}, ValueError, "cannot be read as an array"),
    "integers in a file": ({"embeddings": "integers.npy"}, TypeError, r"integers\.npy are of"),
    "another file": ({"embeddings": "rows.csv"}, ValueError, r"pass a \.npy or \.parquet file"),
    "too few ids": ({"ids": NAMES[:7]}, ValueError, "ids has 7 entries, but there are 8 emb"),
    "an id twice": (
        {"ids": [*NAMES[:7], NAMES[2]]}, ValueError, "1 ids stand there twice, .*'clip f' in rows",
    ),
    "a number twice": ({"ids": np.r_[1:8, 1]}, ValueError, "first 1 in rows 0 and 7"),
    "an id None": ({"ids": [*NAMES[:7], None]}, ValueError, "the id of row 7 is None"),
    "an id nan": ({"ids": [1, 2, 3, 4, 5, 6, 7, np.nan]}, ValueError, "the id of row 7 is nan"),
    "a mask": ({"ids": [True] * 8}, ValueError, "the id of row 0 is True"),
    "a bool array": ({"ids": np.ones(8, bool)}, TypeError, "holds bools"),
    "a table of ids": ({"ids": np.ones((8, 2))}, ValueError, r"shape \(8, 2\)"),
    "one id": ({"ids": "abcdefgh"}, TypeError, "X is a str|ids is a str"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_tables_are_refused(tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.npy").write_bytes(b"no array")
    (tmp_path / "rows.csv").write_text("1,2")
    np.save("objects.npy", np.array([{}, {}]), allow_pickle=True)
    np.save("integers.npy", np.ones((2, 2), int))
    params, kind, message = BAD_TABLES[case]
    with pytest.raises(kind, match=message):
        PrecomputedEncoder(**{"embeddings": ROWS, **params}).encode_image([0])


@pytest.mark.parametrize(
    ("X", "kind", "message"),
    [
        ("clip a", TypeError, "X is a str; pass a list or an array of ids"),
        ({"a": 1}, TypeError, "X is a dict"),
        ([], ValueError, "X holds no id"),
        (np.ones(8, bool), TypeError, r"bools; pass ids: np\.flatnonzero"),
        (ROWS, ValueError, r"shape \(8, 16\); .* X is a column of their ids"),
        (pd.DataFrame({"a": [1], "b": [2]}), TypeError, r"X has 2 columns; .*X\['id'\]"),
    ],
)
def test_what_is_no_column_of_ids_is_refused(X, kind, message):
    encoder = PrecomputedEncoder(ROWS)
    for encode in (encoder.encode_image, lambda X: encode_rows(encoder, X)):
        with pytest.raises(kind, match=message):
            encode(X)


def write(path, ids, embeddings, kind=None, name="embedding"):
    import pyarrow as pa
    import pyarrow.parquet as parquet

    kind = kind or pa.list_(pa.float32())
    parquet.write_table(pa.table({"id": ids, name: pa.array(embeddings, kind)}), path)


def test_bad_parquet_is_refused(tmp_path, monkeypatch):
    pa = pytest.importorskip("pyarrow")
    path = str(tmp_path / "rows.parquet")

    def refuse(message, *args, error=ValueError, ids=None, columns=None, **kwargs):
        if args:
            write(path, *args, **kwargs)
        with pytest.raises(error, match=message):
            PrecomputedEncoder(path, ids=ids, **(columns or {})).encode_image(["a"])

    two = [[1.0, 2.0], [3.0, 4.0]]
    refuse(
        "no column 'embedding' but 'id', 'vector': say in id_column=",
        ["a", "b"],
        two,
        name="vector",
    )
    refuse("no column 'key' but", ["a", "b"], two, columns={"id_column": "key"})
    refuse("row 1 has 1 numbers, others have 2", ["a", "b"], [[1.0, 2.0], [3.0]])
    refuse("'a' in rows 0 and 1", ["a", "a"], two)
    refuse("the id of row 1 is (None|nan)", ["a", None], two)
    refuse("type list<.*int64>; lists of floats", ["a", "b"], [[1], [2]], pa.list_(pa.int64()))
    refuse("of type float; lists of floats", ["a", "b"], [1.0, 2.0], pa.float32())
    refuse("row 0 has 0 numbers", ["a", "b"], [[], []])
    refuse("holds no row", pa.array([], pa.string()), [])
    refuse("leave ids= out", ["a", "b"], two, ids=["a", "b"])
    with open(path, "w") as file:
        file.write("no table")
    refuse("cannot be read as Parquet")
    write(path, ["a", "b"], [[1.0, 2.0], None])
    assert PrecomputedEncoder(path).encode_image(["a"]).shape == (1, 2)
    with pytest.raises(RowError, match="row 1: row 1 of the embeddings holds nan"):
        PrecomputedEncoder(path).encode_image(["a", "b"])
    assert PrecomputedEncoder(path, id_column=None).encode_image([0]).shape == (1, 2)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    os.utime(path)
    with pytest.raises(ImportError, match=r'pip install "skactivekd\[parquet\]"'):
        PrecomputedEncoder(path).encode_image(["a"])


def shards(folder, *columns):
    """Write a shard of ids and embeddings each."""
    for number, (ids, rows) in enumerate(columns):
        write(folder / f"{number}.parquet", ids, rows)


TWO = [[1.0, 2.0], [3.0, 4.0]]
BAD_SHARDS = {
    "cut": (lambda f: os.truncate(f / "1.parquet", 200), ValueError, r"1\.parquet cannot be"),
    "empty": (lambda f: os.truncate(f / "1.parquet", 0), ValueError, r"1\.parquet cannot be"),
    "the same ids": (
        lambda f: shards(f, (list("ab"), TWO), (list("cb"), TWO)), ValueError, "'b' in rows 1",
    ),
    "another width": (
        lambda f: write(f / "1.parquet", ["c"], [[1.0, 2.0, 3.0]]), ValueError, "has 3 numbers",
    ),
    "another column": (
        lambda f: write(f / "1.parquet", ["c"], [[1.0, 2.0]], name="v"), ValueError, "no column 'e",
    ),
    "fractions": (
        lambda f: shards(f, ([1.5, 2.0], TWO), ([3.0, 4.0], TWO)), ValueError, "id of row 0 is 1.5",
    ),
    "bytes": (
        lambda f: shards(f, ([b"a"], TWO[:1]), ([b"b"], TWO[:1])), ValueError, "row 0 is b'a'",
    ),
    "none": (lambda f: [p.unlink() for p in f.iterdir()], FileNotFoundError, "no .parquet"),
    "missing": (lambda f: (f / "1.parquet").unlink(), RowError, "row 1: .* the id 'd'"),
    "a number lacks": (
        lambda f: write(f / "1.parquet", list("cd"), [[1.0, 2.0], [1.0, None]]),
        RowError,
        "row 1: row 3 of the embeddings holds nan",
    ),
    "more than half floats hold": (
        lambda f: write(f / "1.parquet", list("cd"), [TWO[0], [np.float32(np.float16(np.inf)), 1]]),
        RowError,
        "row 1: row 3 of the embeddings holds nan or infinite",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_SHARDS)
def test_bad_shards_are_named(tmp_path, case):
    pytest.importorskip("pyarrow")
    spoil, error, match = BAD_SHARDS[case]
    shards(tmp_path, (list("ab"), TWO), (list("cd"), TWO))
    assert PrecomputedEncoder(tmp_path).encode_image(["a", "d"]).shape == (2, 2)
    spoil(tmp_path)
    with pytest.raises(error, match=match):
        PrecomputedEncoder(tmp_path).encode_image(["a", "d"])


def test_a_table_larger_than_the_disk_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    from skactivekd.encoders import _embedding_table

    write(tmp_path / "rows.parquet", ["a"], [[1.0]])

    class Full:
        free = 0

    monkeypatch.setattr(_embedding_table.shutil, "disk_usage", lambda path: Full)
    with pytest.raises(OSError, match=r"1 embeddings take 4 bytes, but .* has 0 left: set TMPDIR"):
        PrecomputedEncoder(tmp_path / "rows.parquet").encode_image(["a"])


def test_prompts_need_the_model_that_made_the_embeddings(texts):
    with pytest.raises(ValueError, match=r"have 5 numbers a row, .*OpenCLIPEncoder have 16: take"):
        PrecomputedEncoder(ROWS[:, :5], texts).encode_text(["a cat"])
    with pytest.raises(ValueError, match="have 5 numbers a row"):
        ZeroShotTeacher(PrecomputedEncoder(ROWS[:, :5], texts), classes=["a", "b"]).fit()
    for nothing in (None, "ViT-B-32"):
        encoder = PrecomputedEncoder(ROWS, nothing)
        with pytest.raises(AttributeError, match="which has no encode_text: pass an encoder with"):
            encoder.encode_text(["a cat"])
        with pytest.raises(TypeError, match=r"must be an object with encode_text\(texts\)"):
            ZeroShotTeacher(encoder, classes=["a", "b"]).fit()
        assert Embedder(encoder).fit_transform([0, 1]).shape == (2, 16)
    encoder = PrecomputedEncoder(ROWS, texts)
    with pytest.raises(TextError, match="row 1: None is a NoneType, not a str"):
        encode_texts(encoder, ["a longer text", None, "a"])
    skipping = PrecomputedEncoder(ROWS, texts, on_error="skip")
    with pytest.warns(SkippedRowsWarning, match="row 1"):
        rows = skipping.encode_text(["a longer text", None, "a"])
    np.testing.assert_allclose(rows[[0, 2]], texts.encode_text(["a longer text", "a"]), atol=1e-6)
    assert np.isnan(rows[1]).all()


def test_prompts_are_those_of_the_encoder_of_the_prompts(texts, tiny_sentence):
    plain = SentenceEncoder(tiny_sentence)
    for encoder, template in ((texts, "a photo of a {}."), (plain, "{}")):
        found = ZeroShotTeacher(PrecomputedEncoder(ROWS, encoder), classes=["cat", "dog"]).fit()
        expected = encoder.encode_text([template.format("cat"), template.format("dog")])
        np.testing.assert_allclose(found.class_embeddings_, expected, atol=1e-5)
