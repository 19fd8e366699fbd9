"""Malformed images and texts: each works, or is named by its row and why."""

import io
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from skactivekd import OpenCLIPEncoder
from skactivekd.encoders import ImageError, SkippedRowsWarning, TextError

MODES = sorted({*Image.MODES, "LAB", "HSV", "RGBX", "La", "PA", "RGBa", "I;16B"})
KINDS = {
    "PNG": {},
    "JPEG": {},
    "GIF": {},
    "TIFF": {},
    "WEBP": {"lossless": True},
    "BMP": {},
    "PPM": {},
    "ICO": {"sizes": [(16, 16)]},  # is refused
}
quick = settings(
    deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)


def encoded(kind):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **KINDS[kind])
    return buffer.getvalue()


VALID = {kind: encoded(kind) for kind in KINDS}
mangled = st.sampled_from(sorted(VALID)).flatmap(
    lambda kind: st.one_of(
        st.integers(0, len(VALID[kind]) - 1).map(lambda end: VALID[kind][:end]),
        st.lists(
            st.tuples(st.integers(0, len(VALID[kind]) - 1), st.integers(0, 7)),
            min_size=1,
            max_size=8,
        ).map(lambda flips: flip(VALID[kind], flips)),
        st.binary(max_size=64).map(lambda tail: VALID[kind][:12] + tail),
    )
)


def flip(data, flips):
    data = bytearray(data)
    for place, bit in flips:
        data[place] ^= 1 << bit
    return bytes(data)


@pytest.fixture(scope="module")
def encoder(tiny_clip):
    return OpenCLIPEncoder(tiny_clip.directory, device="cpu", on_error="skip", n_workers=0)


@pytest.fixture(scope="module")
def good():
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (9, 9, 3), dtype=np.uint8))


def check_each(encode, rows, names):
    """Assert that each row works or is named, the last one being known to work."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        embeddings = encode(rows)
    bad = {}
    for warning in caught:
        if isinstance(warning.message, SkippedRowsWarning):
            bad.update(warning.message.bad)
    norms = np.linalg.norm(embeddings, axis=1)
    assert set(np.flatnonzero(np.isnan(norms))) == set(bad)
    np.testing.assert_allclose(norms[~np.isnan(norms)], 1, atol=1e-5)
    assert len(rows) - 1 not in bad
    for row, reason in bad.items():
        assert names[row] in reason
        assert len(reason) > len(names[row]) + 5
    return bad


@given(data=st.data())
@settings(quick, max_examples=15)
def test_mangled_files_work_or_are_named(encoder, good, tmp_path_factory, data):
    contents = data.draw(st.lists(st.one_of(mangled, st.binary(max_size=200)), min_size=20))
    folder = tmp_path_factory.mktemp("mangled")
    paths = [folder / f"{row}.img" for row in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    check_each(encoder.encode_image, [*paths, good], [path.name for path in paths] + [""])


@pytest.mark.parametrize("kind", KINDS)
def test_every_truncation_works_or_is_named(encoder, good, tmp_path, kind):
    ends = np.linspace(0, len(VALID[kind]) - 1, 25).astype(int)
    paths = [tmp_path / f"{end}.img" for end in ends]
    for end, path in zip(ends, paths, strict=True):
        path.write_bytes(VALID[kind][:end])
    bad = check_each(encoder.encode_image, [*paths, good], [path.name for path in paths] + [""])
    assert {0, 1, 2} <= set(bad)


def test_formats_that_nobody_named_are_refused(encoder, good, tmp_path):
    path = tmp_path / "16.png"
    path.write_bytes(encoded("ICO"))
    assert (
        "ICO, which is not opened here"
        in check_each(encoder.encode_image, [path, good], ["16.png", ""])[0]
    )


def make(mode):
    try:
        return Image.new(mode, (5, 4))
    except (ValueError, KeyError):  # not in this release of PIL
        return None


def test_every_mode_works_or_is_named(encoder, good):
    images = {mode: image for mode in MODES if (image := make(mode)) is not None}
    bad = check_each(encoder.encode_image, [*images.values(), good], ["mode="] * len(images) + [""])
    works = {mode for row, mode in enumerate(images) if row not in bad}
    assert {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"} <= works
    assert {"I", "F", "I;16", "I;16B", "LAB", "La", "RGBa"} <= works


def test_images_of_every_kind_work(encoder, good, tmp_path):
    frames = [good, good.rotate(90)]
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    saves = {
        "cmyk.jpg": (good.convert("CMYK"), {}),
        "palette.png": (good.convert("P"), {"transparency": 0}),
        "palette-alpha.png": (good.convert("P"), {"transparency": bytes(range(256))}),
        "animated.gif": (good, {"save_all": True, "append_images": frames}),
        "animated.png": (good, {"save_all": True, "append_images": frames}),
        "animated.webp": (good, {"save_all": True, "append_images": frames, "lossless": True}),
        "pages.tif": (good, {"save_all": True, "append_images": frames}),
        "pixel.png": (good.crop((0, 0, 1, 1)), {}),
        "tall.png": (good.resize((1, 200)), {}),
        "turned.jpg": (good, {"exif": exif}),
        "broken-exif.jpg": (good, {"exif": b"Exif\x00\x00MM\x00\x2a\xff\xff\xff\xff"}),
        "bilevel.png": (good.convert("1"), {}),
    }
    for name, (image, options) in saves.items():
        image.save(tmp_path / name, **options)
    paths = [tmp_path / name for name in saves]
    assert check_each(encoder.encode_image, [*paths, good], [*saves, ""]) == {}
    first = encoder.encode_image([tmp_path / "animated.png", tmp_path / "animated.webp"])
    np.testing.assert_allclose(first, encoder.encode_image([good, good]), atol=1e-6)


odd = st.one_of(
    st.none(),
    st.floats(),
    st.integers(),
    st.binary(max_size=5),
    st.lists(st.text(max_size=3), max_size=2),
)
texts = st.one_of(
    st.text(st.characters(exclude_categories=[]), max_size=50),  # half surrogates too
    st.text(max_size=5).map(lambda text: text * 50),
    odd,
)


@given(rows=st.lists(texts, min_size=10))
@settings(quick, max_examples=20)
def test_odd_texts_work_or_are_named(encoder, rows):
    bad = check_each(encoder.encode_text, [*rows, "a cat"], [""] * (len(rows) + 1))
    assert {row for row, text in enumerate(rows) if not isinstance(text, str)} <= set(bad)


@given(rows=st.lists(odd, min_size=5))
@example(rows=[[], None, None, None, None])
@settings(quick, max_examples=10)
def test_rows_that_are_no_images_are_named(encoder, good, rows):
    bad = check_each(encoder.encode_image, [*rows, good], [""] * (len(rows) + 1))
    assert set(bad) == set(range(len(rows)))


@given(data=st.data())
@settings(quick, max_examples=20)
def test_odd_arrays_work_or_are_named(encoder, good, data):
    dtypes = st.sampled_from("uint8 float32 float64 float16 int64 bool uint16 complex64".split())
    shapes = st.lists(st.integers(0, 5), max_size=4).map(tuple)
    values = st.sampled_from([0, 0.5, 1, 2, 255, -1, np.nan, np.inf, -np.inf])
    rows = []
    for _ in range(5):
        with np.errstate(invalid="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows.append(np.full(data.draw(shapes), data.draw(values)).astype(data.draw(dtypes)))
    check_each(encoder.encode_image, [*rows, good], [""] * 6)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
@pytest.mark.parametrize("n_workers", [0, 2])
def test_one_error_names_every_bad_row(encoder, good, tmp_path, batch_size, n_workers):
    rows = [good, tmp_path / "gone.png", good, tmp_path / "half.png", good, None, tmp_path]
    (tmp_path / "half.png").write_bytes(VALID["PNG"][:200])
    strict = OpenCLIPEncoder(encoder.model, batch_size=batch_size, n_workers=n_workers)
    with pytest.raises(ImageError, match="4 images cannot be read") as error:
        strict.encode_image(rows)
    assert sorted(error.value.bad) == [1, 3, 5, 6]
    assert "row 3: " + str(tmp_path / "half.png") in str(error.value)
    with pytest.raises(TextError, match=r"(?s)2 texts.*row 1: 3 is a int.*row 2: None"):
        strict.encode_text(["a", 3, None])
