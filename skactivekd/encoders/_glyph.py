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

GLYPH_SCALE = 100.0  # of its logits, never trained

_FILLERS = {"a", "the", "digit", "number", "numeral", "handwritten"}


def check_digits(names):
    """Refuse names of anything but digits, of which this model knows nothing.

    Raises
    ------
    ValueError
        If a name is neither a digit's word nor its numeral.

    Examples
    --------
    >>> from skactivekd.encoders._glyph import check_digits
    >>> check_digits(["zero", "1", "Digit two"])
    """
    known = {*GLYPH_CLASSES.values(), *map(str, GLYPH_CLASSES)}
    for name in names:
        words = [word for word in name.lower().split() if word not in _FILLERS]
        if len(words) != 1 or words[0] not in known:
            raise ValueError(
                f"without an encoder the teacher is a tiny model that knows the ten digits alone, "
                f"but classes has the name {name!r}. For images pass "
                f"encoder=OpenCLIPEncoder('ViT-B-32', 'laion2b_s34b_b79k'), for texts "
                f"encoder=SentenceEncoder('all-MiniLM-L6-v2'). If these are the digits, map each "
                f"label to its word: classes={{label: 'seven', ...}}"
            )
