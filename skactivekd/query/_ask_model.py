"""Asking a model of the rows that a strategy looks at: once, and of nothing else."""

import copy

import numpy as np
from scipy.sparse import issparse

from .._take_rows import check_row_count, n_rows, take_rows
from ..encoders._unreadable_rows import numbered
from ._ask_proba import ask_proba
from ._features import ask_proba_embed, embed


class Rows:
    """A pool to choose from, and labeled rows to compare with.

    Parameters
    ----------
    X : rows or None
        Where the labeled rows are.
    labeled : ndarray of int
        Their positions in X.
    y : array-like
        Their labels.
    pool : ndarray of int, default=None
        Positions of the pool in X. None: the pool is all of `X_pool`.
    X_pool : rows, default=None
    """

    def __init__(self, X, labeled, y, pool=None, X_pool=None):
        self.X, self.labeled, self.y, self.X_pool = X, labeled, y, X_pool
        self.places = np.arange(n_rows(X_pool)) if pool is None else pool

    def __len__(self):
        return len(self.places)

    def take(self, positions):
        """Return the same with a part of the pool."""
        part = copy.copy(self)
        part.places = self.places[positions]
        return part

    def ask(self, strategy, model):
        """Return what the model says of the rows, by the names of `Views`."""
        kinds = {
            part: {kind for kind in ("proba", "features") if f"{kind}_{part}" in strategy.needs}
            for part in ("pool", "labeled")
        }
        if not len(self.labeled):
            kinds["labeled"] = set()
        if self.X_pool is None and kinds["pool"] and kinds["labeled"]:
            return self._ask_together(strategy, model, kinds)
        known = {}
        if kinds["labeled"]:
            rows = take_rows(self.X, self.labeled)
            with numbered(self.labeled):
                known |= _look(strategy, model, rows, kinds["labeled"], "labeled")
        if kinds["pool"]:
            with numbered(self.places, final=False):
                known |= _look(strategy, model, self._pool(), kinds["pool"], "pool")
        return known

    def _pool(self):
        if self.X_pool is None:
            return take_rows(self.X, self.places)
        whole = len(self.places) == n_rows(self.X_pool)
        return self.X_pool if whole else take_rows(self.X_pool, self.places)

    def _ask_together(self, strategy, model, kinds):
        """Ask of labeled rows and pool in one go, where both are rows of X."""
        together = np.concatenate([self.labeled, self.places])
        rows = take_rows(self.X, together)
        with numbered(together, final=len(self.labeled)):
            known = _look(strategy, model, rows, kinds["pool"] | kinds["labeled"], "both")
        n, parts = len(self.labeled), {}
        for name, view in known.items():
            view, kind = view.tocsr() if issparse(view) else view, name.split("_")[0]
            parts |= {f"{kind}_labeled": view[:n]} if kind in kinds["labeled"] else {}
            parts |= {f"{kind}_pool": view[n:]} if kind in kinds["pool"] else {}
        return parts


def _look(strategy, model, X, kinds, part):
    """Return probabilities, features or both that a model gives for each row of X."""
    if kinds == {"proba", "features"}:
        proba, features = ask_proba_embed(strategy, model, X)
        found = {f"proba_{part}": proba, f"features_{part}": features}
    elif kinds == {"proba"}:
        found = {f"proba_{part}": ask_proba(strategy, model, X)}
    else:
        found = {f"features_{part}": embed(model, X)}
    for view in found.values():
        if hasattr(view, "shape") and len(view.shape):
            check_row_count(view, X, f"The {type(model).__name__}")
    return found
