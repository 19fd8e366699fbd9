"""Sounds and clips of every wrong kind: each is named with its reason, and no other row suffers."""

import io
import wave

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.utils import get_tags

from skactivekd.encoders import FrameEncoder, LogMel, RowError, SkippedRowsWarning
from skactivekd.encoders._read_sound import check_sounds, read_sound
from skactivekd.encoders._read_video import as_clips, read_frames

RATE = 8000
TONE = np.sin(np.arange(4000) / 3).astype(np.float32)


def wav(samples=800, rate=RATE, width=2, channels=1, cut=None):
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((channels, width, rate, 0, "NONE", ""))
        out.writeframes(b"\1" * (samples * width * channels))
    return file.getvalue()[:cut]


SOUNDS = {
    "a number": (3, "no sound: sounds are"),
    "None": (None, "no sound: sounds are"),
    "a set": ({1, 2}, "no sound: sounds are"),
    "an empty dict": ({}, "it needs 'array' and 'sampling_rate'"),
    "a dict of other names": ({"samples": TONE, "rate": RATE}, "it needs 'array'"),
    "a dict without a rate": ({"array": TONE}, "it needs 'array'"),
    "no samples": ((TONE[:0], RATE), "no sample"),
    "one sample": ((TONE[:1], RATE), "1 samples at 8000 Hz, which do not fill one frame"),
    "a hundredth of a second": ((TONE[:80], RATE), "80 samples .* do not fill one frame"),
    "unsigned integers": ((np.zeros(900, np.uint16), RATE), "dtype uint16"),
    "signed bytes": ((np.zeros(900, np.int8), RATE), "dtype int8"),
    "as many channels as samples": ((np.zeros((2, 2)), RATE), "no sound of a few channels"),
    "three axes": ((TONE.reshape(2, 2, -1), RATE), "shape"),
    "texts": ((np.array(["a", "b"]), RATE), "dtype|numbers|<U1"),
    "objects": ((np.array([None, 1.0], dtype=object), RATE), "dtype|numbers|object"),
    "complex": ((TONE * 1j, RATE), "complex"),
    "bools": ((TONE > 0, RATE), "bool"),
    "one nan": ((np.r_[TONE, np.nan], RATE), "nan"),
    "infinite": ((np.r_[TONE, np.inf], RATE), "inf"),
    "integers in floats": ((TONE * 30000, RATE), "full scale|loud|integers|int16|32768"),
    "large integers": ((np.arange(900, dtype=np.int64), RATE), "int64"),
    "unequal channels": (([[0.0, 0.1], [0.2]], RATE), "channels of unequal length"),
    "many channels": ((np.zeros((40, 41), np.float32), RATE), "channels"),
    "a rate of zero": ((TONE, 0), "a rate of 0 Hz"),
    "a negative rate": ((TONE, -8000), "a rate of -8000 Hz"),
    "kilohertz": ((TONE, 16), "if it is in kHz"),
    "half a hertz": ((TONE, 8000.5), "whole numbers"),
    "a rate that is nan": ((TONE, np.nan), "a rate of nan Hz"),
    "a huge rate": ((TONE, 10**9), "a rate of 1000000000 Hz"),
    "a rate in words": ((TONE, "8k"), "no number of samples"),
    "a bool for a rate": ((TONE, True), "no number of samples"),
    "no rate": ((TONE, None), "no number of samples"),
    "an hour": ((np.zeros(RATE * 3600, np.int16), RATE), "3,600 s, more than 600"),
    "no file": ("gone.wav", "no such file"),
    "a folder": (".", "directory|folder"),
    "empty bytes": (b"", "[Ff]ormat|recogni|empty"),
    "a text file": (b"this is not a sound", "[Ff]ormat|recogni"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(64), "[Ff]ormat|recogni"),
    "a cut header": (wav(cut=20), "[Ff]ormat|header|[Ee]rror|data|recogni"),
    "a cut file": (wav(8000, cut=2000), "ends after 12 % of the sound"),
    "a file at 100 Hz": (wav(rate=100), "a rate of 100 Hz"),
    "a file of no samples": (wav(0), "no sample"),
    "a file of an hour": (wav(RATE * 3600, width=1), "3,600 s, more than 600"),
}


@pytest.mark.parametrize("case", SOUNDS)
def test_a_bad_sound_is_named(case, tmp_path, monkeypatch):
    pytest.importorskip("soundfile")
    monkeypatch.chdir(tmp_path)
    item, message = SOUNDS[case]
    pictures = LogMel(rate=RATE, seconds=0.5, n_mels=16)
    with pytest.raises(RowError, match=f"(?s)row 1: .*({message})") as error:
        pictures.transform([(TONE, RATE), item, (TONE, RATE)])
    assert list(error.value.bad) == [1]
    with pytest.warns(SkippedRowsWarning, match=f"(?s)row 1: .*({message})"):
        found = pictures.set_params(on_error="skip").transform([(TONE, RATE), item])
    np.testing.assert_array_equal(found[:1], pictures.transform([(TONE, RATE)]))


@pytest.mark.parametrize(
    ("X", "kind", "message"),
    [
        ("a.wav", TypeError, r"one sound \(str\); pass a list of sounds"),
        (b"RIFF", TypeError, "one sound"),
        ({"array": TONE, "sampling_rate": RATE}, TypeError, "one sound"),
        ((TONE, RATE), TypeError, r"one sound \(samples, rate\)"),
        (TONE, TypeError, r"one array of 4000 numbers.*X\[None\]"),
        (pd.DataFrame({"a": ["x.wav"], "b": [1]}), (TypeError, ValueError), "column"),
        (7, TypeError, "X is a int; sounds are"),
        (np.array("a.wav"), TypeError, "one item"),
        (iter([TONE]), TypeError, "sounds are"),
        ([], ValueError, "X holds no sound"),
        (np.zeros((0, 9)), ValueError, "X holds no sound"),
    ],
)
def test_what_is_no_list_of_sounds_is_refused(X, kind, message):
    with pytest.raises(kind, match=message):
        check_sounds(X)
    with pytest.raises(kind, match=message):
        LogMel(rate=RATE, sampling_rate=RATE).transform(X)


def test_sounds_in_every_container_are_the_same(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    path = str(tmp_path / "tone.wav")
    soundfile.write(path, TONE, RATE, subtype="FLOAT")
    pictures = LogMel(rate=RATE, seconds=0.5, n_mels=16, sampling_rate=RATE)
    expected = pictures.transform([path])
    column = np.array([path])
    for X in (column, column[:, None], pd.Series(column), pd.DataFrame({"path": column})):
        np.testing.assert_array_equal(pictures.transform(X), expected)
    for X in (TONE[None], torch.tensor(TONE)[None], [torch.tensor(TONE)], [(RATE, TONE)]):
        np.testing.assert_allclose(pictures.transform(X), expected, atol=1e-5)
    tags = get_tags(pictures).input_tags
    assert (tags.two_d_array, tags.string) == (False, True)


def test_what_a_codec_overshoots_is_cut_as_players_do(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    loud = 30 * np.sign(np.sin(np.arange(8000) / 9)).astype(np.float32)
    for name in ("loud.ogg", "loud.wav"):
        soundfile.write(tmp_path / name, loud, RATE, subtype=None if "ogg" in name else "FLOAT")
    assert np.abs(read_sound(str(tmp_path / "loud.ogg"), RATE)).max() <= 1
    with pytest.raises(ValueError, match="full scale is 1"):
        read_sound(str(tmp_path / "loud.wav"), RATE)


CLIP = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)


def test_clips_in_every_container_are_the_same():
    expected = [np.asarray(frame) for frame in read_frames(CLIP, 3)]
    pictures = [Image.fromarray(frame) for frame in CLIP]
    for item in (torch.tensor(CLIP), pictures, tuple(CLIP), list(CLIP)):
        found = [np.asarray(frame) for frame in read_frames(item, 3)]
        np.testing.assert_array_equal(found, expected)
        [clip] = as_clips([item], 3)
        np.testing.assert_array_equal([np.asarray(f) for f in read_frames(clip, 3)], expected)
    many = torch.tensor(CLIP)[None]
    np.testing.assert_array_equal(as_clips(many, 3), CLIP[None])
    for X in (pd.Series(["a.mp4"]), pd.DataFrame({"path": ["a.mp4"]}), np.array([["a.mp4"]])):
        assert as_clips(X, 3) == ["a.mp4"]


@pytest.mark.parametrize(
    ("X", "kind", "message"),
    [
        (b"film", TypeError, r"one clip \(bytes\)"),
        (Image.new("RGB", (4, 4)), TypeError, "one clip"),
        (pd.DataFrame({"a": ["x.mp4"], "b": [1]}), (TypeError, ValueError), "column"),
        (torch.tensor(CLIP), ValueError, r"if it is one clip, pass X\[None\]"),
        (torch.zeros(3), ValueError, r"X has shape \(3,\)"),
        (np.array("a.mp4"), TypeError, "one item"),
        (iter([CLIP]), TypeError, "clips are"),
        ((), ValueError, "X holds no clip"),
        (pd.Series([], dtype=object), ValueError, "X holds no clip"),
    ],
)
def test_what_is_no_list_of_clips_is_refused(tiny_clip, X, kind, message):
    from skactivekd import OpenCLIPEncoder

    with pytest.raises(kind, match=message):
        FrameEncoder(OpenCLIPEncoder(tiny_clip.directory), n_frames=3).encode_image(X)


@pytest.mark.parametrize("codec", ["mjpeg", "gif"])
def test_films_of_other_kinds(codec, tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / ("film.mjpeg" if codec == "mjpeg" else "film.gif")
    if codec == "gif":
        frames = [Image.new("L", (16, 16), 25 * n) for n in range(10)]
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=40)
    else:
        with av.open(str(path), "w", format="mjpeg") as out:
            stream = out.add_stream("mjpeg", rate=10)
            stream.width = stream.height = 16
            stream.pix_fmt = "yuvj420p"
            for n in range(10):
                pixels = np.full((16, 16, 3), 25 * n, np.uint8)
                out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            out.mux(stream.encode())
    grays = [np.asarray(frame).mean() / 25 for frame in read_frames(str(path), 2)]
    np.testing.assert_allclose(grays, [2, 7], atol=0.6)
