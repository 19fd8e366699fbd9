"""The estimator of a session: told the classes, fitted on the labels so far, asked in one order."""

import hashlib
from collections.abc import Mapping

import numpy as np
from sklearn.base import clone

from .._take_rows import take_rows
from ..student import DHOClassifier, TeacherProba
from ..utils._labels import find_positions
from ..utils._missing_label import is_missing

_SEEDS = 2**31 - 1


class Student:
    """Makes fitted models of labels.

    Parameters
    ----------
    estimator : estimator
        Never fitted itself, but its clones. One without a parameter `missing_label`
        in it, and none of ``sklearn.semi_supervised``, sees the labeled rows alone.
    missing_label : int, float nan, str or None
    random_state : int
        For each ``random_state`` that is None in it.
    named : list of str or int, default=()
        Classes of which a teacher without names of its own gives the columns, in order.

    Raises
    ------
    TypeError
        If the estimator has no ``predict_proba``.
    ValueError
        If it has another `missing_label`.
    """

    def __init__(self, estimator, missing_label, random_state, named=()):
        if not hasattr(estimator, "predict_proba"):
            raise TypeError(
                f"estimator={type(estimator).__name__} has no predict_proba; for SVC pass "
                "probability=True, or wrap it in CalibratedClassifierCV."
            )
        self.missing_label, self.named = missing_label, named
        params = estimator.get_params()
        for name, marker in params.items():
            if name.split("__")[-1] != "missing_label":
                continue
            if not is_missing([marker], missing_label)[0]:
                raise ValueError(
                    f"The estimator has {name}={marker!r}, but the session missing_label="
                    f"{missing_label!r}. Pass LabelingSession(..., missing_label={marker!r})."
                )
        seeds = {
            name: _seed(name, random_state)
            for name, value in params.items()
            if name.split("__")[-1] == "random_state" and value is None
        }
        self.estimator = clone(estimator).set_params(**seeds)
        self._takes_unlabeled = _takes_unlabeled(estimator)
        steps = [step for _, step in getattr(estimator, "steps", ())]
        self._is_taught = any(getattr(step, "teacher", None) is not None for step in steps)
        # Such a student fits labels of one class as well, and then is sure of it everywhere.
        own = [step for step in [estimator, *steps] if isinstance(step, DHOClassifier)]
        self._needs_two = bool(own) and not self._is_taught

    def fit(self, X, y, classes):
        """Fit a clone on all rows.

        Parameters
        ----------
        X : array-like of n rows
        y : ndarray of shape (n,)
        classes : list of str or int

        Returns
        -------
        model : Model or None
            None as long as there are too few labels for this estimator: of one class alone,
            where no teacher says what else there is.
        """
        estimator = clone(self.estimator)
        self._name_classes(estimator, classes)
        rows = np.flatnonzero(~is_missing(y, self.missing_label))
        labels = np.asarray(y[rows].tolist())
        n_known = len(np.unique(labels))
        if not self._takes_unlabeled:
            if n_known < 2:
                return None
            estimator.fit(take_rows(X, rows), labels)
            return Model(estimator, classes)
        if n_known < 2 and self._needs_two:
            return None
        try:
            estimator.fit(X, y)
        except ValueError:
            if n_known < 2 and not self._is_taught:  # there is nothing to begin with
                return None
            raise
        return Model(estimator, classes)

    def _name_classes(self, estimator, classes):
        """Tell the estimator all classes, and teachers without names of those they lack."""
        added = [label for label in classes if label not in self.named]
        classes = [*self.named, *added]
        last = estimator[-1] if hasattr(estimator, "steps") else estimator
        if "classes" in last.get_params(deep=False):
            own = last.classes
            if own is not None:
                new = [label for label in added if label not in list(own)]
                named = isinstance(own, Mapping)
                classes = {**own, **name_new(own, new)} if named else [*own, *new]
            last.set_params(classes=classes)
        steps = [step for _, step in getattr(estimator, "steps", ())]
        for step in steps if added else ():
            if isinstance(step, TeacherProba) and not hasattr(step.teacher, "predict_proba"):
                step.set_params(teacher=widen(step.teacher, len(self.named), len(added)))


def name_new(called, labels):
    """Name labels that a teacher does not know, as a mapping of the others names these."""
    texts = any(isinstance(name, str) for name in called.values())
    return {label: str(label) if texts else label for label in labels}


def widen(teacher, n_known, n_added):
    """Return a teacher, a function or a matrix or None, that says nothing of some more classes."""
    if callable(teacher):
        return Widened(teacher, n_known, n_added)
    if teacher is None or np.shape(teacher)[1:] != (n_known,):
        return teacher  # it knows them already, or the student tells what is wrong
    return np.pad(np.asarray(teacher), [(0, 0), (0, n_added)])


class Widened:
    """A function of a teacher that says nothing of some more classes.

    Parameters
    ----------
    function : callable
    n_known, n_added : int
    """

    def __init__(self, function, n_known, n_added):
        self.inner, self.n_known, self.n_added = function, n_known, n_added

    def __call__(self, X):
        """Return its probabilities with columns of zeros."""
        return self.finish(np.asarray(self.inner(X)))

    def finish(self, answer):
        """Add columns of zeros to what the function answered, now or before."""
        return widen(answer, self.n_known, self.n_added)


class Model:
    """A fitted estimator whose answers follow the classes of the session.

    Parameters
    ----------
    estimator : fitted estimator
    classes : list of str or int
    """

    def __init__(self, estimator, classes):
        self.estimator, self.classes = estimator, list(classes)
        known = np.asarray(estimator.classes_).tolist()
        columns = find_positions(known, self.classes)
        strange = [label for label, column in zip(known, columns, strict=True) if column < 0]
        if strange:
            raise ValueError(
                f"The estimator, or its teacher, knows the classes {strange}, but the session only "
                f"{self.classes}. Name them all: LabelingSession(..., classes={known})."
            )
        self._columns = columns
        self._all = None

    def proba(self, X, rows=None):
        """Return probabilities of shape (n, n_classes) of some rows, or of all of X.

        Those of all of X are kept: X must be the same each time.
        """
        if self._all is not None:
            return self._all if rows is None else self._all[rows]
        known = self.estimator.predict_proba(X if rows is None else take_rows(X, np.asarray(rows)))
        proba = np.zeros((len(known), len(self.classes)), dtype=np.float32)
        proba[:, self._columns] = known
        if rows is None:
            self._all = proba
        return proba

    def suggest(self, X, rows, n=None):
        """Return for each row its likeliest classes: lists of (class, probability)."""
        proba = self.proba(X, rows)
        order = np.argsort(-proba, axis=1, kind="stable")[:, :n]
        return [
            [(self.classes[column], round(float(values[column]), 6)) for column in columns]
            for columns, values in zip(order, proba, strict=True)
        ]


def _takes_unlabeled(estimator):
    last = estimator[-1] if hasattr(estimator, "steps") else estimator
    if type(last).__module__.startswith("sklearn.semi_supervised"):
        return True
    return any(name.split("__")[-1] == "missing_label" for name in estimator.get_params())


def _seed(name, random_state):
    digest = hashlib.blake2b(f"{random_state} {name}".encode(), digest_size=4).digest()
    return int.from_bytes(digest) % _SEEDS
