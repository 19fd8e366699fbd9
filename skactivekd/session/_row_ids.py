"""What a row is, so that it is known again in another order, folder, process and year."""

import hashlib
import json
import numbers
import os

import numpy as np
from scipy.sparse import issparse

from .._take_rows import n_rows
from ..utils._row_identity import hash_file, identify_row, identify_sparse_rows, stamp_file


class Pool:
    """The rows of X, known by content or by the ids of the caller.

    Rows of equal content are one item: what is said of one is said of all.

    Parameters
    ----------
    X : array-like, sparse matrix, DataFrame, or sequence of n rows
        Paths of files count by what the files hold, wherever they lie; texts,
        numbers, table rows and images by value. These digests are part of the
        journal's format, unlike the keys of the cache of embeddings.
    ids : sequence of n str or int, default=None
        What is known of the rows in their place.
    known_files : dict of str to str, default=None
        Digests of files by stamp, from an earlier sitting.

    Attributes
    ----------
    keys : list of str of length n
        One for each row, the same for rows of equal content.
    rows : dict of str to list of int
        The rows of each item; the items in the order of X.
    values : list of str or None of length n
        Paths or texts, where the rows are such.
    names : list of str, int or None of length n
        `ids`, or else `values`: what people and other programs call the rows.
    kind : {"file", "text", "array", "row"}
        What the rows are.
    new_files : dict of str to str
        Digests that were not known.

    Raises
    ------
    ValueError
        If there is no row, ids repeat or are too few, or files are missing.
    TypeError
        If an id is neither str nor int.

    Examples
    --------
    >>> from skactivekd.session._row_ids import Pool
    >>> pool = Pool(["a text", "another", "a text"])
    >>> list(pool.rows.values())
    [[0, 2], [1]]
    """

    def __init__(self, X, ids=None, known_files=None):
        self.n = count_rows(X)
        self.new_files = {}
        self.kind, self.values, keys = self._read(X, known_files or {}, ids is None)
        self.names = self.values
        if ids is not None:
            self.names = [name.item() if isinstance(name, np.generic) else name for name in ids]
            keys = _check_ids(self.names, self.n)
        self.keys, self.rows = keys, {}
        for row, key in enumerate(keys):
            self.rows.setdefault(key, []).append(row)

    def __contains__(self, key):
        return key in self.rows

    def find(self, index, what="index"):
        """Return the key of a row, if there is such a row.

        Raises
        ------
        TypeError, IndexError
        """
        if isinstance(index, bool | np.bool_) or not isinstance(index, numbers.Integral):
            raise TypeError(f"{what} must be a row number of X (an int), got {index!r}.")
        if not 0 <= index < self.n:
            raise IndexError(
                f"{what}={index} is no row of X, which has {self.n}: 0 to {self.n - 1}."
            )
        return self.keys[index]

    def look_up(self, names):
        """Return the keys of rows by what other programs call them; None where there is none.

        Paths are found as they are written, from the root, and by the last
        part where it is the only one of its name.
        """
        exact, last = {}, {}
        for key, name in zip(self.keys, self.names, strict=True):
            if name is None:
                continue
            exact.setdefault(str(name), key)
            if self.kind == "file":
                exact.setdefault(os.path.abspath(name), key)
                last.setdefault(os.path.basename(name), set()).add(key)
        found = []
        for name in map(str, names):
            key = exact.get(name)
            if key is None and self.kind == "file":
                alike = last.get(os.path.basename(name), ())
                key = exact.get(os.path.abspath(name)) or (
                    next(iter(alike)) if len(alike) == 1 else None
                )
            found.append(key)
        return found

    def _read(self, X, known, by_content):
        if issparse(X):
            keys = [_name_key(*found) for found in identify_sparse_rows(X)] if by_content else None
            return "array", [None] * self.n, keys
        if hasattr(X, "to_numpy"):
            X = X.to_numpy()
        elif not isinstance(X, list | tuple) and hasattr(X, "__array__"):
            X = np.asarray(X)
        if isinstance(X, np.ndarray) and X.ndim > 1 and X.dtype.kind in "biufc":
            return "array", [None] * self.n, [_name_key(*identify_row(row)) for row in X]
        rows = X.tolist() if isinstance(X, np.ndarray) and X.dtype.kind in "UT" else list(X)
        texts = [isinstance(row, str | os.PathLike) for row in rows]
        if all(texts):
            return self._read_texts([os.fspath(row) for row in rows], known, by_content)
        kind = "row" if isinstance(X, np.ndarray) and X.ndim > 1 else "array"
        if not by_content:
            return kind, [None] * self.n, None
        return kind, [None] * self.n, [_row_key(row, place) for place, row in enumerate(rows)]

    def _read_texts(self, texts, known, by_content):
        stamps = [stamp_file(text) for text in texts]
        missing = [row for row, found in enumerate(stamps) if found is None]
        if 2 * len(missing) >= len(texts):  # the few that look like files are texts, too
            return (
                "text",
                texts,
                [_name_key(*identify_row(text)) for text in texts],
            )
        if missing and by_content:
            raise ValueError(
                f"{len(missing)} of the {len(texts)} files of X cannot be read: "
                f"{', '.join(f'row {row} ({texts[row]})' for row in missing[:10])}"
                f"{', ...' if len(missing) > 10 else ''}. Take them out of X; their labels stay in "
                "the journal."
            )
        if by_content:
            return (
                "file",
                texts,
                [self._file_key(*pair, known) for pair in zip(texts, stamps, strict=True)],
            )
        return "file", texts, [""] * len(texts)

    def _file_key(self, path, stamp, known):
        if stamp not in known and stamp not in self.new_files:
            self.new_files[stamp] = hash_file(path).hex()
        return f"file-{known.get(stamp) or self.new_files[stamp]}"


def count_rows(X):
    """Return the number of rows of X.

    Raises
    ------
    TypeError
        If it is no collection of rows.
    ValueError
        If it has none.
    """
    if isinstance(X, str | bytes | dict | set) or not (
        hasattr(X, "__len__") or hasattr(X, "shape")
    ):
        raise TypeError(f"X must be a sequence, array or table of rows, got a {type(X).__name__}.")
    if not n_rows(X):
        raise ValueError("X has no row: there is nothing to label.")
    return n_rows(X)


def place(key, salt):
    """Return a number in [0, 1) that a key has by chance, the same in every process.

    Examples
    --------
    >>> from skactivekd.session._row_ids import place
    >>> round(place("text-1", "audit 0"), 3) == round(place("text-1", "audit 0"), 3)
    True
    """
    digest = hashlib.blake2b(f"{salt}\0{key}".encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest()) / 2**64


def _name_key(kind, digest):
    return f"{kind}-{digest.hex()}"


def _row_key(row, number):
    if isinstance(row, str | os.PathLike):
        raise ValueError(
            f"X mixes texts or paths with other things, as row {number} and row 0 show; pass rows "
            "of one kind, or ids= by which they are known."
        )
    try:
        return _name_key(*identify_row(row))
    except TypeError as error:
        raise ValueError(
            f"Row {number} of X holds a {error}, by whose content it cannot be known again; pass "
            "ids=, one str or int for each row."
        ) from None


def _check_ids(ids, n):
    if len(ids) != n:
        raise ValueError(f"ids has {len(ids)} entries for {n} rows of X.")
    keys, seen = [], {}
    for row, name in enumerate(ids):
        if isinstance(name, bool | np.bool_) or not isinstance(name, str | numbers.Integral):
            raise TypeError(f"ids[{row}] is {name!r}; an id is a str or an int.")
        key = f"id-{json.dumps(name if isinstance(name, str) else int(name))}"
        if seen.setdefault(key, row) != row:
            raise ValueError(f"ids[{row}] and ids[{seen[key]}] are both {name!r}; ids must differ.")
        keys.append(key)
    return keys
