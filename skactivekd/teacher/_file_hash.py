"""The content of files as a hash."""

import functools
import os
from hashlib import blake2b


def hash_file(path):
    """Hash what a file holds.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    content : bytes of length 16

    Raises
    ------
    OSError
        If it cannot be read.
    """
    hasher = blake2b(digest_size=16, person=b"file")
    with open(path, "rb") as file:
        while block := file.read(2**20):
            hasher.update(block)
    return hasher.digest()


def hash_model_file(path):
    """Hash what a file holds, and read it again only if size or time of change differ."""
    stat = os.stat(path)
    return _hash_stamped(os.path.realpath(path), stat.st_size, stat.st_mtime_ns).hex()


@functools.lru_cache(maxsize=256)
def _hash_stamped(path, size, mtime_ns):
    return hash_file(path)
