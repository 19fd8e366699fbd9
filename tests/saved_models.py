"""Small fitted students of every kind, for the tests of saving and exporting."""

import copy
import functools

import numpy as np
import torch
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skactivekd import DHOClassifier, DHONet, TeacherProba, clip_student
from skactivekd.student import WarmupDecay

TEXTS = [
    f"{animal} {verb} {place}"
    for animal in ("cat", "dog", "bird")
    for verb in ("sat", "ran", "slept", "ate")
    for place in ("here", "there", "far away")
]
N = len(TEXTS)
CODES = np.arange(N) % 3


class Doubled(torch.nn.Module):
    """A backbone of a user's."""

    def __init__(self, width=4):
        super().__init__()
        self.layer = torch.nn.Linear(6, width)

    def forward(self, X):
        return 2 * self.layer(X)


def teach(X, teacher=True, labels=12, names=(0, 1, 2), **params):
    """Fit a student of seed 0; a missing label is the last of four names."""
    random = np.random.RandomState(1)
    proba = random.dirichlet(np.ones(len(names)), size=N) if teacher else None
    y = np.array([*names, -1 if not isinstance(names[0], str) else ""], dtype=object)
    hidden = np.where(np.arange(N) < labels, CODES % len(names), len(names))
    if isinstance(names[0], int):
        y = y.astype(int)
    params = {"missing_label": y[-1], "random_state": 0, "device": "cpu", "classes": names} | params
    return DHOClassifier(**params).fit(X, y[hidden], teacher_proba=proba)


def numbers():
    return np.random.RandomState(0).normal(3, 2, size=(N, 6))


def images(*shape):
    return np.random.RandomState(0).random_sample((N, *shape)).astype(np.float32)


def net(**params):
    return DHONet(**{"max_epochs": 2, "lr": 1e-2} | params)


def say(texts):
    """A teacher of texts: a function."""
    proba = np.full((len(texts), 3), 0.1)
    proba[np.arange(len(texts)), [("cat dog bird".split()).index(t.split()[0]) for t in texts]] = 1
    return proba / proba.sum(axis=1, keepdims=True)


def text_pipeline(features):
    student = DHOClassifier(net(), random_state=0, missing_label="", device="cpu")
    y = np.where(np.arange(N) < 20, np.array(["cat", "dog", "bird"])[CODES], "")
    student.set_params(classes=["bird", "cat", "dog"])
    return make_pipeline(TeacherProba(say, features=features), student).fit(TEXTS, y)


def _csr():
    return sparse.csr_array(np.where(numbers() > 3, numbers(), 0))


# name -> what gives a fitted estimator and rows for it
MODELS = {
    "mlp": lambda: (teach(numbers()), numbers()),
    "mlp-csr": lambda: (teach(_csr(), net=net()), _csr()),
    "mlp-settings": lambda: (
        teach(
            numbers().astype(np.float32),
            net=net(
                module__hidden=(8, 4),
                module__dropout=0.1,
                optimizer=torch.optim.SGD,
                optimizer__momentum=0.9,
                callbacks=[("schedule", WarmupDecay(shape="cosine"))],
                iterator_valid__batch_size=5,
            ),
            class_weight={0: 2.0, 1: 1.0, 2: 0.5},
        ),
        numbers().astype(np.float32),
    ),
    "strings": lambda: (teach(numbers(), names=("ä|b", "b c", "c"), net=net()), numbers()),
    "booleans": lambda: (teach(numbers(), names=(False, True), net=net()), numbers()),
    "no-labels": lambda: (teach(numbers(), labels=0, net=net()), numbers()),
    "no-teacher": lambda: (teach(numbers(), teacher=False, net=net()), numbers()),
    "dual": lambda: (
        teach(numbers(), net=net(), heads="dual", alpha=0.3, beta=2.0),
        numbers(),
    ),
    "dual-no-teacher": lambda: (
        teach(numbers(), teacher=False, net=net(), heads="dual"),
        numbers(),
    ),
    "dual-no-labels": lambda: (teach(numbers(), labels=0, net=net(), heads="dual"), numbers()),
    "single": lambda: (teach(numbers(), net=net(), heads="single"), numbers()),
    "linear": lambda: (teach(numbers(), net=net(module=torch.nn.Identity)), numbers()),
    "cnn": lambda: (teach(images(14, 11), net=net(module__hidden=8)), images(14, 11)),
    "cnn-bytes": lambda: (
        teach((255 * images(8, 8, 3)).astype(np.uint8), net=net(module__hidden=8)),
        (255 * images(8, 8, 3)).astype(np.uint8),
    ),
    "resnet18": lambda: (teach(images(3, 32, 32), net=net(module="resnet18")), images(3, 32, 32)),
    "mobilenetv3": lambda: (
        teach(
            images(3, 32, 32),
            net=net(module="mobilenetv3_small_100", module__pretrained=False, lr=1e-4),
        ),
        images(3, 32, 32),
    ),
    "vit": lambda: (
        teach(
            images(3, 32, 32),
            net=net(module="vit_tiny_patch16_224", module__img_size=32),
            heads="dual",
        ),
        images(3, 32, 32),
    ),
    "clip": lambda: (
        teach(
            images(8, 8),
            net=clip_student(classes=["0", "1", "2"], max_epochs=1),
            names=("0", "1", "2"),
        ),
        images(8, 8),
    ),
    "tfidf": lambda: (text_pipeline(TfidfVectorizer()), TEXTS),
    "lsa": lambda: (
        text_pipeline(make_pipeline(TfidfVectorizer(), TruncatedSVD(5, random_state=0))),
        TEXTS,
    ),
    "scaled": lambda: (
        make_pipeline(StandardScaler(), DHOClassifier(net(), random_state=0, device="cpu")).fit(
            numbers(), np.where(np.arange(N) < 20, CODES, -1)
        ),
        numbers(),
    ),
}


def _fitted_once(make):
    """Fit once per process, and give each test a copy of its own."""
    made = functools.cache(make)
    return lambda: copy.deepcopy(made())


MODELS = {name: _fitted_once(make) for name, make in MODELS.items()}
SLOW = ("resnet18", "mobilenetv3", "vit", "clip")
