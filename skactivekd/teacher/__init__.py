"""Teachers: from images to class probabilities."""

from ._cache import EmbeddingCache
from ._encoders import OpenCLIPEncoder
from ._image_error import ImageError
from ._prompts import embed_classes
from ._zero_shot import ZeroShotTeacher

__all__ = ["EmbeddingCache", "ImageError", "OpenCLIPEncoder", "ZeroShotTeacher", "embed_classes"]
