"""Frozen encoders: from images and texts to embeddings of norm 1."""

from ._embedder import Embedder
from ._errors import ImageError, RowError, TextError
from ._open_clip import OpenCLIPEncoder
from ._sentence import SentenceEncoder
from ._skipping import SkippedRowsWarning

__all__ = [
    "Embedder",
    "ImageError",
    "OpenCLIPEncoder",
    "RowError",
    "SentenceEncoder",
    "SkippedRowsWarning",
    "TextError",
]
