"""What persons said, to files and from files of other programs."""

import hashlib
import json
import os
import re
from datetime import datetime

from ._classes import check_class, check_label, check_new, whole_number
from ._journal import Event, check_event
from ._journal_state import IMPORT, SAYS
from ._label_studio import read_tasks, write_tasks
from ._record_files import (
    COLUMNS,
    NAMES,
    columns,
    from_cells,
    is_own,
    load_json,
    read_csv,
    read_jsonl,
    replace,
    suffix_of,
    to_json,
    to_record,
    write_csv,
)

_OWN_KEY = re.compile(r"[a-z]+-[0-9a-f]{16,}|id-(\".*\"|-?[0-9]+)", re.DOTALL)


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
    suffix = suffix_of(path)
    if suffix == "":
        return _datasets().Dataset.from_dict(columns(_records(state, pool))).save_to_disk(path)
    if suffix == ".csv":
        return replace(path, lambda file: write_csv(file, _records(state, pool)), newline="")
    if suffix == ".jsonl":
        lines = [to_json(to_record(event)) for event in events]
        return replace(path, lambda file: file.writelines(f"{line}\n" for line in lines))
    tasks = write_tasks(state, pool, X, model, current_events(state))
    return replace(path, lambda file: file.write(to_json(tasks, indent=1)))


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
    uids, said = set(state.uids), {}
    _match(records, pool)
    try:
        classes = _all_classes(records, list(state.classes), new_classes, missing_label)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be imported, and nothing of it was: {error}") from error
    events = [
        Event("class", annotator, data={"name": name}) for name in classes[len(state.classes) :]
    ]
    counts, faults = {"imported": 0, "known": 0, "unmatched": 0}, []
    for record in records:
        if record.get("kind") == "class":
            continue
        try:
            event = _to_event(record, classes, annotator, state)
            _check_once(event, record, said)
        except (ValueError, TypeError) as error:
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
        hint = f" ({len(faults) - 5} more)" if len(faults) > 5 else ""
        if any("none of the classes" in fault for fault in faults):
            hint += " Pass new_classes=True to take unknown labels for new classes."
        raise ValueError(
            f"{path} cannot be imported, and nothing of it was: {' '.join(faults[:5])}{hint}"
        )
    if counts["unmatched"] and not counts["imported"] + counts["known"]:
        raise ValueError(
            f"None of the {counts['unmatched']} labels of {path} is of a row of X: they need a "
            "key, an index, an id, a path or a text that X has."
        )
    return events, counts


def _all_classes(records, classes, new_classes, missing_label):
    """Return the classes so far and those that come with the records."""
    for record in records:
        label = record.get("label")
        if not is_own(record):
            label = _typed(label, classes) if new_classes else None
        elif record["kind"] != "class":
            continue
        if label not in (None, "", *classes):
            check_class(label, classes[0], missing_label)
            if not is_own(record):
                check_new(label, classes)
            classes.append(label)
    return classes


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
            records.append({**to_record(event), "index": rows[0], "name": name})
    return [{name: record.get(name) for name in COLUMNS} for record in records]


def _to_event(record, classes, annotator, state):
    """Make an event of a record; None if it is not about a row that can be told."""
    who = record.get("annotator") or annotator
    if not isinstance(who, str) or not who.isprintable():
        raise ValueError(f"its annotator is {who!r}.")
    who = who.strip()
    if is_own(record):
        event = _own_event(record, classes, who)
        known = state.uids.get(event.uid)
        return event if known is None else _changed(event, known, state)
    if not record.get("key") or (record.get("kind") is None and record["label"] in (None, "")):
        return None
    kind, label = record.get("kind") or "answered", None
    if kind not in SAYS:
        raise ValueError(
            f"its kind is {kind!r}, but other programs say {', '.join(sorted(SAYS))} or nothing."
        )
    if kind == "answered":
        label = check_label(_typed(record["label"], classes), classes)
    return _foreign(kind, who, record["key"], label, record.get("from", kind), state)


def _foreign(kind, who, key, label, origin, state):
    """Make the event of what another program says, of the same uid as long as it says so."""
    before = state.taken_in(key, who)
    parts = [origin, key, who, label]
    if before and (before[-1].kind, before[-1].data.get("label")) == (kind, label):
        return before[-1]  # an answer that was given here since then stays
    if before and _uid(*parts) in state.uids:  # there and back: a file that was corrected twice
        parts.append(len(before))
    data = {"action": IMPORT, "imported": True, "source": "import"}
    if kind == "answered":
        data["label"] = label
    return Event(kind, who, key, data, _uid(*parts))


def _changed(event, known, state):
    """Return an event of ours, or a new answer if its label was changed in the file."""
    if (event.kind, event.item, event.annotator) != (known.kind, known.item, known.annotator):
        raise ValueError(
            "it was changed since it was exported, other than in its label; take it out, or empty "
            "its cells 'kind' and 'uid' to have it read as a label of another program."
        )
    label = event.data.get("label")
    if label == known.data.get("label"):
        return known
    return _foreign("answered", event.annotator, event.item, label, f"changed {event.uid}", state)


def _check_once(event, record, said):
    """Refuse a file in which a person says two things of an item."""
    if event is None or is_own(record) or event.kind != "answered":
        return
    label, where = event.data["label"], record["where"]
    before = said.setdefault((event.item, event.annotator), (label, where))
    if before[0] != label:
        raise ValueError(
            f"it says {label!r} of an item that {before[1]} calls {before[0]!r}, both by "
            f"{event.annotator}; correct one of them."
        )


def _own_event(record, classes, who):
    """Make the event that `to_record` made a record of."""
    kind, about = record["kind"], {"kind", "key", "annotator", "uid", "time", "index", "where"}
    data = {name: value for name, value in record.items() if name not in about}
    data = {name: value for name, value in data.items() if value is not None}
    needed = {"answered": "label", "denied": "class", "undone": "action"}.get(kind, "key")
    if record.get(needed) is None or (kind != "undone" and not record.get("key")):
        raise ValueError(f"it is {kind}, but does not say of what.")
    for name in {"label", "class"} & data.keys():
        data[name] = check_label(data[name], classes)
    data.setdefault("action", record["uid"])
    if data["action"] == IMPORT:  # a table has no column that says so
        data["imported"] = True
    data.setdefault("source", "import")
    data["suggestions"] = _pairs(data.get("suggestions"))
    seconds, texts = data.get("seconds"), [data["action"], data["source"], record.get("key") or ""]
    if not isinstance(data.get("round", 0), int):
        raise ValueError(f"its round is {data['round']!r}.")
    if seconds is not None and not isinstance(seconds, int | float):
        raise ValueError(f"its seconds are {seconds!r}.")
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("its key, action or source is no text.")
    event = Event(kind, who, record.get("key"), data, record["uid"], _seconds(record))
    check_event(event)
    return event


def _pairs(suggestions):
    """Return suggestions if they are pairs of class and probability."""
    suggestions = suggestions or []
    if not isinstance(suggestions, list) or not all(
        isinstance(pair, list) and len(pair) == 2 for pair in suggestions
    ):
        raise ValueError(f"its suggestions are {suggestions!r:.80}.")
    return suggestions


def _seconds(record):
    try:
        return datetime.fromisoformat(record.get("time")).timestamp()
    except (TypeError, ValueError):
        raise ValueError(f"its time is {record.get('time')!r}.") from None


def _typed(label, classes):
    """Return a label of a text file as the int that it is where classes are such."""
    if isinstance(classes[0], int) and isinstance(label, str):
        number = whole_number(label)
        return label if number is None else number
    return str(label) if isinstance(classes[0], str) and isinstance(label, int) else label


def _uid(*parts):
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def _match(records, pool):
    """Find the keys of what other programs call the rows."""
    searched, names = [], []
    for record in records:
        key = record.get("key")
        if is_own(record) or (isinstance(key, str) and (key in pool or _OWN_KEY.fullmatch(key))):
            continue
        index = record.get("index")
        if index not in (None, ""):
            try:
                record["key"] = pool.find(_row_number(index), "index")
            except (ValueError, IndexError) as error:
                raise ValueError(f"{record['where']}: {error}") from None
            continue
        names_of = [record.get(name) for name in (*NAMES, "key")]
        name = next((name for name in names_of if name not in (None, "")), None)
        if name is not None:
            searched.append(record)
            names.append(name)
    for record, key in zip(searched, pool.look_up(names), strict=True):
        record["key"] = key


def _row_number(index):
    number = None if isinstance(index, bool) else whole_number(str(index))
    if number is None:
        raise ValueError(f"index={index!r} is no row number.")
    return number


def _read_records(path, pool):
    suffix = suffix_of(path)
    if suffix == "":
        rows = _datasets().load_from_disk(path).to_list()
        records = [from_cells(row, f"row {at}") for at, row in enumerate(rows)]
    elif suffix == ".csv":
        records = read_csv(path)
    elif suffix == ".jsonl":
        records = read_jsonl(path)
    else:
        records = read_tasks(load_json(path), path, pool)
    for record in records:
        if not is_own(record) and "label" not in record:
            raise ValueError(f"{path}, {record['where']}: there is no label.")
    return records


def _datasets():
    try:
        import datasets
    except ImportError as error:
        raise ImportError(
            "A path without a suffix means Hugging Face datasets: pip install datasets, or name a "
            ".csv, .jsonl or .json file."
        ) from error
    return datasets
