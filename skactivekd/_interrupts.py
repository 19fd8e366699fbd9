"""Interrupts that nobody swallows."""

import signal
import threading
from contextlib import contextmanager


class Interrupts:
    """What arrived of SIGINT.

    Parameters
    ----------
    handler : callable
        The handler that was there before, which raises KeyboardInterrupt as a rule.
    """

    def __init__(self, handler):
        self._handler = handler
        self._raised, self._holding, self._held = None, False, False

    def handle(self, number, frame):
        """Note what the handler before raises, or that it is to be called later."""
        if self._holding:
            self._held = True
            return
        try:
            self._handler(number, frame)
        except BaseException as error:
            self._raised = error
            raise

    def check(self):
        """Raise what was raised before, in case that it was swallowed."""
        if self._raised is not None:
            raise self._raised

    def hold(self):
        """Keep interrupts until `release`."""
        self._holding = True

    def release(self):
        """Let a kept interrupt happen now."""
        self._holding = False
        if self._held:
            self._held = False
            self.handle(signal.SIGINT, None)


_here = threading.local()


@contextmanager
def stopped_by(event):
    """Let an event end the trainings of this thread as Ctrl-C ends those of the main one.

    A thread that the interpreter's end finds in the middle of a training brings the process down.

    Parameters
    ----------
    event : threading.Event
    """
    _here.event = event
    try:
        yield
    finally:
        _here.event = None


def check_stop():
    """Raise KeyboardInterrupt if the event of this thread is set."""
    event = getattr(_here, "event", None)
    if event is not None and event.is_set():
        raise KeyboardInterrupt


@contextmanager
def noticed_interrupts():
    """Notice an interrupt even where the code it arrives in swallows the exception.

    Some libraries end training at a KeyboardInterrupt and return the half-trained
    model as if all were well; Python itself drops what is raised in ``__del__``.

    Yields
    ------
    interrupts : Interrupts
        In other threads than the main one, where no handler runs, none arrives.

    Examples
    --------
    >>> import signal
    >>> from skactivekd._interrupts import noticed_interrupts
    >>> try:
    ...     with noticed_interrupts() as interrupts:
    ...         try:
    ...             signal.raise_signal(signal.SIGINT)
    ...         except KeyboardInterrupt:
    ...             pass  # swallowed
    ...         interrupts.check()
    ... except KeyboardInterrupt:
    ...     print("noticed")
    noticed
    """
    previous = signal.getsignal(signal.SIGINT)
    interrupts = Interrupts(previous)
    if threading.current_thread() is not threading.main_thread() or not callable(previous):
        yield interrupts
        return
    try:
        signal.signal(signal.SIGINT, interrupts.handle)
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, previous)
        interrupts.release()  # one that was kept when another error ended the block
