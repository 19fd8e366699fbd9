"""The 11 data sets, read from disk: lists of image paths, labels and class names.

``root`` is what torchvision calls ``root``: the folder in which each data set has its own.
Nothing is downloaded. CoOp's ``split_zhou_*.json`` counts where it lies with the images, for
it is the split of the paper; see README.md for where to get it.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from .readers import read
from .splits import read_split_file

# What the split files call a class, for data read without one.
_NAMES = {
    "airplanes": "airplane",
    "Faces": "face",
    "Leopards": "leopard",
    "Motorbikes": "motorbike",
    "AnnualCrop": "Annual Crop Land",
    "HerbaceousVegetation": "Herbaceous Vegetation Land",
    "Highway": "Highway or Road",
    "Industrial": "Industrial Buildings",
    "Pasture": "Pasture Land",
    "PermanentCrop": "Permanent Crop Land",
    "Residential": "Residential Buildings",
    "SeaLake": "Sea or Lake",
}


class DataSet(NamedTuple):
    """Class names, in the order of the labels; paths and labels of three parts; their source."""

    name: str
    class_names: list
    train: tuple
    val: tuple  # empty for ImageNet
    test: tuple
    source: str


def load(config, root):
    """Read the data set of a configuration from the folder `root`."""
    name, root, seed = config["data"], Path(root), config["split_seed"]
    places = [root / folder for folder in config["images"]]
    images = next((place for place in places if place.is_dir()), None)
    if images is None:
        raise FileNotFoundError(
            f"{name}: no images at {' or '.join(map(str, places))}. See README.md."
        )
    split_file = _find_split_file(config["split_file"], images, root)
    if split_file:
        names, *lists = read_split_file(split_file, images)
    elif config["split_file"] and images != places[0]:
        raise FileNotFoundError(
            f"{name}: the images are at {images}, but {config['split_file']} is not; put it there, "
            f"or arrange the data set as torchvision does, with its images at {places[0]}"
        )
    else:
        names, *lists, split_file = read(name, str(root), images, seed)
        names = [_NAMES.get(label, label) for label in names]
    names = [label.replace("_", " ") for label in names]
    data = DataSet(name, names, *map(_arrays, lists), str(split_file))
    if len(set(names)) < len(names):
        raise ValueError(f"{name}: two classes have the same name in {names}")
    for part in ("train", "test"):
        if not np.array_equal(np.unique(getattr(data, part)[1]), np.arange(len(names))):
            raise ValueError(
                f"{name}: the labels of the {part} list are not those of the {len(names)} classes "
                f"({data.source})"
            )
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
    folders = [images, *images.parents]
    files = [folder / name for folder in folders[: folders.index(root) + 1]]
    return next((file for file in files if file.is_file()), None)


def _arrays(pairs):
    paths, labels = zip(*pairs, strict=True) if pairs else ((), ())
    return np.array([str(path) for path in paths], dtype=str), np.array(labels, dtype=np.int64)
