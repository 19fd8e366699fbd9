"""One picture, from whatever it is in to RGB: upright, on white, and nothing run to get there."""

import functools
import importlib
import io
import math
import struct
from contextlib import nullcontext, suppress

import numpy as np

from ..utils._regular_files import open_regular
from ..utils._remote_files import is_url, read_url
from ..utils._thread_locks import Locks
from ._arrays_as_images import range_problem, to_rgb_bytes
from ._inputs import (
    LazyRows,
    array_problem,
    file_problem,
    is_path,
    is_picture,
    kind_problem,
    name_file,
)

# What phones, scanners and the web make. PIL opens some forty more; of these PostScript is a
# program, which it hands to an interpreter, and others go to whatever is installed.
_PLUGINS = {
    "JPEG": "JpegImagePlugin",
    "PNG": "PngImagePlugin",
    "WEBP": "WebPImagePlugin",
    "TIFF": "TiffImagePlugin",
    "BMP": "BmpImagePlugin",
    "GIF": "GifImagePlugin",
    "PPM": "PpmImagePlugin",
    "AVIF": "AvifImagePlugin",
    "HEIF": None,  # of pillow-heif, once the user has registered it
}
FORMATS = (*_PLUGINS, "MPO")  # as an image of PIL says; MPO is a JPEG with more behind it
_PREFIX = 16  # bytes that tell a format, as PIL reads them
_SNIFFED = 512
_MAGIC = (  # place, first bytes in lower case, name
    (0, b"%pdf", "PDF"),
    (0, b"<svg", "SVG, a drawing"),
    (0, b"<?xml", "XML"),
    (0, b"<!doctype html", "HTML, a page of the web"),
    (0, b"<html", "HTML, a page of the web"),
    (0, b"pk\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"jxl ", "JPEG XL"),
    (4, b"ftyphei", "HEIC: install pillow-heif and call pillow_heif.register_heif_opener()"),
    (4, b"ftypmif1", "HEIF: install pillow-heif and call pillow_heif.register_heif_opener()"),
    (4, b"ftypavi", "AVIF, which this release of PIL lacks"),
    (4, b"ftyp", "a video"),
    (0, b"riff", "a sound or a video"),
    (0, b"\x1a\x45\xdf\xa3", "a video"),
)

_MAX_RATIO = 200  # resizing the shorter side to 224 pixels makes 10 million of them
_LARGE = 2**25  # pixels: more are decoded one picture at a time, at some 16 bytes each
_ORIENTATION = 0x0112  # the tag of EXIF
_PHOTOMETRIC = 262  # the tag of TIFF; 0 says that 0 is white
_BITS = 258  # the tag of TIFF: bits of a value


class UnreadableError(ValueError):
    """A picture that is not read; the message says all."""


_LOCKS, _LARGE_LOCK = Locks(), Locks(1)  # what is opened reads its file when it is first used


def open_image(item):
    """Read a file, URL, bytes, PIL image or array as a person sees it, into a bare RGB image.

    PIL lets almost any exception escape from a broken file: see `reason`.
    """
    from PIL import Image

    if isinstance(item, np.ndarray):
        if problem := array_problem(item):
            raise UnreadableError(problem)
        rgb = to_rgb_bytes(item)
        _check_ratio(rgb.shape[1::-1])
        return Image.fromarray(rgb)
    if is_picture(item):
        check_given(item)
        _check_size(item.size)
        with _LOCKS.of(item):
            return _to_rgb(item)
    if problem := kind_problem(item):
        raise UnreadableError(problem)
    with _open_stream(item) as stream:
        image = identify(stream)
        _check_size(image.size)
        with _LARGE_LOCK.of(None) if math.prod(image.size) > _LARGE else nullcontext():
            _decode(image)
            return _to_rgb(image)


def upright_size(item):
    """Return width and height of a picture as `open_image` gives it."""
    if isinstance(item, np.ndarray) or is_picture(item):
        return open_image(item).size
    with _open_stream(item) as stream:
        image = identify(stream)
        _check_size(image.size)  # PIL decodes a PNG to see whether EXIF comes behind the pixels
        return image.size[:: -1 if _orientation(image) > 4 else 1]


def _open_stream(item):
    if isinstance(item, bytes):
        return io.BytesIO(item)
    if not is_path(item):  # an int would be a file of this process, closed thereafter
        raise UnreadableError(kind_problem(item))
    if is_url(item):
        return io.BytesIO(read_url(item))
    return open_regular(item)


def _decode(image):
    """Read the pixels of a file; the message of an error says of what kind it is."""
    try:
        image.load()
    except OSError as error:
        if error.errno is not None:  # of the disk
            raise
        raise UnreadableError(f"a broken {image.format} file: {error}") from error


@functools.cache
def _plugins():
    """Import what reads the formats, and nothing else of PIL's."""
    for plugin in filter(None, _PLUGINS.values()):
        try:
            importlib.import_module(f"PIL.{plugin}")
        except ImportError:  # an older release, which has no AVIF
            continue


def identify(stream):
    """Open a picture for reading, by what the file holds and not by its name."""
    from PIL import Image

    _plugins()
    prefix = stream.read(_PREFIX)
    for name in _PLUGINS:
        factory, accept = Image.OPEN.get(name, (None, None))
        answer = factory is not None and (accept is None or accept(prefix))
        if isinstance(answer, str):  # the library behind the plugin is missing
            raise UnreadableError(answer)
        if not answer:
            continue
        stream.seek(0)
        try:
            return factory(stream, "")
        except (SyntaxError, IndexError, TypeError, struct.error, OSError) as error:
            if getattr(error, "errno", None) is not None:  # of the disk
                raise
            raise UnreadableError(f"a broken {name} file: {error or 'it ends early'}") from error
    stream.seek(0)
    kind = name_format(stream.read(_SNIFFED))
    raise UnreadableError(f"{kind}, which is not opened here; convert it to PNG or JPEG")


def name_format(head):
    """Name a format that is not opened."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"%!"):  # with or without "PS", and after whatever an interpreter skips
        return "PostScript (EPS)"
    for place, magic, kind in _MAGIC:
        if (start if magic[:1] in b"<%" else head.lower())[place:].startswith(magic):
            return kind
    return _known_to_pil(head[:_PREFIX]) or ("text" if _is_text(head) else "an unknown format")


def _known_to_pil(prefix):
    """Ask PIL's plugins whose file this is, without letting one open it."""
    from PIL import Image

    Image.init()
    for name, (_, accept) in list(Image.OPEN.items()):
        try:
            answer = name not in _PLUGINS and accept is not None and accept(prefix)
            if answer and not isinstance(answer, str):
                return "PostScript (EPS)" if name == "EPS" else name
        except Exception:  # one of them cannot say of so few bytes
            continue
    return None


def _is_text(head):
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # else a character cut in two
            return False
        text = head[: error.start].decode()
    return bool(text) and all(c.isprintable() or c.isspace() for c in text)


def check_given(image):
    """Refuse an image of PIL that is not read yet, and would be by what we do not name."""
    kind = getattr(image, "format", None)
    if kind is None or kind in FORMATS:
        return
    with suppress(Exception):  # which one depends on the release of PIL
        if image.im is not None:  # it is loaded
            return
    raise UnreadableError(
        f"{kind}, a format that is not read here: open {', '.join(FORMATS)}; if you trust the "
        "file, call the image's load() first"
    )


def _check_size(size):
    """Refuse what would need too much memory, by the header alone."""
    from PIL import Image

    # PIL itself refuses at twice its limit, and warns at once of it, which threads cannot hold.
    limit = Image.MAX_IMAGE_PIXELS and 2 * Image.MAX_IMAGE_PIXELS
    if limit and math.prod(size) > limit:
        raise UnreadableError(
            f"{size[0]} x {size[1]} pixels, more than {limit:,}: shrink it or cut it into pieces, "
            "or raise PIL.Image.MAX_IMAGE_PIXELS if you trust the file"
        )
    _check_ratio(size)


def _check_ratio(size):
    if not min(size):
        raise UnreadableError(f"{size[0]} x {size[1]} pixels")
    if max(size) > _MAX_RATIO * min(size):
        raise UnreadableError(
            f"{size[0]} x {size[1]} pixels: one side is more than {_MAX_RATIO} times "
            "the other; cut it into pieces"
        )


def _to_rgb(image):
    """Turn an image of any mode into RGB, as it looks."""
    from PIL import Image

    image.load()
    turned = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(_orientation(image))
    rgb = _on_white(image)
    rgb = rgb if turned is None else rgb.transpose(turned)
    rgb.info = {}
    return rgb


def _orientation(image):
    """Return the orientation that an image notes, 1 (upright) where it notes none."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # broken EXIF in a picture that may be sound
        return 1
    return orientation if isinstance(orientation, int) else 1


def _on_white(image):
    from PIL import Image

    if image.mode == "F" or image.mode.startswith("I"):
        return _from_deep(image)
    if image.mode in ("1", "L", "RGB"):
        return _without_key(image)
    if image.mode in ("La", "RGBa"):  # colors multiplied by their opacity
        image = image.convert(image.mode.upper())
    if image.has_transparency_data:
        # A copy, since PIL would write into the palette of an image that is the caller's.
        rgba = image.copy().convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(rgba.convert("RGB"), mask=rgba.getchannel("A"))
        return white
    try:
        return image.convert("RGB")
    except (ValueError, KeyError) as error:
        raise UnreadableError(f"mode {image.mode!r} cannot be turned into RGB: {error}") from error


def _without_key(image):
    """Make the one color that stands for transparent white."""
    from PIL import Image

    key = _transparent_color(image)
    if key is None:
        return image.convert("RGB")
    same = np.asarray(image.convert("L") if image.mode == "1" else image) == key
    rgb = np.array(image.convert("RGB"))
    rgb[same.all(axis=2) if same.ndim == 3 else same] = 255
    return Image.fromarray(rgb)


def _transparent_color(image):
    """Return the color that stands for transparent, as the pixels have it; None if none does."""
    key = image.info.get("transparency")
    if image.mode == "RGB":
        if not isinstance(key, tuple) or len(key) != 3 or not all(isinstance(k, int) for k in key):
            return None
        return [value >> 8 for value in key] if max(key) > 255 else list(key)
    if not isinstance(key, int):
        return None
    if image.mode == "1":
        return 255 if key else 0
    histogram = image.histogram()
    used = {value for value, count in enumerate(histogram) if count}
    for bits in (2, 4):
        step = 255 // (2**bits - 1)
        if 0 < key < 2**bits and not any(value % step for value in used):
            return key * step
    return key


def _from_deep(image):
    """Turn grays of more than 8 bits into RGB, scaled by their range."""
    from PIL import Image

    values, key = np.asarray(image), image.info.get("transparency")
    transparent = values == key if isinstance(key, int) else np.zeros(values.shape, dtype=bool)
    white, inverted = _depth(image)
    if white is not None:
        values = values.astype(np.uint16)
        values = white - values if inverted else values
        values = values if white == 65535 else values / white
    if problem := range_problem(values):
        raise UnreadableError(f"mode {image.mode!r} with {problem}")
    rgb = to_rgb_bytes(values)
    rgb[transparent] = 255
    return Image.fromarray(rgb)


def _depth(image):
    """Return the white of an image of 16 bits, None if it is of others, and whether that is 0."""
    if image.mode.startswith("I;16"):
        tags = getattr(image, "tag_v2", {})  # of a TIFF
        bits = tags.get(_BITS, (16,))[0]
        return 2**bits - 1 if bits in range(9, 16) else 65535, tags.get(_PHOTOMETRIC) == 0
    if image.mode == "I" and image.format in ("PNG", "PPM"):  # 16 bits in a type of 32
        return 65535, False
    return None, False


def picture_marks(image):
    """Return what decides how an image of PIL looks, beside mode, size, palette and pixels."""
    check_given(image)
    with _LOCKS.of(image):
        image.load()
        deep = image.mode.startswith("I") and _depth(image)
        return _orientation(image), repr(image.info.get("transparency")), deep


def reason(item, error):
    """Say which image could not be read and why."""
    if problem := kind_problem(item):
        return problem
    if isinstance(item, np.ndarray) and isinstance(error, UnreadableError):
        return f"array of {error}"
    what = file_problem(item) if is_path(item) and not is_url(item) else None
    if is_url(item) and isinstance(error, FileNotFoundError):
        what = "nothing is found there, or its host does not answer"
    return f"{describe(item)}: {what or explain(error)}"


def row_reason(X, row, error):
    """Say why a row of X could not be read, without reading that of a data set once more."""
    return explain(error) if isinstance(X, LazyRows) else reason(X[row], error)


def explain(error):
    """Say what went wrong."""
    if isinstance(error, UnreadableError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror  # without the path, which stands before it
    return f"{type(error).__name__}: {error}"


def describe(item):
    """Name a row that is one picture."""
    if isinstance(item, np.ndarray):
        return f"array of shape {item.shape}"
    if isinstance(item, bytes):
        return f"{len(item)} bytes"
    return name_file(item) if is_path(item) else f"{item!r:.120}"
