"""From the names of classes and prompt templates to embeddings of the classes."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from .._labels import as_labels
from ._encode_once import encode_texts


def embed_classes(encoder, names, templates):
    """Embed each class as the mean over its name in every template.

    Parameters
    ----------
    encoder : object with `encode_text`
    names : list of str of length n_classes
    templates : str, callable, or sequence of these

    Returns
    -------
    embeddings : ndarray of float32 of shape (n_classes, d)
        Rows of norm 1.

    Raises
    ------
    ValueError
        If there is no template, or one has no ``{}``.

    Examples
    --------
    >>> from skactivekd import OpenCLIPEncoder
    >>> from skactivekd.teacher import embed_classes
    >>> len(embed_classes(OpenCLIPEncoder(), ["seven", "nine"], "the digit {}"))
    2
    """
    from open_clip import build_zero_shot_classifier

    weights = build_zero_shot_classifier(
        _TextTower(encoder), _Texts, names, _check_templates(templates), num_classes_per_batch=None
    )
    return np.ascontiguousarray(weights.numpy().T)


class _Texts(list):
    """Texts that open_clip takes for tokens: the encoder has its own tokenizer."""

    def to(self, device):
        return self


class _TextTower:
    """An encoder in the guise of an open_clip model."""

    def __init__(self, encoder):
        self.encoder = encoder

    def encode_text(self, texts, normalize):
        import torch

        return torch.from_numpy(encode_texts(self.encoder, list(texts)))


def check_classes(classes):
    """Split classes into labels and names.

    Parameters
    ----------
    classes : sequence of labels, or mapping of label to name

    Returns
    -------
    labels : ndarray of shape (n_classes,)
    names : list of str of length n_classes

    Raises
    ------
    TypeError
        If `classes` is one str, or a name is not a str.
    ValueError
        If there is none, or labels repeat.

    Examples
    --------
    >>> from skactivekd.teacher._prompts import check_classes
    >>> check_classes({3: "cat", 1: "dog"})
    (array([3, 1]), ['cat', 'dog'])
    """
    if isinstance(classes, str) or not hasattr(classes, "__iter__"):
        raise TypeError(f"classes={classes!r} must be a sequence of labels or a mapping")
    if isinstance(classes, Mapping):
        labels, names = list(classes), list(classes.values())
    else:
        labels = list(classes)
        names = [str(label) for label in labels]
    if not labels:
        raise ValueError("classes is empty")
    repeated = [label for label, count in Counter(labels).items() if count > 1]
    if repeated:
        raise ValueError(f"classes has {repeated[0]!r} more than once")
    for label, name in zip(labels, names, strict=True):
        if not isinstance(name, str) or not name:
            raise TypeError(f"the name of class {label!r} is {name!r}, not a text")
    return as_labels(labels), names


def _check_templates(templates):
    """Turn templates into functions from name to text."""
    if isinstance(templates, str) or callable(templates):
        templates = [templates]
    if not isinstance(templates, Sequence | np.ndarray) or len(templates) == 0:
        raise ValueError(f"templates={templates!r} must be a text, a function or a list of these")
    return [_check_template(template) for template in templates]


def _check_template(template):
    if callable(template):
        return template
    if not isinstance(template, str):
        raise TypeError(f"template {template!r} is neither a str nor callable")
    try:
        valid = "{}" in template and isinstance(template.format("name"), str)
    except (IndexError, KeyError, ValueError):
        valid = False
    if not valid:
        raise ValueError(
            f"template {template!r} must have {{}} once, where the name of the class goes, "
            "as 'a photo of a {}.'"
        )
    return template.format
