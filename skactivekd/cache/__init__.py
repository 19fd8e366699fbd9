"""Embeddings kept by the content of what was encoded."""

from ._cache import EmbeddingCache

__all__ = ["EmbeddingCache"]
