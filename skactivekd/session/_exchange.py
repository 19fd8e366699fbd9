"""What persons said, to files and from files of other programs."""

import csv
import hashlib
import json
import os
import tempfile
from datetime import UTC, datetime

from ._classes import check_class, check_label
from ._journal import Event
from ._label_studio import read_tasks, write_tasks

COLUMNS = (
    "kind index key name label annotator time source seconds suggestions class action uid".split()
)
_KINDS = {"class", "asked", "answered", "skipped", "rejected", "denied", "undone"}
_NAMES = ("name", "id", "path", "file", "image", "audio", "video", "text")
_JSON = ("label", "class", "name", "index", "seconds", "suggestions")  # cells of more than text
_FORMULA = tuple("=+-@\t\r")  # spreadsheets run cells that begin so
_LONGEST = 100_000  # characters; csv reads cells of 131,072 at most


def write_events(path, events, state, pool, X, model):
    """Write a journal to a file, whole or not at all.

    Parameters
    ----------
    path : str or path
        Its suffix says the format.
    events : list of Event
    state : State
        Of these events.
    pool : Pool
    X : array-like of n rows
    model : Model or None
        For predictions, where the format holds such.

    Raises
    ------
    ValueError, ImportError, OSError
    """
    path = os.path.expanduser(os.fspath(path))
    suffix = _suffix(path)
    if suffix == "":
        return _datasets().Dataset.from_dict(_columns(_records(state, pool))).save_to_disk(path)
    if suffix == ".csv":
        return _replace(path, lambda file: _write_csv(file, _records(state, pool)), newline="")
    if suffix == ".jsonl":
        lines = [json.dumps(_to_dict(event), ensure_ascii=False) for event in events]
        return _replace(path, lambda file: file.writelines(f"{line}\n" for line in lines))
    tasks = write_tasks(state, pool, X, model, current_events(state))
    return _replace(path, lambda file: json.dump(tasks, file, ensure_ascii=False, indent=1))


def read_events(path, state, pool, annotator, new_classes, missing_label):
    """Read from a file what a journal does not know yet.

    Parameters
    ----------
    path : str or path
    state : State
    pool : Pool
    annotator : str
        Who said so, where the file does not tell.
    new_classes : bool
        Whether labels of others that are no classes become such.
    missing_label : int, float nan, str or None

    Returns
    -------
    events : list of Event
    counts : dict
        "imported", "known" and "unmatched".

    Raises
    ------
    ValueError
        If the file is none of this kind, or a label no class.
    """
    path = os.path.expanduser(os.fspath(path))
    records = _read_records(path, pool)
    classes, uids = list(state.classes), set(state.uids)
    for record in records:  # first, so that no label comes before its class
        if _is_own(record) and record["kind"] == "class" and record["label"] not in classes:
            check_class(record["label"], classes[0], missing_label)
            classes.append(record["label"])
    _match(records, pool)
    if new_classes:
        for record in records:
            if _is_own(record) or record["label"] in (None, ""):
                continue
            label = _typed(record["label"], classes)
            if label not in classes:
                check_class(label, classes[0], missing_label)
                classes.append(label)
    events = [
        Event("class", annotator, data={"name": name}) for name in classes[len(state.classes) :]
    ]
    counts, faults = {"imported": 0, "known": 0, "unmatched": 0}, []
    for record in records:
        if record.get("kind") == "class":
            continue
        try:
            event = _to_event(record, classes, annotator)
        except ValueError as error:
            faults.append(f"{record['where']}: {error}")
            continue
        if event is None:
            counts["unmatched"] += record["label"] not in (None, "")
        elif event.uid in uids:
            counts["known"] += 1
        else:
            uids.add(event.uid)
            events.append(event)
            counts["imported"] += 1
    if faults:
        more = f" ({len(faults) - 5} more)" if len(faults) > 5 else ""
        raise ValueError(
            f"{path} cannot be imported, and nothing of it was: {' '.join(faults[:5])}{more} Pass "
            "new_classes=True to take unknown labels for new classes."
        )
    if counts["unmatched"] and not counts["imported"] + counts["known"]:
        raise ValueError(
            f"None of the {counts['unmatched']} labels of {path} is of a row of X: they need a "
            "key, an index, an id, a path or a text that X has."
        )
    return events, counts


def current_events(state):
    """Return the events that hold now, by item."""
    return {
        item: [*state.current_all(item).values(), *state.denied(item)]
        for item in [
            *state.items(),
            *(item for item in state.denied_items() if item not in state.items()),
        ]
    }


def _records(state, pool):
    records = [
        {"kind": "class", "label": name, "uid": _uid("class", name)} for name in state.classes
    ]
    for item, events in current_events(state).items():
        rows = pool.rows.get(item, [None])
        name = state.names.get(item) if rows[0] is None else pool.names[rows[0]]
        for event in events:
            records.append({**_to_dict(event), "index": rows[0], "name": name})
    return [{name: record.get(name) for name in COLUMNS} for record in records]


def _to_dict(event):
    record = {"kind": event.kind, "key": event.item, "annotator": event.annotator, **event.data}
    if event.kind == "class":
        record["label"] = record.pop("name")
    when = None if event.time is None else datetime.fromtimestamp(event.time, UTC).isoformat()
    return {**record, "time": when, "uid": event.uid}


def _to_event(record, classes, annotator):
    """Make an event of a record; None if it is not about a row that can be told."""
    who = record.get("annotator") or annotator
    if _is_own(record):
        data = {
            name: value
            for name, value in record.items()
            if name not in ("kind", "key", "annotator", "uid", "time", "index", "where")
            and (value is not None or name == "suggestions")
        }
        for name in ("label", "class"):
            if name in data:
                data[name] = check_label(data[name], classes)
        data.setdefault("action", record["uid"])
        if record["kind"] in ("answered", "skipped", "rejected", "denied", "asked"):
            data["suggestions"] = data.get("suggestions") or []
        return Event(record["kind"], who, record["key"], data, record["uid"], _seconds(record))
    if not record.get("key") or (record.get("kind") is None and record["label"] in (None, "")):
        return None
    data = {"action": "import", "imported": True, "source": "import"}
    kind = record.get("kind") or "answered"
    if kind == "answered":
        data["label"] = check_label(_typed(record["label"], classes), classes)
    uid = _uid(record.get("from", kind), record["key"], who, data.get("label"))
    return Event(kind, who, record["key"], data, uid)


def _is_own(record):
    return bool(record.get("uid")) and record.get("kind") in _KINDS


def _seconds(record):
    try:
        return datetime.fromisoformat(record["time"]).timestamp()
    except (TypeError, ValueError):
        raise ValueError(f"its time is {record.get('time')!r}.") from None


def _typed(label, classes):
    """Return a label of a text file as the int that it is where classes are such."""
    if isinstance(classes[0], int) and isinstance(label, str):
        try:
            return int(label)
        except ValueError:
            return label
    return str(label) if isinstance(classes[0], str) and isinstance(label, int) else label


def _uid(*parts):
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def _match(records, pool):
    """Find the keys of what other programs call the rows."""
    searched, names = [], []
    for record in records:
        if _is_own(record) or record.get("key"):
            continue
        index = record.get("index")
        if index not in (None, ""):
            try:
                record["key"] = pool.find(int(index), "index")
            except (ValueError, IndexError) as error:
                raise ValueError(f"{record['where']}: {error}") from None
            continue
        name = next((record[name] for name in _NAMES if record.get(name) not in (None, "")), None)
        if name is not None:
            searched.append(record)
            names.append(name)
    for record, key in zip(searched, pool.look_up(names), strict=True):
        record["key"] = key


def _read_records(path, pool):
    suffix = _suffix(path)
    if suffix == "":
        rows = _datasets().load_from_disk(path).to_list()
        records = [_from_cells(row, f"row {at}") for at, row in enumerate(rows)]
    elif suffix == ".csv":
        records = _read_csv(path)
    elif suffix == ".jsonl":
        records = _read_jsonl(path)
    else:
        records = read_tasks(_load_json(path), path, pool)
    for record in records:
        if not _is_own(record) and "label" not in record:
            raise ValueError(f"{path}, {record['where']}: there is no label.")
    return records


def _read_csv(path):
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            if "label" not in (reader.fieldnames or ()):
                raise ValueError(f"{path} has no column 'label', only {reader.fieldnames}.")
            known = {"key", "index", *_NAMES} & set(reader.fieldnames)
            if not known:
                raise ValueError(
                    f"{path} does not say which rows its labels are of; it needs one of the "
                    f"columns {', '.join(['key', 'index', *_NAMES])}."
                )
            return [_from_cells(row, f"line {reader.line_num}") for row in reader]
        except csv.Error as error:
            raise ValueError(f"{path}, line {reader.line_num}: {error}.") from error


def _from_cells(row, where):
    """Undo what `_columns` did to a record."""
    record = {name: _unguard(value) for name, value in row.items() if isinstance(name, str)}
    if not _is_own(record):
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


def _columns(records):
    return {name: [_cell(name, record[name]) for record in records] for name in COLUMNS}


def _write_csv(file, records):
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(name, record[name]) for name in COLUMNS] for record in records)


def _read_jsonl(path):
    records = []
    with open(path, encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}.") from error
            if not isinstance(record, dict):
                raise ValueError(f"{path}, line {number}: {line.strip()[:80]!r} is no object.")
            if record.get("kind") != "opened":
                records.append({**record, "where": f"line {number}"})
    return records


def _load_json(path):
    try:
        with open(path, encoding="utf-8-sig") as file:
            return json.load(file)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON: {error}.") from error


def _replace(path, write, newline=None):
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


def _suffix(path):
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in (".csv", ".jsonl", ".json", ""):
        raise ValueError(
            f"{path} must end in .csv, .jsonl or .json (Label Studio), or have no suffix (a folder "
            "of Hugging Face datasets)."
        )
    return suffix


def _datasets():
    try:
        import datasets
    except ImportError as error:
        raise ImportError(
            "A path without a suffix means Hugging Face datasets: pip install datasets, or name a "
            ".csv, .jsonl or .json file."
        ) from error
    return datasets
