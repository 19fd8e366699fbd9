"""A sitting in which a person labels and a student learns."""

import numbers
import os
import threading
import warnings
from contextlib import contextmanager

import numpy as np

from ..query import UncertaintyHerding
from ..utils._labels import check_labels
from ..utils._missing_label import check_marker
from ._answers import Answers
from ._any_strategy import check_strategy
from ._audit import Reserve
from ._classes import check_label, check_new, plain, plain_classes
from ._held_out_fits import Figures, View
from ._journal import Event, Journal
from ._journal_state import IMPORT, State
from ._next_questions import Asking
from ._report import Reports
from ._row_ids import Pool, count_rows
from ._student import Student


class LabelingSession(Asking, Answers, Reports):
    """Ask persons for labels, keep them safe, and follow with a student.

    Every answer is on disk before the call returns. A session that is opened
    again, after a kill, in another process or with rows added, removed or in
    another order, goes on where the journal ends. Several persons may work at
    once, through one session or each with one of their own on the same journal.
    All methods may be called from several threads.

    .. versionadded:: 0.1

    Parameters
    ----------
    estimator : estimator
        The student, such as ``make_pipeline(TeacherProba(teacher),
        DHOClassifier())``. It is cloned, not changed. A classifier that does not
        know unlabeled rows is fitted on the labeled ones. Each ``random_state``
        that is None becomes a number, so that the same labels give the same
        student.
    X : array-like, sparse matrix, DataFrame, or sequence of n rows
        The pool: arrays, texts, paths of files, images or table rows, as
        `estimator` takes them. Indices are its rows.
    journal : str or path
        SQLite file that keeps all answers; made where there is none.
    classes : sequence of str or of int, default=None
        All classes. None: those of the journal, or of the estimator. Those that
        the journal does not have yet are added. A teacher without names of its
        own gives its columns in this order.
    strategy : strategy, default=None
        What chooses the rows to ask: a strategy of skactivekd or of
        scikit-activeml, or a function of modAL's kind. None is
        `UncertaintyHerding`.
    annotator : str, default=None
        Who answers, where a call does not say; None is "annotator".
    audit : float in [0, 1), default=0.1
        Share of the pool set apart for a random sample, and share of the
        questions that go there. They come without suggestions, and the accuracy
        of the student is measured on them alone.
    overlap : float in [0, 1), default=0.0
        Share of the questions of each annotator that others have answered
        before, if there are such; they come without suggestions.
    random_state : int, default=0
        Governs which rows are audited, and the strategy.
    missing_label : int, float nan, str or None, default=-1
        Marks unlabeled rows of `y`; that of the estimator.
    ids : sequence of n str or int, default=None
        What rows are known by. None is their content: files by what they hold,
        wherever they lie. Rows of equal content count as one item.
    y : array-like of shape (n,), default=None
        Labels that are known beforehand, `missing_label` elsewhere. Rows of which
        the journal says something are left as they are.
    refit : bool, default=True
        Whether `ask` and `confirm` fit the student where labels are new. False
        leaves that to whoever calls `fit`, such as a thread in the background.

    Attributes
    ----------
    classes : list of str or int
        In the order in which they were named.

    Raises
    ------
    ValueError
        If the journal is damaged, of something else, of other rows, of other
        classes, or was opened with another `audit` or `random_state`; or if
        arguments do not fit together.
    OSError
        If the journal cannot be written safely.

    Warns
    -----
    UserWarning
        If files have changed since they were labeled: they count as new.

    See Also
    --------
    simulate : Play such sessions through on data whose labels are known.

    Notes
    -----
    The accuracy is unbiased for the items of the pool, as long as audit rows are
    not skipped because they are hard. An audit row trains the student too, but is
    scored by a fit that did not see it (five fits, each without a fifth of them).

    Where annotators differ, the last review counts, else what most of them say,
    else the latest answer.

    Examples
    --------
    >>> import os, tempfile
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skactivekd import LabelingSession
    >>> X, truth = load_iris(return_X_y=True)
    >>> folder = tempfile.TemporaryDirectory()
    >>> session = LabelingSession(
    ...     LogisticRegression(max_iter=1000), X, classes=[0, 1, 2],
    ...     journal=os.path.join(folder.name, "labels.sqlite"),
    ... )
    >>> for _ in range(40):
    ...     [question] = session.ask()
    ...     session.tell(question, truth[question.index])
    >>> session.progress()["labels"], len(session.y)
    (40, 150)
    >>> session.fit().model.score(X, truth) > 0.9
    True
    >>> session.close()
    >>> folder.cleanup()
    """

    _n_suggested = 5  # a person reads no more; all of 1,000 classes would fill the journal

    def __init__(
        self,
        estimator,
        X,
        *,
        journal,
        classes=None,
        strategy=None,
        annotator=None,
        audit=0.1,
        overlap=0.0,
        random_state=0,
        missing_label=-1,
        ids=None,
        y=None,
        refit=True,
    ):
        for name, share in (("audit", audit), ("overlap", overlap)):
            if not isinstance(share, numbers.Real) or not 0 <= share < 1:
                raise ValueError(f"{name} must be a number from 0 to below 1, got {share!r}.")
        if isinstance(random_state, bool) or not isinstance(random_state, numbers.Integral):
            raise TypeError(f"random_state must be an int, got {random_state!r}.")
        self.estimator, self.X, self.missing_label = estimator, X, missing_label
        self.audit, self.overlap, self.refit = float(audit), float(overlap), refit
        self.random_state = int(random_state)
        self.annotator = "annotator" if annotator is None else annotator
        self.annotator = self._who(None)
        self.strategy = check_strategy(UncertaintyHerding() if strategy is None else strategy)
        check_marker(missing_label)
        if classes is not None:
            classes = plain_classes(classes, missing_label)
        count_rows(X)
        self._student = Student(estimator, missing_label, self.random_state)
        self._journal = Journal(journal)
        self._lock, self._planning = self._journal.lock, threading.RLock()
        self._fitting, self._state = threading.RLock(), State()
        self._model, self._fitted, self._grids, self._last_said = None, None, {}, {}
        try:
            self._pool = Pool(X, ids, self._journal.known_files())
            if self._pool.new_files:
                self._journal.remember_files(self._pool.new_files)
            self._reserve = Reserve(self._pool.rows, self.audit, self.random_state)
            self._open(classes, y)
        except BaseException:
            self._journal.close()
            raise

    @property
    def journal(self):
        """Path of the journal."""
        return self._journal.path

    @property
    def classes(self):
        """Classes so far, in the order in which they were named."""
        with self._lock:
            self._catch_up()
            return list(self._state.classes)

    @property
    def y(self):
        """Labels so far, `missing_label` elsewhere: an array of shape (n,)."""
        return self._make_y(self._view().labels)

    @property
    def model(self):
        """The student as it was fitted last; None before the first `fit`."""
        return None if self._model is None else self._model.estimator

    def row_of(self, key):
        """Return the first row of X that is known by a key, as questions carry it.

        Parameters
        ----------
        key : str

        Returns
        -------
        index : int

        Raises
        ------
        KeyError
            If no row of X is.
        """
        return self._pool.rows[key][0]

    def fit(self):
        """Fit the student to the labels so far, unless it is.

        Other threads may ask and answer meanwhile.

        Returns
        -------
        self : LabelingSession
            Its `model` is None where there are too few labels for the estimator.
        """
        with self._fitting:
            view = self._view()
            if self._fitted != view.version[0]:
                model = self._student.fit(self.X, self._make_y(view.labels), view.classes)
                self._model, self._fitted = model, view.version[0]
        return self

    def close(self):
        """Let go of the journal; the next call opens it again."""
        self._journal.close()

    def _open(self, classes, y):
        """Compare with what the journal holds, and note that the session was opened."""
        initial = {} if y is None else self._read_y(y, classes or ())
        settings = {
            "audit": self.audit,
            "random_state": self.random_state,
            "overlap": self.overlap,
            "strategy": type(self.strategy).__name__,
            "estimator": type(self.estimator).__name__,
            "rows": self._pool.n,
        }
        with self._changing() as append:
            known = list(self._state.classes)
            self._check_settings()
            self._check_rows()
            if classes is None and not known:
                classes = plain_classes(self._own_classes(), self.missing_label)
            new = [label for label in classes or () if label not in known]
            if known and classes is not None and len(new) == len(classes):
                raise ValueError(
                    f"{self.journal} has the classes {known}, none of which is in classes="
                    f"{classes}. Choose another journal, or leave classes out."
                )
            plain_classes([*known, *new], self.missing_label)
            for place, label in enumerate(new):
                check_new(label, [*known, *new[:place]])
            labels = {key: check_label(label, [*known, *new]) for key, label in initial.items()}
            settings["classes"] = [*known, *new]
            events = [Event("opened", self.annotator, data=settings)]
            events += [Event("class", self.annotator, data={"name": label}) for label in new]
            said = self._state.items()
            events += [
                self._imported("answered", self.annotator, key, label)
                for key, label in labels.items()
                if key not in said
            ]
            append(events)
        self._student.named = self._state.settings["classes"] if classes is None else classes
        self._figures = Figures(self._student, self.X, self._pool, self._make_y, self.random_state)

    def _own_classes(self):
        last = self.estimator[-1] if hasattr(self.estimator, "steps") else self.estimator
        classes = getattr(last, "classes", None)
        if classes is None:
            raise ValueError("Name the classes: LabelingSession(..., classes=[...]).")
        return list(classes)  # of a mapping, which says what its teacher calls them

    def _check_settings(self):
        for name in ("audit", "random_state") if self._state.settings else ():
            before, now = self._state.settings[name], getattr(self, name)
            if before != now:
                raise ValueError(
                    f"{self.journal} was opened with {name}={before}, not {now}: another one would "
                    f"change which rows are the random sample. Pass {name}={before}."
                )

    def _check_rows(self):
        said = self._state.items()
        if said and not any(key in self._pool for key in said):
            raise ValueError(
                f"None of the {len(said)} items that {self.journal} knows is among the "
                f"{self._pool.n} rows of X: it is the journal of other rows, or they have changed "
                "(another dtype or size of images counts). Nothing was lost. Pass the rows it "
                "knows, or ids= as before, or another journal."
            )
        if self._pool.kind != "file":
            return
        here = {os.path.abspath(str(path)) for path in self._pool.values}
        names = {key: self._state.names.get(key) for key in said if key not in self._pool}
        changed = [name for name in names.values() if name and os.path.abspath(str(name)) in here]
        if changed:
            warnings.warn(
                f"{len(changed)} files have changed since they were labeled, such as {changed[0]}: "
                "they count as new. Pass ids= to know files by name.",
                UserWarning,
                stacklevel=4,
            )

    def _read_y(self, y, named):
        named = [*self._state.classes, *named] or None
        y, labeled = check_labels(
            y, self.missing_label, classes=named, n_rows=self._pool.n, any_class=True
        )
        labels = {}
        for row in np.flatnonzero(labeled):
            key, label = self._pool.keys[row], plain(y[row])
            if labels.setdefault(key, label) != label:
                raise ValueError(
                    f"Row {row} of X has the content of an earlier row, but y says {label!r} in "
                    f"place of {labels[key]!r}."
                )
        return labels

    def _imported(self, kind, who, key, label=None):
        data = {"action": IMPORT, "imported": True, "source": "import", **self._name(key)}
        if label is not None:
            data["label"] = label
        return Event(kind, who, key, data)

    def _make_y(self, labels):
        """Return y for X, given labels of items."""
        strings = isinstance(self._state.classes[0], str)
        numeric = not strings and isinstance(self.missing_label, int | float)
        dtype = (
            np.result_type(np.int64, np.min_scalar_type(self.missing_label)) if numeric else object
        )
        y = np.full(self._pool.n, self.missing_label, dtype=dtype)
        for item, label in labels.items():
            y[self._pool.rows[item]] = label
        return y

    def _view(self):
        with self._lock:
            self._catch_up()
            n_done = sum(key in self._pool for key in self._state.verdicts)
            return View(self._state, self._pool, len(self._pool.rows) - n_done)

    def _fresh_model(self):
        if self.refit:
            self.fit()
        return self._model

    def _who(self, annotator):
        who = self.annotator if annotator is None else annotator
        if not isinstance(who, str) or not who.strip() or not who.isprintable():
            raise TypeError(f"annotator must be a name, got {who!r}.")
        return who.strip()

    def _catch_up(self):
        """Take in what this and other sessions have written."""
        for event in self._journal.read(self._state.last):
            self._state.apply(event)
            if event.annotator is not None and not event.data.get("imported"):
                self._last_said[event.annotator] = event.time

    @contextmanager
    def _changing(self):
        """Keep others out of session and journal, and take in what was appended."""
        with self._lock:
            with self._journal.writing() as append:
                self._catch_up()
                yield append
            self._catch_up()
