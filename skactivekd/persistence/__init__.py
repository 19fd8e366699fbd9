"""Fitted students as files: folders of weights and JSON, ONNX and torch.export programs."""

from ._export import export
from ._save_and_load import load, save

__all__ = ["export", "load", "save"]
