"""Images in the forms users hold them: what is accepted, what is refused and how."""

import os
import pathlib
import pickle

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skactivekd.teacher import _images
from skactivekd.teacher._images import ImageError, check_images, image_batches


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (5, 6, 7, 3), dtype=np.uint8)


@pytest.fixture
def paths(pixels, tmp_path):
    files = [str(tmp_path / f"{i}.png") for i in range(len(pixels))]
    for file, image in zip(files, pixels, strict=True):
        Image.fromarray(image).save(file)
    return files


def as_array(X, batch_size=2):
    batches = image_batches(check_images(X), batch_size)
    return np.stack([np.asarray(image) for batch in batches for image in batch])


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
def test_grey_becomes_rgb(pixels, shape):
    grey = pixels[..., 0]
    rgb = as_array(grey.reshape(shape))
    np.testing.assert_array_equal(rgb, np.repeat(grey[..., None], 3, axis=3))


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


def test_batches_have_the_size_asked_for(pixels):
    assert [len(batch) for batch in image_batches(check_images(pixels), 2)] == [2, 2, 1]


def test_files_are_read_only_when_due(paths, monkeypatch):
    read = []
    to_pil = _images._to_pil
    monkeypatch.setattr(_images, "_to_pil", lambda item: (read.append(item), to_pil(item))[1])
    batches = image_batches(check_images(paths), 2)
    assert read == []
    next(batches)
    assert read == paths[:2]


@pytest.mark.parametrize(
    ("X", "match"),
    [
        (np.zeros((5, 64)), r"flat rows.*reshape\(n, H, W\)"),
        (np.zeros(5), "shape"),
        (np.zeros((5, 3, 8, 8), dtype=np.uint8), r"channels come last.*transpose\(0, 2, 3, 1\)"),
        (np.zeros((5, 8, 8, 4), dtype=np.uint8), "drop the alpha channel"),
        (np.zeros((5, 8, 8), dtype=np.int64), r"dtype int64.*astype\(np.uint8\)"),
        (np.zeros((5, 8, 8), dtype=bool), "dtype bool"),
        (np.zeros((0, 8, 8)), "no image"),
        ([], "no image"),
        ([np.zeros((2, 2)), np.zeros((3, 3))], "different shapes"),
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
        (pd.DataFrame({"path": ["cat.png"]}), "column"),
        (iter(["cat.png"]), "list_iterator"),
        (3, "int"),
    ],
)
def test_wrong_types_raise_with_a_hint(X, match):
    with pytest.raises(TypeError, match=match):
        check_images(X)


@pytest.mark.parametrize("value", [16.0, -0.5, np.nan, np.inf])
def test_floats_outside_0_1_are_named(value):
    X = np.zeros((20, 2, 2))
    X[[3, 7], 1, 1] = value
    with pytest.raises(ValueError, match="2 images hold floats outside") as error:
        check_images(X)
    assert sorted(error.value.bad) == [3, 7]
    assert "row 7" in str(error.value)


def test_many_bad_array_rows_are_counted():
    with pytest.raises(ValueError, match="and 90 more rows"):
        check_images(np.full((100, 2, 2), 16.0))


def spoil(paths, tmp_path):
    """Make rows 0, 2 and 4 unreadable, each in its own way."""
    os.remove(paths[0])
    data = pathlib.Path(paths[2]).read_bytes()
    pathlib.Path(paths[2]).write_bytes(data[: len(data) // 2])
    pathlib.Path(paths[4]).write_text("no image")
    return [0, 2, 4]


@pytest.mark.parametrize("batch_size", [1, 2, 10])
def test_all_bad_files_are_named_at_once(paths, tmp_path, batch_size):
    bad = spoil(paths, tmp_path)
    with pytest.raises(ImageError, match="3 images cannot be read") as error:
        list(image_batches(check_images(paths), batch_size))
    assert sorted(error.value.bad) == bad
    for row in bad:
        assert f"row {row}: {paths[row]}" in str(error.value)
    assert "no such file" in str(error.value)


def test_bad_files_found_late_are_all_named(paths, tmp_path):
    for row in (1, 4):
        pathlib.Path(paths[row]).write_text("no image")
    batches = image_batches(check_images(paths), 1)
    next(batches)
    with pytest.raises(ImageError) as error:
        next(batches)
    assert sorted(error.value.bad) == [1, 4]


def test_rows_that_are_no_images_are_named(paths):
    with pytest.raises(ImageError, match="row 1: None: TypeError: neither a file path nor"):
        list(image_batches(check_images([paths[0], None]), 2))


def test_16_bit_images_are_refused(tmp_path):
    file = tmp_path / "deep.png"
    Image.fromarray(np.full((4, 4), 60000, dtype=np.uint16)).save(file)
    with pytest.raises(ImageError, match=r"more than 8 bits.*uint8"):
        list(image_batches(check_images([file]), 2))


def test_error_survives_a_pickle_and_moves_to_other_rows():
    error = ImageError({0: "a", 1: "b"}, "cannot be read")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert error.at([[4], [2, 9]]).bad == {4: "a", 2: "b", 9: "b"}
