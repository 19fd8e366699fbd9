"""How many rows a model was really asked, wherever below that happens."""

from contextlib import contextmanager
from contextvars import ContextVar

_COUNTS = ContextVar("counts of the blocks around", default=())


class Asked:
    """Rows that were asked in a block."""

    def __init__(self):
        self.rows = 0


@contextmanager
def counting():
    """Yield an object whose `rows` grow by the rows asked inside; known ones do not count."""
    asked = Asked()
    token = _COUNTS.set((*_COUNTS.get(), asked))
    try:
        yield asked
    finally:
        _COUNTS.reset(token)


@contextmanager
def counted_as(n):
    """Count n rows for a block, whatever is asked inside of it."""
    count_asked(n)
    token = _COUNTS.set(())
    try:
        yield
    finally:
        _COUNTS.reset(token)


def count_asked(n):
    """Tell the blocks around that n rows were asked."""
    for asked in _COUNTS.get():
        asked.rows += n
