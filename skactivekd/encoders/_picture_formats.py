"""The formats of pictures that are opened, each by its name; any other is refused by its own."""

import functools
import importlib
import struct

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


class UnreadableError(ValueError):
    """A picture that is not read; the message says all."""


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
        except (SyntaxError, IndexError, TypeError, struct.error) as error:
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
