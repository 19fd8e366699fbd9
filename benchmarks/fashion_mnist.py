"""A student of image files against one of arrays, with and without augmentation: Fashion-MNIST.

    apt-get install dataset-fashion-mnist
    python -m benchmarks.fashion_mnist

2,000 training pictures become PNG files; 100 of them, ten of each class, are labeled. The teacher
is a logistic regression on the pixels of 100 others; 2,000 of the test pictures are asked. Finished
rows are kept, so that a killed run goes on.
"""

import argparse
import gzip
import tempfile
import warnings
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression

from benchmarks.evidence._store import fill
from benchmarks.evidence._threads import use_one_thread
from skactivekd import DHOClassifier, DHONet

KEYS = ["student", "seed"]
SOURCE = Path("/usr/share/datasets/fashion-mnist")
RESULTS = Path(__file__).parent / "results" / "fashion_mnist.csv"
N_POOL, N_TEST, PER_CLASS = 2000, 2000, 10
NAMES = {
    "teacher": "the teacher",
    "arrays": "arrays",
    "files": "files, all default: nothing is augmented",
    "mirror": "files, mirrors",
    "shift": "files, shifts by up to 2 pixels",
    "crop": "files, crops and mirrors, as photos get by default",
}


def main():
    """Run from the shell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, default=SOURCE, help="folder of the four files")
    parser.add_argument("--seeds", type=int, default=5, help="draws of pool and labels")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    use_one_thread()
    cells = [(student, seed) for seed in range(arguments.seeds) for student in NAMES]
    rows = fill(arguments.out, KEYS, cells, partial(measure, arguments.source), jobs=arguments.jobs)
    arguments.out.with_suffix(".md").write_text(write(rows))


def augmentation(name):
    """Return the setting `augment` of a student of files."""
    from torchvision.transforms import v2

    return {
        "files": "auto",
        "mirror": v2.RandomHorizontalFlip(),
        "shift": v2.RandomCrop(28, padding=2),
        "crop": v2.Compose(
            [v2.RandomResizedCrop(28, scale=(0.5, 1), antialias=True), v2.RandomHorizontalFlip()]
        ),
    }[name]


def measure(source, student, seed):
    """Fit one student; return its accuracy on the test pictures."""
    X, _, X_test, y_test, teacher_rows, known = draw(source, seed)
    teacher = LogisticRegression(max_iter=1000).fit(
        teacher_rows[0].reshape(-1, 784) / 255, teacher_rows[1]
    )
    if student == "teacher":
        return [{"score": teacher.score(X_test.reshape(-1, 784) / 255, y_test)}]
    proba = teacher.predict_proba(X.reshape(-1, 784) / 255)
    if student == "arrays":
        model = DHOClassifier(DHONet(), random_state=seed).fit(X, known, proba)
        return [{"score": model.score(X_test, y_test)}]
    net = DHONet(augment=augmentation(student))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        paths, paths_test = (
            save(images, folder, name) for images, name in ((X, "pool"), (X_test, "test"))
        )
        model = DHOClassifier(net, random_state=seed).fit(paths, known, proba)
        assert student != "files" or model.net_.augment_ is None
        return [{"score": model.score(paths_test, y_test)}]


def draw(source, seed):
    """Draw pool, test rows, the teacher's own rows, and the labels that are known."""
    random = np.random.RandomState(seed)
    X, y = read(source, "train")
    order = random.permutation(len(y))
    pool, rest = order[:N_POOL], order[N_POOL:]
    taught, labeled = (first_of_each(y[rows], PER_CLASS) for rows in (rest, pool))
    known = np.full(N_POOL, -1)
    known[labeled] = y[pool][labeled]
    X_test, y_test = read(source, "t10k")
    test = random.permutation(len(y_test))[:N_TEST]
    return X[pool], y[pool], X_test[test], y_test[test], (X[rest[taught]], y[rest[taught]]), known


def first_of_each(y, n):
    """Return the first n rows of each class."""
    return np.concatenate([np.flatnonzero(y == label)[:n] for label in np.unique(y)])


@lru_cache(maxsize=2)
def read(source, part):
    """Read pictures and labels of a part of the data set."""
    pixels, labels = (
        np.frombuffer(gzip.decompress((source / f"{part}-{name}-ubyte.gz").read_bytes()), np.uint8)
        for name in ("images-idx3", "labels-idx1")
    )
    return pixels[16:].reshape(-1, 28, 28), labels[8:].astype(int)


def save(images, folder, name):
    """Write pictures as PNG files; return their paths."""
    paths = [str(Path(folder) / f"{name}{row}.png") for row in range(len(images))]
    for path, pixels in zip(paths, images, strict=True):
        Image.fromarray(pixels).save(path)
    return paths


def write(rows):
    """Write the report."""
    table = rows.pivot_table(index="seed", columns="student", values="score") * 100
    lines = [
        "# Files and arrays: Fashion-MNIST",
        "",
        "`python -m benchmarks.fashion_mnist`",
        "",
        f"{N_POOL} training pictures, {10 * PER_CLASS} of them labeled; the teacher is a logistic "
        f"regression on the pixels of {10 * PER_CLASS} others. Percent right of {N_TEST} test "
        f"pictures: mean over {len(table)} draws (standard deviation), and the difference to the "
        "student of arrays, paired by draw, with its standard error.",
        "",
        "| student of | right | minus arrays |",
        "|---|---|---|",
    ]
    for name, title in NAMES.items():
        score, gain = table[name], table[name] - table["arrays"]
        error = f"{gain.mean():+.1f} ± {gain.std() / len(gain) ** 0.5:.1f}"
        lines.append(f"| {title} | {score.mean():.1f} ({score.std():.1f}) | {error} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    from benchmarks import fashion_mnist  # by its name, under which other processes find it

    fashion_mnist.main()
