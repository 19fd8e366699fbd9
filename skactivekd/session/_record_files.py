"""Records, dicts of what was said, in the lines of text files."""

import csv
import json
import os
import re
import tempfile
from datetime import UTC, datetime

from ..utils._read_tables import separator_of

COLUMNS = (
    "kind index key name label annotator time source seconds suggestions class action uid".split()
)
KINDS = {"class", "asked", "answered", "skipped", "rejected", "denied", "undone"}
NAMES = ("name", "id", "path", "file", "image", "audio", "video", "text")
_JSON = ("label", "class", "name", "index", "seconds", "suggestions")  # cells of more than text
_FORMULA = tuple("=+-@\t\r")  # spreadsheets run cells that begin so
_HALF = re.compile("[\ud800-\udfff]")  # what is no UTF-8 in the name of a file
_LONGEST = 100_000  # characters; csv reads cells of 131,072 at most


def to_record(event):
    """Return an event as a dict of what JSON knows."""
    record = {"kind": event.kind, "key": event.item, "annotator": event.annotator, **event.data}
    if event.kind == "class":
        record["label"] = record.pop("name")
    when = None if event.time is None else datetime.fromtimestamp(event.time, UTC).isoformat()
    return {**record, "time": when, "uid": event.uid}


def is_own(record):
    """Tell whether a record was written by `export`."""
    uid, kind = record.get("uid"), record.get("kind")
    return isinstance(uid, str) and bool(uid) and isinstance(kind, str) and kind in KINDS


def read_csv(path):
    """Return the records of a table."""
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        start = file.readline()
        if "\0" in start:
            raise ValueError(f"{path} is UTF-16, or no text; save it as UTF-8.")
        file.seek(0)
        reader = csv.DictReader(file, strict=True, delimiter=separator_of(start))
        try:
            names = list(reader.fieldnames or ())
            twice = [name for place, name in enumerate(names) if name in names[:place]]
            if {"label", "key", "index", *NAMES}.intersection(twice):
                raise ValueError(f"{path} has the column {twice[0]!r} more than once; rename one.")
            if "label" not in (reader.fieldnames or ()):
                raise ValueError(f"{path} has no column 'label', only {reader.fieldnames}.")
            known = {"key", "index", *NAMES} & set(reader.fieldnames)
            if not known:
                raise ValueError(
                    f"{path} does not say which rows its labels are of; it needs one of the "
                    f"columns {', '.join(['key', 'index', *NAMES])}."
                )
            return [from_cells(row, f"line {reader.line_num}") for row in reader]
        except csv.Error as error:
            raise ValueError(f"{path}, line {reader.line_num}: {error}.") from error


def from_cells(row, where):
    """Undo what `columns` did to a record."""
    record = {name: _unguard(value) for name, value in row.items() if isinstance(name, str)}
    if not is_own(record):
        return {**record, "where": where}
    for name in _JSON:
        text = record.get(name)
        try:
            record[name] = None if text in (None, "") else json.loads(text)
        except json.JSONDecodeError:
            record[name] = text
    return {**record, "where": where}


def _cell(name, value):
    """Write a value so that it comes back, and no spreadsheet runs it."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if name in _JSON and _looks_like_json(value):  # a class that is called 3, or null
        return json.dumps(value, ensure_ascii=False)
    return _guard(value)


def _looks_like_json(text):
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _guard(text):
    text = text[:_LONGEST]
    return f"'{text}" if text.startswith((*_FORMULA, "'")) else text


def _unguard(text):
    if isinstance(text, str) and text.startswith("'") and text[1:].startswith((*_FORMULA, "'")):
        return text[1:]
    return text


def columns(records):
    """Return a dict of lists of cells."""
    return {name: [_cell(name, record[name]) for record in records] for name in COLUMNS}


def write_csv(file, records):
    """Write a table."""
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(name, record[name]) for name in COLUMNS] for record in records)


def read_jsonl(path):
    """Return the records of a file with one object a line."""
    records = []
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line.decode("utf-8-sig", "surrogateescape"))
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{path}, line {number}: {error}.") from error
            if not isinstance(record, dict):
                raise ValueError(f"{path}, line {number}: {line.strip()[:80]!r} is no object.")
            if record.get("kind") != "opened":
                records.append({**record, "where": f"line {number}"})
    return records


def to_json(value, **settings):
    """Write JSON in UTF-8, halves of characters in names of files as escapes."""
    text = json.dumps(value, ensure_ascii=False, **settings)
    return _HALF.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


def load_json(path):
    """Return what a file holds."""
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            return json.load(file)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON: {error}.") from error


def replace(path, write, newline=None):
    """Write a file, whole or not at all."""
    folder = os.path.dirname(os.path.abspath(path))
    handle, draft = tempfile.mkstemp(dir=folder, prefix=".export-")
    try:
        with open(handle, "w", encoding="utf-8", errors="surrogateescape", newline=newline) as file:
            write(file)
        os.chmod(draft, 0o666 & ~_umask())
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def suffix_of(path):
    """Return the format that a path asks for."""
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in (".csv", ".jsonl", ".json", ""):
        raise ValueError(
            f"{path} must end in .csv, .jsonl or .json (Label Studio), or have no suffix (a folder "
            "of Hugging Face datasets)."
        )
    return suffix
