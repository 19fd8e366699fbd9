"""The figures of a session: fits that lack labels, made once for the same labels."""

import threading

import numpy as np

from ..utils._labels import find_positions
from ._audit import accuracy, cross_fitted
from ._review import contradicted
from ._stopping_advice import STEP, advise, bound, changes, turning_points, worth


class Figures:
    """Accuracy, curve and advice for the labels of one moment.

    Parameters
    ----------
    student : Student
    X : array-like of n rows
    pool : Pool
    make_y : callable
        Takes a dict of item to label and returns y for X.
    seed : int
    """

    def __init__(self, student, X, pool, make_y, seed):
        self._student, self._X, self._pool = student, X, pool
        self._make_y, self._seed = make_y, seed
        self._lock = threading.RLock()
        self._snapshots, self._latest = {}, (None, None)
        self.tick = lambda: None  # called after each fit
        self._heads = np.array([rows[0] for rows in pool.rows.values()])

    def measure(self, view, fresh=True):
        """Return accuracy, curve, and advice.

        Parameters
        ----------
        view : View
        fresh : bool, default=True
            Whether to fit what is needed; else what was last found.

        Returns
        -------
        figures : dict
        """
        if not fresh:
            return self._latest[1] or _figures(None, [], [], view)
        with self._lock:
            if self._latest[0] != view.version:
                self._latest = view.version, self._measure(view)
            return self._latest[1]

    def contradictions(self, view, items):
        """Return items whose label a student contradicts that did not see it: (item, proba)."""
        n_classes = len(view.classes)
        labels = find_positions([view.labels[item] for item in items], view.classes)
        with self._lock:
            found = contradicted(
                items, labels, lambda hidden: self._without(view, hidden), n_classes, self._seed
            )
        return [(items[place], proba) for place, proba in found]

    def accuracy(self, view):
        """Return the accuracy alone, without what the curve takes."""
        with self._lock:
            if self._latest[0] == view.version:
                return self._latest[1]["accuracy"]
            return self._accuracy(view)

    def _accuracy(self, view):
        audited = [item for item in view.audited if item in view.labels]
        predicted = cross_fitted(lambda hidden: self._classes(view, hidden), audited, self._seed)
        return accuracy(predicted, view.labels, len(view.labels))

    def needs_fits(self, view):
        """Tell whether there is anything to measure: an audit row, or two points to compare."""
        return bool(view.audited) or view.n_counting >= 2 * STEP

    def _measure(self, view):
        if not self.needs_fits(view):
            return _figures(None, [], [], view)
        audited = [item for item in view.audited if item in view.labels]
        now = self._accuracy(view)
        snapshots = self._take_snapshots(view)
        curve = []
        for n, codes in snapshots.items():
            known = {item: view.classes[codes[self._place[item]]] for item in audited}
            point = accuracy(known, view.labels, n)
            if point:
                curve.append(point)
        return _figures(now, curve, changes(snapshots), view)

    def _classes(self, view, hidden):
        proba = self._without(view, hidden)
        return None if proba is None else [view.classes[best] for best in proba.argmax(axis=1)]

    def _without(self, view, hidden):
        """Probabilities of items by a fit that did not see their labels."""
        gone = set(hidden)
        known = {item: label for item, label in view.labels.items() if item not in gone}
        model = self._fit(known, view)
        if model is None:
            return None
        return model.proba(self._X, [self._pool.rows[item][0] for item in hidden])

    def _fit(self, known, view):
        model = self._student.fit(self._X, self._make_y(known), view.classes)
        self.tick()
        return model

    def _take_snapshots(self, view):
        """Predict the pool from the first labels alone, at every turning point of the curve.

        Audit rows are hidden: each point is then measured on all of them, also on those that
        came later. What was confirmed before a label belongs to it, but does not count.
        """
        self._place = {item: place for place, item in enumerate(self._pool.rows)}
        items = [item for item in view.in_order if item not in view.audited]
        counting = [at for at, item in enumerate(items) if item not in view.confirmed]
        kept = {}
        for n in turning_points(len(counting)):
            known = {item: view.labels[item] for item in items[: counting[n - 1] + 1]}
            name = n, tuple(view.classes), hash(tuple(known.items()))
            codes = self._snapshots.get(name)
            if codes is None:
                model = self._fit(known, view)
                if model is not None:
                    codes = model.proba(self._X, self._heads).argmax(axis=1).astype(np.int32)
            if codes is not None:
                kept[name] = codes
        self._snapshots = kept
        return {n: codes for (n, *_), codes in kept.items()}


def _figures(now, curve, changed, view):
    gain = worth(curve, changed)
    stop, advice = advise(changed, bound(now), gain, view.n_counting, view.n_left)
    return {
        "accuracy": now,
        "curve": curve,
        f"next_{STEP}": gain,
        "changed": changed,
        "stop": stop,
        "advice": advice,
    }


class View:
    """What measuring has to know of a session at one moment.

    Parameters
    ----------
    state : State
    pool : Pool
        Items that are not in it are left out.
    n_left : int
        Items that can still be asked.
    """

    def __init__(self, state, pool, n_left):
        self.classes, self.n_left = list(state.classes), n_left
        found = {
            item: verdict
            for item, verdict in state.verdicts.items()
            if verdict.kind == "answered" and item in pool
        }
        self.in_order = sorted(found, key=state.first.__getitem__)
        self.labels = {item: found[item].label for item in self.in_order}
        self.audited = {item for item in found if state.is_audit(item)}
        self.confirmed = {
            item for item, verdict in found.items() if verdict.event.data["source"] == "confirm"
        }
        self.n_counting = len(found.keys() - self.audited - self.confirmed)
        order = hash(tuple(self.in_order))  # may change while the labels stay, as by an undo
        self.version = state.version, order, len(self.audited), self.n_counting, n_left > 0
