"""The command line from a source to a model, predictions, reports and exports."""

import importlib.util
import json
import os
import shutil
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_tools import (
    answers,
    fake_page,
    read_csv,
    run,
    sentences,
    tell_all,
    write_csv,
    write_images,
)
from PIL import Image

import skactivekd
from skactivekd.cli import _label
from skactivekd.cli._class_names import read_classes
from skactivekd.cli._open_session import open_project
from skactivekd.cli._project import Project, Settings, read_config, write_config
from skactivekd.cli._sources import read_source
from skactivekd.cli._thumbnails import Thumbnails, choose_size

TEXTS, NAMES = sentences(60)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder, and students that learn no longer than a test may take."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("skactivekd.student._training_length._STEPS", 250)
    monkeypatch.setattr("skactivekd.student._training_length._EPOCHS", 60)
    return tmp_path


@pytest.mark.slow
def test_texts_from_a_table_to_a_model(here, monkeypatch, capsys):
    write_csv("t.csv", {"text": TEXTS, "id": range(60)})
    calls = fake_page(monkeypatch, tell_all(NAMES.__getitem__, 24))
    assert run(["label", "t.csv", "--classes", "card,transfer,rate", "--no-browser"]) == 0
    [call] = calls
    assert (call["title"], call["open_browser"], call["host"]) == ("t-project", False, "127.0.0.1")
    assert call["items"].rows == TEXTS
    said = capsys.readouterr().out
    assert "t-project: 60 texts and 0 labels, 3 classes, teacher none." in said
    assert "learns from your labels alone" in said
    assert "24 items are labeled" in said
    assert "skactivekd fit --project t-project" in said
    assert run(["fit"]) == 0
    new, truth = sentences(40, seed=1)
    write_csv("new.csv", {"text": [*new, ""]})
    assert run(["predict", "new.csv", "--out", "out/p.csv", "--all"]) == 1
    rows = read_csv("out/p.csv")
    assert [row["row"] for row in rows] == [str(number) for number in range(1, 42)]
    right = [row["class"] == name for row, name in zip(rows, truth, strict=False)]
    assert np.mean(right) > 0.8
    assert (rows[-1]["class"], rows[-1]["error"]) == ("", "no text")
    for row in rows[:-1]:
        proba = {
            name: float(row[f"probability of {name}"]) for name in ("card", "rate", "transfer")
        }
        assert sum(proba.values()) == pytest.approx(1, abs=1e-4)
        assert float(row["probability"]) == max(proba.values()) == proba[row["class"]]
    assert skactivekd.load("t-project/model").predict(new).tolist() == [
        row["class"] for row in rows[:-1]
    ]
    capsys.readouterr()
    assert run(["report", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["labels"] == 24
    assert report["accuracy"]["n"] == 2
    assert run(["report"]) == 0
    said = capsys.readouterr().out
    assert "24 of 60 items labeled" in said
    assert "  transfer  " in said
    assert run(["export", "m.onnx"]) == 0
    assert run(["export", "l.csv"]) == 0
    assert Path("m.onnx").stat().st_size > 1000
    assert sum(row["kind"] == "answered" for row in read_csv("l.csv")) == 24


def test_labels_that_are_there_make_a_model_without_a_page(here, monkeypatch, capsys):
    write_csv("t.csv", {"text": TEXTS, "label": NAMES[:40] + [""] * 20})
    assert run(["fit", "t.csv", "--seed", "3"]) == 0
    said = capsys.readouterr().out
    assert "t-project: 60 texts and 40 labels, 3 classes, teacher none." in said
    assert "The classes are card, rate, transfer; --classes names others." in said
    assert read_config(Path("t-project/config.toml")).seed == 3
    assert "sentence-transformers" in Path("t-project/config.toml").read_text()
    write_csv("new.csv", {"text": ["my card is lost"]})
    assert run(["predict", "new.csv"]) == 0
    assert [row["class"] for row in read_csv("predictions.csv")] == ["card"]
    assert "1 row is predicted" in capsys.readouterr().out
    monkeypatch.setattr(skactivekd.DHOClassifier, "fit", None)  # a report has nothing to measure
    assert run(["report"]) == 0
    assert "40 of 60 items labeled" in capsys.readouterr().out


@pytest.mark.slow
def test_a_table_of_numbers(here, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    columns = {name: (y == place) * 3 + rng.normal(size=90) for place, name in enumerate("abc")}
    columns["a"] = [*columns["a"][:-1].round(3), ""]  # a gap
    names = np.array(["ant", "bee", "cow"], dtype=object)[y]
    known = [name if row < 6 else "" for row, name in enumerate(names)]
    write_csv("t.csv", {"id": range(90), **columns, "label": known})
    calls = fake_page(monkeypatch, tell_all(names.__getitem__, 24))
    assert run(["label", "t.csv"]) == 0
    said = capsys.readouterr()
    assert "1 rows with gaps are left out, such as row 90 of t.csv, column 'a'." in said.err
    assert "t-project: 89 rows and 6 labels, 3 classes" in said.out
    assert list(calls[0]["items"].rows.columns) == ["id", "a", "b", "c"]
    assert read_config(Path("t-project/config.toml")).classes == ["ant", "bee", "cow"]
    assert run(["fit"]) == 0
    assert len({item for item, label in answers("t-project") if label}) == 30
    assert run(["predict", "t.csv"]) == 1
    rows = read_csv("predictions.csv")
    assert np.mean([row["class"] == name for row, name in zip(rows, names, strict=True)]) > 0.85
    assert rows[-1]["error"] == "no finite number in the column 'a'"
    write_csv("bad.csv", {"a": ["1", "x"], "b": ["1", "2"], "c": ["2", "inf"]})
    assert run(["predict", "bad.csv", "--out", "p.parquet"]) == 1
    import pandas as pd

    read = pd.read_parquet("p.parquet")
    assert read["error"].tolist()[1] == "no finite number in the column 'a'"
    assert read["class"].isna().tolist() == [False, True]
    assert run(["export", "m.pt2"]) == 0


@pytest.mark.slow
def test_images_in_folders_and_beside_them(here, monkeypatch, capsys):
    write_images("d", 40)
    for path in sorted(Path("d").glob("0[01]*.png"))[:12]:
        folder = Path("d", path.stem[-1])
        folder.mkdir(exist_ok=True)
        path.rename(folder / path.name)
    Path("d/.hidden.png").touch()
    Path("d/notes.txt").touch()
    Path("d/broken.png").write_bytes(b"no")
    calls = fake_page(monkeypatch)
    assert run(["label", "d", "--project", "d/p"]) == 0
    said = capsys.readouterr()
    assert "1 files that are no images are left out" in said.err
    assert "1 image cannot be read and is left out" in said.err
    assert "broken.png" in said.err
    assert "40 images and 12 labels, 3 classes" in said.out
    assert len(calls[0]["items"].rows) == 40
    # A new file, a file that moved, and an answer on another day.
    shutil.copy("d/020_c.png", "d/same.png")
    Image.new("L", (8, 8), 250).save("d/new.png")
    truth = {path.name: path.stem[-1] for path in Path("d").rglob("*_?.png")}
    truth |= {"same.png": "c", "new.png": "c"}

    def person(session, items):
        for _ in range(12):
            [question] = session.ask()
            session.tell(question, truth[Path(items.rows[question.index]).name])

    calls = fake_page(monkeypatch, person)
    assert run(["label", "--project", "d/p"]) == 0
    assert len(calls[0]["items"].rows) == 42
    assert run(["fit", "--project", "d/p"]) == 0
    assert run(["predict", "d", "d/broken.png", "--project", "d/p"]) == 1
    rows = read_csv("predictions.csv")
    assert len(rows) == 44  # the folder has the broken file too
    assert [row["error"] for row in rows if "broken" in row["file"]] == ["no image"] * 2 or all(
        row["error"] for row in rows if "broken" in row["file"]
    )
    good = [row for row in rows if not row["error"]]
    assert np.mean([truth[Path(row["file"]).name] == row["class"] for row in good]) > 0.9
    assert skactivekd.load("d/p/model").predict(["d/new.png"]).tolist() == ["c"]
    assert run(["export", "m.onnx", "--project", "d/p"]) == 0


@pytest.mark.slow
def test_the_demo_is_a_project_of_files(here, monkeypatch, capsys):
    calls = fake_page(monkeypatch)
    assert run(["label", "--demo"]) == 0
    assert "1797 images and 0 labels, 10 classes, teacher glyph" in capsys.readouterr().out
    assert len(calls[0]["items"].rows) == len(list(Path("skactivekd-demo/digits").iterdir()))
    shutil.rmtree("skactivekd-demo/digits")
    assert run(["label", "--demo"]) == 0


def test_labels_go_to_another_project_and_back(here, monkeypatch, capsys):
    write_csv("t.csv", {"text": TEXTS})
    fake_page(monkeypatch, tell_all(NAMES.__getitem__, 9))
    assert run(["label", "t.csv", "--classes", "card,transfer,rate", "--annotator", "ann"]) == 0
    for name in ("l.csv", "l.jsonl", "l.json"):
        assert run(["export", name]) == 0
    fake_page(monkeypatch)
    for name in ("l.csv", "l.jsonl", "l.json"):
        argv = ["label", "t.csv", "--classes", "card,transfer,rate", "--project", f"{name}-p"]
        assert run(argv) == 0
        assert run(["import", name, "--project", f"{name}-p"]) == 0
        told = sorted(pair for pair in answers(f"{name}-p") if pair[1])
        assert told == sorted(pair for pair in answers("t-project") if pair[1])
        capsys.readouterr()
        assert run(["import", name, "--project", f"{name}-p"]) == 0
        assert "0 entries are taken in, " in capsys.readouterr().out


def test_a_simulation_of_a_table(here, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    write_csv("t.csv", {"a": y * 3 + rng.normal(size=80), "label": np.array(["x", "z"])[y]})
    argv = ["--rounds", "2", "--labels", "4", "--seeds", "1", "--strategies", "Margin"]
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    assert run(["simulate", "t.csv", *argv]) == 0
    said = capsys.readouterr().out
    assert "Margin" in said
    assert "random" in said
    assert Path("simulation.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(os.listdir()) == ["simulation.png", "t.csv"]


def test_settings_come_back_as_they_were(tmp_path):
    names = ['a "b"', "c,d", "e\\f", "👨‍👩‍👧", "ü", "# no comment", "=1"]
    settings = Settings("../d", "images", classes=names, names={n: n[::-1] for n in names[:3]})
    settings.audit, settings.columns, settings.guideline = 0.25, ["x y"], "g.md"
    path = tmp_path / "config.toml"
    path.write_text(write_config(settings), encoding="utf-8")
    assert read_config(path) == settings


def test_settings_changed_by_hand_count_and_are_left_alone(here, monkeypatch):
    write_csv("t.csv", {"text": TEXTS})
    fake_page(monkeypatch)
    assert run(["label", "t.csv", "--classes", "card,transfer", "--project", "p"]) == 0
    path = Path("p/config.toml")
    changed = path.read_text().replace('"card",', '"card",\n    "rate",  # new') + "# mine\n"
    path.write_text(changed)
    assert run(["label", "--project", "p"]) == 0
    assert path.read_text() == changed
    project = Project("p")
    session = open_project(project).session
    assert session.classes == ["card", "transfer", "rate"]
    session.close()
    assert run(["label", "--project", "p", "--strategy", "Margin"]) == 0
    assert Path("p/config.toml.old").read_text() == changed
    assert read_config(path).strategy == "Margin"


def test_names_of_classes_of_all_kinds(here, monkeypatch):
    Path("c.txt").write_text('\ufeffa, b\n"q"\n\n👨‍👩‍👧\n=cmd\n', encoding="utf-8")
    names = ["a, b", '"q"', "👨‍👩‍👧", "=cmd"]
    assert read_classes("@c.txt") == names
    assert read_classes("x, y") == ["x", "y"]
    write_csv("t.csv", {"text": TEXTS})
    fake_page(monkeypatch, tell_all(lambda row: names[row % 4], 12))
    assert run(["label", "t.csv", "--classes", "@c.txt", "--project", "p"]) == 0
    with monkeypatch.context() as patch:  # the curve is left to the report
        patch.setattr("skactivekd.session._held_out_fits.Figures._take_snapshots", None)
        assert run(["fit"]) == 0
    assert run(["predict", "t.csv"]) == 0
    assert {row["class"] for row in read_csv("predictions.csv")} <= {*names[:3], "'=cmd"}
    assert run(["export", "l.csv"]) == 0
    labels = [row["label"] for row in read_csv("l.csv") if row["kind"] == "answered"]
    assert set(labels) <= {*names[:3], "'=cmd", json.dumps('"q"')}


def test_which_columns_are_meant(here):
    def found(**columns):
        write_csv("t.csv", columns)
        source = read_source("t.csv")
        return source.kind, source.columns

    words = ["some words", "other words"]
    assert found(text=words, n=[1, 2]) == (
        "texts",
        {"label_column": "", "id_column": "", "text_column": "text"},
    )
    assert found(what=words, category=["a", "b"])[1]["label_column"] == "category"
    assert found(what=words)[1]["text_column"] == "what"
    assert found(a=["x.png", "y.png"], note=words)[1]["path_column"] == "a"
    assert found(id=[1, 2], a=[1, 2], b=["1.5", ""])[1]["columns"] == ["a", "b"]
    assert found(y=["a", "b"], a=[1, 2])[1] == {
        "label_column": "y",
        "id_column": "",
        "columns": ["a"],
    }


@pytest.mark.parametrize("suffix", ["tsv", "jsonl", "parquet"])
def test_tables_of_other_kinds(here, suffix):
    import pandas as pd

    table = pd.DataFrame({"text": TEXTS[:4], "label": ["card", None, "card", "rate"]})
    if suffix == "tsv":
        table.to_csv("t.tsv", sep="\t", index=False)
    elif suffix == "jsonl":
        table.to_json("t.jsonl", orient="records", lines=True)
    else:
        table.to_parquet("t.parquet")
    source = read_source(f"t.{suffix}")
    assert source.X == TEXTS[:4]
    assert source.labels == ["card", "", "card", "rate"]


def test_pictures_are_read_once(here, monkeypatch):
    paths = [str(path) for path in sorted(write_images("d", 6, size=20).iterdir())]
    assert choose_size(paths) == (20, 20)
    first, bad = Thumbnails("t.sqlite", 8).read(paths)
    assert not bad
    assert first.shape == (6, 8, 8, 3)

    def fail(*_):
        raise AssertionError("read")

    with monkeypatch.context() as patch:
        patch.setattr("skactivekd.cli._thumbnails.open_image", fail)
        again, bad = Thumbnails("t.sqlite", 8).read(paths)
        assert not bad
        np.testing.assert_array_equal(again, first)
        assert set(Thumbnails("t.sqlite", 16).read(paths)[1]) == set(range(6))
    Path("t.sqlite").write_bytes(b"x" * 4096)
    np.testing.assert_array_equal(Thumbnails("t.sqlite", 8).read(paths)[0], first)
    os.chmod("t.sqlite", 0o666)
    with pytest.warns(UserWarning, match="cannot be written"):
        Thumbnails("no/t.sqlite", 8).read(paths)


def test_what_was_learned_from_thumbnails_predicts_files(here, monkeypatch):
    write_images("d", 30, size=12)
    fake_page(monkeypatch, None)
    assert run(["label", "d", "--classes", "a,b,c", "--project", "p"]) == 0
    opened = open_project(Project("p"))
    for row, path in enumerate(opened.source.X):
        opened.session.tell(row, Path(path).stem[-1])
    fitted = opened.session.fit().model
    model = opened.student.deployable(fitted)
    opened.session.close()
    np.testing.assert_allclose(
        model.predict_proba(opened.source.X), fitted.predict_proba(opened.source.X), atol=1e-5
    )


@pytest.mark.thorough
def test_two_processes_begin_one_project_at_once(here, monkeypatch):
    import subprocess

    write_csv("t.csv", {"text": TEXTS})
    script = """
import sys
sys.path.insert(0, sys.argv[1])
from cli_tools import fake_page, run, sentences, tell_all
import pytest
fake_page(pytest.MonkeyPatch(), tell_all(sentences(60)[1].__getitem__, 5))
sys.exit(run(["label", "t.csv", "--classes", "card,transfer,rate", "--project", "p",
              "--annotator", sys.argv[2]]))
"""
    argv = [sys.executable, "-c", script, str(Path(__file__).parent)]
    running = [subprocess.Popen([*argv, name]) for name in ("ann", "ben")]
    assert [process.wait(120) for process in running] == [0, 0]
    told = [item for item, label in answers("p") if label]
    assert len(told) == len(set(told)) == 10


def test_a_project_keeps_its_port(here, monkeypatch, capsys):
    write_csv("t.csv", {"text": TEXTS})
    calls = fake_page(monkeypatch)
    argv = ["label", "t.csv", "--classes", "card,transfer", "--project", "p"]
    for more in ([], [], ["--port", "0"]):
        assert run([*argv, *more]) == 0
    first, again, other = (call["port"] for call in calls)
    assert 20_000 <= first == again < 30_000
    assert other == 0
    assert read_config(Path("p/config.toml")).port == first
    with socket.create_server(("127.0.0.1", first)):
        capsys.readouterr()
        assert run(argv) == 2
        assert f"Port {first}, where the page of this project always is" in capsys.readouterr().err
        assert run([*argv, "--port", str(first)]) == 2
        assert f"Port {first} of 127.0.0.1 is taken; name another" in capsys.readouterr().err
        write_csv("u.csv", {"text": TEXTS})
        assert run(["label", "u.csv", "--classes", "card,transfer", "--project", "q"]) == 0
    assert calls[-1]["port"] not in (first, 0)  # projects do not share one
    assert len(calls) == 4


def test_the_page_gets_what_the_source_is():
    from skactivekd.cli._sources import Source

    pytest.importorskip("skactivekd.app")
    items = _label.make_items(Source("texts", ["a"], [""], ["row 1"]))
    assert items.kind == "text"
    assert _label.make_items(Source("images", ["a.png"], [""], ["a.png"])).kind == "image"


@pytest.mark.skipif(
    importlib.util.find_spec("skactivekd.app") is None, reason="the page is not there"
)
def test_the_page_is_served_until_an_interrupt(here):
    import re
    import signal
    import subprocess
    import urllib.request

    write_csv("t.csv", {"text": TEXTS})
    argv = ["label", "t.csv", "--classes", "card,transfer,rate", "--project", "p", "--no-browser"]
    with subprocess.Popen(
        [sys.executable, "-m", "skactivekd", *argv], stdout=subprocess.PIPE, text=True
    ) as process:
        printed = ""
        while not (found := re.search(r"http://127\.0\.0\.1:\S+", printed)):
            line = process.stdout.readline()
            assert line, printed
            printed += line
        with urllib.request.urlopen(found[0], timeout=60) as page:
            assert page.status == 200
        process.send_signal(signal.SIGINT)
        printed += process.communicate(timeout=60)[0]
    assert process.returncode == 0
    assert "60 texts and 0 labels" in printed
    assert "skactivekd fit --project p" in printed
