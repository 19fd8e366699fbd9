"""What every encoder must do, those of this package and one of a user's own."""

import inspect
import pickle
import warnings

import numpy as np
import pytest
import tiny_towers
from sklearn.base import clone

import skactivekd.encoders
from skactivekd import Embedder, OpenCLIPEncoder, SentenceEncoder, ZeroShotTeacher
from skactivekd.cache import EmbeddingCache
from skactivekd.encoders import (
    Encoder,
    FrameEncoder,
    ImageError,
    RowError,
    SkippedRowsWarning,
    TransformersEncoder,
)
from skactivekd.encoders._base import TextEncoder, encode_rows, encode_texts, row_method
from skactivekd.utils.estimator_checks import check_encoder


class LoudnessEncoder(Encoder):
    """All that a third kind of encoder has to have: sounds and texts by two numbers."""

    def __init__(self, on_error="raise", cache=None, batch_size=4):
        self.on_error, self.cache, self.batch_size = on_error, cache, batch_size

    def encode_audio(self, X):
        return self._encode("encode_audio", X)

    def _embed_audio(self, X, run):
        bad = {row: "no sound" for row, wave in enumerate(X) if wave is None}
        levels = np.array([np.abs(wave).mean() for wave in X if wave is not None])
        return np.column_stack([np.cos(levels), np.sin(levels)]), bad

    def encode_text(self, texts):
        levels = np.array([len(text) / 10 for text in texts])
        return np.column_stack([np.cos(levels), np.sin(levels)])

    def fingerprint(self):
        return "loudness, first version"


IMAGES = list(np.random.default_rng(0).integers(0, 256, (9, 12, 12, 3), dtype=np.uint8))
TEXTS = ["the cat", "", "a dog ran", "dog", "cat : cat", "sat", "a a", "ran", "the the dog"]
SOUNDS = [np.random.default_rng(i).normal(size=50) / (i + 1) for i in range(9)]


@pytest.fixture(scope="module")
def tiny_clap(tmp_path_factory):
    return tiny_towers.save(tmp_path_factory.mktemp("clap"), "clap")


KINDS = ["OpenCLIPEncoder", "SentenceEncoder", "TransformersEncoder", "FrameEncoder"]
ELSEWHERE = {"PrecomputedEncoder"}  # embeds no rows of its own: test_precomputed.py


@pytest.fixture(params=[*KINDS, "a user's own"])
def make(request, tiny_clip, tiny_sentence, tiny_clap):
    """A function that makes an encoder, and 9 samples for it."""

    def of_frames(**params):
        return FrameEncoder(OpenCLIPEncoder(tiny_clip.directory), 2, **params)

    def of_sounds(**params):
        return TransformersEncoder(tiny_clap, sampling_rate=8000, **params)

    return {
        "TransformersEncoder": (of_sounds, [sound.repeat(9) / 9 for sound in SOUNDS]),
        "FrameEncoder": (of_frames, [np.stack([image, image // 2, image]) for image in IMAGES]),
        "OpenCLIPEncoder": (lambda **p: OpenCLIPEncoder(tiny_clip.directory, **p), IMAGES),
        "SentenceEncoder": (lambda **p: SentenceEncoder(tiny_sentence, **p), TEXTS),
        "a user's own": (lambda **p: LoudnessEncoder(**p), SOUNDS),
    }[request.param]


def test_every_public_encoder_is_here():
    kinds = {name: getattr(skactivekd.encoders, name) for name in skactivekd.encoders.__all__}
    found = {
        name
        for name, kind in kinds.items()
        if inspect.isclass(kind) and issubclass(kind, Encoder) and kind is not Encoder
    }
    assert found == {*KINDS, *ELSEWHERE}, "add new ones to KINDS, and to `make` with 9 samples"


def encode(encoder, X):
    return np.asarray(getattr(encoder, row_method(encoder))(X))


def test_rows_have_norm_1_and_stand_where_their_samples_stand(make):
    build, X = make
    encoder = build()
    embeddings = encode(encoder, X)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    order = np.random.default_rng(0).permutation(9)
    turned = encode(encoder, [X[row] for row in order])
    np.testing.assert_allclose(turned, embeddings[order], atol=1e-5)
    np.testing.assert_allclose(encode(build(batch_size=1), X), embeddings, atol=1e-5)
    assert encode_texts(encoder, ["a", "b"]).shape == (2, embeddings.shape[1])


def test_the_public_check(make):
    build, X = make
    check_encoder(build(), X)


def test_the_cache_changes_nothing_but_the_work(make, monkeypatch):
    build, X = make
    expected = encode(build(), X)
    np.testing.assert_allclose(encode_rows(build(cache=False), X), expected, atol=1e-5)
    cache = EmbeddingCache()
    for _ in range(2):
        rows = encode_rows(build(cache=cache), X)
        assert rows.dtype == np.float32
        np.testing.assert_allclose(rows, expected, atol=1e-5)
    assert len(cache) == 9


def test_fingerprints_are_texts_that_outlive_the_object(make):
    build, _ = make
    encoder = build()
    assert isinstance(encoder.fingerprint(), str)
    assert pickle.loads(pickle.dumps(encoder)).fingerprint() == encoder.fingerprint()
    assert build(batch_size=1, on_error="skip").fingerprint() == encoder.fingerprint()
    if hasattr(encoder, "get_params"):
        assert clone(encoder).fingerprint() == encoder.fingerprint()


@pytest.mark.parametrize("batch_size", [2, 100])
def test_bad_rows_are_named_as_they_stand_in_x_and_are_not_kept(make, batch_size):
    build, X = make
    bad = [*X[:3], None, *X[3:6], X[0], None]
    cache = EmbeddingCache()
    encode_rows(build(cache=cache), X[:2])  # so that the encoder sees other row numbers
    with pytest.raises(RowError) as error:
        encode_rows(build(cache=cache, batch_size=batch_size), bad)
    assert sorted(error.value.bad) == [3, 8]
    skipping = build(cache=cache, batch_size=batch_size, on_error="skip")
    for _ in range(2):  # nan is not kept, so that it is told of again
        with pytest.warns(SkippedRowsWarning) as caught:
            rows = encode_rows(skipping, bad)
        assert [sorted(warning.message.bad) for warning in caught] == [[3, 8]]
        assert sorted(np.flatnonzero(np.isnan(rows).all(axis=1))) == [3, 8]
        good = [row for row in range(9) if row not in (3, 8)]
        expected = encode(build(), [bad[row] for row in good])
        np.testing.assert_allclose(rows[good], expected, atol=1e-5)
    assert len(cache) == 6


def test_a_teacher_classifies_its_samples(make):
    build, X = make
    teacher = ZeroShotTeacher(build(), classes=["cat", "dog"], templates="the {}").fit()
    proba = teacher.predict_proba(X)
    assert proba.shape == (9, 2)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-5)


@pytest.mark.filterwarnings("ignore::skactivekd.encoders.SkippedRowsWarning")
def test_where_all_rows_are_skipped_nothing_is_known_of_them(make):
    build, X = make
    encoder = build(on_error="skip")
    teacher = ZeroShotTeacher(encoder, classes=["cat", "dog"], templates="the {}").fit()
    np.testing.assert_array_equal(teacher.predict_proba([None, None]), np.full((2, 2), 0.5))
    width = encode(encoder, X[:1]).shape[1]
    embedder = Embedder(encoder).fit([None, X[0]])
    assert len(embedder.get_feature_names_out()) == width
    np.testing.assert_array_equal(embedder.transform([None]), np.zeros((1, width)))


class Lengths(TextEncoder):
    """Texts by their length; `answer` makes of this and the bad rows what `_embed_text` returns."""

    def __init__(self, answer=lambda *both: both, on_error="raise", batch_size=9, cache=False):
        self.answer, self.on_error = answer, on_error
        self.batch_size, self.cache = batch_size, cache

    def _embed_text(self, texts, run):
        bad = {row: "no text" for row, text in enumerate(texts) if text is None}
        return self.answer(np.array([[len(text), 1] for text in texts if text is not None]), bad)


class NoParameters(Lengths):
    def __init__(self):
        pass


class NoRows(Encoder):
    def __init__(self, on_error="raise", batch_size=9, cache=False):
        self.on_error, self.batch_size, self.cache = on_error, batch_size, cache

    def encode_text(self, texts):
        return self._encode("encode_text", texts)


@pytest.mark.parametrize(
    ("encoder", "error", "fault"),
    [
        (Lengths(lambda rows, bad: rows), TypeError, "must return two things: .* got ndarray"),
        (Lengths(lambda rows, bad: (rows, list(bad))), TypeError, r"got \(ndarray, list\)"),
        (Lengths(lambda rows, bad: (None, bad), "skip"), ValueError, "0 embeddings and 1 bad rows"),
        (
            Lengths(lambda rows, bad: (rows[:, 0], bad)),
            ValueError,
            r"shape \(2,\), and not \(n_goo",
        ),
        (
            Lengths(lambda rows, bad: (rows[:1], bad)),
            ValueError,
            "1 embeddings and 1 bad .* for 3 rows",
        ),
        (
            Lengths(lambda rows, bad: (rows, {})),
            ValueError,
            "2 embeddings and 0 bad rows for 3 rows",
        ),
        (
            Lengths(lambda rows, bad: (rows, {3: "no"})),
            ValueError,
            r"bad rows \[3\], but they are 0 t",
        ),
        (
            NoParameters(),
            TypeError,
            "NoParameters has no on_error: an Encoder takes on_error, batch",
        ),
        (NoRows(), TypeError, "NoRows has no _embed_text"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Encoder) else str(value),
)
def test_what_an_encoder_of_ones_own_gets_wrong_is_said(encoder, error, fault):
    for call in (encoder.encode_text, lambda texts: encode_rows(encoder, texts)):
        with pytest.raises(error, match=fault):
            call(["a", None, "to"])


def test_no_good_row_needs_no_shape():
    with pytest.raises(RowError, match="row 1: no text"):
        Lengths().encode_text([None, None])
    for answer in (lambda *both: both, lambda rows, bad: (None, bad)):
        with pytest.warns(SkippedRowsWarning):
            assert Lengths(answer, "skip").encode_text([None, None]).shape == (2, 0)
    with pytest.raises(NotImplementedError, match=r"_identity\(params, run\) .* None if that is"):
        Lengths().fingerprint()


def test_a_file_that_is_mended_is_no_longer_skipped(tiny_clip, tmp_path):
    from PIL import Image

    path = tmp_path / "cat.png"
    path.write_bytes(b"no image")
    encoder = OpenCLIPEncoder(tiny_clip.directory, on_error="skip", cache=EmbeddingCache())
    with pytest.warns(SkippedRowsWarning, match=r"row 0: .*cat\.png: text, which is not opened"):
        encode_rows(encoder, [str(path)])
    Image.fromarray(IMAGES[0]).save(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(encode_rows(encoder, [str(path)])).all()
    assert issubclass(ImageError, RowError)
