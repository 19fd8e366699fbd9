"""Slips that were once taken for what they cannot mean: of files, names and pages."""

import json
import os
from pathlib import Path

import pytest
from session_tools import CLASSES, answer, blobs, open_session
from sklearn.dummy import DummyClassifier

from skactivekd import LabelingSession
from skactivekd.session._journal import Event

X, TRUTH = blobs(40)


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def labels(session, n=3):
    return session.y[:n].tolist()


def test_undo_leaves_what_came_by_way_of_another_project(memory_path):
    session = open_session(memory_path, X)
    session.import_labels(write(memory_path / "a.csv", "index,label\n0,ant\n1,bee\n"))
    session.export(memory_path / "b.csv")
    other = open_session(memory_path, X, name="other.sqlite")
    other.import_labels(memory_path / "b.csv")
    assert other.undo() == []
    assert labels(other) == ["ant", "bee", -1]
    # A journal in which that was done before: its labels are back, and the next ones count.
    with other._changing() as append:
        [said] = [event for event in other._journal.read() if event.data.get("label") == "ant"]
        append([type(said)("undone", said.annotator, data={"action": said.data["action"]})])
    other.import_labels(write(memory_path / "c.csv", "index,label\n2,cow\n"))
    assert labels(other) == ["ant", "bee", "cow"]


def test_a_file_that_says_two_things_of_an_item_is_refused(memory_path):
    session = LabelingSession(
        DummyClassifier(), ["one", "two", "one"], classes=CLASSES, journal=memory_path / "j"
    )
    twice = write(memory_path / "a.csv", "index,label\n0,ant\n1,bee\n2,bee\n")
    with pytest.raises(ValueError, match=r"line 4: it says 'bee' of an item that line 2 calls"):
        session.import_labels(twice)
    assert labels(session) == [-1, -1, -1]
    people = write(
        memory_path / "b.csv", "index,label,annotator\n0,ant,ann\n2,bee,ben\n2,bee,ben\n"
    )
    assert session.import_labels(people) == {"imported": 2, "known": 1, "unmatched": 0}


def test_a_table_that_is_corrected_twice_counts_each_time(memory_path):
    session = open_session(memory_path, X)
    for label in ("ant", "bee", "ant", "bee"):
        file = write(memory_path / "a.csv", f"index,label\n0,{label}\n")
        assert session.import_labels(file)["imported"] == 1
        assert session.import_labels(file)["known"] == 1
        assert labels(session, 1) == [label]
    session.tell(0, "cow")  # a person who knows better than the file
    assert session.import_labels(file)["known"] == 1
    assert labels(session, 1) == ["cow"]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_label_that_was_corrected_in_an_export_counts(memory_path, suffix):
    session = open_session(memory_path, X)
    session.tell(0, "ant", annotator="ann")
    session.export(memory_path / f"a.{suffix}")
    content = (memory_path / f"a.{suffix}").read_text()
    *head, last = content.splitlines()
    edited = write(memory_path / f"b.{suffix}", "\n".join([*head, last.replace("ant", "bee")]))
    assert session.import_labels(edited)["imported"] == 1
    assert session.agreement()["labels"] == {"ann": 1}
    assert labels(session, 1) == ["bee"]
    assert session.import_labels(edited)["known"] == 1
    other = write(memory_path / f"c.{suffix}", "\n".join([*head, last.replace("ann", "ben")]))
    with pytest.raises(ValueError, match="it was changed since it was exported"):
        session.import_labels(other)


@pytest.mark.parametrize("index", ["1.7", "true", "[1]", '"1_0"', '"\u0661"'])
def test_what_is_no_row_number(memory_path, index):
    session = open_session(memory_path, X)
    file = write(memory_path / "a.jsonl", f'{{"index": {index}, "label": "ant"}}\n')
    with pytest.raises(ValueError, match=r"line 1: index=.* is no row number"):
        session.import_labels(file)
    assert (session.y == -1).all()


def test_numbers_are_read_as_people_write_them(memory_path):
    session = open_session(memory_path, X, classes=[0, 1, 10])
    session.import_labels(write(memory_path / "a.csv", "index,label\n0.0,1.0\n1, 10\n"))
    assert labels(session) == [1, 10, -1]
    with pytest.raises(ValueError, match="'1_0' is none of the classes"):
        session.import_labels(write(memory_path / "b.csv", "index,label\n2,1_0\n"))


def test_keys_of_other_programs_are_names(memory_path):
    session = open_session(memory_path, X, ids=[f"row {row}" for row in range(40)])
    file = write(memory_path / "a.csv", "key,label\nrow 1,ant\nrow 99,bee\n")
    assert session.import_labels(file) == {"imported": 1, "known": 0, "unmatched": 1}
    assert labels(session) == [-1, "ant", -1]
    assert session.progress(fresh=False)["elsewhere"] == 0


def test_boxes_of_label_studio_are_no_labels(memory_path):
    session = open_session(memory_path, X)
    box = {"type": "rectanglelabels", "value": {"rectanglelabels": ["ant"]}}
    task = {"data": {"row": "row 0"}, "annotations": [{"result": [box]}]}
    with pytest.raises(ValueError, match="of the kinds rectanglelabels, and no choice"):
        session.import_labels(write(memory_path / "a.json", json.dumps([task])))


def test_names_that_look_alike(memory_path):
    session = open_session(memory_path, X, classes=["ant", "caf\xe9"])
    for name in (" ant", "ant\n", "cafe\u0301", "a\u200bnt"):
        with pytest.raises(ValueError, match="which is there already"):
            session.add_class(name)
        with pytest.raises(ValueError, match="which is there already"):
            open_session(memory_path, X, classes=["ant", name])
    with pytest.raises(ValueError, match="which is there already"):
        open_session(memory_path, X, classes=["ant", "ant "], name="new.sqlite")
    rows = write(memory_path / "a.csv", "index,label\n0,ant \n")
    with pytest.raises(ValueError, match="which is there already"):
        session.import_labels(rows, new_classes=True)
    session.add_class("Ant")  # letters may be classes
    assert session.classes == ["ant", "caf\xe9", "Ant"]
    session.tell(0, "ant", annotator="ann ")
    session.tell(0, "ant", annotator="ann")
    assert session.agreement()["labels"] == {"ann": 1}


def test_figures_follow_a_review_that_leaves_the_labels(memory_path):
    session = open_session(memory_path, X)
    answer(session, TRUTH, 10)
    session.accept(list(range(30, 36)), class_="ant")
    session.progress()
    for row in range(30, 36):  # now a person has looked at each, and they count
        session.relabel(row, "ant")
    assert session.progress()["advice"] == open_session(memory_path, X).progress()["advice"]


@pytest.mark.parametrize("kind", ["asked", "denied", "undone", "answerd"])
def test_kinds_that_other_programs_do_not_say(memory_path, kind):
    session = open_session(memory_path, X)
    line = json.dumps({"index": 0, "label": "ant", "kind": kind})
    with pytest.raises(ValueError, match=f"line 1: its kind is '{kind}'"):
        session.import_labels(write(memory_path / "a.jsonl", line))
    # Such journals were written before: what is in them can be read.
    with session._changing() as append:
        append([Event(kind, "ann", session._pool.keys[0], {"action": "import", "round": "x"})])
    session.close()
    again = open_session(memory_path, X)
    again.tell(1, "bee")
    again.tell(2, "ant")
    assert again.confirm("ant", 5)
    assert again.ask(2, annotator="ann")


def test_tables_as_spreadsheets_write_them(memory_path):
    session = open_session(memory_path, X)
    table = memory_path / "a.csv"
    assert session.import_labels(write(table, "\ufeffindex;label\n0;ant\n"))["imported"] == 1
    with pytest.raises(ValueError, match="has the column 'label' more than once"):
        session.import_labels(write(table, "index,label,label\n0,bee,cow\n"))
    table.write_bytes("index,label\n1,bee\n".encode("utf-16"))
    with pytest.raises(ValueError, match="is UTF-16, or no text; save it as UTF-8"):
        session.import_labels(table)
    assert labels(session) == ["ant", -1, -1]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "json"])
def test_names_of_files_that_are_no_text(memory_path, suffix):
    files = [os.fsdecode(os.fsencode(memory_path) + name) for name in (b"/\xff.png", b"/b.png")]
    for file in files:
        write(Path(file), file.encode("utf-8", "replace").decode())
    session = LabelingSession(DummyClassifier(), files, classes=CLASSES, journal=memory_path / "j")
    session.tell(0, "bee")
    session.export(memory_path / f"a.{suffix}", suggest=False)
    other = LabelingSession(DummyClassifier(), files, classes=CLASSES, journal=memory_path / "k")
    assert other.import_labels(memory_path / f"a.{suffix}")["imported"] == 1
    assert other.y.tolist() == ["bee", -1]
    if suffix != "csv":
        (memory_path / f"a.{suffix}").read_bytes().decode("utf-8")  # as others read it


def test_classes_that_are_called_like_nothing(memory_path):
    y = ["NaN", "None"]
    session = LabelingSession(
        DummyClassifier(), ["a", "b"], classes=y, journal=memory_path / "j", y=y
    )
    assert session.y.tolist() == y
