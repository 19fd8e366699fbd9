"""Images in the forms users hold them: what is accepted, what is refused and how."""

import pathlib
import pickle
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skactivekd.encoders import ImageError, TextError
from skactivekd.encoders._inputs import check_images
from skactivekd.encoders._read_image import open_image, reason


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (5, 6, 7, 3), dtype=np.uint8)


@pytest.fixture
def paths(pixels, tmp_path):
    files = [str(tmp_path / f"{i}.png") for i in range(len(pixels))]
    for file, image in zip(files, pixels, strict=True):
        Image.fromarray(image).save(file)
    return files


def as_array(X):
    X, bad = check_images(X)
    assert not bad
    return np.stack([np.asarray(open_image(item)) for item in X])


def why_not(item):
    """The reason why one image cannot be read."""
    with pytest.raises(Exception) as caught:  # noqa: PT011
        open_image(item)
    return reason(item, caught.value)


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda pixels: pixels, id="uint8"),
        pytest.param(lambda pixels: pixels / 255, id="float64"),
        pytest.param(lambda pixels: (pixels / 255).astype(np.float32), id="float32"),
        pytest.param(lambda pixels: (pixels / 255).astype(np.float16), id="float16"),
        pytest.param(list, id="list of arrays"),
        pytest.param(lambda pixels: [Image.fromarray(x) for x in pixels], id="PIL"),
        pytest.param(lambda pixels: (pixels / 255).tolist(), id="nested lists"),
        pytest.param(lambda pixels: pixels[::-1, :, ::-1][::-1, :, ::-1], id="strided"),
    ],
)
def test_pixels_arrive_in_every_form(pixels, form):
    np.testing.assert_array_equal(as_array(form(pixels)), pixels)


@pytest.mark.parametrize(
    "form",
    [
        list,
        tuple,
        np.array,
        pd.Series,
        lambda paths: pd.Series(paths, index=[9, 9, 3, 1, 0], dtype=object),
        lambda paths: [pathlib.Path(path) for path in paths],
        lambda paths: np.array([pathlib.Path(path) for path in paths], dtype=object),
    ],
)
def test_paths_arrive_in_every_form(pixels, paths, form):
    np.testing.assert_array_equal(as_array(form(paths)), pixels)


@pytest.mark.parametrize("shape", [(5, 6, 7), (5, 6, 7, 1)])
def test_gray_becomes_rgb(pixels, shape):
    gray = pixels[..., 0]
    rgb = as_array(gray.reshape(shape))
    np.testing.assert_array_equal(rgb, np.repeat(gray[..., None], 3, axis=3))


def test_floats_are_rounded_not_cut():
    X = np.full((1, 2, 2), 0.999)
    assert as_array(X).max() == 255
    assert as_array(np.full((1, 2, 2), 1 + 1e-8)).max() == 255


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_every_8_bit_mode_becomes_rgb(pixels, mode):
    image = Image.fromarray(pixels[0]).convert(mode)
    np.testing.assert_array_equal(as_array([image])[0], np.asarray(image.convert("RGB")))


def test_transparent_palette_does_not_warn(pixels):
    image = Image.fromarray(pixels[0]).convert("P")
    image.info["transparency"] = bytes(range(256))
    assert as_array([image]).shape == (1, 6, 7, 3)


@pytest.mark.parametrize(
    ("X", "match"),
    [
        (np.zeros((5, 64)), r"flat rows.*reshape\(n, H, W\)"),
        (np.zeros(5), "shape"),
        (np.zeros((5, 8, 8, 4), dtype=np.uint8), "with 4 channels: if the last is transparency"),
        (np.zeros((5, 4, 8, 8), dtype=np.uint8), "with 4 channels: if the last is transparency"),
        (np.zeros((5, 2, 8, 8), dtype=np.uint8), "with 2 channels; an image has 1 or 3"),
        (np.zeros((5, 8, 8, 5), dtype=np.uint8), "5 channels seem to be last: put them first"),
        (np.zeros((5, 3, 8, 3)), r"\(3, 8, 3\), whose channels may be first or last"),
        (np.zeros((5, 1, 8, 3)), "first or last"),
        (np.zeros((5, 4, 8, 4)), "first or last"),
        (np.zeros((224, 200, 3)), r"one picture, pass X\[None\]; if these are 224 gray ones"),
        (np.zeros((224, 200, 4)), r"one picture, pass X\[None\]"),
        (np.zeros((5, 8, 8), dtype=complex), "dtype complex128"),
        (np.zeros((0, 8, 8)), "no image"),
        ([], "no image"),
        (np.zeros((5, 0, 8)), "without a pixel"),
        (np.zeros((5, 8, 8), dtype=object), "dtype object"),
        (np.full((5, 8, 8), 4095), "from 4095 to 4095, outside 0..255: if 4095 is white, pass X"),
        (np.full((5, 8, 8), -1), "from -1 to -1, outside 0..255: scale them"),
        (np.full((5, 8, 8), 256, dtype=np.uint32), r"outside 0\.\.255"),
    ],
)
def test_wrong_arrays_raise_with_a_hint(X, match):
    with pytest.raises(ValueError, match=match):
        check_images(X)


@pytest.mark.parametrize(
    ("X", "match"),
    [
        ("cat.png", r"one image.*\[X\]"),
        (pathlib.Path("cat.png"), "one image"),
        (Image.new("RGB", (2, 2)), "one image"),
        (pd.DataFrame({"path": ["cat.png"], "size": [3]}), "column"),
        (b"\x89PNG", r"one image.*\[X\]"),
        (np.array([b"ab\0", b"c"]), "drops zeros at the end of bytes"),
        (iter(["cat.png"]), "list_iterator"),
        (3, "int"),
        (np.float64(3), "float64"),
    ],
)
def test_wrong_types_raise_with_a_hint(X, match):
    with pytest.raises(TypeError, match=match):
        check_images(X)


@pytest.mark.parametrize("value", [16.0, -0.5, np.nan, np.inf])
def test_floats_outside_0_1_are_named(value):
    X = np.zeros((20, 2, 2))
    X[[3, 7], 1, 1] = value
    with pytest.raises(ValueError, match="2 images hold values out of range") as error:
        check_images(X)
    assert sorted(error.value.bad) == [3, 7]
    assert "row 7" in str(error.value)


def test_many_bad_array_rows_are_counted():
    with pytest.raises(ValueError, match="and 90 more rows"):
        check_images(np.full((100, 2, 2), 16.0))


def test_out_of_range_rows_are_found_and_the_others_kept():
    X = np.zeros((5, 2, 2))
    X[3] = 16
    kept, bad = check_images(X, on_error="skip")
    assert kept is X
    assert bad == {3: "values from 16 to 16, outside [0, 1]"}


def test_arrays_of_different_shapes_are_images_of_their_own(pixels):
    X, bad = check_images([pixels[0], pixels[1][:4], pixels[2][..., 0] / 255])
    assert not bad
    assert [open_image(x).size for x in X] == [(7, 6), (7, 4), (7, 6)]
    np.testing.assert_array_equal(np.asarray(open_image(X[1])), pixels[1][:4])


def test_what_is_no_image_is_named_before_anything_is_read(pixels, tmp_path):
    empty, folder, link = tmp_path / "empty.png", tmp_path / "folder", tmp_path / "link.png"
    empty.touch()
    folder.mkdir()
    link.symlink_to(tmp_path / "gone.png")
    rows = [Image.fromarray(pixels[0]), None, np.nan, b"", empty, folder, link, "cat.png"]
    rows += [
        pixels[0].astype(int) * 9,
        pixels[0] * 2.0,
        pixels[0, :, :, :2],
        np.zeros((0, 2)),
        "a\0b",
    ]
    _, bad = check_images(np.array([*rows, None], dtype=object)[:-1])
    kinds = "neither a file path, nor bytes of one, nor a PIL image, nor an array"
    assert {row: reason.removeprefix(f"{tmp_path}/") for row, reason in bad.items()} == {
        1: f"None is a NoneType, {kinds}",
        2: f"nan is a float, {kinds}",
        3: "no bytes",
        4: "empty.png: an empty file",
        5: "folder: a directory, not a file",
        6: "link.png: no such file",
        7: "cat.png: no such file",
        8: bad[8],
        9: bad[9],
        10: bad[10],
        11: "array of shape (0, 2), without a pixel",
        12: "'a\\x00b': no such file, as no path holds the character \\0",
    }
    assert re.match(r"array of int64 values from \d+ to \d+, outside 0\.\.255: if", bad[8])
    assert re.match(r"array of values from \d+ to \d+, outside \[0, 1\]", bad[9])
    assert bad[10].startswith("array of shape (6, 7, 2), whose 2 channels seem to be last")


def test_extreme_shapes_are_refused_and_single_pixels_are_not():
    assert "one side is more than 200 times" in why_not(Image.new("L", (201, 1)))
    assert "one side is more than 200 times" in why_not(np.zeros((603, 3, 3)))
    assert open_image(Image.new("L", (1, 200))).size == (1, 200)
    assert open_image(Image.new("L", (1, 1))).size == (1, 1)


def test_decompression_bombs_are_named_with_the_way_out(tmp_path, monkeypatch):
    file = tmp_path / "bomb.png"
    Image.new("L", (30, 30)).save(file)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert re.search(r"bomb.png: 30 x 30 pixels.*raise PIL.Image.MAX_IMAGE_PIX", why_not(file))


def test_an_animation_is_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    for kind in ("gif", "png", "webp"):
        file = tmp_path / f"two.{kind}"
        frames[0].save(file, save_all=True, append_images=frames[1:], lossless=True)
        assert open_image(file).getpixel((0, 0)) == (255, 0, 0)


def test_errors_survive_a_pickle_and_move_to_other_rows():
    for cls in (ImageError, TextError):
        error = cls({0: "a", 1: "b"}, "cannot be read")
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
        moved = error.at([[4], [2, 9]])
        assert type(moved) is cls
        assert moved.bad == {4: "a", 2: "b", 9: "b"}
