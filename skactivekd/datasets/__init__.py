"""Data sets, ready for the teachers of this package."""

from ._digits import load_glyph_digits

__all__ = ["load_glyph_digits"]
