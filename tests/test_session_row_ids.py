"""Rows are known again, in another order, folder and pool."""

import io
import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import sparse
from session_tools import CLASSES, answer, blobs, open_session
from sklearn.dummy import DummyClassifier

from skactivekd import LabelingSession
from skactivekd.session._row_ids import Pool

X, TRUTH = blobs(40)


def label_some(memory_path, rows, n=3, **settings):
    session = LabelingSession(
        DummyClassifier(), rows, classes=CLASSES, journal=memory_path / "j", audit=0, **settings
    )
    for row in range(n):
        session.tell(row, CLASSES[row % 3])
    session.close()


def reopen(memory_path, rows, **settings):
    return LabelingSession(DummyClassifier(), rows, journal=memory_path / "j", audit=0, **settings)


def test_the_pool_may_grow_shrink_and_be_reordered(memory_path):
    session = open_session(memory_path, X)
    answer(session, TRUTH, 15)
    y, pending = session.y, session.ask()[0]
    order = np.random.default_rng(0).permutation(40)
    again = open_session(memory_path, np.concatenate([X[order], X + 9]))
    np.testing.assert_array_equal(again.y[:40], y[order])
    assert again.ask()[0].key == pending.key
    assert order[again.ask()[0].index] == pending.index
    half = open_session(memory_path, X[:20])
    np.testing.assert_array_equal(half.y, y[:20])
    assert half.progress(fresh=False)["elsewhere"] == (y[20:] != -1).sum() > 0
    answer(half, TRUTH, 20)
    assert (half.y != -1).all()
    full = open_session(memory_path, X)
    assert (full.y[20:] == y[20:]).all()


@pytest.mark.parametrize(
    "rows",
    [
        X,
        X.astype(np.float32),
        (X * 9).astype(int).tolist(),
        sparse.csr_matrix(X),
        sparse.coo_matrix(X),
        pd.DataFrame(X, columns=["a", "b"]),
        pd.DataFrame({"name": list("abcdefghij"), "x": [*range(9), None], "when": pd.Timestamp(0)}),
        [f"text {row}" for row in range(9)],
        np.array([f"text {row}" for row in range(9)]),
        pd.Series([f"text {row}" for row in range(9)]),
        np.arange(40 * 27, dtype=np.uint8).reshape(40, 3, 3, 3),
        [{"a": 1}, {"a": [1, None]}, {"b": 2.5}],
        [b"one", b"two", b"three"],
    ],
    ids=lambda rows: type(rows).__name__,
)
def test_kinds_of_rows(rows):
    pool, again = Pool(rows), Pool(rows)
    assert pool.keys == again.keys
    assert len(pool.rows) > 2
    take = list(range(pool.n))[::-1]
    turned = [rows[k] for k in take] if isinstance(rows, list) else None
    if isinstance(rows, np.ndarray):
        turned = rows[take]
    if hasattr(rows, "iloc"):
        turned = rows.iloc[take]
    if turned is not None:
        assert Pool(turned).keys == pool.keys[::-1]


def test_keys_are_part_of_the_format():
    """Another key would lose what people have labeled: these may never change."""
    assert Pool(["a text"]).keys == ["text-706860d9e8c7ee1c65261bc1e5b75631"]
    assert Pool(np.eye(2)).keys[0] == "array-9c21c37f8d78f3ce77be615f1e874a87"
    assert Pool(sparse.eye(2, format="csr")).keys[0] == "sparse-fbdb59e49a3be9077bb2c7ffbd43cf61"
    assert Pool([{"b": 1, "a": None}]).keys == ["row-f36a535432afd9c5a49d9ab83de00662"]
    assert Pool([0], ids=["x"]).keys == ['id-"x"']


def test_images_of_pil():
    image = pytest.importorskip("PIL.Image")
    one, two = image.new("L", (4, 4)), image.new("L", (4, 4), 9)
    assert Pool([one, two, one.copy()]).rows == {
        Pool([one]).keys[0]: [0, 2],
        Pool([two]).keys[0]: [1],
    }


def test_equal_rows_are_one_item(memory_path):
    rows = np.concatenate([X[:20], X[:20], X[:5]])
    session = open_session(memory_path, rows)
    asked = answer(session, np.tile(TRUTH[:20], 3), 45)
    assert len(asked) == 20
    assert (session.y != -1).all()
    assert all(question.index < 20 for question in asked)
    [copied] = [question for question in asked if question.index == 2]
    assert copied.copies == [22, 42]
    session.tell(42, "cow")
    assert session.y[2] == session.y[22] == "cow"
    assert session.progress()["labels"] == 20
    assert session.progress()["rows"] == 45


@pytest.fixture
def files(memory_path):
    paths = [memory_path / f"{row}.png" for row in range(6)]
    for row, path in enumerate(paths):
        path.write_bytes(bytes([row]) * 50)
    return [str(path) for path in paths]


def test_files_are_known_wherever_they_lie(memory_path, files):
    label_some(memory_path, files)
    (memory_path / "new").mkdir()
    moved = str(memory_path / "new" / "renamed.png")
    os.rename(files[1], moved)
    session = reopen(memory_path, [files[5], moved, files[0]])
    assert session.y.tolist() == [-1, "bee", "ant"]


def test_files_that_have_changed_count_as_new(memory_path, files):
    label_some(memory_path, files)
    with open(files[1], "ab") as file:
        file.write(b"more")
    with pytest.warns(UserWarning, match="1 files have changed since they were labeled"):
        session = reopen(memory_path, files)
    assert session.y.tolist() == ["ant", -1, "cow", -1, -1, -1]


def test_files_can_be_known_by_name(memory_path, files):
    label_some(memory_path, files, ids=files)
    with open(files[1], "ab") as file:
        file.write(b"more")
    os.remove(files[2])
    session = reopen(memory_path, files, ids=files)
    assert session.y.tolist() == ["ant", "bee", "cow", -1, -1, -1]


def test_files_are_read_once(memory_path, files, monkeypatch):
    label_some(memory_path, files)
    monkeypatch.setattr("builtins.open", None)
    assert len(reopen(memory_path, files).y) == 6


def test_files_that_are_missing_are_named(memory_path, files):
    label_some(memory_path, files)
    os.remove(files[4])
    with pytest.raises(ValueError, match=r"1 of the 6 files of X cannot be read: row 4 \(.*4\.png"):
        reopen(memory_path, files)


def test_copies_of_files_are_one_item(memory_path, files):
    with open(files[3], "wb") as file:
        file.write(bytes([0]) * 50)
    label_some(memory_path, files)
    assert reopen(memory_path, files).y.tolist() == ["ant", "bee", "cow", "ant", -1, -1]


def test_texts_that_look_like_a_file(memory_path, monkeypatch):
    monkeypatch.chdir(memory_path)
    (memory_path / "README").write_text("content")
    assert Pool(["README", "two", "three"]).kind == "text"


def test_ids(memory_path):
    ids = [f"row {row}" for row in range(40)]
    label_some(memory_path, X, ids=ids)
    session = reopen(memory_path, X[:5] * 2, ids=ids[:5])
    assert session.y.tolist() == ["ant", "bee", "cow", -1, -1]


@pytest.mark.parametrize(
    ("ids", "error", "match"),
    [
        (["a", "b"], ValueError, "ids has 2 entries for 40 rows"),
        (["a"] * 40, ValueError, r"ids\[1\] and ids\[0\] are both 'a'"),
        ([None] * 40, TypeError, r"ids\[0\] is None"),
        ([0.5] * 40, TypeError, r"ids\[0\] is 0.5"),
    ],
)
def test_ids_that_cannot_be_meant(ids, error, match):
    with pytest.raises(error, match=match):
        Pool(X, ids=ids)


def test_rows_of_no_known_content():
    with pytest.raises(ValueError, match=r"Row 0 of X holds a object.*pass ids="):
        Pool([object(), object()])
    assert Pool([object(), object()], ids=[1, 2]).keys == ["id-1", "id-2"]
    with pytest.raises(ValueError, match="mixes texts or paths with other things"):
        Pool([1.5, "a"])


def test_files_that_were_exchanged_are_told_apart(tmp_path):
    """Of one size and date: what was read of the one in an earlier sitting is not the other's."""
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    for path, content in ((one, "cat"), (two, "dog")):
        path.write_text(content)
        os.utime(path, ns=(10**18, 10**18))
    paths = [str(one), str(two)]
    first = Pool(paths)
    os.rename(one, tmp_path / "held")
    os.rename(two, one)
    os.rename(tmp_path / "held", two)
    assert Pool(paths, known_files=first.new_files).keys == first.keys[::-1]


def test_a_file_and_its_bytes_are_one_row(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"cat")
    assert Pool([str(path)]).keys == Pool([b"cat"]).keys


def test_pictures_that_look_different_are_different_rows():
    upright = Image.new("L", (3, 2), 7)
    turned = upright.copy()
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.info["exif"] = exif.tobytes()
    stored = io.BytesIO()
    turned.save(stored, "PNG", exif=exif)
    keys = Pool([upright, Image.open(stored)]).keys
    assert keys[0] != keys[1]
