"""What a fit on image files needs: memory, time and looks at each file, on a folder of all kinds.

    python benchmarks/bench_files.py --files 3000

makes a folder of JPEG, PNG, WebP and TIFF files, gray, RGBA, palette, CMYK and EXIF-rotated, three
of them cut short, and compares the peak memory of a fit on it with that of a fit on 100 of them,
each in a process of its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

KINDS = (
    "jpg",
    "png",
    "webp",
    "tiff",
    "gray.jpg",
    "rgba.png",
    "palette.png",
    "cmyk.jpg",
    "exif.jpg",
)
_ORIENTATION = 0x0112


def make_folder(folder, n_files, sizes=(32, 4000), seed=0, n_cut=3):
    """Write files of two classes, reddish and bluish; return paths, classes and the cut rows."""
    random, folder = np.random.RandomState(seed), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths, y = [], random.randint(2, size=n_files)
    for row, label in enumerate(y):
        kind = KINDS[row % len(KINDS)]
        # Most are small, a few as large as a camera's.
        low, high = np.log(sizes)
        side = np.exp(low + (high - low) * random.random_sample() ** 3)
        size = (int(side), int(max(sizes[0], side * random.uniform(0.6, 1))))
        small = random.randint(160, size=(7, 9, 3)) + np.array([95, 0, 0] if label else [0, 0, 95])
        image = Image.fromarray(small.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
        paths.append(str(folder / f"{row:05d}.{kind}"))
        _save(image, paths[-1], kind)
    cut = np.sort(random.permutation(n_files)[:n_cut])
    for row in cut:
        data = Path(paths[row]).read_bytes()
        Path(paths[row]).write_bytes(data[: len(data) // 2])
    return paths, y, cut


def _save(image, path, kind):
    options = {}
    if kind.startswith("gray"):
        image = image.convert("L")
    elif kind.startswith("rgba"):
        image.putalpha(200)
    elif kind.startswith("palette"):
        image = image.quantize(64)
    elif kind.startswith("cmyk"):
        image = image.convert("CMYK")
    elif kind.startswith("exif"):
        options["exif"] = Image.Exif()
        options["exif"][_ORIENTATION] = 6
    image.save(path, **options)


def fit(paths, y, on_error="skip", **params):
    """Fit a student on files with a teacher that is right nine times of ten; return it."""
    import warnings

    from skactivekd import DHOClassifier, DHONet
    from skactivekd.encoders import SkippedRowsWarning

    labels = np.where(np.arange(len(y)) % 10 == 0, y, -1)
    net = DHONet(**{"max_epochs": 2, "on_error": on_error, **params})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkippedRowsWarning)
        return DHOClassifier(net, random_state=0).fit(paths, labels, np.eye(2)[y] * 0.8 + 0.1)


def measure(paths, y, **params):
    """Fit and predict in a new process; return its peak memory in MB, seconds and accuracy."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure"],
        input=json.dumps({"paths": paths, "y": np.asarray(y).tolist(), "params": params}),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def _measure():
    task = json.load(sys.stdin)
    paths, y = task["paths"], np.array(task["y"])
    start = time.perf_counter()
    model = fit(paths, y, **task["params"])
    seconds = time.perf_counter() - start
    score = model.score(paths[:100], y[:100])
    peaks = [
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    print(json.dumps({"MB": sum(peaks) / 1024, "seconds": seconds, "score": score}))


def main():
    """Run from the shell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=3000)
    parser.add_argument("--largest", type=int, default=4000)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        _measure()
        return
    with tempfile.TemporaryDirectory() as folder:
        paths, y, cut = make_folder(folder, args.files, (32, args.largest))
        print(f"{args.files} files, {len(cut)} cut")
        few, many = measure(paths[:100], y[:100], batch_size=32), measure(paths, y, batch_size=32)
        for name, found in (("100 files", few), (f"{args.files} files", many)):
            print(f"{name}: {found['MB']:.0f} MB, {found['seconds']:.1f} s, {found['score']:.2f}")
        print(f"difference {many['MB'] - few['MB']:.0f} MB")


if __name__ == "__main__":
    main()
