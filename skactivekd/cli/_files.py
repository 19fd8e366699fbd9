"""Files that are there whole or not at all."""

import os
import tempfile
from contextlib import contextmanager


@contextmanager
def replacing(path, mode="w", **kwargs):
    """Open a draft beside a file, and put it in the file's place when the block has ended well.

    Parameters
    ----------
    path : str or path
    mode : {"w", "wb"}
    **kwargs
        Of `open`.

    Yields
    ------
    file : file object
    """
    path = os.path.abspath(os.fspath(path))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".draft-")
    try:
        with open(handle, mode, **kwargs) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(draft, 0o666 & ~mask)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
