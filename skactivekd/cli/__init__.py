"""The command ``skactivekd``: from a folder of files to a saved model."""

from ._main import main

__all__ = ["main"]
