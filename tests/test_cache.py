"""Embeddings kept by content: each row is encoded once, and never mistaken for another."""

import copy
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

from skactivekd.teacher import EmbeddingCache, ImageError, OpenCLIPEncoder
from skactivekd.teacher._encode_once import encode_rows, encode_texts
from skactivekd.teacher._row_keys import row_keys


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
    assert encode_rows(Plain(Encoder(scale=3.0)), X)[0] != pytest.approx(
        encode_rows(plain, X)[0]
    )


def test_plain_objects_that_cannot_be_pickled_are_kept_apart(X):
    first, second = Plain(Encoder()), Plain(Encoder())
    first.hook = second.hook = lambda: None
    for plain in (first, second):
        encode_rows(plain, X)
        encode_rows(plain, X)
        assert plain.rows == 10


def test_objects_that_take_no_reference_are_not_kept(X):
    class Slotted:
        __slots__ = ()
        seen = []

        def encode_image(self, X):
            self.seen.append(len(X))
            return np.ones((len(X), 1))

    slotted = Slotted()
    encode_rows(slotted, X)
    encode_rows(slotted, X)
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


def test_rows_used_longest_ago_are_dropped(encoder, X):
    encoder.cache = EmbeddingCache(max_bytes=4 * 8)  # four rows of two float32
    encode_rows(encoder, X[:4])
    encode_rows(encoder, X[:1])
    encode_rows(encoder, X[4:6])
    assert len(encoder.cache) == 4
    encode_rows(encoder, X[[0, 3, 4, 5]])
    assert encoder.seen == [4, 2]
    encode_rows(encoder, X[[1, 2]])
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


def test_a_kept_row_does_not_keep_its_batch(encoder, X):
    encode_rows(encoder, X)
    assert all(row.base is None for row in encoder.cache._rows.values())


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
    other = pickle.loads(pickle.dumps(EmbeddingCache(max_bytes=77)))
    assert (other.max_bytes, len(other)) == (77, 0)
    assert repr(other) == "EmbeddingCache(max_bytes=77)"


def test_array_keys_tell_content_shape_and_dtype_apart():
    zeros = np.zeros((1, 2, 6), dtype=np.uint8)
    X = [zeros, zeros.reshape(1, 3, 4), zeros.astype(np.int8), zeros + 1]
    assert len({row_keys(x)[0] for x in X}) == 4
    strided = np.arange(12).reshape(3, 4)
    assert row_keys(strided.T) == row_keys(np.ascontiguousarray(strided.T))
    assert row_keys(list(strided)) == row_keys(strided)


def test_object_rows_are_keyed_by_content():
    X = [pd.DataFrame({"a": [1, 2, 1], "b": ["x", "y", "x"]}) for _ in range(2)]
    first, second = map(row_keys, X)
    assert first == second
    assert first[0] == first[2] != first[1]


def test_path_keys_follow_the_file(tmp_path, monkeypatch):
    file = tmp_path / "a.png"
    file.write_bytes(b"one")
    before = row_keys([str(file)])
    assert row_keys([file]) == row_keys(pd.Series([str(file)])) == before
    monkeypatch.chdir(tmp_path)
    assert row_keys(["a.png"]) == before
    os.utime(file, ns=(0, 1))
    touched = row_keys([file])
    file.write_bytes(b"three")
    os.utime(file, ns=(0, 1))
    assert len({*before, *touched, *row_keys([file])}) == 3


def test_texts_and_missing_files_are_keyed_by_themselves():
    texts = ["no such file", "x" * 100_000, "nul \0 byte", "no such file"]
    first, *others, last = row_keys(texts)
    assert first == last
    assert len({first, *others}) == 3


def test_pil_keys_tell_pixels_mode_and_palette_apart():
    grey = Image.new("L", (2, 3), 5)
    palette = Image.new("P", (2, 3), 0)
    palette.putpalette([1, 2, 3] + [0] * 765)
    other = palette.copy()
    other.putpalette([3, 2, 1] + [0] * 765)
    images = [grey, Image.new("L", (3, 2), 5), grey.convert("RGB"), palette, other]
    keys = row_keys(images)
    assert len(set(keys)) == 5
    assert row_keys([image.copy() for image in images]) == keys


def test_broken_pil_images_have_a_key_of_their_own(tmp_path):
    file = tmp_path / "broken.png"
    Image.new("RGB", (50, 50)).save(file)
    file.write_bytes(pathlib.Path(file).read_bytes()[:60])
    with Image.open(file) as image:
        assert row_keys([image]) != row_keys([image])


def test_the_encoder_has_the_cache_as_a_parameter():
    cache = EmbeddingCache()
    assert clone(OpenCLIPEncoder("x", "y", cache=cache)).cache is cache
