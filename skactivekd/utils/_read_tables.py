"""Tables from files: CSV, JSON lines and Parquet, whole or block by block."""

import csv
import json
import os
from contextlib import contextmanager

import pandas as pd

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_BLOCK = 4096


def is_table(path):
    """Tell the files that hold tables by their names."""
    return os.path.splitext(os.fspath(path))[1].lower() in SUFFIXES


def read_table(path):
    """Read a table whole, as a data frame; cells of CSV files are texts.

    A ValueError says why it cannot be read, or that it has no row.
    """
    blocks = list(read_blocks(path))
    if not blocks or not sum(map(len, blocks)):
        raise ValueError(f"{path} has no row; name a file with some.")
    return pd.concat(blocks, ignore_index=True)


def read_blocks(path, n=_BLOCK, columns=None):
    """Yield a table in blocks of n rows, as `read_table` reads it.

    Of a Parquet file, which has each column by itself, only those of `columns` are read that are
    there; None: all.
    """
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    if suffix == ".parquet":
        yield from _read_parquet(path, n, columns)
        return
    read = _read_jsonl if suffix in (".jsonl", ".ndjson") else _read_csv
    try:
        yield from read(path, n)
    except UnicodeDecodeError as error:
        now = "utf-16" if error.object[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin1"
        raise ValueError(
            f"{path} is no UTF-8 (byte {error.object[error.start]:#04x}: {error.reason}); save it "
            f"as UTF-8, by `iconv -f {now} -t utf-8` for example."
        ) from None


def _read_csv(path, n):
    with open(path, encoding="utf-8-sig", newline="") as file:
        header = file.readline()
    if not header.strip():
        raise ValueError(f"{path} is empty; name a file with a line of column names and some rows.")
    if "\0" in header:
        raise ValueError(f"{path} is no text; name a CSV file.")
    sep = separator_of(header)
    try:
        names = next(csv.reader([header], delimiter=sep))
    except csv.Error as error:
        raise ValueError(f"{path}: its first line is no list of column names ({error}).") from None
    _check_names(path, names)
    settings = {"dtype": str, "keep_default_na": False, "encoding": "utf-8-sig", "sep": sep}
    try:
        with pd.read_csv(path, chunksize=n, **settings) as blocks:
            for block in blocks:
                if not isinstance(block.index, pd.RangeIndex):
                    raise ValueError(
                        f"{path} has rows with more cells than its first line has names."
                    )
                yield block.fillna("")
    except (pd.errors.ParserError, csv.Error) as error:
        raise ValueError(
            f"{path} is no table: {str(error).strip()} Correct that line, or put quotes around "
            "cells that hold commas."
        ) from None


def _read_jsonl(path, n):
    rows = []
    with open(path, encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{path}, line {number} is no JSON: {error}.") from None
            if not isinstance(row, dict):
                raise ValueError(f'{path}, line {number} is no object, such as {{"text": "..."}}.')
            rows.append(row)
            if len(rows) == n:
                yield pd.DataFrame(rows, dtype=object)
                rows = []
    if rows:
        yield pd.DataFrame(rows, dtype=object)


def count_rows(path):
    """Count the rows of a Parquet file; None of what would have to be read for it."""
    if os.path.splitext(os.fspath(path))[1].lower() != ".parquet":
        return None
    with _opened_parquet(path) as file:
        return file.metadata.num_rows


def _read_parquet(path, n, columns):
    with _opened_parquet(path) as file:
        names = file.schema_arrow.names
        _check_names(path, names)
        wanted = names if columns is None else [name for name in columns if name in names]
        for batch in file.iter_batches(batch_size=n, columns=wanted or names):
            yield batch.to_pandas()


@contextmanager
def _opened_parquet(path):
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ImportError(
            f"{path} needs pyarrow: pip install skactivekd[parquet], or save it as CSV."
        ) from None
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except pa.ArrowException as error:
        raise ValueError(f"{path} is no Parquet file: {error}.") from None


def separator_of(header):
    """Return what stands between the cells of a CSV file: spreadsheets often write semicolons."""
    return max(",;\t", key=header.count)


def _check_names(path, names):
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"{path} has the column {min(twice)!r} more than once; rename one.")


def as_numbers(column):
    """Return a column as float64, None if it holds anything but numbers and gaps, or gaps alone."""
    if column.dtype.kind in "biuf":
        return column.astype(float)
    cells = column.map(lambda cell: None if isinstance(cell, str) and not cell.strip() else cell)
    if any(isinstance(cell, bool | list | dict) for cell in cells):
        return None
    numbers = pd.to_numeric(cells, errors="coerce").astype(float)
    gaps = cells.isna()
    return None if gaps.all() or (numbers.isna() & ~gaps).any() else numbers


def as_text(cell):
    """Return a cell as a text, "" for a gap."""
    if cell is None or (isinstance(cell, float) and cell != cell) or cell is pd.NA:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)  # what a gap elsewhere in the column made a float of
    return cell if isinstance(cell, str) else str(cell)
