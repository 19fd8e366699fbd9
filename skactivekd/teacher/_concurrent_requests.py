"""Slow questions side by side, each answer kept as it comes."""

import itertools
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

from ._chat_server import EndpointError, RowRefused, RowUnreadable, Stopped

_IN_A_ROW = 8  # rows that fail one after the other: the server, not the rows


def ask_side_by_side(ask, positions, keep, stop, concurrency, advance=lambda n: None):
    """Ask for rows in threads, and return the refused ones with the reasons.

    ``keep(positions, answers)`` is called in this thread for what is there, before more is asked:
    at most `concurrency` answers are not kept at any moment.
    """
    rows, waiting, bad = iter(positions), {}, {}
    failed, in_a_row, succeeded = None, [], 0
    pool = ThreadPoolExecutor(concurrency)
    try:
        while True:
            for row in itertools.islice(rows, concurrency - len(waiting)):
                waiting[pool.submit(ask, row)] = row
            if not waiting:
                break
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            answers = {}
            for future in done:
                row = waiting.pop(future)
                try:
                    answers[row] = future.result()
                    succeeded, in_a_row = succeeded + 1, []
                except RowRefused as error:
                    bad[row] = str(error)
                    if not isinstance(error, RowUnreadable):
                        in_a_row.append(row)
                except Stopped:
                    pass
                except EndpointError as error:
                    failed = failed or error
            if answers:
                keep(list(answers), list(answers.values()))
            advance(len(done))
            if failed is None and len(in_a_row) >= _IN_A_ROW:
                failed = EndpointError(
                    f"{len(in_a_row)} rows failed one after the other, the last with: "
                    f"{bad[in_a_row[-1]]}. Check url=, model= and extra=."
                )
            if failed is not None:  # what is under way may still come
                stop.set()
                rows = iter(())
    except BaseException:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)  # whoever interrupts does not want to wait
        raise
    pool.shutdown()
    if failed is not None:
        raise EndpointError(f"{failed} {succeeded} of {len(positions)} rows were answered.")
    return bad
