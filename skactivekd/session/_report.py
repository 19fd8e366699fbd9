"""What a session can tell of itself."""

import itertools
import math
import statistics

from ._exchange import read_events, write_events
from ._review import agreement


class Reports:
    """The telling half of `LabelingSession`; needs what its constructor makes."""

    def progress(self, *, fresh=True):
        """Return where the labeling stands, in what JSON knows.

        Parameters
        ----------
        fresh : bool, default=True
            Whether to fit what accuracy and curve need for the labels so far:
            five fits, and one for each new point of the curve. False gives these
            figures as they were found last, at once.

        Returns
        -------
        progress : dict
            - "labels", "rejected", "skipped", "left": items, of "items" in the pool
              and "rows" of X; "elsewhere": labels of items that are not in X;
            - "by_class": list of {"class", "labels"}, "by_source": dict;
            - "rounds": draws of questions so far;
            - "minutes": time spent answering, "seconds_per_label": median;
            - "accuracy": {"accuracy", "low", "high", "n", "labels"} on the n audit
              rows, with Wilson's interval at 95 %; None before there is one;
            - "curve": list of the same for models of the first labels alone, which
              count neither audit rows nor confirmed ones;
            - "next_50": what 50 more labels are worth, in accuracy, or None;
            - "changed": shares of the pool whose predicted class changed with the
              last 50 labels, and with the 50 before them;
            - "stop", "advice": whether to stop, and why. The rule: both shares are
              at most 1 %, or a tenth of the errors (by "accuracy", from ten audit
              rows on) if that is more, so that neither can have brought more.
        """
        view = self._view()
        figures = self._figures.measure(view, fresh)
        with self._lock:
            state = self._state
            said = [key for key in state.items() if key in self._pool]
            current = [event for key in said for event in state.current_all(key).values()]
            rejected = sum(
                state.verdicts[key].kind == "rejected" for key in said if key in state.verdicts
            )
            skipped = sum(
                key not in state.verdicts and bool(state.current_all(key)) for key in said
            )
            elsewhere = sum(key not in self._pool for key in state.verdicts)
            sources = [state.verdicts[key].event.data.get("source") for key in view.labels]
        seconds = [event.data.get("seconds") for event in current]
        seconds = [value for value in seconds if value is not None]
        labels = list(view.labels.values())
        return {
            "labels": len(labels),
            "rejected": rejected,
            "skipped": skipped,
            "left": view.n_left,
            "elsewhere": elsewhere,
            "items": len(self._pool.rows),
            "rows": self._pool.n,
            "by_class": [{"class": name, "labels": labels.count(name)} for name in view.classes],
            "by_source": {source: sources.count(source) for source in sorted(set(sources))},
            "rounds": state.rounds,
            "minutes": math.fsum(seconds) / 60,
            "seconds_per_label": statistics.median(seconds) if seconds else None,
            **figures,
        }

    def agreement(self):
        """Compare annotators on what several of them labeled.

        Returns
        -------
        agreement : dict
            - "labels": items labeled by each annotator;
            - "pairs": list of {"annotators", "n", "agree", "kappa"}; kappa is
              Cohen's, None where it is undefined;
            - "conflicts": list of {"index", "key", "labels", "label", "reviewed"}: what
              each annotator says, what counts, and whether a review says so.
        """
        with self._lock:
            self._catch_up()
            items = [key for key in self._pool.rows if key in self._state.items()]
            labels, pairs, conflicts = agreement(self._state, items)
            found = []
            for key, said in conflicts:
                holds = self._state.verdicts.get(key)
                found.append(
                    {
                        "index": self._pool.rows[key][0],
                        "key": key,
                        "labels": said,
                        "label": holds and holds.label,
                        "reviewed": bool(holds) and holds.event.data.get("source") == "review",
                    }
                )
        return {"labels": labels, "pairs": pairs, "conflicts": found}

    def contradictions(self, n=None):
        """Return labels that deserve a second look: a student contradicts them.

        The student is fitted five times without a fifth of the labels, and asked
        for those by confident learning. What was reviewed is not among them.

        Parameters
        ----------
        n : int, default=None
            Most rows to return; None is all.

        Returns
        -------
        questions : list of Question
            The least likely labels first; `relabel` takes the answer, also that
            the label is right.
        """
        view = self._view()
        found = self._figures.contradictions(view, view.in_order)
        with self._lock:
            questions = []
            for key, proba in found:
                verdict = self._state.verdicts.get(key)
                if verdict is None or verdict.event.data.get("source") == "review":
                    continue
                order = (-proba).argsort(kind="stable")[: self._n_suggested]
                pairs = [(view.classes[best], round(float(proba[best]), 6)) for best in order]
                questions.append(self._question(key, "review", pairs, verdict.label))
        return questions if n is None else questions[: self._count(n)]

    def history(self, n=None, *, annotator=None):
        """Return what an annotator said that still holds, the latest first.

        Parameters
        ----------
        n : int, default=None
            Most items to return; None is all.
        annotator : str, default=None
            Whose answers; None is the session's.

        Returns
        -------
        history : list of dict
            - "index", "key": the row;
            - "kind": "answered", "skipped" or "rejected";
            - "label": None but for "answered"; "source": why it was asked;
            - "suggestions": pairs (class, probability) that were shown with the
              question, the likeliest first; empty where none was;
            - "time": seconds since 1970.
        """
        who = self._who(annotator)
        n = None if n is None else self._count(n)
        with self._lock:
            self._catch_up()
            events = itertools.islice(
                (event for event in self._state.latest(who) if event.item in self._pool), n
            )
            return [
                {
                    "index": self._pool.rows[event.item][0],
                    "key": event.item,
                    "kind": event.kind,
                    "label": event.data.get("label"),
                    "source": event.data.get("source"),
                    "suggestions": self._shown(who, event.item),
                    "time": event.time,
                }
                for event in events
            ]

    def _shown(self, who, key):
        asked = self._state.asked.get((who, key))
        return [] if asked is None else [tuple(pair) for pair in asked.suggestions or ()]

    def report(self):
        """Return a summary for people.

        Returns
        -------
        text : str
        """
        now, people = self.progress(), self.agreement()
        lines = [
            f"{now['labels']} of {now['items']} items labeled, {now['rejected']} rejected, "
            f"{now['skipped']} skipped, in {now['rounds']} rounds and {now['minutes']:.0f} minutes"
            + (f" ({now['seconds_per_label']:.1f} s each)." if now["seconds_per_label"] else "."),
        ]
        accuracy = now["accuracy"]
        lines.append(
            "Accuracy: no audit row is answered yet."
            if accuracy is None
            else f"Accuracy: {accuracy['accuracy']:.1%}, between {accuracy['low']:.1%} and "
            f"{accuracy['high']:.1%} (95 %), on {accuracy['n']} random rows."
        )
        lines.append(now["advice"])
        for pair in people["pairs"]:
            kappa = "undefined" if pair["kappa"] is None else f"{pair['kappa']:.2f}"
            lines.append(
                f"{' and '.join(pair['annotators'])} agree on {pair['agree']:.0%} of {pair['n']} "
                f"items (kappa {kappa})."
            )
        if people["conflicts"]:
            lines.append(
                f"{len(people['conflicts'])} items have different labels; see agreement()."
            )
        return "\n".join(lines)

    def export(self, path, *, suggest=True):
        """Write what persons said to a file.

        Parameters
        ----------
        path : str or path
            ``.csv``: one line for what each annotator says of an item. ``.jsonl``:
            the whole journal, one event a line. ``.json``: tasks of Label Studio,
            all items, with annotations and predictions. Without a suffix: a folder
            of Hugging Face ``datasets``, as ``.csv``.
        suggest : bool, default=True
            Whether ``.json`` holds the student's predictions.

        Raises
        ------
        ValueError
            If the suffix is another one.
        ImportError
            If ``datasets`` is needed and not installed.
        """
        model = self._fresh_model() if suggest and str(path).endswith(".json") else None
        if model is not None:
            model.proba(self.X)  # now, so that nobody's answer waits for it below
        with self._lock:
            self._catch_up()
            events = self._journal.read()
            write_events(path, events, self._state, self._pool, self.X, model)

    def import_labels(self, path, *, annotator=None, new_classes=False):
        """Add what a file says to the journal.

        What `export` wrote comes back as it was, with annotators, skips and times,
        and nothing twice; what else has the columns "label" and one of "key",
        "index", "id", "path", "file", "image", "audio", "video" or "text" comes as
        labels. Labels of rows that X does not have are kept where the file names
        their key.

        Parameters
        ----------
        path : str or path
            As for `export`; a ``.json`` file may come from Label Studio, with
            choices.
        annotator : str, default=None
            Who said so, where the file does not tell.
        new_classes : bool, default=False
            Whether labels of other programs that are no classes become such.

        Returns
        -------
        counts : dict
            "imported": events that are new; "known": those that were there;
            "unmatched": labels of rows that were not found.

        Raises
        ------
        ValueError
            If the file is something else, or a label is no class. Then nothing
            of it is imported.
        """
        who = self._who(annotator)
        with self._changing() as append:
            events, counts = read_events(
                path, self._state, self._pool, who, new_classes, self.missing_label
            )
            append(events)
        return counts
