"""Answers of teachers through a cache: a teacher is asked only for rows that it has not seen."""

import numpy as np
from scipy.sparse import issparse

from .._take_rows import one_column
from ..cache import EmbeddingCache
from ..encoders._inputs import LazyRows, is_lazy
from ..utils._row_identity import RowKeys, identify_sparse_rows, row_keys

# Beside the cache of embeddings, so that neither drops the other's rows, nor waits while the other
# asks a slow server.
ANSWERS = EmbeddingCache()


def check_cache(cache, who):
    """Return the cache that a setting means, None for none; `who` has it, for the error."""
    if cache is None:
        return ANSWERS
    if cache is False:
        return None
    if not isinstance(cache, EmbeddingCache):
        raise TypeError(
            f"{who}: cache={cache!r} must be None (one cache for the process), an EmbeddingCache, "
            "such as EmbeddingCache('answers.sqlite'), or False (no cache)"
        )
    return cache


def answer_keys(X):
    """Return X in a form that can be sliced, and its rows' keys, as encoders have them."""
    if issparse(X):
        return X, RowKeys([digest for _, digest in identify_sparse_rows(X)], {}, None)
    X = LazyRows(X) if is_lazy(X) else X
    return X, row_keys(one_column(X))


def ask_once(owner, keys, ask, cache, *, batch_size, verbose=0, keeps=False):
    """Return float32 answers for rows, asking only for those not kept yet; no cache asks for all.

    ``ask(positions, keep)`` returns them, nan throughout where a row is skipped. What it passes to
    ``keep(positions, answers)`` before outlives the process, whatever becomes of the rest; `keeps`
    says that it does so with all.
    """
    names, files, order = keys

    def keep(positions, answers):
        marked = _mark(answers)
        part = [names[position] for position in positions]
        stamps = {key: files[key] for key in part if key in files}
        cache.fetch(owner, part, marked.__getitem__, files=stamps, batch_size=len(part))

    def ask_marked(positions):
        answers = ask(positions, keep)
        if not keeps and isinstance(owner, str):
            keep(positions, answers)  # now, and not when the cache finds that it is time
        return _mark(answers)

    if cache is None:
        cache = EmbeddingCache(max_bytes=2**62)  # equal rows are one row all the same
    options = {"order": order, "batch_size": batch_size, "verbose": verbose}
    rows = cache.fetch(owner, names, ask_marked, files=files, **options)
    return rows[:, :-1] / rows[:, -1:]


def _mark(answers):
    """Add a column of ones: a cache in half precision returns rows scaled to norm 1."""
    answers = np.asarray(answers, dtype=np.float32)
    return np.column_stack([answers, np.ones(len(answers), dtype=np.float32)])
