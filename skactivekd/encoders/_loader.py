"""Batches of prepared rows: threads make the next one while the model computes."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


def load_batches(prepare, rows, batch_size, n_workers):
    """Prepare rows batch by batch, one batch ahead of whoever takes them.

    Parameters
    ----------
    prepare : callable
        From row index to whatever is made of it. It may raise.
    rows : sequence of int
    batch_size : int
        Rows per batch; the last one may hold fewer.
    n_workers : int
        Threads; 0 prepares each batch when it is asked for, in the thread
        that asks.

    Yields
    ------
    batch : dict of int to object
        Row index to what `prepare` made of it, or the exception it raised.

    Examples
    --------
    >>> from skactivekd.encoders._loader import load_batches
    >>> list(load_batches(lambda row: 1 / row, [0, 1, 2], batch_size=2, n_workers=1))
    [{0: ZeroDivisionError('division by zero'), 1: 1.0}, {2: 0.5}]
    """

    def attempt(row):
        try:
            return prepare(row)
        except Exception as error:
            return error

    batches = (rows[start : start + batch_size] for start in range(0, len(rows), batch_size))
    if n_workers == 0:
        yield from ({row: attempt(row) for row in batch} for batch in batches)
        return
    with _workers(n_workers) as pool:
        ahead = deque()
        for batch in batches:
            ahead.append({row: pool.submit(attempt, row) for row in batch})
            if len(ahead) > 1:
                yield _results(ahead.popleft())
        while ahead:
            yield _results(ahead.popleft())


def _results(futures):
    return {row: future.result() for row, future in futures.items()}


@contextmanager
def _workers(n_workers):
    pool = ThreadPoolExecutor(n_workers, thread_name_prefix="skactivekd-loader")
    try:
        yield pool
    finally:  # an interrupt waits for the rows in hand only
        pool.shutdown(wait=True, cancel_futures=True)


def good_batches(batches, bad, reason, error, on_error):
    """Sort out what could not be prepared.

    Parameters
    ----------
    batches : iterable of dict
        From `load_batches`.
    bad : dict of int to str
        Rows known to be bad and their reasons; those that are found are
        added.
    reason : callable
        From row index and exception to the reason.
    error : subclass of RowError
        What to raise.
    on_error : {"raise", "skip"}

    Yields
    ------
    batch : list
        What was made of the good rows. Where bad rows raise, nothing is
        yielded once one is known; the rest is only prepared to name them all.

    Raises
    ------
    RowError
        After the last batch, if rows are bad and not to be skipped.

    Examples
    --------
    >>> from skactivekd.encoders._errors import ImageError
    >>> from skactivekd.encoders._loader import good_batches
    >>> batches, bad = [{0: "a", 1: OSError("lost")}, {2: "c"}], {}
    >>> list(good_batches(batches, bad, lambda row, error: str(error), ImageError, "skip")), bad
    ([['a'], ['c']], {1: 'lost'})
    """
    for batch in batches:
        failed = {row: made for row, made in batch.items() if isinstance(made, Exception)}
        bad.update((row, reason(row, made)) for row, made in failed.items())
        good = [made for row, made in batch.items() if row not in failed]
        if good and not (bad and on_error == "raise"):
            yield good
    if bad and on_error == "raise":
        raise error(bad, "cannot be read")
