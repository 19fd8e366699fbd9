"""Each data set as torchvision reads it: class names, (path, label) rows of three parts, source."""

from pathlib import Path

from .splits import hold_out, official_ucf101


def read(name, root, images, seed):
    """Read a data set without a split file; `seed` draws the parts that no official split names."""
    from torchvision import datasets

    if name in ("dtd", "fgvc_aircraft", "flowers102"):
        kind = {"dtd": datasets.DTD, "fgvc_aircraft": datasets.FGVCAircraft}.get(name)
        parts = [(kind or _flowers())(root, part) for part in ("train", "val", "test")]
        lists = [_rows(part) for part in parts]
        present = sorted({label for rows in lists for _, label in rows})  # all, but of copies
        codes = {label: code for code, label in enumerate(present)}
        lists = [[(path, codes[label]) for path, label in rows] for rows in lists]
        return [parts[0].classes[label] for label in present], *lists, "official split"
    if name in ("food101", "oxford_pets", "stanford_cars"):
        kinds = {"food101": datasets.Food101, "oxford_pets": datasets.OxfordIIITPet}
        kind = kinds.get(name, datasets.StanfordCars)
        test, seen = kind(root, "test"), kind(root, *["trainval"] * (name == "oxford_pets"))
        train, val, _ = hold_out(_rows(seen), (0.2, 0.0), seed)
        source = f"official test split; {_seeded(seed, '80/20')}"
        return _names(name, seen.classes), train, val, _rows(test), source
    if name == "imagenet":
        return _imagenet(datasets.ImageFolder(images), datasets.ImageFolder(images.parent / "val"))
    if name == "ucf101":
        data = datasets.ImageFolder(images)
        lists = official_ucf101(Path(root) / "ucf101" / "ucfTrainTestlist", data.samples, seed)
        if lists:
            return data.classes, *lists, f"official split 1; {_seeded(seed, '80/20')}"
        names, rows = data.classes, data.samples
    elif name == "caltech101":
        names, rows = _caltech101(datasets.Caltech101(root))
    else:
        data = {"eurosat": datasets.EuroSAT, "sun397": datasets.SUN397}[name](root)
        # The file system decides on the order in which torchvision finds those of SUN397.
        names, rows = _names(name, data.classes), sorted(_rows(data))
    return names, *hold_out(rows, (0.2, 0.3), seed), _seeded(seed)


def _rows(data):
    """Return the (path, label) rows, which each of torchvision's data sets calls otherwise."""
    rows = getattr(data, "samples", None) or getattr(data, "_samples", None)
    if rows is None:
        files = getattr(data, "_image_files", None) or data._images
        rows = zip(files, data._labels, strict=True)
    return [(path, int(label)) for path, label in rows]


def _names(name, classes):
    """Return the names of classes as the split files have them."""
    if name == "sun397":
        return [" ".join(reversed(label.split("/"))) for label in classes]
    if name == "stanford_cars":
        from skactivekd.teacher import tidy_name

        return [tidy_name(label, year_first=True) for label in classes]
    return [label.lower() for label in classes] if name == "oxford_pets" else classes


def _flowers():
    from torchvision.datasets import Flowers102

    class Flowers(Flowers102):
        # Which labels these are the split says; a checksum would refuse any but the original's.
        _file_dict = {kind: (file, None) for kind, (file, _) in Flowers102._file_dict.items()}

    return Flowers


def _caltech101(data):
    kept = [name for name in data.categories if name not in ("BACKGROUND_Google", "Faces_easy")]
    named = zip(data.index, (data.categories[label] for label in data.y), strict=True)
    folder = Path(data.root) / "101_ObjectCategories"
    return kept, [
        (folder / name / f"image_{index:04d}.jpg", kept.index(name))
        for index, name in named
        if name in kept
    ]


def _imagenet(train, test):
    from open_clip import IMAGENET_CLASSNAMES
    from timm.data import ImageNetInfo

    names = dict(zip(ImageNetInfo().label_names(), IMAGENET_CLASSNAMES, strict=True))
    if train.classes != test.classes or not names.keys() >= set(train.classes):
        raise ValueError(
            f"imagenet: the folders of {train.root} and {test.root} are not the same WordNet ids"
        )
    return [names[c] for c in train.classes], train.samples, [], test.samples, "train and val"


def _seeded(seed, shares="50/20/30"):
    return f"seeded {shares} split, seed {seed}"
