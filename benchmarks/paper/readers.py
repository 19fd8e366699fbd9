"""Each data set by its reader: torchvision's where there is one, and their official splits."""

from pathlib import Path

from .splits import hold_out, official_ucf101

# Where the images may lie: torchvision's folder first, then CoOp's. FGVC Aircraft has no split
# file, since its official split is the paper's; ImageNet's validation set is the test set.
IMAGES = {
    "caltech101": ("caltech101/101_ObjectCategories", "caltech-101/101_ObjectCategories"),
    "dtd": ("dtd/dtd/images", "dtd/images"),
    "eurosat": ("eurosat/2750",),
    "fgvc_aircraft": ("fgvc-aircraft-2013b/data/images",),
    "flowers102": ("flowers-102/jpg", "oxford_flowers/jpg"),
    "food101": ("food-101/images",),
    "imagenet": ("imagenet", "imagenet/images"),
    "oxford_pets": ("oxford-iiit-pet/images", "oxford_pets/images"),
    "stanford_cars": ("stanford_cars",),
    "sun397": ("SUN397", "sun397/SUN397"),
    "ucf101": ("ucf101/UCF-101-midframes",),
}
_DROPPED = ("BACKGROUND_Google", "Faces_easy")  # of Caltech101


def find_images(name, root):
    for folder in IMAGES[name]:
        if (root / folder).is_dir():
            return root / folder
    places = " or ".join(str(root / folder) for folder in IMAGES[name])
    raise FileNotFoundError(f"{name}: no images at {places}. benchmarks/paper/README.md says more.")


def _caltech101(root, seed):
    from torchvision.datasets import Caltech101

    data = Caltech101(root)
    kept = [c for c in data.categories if c not in _DROPPED]
    codes = {data.categories.index(c): code for code, c in enumerate(kept)}
    folder = Path(data.root) / "101_ObjectCategories"
    rows = [
        (folder / data.categories[y] / f"image_{index:04d}.jpg", codes[y])
        for index, y in zip(data.index, data.y, strict=True)
        if y in codes
    ]
    return kept, *hold_out(rows, (0.2, 0.3), seed), _seeded(seed)


def _dtd(root, seed):
    from torchvision.datasets import DTD

    parts = [DTD(root, split) for split in ("train", "val", "test")]
    lists = [list(zip(p._image_files, p._labels, strict=True)) for p in parts]
    return parts[0].classes, *lists, "official split 1"


def _eurosat(root, seed):
    from torchvision.datasets import EuroSAT

    data = EuroSAT(root)
    return data.classes, *hold_out(data.samples, (0.2, 0.3), seed), _seeded(seed)


def _fgvc_aircraft(root, seed):
    from torchvision.datasets import FGVCAircraft

    parts = [FGVCAircraft(root, split) for split in ("train", "val", "test")]
    lists = [list(zip(p._image_files, p._labels, strict=True)) for p in parts]
    return parts[0].classes, *lists, "official split"


def _flowers102(root, seed):
    from torchvision.datasets import Flowers102

    class Flowers(Flowers102):
        # Which labels these are the split says; a checksum would refuse any but the original's.
        _file_dict = {kind: (file, None) for kind, (file, _) in Flowers102._file_dict.items()}

    parts = [Flowers(root, split) for split in ("train", "val", "test")]
    lists = [list(zip(p._image_files, p._labels, strict=True)) for p in parts]
    present = sorted({label for pairs in lists for _, label in pairs})
    codes = {label: code for code, label in enumerate(present)}
    lists = [[(path, codes[label]) for path, label in pairs] for pairs in lists]
    return [Flowers102.classes[label] for label in present], *lists, "official split"


def _food101(root, seed):
    from torchvision.datasets import Food101

    return _train_and_test(Food101(root, "train"), Food101(root, "test"), seed)


def _oxford_pets(root, seed):
    from torchvision.datasets import OxfordIIITPet

    train, test = OxfordIIITPet(root, "trainval"), OxfordIIITPet(root, "test")
    for part in (train, test):
        part._image_files, part.classes = part._images, [c.lower() for c in part.classes]
    return _train_and_test(train, test, seed)


def _stanford_cars(root, seed):
    from torchvision.datasets import StanfordCars

    from skactivekd.teacher import tidy_name

    train, test = StanfordCars(root, "train"), StanfordCars(root, "test")
    for part in (train, test):
        part._image_files, part._labels = zip(*part._samples, strict=True)
    train.classes = [tidy_name(c, year_first=True) for c in train.classes]
    return _train_and_test(train, test, seed)


def _train_and_test(train, test, seed):
    rows, test = (
        [(path, int(label)) for path, label in zip(p._image_files, p._labels, strict=True)]
        for p in (train, test)
    )
    train_rows, val, _ = hold_out(rows, (0.2, 0.0), seed)
    return train.classes, train_rows, val, test, f"official test split; {_seeded(seed, '80/20')}"


def _sun397(root, seed):
    from torchvision.datasets import SUN397

    data = SUN397(root)
    # The file system decides on the order in which torchvision finds them.
    rows = sorted(zip(data._image_files, data._labels, strict=True))
    names = [" ".join(reversed(c.split("/"))) for c in data.classes]
    return names, *hold_out(rows, (0.2, 0.3), seed), _seeded(seed)


def _ucf101(root, seed):
    from torchvision.datasets import ImageFolder

    data = ImageFolder(Path(root) / IMAGES["ucf101"][0])
    official = official_ucf101(Path(root) / "ucf101" / "ucfTrainTestlist", data.samples, seed)
    if official:
        return data.classes, *official, f"official split 1; {_seeded(seed, '80/20')}"
    return data.classes, *hold_out(data.samples, (0.2, 0.3), seed), _seeded(seed)


def _imagenet(root, seed):
    from open_clip import IMAGENET_CLASSNAMES
    from timm.data import ImageNetInfo
    from torchvision.datasets import ImageFolder

    images = find_images("imagenet", Path(root))
    images = images if (images / "train").is_dir() else images / "images"
    train, test = ImageFolder(images / "train"), ImageFolder(images / "val")
    names = dict(zip(ImageNetInfo().label_names(), IMAGENET_CLASSNAMES, strict=True))
    if train.classes != test.classes or not names.keys() >= set(train.classes):
        raise ValueError(f"imagenet: the folders of {images} are not the same WordNet ids twice")
    return [names[c] for c in train.classes], train.samples, [], test.samples, "train and val"


def _seeded(seed, shares="50/20/30"):
    return f"seeded {shares} split, seed {seed}"


READERS = {
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
