"""Fitted students as files: folders of weights and JSON, ONNX and torch.export programs."""

from ._export import export
from ._models import load, save

__all__ = ["export", "load", "save"]
