"""Frozen encoders: from images and texts to embeddings of norm 1."""

from ._base import Encoder
from ._frame_encoder import FrameEncoder
from ._log_mel import LogMel
from ._open_clip import OpenCLIPEncoder
from ._precomputed import PrecomputedEncoder
from ._read_embeddings import read_embeddings
from ._sentence import SentenceEncoder
from ._to_parquet import embed_to_parquet
from ._transformers import TransformersEncoder
from ._unreadable_rows import ImageError, RowError, SkippedRowsWarning, TextError

__all__ = [
    "Encoder",
    "FrameEncoder",
    "ImageError",
    "LogMel",
    "OpenCLIPEncoder",
    "PrecomputedEncoder",
    "RowError",
    "SentenceEncoder",
    "SkippedRowsWarning",
    "TextError",
    "TransformersEncoder",
    "embed_to_parquet",
    "read_embeddings",
]
