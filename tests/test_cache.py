"""Embeddings kept by content: each row is encoded once, and never mistaken for another."""

import copy
import datetime
import os
import pathlib
import pickle
import threading
import time
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import BaseEstimator, clone

from skactivekd.cache import EmbeddingCache
from skactivekd.cache._encoder_identity import identify
from skactivekd.encoders import ImageError, OpenCLIPEncoder, SkippedRowsWarning
from skactivekd.encoders import _unreadable_rows as skipping
from skactivekd.encoders._base import encode_rows, encode_texts
from skactivekd.utils._row_identity import row_keys, text_keys


class Encoder(BaseEstimator):
    """Rows of angles, with a count of what it was given that clones share."""

    seen = []

    def __init__(self, scale=1.0, cache=None):
        self.scale = scale
        self.cache = cache

    def encode_image(self, X):
        self.seen.append(len(X))
        angles = self.scale * np.array([np.sum(x) for x in X])
        return np.column_stack([np.cos(angles), np.sin(angles)])


@pytest.fixture
def encoder(monkeypatch):
    monkeypatch.setattr(Encoder, "seen", [])
    return Encoder(cache=EmbeddingCache())


@pytest.fixture
def X():
    return np.random.default_rng(0).random((10, 4, 4))


def test_rows_equal_those_of_the_encoder(encoder, X):
    expected = encoder.encode_image(X).astype(np.float32)
    order = np.array([3, 3, 0, 9, 1])
    np.testing.assert_array_equal(encode_rows(encoder, X[:4]), expected[:4])
    np.testing.assert_array_equal(encode_rows(encoder, X[order]), expected[order])
    np.testing.assert_array_equal(encode_rows(encoder, X), expected)


def test_only_unseen_rows_are_encoded_in_one_call(encoder, X):
    encode_rows(encoder, X[:4])
    encode_rows(encoder, X[2:7])
    encode_rows(clone(encoder), X[::-1])
    encode_rows(copy.deepcopy(encoder), X)
    assert encoder.seen == [4, 3, 3]


def test_duplicates_are_encoded_once(encoder, X):
    assert len(encode_rows(encoder, X[[0, 1, 0, 1, 0]])) == 5
    assert encoder.seen == [2]


@pytest.mark.parametrize("form", [list, pd.Series, tuple])
def test_lists_and_series_are_sliced_as_they_are(encoder, form, tmp_path):
    files = [tmp_path / f"{i}.png" for i in range(4)]
    for i, file in enumerate(files):
        file.write_bytes(bytes(i))
    received = []

    def encode(X):
        received.append(X)
        return np.ones((len(X), 1))

    encoder.encode_image = encode
    X = form(files)
    encode_rows(encoder, X[:2])
    encode_rows(encoder, X)
    assert [list(rows) for rows in received] == [files[:2], files[2:]]
    if form is pd.Series:
        assert type(received[1]) is pd.Series


def test_other_parameters_are_another_encoder(encoder, X):
    first = encode_rows(encoder, X)
    other = clone(encoder).set_params(scale=2.0)
    assert not np.allclose(encode_rows(other, X), first)
    assert encoder.seen == [10, 10]


def test_a_patched_method_is_another_encoder(encoder, X):
    encode_rows(encoder, X)
    with mock.patch.object(Encoder, "encode_image", autospec=True) as patched:
        patched.return_value = np.ones((10, 1))
        assert encode_rows(encoder, X).shape == (10, 1)
    assert encode_rows(encoder, X).shape == (10, 2)
    assert encoder.seen == [10]


def test_no_cache_and_the_default_cache(encoder, X):
    X = X + 1000  # rows that no other test uses
    encoder.set_params(cache=False)
    encode_rows(encoder, X)
    encode_rows(encoder, X)
    encoder.set_params(cache=None)
    encode_rows(encoder, X)
    encode_rows(Encoder(), X)
    assert encoder.seen == [10, 10, 10]


def test_a_wrong_cache_raises(encoder, X):
    with pytest.raises(TypeError, match=r"cache is True.*EmbeddingCache, or False"):
        encode_rows(encoder.set_params(cache=True), X)


class Plain:
    """No parameters, no fingerprint; counts as it goes."""

    def __init__(self, inner):
        self.inner = inner
        self.rows = 0

    def encode_image(self, X):
        self.rows += len(X)
        return self.inner.encode_image(X)


def test_a_plain_object_stays_the_same_while_it_counts(encoder, X):
    plain = Plain(encoder)
    encode_rows(plain, X)
    encode_rows(plain, X)
    assert plain.rows == 10
    assert encode_rows(Plain(Encoder(scale=3.0)), X)[0] != pytest.approx(encode_rows(plain, X)[0])


def test_plain_objects_that_cannot_be_pickled_are_kept_apart(X):
    first, second = Plain(Encoder()), Plain(Encoder())
    first.hook = second.hook = lambda: None
    for plain in (first, second):
        encode_rows(plain, X)
        encode_rows(plain, X)
        assert plain.rows == 10


def test_slots_are_state_too(X):
    class Slotted:
        __slots__ = ("sign",)
        seen = []

        def encode_image(self, X):
            self.seen.append(len(X))
            return np.full((len(X), 1), self.sign)

    slotted = Slotted()
    for sign in (1, 1, -1):
        slotted.sign = sign
        assert (encode_rows(slotted, X) == sign).all()
    assert slotted.seen == [10, 10]


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        (np.ones(10), r"shape \(10,\); it must return \(10, d\)"),
        (np.ones((9, 1)), r"shape \(9, 1\)"),
        (np.full((10, 1), 12.0), "norm 12"),
        (np.full((10, 1), np.nan), "norm nan"),
    ],
)
def test_wrong_embeddings_raise(encoder, X, rows, match):
    encoder.encode_image = lambda X: rows
    with pytest.raises(ValueError, match=match):
        encode_rows(encoder, X)


def test_bad_rows_are_numbered_as_in_X(encoder, X):
    def encode(rows):
        raise ImageError({0: "first", 2: "third"}, "cannot be read")

    encode_rows(encoder, X[[0, 2]])
    encoder.__class__ = type("Broken", (Encoder,), {"encode_image": lambda self, X: encode(X)})
    with pytest.raises(ImageError) as error:
        encode_rows(encoder, X[[0, 5, 0, 6, 2, 5]])
    assert error.value.bad == {0: "first", 2: "first", 3: "third"}


class Reader(BaseEstimator):
    """Rows of files with a number in them, three at a time."""

    def __init__(self, cache=None, on_error="raise", batch_size=3):
        self.cache, self.on_error, self.batch_size = cache, on_error, batch_size

    def encode_image(self, X):
        seen.append(len(X))
        bad = {i: "no number" for i, path in enumerate(X) if not path.read_bytes().isdigit()}
        if bad and self.on_error == "raise":
            raise ImageError(bad, "cannot be read")
        if bad:
            skipping.report(bad, "image")
        numbers = np.array([np.nan if i in bad else int(X[i].read_bytes()) for i in range(len(X))])
        return np.column_stack([np.cos(numbers), np.sin(numbers)])


@pytest.fixture
def files(tmp_path):
    seen.clear()
    files = [tmp_path / f"{i}.png" for i in range(10)]
    for i, file in enumerate(files):
        file.write_bytes(b"%d" % i)
    return files


seen = []


def test_rows_are_encoded_in_batches(files):
    reader = Reader(EmbeddingCache())
    encode_rows(reader, files[:2])
    encode_rows(reader, files)
    assert seen == [2, 3, 3, 2]


@pytest.mark.parametrize("size", [None, 0, "auto"])
def test_an_encoder_with_no_batch_size_gets_64_rows(files, size):
    X = np.arange(130.0).reshape(130, 1, 1)
    encoder = Encoder(cache=EmbeddingCache())
    encoder.seen, encoder.batch_size = [], size
    assert len(encode_rows(encoder, X)) == 130
    assert encoder.seen == [64, 64, 2]


def test_one_error_names_the_bad_rows_of_all_batches_and_nothing_done_is_lost(files):
    for bad in (4, 5, 9):
        files[bad].write_bytes(b"x")
    files.append(files[4])
    reader = Reader(EmbeddingCache())
    with pytest.raises(ImageError) as error:
        encode_rows(reader, files)
    assert sorted(error.value.bad) == [4, 5, 9, 10]
    assert len(reader.cache) == 6  # of the batches without a bad row, also of later ones
    seen.clear()
    encode_rows(reader, [files[i] for i in (0, 1, 2, 3, 6, 7, 8)])
    assert seen == [1]


def test_bad_files_of_the_same_content_are_all_named(files):
    for bad in (0, 1, 5):
        files[bad].write_bytes(b"x")
    with pytest.raises(ImageError) as error:
        encode_rows(Reader(EmbeddingCache()), files)
    assert sorted(error.value.bad) == [0, 1, 5]


def test_files_that_are_not_there_fail_before_any_work(files):
    files[8].unlink()
    reader = Reader(EmbeddingCache())
    with pytest.raises(FileNotFoundError):
        encode_rows(reader, files)
    assert seen == [3]
    assert len(reader.cache) == 0


@pytest.mark.parametrize("cache", [False, None])
def test_skipped_rows_are_reported_once_by_their_place_and_never_kept(files, cache):
    cache = EmbeddingCache() if cache is None else cache
    for bad in (1, 4):
        files[bad].write_bytes(b"x")
    reader = Reader(cache, on_error="skip")
    for _ in range(2):
        with pytest.warns(SkippedRowsWarning) as caught:
            rows = encode_rows(reader, [*files, files[4]])
        assert [sorted(warning.message.bad) for warning in caught] == [[1, 4, 10]]
        assert np.flatnonzero(np.isnan(rows).any(axis=1)).tolist() == [1, 4, 10]
    if cache:
        assert len(cache) == 8


def test_nan_without_a_report_is_an_error(encoder, X):
    encoder.encode_image = lambda X: np.full((len(X), 2), np.nan)
    with pytest.raises(ValueError, match="the first at 0 with norm nan"):
        encode_rows(encoder, X)


def test_texts_are_not_taken_for_files(files, monkeypatch):
    class Texts:
        def encode_text(self, texts):
            return np.array([[np.cos(len(text)), np.sin(len(text))] for text in texts])

    files[1].write_bytes(b"0")  # as files[0]
    rows = encode_rows(Texts(), [str(files[0]), str(files[1]) + " "])
    monkeypatch.chdir(files[0].parent)
    assert not np.allclose(encode_rows(Texts(), ["0.png"]), rows[:1])


def test_long_texts_come_first(encoder):
    class Texts:
        batch_size = 2
        seen = []

        def encode_text(self, texts):
            self.seen.append(list(texts))
            return np.array([[np.cos(len(text)), np.sin(len(text))] for text in texts])

    texts = Texts()
    texts.cache = EmbeddingCache()
    rows = encode_texts(texts, ["a", "bbb", "cc", "bbb", "dddd"])
    assert texts.seen == [["dddd", "bbb"], ["cc", "a"]]
    np.testing.assert_allclose(rows[:, 0], np.cos([1, 3, 2, 3, 4]), atol=1e-6)


def test_progress_is_shown_once_for_all_batches(encoder, X, capsys, monkeypatch):
    monkeypatch.setattr("skactivekd.utils._progress_bar.LATE", 0)
    encoder.batch_size, encoder.verbose = 3, 1
    encode_rows(encoder, X)
    assert encoder.seen == [3, 3, 3, 1]
    assert "10/10" in capsys.readouterr().err


def test_float16_takes_half_and_gives_float32_of_norm_1(encoder, X):
    expected = encode_rows(encoder, X)
    half = Encoder(cache=EmbeddingCache(dtype="float16"))
    first, again = encode_rows(half, X), encode_rows(half, X)
    assert half.cache.nbytes == encoder.cache.nbytes / 2 == 40
    assert again.dtype == np.float32
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(again, expected, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(again, axis=1), 1, atol=1e-6)


def test_prune_by_age_and_size(encoder, X, monkeypatch):
    encode_rows(encoder, X[:4])
    monkeypatch.setattr(time, "time", lambda now=time.time: now() + 100)
    encode_rows(encoder, X[4:])
    cache = encoder.cache
    assert cache.prune(older_than=datetime.timedelta(seconds=1000)) == 0
    assert cache.prune(older_than=50) == 4
    encode_rows(encoder, X[4:5])
    assert cache.prune(max_bytes=16) == 4
    assert (len(cache), cache.nbytes) == (2, 16)
    with pytest.raises(ValueError, match="max_bytes="):
        cache.prune()


def test_wrong_settings_of_a_cache_raise():
    with pytest.raises(TypeError, match="max_bytes="):
        EmbeddingCache(2**20)
    with pytest.raises(ValueError, match="max_bytes=0"):
        EmbeddingCache(max_bytes=0)
    with pytest.raises(ValueError, match="float64"):
        EmbeddingCache(dtype="float64")


def test_embeddings_of_another_length_are_told(encoder, X):
    encode_rows(encoder, X[:5])
    owner = identify(encoder, "encode_image")
    with pytest.raises(ValueError, match="different lengths"):
        encoder.cache.fetch(owner, row_keys(X).keys, lambda rows: np.ones((len(rows), 3)))


def test_texts_are_encoded_once():
    class Reader:
        seen = []

        def encode_text(self, texts):
            self.seen.extend(texts)
            return np.ones((len(texts), 1))

    reader = Reader()
    assert encode_texts(reader, ["a", "b", "a"]).shape == (3, 1)
    encode_texts(reader, ["b", "c"])
    assert reader.seen == ["a", "b", "c"]


def test_threads_wait_for_rows_under_way(encoder, X, monkeypatch):
    encode = Encoder.encode_image
    monkeypatch.setattr(
        Encoder, "encode_image", lambda self, X: (time.sleep(0.02), encode(self, X))[1]
    )
    threads = [threading.Thread(target=encode_rows, args=(encoder, X)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert encoder.seen == [10]


def test_rows_written_longest_ago_are_dropped(encoder, X):
    encoder.cache = EmbeddingCache(max_bytes=4 * 8)  # four rows of two float32
    encode_rows(encoder, X[:4])
    encode_rows(encoder, X[:1])
    encode_rows(encoder, X[4:6])
    assert len(encoder.cache) == 4
    encode_rows(encoder, X[[2, 3, 4, 5]])
    assert encoder.seen == [4, 2]
    encode_rows(encoder, X[[0, 1]])
    assert encoder.seen == [4, 2, 2]
    encode_rows(encoder, X[[4, 5, 0, 1]])
    assert encoder.seen == [4, 2, 2]


def test_rows_beyond_the_cache_are_right_and_warned_of(encoder, X):
    encoder.cache = EmbeddingCache(max_bytes=3 * 8)
    with pytest.warns(UserWarning, match="do not fit the cache"):
        rows = encode_rows(encoder, X)
    np.testing.assert_allclose(rows, encoder.encode_image(X), atol=1e-6)
    assert len(encoder.cache) == 3


def test_kept_rows_cannot_be_changed_from_outside(encoder, X):
    encode_rows(encoder, X)[:] = 0
    assert encode_rows(encoder, X).any()


def test_clear_forgets(encoder, X):
    encode_rows(encoder, X)
    encoder.cache.clear()
    assert len(encoder.cache) == 0
    encode_rows(encoder, X)
    assert encoder.seen == [10, 10]


def test_clones_share_the_cache_and_pickles_carry_its_setting(encoder, X):
    cache = encoder.cache
    encode_rows(encoder, X)
    assert clone(encoder).cache is cache
    assert copy.deepcopy(cache) is copy.copy(cache) is cache
    other = pickle.loads(pickle.dumps(EmbeddingCache(max_bytes=77, dtype="float16")))
    assert (other.max_bytes, other.dtype, other.path, len(other)) == (77, "float16", None, 0)
    assert repr(other) == "<EmbeddingCache(max_bytes=77, dtype='float16'): 0 rows, 0 bytes>"
    assert repr(cache) == "<EmbeddingCache(): 10 rows, 80 bytes>"


def test_array_keys_tell_content_shape_and_dtype_apart():
    zeros = np.zeros((1, 2, 6), dtype=np.uint8)
    X = [zeros, zeros.reshape(1, 3, 4), zeros.astype(np.int8), zeros + 1]
    assert len({row_keys(x).keys[0] for x in X}) == 4
    strided = np.arange(12).reshape(3, 4)
    assert row_keys(strided.T) == row_keys(np.ascontiguousarray(strided.T))
    assert row_keys(list(strided)) == row_keys(strided)
    assert row_keys(list(strided[0])) == row_keys(strided[0])
    assert len(set(row_keys(np.array(["2020", "2021"], "M8[Y]")[:, None]).keys)) == 2


def test_object_rows_are_keyed_by_content():
    X = [pd.DataFrame({"a": [1, 2, 1], "b": ["x", "y", "x"]}) for _ in range(2)]
    first, second = (row_keys(x).keys for x in X)
    assert first == second
    assert first[0] == first[2] != first[1]


def test_file_stamps_follow_the_file(tmp_path, monkeypatch):
    file = tmp_path / "a.png"
    file.write_bytes(b"one")
    before = row_keys([str(file)]).keys
    assert row_keys([file]).keys == row_keys(pd.Series([str(file)])).keys == before
    monkeypatch.chdir(tmp_path)
    assert row_keys(["a.png"]) == (before, {before[0]: "a.png"}, [True])
    os.utime(file, ns=(0, 1))
    touched = row_keys([file]).keys
    file.write_bytes(b"three")
    os.utime(file, ns=(0, 1))
    assert len({*before, *touched, *row_keys([file]).keys}) == 3


def test_missing_files_are_keyed_by_name_and_come_first(tmp_path):
    (tmp_path / "a.png").touch()
    missing = ["no such file", "x" * 100_000, "nul \0 byte", "no such file"]
    keys, files, order = row_keys([tmp_path / "a.png", *missing, np.zeros(3)])
    assert keys[1] == keys[4]
    assert len(set(keys)) == 5
    assert list(files.values()) == [tmp_path / "a.png"]
    assert order == [True, False, False, False, False, True]


def test_texts_are_keyed_by_themselves_in_any_form(tmp_path, monkeypatch):
    (tmp_path / "a").touch()
    monkeypatch.chdir(tmp_path)
    texts = ["a", "bcd", "\ud800", "a"]
    keys, files, order = text_keys(texts)
    assert (len(set(keys)), files, order) == (3, {}, [-1, -3, -1, -1])
    assert text_keys(np.array(texts)).keys == text_keys(pd.Series(texts, dtype=object)).keys == keys


def test_pil_keys_tell_pixels_mode_and_palette_apart():
    gray = Image.new("L", (2, 3), 5)
    palette = Image.new("P", (2, 3), 0)
    palette.putpalette([1, 2, 3] + [0] * 765)
    other = palette.copy()
    other.putpalette([3, 2, 1] + [0] * 765)
    images = [gray, Image.new("L", (3, 2), 5), gray.convert("RGB"), palette, other]
    keys = row_keys(images).keys
    assert len(set(keys)) == 5
    assert row_keys([image.copy() for image in images]).keys == keys


def test_broken_pil_images_have_a_key_of_their_own(tmp_path):
    file = tmp_path / "broken.png"
    Image.new("RGB", (50, 50)).save(file)
    file.write_bytes(pathlib.Path(file).read_bytes()[:60])
    with Image.open(file) as image:
        assert row_keys([image]).keys != row_keys([image]).keys


def test_the_encoder_has_the_cache_as_a_parameter():
    cache = EmbeddingCache()
    assert clone(OpenCLIPEncoder("x", "y", cache=cache)).cache is cache


@pytest.mark.parametrize("cache", [None, "file"])
def test_files_of_equal_size_and_time_that_change_places_are_noticed(tmp_path, cache):
    one, two = tmp_path / "1.png", tmp_path / "2.png"
    reader = Reader(EmbeddingCache(tmp_path / "cache" if cache else None))
    reader.fingerprint = lambda: "numbers"
    for file, content in ((one, b"1"), (two, b"2")):
        file.write_bytes(content)
        os.utime(file, ns=(10**18, 10**18))
    first = encode_rows(reader, [one, two])
    one.rename(tmp_path / "aside")
    two.rename(one)
    (tmp_path / "aside").rename(two)
    np.testing.assert_array_equal(encode_rows(reader, [one, two]), first[::-1])


def test_a_file_overwritten_with_size_and_time_kept_is_noticed(tmp_path):
    file = tmp_path / "1.png"
    file.write_bytes(b"1")
    os.utime(file, ns=(10**18, 10**18))
    reader = Reader(EmbeddingCache())
    first = encode_rows(reader, [file])
    for content in (b"2", b"3", b"4", b"5"):  # at once: the clock of files may not have ticked
        file.write_bytes(content)
        os.utime(file, ns=(10**18, 10**18))
        assert np.abs(encode_rows(reader, [file]) - first).max() > 0.1
        np.testing.assert_allclose(encode_rows(reader, [file])[0, 0], np.cos(int(content)))


def test_pil_keys_tell_apart_what_shows_pixels_otherwise():
    plain = Image.new("RGB", (3, 2), (9, 8, 7))
    turned, clear = plain.copy(), plain.copy()
    turned.getexif()[0x0112] = 6
    clear.info["transparency"] = (9, 8, 7)
    palettes = [Image.new("P", (2, 3), 0) for _ in range(2)]
    palettes[0].putpalette([1, 2, 3, 0], "RGBA")
    palettes[1].putpalette([1, 2, 3, 255], "RGBA")
    assert len(set(row_keys([plain, turned, clear, *palettes]).keys)) == 5


def test_tables_and_records_are_keyed_with_their_names_and_types():
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [2.0, 1.0]})
    frames = [frame, frame.rename(columns={"a": "c"}), frame.astype(int), frame[["b", "a"]]]
    assert len({row_keys(X).keys[0] for X in frames}) == 4
    assert row_keys(frame).keys == row_keys(frame.copy()).keys
    records = [np.zeros(2, dtype=[("a", "<i4")]), np.zeros(2, dtype=[("a", "<f4")])]
    assert row_keys(records[0]).keys[0] != row_keys(records[1]).keys[0]
    masked = np.ma.array(np.zeros((2, 3)), mask=[[0, 0, 0], [1, 0, 0]])
    assert len(set(row_keys(masked).keys)) == 2
