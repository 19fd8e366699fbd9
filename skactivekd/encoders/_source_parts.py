"""The rows of a source, part by part: lists, arrays, streams, tables, folders of pictures."""

import glob
import hashlib
import itertools
import os
from dataclasses import dataclass

import numpy as np

from .._take_rows import one_column
from ..utils._picture_files import find_pictures
from ..utils._read_tables import SUFFIXES, count_rows, is_table, read_blocks
from ..utils._remote_files import is_url
from ..utils._row_identity import identify_row

_SHOWN = 80  # characters of an id or a row in a message


@dataclass
class Part:
    """Rows of one shard.

    Attributes
    ----------
    number, start : int
        Which shard it is, and where it begins in the source.
    ids : ndarray of int64, or list of str
    rows : array or list
        What the encoder is given.
    said : array or list
        What the rows are told by: paths as they stand in the source. Stays in this process.
    source : str
        Digest of the ids and of what the rows are told by.
    """

    number: int
    start: int
    ids: object
    rows: object
    said: object
    source: str = ""

    def __post_init__(self):
        self.source = self.digest()

    def __getstate__(self):
        return {**vars(self), "said": None}

    def __len__(self):
        return len(self.rows)

    @property
    def name(self):
        """What messages call it."""
        return f"shard {self.number}, rows {self.start} to {self.start + len(self) - 1}"

    def digest(self, n=None):
        """Identify the first n rows, or all, and their ids."""
        hasher, said = hashlib.sha256(), self.said[:n]
        hasher.update(repr(self.ids[:n]).encode() if isinstance(self.ids, list) else b"")
        if isinstance(self.ids, np.ndarray):
            hasher.update(np.ascontiguousarray(self.ids[:n], dtype="<i8").view(np.uint8))
        if isinstance(said, np.ndarray) and said.dtype.kind in "biufc":
            hasher.update(identify_row(said)[1])
            return hasher.hexdigest()
        for row, item in enumerate(said):
            try:
                kind, content = identify_row(_plain(item))
            except TypeError:
                raise TypeError(
                    f"row {self.start + row} of source is a {type(item).__name__}, which cannot be "
                    "told from another one after a restart: pass paths, texts, arrays or images"
                ) from None
            hasher.update(kind.encode() + content)
        return hasher.hexdigest()


def read_parts(source, directory, shard_size, *, texts, ids=None, column=None, id_column=None):
    """Cut a source into parts.

    Parameters
    ----------
    source, ids, column, id_column
        See `embed_to_parquet`.
    directory : str
        Where the shards go, which is no part of the source.
    shard_size : int
    texts : bool
        Whether the encoder takes texts: a column of other encoders that holds str holds paths.

    Returns
    -------
    n : int or None
        Rows there are, as far as that is known.
    parts : iterator of Part
    """
    tables = _tables_of(source, directory)
    if tables is not None or hasattr(source, "columns"):
        if ids is not None:
            raise ValueError("source is a table: name its column of ids by id_column=, not ids=")
        blocks, n = _blocks_of(source, tables, column, id_column, texts, shard_size)
        return n, _number(blocks, shard_size)
    given = {"column": column, "id_column": id_column}
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{name}={value!r} is for tables, and source is none")
    if isinstance(source, str | os.PathLike):
        return _pictures(_as_path(source), directory, ids, shard_size)
    if isinstance(source, bytes | dict | set) or not hasattr(source, "__iter__"):
        raise TypeError(f"source is a {type(source).__name__}; pass a list or an array of rows")
    if hasattr(source, "column_names"):
        raise TypeError(
            f"source has the columns {source.column_names}: pass one, as source['text'], and that "
            "of the ids by ids="
        )
    return _given(source, ids, shard_size)


def _given(source, ids, size):
    """Cut what holds rows itself; a stream is read once, as it comes."""
    if not hasattr(source, "__getitem__") or not hasattr(source, "__len__"):
        stream = iter(source)
        blocks = iter(lambda: list(itertools.islice(stream, size)), [])
        return None, _number(((None, rows, rows) for rows in blocks), size, ids)
    source = one_column(source)
    source = source.detach().cpu() if hasattr(source, "detach") else source
    source = source.to_numpy() if hasattr(source, "to_numpy") else source
    source = source.numpy() if hasattr(source, "numpy") else source
    n = len(source)
    if ids is not None and hasattr(ids, "__len__") and len(ids) != n:
        raise ValueError(f"ids has {len(ids)} entries for the {n} rows of source")

    def cut():
        for start in range(0, n, size):
            stop = min(start + size, n)
            if isinstance(source, list | tuple | np.ndarray):
                rows = source[start:stop]
                plain = isinstance(rows, np.ndarray) and rows.dtype.kind not in "OSUT"
                rows = rows if plain else list(rows)
            else:  # a data set, whose rows are read here
                rows = [source[row] for row in range(start, stop)]
            yield None, rows, rows

    return n, _number(cut(), size, ids)


def _pictures(root, directory, ids, size):
    if not os.path.isdir(root):
        there = "is neither a folder nor a table" if os.path.exists(root) else "does not exist"
        raise ValueError(
            f"source={root!r} {there}: pass a folder of images, a table ({', '.join(SUFFIXES)}), "
            "or a list of rows"
        )
    paths = find_pictures(root, directory)[0]
    if not paths:
        raise ValueError(f"source={root!r} holds no image and no .parquet file")
    names = [os.path.relpath(path, root) for path in paths]

    def cut():
        for start in range(0, len(paths), size):
            part = slice(start, start + size)
            yield None if ids is not None else names[part], paths[part], names[part]

    return len(paths), _number(cut(), size, ids)


def _tables_of(source, directory):
    """Return the files of a table, None where the source is none."""
    if not isinstance(source, str | os.PathLike):
        return None
    path = _as_path(source)
    if is_url(os.fspath(source)):
        raise ValueError(f"source={source!r} is elsewhere: pass a list of URLs, or a local table")
    if not os.path.isdir(path):
        return [path] if os.path.isfile(path) and is_table(path) else None
    if os.path.realpath(path) == os.path.realpath(directory):
        raise ValueError("source and directory are one folder: embeddings need one of their own")
    files = sorted(glob.glob(os.path.join(glob.escape(path), "*.parquet")))
    if files and find_pictures(path, directory)[0]:
        raise ValueError(
            f"source={path!r} holds both images and .parquet files: name what is meant, a folder "
            "of the images or of the tables alone"
        )
    return files or None


def _blocks_of(source, tables, column, id_column, texts, size):
    """Yield ids, rows, and what these are told by; and count them where that costs nothing."""
    if tables is None:
        blocks = ((source.iloc[i : i + size], "source", "") for i in range(0, len(source), size))
        names, n = list(source.columns), len(source)
    else:
        first = next(iter(read_blocks(tables[0], 1)), None)
        names = [] if first is None else list(first.columns)
        counts = [count_rows(path) for path in tables]
        n = None if None in counts else sum(counts)
    column = _choose(names, column, id_column, tables[0] if tables else "source")
    if tables is not None:
        wanted = [name for name in (column, id_column) if name is not None]
        blocks = (
            (block, path, os.path.dirname(path))
            for path in tables
            for block in read_blocks(path, size, wanted)
        )

    def cut():
        for block, path, folder in blocks:
            for name in (column, id_column):
                if name is not None and name not in block:
                    raise ValueError(f"{path} has no column {name!r}, but {list(block.columns)}")
            said = block[column].tolist()
            rows = said if texts else [_as_file(item, folder) for item in said]
            yield None if id_column is None else block[id_column].to_numpy(), rows, said

    return cut(), n


def _choose(names, column, id_column, where):
    for name in (column, id_column):
        if name is not None and name not in names:
            raise ValueError(f"{where} has no column {name!r}, but {', '.join(map(repr, names))}")
    if column is not None:
        return column
    left = [name for name in names if name != id_column]
    if len(left) != 1:
        raise ValueError(
            f"{where} has the columns {', '.join(map(repr, names))}: say in column= which one "
            "holds the texts or paths"
        )
    return left[0]


def _as_file(item, folder):
    """Return a cell that names a file as its path, and an image of `datasets` as what it holds."""
    if isinstance(item, dict) and {"bytes", "path"} <= set(item):
        item = item["path"] if item["bytes"] is None else item["bytes"]
    if isinstance(item, str) and item and not is_url(item):
        return os.path.join(folder, os.path.expanduser(item))
    return item


def _number(blocks, size, ids=None):
    """Make parts of just `size` rows of blocks of any, and give their rows ids."""
    ids = None if ids is None else iter(_plain_ids(ids))
    held, start, kind = [], 0, None
    for number in itertools.count():
        count = sum(len(rows) for _, rows, _ in held)
        while count < size:
            block = next(blocks, None)
            if block is None:
                break
            held.append(block)
            count += len(block[1])
        if not count:
            break
        taken, held = _split(held, size)
        rows, said = _join([rows for _, rows, _ in taken]), _join([said for *_, said in taken])
        own = [own for own, *_ in taken]
        if ids is not None:
            own = list(itertools.islice(ids, len(rows)))
        elif own[0] is None:
            own = np.arange(start, start + len(rows))
        else:
            own = [value for some in own for value in _plain_ids(some)]
        own = _check_ids(own, start, len(rows))
        if kind not in (None, type(own)):
            raise ValueError(
                f"the ids from row {start} on are of another kind than those before: ids are all "
                "integers or all texts"
            )
        kind = type(own)
        yield Part(number, start, own, rows, said)
        start += len(rows)
    if not start:
        raise ValueError("source holds no row")
    if ids is not None and next(ids, None) is not None:
        raise ValueError(f"ids has more entries than source has rows, {start}")


def _split(held, size):
    """Return blocks of `size` rows at most, and the rest."""
    taken, left = [], []
    for own, rows, said in held:
        room = size - sum(len(rows) for _, rows, _ in taken)
        if room > 0:
            taken.append((own if own is None else own[:room], rows[:room], said[:room]))
        if len(rows) > max(room, 0):
            room = max(room, 0)
            left.append((own if own is None else own[room:], rows[room:], said[room:]))
    return taken, left


def _join(blocks):
    if len(blocks) == 1:
        return blocks[0]
    if isinstance(blocks[0], np.ndarray):
        return np.concatenate(blocks)
    return list(itertools.chain.from_iterable(blocks))


def _plain_ids(ids):
    return ids.tolist() if hasattr(ids, "tolist") else ids


def _check_ids(ids, start, n):
    """Return ids as an array of int64 or a list of str; each once."""
    if isinstance(ids, np.ndarray):  # numbers of rows
        return ids.astype(np.int64)
    if len(ids) != n:
        raise ValueError(f"ids has {start + len(ids)} entries, but source has more rows")
    integers = isinstance(ids[0], int | np.integer)
    seen = {}
    for row, value in enumerate(ids, start=start):
        fits = isinstance(value, int | np.integer if integers else str)
        if not fits or isinstance(value, bool):
            raise ValueError(
                f"the id of row {row} is {value!r:.{_SHOWN}}: ids are all integers or all texts"
            )
        if integers and not -(2**63) <= value < 2**63:
            raise ValueError(f"the id of row {row} is {value}: it must fit into 64 bits")
        if not integers and not _is_utf8(value):
            raise ValueError(f"the id of row {row}, {value!r:.{_SHOWN}}, is no UTF-8: pass ids=")
        if seen.setdefault(value, row) != row:
            raise ValueError(
                f"rows {seen[value]} and {row} both have the id {value!r:.{_SHOWN}}; ids must "
                "differ"
            )
    return np.array(ids, dtype=np.int64) if integers else list(map(str, ids))


def _is_utf8(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _plain(item):
    return os.fspath(item) if isinstance(item, os.PathLike) else item


def _as_path(source):
    return os.path.abspath(os.path.expanduser(os.fspath(source)))
