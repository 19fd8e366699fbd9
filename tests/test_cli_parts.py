"""Parts of the command line, one by one: rows to predict, teachers, students, its words."""

import runpy
import sqlite3
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_tools import fake_page, run, sentences, write_csv, write_images

from skactivekd import OpenCLIPEncoder
from skactivekd.cli import _main, _teachers
from skactivekd.cli._class_names import check_class_names
from skactivekd.cli._errors import Trouble, explain
from skactivekd.cli._predictions import Rows, predict_files
from skactivekd.cli._project import Project, Settings, read_config
from skactivekd.cli._sources import read_source
from skactivekd.cli._students import Student
from skactivekd.cli._teachers import make_encoder
from skactivekd.encoders import SkippedRowsWarning


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(files, **settings):
    return [(list(names), list(rows)) for names, rows in Rows(files, Settings(**settings)).blocks()]


def test_tables_of_pictures_name_their_files_from_where_they_are(here):
    write_images("d", 2)
    write_csv("d/t.csv", {"Path": ["000_a.png", "001_b.png"], "id": [7, 8]})
    folder = str(here / "d")
    [(names, rows)] = blocks(["d/t.csv"], kind="images", id_column="id")
    assert names == ["7", "8"]
    assert rows == [f"{folder}/000_a.png", f"{folder}/001_b.png"]
    write_csv("d/t.csv", {"pic": ["000_a.png"]})
    assert blocks(["d/t.csv"], kind="images", path_column="pic") == [
        (["000_a.png"], [f"{folder}/000_a.png"])
    ]
    with pytest.raises(Trouble, match="has no column 'path', which the model needs, but 'pic'"):
        blocks(["d/t.csv"], kind="images")
    Path("e").mkdir()
    with pytest.raises(Trouble, match="e holds no image; name another folder"):
        blocks(["e"], kind="images")
    with pytest.raises(Trouble, match="is no table with texts"):
        blocks(["d/000_a.png"], kind="texts", text_column="text")


def test_folders_that_are_no_class_are_said(here):
    for name in ("cat", "other", "more"):
        write_images(f"d/{name}", 2)
    source = read_source("d", classes=["cat", "dog"])
    assert sorted(filter(None, source.labels)) == ["cat", "cat"]
    assert source.notes == [
        "Folders that are none of the classes are taken as unlabeled: more, other."
    ]


def test_empty_texts_are_left_out_and_said(here):
    write_csv("t.csv", {"text": ["a word", " ", "b word"], "id": [1, 2, 3]})
    source = read_source("t.csv")
    assert source.X == ["a word", "b word"]
    assert source.notes == ["1 rows without a text are left out, such as row 2 of t.csv."]
    write_csv("t.csv", {"text": ["", " "]})
    with pytest.raises(Trouble, match="has no text in the column 'text'"):
        read_source("t.csv", text_column="text")


def test_long_texts_are_reduced_and_new_ones_read_alike(here):
    words = [f"word{number} word{number + 1} word{number % 7}" for number in range(420)]
    write_csv("t.csv", {"text": words})
    student = Student(read_source("t.csv"), Settings(kind="texts"))
    assert [name for name, _ in student.features.steps] == ["tfidf", "svd", "norm"]
    new = student.rows.transform(["word3 word4", words[0]])
    assert (new.shape, new.dtype) == ((2, 300), np.float32)
    np.testing.assert_allclose(np.linalg.norm(new, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(new[1], student.rows.transform(words[:1])[0], atol=1e-5)


def test_what_teachers_may_be(here, tiny_clip, tiny_sentence):
    encoder = make_encoder(f"local-dir:{tiny_clip.directory}", "images", None)
    assert isinstance(encoder, OpenCLIPEncoder)
    assert make_encoder(f"{tiny_clip.name}:{tiny_clip.pt}", "images", None).pretrained
    assert make_encoder("hf-hub:nobody/nothing", "images", None).model == "hf-hub:nobody/nothing"
    assert make_encoder(str(tiny_sentence), "texts", None).model == str(tiny_sentence)
    assert make_encoder("none", "texts", None) is None
    for name, kind, message in (
        ("/gone/folder", "images", "there is no such folder"),
        (str(here), "images", "holds no open_clip_config.json"),
        (str(here), "texts", "holds no"),
        ("glyph", "texts", "knows pictures of digits alone"),
        ("ViT-B-32:laion2b_s34b_b79k", "texts", "names a model of images, but these are texts"),
        ("ViT-B-32", "images", "does not say which weights"),
        ("ViT-B-32:/gone/file", "images", "no such file of weights"),
        ("ViT-B-33:x", "images", "neither a folder nor a model of open_clip"),
    ):
        with pytest.raises(Trouble, match=message):
            make_encoder(name, kind, None)


def test_rows_that_a_teacher_cannot_read_are_told_from_other_warnings():
    class Teacher:
        classes_ = np.array(["a", "b"])

        def fit(self):
            return self

        def predict_proba(self, X):
            import warnings

            warnings.warn(SkippedRowsWarning({1: "too dark"}, "image"), stacklevel=2)
            warnings.warn("something else", UserWarning, stacklevel=2)
            return np.array([[0.25, 0.75]] * len(X))

    with pytest.warns(UserWarning, match="something else"):
        proba, bad = _teachers.ask_teacher(Teacher(), ["x", "y"], ["b", "a"])
    assert bad == {1: "too dark"}
    np.testing.assert_array_equal(proba, [[0.75, 0.25]] * 2)

    class Gone(Teacher):
        def predict_proba(self, X):
            raise OSError("no such weights")

    with pytest.raises(Trouble, match="The teacher cannot be loaded: no such weights"):
        _teachers.ask_teacher(Gone(), ["x"], ["a", "b"])


def test_classes_that_differ_in_case_alone_are_one_slip():
    with pytest.raises(Trouble, match="'Cat' and 'cat', alike but for upper and lower case"):
        check_class_names(["Cat", "dog", "cat"], "--classes")
    assert check_class_names(["a", "A"], "--classes") == ["a", "A"]


@pytest.mark.slow
def test_a_simulation_with_a_teacher(here, capsys, monkeypatch):
    monkeypatch.setattr("skactivekd.student._training_length._STEPS", 40)
    monkeypatch.setattr("os.cpu_count", lambda: 1)  # so that it is this process that plays
    from skactivekd.cli._new_project import write_digits

    write_digits(here / "all")
    from skactivekd import load_glyph_digits

    names = load_glyph_digits().target
    for number in range(160):
        folder = here / "d" / str(names[number])
        folder.mkdir(parents=True, exist_ok=True)
        (here / "all" / f"{number:04d}.png").rename(folder / f"{number}.png")
    options = ["--rounds", "2", "--labels", "5", "--seeds", "1", "--strategies", "Margin"]
    assert run(["simulate", "d", "--teacher", "glyph", *options]) == 0
    said = capsys.readouterr()
    assert "Zero-shot teacher, no labels: " in said.err
    assert float(said.err.split("no labels: ")[1].split()[0]) > 60


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("seed = -1", "seed must be from 0"),
        ("port = 99999", "port must be from 0"),
        ("audit = 1", "audit must be from 0 to below 1, not 1.0"),
        ("overlap = -0.5", "overlap must be"),
        ("kind = 'films'", "as its kind images, texts or table"),
        ("classes = [1, 2]", "must hold texts"),
        ("colour = 'red'", "a setting 'colour'"),
        ("format = 99", "Upgrade"),
        ("seed = 'x'", "seed must be a"),
        ("x = ", "no valid TOML"),
    ],
)
def test_configs_that_cannot_be_used(here, line, message):
    name = line.split()[0]
    rest = {"source": "'d'", "kind": "'images'"}
    rest.pop(name, None)
    lines = [f"{key} = {value}" for key, value in rest.items()]
    Path("config.toml").write_text("\n".join([*lines, line]))
    with pytest.raises(Trouble, match=message):
        read_config(Path("config.toml"))
    with pytest.raises(Trouble):
        Project(".")


class Saved:
    classes_ = np.array(["card", "rate"])


def test_ends_of_names_and_places(here, capsys, monkeypatch):
    write_csv("t.csv", {"text": sentences(9)[0]})
    with pytest.raises(Trouble, match=r"must end in \.csv or \.parquet"):
        predict_files(Saved(), ["t.csv"], Settings(kind="texts", text_column="text"), "out.xlsx")
    fake_page(monkeypatch)
    assert run(["label", "t.csv", "--classes", "card,rate", "--project", "p"]) == 0
    capsys.readouterr()
    Path("folder.csv").mkdir()
    assert run(["export", "folder.csv", "--project", "p"]) == 2
    assert "is a folder; name a file in it" in capsys.readouterr().err
    assert run(["nonsense"]) == 2
    assert "nonsense" in capsys.readouterr().err


def test_errors_of_the_system_in_words():
    assert "cannot be used by SQLite" in explain(sqlite3.OperationalError("locked"))
    assert "memory is too small" in explain(MemoryError())
    assert explain(LookupError("no row")).startswith("no row")
    assert "This should not happen" in explain(AssertionError("x"))


def test_warnings_are_notes_on_the_shell(capsys, monkeypatch):
    import warnings

    def warned(**_):
        warnings.warn("mind this", UserWarning, stacklevel=1)

    monkeypatch.setattr(_main.program, "main", lambda **_: warned())
    monkeypatch.setattr(sys, "warnoptions", [])
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert _main.run() == 0
    assert capsys.readouterr().err == "Note: mind this\n"


def test_the_package_is_a_program(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["skactivekd", "--version"])
    with pytest.raises(SystemExit) as stop:
        runpy.run_module("skactivekd", run_name="__main__")
    assert stop.value.code == 0
    assert "skactivekd" in capsys.readouterr().out


def test_tables_of_numbers_are_read_by_their_columns(here):
    write_csv("t.csv", {"a": [1, 2], "b": [3, 4], "c": ["x", "y"]})
    [(names, rows)] = blocks(["t.csv"], kind="table", columns=["b", "a"])
    assert names == ["1", "2"]
    assert isinstance(rows, list)
    part = next(Rows(["t.csv"], Settings(kind="table", columns=["b", "a"])).blocks())[1]
    assert isinstance(part, pd.DataFrame)
    assert list(part.columns) == ["b", "a"]
