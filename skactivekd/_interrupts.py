"""Interrupts that nobody swallows."""

import signal
import threading
from contextlib import contextmanager


@contextmanager
def noticed_interrupts():
    """Notice an interrupt even where the code it arrives in swallows the exception.

    Some libraries end training at a KeyboardInterrupt and return the half-trained
    model as if all were well; Python itself drops what is raised in ``__del__``.

    Yields
    ------
    check : callable
        Raises what the handler of SIGINT raised since, if it did. In other threads
        than the main one, where no handler runs, it does nothing.

    Examples
    --------
    >>> import signal
    >>> from skactivekd._interrupts import noticed_interrupts
    >>> try:
    ...     with noticed_interrupts() as check:
    ...         try:
    ...             signal.raise_signal(signal.SIGINT)
    ...         except KeyboardInterrupt:
    ...             pass  # swallowed
    ...         check()
    ... except KeyboardInterrupt:
    ...     print("noticed")
    noticed
    """
    raised = []

    def check():
        if raised:
            raise raised[0]

    previous = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(previous):
        yield check
        return

    def handle(number, frame):
        try:
            previous(number, frame)
        except BaseException as error:
            raised.append(error)
            raise

    try:
        signal.signal(signal.SIGINT, handle)
        yield check
    finally:
        signal.signal(signal.SIGINT, previous)
