"""Clips: which frames are taken, from what they are read, and what is said of broken ones."""

import os
import sys
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone

from skactivekd import (
    CLAPTeacher,
    DHOClassifier,
    DHONet,
    Embedder,
    OpenCLIPEncoder,
    TeacherProba,
    simulate,
)
from skactivekd.cache import EmbeddingCache
from skactivekd.encoders import FrameEncoder, ImageError, SkippedRowsWarning
from skactivekd.encoders._base import encode_rows
from skactivekd.encoders._read_video import read_frames
from skactivekd.utils.estimator_checks import check_encoder

CLIPS = np.random.default_rng(0).integers(0, 256, (5, 12, 10, 14, 3), dtype=np.uint8)


@pytest.fixture
def images(tiny_clip):
    return OpenCLIPEncoder(tiny_clip.directory)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def write_video(path, n=100, codec="mpeg4", rate=10, grays=None, turned=None, form=None, b=0):
    """Write a video of which each frame is of one gray, that tells its number."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 48, 32, "yuv420p", 12
        stream.codec_context.max_b_frames = b
        for gray in np.linspace(5, 245, n) if grays is None else grays:
            pixels = np.full((32, 48, 3), round(gray), dtype=np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def numbers(frames, n=100):
    return [round((np.asarray(frame).mean() - 5) / 240 * (n - 1)) for frame in frames]


def test_an_embedding_is_the_mean_of_those_of_the_frames(images):
    encoder = FrameEncoder(images, n_frames=4)
    expected = [unit(images.encode_image(clip[[1, 4, 7, 10]]).mean(axis=0)) for clip in CLIPS]
    for size in (1, 16):
        rows = encoder.set_params(batch_size=size).encode_image(CLIPS)
        np.testing.assert_allclose(rows, expected, atol=1e-5)
    few = FrameEncoder(images, n_frames=30).encode_image(CLIPS)
    expected = [unit(images.encode_image(clip).mean(axis=0)) for clip in CLIPS]
    np.testing.assert_allclose(few, expected, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_text(["a cat"]), images.encode_text(["a cat"]))
    assert encoder.logit_scale_ == images.logit_scale_


def test_it_passes_the_check_of_encoders(images):
    check_encoder(FrameEncoder(images, n_frames=3), CLIPS)


def test_it_embeds_by_any_encoder_of_images(tmp_path):
    class Bare:
        def encode_image(self, X):
            return unit(np.array([[np.asarray(x).mean(), 50] for x in X]))

    encoder = FrameEncoder(Bare(), n_frames=2)
    assert encoder.encode_image(CLIPS).shape == (5, 2)
    assert not hasattr(encoder, "encode_text")
    assert clone(encoder).image_encoder is encoder.image_encoder
    assert encoder.fingerprint() == clone(encoder).fingerprint()
    other = Bare()
    other.shift = 1
    assert FrameEncoder(other, n_frames=2).fingerprint() != encoder.fingerprint()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("clip.mp4", {}),
        ("clip.mp4", {"codec": "libx264", "b": 2}),
        ("clip.mkv", {}),
        ("clip.webm", {"codec": "libvpx"}),
        ("clip.avi", {}),
        ("clip.mov", {}),
        ("clip.ts", {"codec": "mpeg2video", "rate": 25}),
        ("clip.m4v", {"form": "m4v"}),
    ],
)
def test_frames_of_videos_are_those_in_the_middle_of_equal_parts(tmp_path, name, options):
    path = write_video(tmp_path / name, **options)
    for item in (path, str(path), path.read_bytes()):
        assert np.abs(np.subtract(numbers(read_frames(item, 4)), [12, 37, 62, 87])).max() <= 1
    assert len(read_frames(path, 200)) >= 99
    assert np.abs(np.subtract(numbers(read_frames(path, 1)), [50])).max() <= 1


def test_a_long_video_is_sought_in(tmp_path):
    path = write_video(tmp_path / "long.mp4", n=1200)
    expected = [75, 225, 375, 525, 675, 825, 975, 1125]
    assert np.abs(np.subtract(numbers(read_frames(path, 8), 1200), expected)).max() <= 8


def test_frames_are_even_in_time_where_their_rate_varies(tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "varies.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for number in range(20):  # ten in the first second, then one each second
            pixels = np.full((32, 48, 3), 10 * number + 5, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number if number < 10 else 10 * (number - 9)
            frame.time_base = Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    grays = [np.asarray(frame).mean() for frame in read_frames(path, 3)]
    taken = [round((gray - 5) / 10) for gray in grays]
    assert taken[0] in (10, 11)  # after a sixth of 10 s, where a tenth of the frames are left
    assert 13 <= taken[1] <= 15


def test_folders_lists_and_arrays_of_the_same_frames_are_one_clip(images, tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    names = [f"frame{number}.png" for number in range(12)]  # 10 comes after 9
    for name, pixels in zip(names, CLIPS[0], strict=True):
        Image.fromarray(pixels).save(folder / name)
    (folder / "labels.txt").write_text("no frame")
    (folder / ".hidden.png").write_text("no frame")
    paths = [str(folder / name) for name in names]
    pictures = [Image.fromarray(pixels) for pixels in CLIPS[0]]
    rows = [folder, str(folder), paths, tuple(paths), pictures, list(CLIPS[0]), CLIPS[0]]
    encoder = FrameEncoder(images, n_frames=4)
    found = encoder.encode_image(rows)
    np.testing.assert_allclose(found, found[:1].repeat(len(rows), axis=0), atol=1e-5)
    np.testing.assert_allclose(encode_rows(encoder, rows), found, atol=1e-5)
    single = encode_rows(encoder, [[paths[0]], [paths[1]]])  # clips of one frame, and no videos
    np.testing.assert_allclose(single, images.encode_image(paths[:2]), atol=1e-5)


def test_clips_are_embedded_once_until_their_files_change(images, tmp_path):
    video = write_video(tmp_path / "clip.mp4")
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(CLIPS[0, number]).save(folder / f"{number}.png")
    encoder = FrameEncoder(images, n_frames=4, cache=EmbeddingCache())
    rows = [str(video), str(folder), CLIPS[1]]
    first = encode_rows(encoder, rows)
    assert len(encoder.cache) == 3
    np.testing.assert_array_equal(encode_rows(encoder, rows), first)
    assert len(encoder.cache) == 3
    Image.fromarray(CLIPS[3, 5]).save(folder / "1.png")
    write_video(video, n=50, grays=np.full(50, 200))
    second = encode_rows(encoder, rows)
    assert len(encoder.cache) == 5
    assert (np.abs(second - first).max(axis=1) > 1e-4).tolist() == [True, True, False]
    assert FrameEncoder(images, n_frames=5).fingerprint() != encoder.fingerprint()


def test_films_are_seen_as_they_are_turned():
    from skactivekd.encoders._read_video import _upright

    class Frame:
        rotation = -90

        def to_image(self):
            return Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3))

    np.testing.assert_array_equal(_upright(Frame()), [[3, 0], [4, 1], [5, 2]])  # clockwise


def test_it_drives_teachers_students_and_simulations(images):
    from sklearn.pipeline import make_pipeline

    encoder = FrameEncoder(images, n_frames=3)
    teacher = CLAPTeacher(encoder, classes={0: "cat", 1: "dog"}, random_state=0)
    step = TeacherProba(teacher, features=Embedder(encoder), encoder_at_predict=True)
    student = DHOClassifier(DHONet(max_epochs=1), classes=[0, 1], random_state=0)
    y = np.array([0, 1, -1, -1, -1])
    pipe = make_pipeline(step, student).fit(CLIPS, y)
    assert np.isfinite(pipe.predict_proba(CLIPS)).all()
    truth = np.array([0, 1, 0, 1, 0])
    curve = simulate(
        pipe, CLIPS, truth, X_test=CLIPS, y_test=truth, n_rounds=2, n_instances=1, n_initial=2,
        seeds=1, progress=False,
    )  # fmt: skip
    assert len(curve) == 2


BAD = {
    "no such file": ("gone.mp4", "gone.mp4: no such file"),
    "an empty file": ("empty.mp4", "empty.mp4: an empty file"),
    "a text": ("text.mp4", "text.mp4: .*It is read if it is MP4.*convert it, or leave it out"),
    "a picture": ("picture.png", "It is read if it is MP4"),
    "a sound": ("sound.wav", "It is read if it is MP4"),
    "a playlist": ("list.m3u8", "It is read if it is MP4"),
    "a list of files": ("list.ffconcat", "It is read if it is MP4"),
    "a film without its head": ("half.mp4", "It is read if it is MP4"),
    "a film without its end": ("half.mkv", "ends after .* s of the 10.0 s that its header says"),
    "no bytes": (b"", "0 bytes: "),
    "bytes of nothing": (b"abc", "3 bytes: "),
    "a folder without a picture": ("nothing", "nothing: a folder without a picture"),
    "a folder with a broken one": ("broken", "broken: frame 1 of those taken: .*1.png"),
    "a lost frame": (["gone.png", "picture.png"], "frame 0 of those taken: gone.png: no such"),
    "no frames": ([], r"no frame|no clip"),
    "None": (None, "None is a NoneType: no clip: clips are paths"),
    "a number": (3, "3 is a int: no clip"),
    "a picture of PIL": (Image.new("RGB", (4, 4)), "no clip: clips are"),
    "one picture": (np.zeros((8, 8, 3), np.uint8), r"shape \(8, 8, 3\); a clip has .*None\]"),
    "no time": (np.zeros((0, 8, 8, 3), np.uint8), "no frame; a clip has the shape"),
    "five channels": (np.zeros((2, 8, 9, 5), np.uint8), "5 channels seem to be last"),
    "floats of bytes": (np.full((2, 8, 8, 3), 255.0), r"255, outside \[0, 1\]"),
    "nan": (np.full((2, 8, 8, 3), np.nan), r"nan, outside \[0, 1\]"),
    "a batch": (np.zeros((1, 2, 8, 8, 3), np.uint8), r"shape \(1, 2, 8, 8, 3\); a clip has"),
    "words": (np.array(["a"]), "no clip|shape"),
    "a dict": ({"path": "a.mp4"}, "is a dict: no clip"),
}


@pytest.fixture
def bad_files(tmp_path, monkeypatch):
    soundfile = pytest.importorskip("soundfile")
    monkeypatch.chdir(tmp_path)
    open("empty.mp4", "w").close()
    with open("text.mp4", "w") as file:
        file.write("no film at all")
    Image.new("RGB", (8, 8)).save("picture.png")
    soundfile.write("sound.wav", np.zeros(8000), 8000)
    write_video("clip.ts", codec="mpeg2video", rate=25)
    with open("list.m3u8", "w") as file:
        file.write("#EXTM3U\n#EXTINF:10,\nclip.ts\n#EXT-X-ENDLIST\n")
    with open("list.ffconcat", "w") as file:
        file.write("ffconcat version 1.0\nfile clip.ts\n")
    for name in ("half.mp4", "half.mkv"):
        write_video(name)
        os.truncate(name, os.path.getsize(name) // 2)
    os.mkdir("nothing")
    os.mkdir("broken")
    Image.new("RGB", (8, 8)).save("broken/0.png")
    with open("broken/1.png", "w") as file:
        file.write("no picture")


@pytest.mark.parametrize("case", BAD)
def test_bad_clips_are_named(images, bad_files, case):
    item, message = BAD[case]
    good = CLIPS[0]
    encoder = FrameEncoder(images, n_frames=3, batch_size=2, cache=EmbeddingCache())
    for encode in (encoder.encode_image, lambda X: encode_rows(encoder, X)):
        with pytest.raises(ImageError, match=f"row 2: .*({message})") as error:
            encode([good, CLIPS[1], item, good, item])
        assert sorted(error.value.bad) == [2, 4]
        assert "on_error='skip'" in str(error.value)
    skipping = FrameEncoder(images, n_frames=3, on_error="skip")
    with pytest.warns(SkippedRowsWarning, match=f"row 1: .*({message})"):
        rows = skipping.encode_image([good, item, CLIPS[1]])
    np.testing.assert_array_equal(np.isnan(rows).all(axis=1), [False, True, False])
    expected = FrameEncoder(images, n_frames=3).encode_image([good, CLIPS[1]])
    np.testing.assert_allclose(rows[[0, 2]], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("X", "kind", "message"),
    [
        ("a.mp4", TypeError, r"one clip \(str\); pass a list of clips: \[X\]"),
        (CLIPS[0], ValueError, r"shape \(12, 10, 14, 3\), .*if it is one clip, pass X\[None\]"),
        (CLIPS[0, 0], ValueError, r"clips have \(n, T, H, W, 3\)"),
        (3, TypeError, "X is a int; clips are paths"),
        ({"a": 1}, TypeError, "X is a dict; clips are"),
        ([], ValueError, "X holds no clip"),
        (CLIPS[:0], ValueError, "X holds no clip"),
    ],
)
def test_what_is_no_list_of_clips_is_refused(images, X, kind, message):
    encoder = FrameEncoder(images)
    for encode in (encoder.encode_image, lambda X: encode_rows(encoder, X)):
        with pytest.raises(kind, match=message):
            encode(X)


def test_frames_that_the_encoder_refuses_are_named_by_their_clip():
    class Picky:
        def encode_image(self, X):
            bad = {row: "too dark" for row, x in enumerate(X) if np.asarray(x).max() < 9}
            if bad:
                raise ImageError(bad, "cannot be read")
            return np.tile([1.0, 0.0], (len(X), 1))

    clips = CLIPS.copy()
    clips[1] = 0
    with pytest.raises(ImageError, match=r"row 1: .*the image_encoder refuses a frame: too dark"):
        FrameEncoder(Picky()).encode_image(clips)
    with pytest.warns(SkippedRowsWarning, match="row 1"):
        rows = FrameEncoder(Picky(), on_error="skip").encode_image(clips)
    assert np.isnan(rows[1]).all()
    np.testing.assert_array_equal(rows[[0, 2, 3, 4]], [[1, 0]] * 4)


def test_wrong_settings_are_refused(images, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="n_frames"):
        FrameEncoder(images, n_frames=0).encode_image(CLIPS)
    for encoder in (None, OpenCLIPEncoder, "ViT-B-32"):
        with pytest.raises(TypeError, match=r"must be an object with encode_image\(X\), such as"):
            FrameEncoder(encoder).encode_image(CLIPS)
    from skactivekd.encoders import _read_video

    path = tmp_path / "a.mp4"
    path.write_bytes(b"abc")
    monkeypatch.setitem(sys.modules, "av", None)
    _read_video._av.cache_clear()
    assert FrameEncoder(images).encode_image(CLIPS).shape == (5, 16)
    with pytest.raises(ImportError, match=r'pip install "skactivekd\[video\]"'):
        FrameEncoder(images).encode_image([str(path)])
    _read_video._av.cache_clear()
