"""How many rows a model was really asked, wherever below that happens."""

from contextlib import contextmanager
from contextvars import ContextVar

COUNTS = ContextVar("counts of the blocks around", default=())


class Asked:
    """Rows that were asked in a block."""

    def __init__(self):
        self.rows = 0


@contextmanager
def counting():
    """Yield an object whose `rows` grow by the rows asked inside; known ones do not count."""
    asked = Asked()
    token = COUNTS.set((*COUNTS.get(), asked))
    try:
        yield asked
    finally:
        COUNTS.reset(token)


@contextmanager
def counted_as(n):
    """Count n rows for a block, whatever is asked inside of it."""
    count_asked(n)
    token = COUNTS.set(())
    try:
        yield
    finally:
        COUNTS.reset(token)


def count_asked(n):
    """Tell the blocks around that n rows were asked."""
    for asked in COUNTS.get():
        asked.rows += n
