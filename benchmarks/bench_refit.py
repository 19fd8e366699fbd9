"""A refit on new labels against a full fit: seconds, in one run.

    python benchmarks/bench_refit.py

10,000 rows of 300 numbers, 77 classes, 770 labels, a noisy teacher. A refit is a whole call of
`fit` that finds the distilled student of these rows and this teacher in memory; that includes
reading all rows to make sure that they are the same.
"""

import argparse
import statistics
import time

import numpy as np
from scipy.special import softmax

from skactivekd import DHOClassifier


def main():
    arguments = parse_arguments()
    X, y, teacher_proba = make_pool(arguments.rows, arguments.features, arguments.classes)
    rng = np.random.RandomState(1)
    first = time.perf_counter()
    fit(X, hide(y, arguments.labels, rng), teacher_proba, arguments.classes)
    full = time.perf_counter() - first
    refits = []
    for _ in range(arguments.repeats):
        known = hide(y, arguments.labels, rng)
        start = time.perf_counter()
        fit(X, known, teacher_proba, arguments.classes)
        refits.append(time.perf_counter() - start)
    refit = statistics.median(refits)
    print(
        f"{arguments.rows} x {arguments.features}, {arguments.classes} classes, "
        f"{arguments.labels} labels: full fit {full:.1f} s, refit {refit:.2f} s "
        f"({min(refits):.2f} to {max(refits):.2f}), 1/{full / refit:.0f}"
    )


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--features", type=int, default=300)
    parser.add_argument("--classes", type=int, default=77)
    parser.add_argument("--labels", type=int, default=770)
    parser.add_argument("--repeats", type=int, default=7)
    return parser.parse_args()


def make_pool(n_rows, n_features, n_classes, noise=4.0):
    """Draw clusters, one for each class, and a teacher that knows their centers badly."""
    rng = np.random.RandomState(0)
    centers = rng.standard_normal((n_classes, n_features)).astype(np.float32)
    y = rng.randint(n_classes, size=n_rows)
    X = centers[y] + 3 * rng.standard_normal((n_rows, n_features)).astype(np.float32)
    known = centers + rng.standard_normal(centers.shape) * noise / 2
    return X, y, softmax(X @ known.T / n_features**0.5, axis=1).astype(np.float32)


def hide(y, n_labels, rng):
    """Hide all labels but some random ones."""
    known = np.full(len(y), -1)
    rows = rng.permutation(len(y))[:n_labels]
    known[rows] = y[rows]
    return known


def fit(X, y, teacher_proba, n_classes):
    model = DHOClassifier(classes=range(n_classes), random_state=0)
    return model.fit(X, y, teacher_proba=teacher_proba)


if __name__ == "__main__":
    main()
