"""Encoding what a store does not hold, batch by batch."""

import random
import warnings
from contextlib import contextmanager

import numpy as np

from ..utils._files import hash_file
from ._row_keys import file_key


class Filling:
    """Rows that are encoded and written, one batch after the other.

    Parameters
    ----------
    store : MemoryStore or FileStore
    owner : hashable
        Identity of what computes the rows.
    files : dict of bytes to path
        The keys that are stamps of files.
    known : dict of bytes to bytes
        What files of these stamps hold, as far as it is known.
    encode : callable
        From a list of positions to rows, ndarray of shape (m, d).
    """

    def __init__(self, store, owner, files, known, encode):
        self.store, self.owner, self.encode = store, owner, encode
        self.files, self.known, self.seen = files, known, {}
        self.writable, self.alone = True, True

    def run(self, missing, batch_size, verbose=0):
        """Encode rows.

        Parameters
        ----------
        missing : dict of bytes to int
            Keys and their positions, in the order to encode them.
        batch_size : int
        verbose : int, default=0
            1 or more shows a progress bar.

        Returns
        -------
        rows : dict of bytes to ndarray of shape (d,)
            In the dtype of the store.
        """
        keys, rows = list(missing), {}
        batches = [keys[i : i + batch_size] for i in range(0, len(keys), batch_size)][::-1]
        with _progress(len(keys), verbose) as advance:
            try:
                while batches:
                    batch = batches.pop()
                    if batches:
                        self._begin([missing[key] for key in batches[-1]])
                    rows.update(self._run_batch(batch, missing, batches))
                    advance(len(batch))
            finally:
                if self.seen:
                    self._write([], np.empty((0, 0)))
        return rows

    def _run_batch(self, batch, missing, later):
        contents = {key: self._content(key) for key in batch}
        found = self._read(list(contents.values()))
        todo = [key for key in batch if contents[key] not in found]
        rows = {key: found.get(content) for key, content in contents.items()}
        if todo:
            fresh = self._encode([missing[key] for key in todo], missing, later)
            rows.update(zip(todo, fresh, strict=True))
        sound = {key: contents[key] for key in batch if self._is_sound(key, rows[key])}
        self.seen.update(
            (key, sound[key]) for key in sound if key in self.files and key not in self.known
        )
        new = {sound[key]: rows[key] for key in todo if key in sound}
        met = any(key in found for key in batch)
        if new:
            met |= self._write(list(new), np.stack(list(new.values()))) < len(new)
        if met and self.alone:
            # Another process fills the same rows: run across it, not beside it.
            self.alone = False
            random.SystemRandom().shuffle(later)
        return rows

    def _begin(self, positions):
        """Have rows read while others are encoded and written, where the encoder can."""
        begin = getattr(getattr(self.encode, "__self__", None), "begin", None)
        if begin is not None:
            begin(positions)

    def _content(self, key):
        if key not in self.files or key in self.known:
            return self.known.get(key, key)
        try:
            return hash_file(self.files[key])
        except OSError:  # encoding will tell
            return key

    def _read(self, keys):
        kept, rows = self.store.read(self.owner, keys)
        return {keys[position]: row for position, row in zip(kept, rows, strict=True)}

    def _is_sound(self, key, row):
        """Tell whether a row may be kept: not skipped, its file not changed meanwhile."""
        changed = key in self.files and file_key(self.files[key]) != key
        return not changed and row.sum() == row.sum()  # nan is not equal to itself

    def _encode(self, positions, missing, later):
        from ..encoders._errors import RowError

        try:
            return self.encode(positions).astype(self.store.dtype)
        except RowError as error:
            rest = [missing[key] for batch in reversed(later) for key in batch]
            raise self._name_all(error, positions, rest) from None

    def _name_all(self, error, positions, rest):
        """Name the bad rows of all batches: encoders read on after a first bad row."""
        bad = {positions[row]: reason for row, reason in error.bad.items()}
        positions = [*bad, *rest]
        from ..encoders._errors import RowError

        try:
            if rest:
                self.encode(positions)
        except RowError as more:
            bad.update((positions[row], reason) for row, reason in more.bad.items())
        return type(error)(bad, error.problem, error.limit)

    def _write(self, keys, rows):
        """Write rows and what is known of files; return how many rows are new."""
        if not self.writable:
            return len(keys)
        try:
            added = self.store.write(self.owner, keys, rows, self.seen)
        except OSError as error:
            self.writable = False  # to wait for a lock once is enough
            warnings.warn(f"{error}; the embeddings are right, but not kept", stacklevel=6)
            return len(keys)
        self.seen = {}
        return added


@contextmanager
def _progress(total, verbose):
    if not verbose:
        yield lambda n: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, unit="rows") as bar:
        yield bar.update
