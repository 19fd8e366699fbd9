"""What the events of a journal amount to."""

import bisect
from collections import namedtuple

Answer = namedtuple("Answer", "time id event")
Asked = namedtuple("Asked", "id time source suggestions extra")
Asked.__doc__ = "A question that went to an annotator; `extra` if others had it before."
Verdict = namedtuple("Verdict", "kind label event")
Verdict.__doc__ = """What holds of an item: "answered" with a label, or "rejected"."""

SAYS = {"answered", "skipped", "rejected"}  # kinds of events of which an annotator's last counts
IMPORT = "import"  # the action of all labels of other programs


class State:
    """A fold over events: it takes them one by one and can tell what holds now.

    Attributes
    ----------
    classes : list of str or int
        In the order in which they were named.
    settings : dict or None
        Those with which the journal was opened first.
    names : dict of str to str
        What an item was called when something was said of it.
    verdicts : dict of str to Verdict
        Items that have one: labeled, or rejected.
    first : dict of str to (float, int)
        When an item got its first answer that stands.
    asked : dict of (str, str) to Asked
        The last question by annotator and item.
    n_drawn : int
        Questions so far but for those of an overlap.
    n_asked : dict of str to int
        Questions by annotator.
    rounds : int
        Calls that drew questions.
    last : int
        Place of the last event.
    version : int
        Another one whenever a fit would see other labels or classes.
    uids : dict of str to Event or None
        Every event that was taken in, by name; None for what says nothing of an item.
    """

    def __init__(self):
        self.classes, self.settings, self.names = [], None, {}
        self.verdicts, self.first, self.asked = {}, {}, {}
        self.n_drawn, self.n_asked, self.rounds, self.last, self.version = 0, {}, 0, 0, 0
        self.uids = {}
        self._answers = {}  # item -> annotator -> list of Answer, in order of time
        self._denied, self._actions, self._undone = {}, {}, set()

    def apply(self, event):
        """Take in one event."""
        self.last = event.id
        self.uids[event.uid] = event if event.kind in {*SAYS, "denied"} else None
        if event.item is not None and event.data.get("name") is not None:
            self.names[event.item] = event.data["name"]
        take = {
            "opened": self._take_opened,
            "class": self._take_class,
            "asked": self._take_asked,
            "denied": self._take_denied,
            "undone": self._take_undone,
        }
        take.get(event.kind, self._take_answer)(event)

    def current(self, item, annotator):
        """Return the event that an annotator's last standing answer on an item is, or None."""
        for answer in reversed(self._answers.get(item, {}).get(annotator, ())):
            if answer.event.data["action"] not in self._undone:
                return answer.event
        return None

    def taken_in(self, item, annotator):
        """Return what files of other programs made an annotator say of an item, by time."""
        answers = self._answers.get(item, {}).get(annotator, ())
        return [answer.event for answer in answers if answer.event.data["action"] == IMPORT]

    def current_all(self, item):
        """Return the current events of all annotators of an item, by annotator."""
        found = {name: self.current(item, name) for name in self._answers.get(item, ())}
        return {name: event for name, event in found.items() if event is not None}

    def standing(self, item):
        """Yield all answers on an item that were not undone."""
        for answers in self._answers.get(item, {}).values():
            for answer in answers:
                if answer.event.data["action"] not in self._undone:
                    yield answer

    def items(self):
        """Return the items of which something is said."""
        return self._answers.keys()

    def denied(self, item):
        """Return the events that say of an item which class it is not of."""
        events = self._denied.get(item, ())
        return [event for event in events if event.data["action"] not in self._undone]

    def denied_items(self):
        """Return the items of which it was said that they are not of some class."""
        return self._denied.keys()

    def last_action(self, annotator):
        """Return what `undo` would undo: its name and its events; (None, []) for nothing."""
        for action, events in reversed(self._actions.get(annotator, {}).items()):
            if action in (*self._undone, IMPORT):
                continue
            if not events[0].data.get("imported"):
                return action, events
        return None, []

    def latest(self, annotator):
        """Yield the answers of an annotator that hold, one for each item, the latest first."""
        seen = set()
        for events in reversed(self._actions.get(annotator, {}).values()):
            for event in reversed(events):
                if event.item in seen or event.kind not in SAYS:
                    continue
                if self.current(event.item, annotator) is event:
                    seen.add(event.item)
                    yield event

    def open_questions(self, annotator):
        """Return pairs (item, Asked) that await this annotator's answer, oldest first."""
        waiting = []
        for (name, item), asked in self.asked.items():
            if name != annotator or self.current(item, name) is not None:
                continue
            verdict = self.verdicts.get(item)
            if verdict is None or (asked.extra and verdict.kind != "rejected"):
                waiting.append((item, asked))
        return sorted(waiting, key=lambda pair: pair[1].id)

    def asked_to_others(self, annotator):
        """Return the items that await an answer of somebody else."""
        others = {name for name, _ in self.asked} - {annotator}
        return {item for name in others for item, _ in self.open_questions(name)}

    def is_audit(self, item):
        """Tell whether an item was answered without a suggestion, as a random draw."""
        return any(
            answer.event.kind == "answered" and answer.event.data.get("source") == "audit"
            for answer in self.standing(item)
        )

    def _take_opened(self, event):
        if self.settings is None:
            self.settings = event.data

    def _take_class(self, event):
        if event.data["name"] not in self.classes:
            self.classes.append(event.data["name"])
            self.version += 1

    def _take_asked(self, event):
        data, who = event.data, event.annotator
        extra = bool(data.get("extra"))
        # What a file that is no export brought in once must not keep a journal from being read.
        suggestions = [tuple(pair) for pair in data.get("suggestions", ())]
        asked = Asked(event.id, event.time, data.get("source"), suggestions, extra)
        self.asked[who, event.item] = asked
        self.n_drawn += not extra
        self.n_asked[who] = self.n_asked.get(who, 0) + 1
        number = data.get("round", 0)
        self.rounds = max(self.rounds, number if isinstance(number, int) else 0)

    def _take_answer(self, event):
        if event.kind not in SAYS:  # of a later version: what it says here is not known
            return
        answers = self._answers.setdefault(event.item, {}).setdefault(event.annotator, [])
        bisect.insort(answers, Answer(event.time, event.id, event), key=lambda each: each[:2])
        self._note(event)
        self._judge(event.item)

    def _take_denied(self, event):
        self._denied.setdefault(event.item, []).append(event)
        self._note(event)

    def _take_undone(self, event):
        action = event.data["action"]
        if action == IMPORT:  # what came from files is left alone, the next file's labels too
            return
        self._undone.add(action)
        for said in self._actions.get(event.annotator, {}).get(action, ()):
            self._judge(said.item)

    def _note(self, event):
        actions = self._actions.setdefault(event.annotator, {})
        actions.setdefault(event.data["action"], []).append(event)

    def _judge(self, item):
        """Find what holds of an item where its annotators may differ."""
        before = self.verdicts.pop(item, None)
        self.first.pop(item, None)
        events = [event for event in self.current_all(item).values() if event.kind != "skipped"]
        if events:
            events.sort(key=lambda event: (event.time, event.id))
            self.verdicts[item] = verdict(events)
            self.first[item] = min(
                answer[:2] for answer in self.standing(item) if answer.event.kind != "skipped"
            )
        self.version += (before or ())[:2] != self.verdicts.get(item, ())[:2]


def verdict(events):
    """Decide between the last answers of annotators, given from the oldest to the newest.

    The last review counts; without one what most say, and the newest of these on a tie.
    """
    reviews = [event for event in events if event.data.get("source") == "review"]
    votes = {}
    for event in reviews[-1:] or events:
        said = event.kind, event.data.get("label")
        votes.setdefault(said, []).append(event)
    newest = max(votes.values(), key=lambda voters: (len(voters), voters[-1].time, voters[-1].id))
    return Verdict(newest[-1].kind, newest[-1].data.get("label"), newest[-1])
