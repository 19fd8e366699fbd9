"""Names of classes as data sets write them, and as a caption would."""

import re
from collections import Counter

import numpy as np

from ..utils._check_params import check_flag
from ..utils._classes import check_classes


def tidy_name(name, *, year_first=False):
    """Write the name of a class as a person would, from what a data set calls it.

    - A number in front goes: "001.ak47" becomes "ak47".
    - Underscores become spaces: "apple_pie" becomes "apple pie".
    - A name that is one word of several capitals is split: "AnnualCrop"
      becomes "annual crop". So is "McDonald": read what you get.
    - A path of SUN397 is read from its end: "/a/apartment_building/outdoor"
      becomes "outdoor apartment building".

    Anything else stays: hyphens, acronyms, digits and capitals.

    .. versionadded:: 0.1

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

    .. versionadded:: 0.1

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

    See Also
    --------
    tidy_name : The same for one name.

    Examples
    --------
    >>> from skactivekd.teacher import tidy_classes
    >>> tidy_classes(["AnnualCrop", "SeaLake"])
    {'AnnualCrop': 'annual crop', 'SeaLake': 'sea lake'}
    """
    check_flag(year_first, "year_first")
    labels, called, given = check_classes(classes, None)
    labels = labels.tolist()
    names = {labels[place]: called[place] for place in np.argsort(given)}
    tidy = {name: tidy_name(name, year_first=year_first) for name in names.values()}
    repeated = [name for name, count in Counter(tidy.values()).items() if count > 1]
    if repeated:
        same = [name for name in tidy if tidy[name] == repeated[0]]
        raise ValueError(f"{same} all become {repeated[0]!r}; name them yourself in a mapping")
    return {label: tidy[name] for label, name in names.items()}
