"""Functions and classifiers of the user's own as teachers, asked once for each row."""

import json
import warnings
from contextlib import nullcontext

import numpy as np

from .._take_rows import n_rows, take_rows
from ..encoders._base import row_method
from ..encoders._unreadable_rows import numbered
from ..utils._asked_rows import counted_as
from ..utils._label_values import as_labels
from ..utils._matrix import as_ndarray
from ..utils._proba import check_proba, column_names, find_columns
from ..utils._thread_locks import Locks
from ._ask_once import answer_keys, ask_once, check_cache
from ._own_teacher_identity import Who, learns_here

_SAVED_AT_A_TIME = 64  # rows of one call where answers go into a file: no more are lost


def asks_itself(teacher):
    """Tell teachers of this package, which keep what they computed themselves."""
    return getattr(type(teacher), "_asks_once", False)


def can_be_asked(teacher):
    """Tell a teacher from a matrix and from none."""
    return hasattr(teacher, "predict_proba") or callable(teacher)


def refuse_second_cache(teacher):
    """Refuse a cache of answers where nothing would go into it."""
    if not can_be_asked(teacher):
        kind = "no teacher" if teacher is None else "a matrix"
        raise ValueError(f"TeacherProba has cache=, but {kind}: there is nothing to keep.")
    if asks_itself(teacher):
        name = type(teacher).__name__
        own = "its encoder has" if hasattr(teacher, "encoder") else "it has"
        where = "the encoder" if hasattr(teacher, "encoder") else name
        raise ValueError(
            f"TeacherProba(cache=...) is for functions and classifiers of your own; of a {name} "
            f"nothing would go into it, as {own} a cache: give it to {where}(cache=...)."
        )
    if learns_here(teacher):
        raise ValueError(
            f"TeacherProba(cache=...) would keep nothing of teacher={type(teacher).__name__}, "
            "which learns anew, and answers anew, at each fit. Freeze one that is fitted already: "
            "sklearn.frozen.FrozenEstimator(teacher)."
        )


def _counts_itself(teacher):
    """Tell whether what is asked inside of a teacher says how many rows that were."""
    parts = teacher.get_params().values() if hasattr(teacher, "get_params") else ()
    return any(
        asks_itself(part) or (row_method(part) and not isinstance(part, type))
        for part in (teacher, *parts)
    )


def ask_own(teacher, X, name, cache=None, batch_size=None, verbose=0):
    """Return what a teacher says of each row, and the names of the columns, if it names them.

    It is asked for rows that it has not seen, `batch_size` at a time: None is all in memory, 64 if
    answers go into a file. One that wraps another has `inner`, which is asked, and ``finish``.
    """
    if hasattr(type(teacher), "finish"):
        proba, names = ask_own(teacher.inner, X, name, cache, batch_size, verbose)
        return teacher.finish(proba), names
    asking = _Asking(teacher, X, name)
    store = check_cache(cache, "TeacherProba")
    if asks_itself(teacher) or learns_here(teacher) or store is None or not n_rows(X):
        return asking.all()
    try:
        asking.X, keys = answer_keys(X)
    except Exception as error:  # of as many kinds as there are rows: what has no content to tell
        warnings.warn(
            f"{name} is asked for all rows at each fit, as rows of X cannot be told by their "
            f"content ({type(error).__name__}: {error})",
            UserWarning,
            stacklevel=3,
        )
        return asking.all()
    with _LOCKS.of(teacher):
        who = Who(teacher, asking.method)
        try:
            proba = asking.once(keys, who, store, batch_size, verbose)
        finally:
            if asking.n_asked:
                who.keep()
    who.warn(name, n_rows(X) - asking.n_asked)
    return proba, asking.stored_names() if asking.names is None else asking.names


class _Asking:
    """A teacher, asked for some rows of X after others."""

    def __init__(self, teacher, X, name):
        self.teacher, self.X, self.name, self.n_asked = teacher, X, name, 0
        self.names = self.owner = self.cache = None
        self.method = "predict_proba" if hasattr(teacher, "predict_proba") else "__call__"
        self.ask = getattr(teacher, self.method)

    def all(self):
        """Ask for all rows, as they are."""
        n = n_rows(self.X)
        with nullcontext() if _counts_itself(self.teacher) else counted_as(n):
            answer = self.ask(self.X)
        proba = as_ndarray(check_proba(answer, self.name, n_rows=n_rows(self.X)))
        return proba, column_names(answer, self.name)

    def once(self, keys, who, store, batch_size, verbose):
        """Ask for the rows whose answers are not kept."""
        self.owner, self.cache = who.owner, store
        if batch_size is None:
            in_file = isinstance(who.owner, str) and store.path is not None
            batch_size = _SAVED_AT_A_TIME if in_file else n_rows(self.X)
        if who.owner is None:
            store = None
        options = {"batch_size": batch_size, "verbose": verbose}
        return ask_once(who.owner or (who.name,), keys, self.some, store, **options)

    def some(self, positions, _):
        """Ask for some rows."""
        n = len(positions)
        whole = n == n_rows(self.X) and positions == list(range(n))
        self.n_asked += n
        # An encoder inside may name bad rows.
        with numbered(positions, final=False), counted_as(n):
            answer = self.ask(self.X if whole else take_rows(self.X, np.asarray(positions)))
        if not whole and len(np.shape(answer)) == 2 and len(answer) != n:
            raise ValueError(
                f"{self.name} returned {len(answer)} rows for {n} rows of X. It is asked for rows "
                "that it has not seen, and has to answer for just these; if it always answers for "
                "all of X, pass its answer as a matrix: TeacherProba(teacher(X))."
            )
        proba = as_ndarray(check_proba(answer, self.name, n_rows=n, places=positions))
        names = column_names(answer, self.name)
        if (names is None) != (self.names is None) and self.n_asked > n:
            raise ValueError(f"{self.name} names its columns in some calls only; always name them.")
        if names is None:
            return proba
        if self.names is None:
            self.names = self.stored_names(names)
        return proba[:, find_columns(names, self.names, self.name)]

    def stored_names(self, names=None):
        """Return the names of the columns in which answers are kept, and keep them if new.

        They stand in the cache as the bytes of a text, after a 1 that tells their scale.
        """
        if not isinstance(self.owner, str):
            return self._remembered_names(names)
        row = np.full((1, 2), np.nan)  # is not kept
        if names is not None:
            text = json.dumps(as_labels(names).tolist()).encode()
            row = np.array([[1, *text]], dtype=np.float32)
        found = self.cache.fetch(f"{self.owner} columns", [b"columns"], lambda _: row)[0]
        if np.isnan(found).any():
            return None
        return as_labels(json.loads(bytes(np.rint(found[1:] / found[0]).astype(np.uint8))))

    def _remembered_names(self, names):
        if names is not None and self.owner is not None:
            while len(_NAMES) > _MOST_NAMED:
                _NAMES.pop(next(iter(_NAMES)))
            return _NAMES.setdefault(self.owner, names)
        return _NAMES.get(self.owner, names)


_NAMES, _MOST_NAMED = {}, 1024  # of the columns of teachers that only this process knows


_LOCKS = Locks()  # who a teacher is cannot be told while it counts rows, say
