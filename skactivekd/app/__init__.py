"""A page on which persons answer what a session asks, served from this machine alone."""

from ._items import ImageArrays, ImageFiles, Items, SoundFiles, TableRows, Texts

try:
    from ._routes import make_app
    from ._serve import serve
except ModuleNotFoundError as error:
    if error.name not in ("starlette", "uvicorn"):
        raise
    raise ImportError(
        f'The labeling page needs {error.name}: pip install "skactivekd[label]"'
    ) from error

__all__ = [
    "ImageArrays",
    "ImageFiles",
    "Items",
    "SoundFiles",
    "TableRows",
    "Texts",
    "make_app",
    "serve",
]
