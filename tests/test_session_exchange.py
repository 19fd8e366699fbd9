"""To files and back: the same state, here and in other programs."""

import csv
import json
import os
import random
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from session_tools import CLASSES, answer, blobs, open_session
from sklearn.dummy import DummyClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skactivekd import LabelingSession

X, TRUTH = blobs(40)
ODD = [
    'a "quoted", name',
    "two\nlines",
    "=cmd|' /C calc'!A0",
    "🐈 emoji",
    "-1",
    "'tick",
    "3",
    "null",
]
FORMATS = ["csv", "jsonl", "json"]


def busy_session(folder, names=CLASSES):
    """A session with everything in it that can be."""
    session = open_session(folder, X, classes=names)
    answer(session, TRUTH, 3, n_ask=4, names=names)
    answer(session, TRUTH, 1, n_ask=4, names=names, annotator="ben")
    session.skip(session.ask()[0])
    session.reject(session.ask()[0], annotator="ben")
    session.undo(annotator="ben")
    session.reject(session.ask()[0])
    session.relabel(0, names[2])
    session.tell(0, names[1], annotator="ben")
    session.accept([30, 31, 32, 33], wrong=[31], class_=names[1])
    session.add_class(f"{names[0]} too")
    return session


def state(session):
    """What has to be the same elsewhere."""
    inner = session._state
    session._catch_up()
    said = {
        (item, who): (event.kind, event.data.get("label"), event.data["source"], event.time)
        for item in inner.items()
        for who, event in inner.current_all(item).items()
    }
    denied = {item: [event.data["class"] for event in inner.denied(item)] for item in inner.items()}
    progress = session.progress(fresh=False)
    for name in ("rounds",):
        progress.pop(name)
    return said, denied, session.classes, session.y.tolist(), session.agreement(), progress


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("names", [CLASSES, ODD], ids=["plain", "odd"])
def test_what_is_exported_comes_back(memory_path, suffix, names):
    session = busy_session(memory_path, names)
    file = memory_path / f"labels.{suffix}"
    session.export(file)
    other = open_session(memory_path, X[::-1], name="other.sqlite", classes=names)
    counts = other.import_labels(file)
    assert counts["imported"] > 15
    assert counts["known"] == counts["unmatched"] == 0
    np.testing.assert_array_equal(other.y[::-1], session.y)
    again = open_session(memory_path, X, name="other.sqlite", classes=names)
    assert state(again) == state(session)
    assert again.import_labels(file)["imported"] == 0
    assert state(again) == state(session)
    assert session.import_labels(file)["imported"] == 0


def test_a_journal_comes_back_with_its_questions(memory_path):
    session = busy_session(memory_path)
    pending = session.ask(3), session.ask(2, annotator="ben")
    session.export(memory_path / "labels.jsonl")
    other = open_session(memory_path, X, name="other.sqlite")
    other.import_labels(memory_path / "labels.jsonl")
    assert (other.ask(3), other.ask(2, annotator="ben")) == pending
    assert other.undo() == session.undo()
    assert state(other) == state(session)


def test_integer_classes(memory_path):
    for suffix in FORMATS:
        session = open_session(memory_path, X, classes=[0, 1, 2], name=f"{suffix}.sqlite")
        answer(session, TRUTH, 1, n_ask=9, names=[0, 1, 2])
        session.export(memory_path / f"labels.{suffix}")
        other = open_session(memory_path, X, classes=[0, 1, 2], name=f"{suffix} other.sqlite")
        other.import_labels(memory_path / f"labels.{suffix}")
        np.testing.assert_array_equal(other.y, session.y)
        assert other.y.dtype == np.int64


def test_spreadsheets_run_nothing(memory_path):
    texts = ["=1+1", "@SUM(A1)", "plain", "+1", "-2+3", "'=x"]
    session = LabelingSession(
        DummyClassifier(), texts, classes=ODD, journal=memory_path / "j", annotator="=me()"
    )
    for row in range(len(texts)):
        session.tell(row, ODD[row])
    session.export(memory_path / "labels.csv")
    with open(memory_path / "labels.csv", newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell.startswith(tuple("=+@\t\r"))]
    assert not [cell for cell in cells if cell.startswith("-") and cell != "-1"]
    other = LabelingSession(DummyClassifier(), texts, classes=ODD, journal=memory_path / "k")
    other.import_labels(memory_path / "labels.csv")
    assert other.y.tolist() == session.y.tolist() == ODD[: len(texts)]
    assert list(other.agreement()["labels"]) == ["=me()"]


def test_labels_of_other_programs(memory_path):
    texts = ["one", "two", "=three", "four"]
    (memory_path / "a.csv").write_text("text,label\none,ant\n=three,=cmd\ntwo,\nfive,bee\n")
    names = ["ant", "bee", "=cmd"]
    session = LabelingSession(DummyClassifier(), texts, classes=names, journal=memory_path / "j")
    counts = session.import_labels(memory_path / "a.csv", annotator="sue")
    assert counts == {"imported": 2, "known": 0, "unmatched": 1}
    assert session.y.tolist() == ["ant", -1, "=cmd", -1]
    assert session.agreement()["labels"] == {"sue": 2}
    assert session.progress(fresh=False)["by_source"] == {"import": 2}
    assert session.import_labels(memory_path / "a.csv", annotator="sue")["known"] == 2
    (memory_path / "b.jsonl").write_text(
        '{"index": 1, "label": "bee"}\n\n{"index": 3, "label": "new"}\n'
    )
    with pytest.raises(ValueError, match="line 3: 'new' is none of the classes"):
        session.import_labels(memory_path / "b.jsonl")
    assert session.y[1] == -1
    session.import_labels(memory_path / "b.jsonl", new_classes=True)
    assert session.y.tolist() == ["ant", "bee", "=cmd", "new"]
    assert session.classes == [*names, "new"]


def test_numbers_in_text_files(memory_path):
    (memory_path / "a.csv").write_text("\ufeffindex,label\r\n0,2\r\n1,1\r\n", encoding="utf-8")
    session = open_session(memory_path, X, classes=[0, 1, 2])
    session.import_labels(memory_path / "a.csv")
    assert session.y[:3].tolist() == [2, 1, -1]


def test_files_are_matched_by_path(memory_path):
    files = []
    for name in ("a", "b"):
        (memory_path / name).mkdir()
        files.append(str(memory_path / name / f"{name}.png"))
    files.append(str(memory_path / "b" / "a.png"))
    for number, file in enumerate(files):
        with open(file, "w") as stream:
            stream.write(str(number))
    (memory_path / "x.csv").write_text(
        f"path,label\n/elsewhere/b.png,bee\n{files[0]},ant\na.png,cow\n"
    )
    session = LabelingSession(DummyClassifier(), files, classes=CLASSES, journal=memory_path / "j")
    counts = session.import_labels(memory_path / "x.csv")
    assert counts["unmatched"] == 1  # two files are called a.png
    assert session.y.tolist() == ["ant", "bee", -1]


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.csv", "text,class\n1,ant\n", "no column 'label'"),
        ("a.csv", "what,label\n1,ant\n", "does not say which rows"),
        ("a.csv", "", "no column 'label'"),
        ("a.csv", "index,label\n99,ant\n", "line 2: index=99 is no row"),
        ("a.csv", "index,label\nx,ant\n", "line 2"),
        ("a.csv", "text,label\nnowhere,ant\n", "None of the 1 labels"),
        ("a.csv", "index,label\n1,dog\n", "line 2: 'dog' is none of the classes"),
        ("a.jsonl", "{\n", "line 1"),
        ("a.jsonl", "[1]\n", "is no object"),
        ("a.jsonl", '{"index": 1}\n', "there is no label"),
        ("a.json", "nonsense", "is no JSON"),
        ("a.json", "[1]", "no tasks of Label Studio"),
        ("a.json", '[{"text": "x"}]', "no tasks of Label Studio"),
        ("a.xlsx", "", "must end in"),
    ],
)
def test_files_that_are_something_else(memory_path, name, content, match):
    (memory_path / name).write_text(content)
    session = open_session(memory_path, X)
    with pytest.raises(ValueError, match=match):
        session.import_labels(memory_path / name)
    assert (session.y == -1).all()
    with pytest.raises(FileNotFoundError):
        session.import_labels(memory_path / "missing.csv")


def test_an_export_is_whole_or_not_there(memory_path, monkeypatch):
    session = busy_session(memory_path)
    (memory_path / "out").mkdir()
    session.export(memory_path / "out" / "a.csv")
    before = (memory_path / "out" / "a.csv").read_text()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        session.export(memory_path / "out" / "a.csv")
    assert os.listdir(memory_path / "out") == ["a.csv"]
    assert (memory_path / "out" / "a.csv").read_text() == before
    with pytest.raises(ValueError, match="must end in"):
        session.export(memory_path / "a.xlsx")


# The shapes of Label Studio's documentation: "JSON format of annotated tasks", "Import
# pre-annotated data".
RESULT = {"id": str, "from_name": str, "to_name": str, "type": str, "value": dict}
ANNOTATION = {
    "id": int,
    "result": list,
    "was_cancelled": bool,
    "ground_truth": bool,
    "created_at": str,
    "updated_at": str,
    "lead_time": (int, float, type(None)),
    "result_count": int,
    "task": int,
}
PREDICTION = {"model_version": str, "score": float, "result": list}


def check_shape(thing, shape):
    for name, kind in shape.items():
        assert isinstance(thing[name], kind), (name, thing)


def test_label_studio_tasks_have_the_documented_shape(memory_path):
    texts = [f"text {row}" for row in range(40)]
    vector = dict(zip(texts, X, strict=True))

    model = make_pipeline(
        FunctionTransformer(lambda rows: [vector[row] for row in rows]), GaussianNB()
    )
    session = LabelingSession(model, texts, classes=CLASSES, journal=memory_path / "j")
    answer(session, TRUTH, 12)
    session.skip(session.ask()[0])
    session.export(memory_path / "tasks.json")
    tasks = json.loads((memory_path / "tasks.json").read_text())
    assert len(tasks) == 40
    assert [task["data"]["text"] for task in tasks] == texts
    ids = [task["id"] for task in tasks]
    annotations = [annotation for task in tasks for annotation in task["annotations"]]
    ids_of_annotations = [annotation["id"] for annotation in annotations]
    assert len(set(ids)) == 40
    assert len(set(ids_of_annotations)) == len(annotations) == 13
    assert sum(annotation["was_cancelled"] for annotation in annotations) == 1
    for task in tasks:
        [prediction] = task["predictions"]
        check_shape(prediction, PREDICTION)
        for annotation in task["annotations"]:
            check_shape(annotation, ANNOTATION)
            assert annotation["task"] == task["id"]
        for part in [prediction, *task["annotations"]]:
            for result in part["result"]:
                check_shape(result, RESULT)
                assert result["type"] == "choices"
                assert result["to_name"] == "text"
                assert set(result["value"]["choices"]) < set(CLASSES)


def test_label_studio_objects_by_kind_of_file(memory_path):
    files = [str(memory_path / name) for name in ("a.png", "b.wav", "c.bin", "d.txt")]
    for file in files:
        with open(file, "w") as stream:
            stream.write(file)
    session = LabelingSession(DummyClassifier(), files, classes=CLASSES, journal=memory_path / "j")
    session.export(memory_path / "tasks.json")
    tasks = json.loads((memory_path / "tasks.json").read_text())
    names = [next(iter(task["data"])) for task in tasks]
    assert names == ["image", "audio", "file", "path"]
    assert [task["data"][name] for task, name in zip(tasks, names, strict=True)] == files


def test_what_was_changed_in_label_studio(memory_path):
    session = open_session(memory_path, X)
    session.tell(0, "ant"), session.tell(1, "bee"), session.skip(2)
    session.export(memory_path / "tasks.json")
    tasks = json.loads((memory_path / "tasks.json").read_text())
    tasks[0]["annotations"][0]["result"][0]["value"]["choices"] = ["cow"]
    result = {"id": "x", "from_name": "label", "to_name": "row", "type": "choices"}
    for row, who in ((4, 7), (5, {"email": "sue@example.org"}), (6, None)):
        result["value"] = {"choices": [CLASSES[row % 3]]}
        tasks[row]["annotations"] = [{"id": row, "completed_by": who, "result": [dict(result)]}]
    tasks[7]["annotations"] = [{"id": 7, "was_cancelled": True, "result": []}]
    (memory_path / "tasks.json").write_text(json.dumps(tasks))
    assert session.import_labels(memory_path / "tasks.json")["imported"] == 5
    assert session.y[:8].tolist() == ["cow", "bee", -1, -1, "bee", "cow", "ant", -1]
    assert session.progress(fresh=False)["skipped"] == 2
    people = session.agreement()["labels"]
    assert people == {"annotator": 3, "label-studio-7": 1, "sue@example.org": 1}
    assert session.import_labels(memory_path / "tasks.json")["imported"] == 0


def test_tasks_that_began_in_label_studio(memory_path):
    texts = ["one", "two", "three"]
    task = {"id": 5, "data": {"text": "two", "more": 1}, "annotations": []}
    result = {"id": "r", "from_name": "c", "to_name": "text", "type": "choices"}
    task["annotations"] = [{"id": 1, "result": [{**result, "value": {"choices": ["bee"]}}]}]
    session = LabelingSession(DummyClassifier(), texts, classes=CLASSES, journal=memory_path / "j")
    (memory_path / "a.json").write_text(json.dumps([task]))
    assert session.import_labels(memory_path / "a.json")["imported"] == 1
    assert session.y.tolist() == [-1, "bee", -1]
    task["annotations"][0]["result"][0]["value"]["choices"] = ["bee", "ant"]
    (memory_path / "a.json").write_text(json.dumps([task]))
    with pytest.raises(ValueError, match="task 5: an item has one class here"):
        session.import_labels(memory_path / "a.json")


def test_datasets_are_named_where_they_are_missing(memory_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    session = open_session(memory_path, X)
    with pytest.raises(ImportError, match="pip install datasets"):
        session.export(memory_path / "folder")


def test_a_folder_of_datasets(memory_path, monkeypatch):
    saved = {}

    class Dataset:
        @staticmethod
        def from_dict(columns):
            return SimpleNamespace(save_to_disk=lambda path: saved.update({path: columns}))

    def load_from_disk(path):
        rows = [
            dict(zip(saved[path], row, strict=True))
            for row in zip(*saved[path].values(), strict=True)
        ]
        return SimpleNamespace(to_list=lambda: rows)

    fake = SimpleNamespace(Dataset=Dataset, load_from_disk=load_from_disk)
    monkeypatch.setitem(sys.modules, "datasets", fake)
    session = busy_session(memory_path)
    session.export(memory_path / "folder")
    other = open_session(memory_path, X, name="other.sqlite")
    other.import_labels(memory_path / "folder")
    assert state(other) == state(session)


@pytest.mark.parametrize("suffix", FORMATS)
def test_files_that_were_edited_by_accident(memory_path, suffix):
    """Whatever is in them: an error in words, and a journal that can be read, or an import."""
    session = busy_session(memory_path)
    session.export(memory_path / f"a.{suffix}")
    content = (memory_path / f"a.{suffix}").read_text()
    rng = random.Random(0)
    n_refused = 0
    other = open_session(memory_path, X, name="other.sqlite")
    for _ in range(150):
        at, length = rng.randrange(len(content)), rng.choice([1, 1, 5, 60])
        new = "".join(
            rng.choice("0aeé\"'{}[],:\\\n\0\ud800 ") for _ in range(rng.choice([0, 1, 4]))
        )
        edited = content[:at] + new + content[at + length :]
        (memory_path / f"b.{suffix}").write_bytes(edited.encode(errors="surrogatepass"))
        try:
            other.import_labels(memory_path / f"b.{suffix}")
        except ValueError:
            n_refused += 1
    assert n_refused > 10
    other.close()
    again = open_session(memory_path, X, name="other.sqlite")
    assert again.classes[: len(CLASSES)] == CLASSES
    again.export(memory_path / "c.jsonl")


@pytest.mark.parametrize(
    "changes",
    [
        {"key": 5}, {"key": None}, {"annotator": 5}, {"annotator": "a\nb"}, {"label": None},
        {"label": "dog"}, {"time": "now"}, {"time": None}, {"time": "9999-01-01T00:00:00+00:00"},
        {"seconds": "long"}, {"suggestions": "many"}, {"suggestions": [1]}, {"action": 3},
        {"source": []}, {"key": "\ud800"},
    ],
)  # fmt: skip
def test_events_that_cannot_be(memory_path, changes):
    session = open_session(memory_path, X)
    session.tell(0, "ant")
    session.export(memory_path / "a.jsonl")
    *_, line = (memory_path / "a.jsonl").read_text().splitlines()
    record = {**json.loads(line), "uid": "another", **changes}
    (memory_path / "b.jsonl").write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r".{20}"):
        session.import_labels(memory_path / "b.jsonl")
    assert state(open_session(memory_path, X)) == state(session)


def test_classes_of_another_kind(memory_path):
    session = open_session(memory_path, X)
    session.export(memory_path / "a.csv")
    other = open_session(memory_path, X, name="b", classes=[0, 1, 2])
    with pytest.raises(ValueError, match="all str or all int"):
        other.import_labels(memory_path / "a.csv")
