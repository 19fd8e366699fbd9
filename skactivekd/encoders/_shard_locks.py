"""Which process makes which shard of a directory: locks that end with whoever holds them."""

import os
import threading
from contextlib import contextmanager

try:
    import fcntl
except ImportError:  # Windows: two processes may compute the same shard, and one file results
    fcntl = None

from ..utils._file_locks import NO_LOCKS

_NAME = ".claims"
# One shard at a time in a process: its model has all cores anyway, and tokenizers bear no second
# thread. A lock between processes knows no threads, and ends when the file is closed by any.
_IN_PROCESS = threading.Lock()


@contextmanager
def claimed(directory, number):
    """Claim a shard for this process.

    Parameters
    ----------
    directory : str
    number : int

    Yields
    ------
    mine : bool or None
        False: another process is at work on it. None: the file system has no locks, so that
        nobody knows.
    """
    with _IN_PROCESS, open(os.path.join(directory, _NAME), "ab") as file:
        yield _lock(file, number)


def _lock(file, number):
    if fcntl is None:
        return None
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
    except OSError as error:
        if error.errno in NO_LOCKS:
            return None
        if isinstance(error, BlockingIOError | PermissionError):
            return False
        raise
    return True
