"""Prompt templates by name, and names of classes as a person would write them."""

import re
from collections import Counter
from difflib import get_close_matches

import numpy as np

from ..utils._labels import check_classes
from ..utils._params import check_flag

_PHOTO = ("a photo of a {}.",)

_SETS = {
    "generic": _PHOTO,
    "caltech101": _PHOTO,
    "dtd": ("{} texture.",),
    "eurosat": ("a centered satellite photo of {}.",),
    "fgvc_aircraft": ("a photo of a {}, a type of aircraft.",),
    "flowers102": ("a photo of a {}, a type of flower.",),
    "food101": ("a photo of {}, a type of food.",),
    "oxford_pets": ("a photo of a {}, a type of pet.",),
    "stanford_cars": _PHOTO,
    "sun397": _PHOTO,
    "ucf101": ("a photo of a person doing {}.",),
}

# open_clip has these: CLIP's seven best templates for ImageNet, and all eighty.
_FROM_OPEN_CLIP = {
    "imagenet": "SIMPLE_IMAGENET_TEMPLATES",
    "imagenet_80": "OPENAI_IMAGENET_TEMPLATES",
}


def list_prompt_templates():
    """Names of the template sets.

    Returns
    -------
    names : list of str
        One for each of the benchmark data sets of CLIP adaptation,
        "imagenet_80" with all of CLIP's templates for ImageNet (they suit
        other photographs as well), and "generic".

    Examples
    --------
    >>> from skactivekd.teacher import list_prompt_templates
    >>> "food101" in list_prompt_templates()
    True
    """
    return sorted([*_SETS, *_FROM_OPEN_CLIP])


def prompt_templates(name):
    """Prompt templates of a data set, by its name.

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
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    return f"the sets are {', '.join(names)}"


def tidy_name(name, *, year_first=False):
    """Write the name of a class as a person would, from what a data set calls it.

    - A number in front goes: "001.ak47" becomes "ak47".
    - Underscores become spaces: "apple_pie" becomes "apple pie".
    - A name that is one word of several capitals is split: "AnnualCrop"
      becomes "annual crop". So is "McDonald": read what you get.
    - A path of SUN397 is read from its end: "/a/apartment_building/outdoor"
      becomes "outdoor apartment building".

    Anything else stays: hyphens, acronyms, digits and capitals.

    Parameters
    ----------
    name : str
        What the data set calls the class.
    year_first : bool, default=False
        Put a year at the end in front, as is usual for Stanford Cars: "Acura
        RL Sedan 2012" becomes "2012 Acura RL Sedan".

    Returns
    -------
    name : str

    Raises
    ------
    TypeError
        If `name` is not a str.
    ValueError
        If nothing is left of it.

    See Also
    --------
    tidy_classes : The same for all classes at once.

    Examples
    --------
    >>> from skactivekd.teacher import tidy_name
    >>> [tidy_name(name) for name in ["001.ak47", "AnnualCrop", "Boeing_737-800"]]
    ['ak47', 'annual crop', 'Boeing 737-800']
    """
    if not isinstance(name, str):
        raise TypeError(f"name={name!r} is a {type(name).__name__}, not a str")
    check_flag(year_first, "year_first")
    tidy = re.sub(r"^\s*(\d+\.|0\d*[\s_-])\s*(?=[^\W\d_])", "", name)
    if re.match(r"/[a-z]/", tidy):
        tidy = " ".join(reversed(tidy[3:].split("/")))
    if re.fullmatch(r"([A-Z][a-z]+){2,}", tidy):
        tidy = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", tidy).lower()
    tidy = " ".join(tidy.replace("_", " ").split())
    if year_first:
        tidy = re.sub(r"^(.+) ((?:19|20)\d\d)$", r"\2 \1", tidy)
    if not tidy:
        raise ValueError(f"nothing is left of the name {name!r}")
    return tidy


def tidy_classes(classes, *, year_first=False):
    """Give each class its tidy name, for ``ZeroShotTeacher(classes=...)``.

    Parameters
    ----------
    classes : sequence of labels, or mapping of label to name
        As the teacher takes them; without a mapping the labels are the names.
    year_first : bool, default=False
        As in `tidy_name`.

    Returns
    -------
    classes : dict of label to str
        In the order given. The labels stay as they are in y.

    Raises
    ------
    TypeError
        If a name is not a str.
    ValueError
        If two names that differ become the same.

    Examples
    --------
    >>> from skactivekd.teacher import tidy_classes
    >>> tidy_classes(["AnnualCrop", "SeaLake"])
    {'AnnualCrop': 'annual crop', 'SeaLake': 'sea lake'}
    """
    check_flag(year_first, "year_first")
    labels, called, given = check_classes(classes, None)
    order = np.argsort(given)
    labels = labels.tolist()
    names = {labels[place]: called[place] for place in order}
    tidy = {name: tidy_name(name, year_first=year_first) for name in names.values()}
    repeated = [name for name, count in Counter(tidy.values()).items() if count > 1]
    if repeated:
        same = [name for name in tidy if tidy[name] == repeated[0]]
        raise ValueError(f"{same} all become {repeated[0]!r}; name them yourself in a mapping")
    return {label: tidy[name] for label, name in names.items()}
