"""Embeddings in the memory of this process."""

import time
from collections import OrderedDict

import numpy as np


class MemoryStore:
    """Rows by owner and key; those used longest ago are dropped first.

    Parameters
    ----------
    dtype : dtype
        Of the rows.
    max_bytes : int, default=2**29
        Most bytes of rows kept.
    """

    place = "memory"

    def __init__(self, dtype, max_bytes=2**29):
        self.dtype, self.max_bytes = np.dtype(dtype), max_bytes
        self.clear()

    def read(self, owner, keys):
        """Return the positions in `keys` of the rows kept, and these rows."""
        kept, parts = [], []
        for position, key in enumerate(keys):
            entry = self._rows.get((owner, key))
            if entry is not None:
                self._rows.move_to_end((owner, key))
                kept.append(position)
                parts.append(entry[0])
        if len(set(map(len, parts))) > 1:
            raise ValueError(WIDTHS)
        rows = np.frombuffer(bytearray().join(parts), dtype=self.dtype)  # can be written to
        return np.array(kept, dtype=np.intp), rows.reshape(len(kept), -1 if kept else 0)

    def write(self, owner, keys, rows, files):
        """Keep rows, and what was found in files; return how many rows are new."""
        now, before = time.time(), len(self._rows)
        for key, row in zip(keys, rows, strict=True):
            self._n_bytes += row.nbytes - len(self._rows.pop((owner, key), (b"",))[0])
            self._rows[owner, key] = row.tobytes(), now
        added = len(self._rows) - before
        self._files.update(files)
        self.prune(max_bytes=self.max_bytes)
        return added

    def read_files(self, stamps):
        """Return the content of files as far as it is known, by stamp."""
        return {stamp: self._files[stamp] for stamp in stamps if stamp in self._files}

    def prune(self, max_bytes=None, before=None):
        """Drop rows beyond a size, and rows written before a time; return how many."""
        count = len(self._rows)
        if before is not None:
            old = [name for name, (_, written) in self._rows.items() if written < before]
            for name in old:
                self._n_bytes -= len(self._rows.pop(name)[0])
        while max_bytes is not None and self._n_bytes > max_bytes:
            self._n_bytes -= len(self._rows.popitem(last=False)[1][0])
        while len(self._files) > _MAX_FILES:
            self._files.popitem(last=False)
        return count - len(self._rows)

    def clear(self):
        """Drop everything."""
        self._rows = OrderedDict()  # (owner, key): (bytes, time written)
        self._files = OrderedDict()  # stamp: content
        self._n_bytes = 0

    def __len__(self):
        return len(self._rows)

    @property
    def nbytes(self):
        """Bytes of rows."""
        return self._n_bytes

    def before_fork(self):
        """Nothing here minds a fork."""

    after_fork_in_parent = after_fork_in_child = before_fork


_MAX_FILES = 2**20
WIDTHS = (
    "embeddings kept for one encoder have different lengths: what it computes changed, but not "
    "its class and parameters; give it a fingerprint() that tells, or clear() the cache"
)
