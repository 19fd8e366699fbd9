"""The student of a project: which network for which rows, and how it comes to them."""

import numpy as np
import pandas as pd
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer, StandardScaler

from ..student import DHOClassifier, DHONet, TeacherProba
from ..student._student_for_files import for_files
from ._errors import Trouble, one_line
from ._prepared_pool import Prepared
from ._thumbnails import Thumbnails, choose_size

# With 60 labels of 3,000 generated digits, bent so far that many are told by nobody, batch
# normalization and small shifts bring about a point on new ones, and 5 without a teacher.
_CONVOLUTIONAL = {"module__batch_norm": True, "module__shift": 1 / 16}
_LARGEST = 1e30  # of a number: its square still is one
_TOPICS = 300  # dimensions of texts: what the measurements of this package were made with


class Student:
    """What predicts, for the rows of one source.

    Parameters
    ----------
    source : Source
    settings : Settings
        ``student``, ``image_size`` and ``seed``.
    thumbnails : str, path or None
        File for pictures.

    Attributes
    ----------
    X : list of str, or DataFrame
        The rows that can be read.
    source : Source
        Of these rows.
    bad : dict of str to str
        Files that cannot be read, and why.
    notes : list of str

    Raises
    ------
    Trouble
        If there is no such student, or no row can be read.
    """

    def __init__(self, source, settings, thumbnails=None):
        self.source, self.settings, self.bad, self.notes = source, settings, {}, []
        self.net, self.features = None, None
        if settings.student != "auto" and source.kind != "images":
            raise Trouble(
                f"student {settings.student!r} is for images, but these are {source.kind}; leave "
                "it at auto."
            )
        make = {"images": self._see, "texts": self._read, "table": self._count}
        make[source.kind](thumbnails)
        self.X = self.source.X

    def estimator(self, proba=None, prepared=True):
        """Return the pipeline that learns.

        Parameters
        ----------
        proba : matrix, teacher or None
            What the teacher says of X, or the teacher itself.
        prepared : bool, default=True
            Whether rows of X are known beforehand.

        Returns
        -------
        pipeline : Pipeline
            Unfitted; its last step is "student".
        """
        steps = [("rows", self.rows)] if prepared else []
        if proba is not None:
            steps.append(("teacher", TeacherProba(proba)))
        student = DHOClassifier(self.net, random_state=self.settings.seed)
        return Pipeline([*steps, ("student", student)])

    def deployable(self, fitted):
        """Return a fitted pipeline as one that predicts anywhere, and can be saved.

        Parameters
        ----------
        fitted : Pipeline
            Of `estimator`.

        Returns
        -------
        model : DHOClassifier or Pipeline
            From paths of images, texts, or rows of numbers, without a teacher.
        """
        student = fitted[-1]
        if self.source.kind == "images":
            return student if self.settings.student != "auto" else for_files(student)
        return Pipeline([*self.features.steps, ("student", student)])

    def check_several(self):
        """Refuse rows that are all the same, as there is nothing to tell apart."""
        seen = self.rows.rows if isinstance(self.rows, Prepared) else np.arange(len(self.X))
        if not any((row != seen[0]).any() for row in seen[1:]):
            what = "one row alone" if len(seen) < 2 else f"{len(seen)} rows that are all the same"
            raise Trouble(
                f"The source holds {what}: there is nothing to tell apart. Name one with more."
            )

    def _see(self, thumbnails):
        paths = self.source.X
        size, largest = choose_size(paths)
        size = self.settings.image_size or size
        self.settings.image_size = size
        reader = Thumbnails(thumbnails, size)
        pixels, bad = reader.read(paths)
        self.bad = {paths[row]: why for row, why in bad.items()}
        if len(bad) == len(paths):
            path, why = next(iter(self.bad.items()))
            raise Trouble(
                f"None of the {len(paths)} images can be read, such as {path} ({why}); name others."
            )
        good = np.setdiff1d(np.arange(len(paths)), list(bad))
        if bad:
            self.source, pixels = self.source.take(good.tolist()), pixels[good]
        if self.settings.student != "auto":
            self.net = make_timm_net(self.settings.student)
            self.rows = FunctionTransformer()
            return
        self.net = DHONet(**_CONVOLUTIONAL)
        if largest > size:
            self.notes.append(
                f"The student is a small network that learns from scratch and sees the pictures "
                f"at {size} x {size} pixels. Where finer things count, --student resnet18 takes a "
                "trained one, whose weights come over the network."
            )
        self.rows = Prepared(self.source.X, pixels, lambda X: reader.read(list(X))[0])

    def _read(self, _):
        X = self.source.X
        words = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\w+", dtype=np.float32)
        try:
            n_words = words.fit_transform(X).shape[1]
        except ValueError:
            raise Trouble("The texts hold no words; name others.") from None
        steps = [("tfidf", words)]
        if n_words > _TOPICS:
            svd = TruncatedSVD(_TOPICS, random_state=self.settings.seed)
            steps += [("svd", svd), ("norm", Normalizer())]
        self._prepare(Pipeline(steps))

    def _count(self, _):
        X = self.source.X
        if np.isinf(X.to_numpy()).any():
            raise Trouble("The table holds numbers without end (inf); take these rows out.")
        large = (np.abs(X) > _LARGEST).any()
        if large.any():
            raise Trouble(
                f"The column {large.idxmax()!r} holds numbers above {_LARGEST:g}, which nothing "
                "can be computed with; write it in another unit."
            )
        self._prepare(Pipeline([("scale", StandardScaler())]))

    def _prepare(self, features):
        self.features = features
        rows = features.fit_transform(as_rows(self.source.X))
        rows = rows.toarray() if hasattr(rows, "toarray") else rows
        rows = np.ascontiguousarray(rows, dtype=np.float32)

        def prepare(X):
            made = features.transform(as_rows(X))
            made = made.toarray() if hasattr(made, "toarray") else made
            return np.ascontiguousarray(made, dtype=np.float32)

        self.rows = Prepared(self.source.X, rows, prepare)


def as_rows(X):
    """Return rows as a saved pipeline takes them: tables without the names of their columns."""
    return X.to_numpy(dtype=float) if isinstance(X, pd.DataFrame) else list(X)


def make_timm_net(name):
    """Return a net on a trained model of timm.

    Raises
    ------
    Trouble
        If timm has no such model.
    """
    import timm

    name = name.removeprefix("timm:")
    if not timm.is_model(name):
        near = timm.list_models(f"*{name.split('_')[0]}*")[:3]
        hint = f", such as {', '.join(near)}" if near else ""
        raise Trouble(f"--student {name!r} is neither auto nor a model of timm{hint}.")
    trained = bool(timm.models.is_model_pretrained(name))
    try:
        timm.create_model(name, pretrained=trained)  # here, where somebody looks
    except Exception as error:  # of the hub, the network, or a file
        raise Trouble(
            f"The weights of --student {name} cannot be had ({one_line(error)[:200]}); connect to "
            "the network once, or leave --student at auto, which learns from scratch."
        ) from error
    return DHONet(name, module__pretrained=trained)
