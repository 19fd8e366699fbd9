"""Where people differ, from each other and from a confident student."""

import itertools
import warnings

import numpy as np
from sklearn.metrics import cohen_kappa_score

from ._audit import grouped_folds

_LEAST = 10  # labels; with fewer a cross-validated student knows too little to contradict
_PER_CLASS = 3  # so that the student which is asked saw two of the class
_FOLDS = 5


def agreement(state, items):
    """Compare annotators on the items that several of them labeled.

    Parameters
    ----------
    state : State
    items : iterable of str

    Returns
    -------
    labels : dict of str to int
        Items labeled by each annotator.
    pairs : list of dict
        With "annotators", "n", "agree" and "kappa" (Cohen's; None where it is undefined).
    conflicts : list of (str, dict)
        Items whose annotators differ, with the label of each.
    """
    given, conflicts = {}, []
    for item in items:
        said = {
            name: event.data["label"]
            for name, event in sorted(state.current_all(item).items())
            if event.kind == "answered"
        }
        for name, label in said.items():
            given.setdefault(name, {})[item] = label
        if len({repr(label) for label in said.values()}) > 1:
            conflicts.append((item, said))
    pairs = []
    for one, other in itertools.combinations(sorted(given), 2):
        both = [item for item in given[one] if item in given[other]]
        if both:
            first, second = ([repr(given[name][item]) for item in both] for name in (one, other))
            pairs.append(
                {
                    "annotators": [one, other],
                    "n": len(both),
                    "agree": float(np.mean([a == b for a, b in zip(first, second, strict=True)])),
                    "kappa": _kappa(first, second),
                }
            )
    return {name: len(labels) for name, labels in sorted(given.items())}, pairs, conflicts


def _kappa(first, second):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # one class alone: undefined, which None says
        kappa = float(cohen_kappa_score(first, second))
    return None if np.isnan(kappa) else kappa


def contradicted(items, labels, proba_without, n_classes, seed):
    """Find labels that a student contradicts which did not see them.

    Confident learning [1]_: the threshold of a class is the mean probability that its
    labeled items give it; a label is contradicted if the likeliest of the classes that reach
    their thresholds is another one.

    Parameters
    ----------
    items : list of str
    labels : ndarray of int
        Their classes, as columns.
    proba_without : callable
        Takes items whose labels are to be hidden, returns their probabilities, or None.
    n_classes, seed : int

    Returns
    -------
    found : list of (int, ndarray)
        Positions in `items` and probabilities, those first whose label is the least likely
        beside the best other class.

    References
    ----------
    .. [1] C. G. Northcutt, L. Jiang, I. L. Chuang. "Confident learning: estimating
       uncertainty in dataset labels". JAIR 70, 2021. arXiv:1911.00068. Formula: section 3.1.
    """
    if len(items) < _LEAST:
        return []
    folds = grouped_folds(items, labels.tolist(), _FOLDS, seed)
    proba = np.zeros((len(items), n_classes))
    for fold in range(_FOLDS):
        rows = np.flatnonzero(folds == fold)
        known = proba_without([items[row] for row in rows]) if len(rows) else None
        if known is None:
            return []
        proba[rows] = known
    counts = np.bincount(labels, minlength=n_classes)
    own = proba[np.arange(len(items)), labels]
    sums = np.bincount(labels, weights=own, minlength=n_classes)
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    reached = np.where(proba >= thresholds, proba, -1.0)
    best = reached.argmax(axis=1)
    against = (reached.max(axis=1) > 0) & (best != labels) & (counts[labels] >= _PER_CLASS)
    rows = np.flatnonzero(against)
    margin = own[rows] - proba[rows, best[rows]]
    return [(int(row), proba[row]) for row in rows[np.argsort(margin, kind="stable")]]
