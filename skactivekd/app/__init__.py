"""A page on which persons answer what a session asks, served from this machine alone."""

from ._items import ImageArrays, ImageFiles, Items, SoundFiles, TableRows, Texts
from ._routes import make_app
from ._serve import serve

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
