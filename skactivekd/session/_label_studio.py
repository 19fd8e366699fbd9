"""Tasks of Label Studio: its JSON with annotations and predictions, there and back.

Shapes as its documentation gives them: "Label Studio JSON format of annotated tasks" and "Import
pre-annotated data". What it has no place for travels in the `meta` of a task.
"""

import mimetypes
from datetime import UTC, datetime

from .._take_rows import take_rows
from ._record_files import to_record

CONTROL = "label"  # name of <Choices> in the labeling interface
_KEY, _META = "skactivekd_key", "skactivekd"


def write_tasks(state, pool, X, model, current):
    """Make tasks of all items of the pool, and of those that only the journal knows.

    Parameters
    ----------
    state : State
    pool : Pool
    X : array-like of n rows
    model : Model or None
    current : dict of str to list of Event

    Returns
    -------
    tasks : list of dict
    """
    proba = None if model is None else model.proba(X)
    items = [*pool.rows, *(item for item in current if item not in pool)]
    tasks, n_annotations = [], 0
    for number, item in enumerate(items, start=1):
        name, data = _data(item, state, pool, X)
        events = current.get(item, [])
        annotations = [
            _annotation(event, name, number, n_annotations + place)
            for place, event in enumerate((e for e in events if e.kind != "denied"), start=1)
        ]
        n_annotations += len(annotations)
        own = {"events": [to_record(event) for event in events]}
        if number == 1:
            own["classes"] = list(state.classes)
        task = {"id": number, "data": {**data, _KEY: item}, "annotations": annotations}
        task |= {"predictions": [], "meta": {_META: own}}
        if proba is not None and item in pool:
            row = pool.rows[item][0]
            best = int(proba[row].argmax())
            score = round(float(proba[row, best]), 6)
            result = [{**_choice(f"p{number}", name, model.classes[best]), "score": score}]
            task["predictions"] = [
                {"model_version": "skactivekd", "score": score, "result": result}
            ]
        tasks.append(task)
    return tasks


def _data(item, state, pool, X):
    """Return the name of a task's object and its data."""
    if item not in pool:
        return "row", {"row": str(state.names.get(item, item))}
    row = pool.rows[item][0]
    value = pool.values[row]
    if pool.kind == "file":
        kind = (mimetypes.guess_type(value)[0] or "").partition("/")[0]
        name = kind if kind in ("image", "audio", "video", "text") else "file"
        return ("path" if name == "text" else name), {("path" if name == "text" else name): value}
    if pool.kind == "text":
        return "text", {"text": value}
    if hasattr(X, "columns"):
        cells = take_rows(X, [row]).iloc[0]
        return "row", {"row": "; ".join(f"{name}: {cell}" for name, cell in cells.items())}
    name = pool.names[row]
    return "row", {"row": f"row {row}" if name is None else str(name)}


def _annotation(event, name, task, number):
    when = datetime.fromtimestamp(event.time, UTC).isoformat().replace("+00:00", "Z")
    answered = event.kind == "answered"
    result = [_choice(event.uid, name, event.data["label"])] if answered else []
    return {
        "id": number,
        "result": result,
        "was_cancelled": not answered,
        "ground_truth": False,
        "created_at": when,
        "updated_at": when,
        "lead_time": event.data.get("seconds"),
        "result_count": len(result),
        "task": task,
    }


def _choice(uid, name, label):
    value = {"choices": [str(label)]}
    return {"id": uid, "from_name": CONTROL, "to_name": name, "type": "choices", "value": value}


def read_tasks(tasks, path, pool):
    """Make records of what tasks say, for `read_events`.

    Parameters
    ----------
    tasks : object
        What the file holds.
    path : str
        For errors.
    pool : Pool

    Returns
    -------
    records : list of dict

    Raises
    ------
    ValueError
        If these are no tasks, or one has a choice too many.
    """
    if isinstance(tasks, dict):
        tasks = [tasks]
    if not isinstance(tasks, list) or not all(_is_task(task) for task in tasks):
        raise ValueError(f"{path} holds no tasks of Label Studio: a list of objects with 'data'.")
    records, strange = [], set()
    for at, task in enumerate(tasks):
        where = f"task {task.get('id', at + 1)}"
        meta = task.get("meta") or {}
        own = meta.get(_META) if isinstance(meta, dict) else None
        own = own if isinstance(own, dict) else {}
        labels = [
            {"kind": "class", "label": name, "uid": "class"} for name in own.get("classes", ())
        ]
        events = [event for event in own.get("events", ()) if isinstance(event, dict)]
        records += [{**record, "where": where} for record in [*labels, *events]]
        known = {(event.get("uid"), str(event.get("label"))) for event in events}
        cancelled = any(event.get("kind") in ("skipped", "rejected") for event in events)
        key = task["data"].get(_KEY) or _find(task["data"], pool)
        for annotation in task.get("annotations") or ():
            said = _said(annotation, where)
            if said is None:
                strange |= {str(part.get("type")) for part in _parts(annotation)}
            if said is None or said[:2] in known or (said[2] == "skipped" and cancelled):
                continue
            _, label, kind = said
            who = annotation.get("completed_by")
            who = who.get("email") if isinstance(who, dict) else who
            who = f"label-studio-{who}" if isinstance(who, int) else who
            record = {"kind": kind, "label": label if kind == "answered" else "", "key": key}
            records.append({**record, "annotator": who, "from": "label-studio", "where": where})
    if strange and not records:
        raise ValueError(
            f"{path} holds annotations of the kinds {', '.join(sorted(strange))}, and no choice; "
            "labels are read from <Choices>."
        )
    return records


def _is_task(task):
    return isinstance(task, dict) and isinstance(task.get("data"), dict)


def _find(data, pool):
    values = [value for value in data.values() if isinstance(value, str | int)]
    return next((key for key in pool.look_up(values) if key is not None), None)


def _parts(annotation):
    return [part for part in annotation.get("result") or () if isinstance(part, dict)]


def _said(annotation, where):
    """Return what an annotation says: the id of its result, its choice and the kind of event."""
    if not isinstance(annotation, dict):
        raise ValueError(f"{where}: an annotation is no object.")
    if annotation.get("was_cancelled"):
        return None, "", "skipped"
    found = [part for part in _parts(annotation) if part.get("type") == "choices"]
    if not found:
        return None
    value = found[0].get("value") or {}
    choices = value.get("choices") or []
    if len(found) > 1 or len(choices) != 1:
        raise ValueError(f"{where}: an item has one class here, but its annotation {choices}.")
    return found[0].get("id"), str(choices[0]), "answered"
