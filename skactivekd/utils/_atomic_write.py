"""Files that are there whole or not at all."""

import glob
import os
import tempfile
from contextlib import contextmanager, suppress


@contextmanager
def replacing(path, mode="w", **kwargs):
    """Open a draft beside a file, and put it in the file's place when the block has ended well.

    `kwargs` are those of `open`.
    """
    path = os.path.abspath(os.fspath(path))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=os.path.dirname(path), prefix=_prefix(path))
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


def remove_drafts(path):
    """Remove what processes that were killed have left of a file; nobody may be writing it."""
    folder = glob.escape(os.path.dirname(os.path.abspath(path)))
    for draft in glob.glob(os.path.join(folder, glob.escape(_prefix(path)) + "*")):
        with suppress(OSError):
            os.unlink(draft)


def _prefix(path):
    return f".draft-{os.path.basename(path)[:100]}-"
