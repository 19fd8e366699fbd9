"""What an encoder's `_embed_image` and its kin give: checked, of norm 1, in the places of X."""

import numbers

import numpy as np


def unit_rows(answer, X, name, strict):
    """Bring embeddings of the good rows to norm 1 and to their places in X; bad rows are nan.

    Parameters
    ----------
    answer : tuple of embeddings of the good rows, and a dict of the bad ones to the reasons
        None stands for no embeddings, where no row is good, or bad ones raise anyway.
    X : samples
    name : str
        Whose answer it is.
    strict : bool
        Whether bad rows raise.

    Returns
    -------
    rows : ndarray of float32 of shape (n, d), or None
    bad : dict of int to str
        Those too whose embedding is of no use.
    unusable : bool
        Whether there are such.
    """
    rows, bad = _check_answer(answer, X, name, strict)
    if rows is None:
        return None, bad, False
    n_bad = len(bad)
    rows = _place(rows, bad, len(rows) + n_bad)
    return rows, bad, len(bad) > n_bad


def _check_answer(answer, X, name, strict):
    if not isinstance(answer, tuple) or len(answer) != 2 or not isinstance(answer[1], dict):
        raise TypeError(
            f"{name} must return two things: the embeddings of the good rows, and a dict of the "
            f"other rows with the reasons, empty if there is none; got {_describe(answer)}."
        )
    rows, bad = answer
    if rows is None and strict and bad:
        return None, bad
    rows = np.asarray([] if rows is None else rows, dtype=np.float32)
    if not rows.size and rows.ndim != 2:
        rows = rows.reshape(0, 0)  # as wide as nobody knows
    if rows.ndim != 2:
        raise ValueError(f"{name} returned embeddings of shape {rows.shape}, and not (n_good, d).")
    n = X.shape[0] if getattr(X, "shape", ()) else len(X) if hasattr(X, "__len__") else None
    if not isinstance(n, numbers.Integral):  # a stream, which only the encoder has counted
        return rows, bad
    if len(rows) + len(bad) != n:
        raise ValueError(
            f"{name} returned {len(rows)} embeddings and {len(bad)} bad rows for {n} rows; each "
            "row has either."
        )
    strange = [row for row in bad if row not in range(n)]
    if strange:
        raise ValueError(f"{name} names bad rows {strange[:3]}, but they are 0 to {n - 1}.")
    return rows, bad


def _describe(answer):
    if isinstance(answer, tuple):
        return "(" + ", ".join(type(part).__name__ for part in answer) + ")"
    return type(answer).__name__


def _place(embeddings, bad, n):
    norms = np.sqrt(np.einsum("ij,ij->i", embeddings, embeddings))
    good = np.array([row for row in range(n) if row not in bad], dtype=np.intp)
    usable = np.isfinite(norms) & (norms > 0)
    for i in np.flatnonzero(~usable):
        bad[int(good[i])] = f"the model gives it an embedding of norm {norms[i]:g}"
    unit = embeddings[usable] / norms[usable, None]
    if len(unit) == n:
        return unit
    rows = np.full((n, embeddings.shape[1]), np.nan, dtype=np.float32)
    rows[good[usable]] = unit
    return rows
