"""Tiny generated copies of the 11 data sets, laid out on disk as the originals are.

The folders, annotation files and image format of each are those that its reader expects; the
images are noise in a colour of their class. They show that every path runs, and nothing else.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from .data import IMAGES, SPLIT_FILES, load

PER_CLASS = 12
CLASSES = {
    "caltech101": ["Faces", "airplanes", "camera"],
    "dtd": ["banded", "blotchy", "polka-dotted"],
    "eurosat": ["AnnualCrop", "Forest", "SeaLake"],
    "fgvc_aircraft": ["707-320", "A300B4", "Cessna 172"],
    "flowers102": [1, 50, 102],
    "food101": ["apple_pie", "baklava", "hot_and_sour_soup"],
    "imagenet": ["n01440764", "n02123045", "n03126707"],
    "oxford_pets": ["Abyssinian", "Maine_Coon", "american_bulldog"],
    "stanford_cars": ["AM General Hummer SUV 2000", "Acura TL Sedan 2012", "Audi S4 Sedan 2007"],
    "sun397": ["/a/abbey", "/a/apartment_building/outdoor", "/b/beach"],
    "ucf101": ["Apply_Eye_Makeup", "Archery", "Handstand_Pushups"],
}


def write_copies(root, names=tuple(CLASSES)):
    """Write the copies.

    Parameters
    ----------
    root : path
        Gets the folder of each data set.
    names : sequence of str, default=all
    """
    for name in names:
        _WRITERS[name](Path(root), CLASSES[name])


def write_split_file(root, name, seed=1):
    """Write a split file in CoOp's format beside a copy; it differs from the split without."""
    data = load(name, root, seed)
    images = Path(root) / IMAGES[name][0]
    rows = {
        part: [
            [Path(path).relative_to(images).as_posix(), int(label), data.class_names[label]]
            for path, label in zip(*lists, strict=True)
        ]
        for part, lists in {"train": data.test, "val": data.val, "test": data.train}.items()
    }
    (images.parent / SPLIT_FILES[name]).write_text(json.dumps(rows))


def _image(path, code):
    """Write noise in the colour of a class."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.RandomState(list(path.name.encode()))
    colour = np.array([[40, 200, 120], [200, 60, 90], [90, 90, 220]])[code % 3]
    pixels = np.clip(colour + rng.normal(scale=40, size=(36, 48, 3)), 0, 255)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def _text(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def _folders(images, classes, file):
    """Write a folder of images for each class; `file` makes a name of class and number."""
    for code, label in enumerate(classes):
        for number in range(1, PER_CLASS + 1):
            _image(images / label / file(label, number), code)


def _part(number):
    """Put a third of the images of a class into each of train, val and test."""
    return ("train", "val", "test")[number % 3]


def _numbered(classes):
    """Yield (image number, code, number in the class), the images numbered through from 1."""
    for code in range(len(classes)):
        for number in range(1, PER_CLASS + 1):
            yield code * PER_CLASS + number, code, number


def _caltech101(root, classes):
    folders = ["BACKGROUND_Google", "Faces_easy", *classes]
    images = root / IMAGES["caltech101"][0]
    _folders(images, folders, lambda label, number: f"image_{number:04d}.jpg")


def _dtd(root, classes):
    images = root / IMAGES["dtd"][0]
    _folders(images, classes, lambda label, number: f"{label}_{number:04d}.jpg")
    for part in ("train", "val", "test"):
        files = [
            f"{label}/{label}_{number:04d}.jpg"
            for label in classes
            for number in range(1, PER_CLASS + 1)
            if _part(number) == part
        ]
        _text(images.parent / "labels" / f"{part}1.txt", files)


def _eurosat(root, classes):
    _folders(root / IMAGES["eurosat"][0], classes, lambda label, number: f"{label}_{number}.jpg")


def _fgvc_aircraft(root, classes):
    folder = (root / IMAGES["fgvc_aircraft"][0]).parent
    _text(folder / "variants.txt", classes)
    rows = {"train": [], "val": [], "test": []}
    for image, code, number in _numbered(classes):
        _image(folder / "images" / f"{image:07d}.jpg", code)
        rows[_part(number)].append(f"{image:07d} {classes[code]}")
    for part, lines in rows.items():
        _text(folder / f"images_variant_{part}.txt", lines)


def _flowers102(root, classes):
    folder = (root / IMAGES["flowers102"][0]).parent
    ids, labels = {"train": [], "val": [], "test": []}, []
    for image, code, number in _numbered(classes):
        _image(folder / "jpg" / f"image_{image:05d}.jpg", code)
        ids[_part(number)].append(image)
        labels.append(classes[code])
    savemat(folder / "imagelabels.mat", {"labels": np.array([labels])})
    keys = {"trnid": "train", "valid": "val", "tstid": "test"}
    savemat(folder / "setid.mat", {key: np.array([ids[part]]) for key, part in keys.items()})


def _food101(root, classes):
    images = root / IMAGES["food101"][0]
    _folders(images, classes, lambda label, number: f"{1000 + number}.jpg")
    for part, kept in {"train": ("train", "val"), "test": ("test",)}.items():
        files = {
            label: [f"{label}/{1000 + n}" for n in range(1, PER_CLASS + 1) if _part(n) in kept]
            for label in classes
        }
        _text(images.parent / "meta" / f"{part}.json", [json.dumps(files)])


def _oxford_pets(root, classes):
    images = root / IMAGES["oxford_pets"][0]
    rows = {"trainval": [], "test": []}
    for _, code, number in _numbered(classes):
        stem = f"{classes[code]}_{number}"
        _image(images / f"{stem}.jpg", code)
        part = "test" if _part(number) == "test" else "trainval"
        rows[part].append(f"{stem} {code + 1} {1 + (code == 2)} 1")  # id, class, cat or dog, breed
    for part, lines in rows.items():
        _text(images.parent / "annotations" / f"{part}.txt", lines)


def _stanford_cars(root, classes):
    folder = root / IMAGES["stanford_cars"][0]
    rows = {"train": [], "test": []}
    for _, code, number in _numbered(classes):
        part = "test" if _part(number) == "test" else "train"
        name = f"{len(rows[part]) + 1:05d}.jpg"
        _image(folder / f"cars_{part}" / name, code)
        rows[part].append((1, 1, 40, 30, code + 1, name))  # the box, the class, the file
    names = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname"]
    kinds = [(name, object) for name in names]
    (folder / "devkit").mkdir()
    files = {
        "train": folder / "devkit" / "cars_train_annos.mat",
        "test": folder / "cars_test_annos_withlabels.mat",
    }
    for part, file in files.items():
        savemat(file, {"annotations": np.array([rows[part]], dtype=kinds)})
    names = np.array([classes], dtype=object)
    savemat(folder / "devkit" / "cars_meta.mat", {"class_names": names})


def _sun397(root, classes):
    images = root / IMAGES["sun397"][0]
    _text(images / "ClassName.txt", classes)
    for _, code, number in _numbered(classes):
        _image(images / classes[code][1:] / f"sun_{'abcdefghijklmnop'[number]}{code}.jpg", code)


def _ucf101(root, classes):
    def file(label, number):
        return f"v_{label.replace('_', '')}_g{(number + 3) // 4:02d}_c{number % 4 + 1:02d}.jpg"

    _folders(root / IMAGES["ucf101"][0], classes, file)


def _imagenet(root, classes):
    images = root / IMAGES["imagenet"][0]
    _folders(images / "train", classes, lambda label, number: f"{label}_{number}.JPEG")
    for code, label in enumerate(classes):
        for number in range(4):
            _image(images / "val" / label / f"ILSVRC2012_val_{4 * code + number:08d}.JPEG", code)


_WRITERS = {
    "caltech101": _caltech101,
    "dtd": _dtd,
    "eurosat": _eurosat,
    "fgvc_aircraft": _fgvc_aircraft,
    "flowers102": _flowers102,
    "food101": _food101,
    "imagenet": _imagenet,
    "oxford_pets": _oxford_pets,
    "stanford_cars": _stanford_cars,
    "sun397": _sun397,
    "ucf101": _ucf101,
}
