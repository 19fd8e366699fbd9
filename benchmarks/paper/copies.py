"""Tiny generated copies of the 11 data sets, laid out on disk as the originals are.

The folders, annotation files and image format of each are those that its reader expects; the
images are noise in a color of their class. They show that every path runs, and nothing else.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from .config import load_config

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
    """Write the copies, each into its own folder in `root`."""
    for name in names:
        images = Path(root) / load_config(name)["images"][0]
        globals()[f"_{name}"](images, CLASSES[name])


def _images(folder, classes, file):
    """Write images of noise; return (name, code) of those in train, val and test, a third each.

    `file` makes a name of the class, the number of the image in it and that in all.
    """
    parts = {"train": [], "val": [], "test": []}
    for code, label in enumerate(classes):
        for number in range(1, PER_CLASS + 1):
            name = file(label, number, code * PER_CLASS + number)
            parts[("train", "val", "test")[number % 3]].append((name, code))
            rng = np.random.RandomState(list(Path(name).name.encode()))
            color = np.array([[40, 200, 120], [200, 60, 90], [90, 90, 220]])[code % 3]
            pixels = np.clip(color + rng.normal(scale=40, size=(36, 48, 3)), 0, 255)
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
    return parts


def _text(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def _caltech101(images, classes):
    classes = ["BACKGROUND_Google", "Faces_easy", *classes]
    _images(images, classes, lambda label, number, _: f"{label}/image_{number:04d}.jpg")


def _dtd(images, classes):
    parts = _images(images, classes, lambda label, number, _: f"{label}/{label}_{number:04d}.jpg")
    for part, rows in parts.items():
        _text(images.parent / "labels" / f"{part}1.txt", [name for name, _ in rows])


def _eurosat(images, classes):
    _images(images, classes, lambda label, number, _: f"{label}/{label}_{number}.jpg")


def _fgvc_aircraft(images, classes):
    _text(images.parent / "variants.txt", classes)
    parts = _images(images, classes, lambda label, number, overall: f"{overall:07d}.jpg")
    for part, rows in parts.items():
        lines = [f"{name[:7]} {classes[code]}" for name, code in rows]
        _text(images.parent / f"images_variant_{part}.txt", lines)


def _flowers102(images, classes):
    parts = _images(images, classes, lambda label, number, overall: f"image_{overall:05d}.jpg")
    labels = np.repeat(classes, PER_CLASS)[None]
    savemat(images.parent / "imagelabels.mat", {"labels": labels})
    keys = {"trnid": "train", "valid": "val", "tstid": "test"}
    ids = {key: np.array([[int(n[6:11]) for n, _ in parts[part]]]) for key, part in keys.items()}
    savemat(images.parent / "setid.mat", ids)


def _food101(images, classes):
    parts = _images(images, classes, lambda label, number, _: f"{label}/{1000 + number}.jpg")
    for part, rows in {"train": parts["train"] + parts["val"], "test": parts["test"]}.items():
        files = {label: [n[:-4] for n, _ in rows if n.startswith(label)] for label in classes}
        _text(images.parent / "meta" / f"{part}.json", [json.dumps(files)])


def _oxford_pets(images, classes):
    parts = _images(images, classes, lambda label, number, _: f"{label}_{number}.jpg")
    for part, rows in {"trainval": parts["train"] + parts["val"], "test": parts["test"]}.items():
        # The file, the class, cat or dog, the breed.
        lines = [f"{name[:-4]} {code + 1} {1 + (code == 2)} 1" for name, code in rows]
        _text(images.parent / "annotations" / f"{part}.txt", lines)


def _stanford_cars(images, classes):
    def file(label, number, _):
        code, before = classes.index(label), (number + 1) // 3  # of the test part
        if number % 3 == 2:
            return f"cars_test/{PER_CLASS // 3 * code + before:05d}.jpg"
        return f"cars_train/{2 * PER_CLASS // 3 * code + number - before:05d}.jpg"

    parts = _images(images, classes, file)
    (images / "devkit").mkdir()
    for place, rows in {
        "devkit/cars_train_annos.mat": parts["train"] + parts["val"],
        "cars_test_annos_withlabels.mat": parts["test"],
    }.items():
        fields = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname"]
        rows = [(1, 1, 40, 30, code + 1, Path(name).name) for name, code in rows]
        rows = np.array([rows], dtype=[(field, object) for field in fields])
        savemat(images / place, {"annotations": rows})
    names = np.array([classes], dtype=object)
    savemat(images / "devkit" / "cars_meta.mat", {"class_names": names})


def _sun397(images, classes):
    _text(images / "ClassName.txt", classes)
    _images(images, classes, lambda label, _, overall: f"{label[1:]}/sun_{overall:04d}.jpg")


def _ucf101(images, classes):
    def file(label, number, _):
        group, clip = (number + 3) // 4, number % 4 + 1
        return f"{label}/v_{label.replace('_', '')}_g{group:02d}_c{clip:02d}.jpg"

    _images(images, classes, file)


def _imagenet(images, classes):
    _images(images, classes, lambda label, number, _: f"{label}/{label}_{number}.JPEG")
    file = "ILSVRC2012_val_{:08d}.JPEG"
    _images(
        images.parent / "val", classes, lambda label, _, overall: f"{label}/{file.format(overall)}"
    )
