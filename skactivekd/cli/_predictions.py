"""Predictions of files and tables, block by block, into a table that is there whole or not."""

import csv
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..encoders._inputs import item_problem
from ..encoders._read_image import open_image, reason
from ..session._record_files import _guard
from ..utils._atomic_write import replacing
from ..utils._picture_files import find_pictures
from ..utils._read_tables import as_numbers, as_text, is_table, read_blocks
from ._errors import Trouble, one_line
from ._progress import in_blocks, progress

_BLOCK = 256  # rows in memory at once


class Rows:
    """Rows to be predicted, block by block.

    Parameters
    ----------
    files : list of str
        Images, folders of images, and tables.
    settings : Settings
        Kind and columns of the project.

    Raises
    ------
    Trouble
        If a file does not exist, or is of another kind.
    """

    def __init__(self, files, settings):
        self.settings, self.parts, self.n = settings, [], 0
        for file in files:
            path = os.path.abspath(os.path.expanduser(file))
            if os.path.isdir(path) and settings.kind == "images":
                paths = find_pictures(path)[0]
                if not paths:
                    raise Trouble(f"{file} holds no image; name another folder, or files.")
                self._add(paths)
            elif not os.path.exists(path) and not os.path.islink(path):
                raise Trouble(f"{file} does not exist; name files that do.")
            elif is_table(path):
                self.parts.append(path)
                self.n = None
            elif settings.kind == "images":
                self._add([path])
            else:
                what = "texts" if settings.kind == "texts" else "numbers"
                raise Trouble(f"{file} is no table with {what}; name a .csv, .jsonl or .parquet.")

    def _add(self, paths):
        if self.parts and isinstance(self.parts[-1], list):
            self.parts[-1] += paths
        else:
            self.parts.append(list(paths))
        self.n = None if self.n is None else self.n + len(paths)

    def blocks(self):
        """Yield (names, rows): rows are paths, texts, or arrays of numbers or None."""
        for part in self.parts:
            if isinstance(part, list):
                for paths in in_blocks(part, _BLOCK):
                    yield paths, paths
                continue
            start = 0
            for block in read_blocks(part, _BLOCK):
                block.columns = [str(name) for name in block.columns]
                yield self._names(part, block, start), self._rows(part, block)
                start += len(block)

    def _names(self, path, block, start):
        column = self.settings.id_column
        if column in block:
            return [as_text(cell) for cell in block[column]]
        if self.settings.path_column in block:
            return [as_text(cell) for cell in block[self.settings.path_column]]
        return [str(start + row + 1) for row in range(len(block))]

    def _rows(self, path, block):
        settings = self.settings
        column = settings.path_column if settings.kind == "images" else settings.text_column
        wanted = settings.columns if settings.kind == "table" else [column]
        for name in wanted:
            if not name and settings.kind == "images":
                name = next((each for each in block if each.lower() in ("path", "file")), "")
            if name not in block:
                raise Trouble(
                    f"{path} has no column {name or 'path'!r}, which the model needs, but "
                    f"{', '.join(map(repr, block))}; name it so."
                )
            column = name
        if settings.kind == "images":
            folder = os.path.dirname(path)
            return [os.path.join(folder, as_text(cell)) for cell in block[column]]
        if settings.kind == "texts":
            return [as_text(cell) for cell in block[column]]
        return block[wanted]


class Predictor:
    """A saved model, asked of rows of which some cannot be read.

    Parameters
    ----------
    model : DHOClassifier or Pipeline
    settings : Settings
    """

    def __init__(self, model, settings):
        self.model, self.settings = model, settings
        self.classes = [str(label) for label in model.classes_.tolist()]
        if settings.kind == "images":
            self.view = model.net_._plain_view()
            self.pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))

    def predict(self, rows):
        """Return probabilities, nan where a row cannot be read, and reasons by row."""
        read = {"images": self._see, "texts": self._read, "table": self._count}
        rows, bad = read[self.settings.kind](rows)
        proba = np.full((len(rows), len(self.classes)), np.nan, dtype=np.float32)
        good = [row for row in range(len(rows)) if row not in bad]
        if good:
            kept = [rows[row] for row in good]
            kept = kept if self.settings.kind == "texts" else np.stack(kept)
            proba[good] = self.model.predict_proba(kept)
        return proba, bad

    def _see(self, paths):
        rows = list(self.pool.map(self._open, paths))
        return rows, {row: why for row, why in enumerate(rows) if isinstance(why, str)}

    def _open(self, path):
        try:
            return self.view(open_image(path)).numpy().transpose(1, 2, 0)
        except Exception as error:  # PIL lets almost anything escape from a broken file
            return one_line(item_problem(path) or reason(path, error)).removeprefix(f"{path}: ")

    def _read(self, texts):
        return texts, {row: "no text" for row, text in enumerate(texts) if not text.strip()}

    def _count(self, table):
        columns, bad = [], {}
        for name in table:
            numbers = as_numbers(table[name])
            numbers = table[name].map(_number) if numbers is None else numbers
            columns.append(np.asarray(numbers, dtype=float))
            for row in np.flatnonzero(~np.isfinite(columns[-1])):
                bad.setdefault(int(row), f"no finite number in the column {name!r}")
        rows = np.stack(columns, axis=1)
        return rows, bad


def _number(cell):
    try:
        return float(cell)
    except (TypeError, ValueError):
        return np.nan


def predict_files(model, files, settings, out, every=False):
    """Write predictions of files into a table.

    Parameters
    ----------
    model : DHOClassifier or Pipeline
    files : list of str
    settings : Settings
    out : str or path
        ``.csv`` or ``.parquet``; replaced when all is predicted.
    every : bool, default=False
        Write the probabilities of all classes.

    Returns
    -------
    n : int
        Rows written.
    bad : dict of str to str
        Those that could not be read, and why.

    Raises
    ------
    Trouble
    """
    rows, predictor = Rows(files, settings), Predictor(model, settings)
    columns = ["file" if settings.kind == "images" else "row", "class", "probability"]
    columns += [f"probability of {name}" for name in predictor.classes] if every else []
    columns.append("error")
    suffix = os.path.splitext(out)[1].lower()
    if suffix not in _WRITERS:
        raise Trouble(f"--out {out} must end in .csv or .parquet.")
    n, unread = 0, {}
    with (
        progress("Predicting", rows.n, "rows") as bar,
        _WRITERS[suffix](out, columns) as write,
    ):
        for names, block in rows.blocks():
            proba, bad = predictor.predict(block)
            write(_table(names, proba, bad, predictor.classes, columns))
            n += len(names)
            unread |= {names[row]: why for row, why in bad.items()}
            bar.update(len(names))
        if not n:
            raise Trouble(f"{', '.join(files)} has no row to predict; name another file.")
    return n, unread


def _table(names, proba, bad, classes, columns):
    """Return a block of predictions as lists of cells, by column."""
    best = np.where(np.isnan(proba[:, 0]), -1, np.nan_to_num(proba).argmax(axis=1))
    top = [None if at < 0 else round(float(proba[row, at]), 6) for row, at in enumerate(best)]
    cells = [list(names), [None if at < 0 else classes[at] for at in best], top]
    if len(columns) > len(cells) + 1:
        for column in proba.T:
            cells.append([None if value != value else round(float(value), 6) for value in column])
    cells.append([bad.get(row) for row in range(len(names))])
    return dict(zip(columns, cells, strict=True))


class _Csv:
    """Writes a CSV file; what a spreadsheet would run gets an apostrophe."""

    def __init__(self, path, columns):
        settings = {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}
        self.file, self.columns = replacing(path, **settings), columns

    def __enter__(self):
        self.writer = csv.writer(self.file.__enter__())
        self.writer.writerow(map(_guard, self.columns))
        return self.write

    def write(self, table):
        """Write a block."""
        for row in zip(*table.values(), strict=True):
            cells = (_guard(cell) if isinstance(cell, str) else cell for cell in row)
            self.writer.writerow("" if cell is None else cell for cell in cells)

    def __exit__(self, *error):
        return self.file.__exit__(*error)


class _Parquet:
    """Writes a Parquet file."""

    def __init__(self, path, columns):
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError:
            raise Trouble(
                f"{path} needs pyarrow: pip install skactivekd[parquet], or name a .csv."
            ) from None
        kinds = [pa.float64() if "probability" in name else pa.string() for name in columns]
        self.schema = pa.schema(list(zip(columns, kinds, strict=True)))
        self.file, self.pa, self.pq = replacing(path, "wb"), pa, pq

    def __enter__(self):
        self.writer = self.pq.ParquetWriter(self.file.__enter__(), self.schema)
        return self.write

    def write(self, table):
        """Write a block."""
        plain = {
            name: [_whole(cell) if isinstance(cell, str) else cell for cell in cells]
            for name, cells in table.items()
        }
        self.writer.write_table(self.pa.table(plain, schema=self.schema))

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.writer.close()
        return self.file.__exit__(kind, error, trace)


def _whole(text):
    return text.encode("utf-8", "backslashreplace").decode()


_WRITERS = {".csv": _Csv, ".parquet": _Parquet}
