"""What lies between a session and its page: questions at hand, a student that follows."""

import threading
import time
from contextlib import suppress

import numpy as np

from .._interrupts import stopped_by
from ..session._classes import LONGEST, cased_pair, whole_number

_HANDED = 5  # questions that a browser holds, so that pictures of the next ones are there
_LEASE = 90  # seconds for which a question belongs to the browser that shows it
_BEGIN = 4  # seconds to wait for a first student; then questions are drawn by chance
_FEW = 3, 6  # questions at hand below which new ones are drawn, and up to how many, by chance
_MOST = 24  # questions drawn ahead: later ones were chosen by an older student
_IDLE = 1.5  # seconds without an answer after which there is time for figures
_OFTEN = 10  # answers after which figures are due, idle or not
_SHARE = 3  # figures rest so many times as long as they took
_GONE = 600  # seconds after which somebody is not at the page any more
_EXAMPLES = 8
_HISTORY = 40  # answers at hand to be changed
_BRIEF, _CELLS = 160, 3  # characters and cells that tell one answer from another
_PULSE = 3.0  # seconds between looks at what other processes wrote
_STALE = "The pool has changed, and this item is elsewhere or no longer in it. Reload the page."


class LiveSession:
    """Keeps questions ready, the student fitted and the figures fresh, in the background.

    Three threads, since none may wait for another: drawing questions, fitting, and measuring.

    Parameters
    ----------
    session : LabelingSession
        Opened with ``refit=False``.
    items : Items
    """

    def __init__(self, session, items):
        self.session, self.items = session, items
        self._wake, self._halt = threading.Condition(), threading.Event()
        self._stopped, self._threads = False, []
        self._wanted, self._dry, self._leases, self._seen = {}, {}, {}, {}
        self._dirty, self._fitting, self._fitted_once = True, False, False
        self._failed = None  # the error of the last fit
        self._errors = {}  # of each thread: a sentence, or nothing
        self._said, self._measured, self._reviewed = 0, -1, -1
        self._last_said, self._began, self._draw_seconds = 0.0, time.monotonic(), 2.0
        self._review_wanted, self._contradicted, self._sure = False, {}, []

    def start(self):
        """Start the threads, unless they run."""
        with self._wake:
            if self._threads or self._stopped:
                return
            for work in (self._draw, self._fit, self._measure):
                thread = threading.Thread(target=self._run, args=(work,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def stop(self):
        """End the threads; a training under way is given up, as the next start trains anew."""
        self._halt.set()
        with self._wake:
            self._stopped = True
            self._wake.notify_all()
        for thread in self._threads:
            thread.join(timeout=5)

    def questions(self, who, browser):
        """Return the next questions of a browser, without waiting for new ones.

        Two browsers of one name get different ones.
        """
        self.start()
        waiting = self.session.waiting(annotator=who)
        now = time.monotonic()
        with self._wake:
            self._seen[who] = now
            leases = self._leases.setdefault(who, {})
            keys = {question.key for question in waiting}
            for key in [key for key in leases if key not in keys]:
                del leases[key]
            mine = [
                question
                for question in waiting
                if leases.get(question.key, (browser, 0))[0] == browser
                or now - leases[question.key][1] > _LEASE
            ]
            for question in mine[:_HANDED]:
                leases[question.key] = browser, now
            low, high = self._levels()
            rested = now - self._dry.get(who, -np.inf) > _PULSE
            if len(mine) < low and rested:
                self._wanted[who] = len(waiting) + high - len(mine)
                self._wake.notify_all()
        return [self._show(question) for question in mine[:_HANDED]]

    def state(self, who, browser):
        """Return all that the page shows beside the item, as it is now."""
        questions = self.questions(who, browser)
        progress = self.session.progress(fresh=False)
        review = len(self._to_review(self._conflicts()))
        with self._wake:
            student = "fitting" if self._dirty or self._fitting else "ready"
            if student == "ready" and self.session.model is None:
                student = "waiting"
            errors = dict(self._errors)
            dry = who in self._dry
            sure = [{"rows": entry["rows"], "sure": entry["sure"]} for entry in self._sure]
        return {
            "questions": questions,
            "done": not questions and dry,
            "classes": self.session.classes,
            "progress": progress,
            "student": "failed" if errors.get("fit") else student,
            "first": student == "fitting" and self.session.model is None,
            "errors": [errors[name] for name in sorted(errors)],
            "review": review,
            "sure": sure,
            "history": [
                {**entry, "suggestions": [], "show": self._shown(entry["index"], brief=True)}
                for entry in self.session.history(_HISTORY, annotator=who)
            ],
        }

    def answer(self, who, kind, key, label, seconds, uid):
        """Keep what a person says of a row."""
        row, details = self._row(key), {"seconds": seconds, "annotator": who, "uid": uid}
        if kind == "tell":
            self.session.tell(row, label, **details)
        elif kind == "relabel":
            with self._wake:
                question = self._contradicted.get(key, row)
            self.session.relabel(question, label, **details)
            with self._wake:
                self._contradicted.pop(key, None)
        elif kind == "skip":
            self.session.skip(row, **details)
        elif kind == "reject":
            self.session.reject(row, **details)
        else:
            raise ValueError(f"{kind!r} is no answer.")
        self._note(who)

    def undo(self, who, uid):
        """Take an answer back; return the rows that it was about."""
        rows = self.session.undo(annotator=who, uid=uid)
        self._note(who)
        return rows

    def add_class(self, who, name, uid):
        """Add a class, as a number where all of them are; return it."""
        if isinstance(name, str) and (len(name) > LONGEST or not name.isprintable()):
            raise ValueError(f"The name of a class has up to {LONGEST} printable characters.")
        if isinstance(name, str) and not isinstance(self.session.classes[0], str):
            if whole_number(name) is None:
                raise ValueError(f"The classes of this session are numbers, and {name!r} is none.")
            name = whole_number(name)
        if name in self.session.classes:  # two persons may add one at once
            return name
        pair = cased_pair([*self.session.classes, name])
        if pair and pair[1] == name:
            raise ValueError(f"There is a class {pair[0]!r} already: take that.")
        self.session.add_class(name, annotator=who, uid=uid)
        self._note(who)
        return name

    def no_student(self):
        """Say why nothing can be confirmed yet, or return None."""
        if self.session.model is not None:
            return None
        with self._wake:
            learning = self._dirty or self._fitting
        if learning and self.session.progress(fresh=False)["labels"]:
            return "The first student is still learning. Go on answering: the grid comes by itself."
        return "There is no student yet: answer some items first."

    def grid(self, who, class_, n):
        """Return the surest rows of a class, for a look at all of them."""
        questions = self.session.confirm(class_, n, annotator=who)
        return [self._show(question) for question in questions]

    def accept(self, who, class_, keys, wrong, seconds, uid):
        """Keep what a person says of a grid."""
        rows, wrong = ([self._row(key) for key in some] for some in (keys, wrong))
        details = {"class_": class_, "seconds": seconds, "annotator": who, "uid": uid}
        self.session.accept(rows, wrong, **details)
        self._note(who)

    def review(self, who):
        """Return the labels that deserve a second look, and whether there may be more soon."""
        self.start()
        conflicts = self._conflicts()
        with self._wake:
            self._review_wanted = True
            self._wake.notify_all()
            looking = self._reviewed != self._said and "measure" not in self._errors
        found = self._to_review(conflicts)
        shown = []
        for key, question in found.items():
            entry = conflicts.get(key)
            if question is not None:
                shown.append({**self._show(question), "said": {}})
            else:
                shown.append({**self.example(entry["index"], key), "source": "review"})
                shown[-1] |= {"label": entry["label"], "suggestions": []}
            shown[-1]["said"] = entry["labels"] if entry else {}
        return {"questions": shown, "looking": looking}

    def examples(self, class_):
        """Return some rows that are labeled so, spread over them."""
        y = self.session.y
        rows = np.flatnonzero(y == class_)
        if len(rows) > _EXAMPLES:
            rows = rows[np.linspace(0, len(rows) - 1, _EXAMPLES).astype(int)]
        return [self.example(int(row)) for row in rows]

    def example(self, index, key=None):
        """Return what is shown of a row, if it is still the one of a key."""
        self.check_row(index, key)
        return {"index": index, "key": key, "show": self._shown(index)}

    def _show(self, question):
        return {**question.to_dict(), "show": self._shown(question.index)}

    def _shown(self, index, brief=False):
        try:
            shown = self.items.show(index)
        except Exception as error:  # of one row: the others can still be labeled
            return {"error": sentence(error)}
        if brief and "text" in shown:
            return {"text": shown["text"][:_BRIEF]}
        if brief and "values" in shown:
            return {name: shown[name][:_CELLS] for name in ("columns", "values")}
        return shown

    def check_row(self, index, key):
        """Refuse a page of an earlier pool, where another row had this number."""
        if key and self._row(key) != index:
            raise ValueError(_STALE)

    def _row(self, key):
        try:
            return self.session.row_of(key)
        except KeyError:
            raise ValueError(_STALE) from None

    def _conflicts(self):
        found = self.session.agreement()["conflicts"]
        return {entry["key"]: entry for entry in found if not entry["reviewed"]}

    def _to_review(self, conflicts):
        """Items for a second look, the conflicts of persons first, with questions if any."""
        with self._wake:
            contradicted = dict(self._contradicted)
        if contradicted:
            labels = self.session.y
            contradicted = {
                key: question
                for key, question in contradicted.items()
                if labels[question.index] == question.label
            }
        return dict.fromkeys(conflicts) | contradicted

    def _levels(self):
        if self.session.model is None:
            return _FEW
        # A fast person takes a second for an item: so many are gone while new ones are drawn.
        low = int(np.clip(np.ceil(1.5 * self._draw_seconds) + 2, 4, _MOST // 2))
        return low, 2 * low

    def _note(self, who):
        with self._wake:
            self._said += 1
            self._last_said, self._dirty = time.monotonic(), True
            self._dry.pop(who, None)
            self._wake.notify_all()

    def _run(self, work):
        with stopped_by(self._halt), suppress(KeyboardInterrupt):
            while not self._stopped:
                self._turn(work)

    def _turn(self, work):
        try:
            work()
            said = None
        except Exception as error:  # put on the page; the next turn tries again
            said = sentence(error)
        with self._wake:
            self._errors.pop(work.__name__.strip("_"), None)
            if said is not None:
                self._errors[work.__name__.strip("_")] = said
                self._wake.wait(_PULSE)

    def _draw(self):
        with self._wake:
            while not self._wanted and not self._stopped:
                self._wake.wait(_PULSE)
            if self._stopped:
                return
            while not self._fitted_once and time.monotonic() - self._began < _BEGIN:
                self._wake.wait(0.2)
            who, n = next(iter(self._wanted.items()))
            now = time.monotonic()
            others = any(now - seen < _GONE for name, seen in self._seen.items() if name != who)
        started = time.monotonic()
        try:
            drawn = self.session.ask(n, annotator=who, take_over=not others)
        finally:
            with self._wake:
                self._wanted.pop(who, None)
        with self._wake:
            if self.session.model is not None:
                self._draw_seconds = time.monotonic() - started
            if len(drawn) < n:
                self._dry[who] = time.monotonic()

    def _fit(self):
        with self._wake:
            if not self._dirty:
                self._wake.wait(_PULSE)
            if self._stopped:
                return
            news, self._dirty = self._dirty, False
            self._fitting = news  # a look at what others wrote shall not flicker
        if self._failed is not None and not news:
            raise self._failed  # it would fail again
        self._failed = None
        try:
            before = self.session.model
            self.session.fit()
            if news or self.session.model is not before:
                sure = self.session.confirmable()
                with self._wake:
                    self._sure = sure
        except Exception as error:
            self._failed = error
            raise
        finally:
            with self._wake:
                self._fitting, self._fitted_once = False, True
                self._wake.notify_all()

    def _measure(self):
        with self._wake:
            self._wake.wait(0.3)
            idle = time.monotonic() - self._last_said > _IDLE
            said, behind = self._said, self._said - self._measured
            due = self._fitted_once and behind and (idle or behind >= _OFTEN)
            look = self._review_wanted and self._reviewed != said
            look = look or (due and idle and said - self._reviewed >= 2 * _OFTEN)
            if self._stopped or not (due or look):
                return
        started = time.monotonic()
        if due:
            self.session.progress()
            self._measured = said
        if look:
            found = self.session.contradictions()
            with self._wake:
                self._contradicted = {question.key: question for question in found}
                self._reviewed, self._review_wanted = said, False
        with self._wake:
            until = time.monotonic() + _SHARE * (time.monotonic() - started)
            while not self._stopped and time.monotonic() < until:
                self._wake.wait(until - time.monotonic())
                if self._review_wanted and self._reviewed != self._said:
                    break


def sentence(error):
    """Put an error into words for the page."""
    text = str(error).strip() or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}" + (f": {error.filename}" if error.filename else "")
    if not isinstance(error, ValueError | TypeError | OSError | RuntimeError | IndexError):
        text = f"{type(error).__name__}: {text}"
    return text if text.endswith((".", "!", "?")) else f"{text}."
