"""The 11 data sets, read from disk: lists of image paths, labels and class names.

``root`` is what torchvision calls ``root``: the folder in which each data set has its own.
Nothing is downloaded. CoOp's ``split_zhou_*.json`` counts where it lies with the images, for
it is the split of the paper; see README.md for where to get it.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .readers import IMAGES, READERS, find_images
from .splits import read_split_file

SPLIT_FILES = {
    "caltech101": "split_zhou_Caltech101.json",
    "dtd": "split_zhou_DescribableTextures.json",
    "eurosat": "split_zhou_EuroSAT.json",
    "flowers102": "split_zhou_OxfordFlowers.json",
    "food101": "split_zhou_Food101.json",
    "oxford_pets": "split_zhou_OxfordPets.json",
    "stanford_cars": "split_zhou_StanfordCars.json",
    "sun397": "split_zhou_SUN397.json",
    "ucf101": "split_zhou_UCF101.json",
}
# The names of the split files, for data read without one.
_NAMES = {
    "caltech101": {
        "airplanes": "airplane",
        "Faces": "face",
        "Leopards": "leopard",
        "Motorbikes": "motorbike",
    },
    "eurosat": {
        "AnnualCrop": "Annual Crop Land",
        "HerbaceousVegetation": "Herbaceous Vegetation Land",
        "Highway": "Highway or Road",
        "Industrial": "Industrial Buildings",
        "Pasture": "Pasture Land",
        "PermanentCrop": "Permanent Crop Land",
        "Residential": "Residential Buildings",
        "SeaLake": "Sea or Lake",
    },
}


@dataclass
class DataSet:
    """Image paths and labels of three splits.

    Attributes
    ----------
    name : str
    class_names : list of str
        As the prompts have them; label c is the name at c.
    train, val, test : pair of (ndarray of str, ndarray of int64)
        Paths and labels; `val` is empty for ImageNet.
    source : str
        Where the split comes from.
    """

    name: str
    class_names: list
    train: tuple
    val: tuple
    test: tuple
    source: str


def load(name, root, seed=0):
    """Read one of the 11 data sets.

    Parameters
    ----------
    name : str
        A key of `IMAGES`.
    root : path
        The folder that holds the data set's own.
    seed : int, default=0
        Draws the parts that no official split names.

    Returns
    -------
    data : DataSet

    Raises
    ------
    ValueError
        If there is no such data set, or its files contradict each other.
    FileNotFoundError
        If its images are not in `root`.
    """
    if name not in IMAGES:
        raise ValueError(f"there is no data set {name!r}; there are {', '.join(IMAGES)}")
    images = find_images(name, Path(root))
    split_file = _find_split_file(name, images, Path(root))
    if split_file:
        names, *lists = read_split_file(split_file, images)
        source = str(split_file)
    else:
        _need_torchvision_layout(name, images, Path(root))
        names, *lists, source = READERS[name](str(root), seed)
    names = [_NAMES.get(name, {}).get(label, label) for label in names]
    data = DataSet(name, [n.replace("_", " ") for n in names], *map(_arrays, lists), source)
    _check(data)
    return data


def draw_pool(data, size, seed):
    """Draw the pool of one run: `size` random training images, or all where `size` is 0."""
    paths, labels = data.train
    if not size or size >= len(labels):
        return paths, labels
    rows = np.sort(np.random.RandomState(seed).permutation(len(labels))[:size])
    return paths[rows], labels[rows]


def _find_split_file(name, images, root):
    """Look for CoOp's file from the images upwards, as far as `root`."""
    if name not in SPLIT_FILES:
        return None
    folders = [images, *images.parents]
    folders = folders[: folders.index(root) + 1]
    return next((f / SPLIT_FILES[name] for f in folders if (f / SPLIT_FILES[name]).exists()), None)


def _need_torchvision_layout(name, images, root):
    if name != "imagenet" and images != root / IMAGES[name][0]:
        raise FileNotFoundError(
            f"{name}: the images are at {images}, but {SPLIT_FILES[name]} is not; put it there, or "
            f"arrange the data set as torchvision does, with its images at {root / IMAGES[name][0]}"
        )


def _arrays(pairs):
    paths, labels = zip(*pairs, strict=True) if pairs else ((), ())
    return np.array([str(path) for path in paths], dtype=str), np.array(labels, dtype=np.int64)


def _check(data):
    n_classes = len(data.class_names)
    if len(set(data.class_names)) < n_classes:
        raise ValueError(f"{data.name}: two classes have the same name in {data.class_names}")
    for part in ("train", "test"):
        seen = np.unique(getattr(data, part)[1])
        if len(seen) < n_classes or seen[0] < 0 or seen[-1] >= n_classes:
            raise ValueError(
                f"{data.name}: the {part} list has {len(seen)} of {n_classes} classes "
                f"({data.source})"
            )
