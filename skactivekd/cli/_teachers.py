"""The teacher of a project, from the name that a person gives it."""

import os
import warnings

import numpy as np

from ..cache import EmbeddingCache
from ..encoders import OpenCLIPEncoder, SentenceEncoder, SkippedRowsWarning
from ..encoders._open_clip_models import CONFIG, GLYPH_CLASSES
from ..teacher import ZeroShotTeacher, tidy_classes
from ._errors import Trouble, one_line

NONE, GLYPH = "none", "glyph"
_MARKS = ("modules.json", "config_sentence_transformers.json", "config.json")


def make_encoder(name, kind, cache=None):
    """Return the encoder that a name means.

    Parameters
    ----------
    name : str
        "ViT-B-32:laion2b_s34b_b79k", a directory, "hf-hub:org/name", a name of
        sentence-transformers, "glyph" or "none".
    kind : {"images", "texts", "table"}
    cache : str or path, default=None
        File of embeddings.

    Returns
    -------
    encoder : OpenCLIPEncoder, SentenceEncoder or None
        None for no teacher.

    Raises
    ------
    Trouble
        If it cannot be what it is meant for.
    """
    if name == NONE:
        return None
    if kind == "table":
        raise Trouble(
            f"--teacher {name!r} reads images or texts, but these are rows of numbers; leave it "
            "at none."
        )
    settings = {
        "cache": None if cache is None else EmbeddingCache(cache),
        "on_error": "skip",
        "verbose": 1,
    }
    place = os.path.expanduser(name.removeprefix("local-dir:"))
    folder = os.path.isdir(place)
    if not folder and os.path.isabs(place):
        raise Trouble(f"--teacher {name!r}: there is no such folder.")
    if kind == "images":
        if name == GLYPH:
            return OpenCLIPEncoder(**settings)
        if folder:
            if not os.path.isfile(os.path.join(place, CONFIG)):
                raise Trouble(
                    f"--teacher {name!r} holds no {CONFIG}; for images name a folder of an "
                    "open_clip model."
                )
            return OpenCLIPEncoder(os.path.abspath(place), **settings)
        return _open_clip(name, settings)
    if name == GLYPH:
        raise Trouble("--teacher glyph knows pictures of digits alone, but these are texts.")
    if ":" in place and not folder:
        raise Trouble(
            f"--teacher {name!r} names a model of images, but these are texts; name one of "
            "sentence-transformers, such as all-MiniLM-L6-v2, a folder of one, or none."
        )
    if folder and not any(os.path.isfile(os.path.join(place, mark)) for mark in _MARKS):
        raise Trouble(
            f"--teacher {name!r} holds no {_MARKS[0]}; for texts name a folder of a "
            "sentence-transformers model."
        )
    _check_sentence_transformers()
    return SentenceEncoder(os.path.abspath(place) if folder else name, **settings)


def _open_clip(name, settings):
    if name.startswith("hf-hub:"):
        return OpenCLIPEncoder(name, **settings)
    import open_clip

    model, _, tag = name.partition(":")
    if model.replace("/", "-") not in open_clip.list_models():
        raise Trouble(
            f"--teacher {name!r} is neither a folder nor a model of open_clip; say it as "
            "ViT-B-32:laion2b_s34b_b79k, or none."
        )
    if os.sep in tag and not os.path.exists(os.path.expanduser(tag)):
        raise Trouble(f"--teacher {name!r}: there is no such file of weights.")
    tags = open_clip.list_pretrained_tags_by_model(model.replace("/", "-"))
    if tag not in tags and not os.path.exists(os.path.expanduser(tag)):
        known = ", ".join(f"{model}:{each}" for each in tags[:4]) or "a file of weights after ':'"
        raise Trouble(f"--teacher {name!r} does not say which weights; there are {known}.")
    return OpenCLIPEncoder(model, tag, **settings)


def _check_sentence_transformers():
    try:
        import sentence_transformers  # noqa: F401
    except ImportError:
        raise Trouble(
            "A teacher of texts needs sentence-transformers: pip install skactivekd[text]. Or go "
            "on without one: --teacher none."
        ) from None


def make_teacher(encoder, settings, classes):
    """Return a zero-shot teacher of some classes.

    Parameters
    ----------
    encoder : encoder
    settings : Settings
        ``names`` and ``teacher``.
    classes : list of str

    Raises
    ------
    Trouble
        If the embedded teacher does not know a class.
    """
    if settings.teacher == GLYPH:
        words = {str(digit): word for digit, word in GLYPH_CLASSES.items()}
        strange = [name for name in classes if name not in {*words, *words.values()}]
        if strange:
            raise Trouble(
                f"--teacher glyph knows the ten digits alone, not {strange[0]!r}; name another "
                "teacher, or none."
            )
        called = {name: words.get(name, name) for name in classes}
        return ZeroShotTeacher(encoder, called)
    tidy = tidy_classes(classes)
    called = {name: settings.names.get(name) or tidy[name] or name for name in classes}
    return ZeroShotTeacher(encoder, called)


def ask_teacher(teacher, X, classes):
    """Return what a teacher says of all rows.

    Parameters
    ----------
    teacher : ZeroShotTeacher
    X : list of str
    classes : list of str

    Returns
    -------
    proba : ndarray of float32 of shape (n, n_classes)
        Columns in the order of `classes`.
    bad : dict of int to str
        Rows that it cannot read.

    Raises
    ------
    Trouble
        If its model is not to be had.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            proba = teacher.fit().predict_proba(X)
        except (RuntimeError, ImportError, OSError) as error:
            raise Trouble(f"The teacher cannot be loaded: {one_line(error)}") from error
    bad = {}
    for warning in caught:
        if isinstance(warning.message, SkippedRowsWarning):
            bad |= warning.message.bad
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    known = teacher.classes_.tolist()
    return np.asarray(proba[:, [known.index(name) for name in classes]], dtype=np.float32), bad
