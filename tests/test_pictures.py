"""Picture files as users have them: upright, on white, of any depth; nothing run, nothing hung."""

import io
import os
import signal
import struct
import threading
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from skactivekd import DHOClassifier, DHONet, OpenCLIPEncoder, ZeroShotTeacher, load_glyph_digits
from skactivekd.encoders import ImageError
from skactivekd.encoders._read_image import name_format, open_image, reason
from skactivekd.student._tensors import as_input
from skactivekd.utils._digest import digest_rows

ORIENTATION = 0x0112
UNDO = {  # what a camera did to a picture that asks for this orientation
    1: lambda image: image,
    2: lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    3: lambda image: image.transpose(Image.Transpose.ROTATE_180),
    4: lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    5: lambda image: image.transpose(Image.Transpose.TRANSPOSE),
    6: lambda image: image.transpose(Image.Transpose.ROTATE_90),
    7: lambda image: image.transpose(Image.Transpose.TRANSVERSE),
    8: lambda image: image.transpose(Image.Transpose.ROTATE_270),
}
LOSSLESS = {
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "JPEG": {"quality": 100, "subsampling": 0},
}


@pytest.fixture(scope="module")
def scene():
    """A picture that no turn or mirror maps to itself."""
    pixels = np.zeros((16, 24, 3), dtype=np.uint8)
    pixels[:8, :8], pixels[8:, :8], pixels[:8, 16:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def digits():
    X, y = load_glyph_digits(return_X_y=True)
    return X[:100], y[:100]


@pytest.fixture(scope="module")
def teacher():
    return ZeroShotTeacher(OpenCLIPEncoder(cache=False, n_workers=2)).fit()


def why_not(item):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        open_image(item)
    return reason(item, caught.value)


def stored(image, kind="PNG", orientation=None, **options):
    """What a file holds."""
    if orientation is not None:
        image, options["exif"] = UNDO[orientation](image), Image.Exif()
        options["exif"][ORIENTATION] = orientation
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(item):
    return np.asarray(open_image(item))


def in_every_door(data, tmp_path):
    """A file by its path, its bytes, and images of PIL that were read, or not yet, or copied."""
    path = tmp_path / "picture"
    path.write_bytes(data)
    read = Image.open(io.BytesIO(data))
    read.load()
    return [path, str(path), data, Image.open(io.BytesIO(data)), read, read.copy()]


# ---- upright


@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_upright(scene, tmp_path, kind, orientation):
    data = stored(scene, kind, orientation, **LOSSLESS[kind])
    for item in in_every_door(data, tmp_path):
        turned = open_image(item)
        assert turned.size == scene.size
        difference = np.asarray(turned).astype(int) - np.asarray(scene)
        assert np.abs(difference).max() <= (3 if kind == "JPEG" else 0)
        assert np.asarray(open_image(turned)).tolist() == np.asarray(turned).tolist()


def test_an_orientation_set_on_an_image_counts_and_one_taken_out_does_not(scene):
    image = UNDO[6](scene)
    image.getexif()[ORIENTATION] = 6
    assert pixels(image).tolist() == np.asarray(scene).tolist()
    assert pixels(ImageOps.exif_transpose(image)).tolist() == np.asarray(scene).tolist()
    assert image.size == (16, 24)  # the caller's own is left as it was
    assert image.getexif()[ORIENTATION] == 6


@pytest.mark.parametrize("value", [0, 9, 300])
def test_an_orientation_that_does_not_exist_is_none(scene, value):
    exif = Image.Exif()
    exif[ORIENTATION] = value
    assert pixels(stored(scene, exif=exif)).tolist() == np.asarray(scene).tolist()
    assert pixels(stored(scene, exif=b"Exif\0\0MM\0\x2a\xff\xff\xff\xff")).shape == (16, 24, 3)


def test_one_image_in_many_rows_is_turned_in_each(scene, tmp_path):
    data = stored(scene, "JPEG", 6)
    for _ in range(20):
        image, shapes = Image.open(io.BytesIO(data)), []
        start = threading.Barrier(4)

        def read(image=image, shapes=shapes, start=start):
            start.wait()
            shapes.append(open_image(image).size)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert shapes == [scene.size] * 4


def test_the_same_digits_however_the_camera_was_held(digits, teacher, tmp_path):
    X, y = digits
    paths = {}
    for orientation in range(1, 9):
        folder = tmp_path / str(orientation)
        folder.mkdir()
        paths[orientation] = [folder / f"{row}.png" for row in range(len(X))]
        for path, image in zip(paths[orientation], X, strict=True):
            path.write_bytes(stored(gray(image), "PNG", orientation))
    upright = teacher.predict_proba(paths[1])
    assert (upright.argmax(axis=1) == y).mean() > 0.6
    for orientation in range(2, 9):
        np.testing.assert_allclose(teacher.predict_proba(paths[orientation]), upright, atol=1e-6)


def gray(image):
    return Image.fromarray(np.rint(np.asarray(image) * 255).astype(np.uint8))


def test_the_cache_tells_images_apart_that_differ_in_how_they_look(scene):
    encoder = OpenCLIPEncoder()  # with a cache
    teacher = ZeroShotTeacher(encoder).fit()
    turned, clear = scene.copy(), scene.copy()
    turned.getexif()[ORIENTATION] = 6
    clear.info["transparency"] = (0, 0, 0)
    together = teacher.predict_proba([scene, turned, clear])
    alone = (
        ZeroShotTeacher(OpenCLIPEncoder(cache=False)).fit().predict_proba([scene, turned, clear])
    )
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert len(np.unique(np.round(alone, 5), axis=0)) == 3
    assert len({digest_rows([image]) for image in (scene, turned, clear)}) == 3


# ---- on white


def ink(alpha, color=(0, 0, 0)):
    """Black ink of this opacity."""
    rgba = np.zeros((*alpha.shape, 4), dtype=np.uint8)
    rgba[..., :3], rgba[..., 3] = color, alpha
    return Image.fromarray(rgba)


ALPHA = np.array([[0, 255, 128, 64]] * 3, dtype=np.uint8)
ON_WHITE = np.repeat(255 - ALPHA[..., None], 3, axis=2)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "RGBa", "La"])
def test_ink_stands_on_white(mode):
    image = ink(ALPHA).convert("LA" if mode == "La" else "RGBA").convert(mode)
    assert np.abs(pixels(image).astype(int) - ON_WHITE).max() <= 1
    if mode in ("RGBA", "LA"):
        for kind, options in {
            "PNG": {},
            "WEBP": {"lossless": True, "exact": True},
            "TIFF": {},
        }.items():
            assert np.abs(pixels(stored(image, kind, **options)).astype(int) - ON_WHITE).max() <= 1


def palette_image():
    image = Image.fromarray(np.array([[0, 1, 2, 3]], dtype=np.uint8)).convert("P")
    image.putpalette([0, 0, 0, 10, 20, 30, 200, 100, 0, 0, 0, 255])
    return image


@pytest.mark.parametrize("kind", ["PNG", "GIF", "given"])
@pytest.mark.parametrize(
    ("transparency", "expected"),
    [
        (None, [[0, 0, 0], [10, 20, 30], [200, 100, 0], [0, 0, 255]]),
        (0, [[255, 255, 255], [10, 20, 30], [200, 100, 0], [0, 0, 255]]),
        (2, [[0, 0, 0], [10, 20, 30], [255, 255, 255], [0, 0, 255]]),
        (b"\0\xff\0\xff", [[255, 255, 255], [10, 20, 30], [255, 255, 255], [0, 0, 255]]),
        (b"\xff\x80", [[0, 0, 0], [132, 137, 142], [200, 100, 0], [0, 0, 255]]),
    ],
)
def test_palettes_look_as_they_are_seen(kind, transparency, expected):
    if kind == "GIF" and isinstance(transparency, bytes):
        pytest.skip("GIF has one transparent color")
    image = palette_image()
    options = {} if transparency is None else {"transparency": transparency}
    image.info.update(options)
    item = image if kind == "given" else stored(image, kind, **options)
    assert np.abs(pixels(item)[0].astype(int) - expected).max() <= 1
    assert image.getpalette("RGBA")[3::4] == [255] * 4  # not written to


def png(rows, bits, color, *chunks):
    """A PNG file of raw rows, with other chunks before the pixels."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    width = len(rows[0]) * 8 // bits // {0: 1, 2: 3, 3: 1}[color]
    header = struct.pack(">IIBBBBB", width, len(rows), bits, color, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))
    parts = [(b"IHDR", header), *chunks, (b"IDAT", body), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize(
    ("rows", "bits", "color", "key", "expected"),
    [
        ([[0b01000000]], 1, 0, [0], [255, 255, 255, 255, 255, 255, 255, 255]),
        ([[0b01000000]], 1, 0, [1], [0, 255, 0, 0, 0, 0, 0, 0]),
        ([[0b00011011]], 2, 0, [1], [0, 255, 170, 255]),
        ([[0b00011011]], 2, 0, [0], [255, 85, 170, 255]),
        ([[0x05, 0xAF]], 4, 0, [10], [0, 85, 255, 255]),
        ([[0, 1, 2, 255]], 8, 0, [1], [0, 255, 2, 255]),
        ([[0, 0, 1, 0, 255, 255, 128, 0]], 16, 0, [256], [0, 255, 255, 128]),
        ([[9, 9, 9, 1, 2, 3]], 8, 2, [1, 2, 3], [9, 255]),
        ([[9, 0, 9, 0, 9, 0, 0, 0, 0, 0, 0, 0]], 16, 2, [2304] * 3, [255, 0]),
        ([[9, 9, 9, 0, 0, 0]], 8, 2, [0] * 3, [9, 255]),
    ],
)
def test_the_transparent_color_of_a_png_is_white(rows, bits, color, key, expected, tmp_path):
    data = png(rows, bits, color, (b"tRNS", struct.pack(f">{len(key)}H", *key)))
    for item in in_every_door(data, tmp_path):
        assert pixels(item)[0, :, 0].tolist() == expected


def test_black_ink_on_nothing_is_the_digit(digits, teacher, tmp_path):
    X, y = digits  # the teacher reads light on dark: the ink leaves the digit out
    opacity = [255 - np.rint(image * 255).astype(np.uint8) for image in X]
    opaque = teacher.predict([255 - alpha for alpha in opacity])
    assert (opaque == y).mean() > 0.6
    paths = [tmp_path / f"{row}.png" for row in range(len(X))]
    for path, alpha in zip(paths, opacity, strict=True):
        path.write_bytes(stored(ink(alpha)))
    np.testing.assert_array_equal(teacher.predict(paths), opaque)
    np.testing.assert_array_equal(teacher.predict([ink(alpha) for alpha in opacity]), opaque)


# ---- grays of any depth, and other colors

GRAYS = np.array([[0, 1000, 32768, 65535]], dtype=np.uint16)
SCALED = [0, 4, 128, 255]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "given", "array", "channels"])
def test_16_bits_are_scaled_not_clipped(kind):
    item = Image.fromarray(GRAYS)
    if kind in ("PNG", "TIFF"):
        item = stored(item, kind)
    elif kind in ("array", "channels"):
        item = GRAYS if kind == "array" else GRAYS[None]
    assert pixels(item)[0, :, 0].tolist() == SCALED


def test_16_bits_of_other_files_are_scaled():
    assert pixels(b"P5 4 1 65535\n" + GRAYS.astype(">u2").tobytes())[0, :, 0].tolist() == SCALED
    assert pixels(Image.fromarray(GRAYS.astype(">u2")))[0, :, 0].tolist() == SCALED
    inverted = stored(Image.fromarray(GRAYS), "TIFF", tiffinfo={262: 0})  # 0 is white
    assert pixels(inverted)[0, :, 0].tolist() == [255, 251, 127, 0]


def test_teacher_and_student_scale_alike():
    for X in (GRAYS, (GRAYS // 257).astype(np.uint8), (GRAYS // 257).astype(np.int64), GRAYS > 9):
        student = as_input(X[None])[0, 0].numpy() * 255
        assert np.abs(pixels(X)[..., 0] - student).max() <= 0.5


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.fromarray(np.array([[0, 0.25, 1]], dtype=np.float32)), [0, 64, 255]),
        (Image.fromarray(np.array([[0, 64, 255]], dtype=np.int32)), [0, 64, 255]),
        (Image.fromarray(np.array([[0, 255, 0]], dtype=np.uint8)).convert("1"), [0, 255, 0]),
    ],
)
def test_other_grays_look_as_their_pixels(image, expected):
    assert pixels(image)[0, :, 0].tolist() == expected


def test_grays_of_no_known_range_are_refused_with_a_hint():
    bright = np.array([[0, 4095]])
    match = "mode 'I' with int32 values from 0 to 4095, outside 0..255: if 4095 is white, pass"
    assert match in why_not(Image.fromarray(bright.astype(np.int32)))
    assert match in why_not(stored(Image.fromarray(bright.astype(np.int32)), "TIFF"))
    floats = Image.fromarray(bright.astype(np.float32))
    assert "mode 'F' with values from 0 to 4095, outside [0, 1]" in why_not(floats)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "LAB", "RGBX"])
def test_other_colors_look_as_their_pixels(scene, mode):
    image, limit = scene.convert(mode), 25 if mode == "LAB" else 6
    assert np.abs(pixels(image).astype(int) - np.asarray(scene)).max() <= limit
    if mode in ("CMYK", "LAB"):
        file = stored(image, "TIFF")
        assert np.abs(pixels(file).astype(int) - np.asarray(scene)).max() <= limit


# ---- formats by name

PROGRAM = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(x) (w) file\n"


@pytest.fixture
def no_interpreter(monkeypatch):
    """Fail as soon as PIL would hand a file to an interpreter."""
    from PIL import EpsImagePlugin

    ran = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *args, **kwargs: ran.append(args))
    monkeypatch.setattr("subprocess.Popen", lambda *args, **kwargs: ran.append(args))
    yield
    assert ran == []


@pytest.mark.parametrize("name", ["cat.png", "cat.jpg", "cat.eps", "cat.ps", "cat"])
@pytest.mark.parametrize(
    "start", [b"", b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 32, 80) + b"\0" * 20]
)
def test_programs_are_refused_under_any_name(no_interpreter, tmp_path, name, start):
    good, path = tmp_path / "good.png", tmp_path / name
    good.write_bytes(stored(Image.new("RGB", (4, 4))))
    path.write_bytes(start + PROGRAM)
    with pytest.raises(ImageError, match=rf"(?s)1 image.*row 1: .*{name}: PostScript \(EPS\), wh"):
        OpenCLIPEncoder().encode_image([good, path])
    with pytest.raises(ImageError, match=r"row 0: \d+ bytes: PostScript"):
        OpenCLIPEncoder().encode_image([start + PROGRAM])


def test_programs_that_pil_has_opened_are_refused_before_they_run(no_interpreter):
    for cache in (None, False):
        image = Image.open(io.BytesIO(PROGRAM))
        teacher = ZeroShotTeacher(OpenCLIPEncoder(cache=cache)).fit()
        with pytest.raises(ImageError, match="EPS, a format that is not read here"):
            teacher.predict_proba([image])
    with pytest.raises(ImageError, match="EPS, a format that is not read here"):
        DHOClassifier().fit([Image.open(io.BytesIO(PROGRAM))] * 2, [0, 1])
    with pytest.raises(ValueError, match="EPS, a format that is not read here"):
        digest_rows([Image.open(io.BytesIO(PROGRAM))])
    read = Image.open(io.BytesIO(stored(Image.new("RGB", (4, 4)), "TGA")))
    assert "TGA, a format" in why_not(read)
    read.load()
    assert open_image(read).size == (4, 4)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"%!", "PostScript"),
        (b"\xef\xbb\xbf%!PS", "PostScript"),
        (b"%PDF-1.7", "PDF"),
        (b"\xd7\xcd\xc6\x9a" + b"\0" * 12, "WMF"),
        (b"\x00\x00\x01\x00" + b"\0" * 12, "ICO"),
        (struct.pack("<IHHHHHH", 99, 0xAF11, 1, 8, 8, 8, 3), "FLI"),
        (b"8BPS" + b"\0\1" + b"\0" * 10, "PSD"),
        (b'<svg xmlns="http://www.w3.org/2000/svg">', "SVG"),
        (b"\n<!DOCTYPE html>", "HTML"),
        (b"PK\3\4", "ZIP"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC: install pillow-heif"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "video"),
        ("Grüße".encode(), "text"),
        (bytes(range(128, 200)), "unknown"),
    ],
)
def test_a_format_that_is_refused_has_a_name(head, kind):
    assert kind in name_format(head)
    assert kind in why_not(head)


# ---- what a file may be

HUGE = 30_000


def huge(kind):
    if kind == "PNG":
        return png([[0]], 8, 0)[:16] + struct.pack(">II", HUGE, HUGE) + png([[0]], 8, 0)[24:]
    if kind == "PPM":
        return f"P5 {HUGE} {HUGE} 255\n".encode()
    data = bytearray(stored(Image.new("P", (4, 4)), kind))
    if kind == "GIF":
        data[6:10] = struct.pack("<HH", HUGE, HUGE)
    elif kind == "BMP":
        data[18:26] = struct.pack("<ii", HUGE, HUGE)
    else:
        at = data.index(b"\0\1\4\0\1\0\0\0\4\0\0\0") if kind == "TIFF" else 0
        data[at + 8 : at + 12] = struct.pack("<I", HUGE)
        at = data.index(b"\1\1\4\0\1\0\0\0\4\0\0\0")
        data[at + 8 : at + 12] = struct.pack("<I", HUGE)
    return bytes(data)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["PNG", "PPM", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("n_workers", [0, 4])
def test_a_huge_picture_is_refused_by_its_header(tmp_path, monkeypatch, kind, n_workers):
    from PIL import ImageFile

    monkeypatch.setattr(ImageFile.ImageFile, "load_prepare", pytest.fail)  # nothing is decoded
    path = tmp_path / "huge.bin"
    data = huge(kind)
    path.write_bytes(png_crc(data) if kind == "PNG" else data)
    encoder = OpenCLIPEncoder(n_workers=n_workers, batch_size=2)
    with pytest.raises(ImageError) as error:
        encoder.encode_image([path] * 5)
    assert sorted(error.value.bad) == list(range(5))
    for row in range(5):
        assert "huge.bin: 30000 x 30000 pixels, more than 178,956,970: shr" in error.value.bad[row]


def png_crc(data):
    return data[:29] + struct.pack(">I", zlib.crc32(data[12:29])) + data[33:]


def test_a_given_image_that_is_huge_is_refused_too():
    assert "30000 x 30000 pixels" in why_not(Huge())


class Huge:
    """What PIL's images show before they are decoded."""

    size, format, im = (HUGE, HUGE), "PNG", None

    def getbands(self):
        return ("L",)


def test_no_limit_where_the_user_sets_none(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert "more than" not in why_not(huge("PPM"))


def test_what_is_no_file_of_its_own_never_hangs(tmp_path):
    pipe, circle = tmp_path / "pipe.png", tmp_path / "circle.png"
    os.mkfifo(pipe)
    circle.symlink_to(circle)
    with pytest.raises(ImageError) as error:
        OpenCLIPEncoder().encode_image([pipe, circle, "/dev/zero", tmp_path, "a\0b"])
    reasons = [error.value.bad[row].rpartition(": ")[2] for row in range(5)]
    assert reasons[:2] == ["not a regular file", "Too many levels of symbolic links"]
    assert reasons[2:4] == ["not a regular file", "a directory, not a file"]
    assert reasons[4] == "no such file, as no path holds the character \\0"
    assert "not a regular file" in why_not(pipe)  # also where nobody looked before
    assert "not a regular file" in why_not("/dev/zero")


def test_a_bomb_of_text_in_a_png_is_named():
    text = zlib.compress(b"\0" * 2**24)
    data = png([[7]], 8, 0, (b"zTXt", b"a\0\0" + text), (b"iCCP", b"a\0\0" + text))
    assert "too large" in why_not(data).lower()


def test_large_pictures_are_decoded_one_at_a_time(monkeypatch, tmp_path):
    from skactivekd.encoders import _read_image

    monkeypatch.setattr(_read_image, "_LARGE", 100)
    inside, most = [], []
    to_rgb = _read_image._to_rgb

    def watched(image):
        inside.append(image)
        most.append(len(inside))
        rgb = to_rgb(image)
        inside.remove(image)
        return rgb

    monkeypatch.setattr(_read_image, "_to_rgb", watched)
    path = tmp_path / "large.png"
    Image.new("L", (300, 300)).save(path)
    OpenCLIPEncoder(n_workers=4).encode_image([path] * 12)
    assert max(most) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_does_not_wait_for_a_thread_of_its_parent(monkeypatch):
    from skactivekd.encoders import _read_image

    monkeypatch.setattr(_read_image, "_LARGE", 100)
    data = stored(Image.new("L", (30, 30)))
    with _read_image._LARGE_LOCK.of(None):
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            os._exit(0 if open_image(data).size == (30, 30) else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_bytes_are_pictures_in_every_container(digits, teacher, tmp_path):
    X, _ = digits
    data = [stored(gray(image)) for image in X[:5]]
    expected = teacher.predict_proba([gray(image) for image in X[:5]])
    for form in (list, tuple, lambda rows: np.array(rows, dtype=object)):
        np.testing.assert_allclose(teacher.predict_proba(form(data)), expected, atol=1e-6)


def test_arrays_with_channels_first_are_taken(digits, teacher):
    X = np.repeat(np.asarray(digits[0][:9])[:, None], 3, axis=1)
    last = teacher.predict_proba(np.moveaxis(X, 1, -1))
    np.testing.assert_array_equal(teacher.predict_proba(X), last)
    np.testing.assert_array_equal(teacher.predict_proba(list(X)), last)
    np.testing.assert_array_equal(teacher.predict_proba(X[:, :1]), last)


def as_bytes(digits):
    X, y = digits[0][:100], digits[1][:100]
    return np.rint(np.asarray(X) * 255).astype(np.uint8), y


def test_what_an_array_hides_or_cannot_hold_is_no_picture(digits):
    pixels, y = as_bytes(digits)
    hidden = np.ma.masked_equal(pixels, 0)
    encoder = OpenCLIPEncoder()
    with pytest.raises(ValueError, match="X hides values by a mask"):
        encoder.encode_image(hidden)
    with pytest.raises(ImageError, match=r"row 1: .*hides values by a mask"):
        encoder.encode_image([Image.new("L", (8, 8)), hidden[0]])
    for rows in (pixels.astype(np.int8), torch.from_numpy(pixels).to(torch.int8)):
        with pytest.raises(ValueError, match="dtype int8"):
            encoder.encode_image(rows)
        with pytest.raises(ValueError, match="dtype int8"):
            DHOClassifier(DHONet(max_epochs=1)).fit(rows, y)


def test_zeros_and_ones_are_black_as_integers_and_a_warning_says_so(digits):
    flags = as_bytes(digits)[0] > 128
    encoder = OpenCLIPEncoder(cache=None)
    with pytest.warns(UserWarning, match=r"X holds 0 and 1 alone as uint8.*astype\(bool\)"):
        encoder.encode_image(flags.astype(np.uint8))
    encoder.encode_image(flags)
    encoder.encode_image(np.zeros((2, 8, 8), np.uint8))


def test_tensors_of_types_that_numpy_lacks_are_pictures(digits):
    pixels, y = as_bytes(digits)
    pixels = torch.from_numpy(pixels / 255).bfloat16()
    plain = pixels.double().numpy()
    teacher = ZeroShotTeacher().fit()
    np.testing.assert_allclose(
        teacher.predict_proba(pixels), teacher.predict_proba(plain), atol=1e-6
    )
    students = [
        DHOClassifier(DHONet(max_epochs=1), random_state=0, device="cpu").fit(rows, y)
        for rows in (pixels, plain)
    ]
    np.testing.assert_allclose(*(model.predict_proba(plain) for model in students), atol=1e-6)
