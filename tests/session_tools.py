"""A small pool with known labels, and persons who know them."""

import os
import tempfile

import numpy as np
from sklearn.naive_bayes import GaussianNB

from skactivekd import LabelingSession, Margin

CLASSES = ["ant", "bee", "cow"]


def blobs(n=120, seed=0, spread=1.0):
    """Points around three corners, which overlap, and their classes as numbers."""
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=n)
    centers = np.array([[0.0, 0.0], [2.5, 0.0], [0.0, 2.5]])
    return centers[y] + spread * rng.normal(size=(n, 2)), y


def open_session(folder, X=None, name="labels.sqlite", **settings):
    """Open a session whose fits take milliseconds."""
    X = blobs()[0] if X is None else X
    settings = {"classes": CLASSES, "strategy": Margin(), **settings}
    return LabelingSession(GaussianNB(), X, journal=os.path.join(folder, name), **settings)


def answer(session, truth, n, names=CLASSES, n_ask=1, **who):
    """Let a person who knows answer n times what is asked; return the questions."""
    asked = []
    for _ in range(n):
        for question in session.ask(n_ask, **who):
            session.tell(question, names[truth[question.index]], **who)
            asked.append(question)
    return asked


def quick_folder():
    """A folder in memory, where there is one: to wait for a disk is not what is tested."""
    return tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
