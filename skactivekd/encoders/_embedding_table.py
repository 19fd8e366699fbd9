"""Embeddings that were computed elsewhere, as one table of floats with the ids of its rows."""

import functools
import glob
import os
import shutil
import tempfile

import numpy as np
import pandas as pd

from ..utils._row_identity import hash_model_file, identify_row, stamp_status
from ._read_embeddings import holds_shards, identify_shards, read_embeddings, read_headers

_SHOWN = 60  # characters of an id in a message


class Table:
    """Embeddings, an array or a memmap of shape (n, d), and the ids of its rows."""

    def __init__(self, values, ids=None):
        self.values, self.ids = values, None
        if ids is not None:
            self.ids = _check_ids(ids, len(values))

    def find(self, X):
        """Return the row of the table for each id in X, -1 where there is none, and why."""
        wanted, bad = as_ids(X), {}
        rows = np.full(len(wanted), -1, dtype=np.intp)
        known = slice(None)
        if wanted.dtype.kind not in "iuU":
            known = [place for place, value in enumerate(wanted.tolist()) if _is_id(value)]
        rows[known] = self._index().get_indexer(_index(wanted[known]))
        for place in np.flatnonzero(rows < 0):
            bad[int(place)] = self._explain(wanted[place])
        return rows, bad

    def _index(self):
        return pd.RangeIndex(len(self.values)) if self.ids is None else self.ids

    def _explain(self, value):
        shown = f"{value!r:.{_SHOWN}}"
        if not _is_id(value):
            return f"{shown} is no id: ids are integers or texts"
        if self.ids is None:
            return (
                f"{shown} is no row of the embeddings, which are numbered from 0 to "
                f"{len(self.values) - 1}; if X holds ids, say in ids= which row each has"
            )
        known = self.ids[:1].tolist()[0]
        hint = ""
        if isinstance(known, str) != isinstance(value, str):
            kind = "texts" if isinstance(known, str) else "numbers"
            hint = f"; the ids are {kind}, such as {known!r:.{_SHOWN}}"
        return f"there are no embeddings with the id {shown}{hint}"


def as_ids(X):
    """Return the ids in X as an array of one dimension, or say why they are none."""
    if isinstance(X, str | bytes | os.PathLike | dict | set):
        raise TypeError(f"X is a {type(X).__name__}; pass a list or an array of ids")
    if hasattr(X, "columns"):
        if X.shape[1] != 1:
            raise TypeError(f"X has {X.shape[1]} columns; pass that of the ids, as X['id']")
        X = X.iloc[:, 0]
    if hasattr(X, "to_numpy"):
        X = X.to_numpy()
    X = X.detach().cpu().numpy() if hasattr(X, "detach") else X
    if not isinstance(X, np.ndarray):
        items = list(X)
        X = np.empty(len(items), dtype=object)
        for place, item in enumerate(items):  # lists stay what they are: no ids
            X[place] = item[0] if isinstance(item, list | tuple) and len(item) == 1 else item
    if X.ndim == 2 and X.shape[1] == 1:
        X = X[:, 0]
    if X.ndim != 1:
        raise ValueError(
            f"X has shape {X.shape}; with embeddings computed elsewhere, X is a column of their "
            "ids, shape (n,)"
        )
    if X.dtype.kind == "b":
        raise TypeError("X holds bools; pass ids: np.flatnonzero(mask) of a mask")
    if not len(X):
        raise ValueError("X holds no id")
    return X


def _is_id(value):
    if isinstance(value, bool | np.bool_):
        return False
    if isinstance(value, float | np.floating):  # a column with gaps was integers once
        return bool(value == np.floor(value)) and abs(value) < 2**53
    return isinstance(value, int | np.integer | str)


def _index(values):
    """Return an index of ids; mixed ones stay as they are, so that "7" is not 7."""
    return (
        pd.Index(values) if values.dtype.kind in "iu" else pd.Index(values.tolist(), dtype=object)
    )


def _check_ids(ids, n):
    ids = as_ids(ids)
    if len(ids) != n:
        raise ValueError(f"ids has {len(ids)} entries, but there are {n} embeddings")
    for place, value in enumerate(ids.tolist() if ids.dtype.kind not in "iu" else ()):
        if not _is_id(value):
            shown = f"{value!r:.{_SHOWN}}"
            raise ValueError(f"the id of row {place} is {shown}: ids are integers or texts")
    index = _index(ids)
    again = np.flatnonzero(index.duplicated())
    if len(again):
        value = index[again[:1]].tolist()[0]
        first, shown = int(np.flatnonzero(index == value)[0]), f"{value!r:.{_SHOWN}}"
        raise ValueError(
            f"{len(again)} ids stand there twice, the first {shown} in rows {first} and "
            f"{again[0]}: keep one row of each"
        )
    return index


def open_table(embeddings, ids, id_column, embedding_column):
    """Return the table of an array, a .npy file, or a Parquet file or folder."""
    if not isinstance(embeddings, str | os.PathLike):
        return Table(_check_values(_as_array(embeddings), "embeddings"), ids)
    path = os.path.abspath(os.path.expanduser(os.fspath(embeddings)))
    files = _files(path)
    if files[0].endswith(".npy"):
        return Table(_read_npy(path, stamp_status(os.stat(path))), ids)
    if ids is not None:
        raise ValueError("a Parquet file brings its ids: leave ids= out, or name its id_column")
    stamps = tuple(stamp_status(os.stat(file)) for file in files)
    if holds_shards(path) and embedding_column == "embedding":
        return _read_shards(path, stamps, id_column)
    return _read_parquet(files, stamps, id_column, embedding_column)


def hash_table(embeddings, ids, cache=None):
    """Hash what is in the table, wherever it lies."""
    if not isinstance(embeddings, str | os.PathLike):
        return identify_row(np.asarray(_as_array(embeddings))), _hash_ids(ids)
    path = os.path.abspath(os.path.expanduser(os.fspath(embeddings)))
    if holds_shards(path):
        return identify_shards(read_headers(path)), None
    return hash_model_file(*_files(path), cache=cache), _hash_ids(ids)


def _hash_ids(ids):
    return None if ids is None else identify_row(as_ids(ids).tolist())


def _files(path):
    """Return the files of a table: one, or the shards in a folder in the order of their names."""
    if os.path.isdir(path):
        files = sorted(glob.glob(os.path.join(glob.escape(path), "*.parquet")))
        if not files:
            raise FileNotFoundError(f"the folder {path} holds no .parquet file")
        return tuple(files)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"embeddings: there is no file {path}")
    if not path.endswith((".npy", ".parquet")):
        raise ValueError(
            f"embeddings is {os.path.basename(path)!r}: pass a .npy or .parquet file, a folder of "
            ".parquet files, or an array"
        )
    return (path,)


def _as_array(embeddings):
    if hasattr(embeddings, "detach"):
        return embeddings.detach().cpu().numpy()
    if hasattr(embeddings, "to_numpy"):
        return embeddings.to_numpy()
    try:
        return np.asanyarray(embeddings)
    except ValueError:  # rows of unequal length
        raise ValueError("embeddings have rows of unequal length") from None


def _check_values(values, name):
    if values.ndim != 2 or not values.size:
        raise ValueError(f"{name} have shape {values.shape}; (n, d) is expected, a row each")
    if values.dtype.kind != "f":
        raise TypeError(f"{name} are of dtype {values.dtype}; they must be floats")
    return values


@functools.lru_cache(maxsize=8)
def _read_npy(path, stamp):
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as an array of numbers: {error}") from None
    return _check_values(values, f"the embeddings in {path}")


@functools.lru_cache(maxsize=4)
def _read_shards(path, stamps, id_column):
    """Open what `embed_to_parquet` wrote, which is its own memmap; numbers of rows are no ids."""
    ids, values = read_embeddings(path)
    numbers = ids.dtype != object and ids[-1] == len(ids) - 1 and bool((np.diff(ids) == 1).all())
    return Table(values, None if numbers or id_column is None else ids)


@functools.lru_cache(maxsize=4)
def _read_parquet(files, stamps, id_column, embedding_column):
    """Copy shards into one memmap, whose file is gone with it, batch by batch."""
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ImportError(
            f'Parquet files need pyarrow: pip install "skactivekd[parquet]" ({error})'
        ) from None
    opened = [_open_parquet(parquet, file, id_column, embedding_column) for file in files]
    n = sum(file.metadata.num_rows for file in opened)
    if not n:
        raise ValueError(f"{files[0]} holds no row")
    columns = [name for name in (id_column, embedding_column) if name is not None]
    values, ids, start = None, [], 0
    for path, file in zip(files, opened, strict=True):
        for batch in file.iter_batches(batch_size=2**14, columns=columns):
            part = _as_matrix(batch.column(embedding_column), path, start, values)
            if values is None:
                values = _new_memmap(n, part)
            values[start : start + len(part)] = part
            start += len(part)
            if id_column is not None:
                ids.append(batch.column(id_column).to_pandas().to_numpy())
    return Table(values, np.concatenate(ids) if id_column is not None else None)


def _open_parquet(parquet, path, *columns):
    try:
        file = parquet.ParquetFile(path)
    except Exception as error:  # of as many kinds as there are faults
        raise ValueError(f"{path} cannot be read as Parquet: {str(error)[:200]}") from None
    names = file.schema_arrow.names
    for name in columns:
        if name is not None and name not in names:
            raise ValueError(
                f"{path} has no column {name!r} but {', '.join(map(repr, names))}: say in "
                "id_column= (None: rows by their number) and embedding_column= what they are"
            )
    return file


def _as_matrix(column, path, start, values):
    """Return a column of lists as a matrix, a row of nan where the list is null."""
    import pyarrow as pa

    if isinstance(column, pa.ExtensionArray):  # a tensor of fixed shape
        column = column.storage
    kind = column.type
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not (lists or pa.types.is_fixed_size_list(kind)) or not pa.types.is_floating(
        kind.value_type
    ):
        raise ValueError(f"{path}: the embeddings are of type {kind}; lists of floats are expected")
    lengths = np.asarray(column.value_lengths().fill_null(-1)) if lists else None
    if not lists:
        lengths = np.where(np.asarray(column.is_valid()), kind.list_size, -1)
    width = values.shape[1] if values is not None else int(lengths.max(initial=-1))
    wrong = np.flatnonzero((lengths >= 0) & (lengths != width))
    if len(wrong) or width < 1:
        row = int(wrong[0]) if len(wrong) else 0
        raise ValueError(
            f"{path}: the embedding in row {start + row} has {max(int(lengths[row]), 0)} numbers, "
            f"others have {width}; they must be equally long"
        )
    flat = column.flatten().to_numpy(zero_copy_only=False)  # without those of null lists
    dtype = np.float16 if flat.dtype == np.float16 else np.float32
    matrix = np.full((len(column), width), np.nan, dtype=dtype)
    matrix[lengths >= 0] = flat.reshape(-1, width)
    return matrix


def _new_memmap(n, part):
    needed, free = n * part[0].nbytes, shutil.disk_usage(tempfile.gettempdir()).free
    if needed > free:  # to write beyond the disk's end would kill the process
        raise OSError(
            f"{n} embeddings take {needed:,} bytes, but {tempfile.gettempdir()} has {free:,} left: "
            "set TMPDIR to a folder that has more, or save them as .npy, which is read in place"
        )
    with tempfile.TemporaryFile(prefix="skactivekd-") as file:
        return np.memmap(file, dtype=part.dtype, mode="w+", shape=(n, part.shape[1]))
