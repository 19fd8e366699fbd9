"""The embedded default teacher: a tiny CLIP of open_clip's architecture for 8x8 digits.

`benchmarks/train_glyph.py` made it, from synthetic digits alone: it never saw handwriting.
"""

from pathlib import Path

GLYPH_DIR = str(Path(__file__).parent / "glyph")

GLYPH_CLASSES = dict(enumerate("zero one two three four five six seven eight nine".split()))

GLYPH_TEMPLATES = [
    "{}",
    "the digit {}.",
    "a photo of the digit {}.",
    'a photo of the number: "{}".',
    "an image of a handwritten {}.",
    "a scan of the handwritten digit {}.",
]
