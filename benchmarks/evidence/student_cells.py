"""Cells of the grid of students: which there are, and what is measured in each."""

import time
import warnings
from functools import lru_cache

import numpy as np

from skactivekd.simulation._simulate import _seeded_clone

from ._draws import DRAWS
from .methods import estimator
from .tasks import load

KEYS = ["task", "variant", "split", "student", "seed", "method", "draw", "labels"]
# A student that has seen the pool once may answer the cells that agree in these from memory.
TOGETHER = KEYS[:6]
STUDENTS = {
    "digits": ("mlp", "cnn"),
    "mnist": ("mlp", "cnn"),
    **dict.fromkeys(("banking77", "diagnoses", "glosses", "sentiment"), ("lsa",)),
}
VARIANTS = {"plain": {}, "rare10": {"imbalance": 10}, "rare50": {"imbalance": 50}}
HARDER = {"digits": "mlp", "mnist": "mlp", "banking77": "lsa"}
LABELS = {"plain": (0, 1, 2, 4, 8, 16), "rare10": (1, 4), "rare50": (1, 4)}
UNLABELED = ("teacher", "default", "kd", "two-logistic", "distilled-logistic")
LABELED = (
    "default",
    "none",
    "single",
    "dho",
    "two-logistic",
    "distilled-logistic",
    "embedding-logistic",
)
FORESTS = ("two-forest", "distilled-forest")
CHOOSES = (2, 8)  # labels of each class with which dho-cv, of four fits, takes part


def cells(tasks, variants, seeds, split="test"):
    """List the cells, those of a student that has seen the pool one after the other.

    Parameters
    ----------
    tasks, variants : sequence of str
    seeds : int
    split : {"test", "development"}, default="test"

    Returns
    -------
    cells : list of tuple
        The parts of each, in the order of `KEYS`.
    """
    return [
        (task, variant, split, student, seed, method, draw, labels)
        for task in tasks
        for variant in variants
        for student in STUDENTS[task]
        if variant == "plain" or HARDER.get(task) == student
        for seed in range(seeds)
        for method in dict.fromkeys([*UNLABELED, *LABELED, "dho-cv", *FORESTS])
        for draw in DRAWS
        for labels in LABELS[variant]
        if _takes_part(method, task, variant, student, draw, labels)
    ]


def _takes_part(method, task, variant, student, draw, labels):
    if labels == 0:  # no label can be drawn in two ways
        return draw == "class" and method in UNLABELED
    if method == "dho-cv":
        return variant == "plain" and draw == "class" and labels in CHOOSES
    if method in FORESTS:
        return (task, variant, student) == ("digits", "plain", "mlp")
    return method in LABELED


def measure(banking77, task, variant, split, student, seed, method, draw, labels):
    """Fit once; return accuracy on the test rows and seconds of the fit, for each head asked.

    Parameters
    ----------
    banking77 : path
    task, variant, split, student, seed, method, draw, labels
        The parts of the cell.

    Returns
    -------
    rows : list of dict
        With labels, "dho" has one for its teacher's head too, of the same fit.
    """
    rows = _load(task, variant, split == "development", banking77)
    if method == "teacher":
        return [{"score": rows.teacher_accuracy, "seconds": 0.0}]
    known = np.full(len(rows.pool), -1)
    if labels:
        known = DRAWS[draw](rows.y[rows.pool], labels, seed)
    model = _seeded_clone(estimator(rows, student, "zero-shot", method), seed)
    seconds = fit_seconds(model, rows.pool, known)
    y = rows.y[rows.test]
    measured = [{"score": model.score(rows.test, y), "seconds": seconds}]
    if method == "dho":
        model[-1].set_params(alpha=0)
        measured += [{"method": "kd", "score": model.score(rows.test, y), "seconds": seconds}]
    return measured


def fit_seconds(model, X, y):
    """Fit, and return the processor time it took."""
    with warnings.catch_warnings():
        # scikit-learn takes a label of each class for a regression.
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        start = time.process_time()
        model.fit(X, y)
        return time.process_time() - start


@lru_cache(maxsize=1)
def _load(task, variant, development, banking77):
    return load(task, development=development, banking77=banking77, **VARIANTS[variant])
