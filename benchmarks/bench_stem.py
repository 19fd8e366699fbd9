"""What the first layer of the small network costs: images enlarged to 64 pixels, every way.

    python benchmarks/bench_stem.py [--seeds 1] [--clothes FOLDER]

Digits with the embedded teacher, and clothes (the two files of Fashion-MNIST's training set in
FOLDER) with a teacher that has seen 60 of them; 1,000 rows to learn from, 50 of them labeled.
"""

import argparse
import gzip
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression

from skactivekd import DHOClassifier, DHONet, ZeroShotTeacher, load_glyph_digits
from skactivekd.student import _backbones
from skactivekd.student._reuse_distilled import memory


def enlarge(X):
    """Return images of shape (n, 1, 64, 64)."""
    X = torch.tensor(np.asarray(X, dtype=np.float32))[:, None]
    return F.interpolate(X, size=(64, 64), mode="bicubic").clamp(0, 1).numpy()


def digits():
    X, y = load_glyph_digits(return_X_y=True)
    return enlarge(X), y, ZeroShotTeacher().fit(X).predict_proba(X)


def clothes(folder):
    def read(name, offset):
        data = gzip.open(Path(folder) / f"train-{name}-ubyte.gz").read()
        return np.frombuffer(data, np.uint8, offset=offset)

    X = read("images-idx3", 16).reshape(-1, 28, 28)[:4000] / 255
    y = read("labels-idx1", 8)[:4000].astype(int)
    rows = X.reshape(len(X), -1)
    seen = np.random.RandomState(0).permutation(len(X))[:60]
    teacher = LogisticRegression(C=0.05, max_iter=300).fit(rows[seen], y[seen])
    return enlarge(X), y, teacher.predict_proba(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--clothes")
    options = parser.parse_args()
    data = {"digits": digits()}
    if options.clothes:
        data["clothes"] = clothes(options.clothes)
    for name, (X, y, proba) in data.items():
        order = np.random.RandomState(0).permutation(len(y))
        train, test = order[:1000], order[1000:2500]
        for seed in range(options.seeds):
            for way, finest in {"in steps of 2": 32, "whole": 10**6}.items():
                _backbones._FINE = finest
                memory.clear()  # it cannot know of that
                labels = np.full(1000, -1)
                known = np.random.RandomState(seed).permutation(1000)[:50]
                labels[known] = y[train][known]
                net = DHONet(module__batch_norm=True, module__shift=1 / 16)
                student = DHOClassifier(net, classes=range(10), random_state=seed)
                started = time.perf_counter()
                student.fit(X[train], labels, teacher_proba=proba[train])
                seconds = time.perf_counter() - started
                right = 100 * np.mean(student.predict(X[test]) == y[test])
                print(f"{name}, seed {seed}, {way}: {seconds:.0f} s, {right:.1f} %", flush=True)


if __name__ == "__main__":
    main()
