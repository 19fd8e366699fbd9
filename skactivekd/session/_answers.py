"""What a person can say in a session: each call is on disk before it returns."""

import time
from uuid import uuid4

import numpy as np

from ..utils._check_params import check_number
from ._classes import check_class, check_label, check_new, plain
from ._journal import Event
from ._question import Question

_SURE = 0.9  # of a class, so that a grid of such rows is mostly right
_PAUSE = 120  # seconds; who takes longer for one item was away, and the time says nothing


class Answers:
    """The answering half of `LabelingSession`; needs what its constructor makes."""

    def tell(self, question, label, *, seconds=None, annotator=None, uid=None):
        """Say what a row is.

        The last answer of an annotator counts. All rows of the same content
        get the label.

        Parameters
        ----------
        question : Question or int
            As `ask` returned it, or a row of X, which need not have been asked.
        label : str or int
            One of the classes.
        seconds : float, default=None
            Time it took. None: since the question or the answer before, unless
            that is more than two minutes ago.
        annotator : str, default=None
            Who says so; None is the session's.
        uid : str, default=None
            Name of this call, drawn at random by who may send it twice: a name
            that the journal has already does nothing more, also after a kill.

        Raises
        ------
        ValueError
            If the label is none of the classes.
        IndexError
            If X has no such row.
        OSError
            If the answer could not be kept. It then does not count.
        """
        label = check_label(label, self.classes)
        self._say("answered", question, annotator, seconds, uid, label=label)

    def relabel(self, question, label, *, seconds=None, annotator=None, uid=None):
        """Say what a row really is: after a second look, which counts more than other answers.

        Parameters
        ----------
        question : Question or int
        label : str or int
            One of the classes; the one that it has confirms it.
        seconds : float, default=None
        annotator : str, default=None
        uid : str, default=None
            As for `tell`.
        """
        label = check_label(label, self.classes)
        self._say("answered", question, annotator, seconds, uid, label=label, source="review")

    def skip(self, question, *, seconds=None, annotator=None, uid=None):
        """Leave a row open: this annotator is not asked for it again.

        Parameters
        ----------
        question : Question or int
        seconds : float, default=None
        annotator : str, default=None
        uid : str, default=None
            As for `tell`.
        """
        self._say("skipped", question, annotator, seconds, uid)

    def reject(self, question, *, seconds=None, annotator=None, uid=None):
        """Call a row a bad item: nobody is asked for it again, and it has no label.

        Parameters
        ----------
        question : Question or int
        seconds : float, default=None
        annotator : str, default=None
        uid : str, default=None
            As for `tell`.
        """
        self._say("rejected", question, annotator, seconds, uid)

    def undo(self, *, annotator=None, uid=None):
        """Take back this annotator's last answer; called again, the one before it.

        A call of `accept` is one answer. What came from a file is left alone.

        Parameters
        ----------
        annotator : str, default=None
            Who takes back; None is the session's.
        uid : str, default=None
            As for `tell`.

        Returns
        -------
        indices : list of int
            The rows that it was about, which are open again or labeled as
            before; empty if there was nothing to undo.
        """
        who = self._who(annotator)
        with self._changing() as append:
            if self._is_known(uid):
                return []
            action, events = self._state.last_action(who)
            if action is not None:
                append([_event(uid, "undone", who, data={"action": action})])
        keys = dict.fromkeys(event.item for event in events)
        return [self._pool.rows[key][0] for key in keys if key in self._pool]

    def add_class(self, name, *, annotator=None, uid=None):
        """Add a class on the way.

        Parameters
        ----------
        name : str or int
            Of the kind of the other classes. Teachers give it no probability;
            the student learns it from its labels.
        annotator : str, default=None
            Who adds it.
        uid : str, default=None
            As for `tell`.

        Raises
        ------
        ValueError
            If there is such a class, or one that looks alike, or it is no name of one.
        TypeError
            If it is of another kind.
        """
        name = plain(name)
        who = self._who(annotator)
        with self._changing() as append:
            if self._is_known(uid):
                return
            known = self._state.classes
            check_class(name, known[0], self.missing_label)
            if name in known:
                raise ValueError(f"There is a class {name!r} already.")
            check_new(name, known)
            append([_event(uid, "class", who, data={"name": name})])

    def confirm(self, class_, n=40, *, annotator=None):
        """Return the surest unlabeled rows of a class, for a look at all of them at once.

        Rows of the audit share are not among them, nor those that await an
        answer, or that someone said are not of this class.

        Parameters
        ----------
        class_ : str or int
            One of the classes.
        n : int, default=40
            Most rows to return.
        annotator : str, default=None
            Who looks; None is the session's.

        Returns
        -------
        questions : list of Question
            The surest first; none if the student would call no row so.

        Raises
        ------
        RuntimeError
            If there are too few labels to fit anything yet.

        See Also
        --------
        accept : Takes the answer.
        """
        class_, who = check_label(class_, self.classes), self._who(annotator)
        model = self._fresh_model()
        if model is None:
            raise RuntimeError("There is no student yet to be confirmed: label some rows first.")
        if class_ not in model.classes:  # added since, where nobody refits
            return []
        keys = [key for key in self._unconfirmed(who) if not self._is_denied(key, class_)]
        rows = [self._pool.rows[key][0] for key in keys]
        if not rows:
            return []
        proba = model.proba(self.X)[rows]
        column = model.classes.index(class_)
        own = np.flatnonzero(proba.argmax(axis=1) == column)
        best = own[np.argsort(-proba[own, column], kind="stable")][: self._count(n)]
        suggestions = model.suggest(self.X, [rows[at] for at in best], self._n_suggested)
        questions = [
            self._question(keys[at], "confirm", pairs)
            for at, pairs in zip(best, suggestions, strict=True)
        ]
        with self._lock:
            grid = {question.key: (class_, question.suggestions) for question in questions}
            self._grids[who] = time.time(), grid
        return questions

    def confirmable(self, *, annotator=None):
        """Count the rows that `confirm` may show, class by class; fits nothing.

        Parameters
        ----------
        annotator : str, default=None
            Who looks; None is the session's.

        Returns
        -------
        counts : list of dict
            With "class", "rows" that the student as it was fitted last would call so,
            and "sure": those of them at 90 % or more. All 0 before there is one.
        """
        who, model, classes = self._who(annotator), self._model, self.classes
        counts = {repr(name): {"class": name, "rows": 0, "sure": 0} for name in classes}
        keys = [] if model is None else self._unconfirmed(who)
        rows = [self._pool.rows[key][0] for key in keys]
        if rows:
            proba = model.proba(self.X)[rows]
            best, highest = proba.argmax(axis=1), proba.max(axis=1)
            denied = set(self._state.denied_items())
            told = [at for at, key in enumerate(keys) if key in denied]
            for column, name in enumerate(model.classes):
                own = best == column
                own[[at for at in told if self._is_denied(keys[at], name)]] = False
                counts[repr(name)]["rows"] = int(own.sum())
                counts[repr(name)]["sure"] = int((highest[own] >= _SURE).sum())
        return list(counts.values())

    def accept(self, questions, wrong=(), *, class_=None, seconds=None, annotator=None, uid=None):
        """Say that rows which `confirm` returned are of its class, but for some.

        Parameters
        ----------
        questions : list of Question or int
            All rows that the person saw.
        wrong : list of Question or int, default=()
            Those of them that are not of the class. They stay unlabeled, and
            `confirm` does not show them for this class again.
        class_ : str or int, default=None
            The class. None is that of this annotator's last `confirm`.
        seconds : float, default=None
            Time it took for all of them.
        annotator : str, default=None
            Who says so; None is the session's.
        uid : str, default=None
            As for `tell`.

        Raises
        ------
        ValueError
            If a row was not among those of the last `confirm` and `class_` is
            None, or a wrong row is not among `questions`.
        """
        who = self._who(annotator)
        keys = list(dict.fromkeys(self._key(question) for question in questions))
        out = {self._key(question) for question in wrong}
        if not out <= set(keys):
            stray = self._pool.rows[next(iter(out - set(keys)))][0]
            raise ValueError(f"wrong has row {stray}, which is not among the rows to accept.")
        with self._changing() as append:
            if self._is_known(uid):
                return
            since, grid = self._grids.get(who, (None, {}))
            class_ = None if class_ is None else check_label(class_, self._state.classes)
            stray = [key for key in keys if key not in grid] if class_ is None else []
            if stray:
                row = self._pool.rows[stray[0]][0]
                raise ValueError(
                    f"Row {row} is not among those of the last confirm(); pass class_= to say "
                    "which class it is of."
                )
            if seconds is None and since is not None:
                seconds = _shorter(time.time() - since, len(keys) * _PAUSE)
            each = None if seconds is None else round(seconds / max(1, len(keys)), 3)
            common, events = {"action": uuid4().hex, "seconds": each}, []
            for key in keys:
                label, pairs = grid.get(key, (class_, []))
                label = label if class_ is None else class_
                data = {**common, **self._name(key), "suggestions": pairs}
                if key in out:
                    events.append(_event(uid, "denied", who, key, {**data, "class": label}))
                else:
                    data = {**data, "label": label, "source": "confirm"}
                    events.append(_event(uid, "answered", who, key, data))
                uid = None  # the first event names them all
            append(events)

    def _say(self, kind, question, annotator, seconds, uid, label=None, source=None):
        who, key = self._who(annotator), self._key(question)
        with self._changing() as append:
            if self._is_known(uid):
                return
            data = self._answer(who, key, question, source, seconds)
            now = self._state.current(key, who)
            said = (kind, label, data["source"])
            if now and said == (now.kind, now.data.get("label"), now.data.get("source")):
                return  # the same once more, as from a page that sends again
            if kind == "answered":
                data["label"] = label
            append([_event(uid, kind, who, key, data)])

    def _answer(self, who, key, question, source, seconds):
        """Find why a row was asked and how long it took."""
        asked, now = self._state.asked.get((who, key)), self._state.current(key, who)
        pairs = []
        if source is None and isinstance(question, Question):
            source, pairs = question.source, question.suggestions
        if asked and (source in (None, asked.source)):
            source, pairs = asked.source, asked.suggestions
        if source is None and now:
            source = now.data.get("source")
        last = max(self._last_said.get(who, 0.0), asked.time if asked else 0.0)
        if seconds is None:
            seconds = _shorter(time.time() - last, _PAUSE)
        else:
            check_number(seconds, "seconds", 0)
        return {
            "action": uuid4().hex,
            "source": source or "import",
            "suggestions": [list(pair) for pair in pairs],
            "seconds": None if seconds is None else round(float(seconds), 3),
            **self._name(key),
        }

    def _unconfirmed(self, who):
        with self._lock:
            self._catch_up()
            state = self._state
            waiting = state.asked_to_others(who) | {item for item, _ in state.open_questions(who)}
            free = self._free(who)
            return [key for key in free if key not in waiting and key not in self._reserve]

    def _is_known(self, uid):
        if uid is not None and (not isinstance(uid, str) or not uid):
            raise TypeError(f"uid must be a text that names this call, got {uid!r}.")
        return uid is not None and uid in self._state.uids

    def _is_denied(self, key, class_):
        return any(event.data.get("class") == class_ for event in self._state.denied(key))

    def _key(self, question):
        if not isinstance(question, Question):
            return self._pool.find(question, "question")
        if question.key not in self._pool:
            raise ValueError(
                f"The question about row {question.index} is not about a row of this X."
            )
        return question.key

    def _name(self, key):
        """Keep what a file was called: it is how people and other programs know it."""
        name = self._pool.names[self._pool.rows[key][0]]
        long_text = self._pool.kind == "text" and self._pool.names is self._pool.values
        return {} if name is None or long_text else {"name": name}


def _event(uid, *what, **more):
    return Event(*what, **more) if uid is None else Event(*what, **more, uid=uid)


def _shorter(seconds, limit):
    return seconds if 0 <= seconds <= limit else None
