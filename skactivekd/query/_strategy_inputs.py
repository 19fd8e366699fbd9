"""What a strategy is told of the rows: which views there are, and whether they fit together."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from .._take_rows import n_rows
from ..utils._proba import check_proba
from ._checks import check_finite, check_labeled, check_same_width
from ._read_rows import take


@dataclass(frozen=True)
class Views:
    """What `QueryStrategy._pick` is told, all of it checked.

    Parameters
    ----------
    n_pool, n_labeled : int
        Rows to choose from, and labeled rows.
    proba_pool, proba_labeled : array or tensor of shape (n_rows, n_classes), or None
        Predicted probabilities.
    features_pool, features_labeled : array, tensor or CSR matrix of shape (n_rows, n_features), \
            or None
        Features of the model.
    y_labeled : array-like of shape (n_labeled,), or None
        Classes of the labeled rows, as columns of the probabilities.
    candidates : ndarray of int64, or None
        Rows of the pool that may be chosen, ascending. None unless the strategy
        looks at the rest of the pool too (``needs_whole_pool``).

    Notes
    -----
    A view is None unless the strategy needs it; those of labeled rows that it
    needs have no rows where nothing is labeled yet.
    """

    n_pool: int
    n_labeled: int = 0
    proba_pool: Any = None
    proba_labeled: Any = None
    features_pool: Any = None
    features_labeled: Any = None
    y_labeled: Any = None
    candidates: Any = None

    def among(self, candidates):
        """Return the same of a pool of some rows only."""
        pools = {name: getattr(self, name) for name in VIEWS if name.endswith("_pool")}
        some = {name: take(rows, candidates) for name, rows in pools.items() if rows is not None}
        return replace(self, n_pool=len(candidates), **some)


VIEWS = tuple(field.name for field in fields(Views))[2:-1]


def check_needs(kind, needs):
    """Refuse what a class of strategies says it needs, unless there are such views."""
    names = [needs] if isinstance(needs, str) else list(needs)
    wrong = [name for name in names if name not in VIEWS]
    if wrong or isinstance(needs, str):
        raise TypeError(
            f"{kind.__name__}.needs must be a tuple of some of {', '.join(VIEWS)}; got {needs!r}."
        )


def check_views(strategy, given, counts=None):
    """Return the views that a strategy needs, checked, of those it is given.

    Parameters
    ----------
    strategy : QueryStrategy
    given : dict
        Views by name; None is what is not given. What the strategy does not
        need is counted only.
    counts : pair of int, default=None
        Rows of the pool and labeled rows. None counts those of the views.

    Returns
    -------
    views : Views

    Raises
    ------
    TypeError
        If a view that it needs is not given.
    ValueError
        If views have different numbers of rows or columns, or a row is faulty.
    """
    given = {name: rows for name, rows in given.items() if rows is not None}
    needed = [name for name in VIEWS if name in strategy.needs]
    n_pool, n_labeled = counts or (_count(given, "pool"), _count(given, "labeled"))
    if counts is None:
        _refuse_missing(strategy, given, needed, "pool")
    if n_labeled:
        _refuse_missing(strategy, given, needed, "labeled")
    checked = {}
    for name in needed:
        rows, pool = given.get(name), checked.get(name.replace("_labeled", "_pool"))
        if name == "features_labeled":
            checked[name] = check_labeled(rows, pool)
        elif name == "features_pool":
            checked[name] = check_finite(rows, name)
        elif name == "proba_labeled" and rows is None and not n_labeled:
            checked[name] = pool[:0]
        elif name.startswith("proba") and rows is not None:
            checked[name] = check_proba(rows, name)
            if name == "proba_labeled":
                check_same_width(pool, "proba_pool", checked[name], name)
        elif name == "y_labeled":
            checked[name] = np.zeros(0, dtype=np.int64) if not n_labeled else rows
    if counts is None:
        _refuse_unequal(given, "pool")
        _refuse_unequal(given, "labeled")
    return Views(n_pool, n_labeled, **checked)


def _refuse_missing(strategy, given, needed, part):
    """Raise TypeError for a view of a part of the rows that is needed and not there."""
    kind, ends = type(strategy).__name__, f"_{part}"
    missing = [
        name
        for name in needed
        if name.endswith(ends) and name not in given and name not in strategy._optional
    ]
    got = " and ".join(name for name in given if name.endswith(ends)) or "nothing of it"
    if missing:
        wanted = ", ".join(f"{name}=..." for name in missing)
        what = "what is labeled" if part == "labeled" else "the pool"
        raise TypeError(
            f"{kind} looks at {' and '.join(missing)}, but of {what} select got {got}. "
            f"Pass them by name: {kind}(...).select({wanted})."
        )
    if part == "pool" and got == "nothing of it":
        raise TypeError(
            f"{kind} has to know how many rows the pool has: pass select(proba_pool=...) or "
            "select(features_pool=...)."
        )


def _count(given, part):
    """Count the rows of the first view of a part."""
    return next((n_rows(given[name], name) for name in given if name.endswith(f"_{part}")), 0)


def _refuse_unequal(given, part):
    """Raise ValueError unless all views of a part have as many rows."""
    counts = {name: n_rows(rows, name) for name, rows in given.items() if name.endswith(f"_{part}")}
    first = next(iter(counts), None)
    for name, count in counts.items():
        if count != counts[first]:
            raise ValueError(f"{first} has {counts[first]} rows but {name} has {count}.")
