"""Which rows to ask, and who is asked which of them."""

import numbers

import numpy as np

from ._any_strategy import choose
from ._audit import is_due
from ._journal import Event
from ._question import Question

_ATTEMPTS = 20  # each fails only where another session was faster


class Asking:
    """The asking half of `LabelingSession`; needs what its constructor makes."""

    def ask(self, n=1, *, annotator=None, take_over=False):
        """Return the next questions.

        Those that await an answer come first, also after a kill or an `undo`;
        only where these are fewer than `n` new ones are drawn. What is drawn
        follows from the journal. Two annotators get different rows, but for the
        share `overlap`.

        Parameters
        ----------
        n : int, default=1
            How many.
        annotator : str, default=None
            Who will answer; None is the session's.
        take_over : bool, default=False
            Whether to ask, when nothing else is left, what awaits the answer of
            others, who may not come back.

        Returns
        -------
        questions : list of Question
            Fewer than `n`, or none, where no more rows are left.

        Raises
        ------
        ValueError
            If the strategy returns no rows to choose from.

        Examples
        --------
        >>> import os, tempfile
        >>> from sklearn.linear_model import LogisticRegression
        >>> from skactivekd import LabelingSession
        >>> folder = tempfile.TemporaryDirectory()
        >>> session = LabelingSession(
        ...     LogisticRegression(), [[0.0], [1.0], [5.0], [6.0]], classes=["low", "high"],
        ...     journal=os.path.join(folder.name, "labels.sqlite"), audit=0,
        ... )
        >>> [question] = session.ask()
        >>> session.ask() == [question]
        True
        >>> session.skip(question)
        >>> session.ask() == [question]
        False
        >>> session.close()
        >>> folder.cleanup()
        """
        who, n = self._who(annotator), self._count(n)
        waiting = self._waiting(who)
        if len(waiting) < n:
            with self._planning:  # one draws at a time; answers need not wait for that
                for _ in range(_ATTEMPTS):
                    waiting = self._waiting(who)
                    if len(waiting) >= n or self._draw(who, n - len(waiting), take_over):
                        break
                waiting = self._waiting(who)
        return [self._question(key, asked.source, asked.suggestions) for key, asked in waiting[:n]]

    def waiting(self, *, annotator=None):
        """Return the questions that await an answer, without drawing new ones.

        Parameters
        ----------
        annotator : str, default=None
            Whose; None is the session's.

        Returns
        -------
        questions : list of Question
            Oldest first, as `ask` would return them.
        """
        waiting = self._waiting(self._who(annotator))
        return [self._question(key, asked.source, asked.suggestions) for key, asked in waiting]

    def _waiting(self, who):
        with self._lock:
            self._catch_up()
            return [pair for pair in self._state.open_questions(who) if pair[0] in self._pool]

    def _draw(self, who, n, take_over):
        """Draw questions and note them; False if another session has changed what is free."""
        model = self._fresh_model()
        with self._lock:
            view = self._view()
            plan, others = self._plan(who, n, take_over)
            n_drawn = self._state.n_drawn
        picks = iter(self._ask_strategy(model, view, plan.count(None), others))
        drawn = [step or (next(picks), "strategy", False) for step in plan]
        shown = self._suggest(
            model, [key for key, source, extra in drawn if not extra and source == "strategy"]
        )
        with self._changing() as append:
            state = self._state
            free = all(extra or self._is_free(key, who) for key, _, extra in drawn)
            if not free or state.n_drawn != n_drawn:
                return False
            events = []
            for key, source, extra in drawn:
                data = {"source": source, "suggestions": shown.get(key, []), "extra": extra}
                data |= {"round": state.rounds + 1, **self._name(key)}
                events.append(Event("asked", who, key, data))
            append(events)
        return True

    def _plan(self, who, n, take_over):
        """Return n steps, (item, source, extra) or None for the strategy, and its candidates."""
        state = self._state
        free = self._free(who)
        taken = state.asked_to_others(who) | {item for item, _ in state.open_questions(who)}
        fresh = [key for key in free if key not in taken]
        if take_over:
            fresh = fresh or [key for key in free if (who, key) not in state.asked]
        fresh = set(fresh)
        audits = [key for key in self._reserve.order if key in fresh]
        others = [key for key in self._pool.rows if key in fresh and key not in self._reserve]
        extras = self._extras(who) if self.overlap else []
        n_drawn, n_asked, n_others = state.n_drawn, state.n_asked.get(who, 0), len(others)
        plan = []
        for _ in range(n):
            if extras and is_due(n_asked, self.overlap):
                key, source = extras.pop(0)
                plan.append((key, source, True))
            elif audits and (is_due(n_drawn, self.audit) or not n_others):
                plan.append((audits.pop(0), "audit", False))
                n_drawn += 1
            elif n_others:
                plan.append(None)
                n_others -= 1
                n_drawn += 1
            else:
                break
            n_asked += 1
        return plan, others

    def _extras(self, who):
        """Return the items that others have labeled and this annotator was not asked for."""
        state = self._state
        found = []
        for key, verdict in state.verdicts.items():
            source = verdict.event.data.get("source")
            if verdict.kind != "answered" or source not in ("strategy", "audit"):
                continue
            said = state.current_all(key)
            if key in self._pool and who not in said and (who, key) not in state.asked:
                found.append((state.first[key], key, source))
        return [(key, source) for _, key, source in sorted(found)]

    def _free(self, who):
        """Items of the pool that have no verdict and were not skipped by this annotator."""
        said, judged = self._state.items(), self._state.verdicts
        return [
            key
            for key in self._pool.rows
            if key not in said or (key not in judged and self._state.current(key, who) is None)
        ]

    def _is_free(self, key, who):
        return key not in self._state.verdicts and self._state.current(key, who) is None

    def _ask_strategy(self, model, view, n, keys):
        """Let the strategy choose among items; by chance as long as there is no student."""
        if not n:
            return []
        rows = np.array([self._pool.rows[key][0] for key in keys])
        seed = [self.random_state % 2**32, len(view.labels)]
        if model is None:
            picks = np.random.default_rng(seed).choice(rows, n, replace=False)
        else:
            y, rows = self._make_y(view.labels), np.sort(rows)
            seed = int(np.random.default_rng(seed).integers(2**31 - 1))
            picks = choose(
                self.strategy, self.X, y, model.estimator, n, rows, self.missing_label, seed
            )
        return [self._pool.keys[row] for row in picks]

    def _suggest(self, model, keys):
        if model is None or not keys:
            return {}
        rows = [self._pool.rows[key][0] for key in keys]
        pairs = model.suggest(self.X, rows, self._n_suggested)
        return {key: [list(pair) for pair in some] for key, some in zip(keys, pairs, strict=True)}

    def _question(self, key, source, suggestions, label=None):
        first, *copies = self._pool.rows[key]
        return Question(first, key, source, [tuple(pair) for pair in suggestions], copies, label)

    def _count(self, n):
        if isinstance(n, bool) or not isinstance(n, numbers.Integral) or n < 1:
            raise ValueError(f"n must be an int of at least 1, got {n!r}.")
        return int(n)
