"""Two-tower models of transformers: as the library computes them, row by row."""

import os
import shutil
import sys
import warnings

import numpy as np
import pytest
import tiny_towers

from skactivekd import (
    CLAPTeacher,
    DHOClassifier,
    DHONet,
    Embedder,
    LabeledOnly,
    TeacherProba,
    ZeroShotTeacher,
    simulate,
)
from skactivekd.cache import EmbeddingCache
from skactivekd.encoders import RowError, SkippedRowsWarning, TransformersEncoder
from skactivekd.encoders._base import encode_rows, encode_texts, row_method
from skactivekd.encoders._transformers import windows
from skactivekd.utils.estimator_checks import check_encoder, check_teacher

pytest.importorskip("transformers")

RATE = 8000  # of the tiny CLAP, which hears one second at once
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (9, 20, 24, 3), dtype=np.uint8)
TEXTS = ["a cat", "the dog ran", "small red fox", "", "food of the sea"]


def tone(pitch, seconds=1.0, rate=RATE):
    time = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(int(pitch)).normal(size=len(time))
    return (0.5 * np.sin(2 * np.pi * pitch * time) + 0.05 * noise).astype(np.float32)


SOUNDS = [tone(200 * (i + 1), 0.4 + i / 12) for i in range(7)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A function that saves a tiny model of a kind once."""
    saved = {}

    def get(kind):
        if kind not in saved:
            folder = tmp_path_factory.mktemp(kind)
            saved[kind] = tiny_towers.save(folder, kind, scale=3.0)
        return saved[kind]

    return get


def rows_of(kind):
    return SOUNDS if kind in tiny_towers.SOUNDS else list(IMAGES)


def make(folder, **params):
    return TransformersEncoder(folder, sampling_rate=RATE, **params)


def plain(folder, kind, rows, texts):
    """Compute embeddings as the library's documentation does, a row at a time."""
    import torch
    import transformers
    from PIL import Image

    model = transformers.AutoModel.from_pretrained(folder).eval()
    if kind == "aimv2":  # which else lets words see all others where nothing is padded
        model.text_model.config._attn_implementation = "eager"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    padding = {"padding": "max_length", "max_length": 16} if "siglip" in kind else {}
    tokens = [tokenizer(text, return_tensors="pt", truncation=True, **padding) for text in texts]
    if kind in tiny_towers.SOUNDS:
        extract = transformers.AutoFeatureExtractor.from_pretrained(folder)
        inputs = [extract(row, sampling_rate=RATE, return_tensors="pt") for row in rows]
        for one in inputs:
            one["is_longer"][:] = False
        name = "audio_embeds"
    else:
        process = transformers.AutoImageProcessor.from_pretrained(folder)
        inputs = [process(images=Image.fromarray(row), return_tensors="pt") for row in rows]
        name = "image_embeds"
    with torch.inference_mode():
        found = [model(**one, **tokens[0])[name] for one in inputs]
        written = [model(**inputs[0], **one)["text_embeds"] for one in tokens]
    both = [torch.cat(parts).numpy() for parts in (found, written)]
    return [part / np.linalg.norm(part, axis=1, keepdims=True) for part in both]


@pytest.mark.parametrize("kind", [*tiny_towers.IMAGES, *tiny_towers.SOUNDS])
def test_embeddings_are_those_of_the_library(folders, kind):
    folder, rows = folders(kind), rows_of(kind)
    expected, written = plain(folder, kind, rows, TEXTS)
    assert np.abs(expected[1:] - expected[0]).max() > 1e-3  # else nothing is compared
    for size in (1, 16):
        encoder = make(folder, batch_size=size, cache=EmbeddingCache())
        name = row_method(encoder)
        np.testing.assert_allclose(getattr(encoder, name)(rows), expected, atol=1e-5)
        np.testing.assert_allclose(encoder.encode_text(TEXTS), written, atol=1e-5)
        for _ in range(2):
            np.testing.assert_allclose(encode_rows(encoder, rows), expected, atol=1e-5)
            np.testing.assert_allclose(encode_texts(encoder, TEXTS), written, atol=1e-5)
        assert len(encoder.cache) == len(rows) + len(TEXTS)


@pytest.mark.parametrize("kind", ["clip", "siglip2", "aimv2", "clap", "clap-fusion"])
def test_it_passes_the_check_of_encoders(folders, kind):
    check_encoder(make(folders(kind)), rows_of(kind))


@pytest.mark.parametrize("kind", ["clip", "siglip2", "clap"])
def test_half_the_precision_gives_nearly_the_same(folders, kind):
    rows = rows_of(kind)
    full, half = make(folders(kind)), make(folders(kind), precision="bf16")
    name = row_method(full)
    embedded = getattr(half, name)(rows)
    assert embedded.dtype == np.float32
    assert (embedded * getattr(full, name)(rows)).sum(axis=1).min() > 0.9
    assert (half.encode_text(TEXTS) * full.encode_text(TEXTS)).sum(axis=1).min() > 0.9
    assert half.fingerprint() != full.fingerprint()


@pytest.mark.cuda
@pytest.mark.parametrize("kind", ["clip", "siglip2", "aimv2", "clap-fusion"])
def test_on_a_gpu_it_embeds_alike(folders, kind):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    rows = rows_of(kind)
    near, far = make(folders(kind), device="cpu"), make(folders(kind), device="cuda")
    name = row_method(near)
    np.testing.assert_allclose(getattr(far, name)(rows), getattr(near, name)(rows), atol=1e-3)
    np.testing.assert_allclose(far.encode_text(TEXTS), near.encode_text(TEXTS), atol=1e-3)


@pytest.mark.parametrize("kind", ["siglip", "clap"])
def test_teachers_use_the_scale_that_the_model_learned(folders, kind, tmp_path):
    import torch
    import transformers

    folder, rows = folders(kind), rows_of(kind)
    encoder = make(folder)
    assert encoder.logit_scale_ == pytest.approx(np.exp(3.0), abs=1e-3)
    teacher = ZeroShotTeacher(encoder, classes=["cat", "dog"]).fit()
    prompt = "This is a sound of {}." if kind == "clap" else "a photo of a {}."
    found, written = plain(folder, kind, rows, [prompt.format("cat"), prompt.format("dog")])
    logits = np.exp(3.0) * found @ written.T
    if kind == "siglip":
        model = transformers.AutoModel.from_pretrained(folder)
        logits = logits + model.logit_bias.item()  # the same for all classes
    expected = torch.softmax(torch.tensor(logits), dim=1).numpy()
    np.testing.assert_allclose(teacher.predict_proba(rows), expected, atol=1e-4)
    check_teacher(teacher, rows)
    born = tiny_towers.save(tmp_path, kind)
    assert make(born).logit_scale_ is None  # nothing was learned


def test_it_has_the_methods_that_its_model_has(folders):
    images, sounds = make(folders("clip")), make(folders("clap"))
    assert hasattr(images, "encode_image")
    assert not hasattr(images, "encode_audio")
    assert row_method(sounds) == "encode_audio"
    with pytest.raises(AttributeError, match="embeds sounds: it has encode_audio and no encode_i"):
        sounds.encode_image(IMAGES)


def labels_for(rows):
    y = np.full(len(rows), -1)
    y[:4] = [0, 1, 0, 1]
    return y


@pytest.mark.parametrize("kind", ["clip", "siglip2", "aimv2", "clap"])
def test_each_drives_teachers_students_and_simulations(folders, kind):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    encoder, rows = make(folders(kind)), rows_of(kind)
    y = labels_for(rows)
    zero_shot = ZeroShotTeacher(encoder, classes={0: "cat", 1: "dog"}, templates="the {}")
    teachers = [
        zero_shot,
        CLAPTeacher(encoder, classes={0: "cat", 1: "dog"}, templates="the {}", random_state=0),
        LabeledOnly(make_pipeline(Embedder(encoder), LogisticRegression())),
    ]
    for teacher in teachers:
        step = TeacherProba(teacher, features=Embedder(encoder), encoder_at_predict=True)
        student = DHOClassifier(DHONet(max_epochs=1), classes=[0, 1], random_state=0)
        proba = make_pipeline(step, student).fit(rows, y).predict_proba(rows)
        assert proba.shape == (len(rows), 2)
        assert np.isfinite(proba).all()
    step = TeacherProba(zero_shot, features=Embedder(encoder), encoder_at_predict=True)
    truth = np.arange(len(rows)) % 2
    curve = simulate(
        make_pipeline(step, student), rows, truth, X_test=rows, y_test=truth, n_rounds=2,
        n_instances=1, n_initial=2, seeds=1, progress=False,
    )  # fmt: skip
    assert len(curve) == 2


def test_long_sounds_are_heard_in_windows_that_cover_them(folders):
    encoder = make(folders("clap"))
    wave = tone(300, 2.3)
    parts = windows(wave, RATE)
    assert [len(part) for part in parts] == [RATE] * 3
    np.testing.assert_array_equal(parts[0], wave[:RATE])
    np.testing.assert_array_equal(parts[2], wave[-RATE:])
    expected = encoder.encode_audio(parts).mean(axis=0)
    expected /= np.linalg.norm(expected)
    state = np.random.get_state()[1].copy()
    for size in (1, 2, 64):
        found = make(folders("clap"), batch_size=size).encode_audio([wave, parts[0], wave])
        np.testing.assert_allclose(found[[0, 2]], [expected] * 2, atol=1e-5)
        np.testing.assert_allclose(found[1], encoder.encode_audio(parts[:1])[0], atol=1e-5)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_forms_of_one_sound_are_one(folders, tmp_path):
    soundfile = pytest.importorskip("soundfile")
    encoder = TransformersEncoder(folders("clap"))
    wave = np.round(tone(440) * 32767).astype(np.int16)
    path = tmp_path / "tone.wav"
    soundfile.write(path, wave, RATE)
    stereo = np.column_stack([wave, wave])
    forms = [
        (wave, RATE),
        (RATE, wave),
        (wave / 32768, float(RATE)),
        (stereo, RATE),
        (stereo.T.astype(np.int32) * 2**16, RATE),
        {"array": wave / 32768, "sampling_rate": RATE, "path": None},
        {"bytes": path.read_bytes(), "path": None},
        path,
        str(path),
        path.read_bytes(),
    ]
    rows = encoder.encode_audio(forms)
    np.testing.assert_allclose(rows, rows[:1].repeat(len(forms), axis=0), atol=1e-5)


@pytest.mark.parametrize("form", ["FLAC", "OGG", "MP3", "AIFF"])
def test_compressed_files_and_other_rates_are_heard(folders, tmp_path, form):
    soundfile = pytest.importorskip("soundfile")
    encoder = make(folders("clap"))
    path = tmp_path / f"tone.{form.lower()}"
    soundfile.write(path, tone(440, 0.99, 22050), 22050, format=form)
    expected = encoder.encode_audio([tone(440, 0.99), tone(1500, 0.99)])
    found = encoder.encode_audio([path])[0]
    close, far = expected @ found
    assert close > 0.9
    assert close > far


@pytest.mark.parametrize("kind", ["clip", "clap"])
def test_files_are_read_ahead_and_come_in_their_order(folders, tmp_path, kind):
    from PIL import Image

    soundfile = pytest.importorskip("soundfile")
    rows, paths = rows_of(kind), []
    for number, row in enumerate(rows):
        paths.append(str(tmp_path / f"{number}.{'wav' if kind == 'clap' else 'png'}"))
        if kind == "clap":
            soundfile.write(paths[-1], row, RATE, subtype="FLOAT")
        else:
            Image.fromarray(row).save(paths[-1])
    encoder = make(folders(kind), batch_size=2, cache=EmbeddingCache())
    expected = getattr(encoder, row_method(encoder))(rows)
    np.testing.assert_allclose(encode_rows(encoder, paths), expected, atol=1e-5)
    paths.insert(5, str(tmp_path / "gone"))
    with pytest.raises(RowError, match=r"row 5: .*no such file"):
        encode_rows(make(folders(kind), batch_size=2, cache=EmbeddingCache()), paths)


def test_long_sounds_are_known_again_fast(folders):
    from skactivekd.utils._row_identity import content_key

    wave = np.random.default_rng(0).normal(size=4000) / 9
    other = wave.copy()
    other[-1] += 1e-6
    keys = {content_key(row) for row in [(wave, RATE), (other, RATE), (wave, 2 * RATE), wave]}
    assert len(keys) == 4
    assert content_key((wave.copy(), RATE)) in keys


def test_a_file_that_changes_is_heard_anew(folders, tmp_path):
    soundfile = pytest.importorskip("soundfile")
    encoder, path = make(folders("clap"), cache=EmbeddingCache()), tmp_path / "tone.wav"
    soundfile.write(path, tone(200), RATE)
    before = encode_rows(encoder, [str(path)])
    soundfile.write(path, tone(1500), RATE)
    assert np.abs(encode_rows(encoder, [str(path)]) - before).max() > 1e-3


def test_fingerprints_follow_the_content_of_the_folder(folders, tmp_path):
    folder = folders("clip")
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    encoder = make(folder)
    assert make(moved, batch_size=3, device="cpu").fingerprint() == encoder.fingerprint()
    before = make(moved).encode_image(IMAGES)
    config = next(p for p in (moved / "processor_config.json", moved / "preprocessor_config.json")
                  if p.exists())  # fmt: skip
    config.write_text(config.read_text().replace("0.48145466", "0.1"))
    assert make(moved).fingerprint() != encoder.fingerprint()
    assert np.abs(make(moved).encode_image(IMAGES) - before).max() > 1e-4


def test_long_texts_are_cut_with_a_warning(folders):
    long = "the dog ran far from the small red fox " * 9
    for kind in (*tiny_towers.IMAGES, "clap"):
        with pytest.warns(UserWarning, match="1 texts are longer than the model's"):
            make(folders(kind)).encode_text(["a cat", long])


BAD_SOUNDS = {
    "no such file": ("gone.wav", "no such file"),
    "a folder": (".", "a directory, not a file"),
    "an empty file": ("empty.wav", "an empty file"),
    "a text": ("text.wav", "It is read if it is WAV"),
    "a file cut off": ("cut.flac", "convert it, or leave it out|ends after"),
    "no bytes": (b"", "0 bytes: .*It is read if it is WAV"),
    "bytes of nothing": (b"abc", "3 bytes: .*It is read if it is WAV"),
    "None": (None, "None is a NoneType: no sound: sounds are file paths"),
    "a number": (3, "3 is a int: no sound"),
    "an object": (object(), "no sound: sounds are"),
    "a set": ({1}, "no sound: sounds are"),
    "no rate": (np.zeros(900), r"without a rate: pass the pair \(samples, rate\)"),
    "no sample": ((np.zeros(0), RATE), "no sample"),
    "one sample": ((np.zeros(1), RATE), "do not fill one frame .*leave it out"),
    "too short": ((np.zeros(100), RATE), "100 samples at 8000 Hz, which do not fill"),
    "too long": ((np.zeros(601 * RATE, np.int16), RATE), "601 s, more than 600: cut it"),
    "rate 0": ((np.zeros(900), 0), "a rate of 0 Hz"),
    "rate below 0": ((np.zeros(900), -RATE), "a rate of -8000 Hz"),
    "rate in kHz": ((np.zeros(900), 8), "a rate of 8 Hz: .*in kHz, multiply"),
    "rate nan": ((np.zeros(900), np.nan), "a rate of nan Hz"),
    "half a rate": ((np.zeros(900), 8000.5), "a rate of 8000.5 Hz"),
    "rate a text": ((np.zeros(900), "8000"), "the rate is '8000', no number"),
    "rate None": ((np.zeros(900), None), "the rate is None, no number"),
    "rate True": ((np.zeros(900), True), "the rate is True, no number"),
    "nan": ((np.full(900, np.nan), RATE), "nan or infinite: mend"),
    "infinite": ((np.full(900, np.inf), RATE), "nan or infinite: mend"),
    "integers as floats": ((np.full(900, 3000.0), RATE), "up to 3000, .*divide them by 32768"),
    "int64": ((np.zeros(900, np.int64), RATE), "dtype int64: floats in"),
    "bool": ((np.zeros(900, bool), RATE), "dtype bool: floats in"),
    "complex": ((np.zeros(900, complex), RATE), "dtype complex128: floats in"),
    "words": ((["a", "b"], RATE), "dtype <U1: floats in"),
    "unequal channels": (([[0.0, 0.1], [0.2]], RATE), "unequal length"),
    "an image": ((np.zeros((300, 400)), RATE), "no sound of a few channels"),
    "a square": ((np.zeros((4, 4)), RATE), "no sound of a few channels"),
    "a batch": ((np.zeros((2, 2, 900)), RATE), r"shape \(2, 2, 900\)"),
    "three parts": ((np.zeros(900), RATE, 1), "without a rate|unequal|dtype"),
    "an empty dict": ({}, "it needs 'array' and 'sampling_rate'"),
    "a dict without a rate": ({"array": np.zeros(900)}, "needs 'array' and 'sampling_rate'"),
    "a dict of a lost file": ({"path": "gone.wav", "bytes": None}, "No such file"),
}


@pytest.mark.parametrize("case", BAD_SOUNDS)
def test_bad_sounds_are_named(folders, tmp_path, case, monkeypatch):
    soundfile = pytest.importorskip("soundfile")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no sound at all")
    soundfile.write("cut.flac", tone(300, 3.0), RATE)
    os.truncate("cut.flac", os.path.getsize("cut.flac") // 2)
    item, message = BAD_SOUNDS[case]
    good = (SOUNDS[0], RATE)
    encoder = TransformersEncoder(folders("clap"), batch_size=2, cache=EmbeddingCache())
    for encode in (encoder.encode_audio, lambda X: encode_rows(encoder, X)):
        with pytest.raises(RowError, match=f"row 2: .*({message})") as error:
            encode([good, (SOUNDS[1], RATE), item, good, item])
        assert sorted(error.value.bad) == [2, 4]
        assert "on_error='skip'" in str(error.value)
    skipping = TransformersEncoder(folders("clap"), on_error="skip")
    with pytest.warns(SkippedRowsWarning, match=f"row 1: .*({message})"):
        rows = skipping.encode_audio([good, item])
    assert np.isnan(rows[1]).all()
    assert np.isfinite(rows[0]).all()


@pytest.mark.parametrize(
    ("X", "kind", "message"),
    [
        ("a.wav", TypeError, r"one sound \(str\); pass a list of sounds: \[X\]"),
        (b"abc", TypeError, r"one sound \(bytes\)"),
        ({"array": [0], "sampling_rate": 1}, TypeError, r"one sound \(dict\)"),
        ((np.zeros(900), RATE), TypeError, r"one sound \(samples, rate\)"),
        (np.zeros(900), TypeError, r"one array of 900 numbers: .*pass X\[None\]"),
        (3, TypeError, "X is a int; sounds are file paths"),
        (None, TypeError, "X is a NoneType; sounds are"),
        ([], ValueError, "X holds no sound"),
        (np.zeros((0, 900)), ValueError, "X holds no sound"),
    ],
)
def test_what_is_no_list_of_sounds_is_refused(folders, X, kind, message):
    with pytest.raises(kind, match=message):
        make(folders("clap")).encode_audio(X)


def test_bad_images_are_named_as_everywhere(folders):
    encoder = make(folders("clip"), batch_size=2)
    with pytest.raises(RowError, match=r"(?s)row 1: gone\.png: no such file.*row 3: None is a Non"):
        encode_rows(encoder, [IMAGES[0], "gone.png", IMAGES[1], None])


def test_models_that_cannot_be_meant_are_refused(folders, tmp_path, monkeypatch):
    import tiny_models

    with pytest.raises(FileNotFoundError, match="is no directory here"):
        hasattr(make("/models/gone"), "encode_image")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"holds no config\.json; pass the directory that save_"):
        make(tmp_path / "empty").encode_text(["a"])
    llama = tiny_models.save(tmp_path / "llama", "llama")
    with pytest.raises(ValueError, match="is a 'llama', which does not embed texts and rows into"):
        make(llama).encode_image(IMAGES)
    with pytest.raises(ValueError, match="precision='int8' is not one of fp32, fp16, bf16"):
        make(folders("clip"), precision="int8").encode_text(["a"])
    pickled = tmp_path / "pickled"
    shutil.copytree(folders("clip"), pickled)
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"holds no \.safetensors, and other weights may run"):
        make(pickled).encode_text(["a"])
    monkeypatch.setitem(sys.modules, "transformers", None)
    copied = tmp_path / "copied"
    shutil.copytree(folders("clip"), copied)
    with pytest.raises(ImportError, match=r'pip install "skactivekd\[transformers\]"'):
        make(copied).encode_image(IMAGES)


def test_weights_that_lack_a_part_are_refused(folders, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "part"
    shutil.copytree(folders("clip"), folder)
    path = folder / "model.safetensors"
    state = load_file(path)
    state.pop("visual_projection.weight")
    save_file(state, path, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lack 1 of the tensors .*'visual_projection\.weight'"):
        make(folder).encode_text(["a"])


def test_a_model_with_code_of_its_own_is_refused(folders, tmp_path):
    import json

    folder = tmp_path / "own"
    shutil.copytree(folders("clip"), folder)
    config = json.loads((folder / "config.json").read_text())
    config.update(model_type="mine", auto_map={"AutoConfig": "mine.Config"})
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text("raise SystemExit('run')")
    with pytest.raises(ValueError, match="none that transformers knows without code of its own"):
        make(folder).encode_image(IMAGES)


def test_without_soundfile_arrays_are_heard(folders, monkeypatch):
    from skactivekd.encoders import _read_sound

    monkeypatch.setitem(sys.modules, "soundfile", None)
    _read_sound._soundfile.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(make(folders("clap")).encode_audio(SOUNDS)).all()
    with pytest.raises(ImportError, match=r'pip install "skactivekd\[sound\]"'):
        make(folders("clap")).encode_audio(["a.wav"])
    _read_sound._soundfile.cache_clear()
