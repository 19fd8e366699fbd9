"""From the names of classes and prompts to embeddings of the classes."""

from collections.abc import Mapping, Sequence, Set
from difflib import get_close_matches
from itertools import chain

import numpy as np

from ..encoders._base import encode_texts
from ..utils._check_params import naming
from ..utils._classes import check_classes
from ..utils._label_values import as_labels

_SETS = {
    **dict.fromkeys(("generic", "caltech101", "stanford_cars", "sun397"), ("a photo of a {}.",)),
    "dtd": ("{} texture.",),
    "eurosat": ("a centered satellite photo of {}.",),
    "fgvc_aircraft": ("a photo of a {}, a type of aircraft.",),
    "flowers102": ("a photo of a {}, a type of flower.",),
    "food101": ("a photo of {}, a type of food.",),
    "oxford_pets": ("a photo of a {}, a type of pet.",),
    "ucf101": ("a photo of a person doing {}.",),
}

# open_clip has these: CLIP's seven best templates for ImageNet, and all eighty.
_FROM_OPEN_CLIP = {
    "imagenet": "SIMPLE_IMAGENET_TEMPLATES",
    "imagenet_80": "OPENAI_IMAGENET_TEMPLATES",
}


def embed_classes(encoder, names, templates, labels=None):
    r"""Embed each class as the mean over its prompts.

    .. math:: w_c = \frac{\bar g_c}{\lVert \bar g_c \rVert}, \qquad
       \bar g_c = \frac{1}{|P_c|} \sum_{p \in P_c} g(p)

    where :math:`P_c` are the prompts of class c and g gives embeddings of
    norm 1: normalize, mean, normalize.

    .. versionadded:: 0.1

    Parameters
    ----------
    encoder : object with `encode_text`
        Gives embeddings of norm 1.
    names : list of str of length n_classes
        What a person calls the classes.
    templates : str, callable, mapping, or sequence of these
        See `class_prompts`.
    labels : sequence of length n_classes, default=None
        The labels by which a mapping of descriptions names the classes; None
        takes the names.

    Returns
    -------
    embeddings : ndarray of float32 of shape (n_classes, d)
        Rows of norm 1.

    Raises
    ------
    ValueError
        If a class has no prompt, or templates or descriptions do not fit.
    TypeError
        If a prompt is not a str.

    See Also
    --------
    class_prompts : The texts that are embedded.

    References
    ----------
    .. [1] A. Radford et al. "Learning Transferable Visual Models From Natural
       Language Supervision". ICML 2021, section 3.1.4. arXiv:2103.00020.

    Examples
    --------
    >>> from skactivekd import OpenCLIPEncoder
    >>> from skactivekd.teacher import embed_classes
    >>> len(embed_classes(OpenCLIPEncoder(), ["seven", "nine"], "the digit {}"))
    2
    """
    prompts = class_prompts(names, templates, labels)
    counts = np.array([len(texts) for texts in prompts])
    rows = encode_texts(encoder, [text for texts in prompts for text in texts])
    means = np.add.reduceat(rows, np.cumsum(counts) - counts) / counts[:, None]
    norms = np.linalg.norm(means, axis=1, keepdims=True)
    if not (norms > 0).all():
        name = names[int(np.flatnonzero(~(norms > 0))[0])]
        raise ValueError(f"the prompts of {name!r} were skipped, or their mean is zero")
    return (means / norms).astype(np.float32)


def class_prompts(names, templates, labels=None):
    """Write the prompts of each class.

    .. versionadded:: 0.1

    Parameters
    ----------
    names : list of str of length n_classes
        What a person calls the classes.
    templates : str, callable, mapping, or sequence of these
        A ``str`` has ``{}`` where the name goes, or is the name of a set, one
        of `list_prompt_templates`. A callable takes the name and returns the
        prompt. A mapping gives descriptions: for a label the prompt, or a
        list of prompts, of that class alone, used as they are but for ``{}``,
        which is the name here too. In a sequence all of these add up.
    labels : sequence of length n_classes, default=None
        The keys of mappings; None takes the names.

    Returns
    -------
    prompts : list of list of str
        At least one for each class.

    Raises
    ------
    ValueError
        If there is no template, one is malformed, a description belongs to
        no class, or a class is left without a prompt.
    TypeError
        If a prompt is not a str.

    See Also
    --------
    embed_classes : Embeds them.
    prompt_templates : Published templates of a data set.

    Examples
    --------
    >>> from skactivekd.teacher import class_prompts
    >>> class_prompts(["cat", "owl"], ["a photo of a {}.", {"owl": ["a bird with large eyes"]}])
    [['a photo of a cat.'], ['a photo of a owl.', 'a bird with large eyes']]
    """
    if isinstance(names, str | bytes | Mapping | Set) or not hasattr(names, "__len__"):
        raise TypeError(f"names must be a list of the names of the classes, got {names!r}")
    with naming("names"):
        names = list(as_labels(names).tolist())
    for name in names:
        if not isinstance(name, str) or not name:
            raise TypeError(f"names holds {name!r}, which is no text")
    if not names:
        raise ValueError("names is empty")
    if isinstance(labels, str | bytes | Set):
        raise TypeError(f"labels must be a list of labels, in the order of names, got {labels!r}")
    with naming("labels"):
        labels = as_labels(names if labels is None else labels).tolist()
    if not isinstance(labels, list) or len(labels) != len(names):
        raise ValueError(f"labels must hold one for each of the {len(names)} names.")
    pairs = list(zip(labels, names, strict=True))
    parts = [_fill(template, pairs) for template in _as_list(templates)]
    prompts = [list(chain(*of_class)) for of_class in zip(*parts, strict=True)]
    for label, texts in zip(labels, prompts, strict=True):
        if not texts:
            raise ValueError(
                f"templates has no description of class {label!r}; add one, or a template for all "
                "classes: templates=['a photo of a {}.', descriptions]"
            )
    return prompts


def name_classes(classes, missing_label=-1):
    """Split classes into sorted labels and the names that stand in prompts."""
    labels, called, _ = check_classes(classes, missing_label)
    names = called if isinstance(classes, Mapping) else [str(label) for label in called]
    for label, name in zip(labels.tolist(), names, strict=True):
        if not isinstance(name, str) or not name:
            raise TypeError(f"the name of class {label!r} is {name!r}, not a text")
    return labels, names


def _as_list(templates):
    if hasattr(templates, "to_numpy") or isinstance(templates, np.ndarray):
        templates = np.asarray(templates, dtype=object)
        templates = templates.tolist() if templates.ndim == 1 else templates
    if isinstance(templates, np.ndarray | type):
        raise TypeError(f"templates={templates!r} must be a list of one dimension")
    if isinstance(templates, str | Mapping) or callable(templates):
        return [templates]
    if not isinstance(templates, Sequence) or isinstance(templates, bytes) or not len(templates):
        raise ValueError(
            f"templates={templates!r} must be a text, a function, a mapping of label to texts, or "
            "a list of these"
        )
    return list(templates)


def _fill(template, pairs):
    """Write the prompts that one template has for each class, a pair of label and name."""
    if isinstance(template, Mapping):
        return _fill_descriptions(template, pairs)
    if callable(template):
        return [[_check_prompt(template(name), label)] for label, name in pairs]
    if not isinstance(template, str):
        raise TypeError(f"template {template!r} is neither a str nor callable nor a mapping")
    texts = prompt_templates(template) if template in list_prompt_templates() else [template]
    try:
        valid = all("{}" in text and isinstance(text.format("name"), str) for text in texts)
    except (IndexError, KeyError, ValueError):
        valid = False
    if not valid:
        raise ValueError(
            f"template {template!r} must have {{}} once, where the name of the class goes, "
            f"as 'a photo of a {{}}.', or name a set of templates: {suggest_templates(template)}"
        )
    return [[text.format(name) for text in texts] for _, name in pairs]


def _fill_descriptions(descriptions, pairs):
    labels = [label for label, _ in pairs]
    unknown = [label for label in descriptions if label not in labels]
    if unknown:
        raise ValueError(
            f"templates describes {unknown[0]!r}, which is not among the labels of the classes: "
            f"{', '.join(map(repr, labels[:10]))}{', ...' if len(labels) > 10 else ''}"
        )
    texts_of = {}
    for label, texts in descriptions.items():
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, Sequence | np.ndarray):
            raise TypeError(f"templates describes class {label!r} by {texts!r}, not by texts")
        if not len(texts):
            raise ValueError(f"the list of descriptions of class {label!r} is empty")
        texts_of[label] = [_check_prompt(text, label) for text in texts]
    # Not format(): a description may hold braces of its own.
    return [[text.replace("{}", name) for text in texts_of.get(key, [])] for key, name in pairs]


def _check_prompt(text, label):
    if isinstance(text, str):
        return text
    raise TypeError(f"a prompt of class {label!r} is {text!r}, not a str")


def list_prompt_templates():
    """Names of the template sets.

    .. versionadded:: 0.1

    Returns
    -------
    names : list of str
        One for each of the benchmark data sets of CLIP adaptation,
        "imagenet_80" with all of CLIP's templates for ImageNet (they suit
        other photographs as well), and "generic".

    See Also
    --------
    prompt_templates : The templates of one name.

    Examples
    --------
    >>> from skactivekd.teacher import list_prompt_templates
    >>> "food101" in list_prompt_templates()
    True
    """
    return sorted([*_SETS, *_FROM_OPEN_CLIP])


def prompt_templates(name):
    """Prompt templates of a data set, by its name.

    .. versionadded:: 0.1

    Parameters
    ----------
    name : str
        One of `list_prompt_templates`.

    Returns
    -------
    templates : list of str
        Each has ``{}`` where the name of the class goes.

    Raises
    ------
    ValueError
        If there is no set of this name.

    See Also
    --------
    list_prompt_templates : The names there are.
    class_prompts : Fills in the classes.

    References
    ----------
    .. [1] A. Radford et al. "Learning Transferable Visual Models From Natural
       Language Supervision". ICML 2021. arXiv:2103.00020.
    .. [2] R. Zhang et al. "Tip-Adapter: Training-free Adaption of CLIP for
       Few-shot Classification". ECCV 2022. arXiv:2111.03930. Its templates,
       one a data set and seven for ImageNet, are those of the sets here.

    Examples
    --------
    >>> from skactivekd.teacher import prompt_templates
    >>> prompt_templates("food101")
    ['a photo of {}, a type of food.']
    >>> len(prompt_templates("imagenet"))
    7
    """
    if not isinstance(name, str):
        raise TypeError(f"name={name!r} is a {type(name).__name__}, not a str")
    if name in _SETS:
        return list(_SETS[name])
    if name in _FROM_OPEN_CLIP:
        import open_clip

        return [template("{}") for template in getattr(open_clip, _FROM_OPEN_CLIP[name])]
    raise ValueError(f"there is no set of templates {name!r}; {suggest_templates(name)}")


def suggest_templates(name):
    """Say which set of templates was meant, or which there are."""
    names = list_prompt_templates()
    near = get_close_matches(str(name).lower(), names, n=2)
    meant = f"did you mean {' or '.join(map(repr, near))}?"
    return meant if near else f"the sets are {', '.join(names)}"
