"""What identifies a file of a row or a model: its state, and a hash of what it holds."""

import hashlib
import os
import stat
import threading
import time
from collections import OrderedDict

# A change within one tick of the clock that dates files leaves the date as it is. Linux ticks
# every 1 to 10 ms; file systems without fractions of seconds (FAT, old NFS) every 2 s.
_TICK, _COARSE_TICK = 0.02, 2.0
_SIZE = 16  # bytes of a hash: no two of a billion files will share one


def stamp_status(status):
    """Tell one state of a file from another: nobody can set ctime, and a file put in place of
    another has its own inode.
    """
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns


def stamp_file(path):
    """Name the state of a file at a place without reading it; None where there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return repr((os.path.abspath(os.fspath(path)), *stamp_status(status)))


def stamp_path(path, limit):
    """Name the state of a file, or of all files in a folder; None where there is nothing.

    It is "too many" for a folder of more than `limit` files.
    """
    if not os.path.isdir(path):
        return stamp_file(path)
    stamps = []
    for folder, _, names in os.walk(path):
        stamps += [stamp_file(os.path.join(folder, name)) for name in names]
        if len(stamps) > limit:
            return "too many"
    return repr(sorted(filter(None, stamps)))


def hash_file(path):
    """Hash what a file holds, in 16 bytes.

    One that was changed a moment ago is read a moment later: a further change might not show.
    """
    with open(path, "rb") as file:
        _wait_for_tick(os.fstat(file.fileno()))
        return hashlib.file_digest(file, "sha256").digest()[:_SIZE]


def hash_content(content):
    """Hash bytes as `hash_file` hashes a file that holds them."""
    return hashlib.sha256(content).digest()[:_SIZE]


def settle_file(path):
    """Name the state of a file like `stamp_file`, once a further change would show in it."""
    _wait_for_tick(os.stat(path))
    return stamp_file(path)


def _wait_for_tick(status):
    tick = _TICK if status.st_ctime_ns % 10**9 else _COARSE_TICK
    age = time.time() - status.st_ctime_ns / 1e9
    if age < tick:  # also if its clock runs ahead of ours
        time.sleep(min(tick, tick - age))


_HASHING = threading.Lock()  # a second thread waits for the hash instead of reading too
_HASHES = OrderedDict()  # path and state: what a model's file holds
_MOST_HASHES = 4096


def hash_model_file(*paths, cache=None):
    """Hash what files hold, in their order; each is read again only if its state differs.

    What an `EmbeddingCache` knows of files from other processes is not read either.
    """
    with _HASHING:
        found = [_hash_known(os.path.realpath(path), cache) for path in paths]
    return found[0].hex() if len(found) == 1 else hashlib.sha256(b"".join(found)).hexdigest()


def _hash_known(path, cache):
    key = path, stamp_status(os.stat(path))
    if key not in _HASHES:
        while len(_HASHES) >= _MOST_HASHES:
            _HASHES.popitem(last=False)
        remembers = getattr(cache, "path", None) is not None
        _HASHES[key] = cache.hash_file(path) if remembers else hash_file(path)
    return _HASHES[key]
