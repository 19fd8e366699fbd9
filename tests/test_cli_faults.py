"""Malformed sources and settings: a sentence that says what to do, status 2, nothing lost."""

import errno
import os
import shutil
import sys
from pathlib import Path

import pytest
from cli_tools import answers, fake_page, run, sentences, tell_all, write_csv, write_images
from PIL import Image

TEXTS, NAMES = sentences(30)
LABEL = ["label", "--no-browser", "--project", "p"]


@pytest.fixture(scope="module")
def text_project(tmp_path_factory):
    """A project of texts with a model and 12 answers."""
    folder = tmp_path_factory.mktemp("made")
    write_csv(folder / "t.csv", {"text": TEXTS})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        fake_page(patch, tell_all(NAMES.__getitem__, 12))
        argv = ["label", "t.csv", "--classes", "card,transfer,rate", "--project", "p"]
        assert run(argv) == 0
        assert run(["fit"]) == 0
    return folder


def csv_file(**columns):
    """Return a case with a CSV file of some columns."""
    return lambda: write_csv("t.csv", columns)


def content(data, name="t.csv"):
    """Return a case with a file that holds something."""
    return lambda: Path(name).write_bytes(data)


def images(*names):
    """Return a case with a folder of images."""

    def write():
        write_images("d", 6)
        for name in names:
            path = Path("d", name)
            path.parent.mkdir(exist_ok=True)
            shutil.copy("d/000_a.png", path)

    return write


def images_alike():
    """Write one picture twice, as two files of different bytes."""
    os.mkdir("d")
    image = Image.new("L", (8, 8), 90)
    image.save("d/a.png")
    image.save("d/b.bmp")


def config(text, encoding="utf-8"):
    """Return a case with a project whose settings somebody has changed."""

    def write():
        path = Path("p/config.toml")
        path.write_bytes((path.read_text() + text).encode(encoding))

    return write


def replaced(before, after):
    """Return a case with a project in whose settings something was replaced."""

    def write():
        path = Path("p/config.toml")
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after))

    return write


TWO = ["--classes", "a,b"]
SOURCES = {
    "a missing source": (None, ["none"], "none does not exist; name a folder"),
    "an empty folder": (lambda: os.mkdir("d"), ["d"], "holds no image; name a folder"),
    "a folder of other files": (
        lambda: (os.mkdir("d"), Path("d/a.doc").touch()),
        ["d"],
        "only 1 other files",
    ),
    "a folder of hidden files": (
        lambda: (os.mkdir("d"), shutil.copy(write_images("e", 1) / "000_a.png", "d/.a.png")),
        ["d"],
        "holds no image",
    ),
    "a folder of links": (
        lambda: (write_images("far", 1), os.mkdir("d"), os.symlink("../far", "d/far")),
        ["d"],
        "holds no image but in linked folders, such as",
    ),
    "a file of another kind": (content(b"x", "t.xlsx"), ["t.xlsx"], "nor a table (.csv"),
    "an empty table": (content(b""), ["t.csv"], "is empty; name a file"),
    "a table without rows": (content(b"text,label\n"), ["t.csv"], "has no row; name"),
    "a table of bytes": (content(b"\0\1\2\3,\n"), ["t.csv"], "is no text; name a CSV"),
    "another encoding": (
        content("text,label\ncafé,a\nthé,b\n".encode("latin1")),
        ["t.csv"],
        "is no UTF-8 (byte 0xe9",
    ),
    "rows that are too long": (content(b"text,label\nx,a,3\n"), ["t.csv"], "t.csv"),
    "an open quote": (content(b'text,label\n"x,a\ny,b\n'), ["t.csv"], "is no table"),
    "a column twice": (content(b"text,text\nx,a\n"), ["t.csv"], "'text' more than once"),
    "no text column": (
        csv_file(txt=TEXTS),
        ["t.csv", "--text-column", "text"],
        "has no column 'text', but 'txt'. Did you mean 'txt'?",
    ),
    "no label column": (
        csv_file(text=TEXTS),
        ["t.csv", "--label-column", "what"],
        "has no column 'what'",
    ),
    "two columns of texts": (csv_file(a=TEXTS, b=TEXTS), ["t.csv"], "say which by --text-column"),
    "two columns of paths": (
        csv_file(a=["x.png"], b=["y.png"]),
        ["t.csv"],
        "say which by --path-column",
    ),
    "texts and numbers": (
        csv_file(a=TEXTS, b=range(30)),
        ["t.csv"],
        "say by --text-column or --columns",
    ),
    "nothing in the columns": (csv_file(a=["", ""], b=["", ""]), ["t.csv"], "none with texts"),
    "two kinds of columns": (
        csv_file(a=TEXTS, b=range(30)),
        ["t.csv", "--text-column", "a", "--columns", "b"],
        "not several",
    ),
    "words among numbers": (
        csv_file(a=TEXTS, b=range(30)),
        ["t.csv", "--columns", "a,b"],
        "'a' of",
    ),
    "numbers without end": (csv_file(a=["1", "inf"]), ["t.csv", *TWO], "take these rows out"),
    "gaps in every row": (
        csv_file(a=["1", ""], b=["", "2"]),
        ["t.csv", *TWO],
        "no row without a gap, such as in row 1 of t.csv, column 'b'",
    ),
    "an id twice": (
        csv_file(text=["x", "y"], id=["1", "1"]),
        ["t.csv", "--id-column", "id", *TWO],
        "rows 1 and 2 both have the id '1'",
    ),
    "a row without id": (
        csv_file(text=["x", "y"], id=["1", ""]),
        ["t.csv", "--id-column", "id", *TWO],
        "row 2 has no id",
    ),
    "a row without path": (csv_file(path=["x.png", ""]), ["t.csv"], "has no path"),
    "paths of nothing": (
        csv_file(path=["x.png", "y.png"]),
        ["t.csv", *TWO],
        "None of the 2 images can be read",
    ),
    "columns of a folder": (images(), ["d", "--text-column", "a"], "--text-column is for tables"),
    "JSON lines that are none": (
        content(b'{"text": "x"}\n{"text": \n', "t.jsonl"),
        ["t.jsonl"],
        "line 2 is no JSON",
    ),
    "JSON lines without names": (content(b"[1, 2]\n", "t.jsonl"), ["t.jsonl"], "is no object"),
    "JSON lines without a line": (content(b"\n", "t.jsonl"), ["t.jsonl"], "has no row"),
    "a broken Parquet file": (content(b"PAR1", "t.parquet"), ["t.parquet"], "is no Parquet file"),
    "texts without words": (csv_file(text=["!", "?"]), ["t.csv", *TWO], "hold no words"),
    "a class twice": (images(), ["d", "--classes", "a,b,a"], "names 'a' more than once"),
    "a class without name": (images(), ["d", "--classes", "a,,b"], "has an empty name"),
    "one class": (images(), ["d", "--classes", "a"], "two classes at least"),
    "no classes": (images(), ["d"], "name them: --classes"),
    "one class by folders": (images("only/x.png"), ["d"], "two classes at least"),
    "classes of no file": (images(), ["d", "--classes", "@c.txt"], "c.txt cannot be read"),
    "classes in another encoding": (
        lambda: (images()(), Path("c.txt").write_bytes(b"caf\xe9\nb\n")),
        ["d", "--classes", "@c.txt"],
        "c.txt is no UTF-8",
    ),
    "a class of control characters": (
        lambda: (images()(), Path("c.txt").write_text("a\x1b[2J\nb\n")),
        ["d", "--classes", "@c.txt"],
        "cannot be shown",
    ),
    "labels of no class": (
        csv_file(text=["x y", "y z"], label=["card", "crad"]),
        ["t.csv", "--classes", "card,rate"],
        "row 2 of t.csv has the label 'crad' (did you mean 'card'?)",
    ),
    "two labels of one picture": (
        images("a/x.png", "b/y.png"),
        ["d"],
        "holds the same as an earlier",
    ),
    "pictures that are none": (
        lambda: (os.mkdir("d"), Path("d/a.png").write_bytes(b"no")),
        ["d", *TWO],
        "None of the 1 images can be read",
    ),
    "a teacher of no name": (
        images(),
        ["d", *TWO, "--teacher", "CLIP"],
        "nor a model of open_clip",
    ),
    "a teacher without weights": (
        images(),
        ["d", *TWO, "--teacher", "ViT-B-32"],
        "does not say which weights; there are ViT-B-32:openai",
    ),
    "a folder of no teacher": (
        lambda: (images()(), os.mkdir("m")),
        ["d", *TWO, "--teacher", "m"],
        "holds no open_clip_config.json",
    ),
    "a missing folder of a teacher": (
        images(),
        ["d", *TWO, "--teacher", "/no/such/model"],
        "there is no such folder",
    ),
    "a damaged teacher": (
        lambda: (images()(), os.mkdir("m"), Path("m/open_clip_config.json").write_text("{")),
        ["d", *TWO, "--teacher", "m"],
        "m",
    ),
    "a teacher of numbers": (
        csv_file(a=range(9)),
        ["t.csv", *TWO, "--teacher", "glyph"],
        "reads images or texts",
    ),
    "a teacher of digits for cats": (
        images(),
        ["d", "--classes", "cat,dog", "--teacher", "glyph"],
        "the ten digits alone, not 'cat'",
    ),
    "a teacher of digits for texts": (
        csv_file(text=TEXTS),
        ["t.csv", *TWO, "--teacher", "glyph"],
        "these are texts",
    ),
    "an empty teacher": (images(), ["d", *TWO, "--teacher", " "], "--teacher is empty"),
    "a student of no name": (
        images(),
        ["d", *TWO, "--student", "resnet19x"],
        "neither auto nor a model of timm",
    ),
    "a student without weights": (
        images(),
        ["d", *TWO, "--student", "resnet10t"],
        "cannot be had (nobody is there); connect to the network once",
    ),
    "a student of images for texts": (
        csv_file(text=TEXTS),
        ["t.csv", *TWO, "--student", "resnet18"],
        "is for images",
    ),
    "a strategy of no name": (images(), ["d", *TWO, "--strategy", "Best"], "none of Uncertainty"),
    "an audit of all": (images(), ["d", *TWO, "--audit", "1.5"], "--audit must be from 0"),
    "an audit of words": (images(), ["d", *TWO, "--audit", "much"], "'much' is not a valid float"),
    "a seed below zero": (images(), ["d", *TWO, "--seed", "-1"], "--seed must be from 0"),
    "a port of words": (images(), ["d", *TWO, "--port", "http"], "not a valid integer"),
    "a missing guideline": (images(), ["d", *TWO, "--guideline", "g"], "g cannot be read"),
    "a guideline in another encoding": (
        lambda: (images()(), Path("g").write_bytes(b"caf\xe9")),
        ["d", *TWO, "--guideline", "g"],
        "is no UTF-8",
    ),
    "a source without name": (images(), ["", *TWO], "SOURCE is empty"),
    "a project without name": (images(), ["d", *TWO, "--project", ""], "is no name of a folder"),
    "one row": (csv_file(text=["x y"]), ["t.csv", *TWO], "holds one row alone"),
    "rows of one text": (
        csv_file(text=["x y", "x y"]),
        ["t.csv", *TWO],
        "2 rows that are all the same",
    ),
    "rows of one picture": (
        images_alike,
        ["d", *TWO],
        "2 rows that are all the same",
    ),
    "numbers that do not vary": (csv_file(a=[1, 1], b=[2, 2]), ["t.csv", *TWO], "all the same"),
    "numbers beyond computing": (csv_file(a=["1", "1e300"]), ["t.csv", *TWO], "in another unit"),
    "a table in UTF-16": (content("text\nx y\n".encode("utf-16")), ["t.csv"], "iconv -f utf-16"),
    "lists of texts": (
        content(b'{"text": ["x", "y"]}\n{"text": "z"}\n', "t.jsonl"),
        ["t.jsonl", "--text-column", "text", *TWO],
        "row 1 of t.jsonl holds a list",
    ),
    "addresses of pictures": (
        csv_file(path=["https://x/y.png"] * 2),
        ["t.csv", *TWO],
        "is no path",
    ),
    "a column of numbers twice": (
        csv_file(a=[1, 2]),
        ["t.csv", "--columns", "a,a"],
        "'a' more than",
    ),
    "columns without name": (csv_file(a=[1, 2]), ["t.csv", "--columns", ","], "has an empty name"),
    "labels that are the texts": (
        csv_file(text=TEXTS),
        ["t.csv", "--text-column", "text", "--label-column", "text"],
        "what the classes are told by, too",
    ),
    "labels that may be none": (
        csv_file(text=["x y", "y z", "z x"], label=["-1", "1", "2"]),
        ["t.csv"],
        "may be a class or mean that there is no label",
    ),
    "labels in the words of programs": (
        csv_file(text=["x y", "y z", "z x"], label=["NaN", "a", "b"]),
        ["t.csv"],
        "holds NaN, which may be a class or mean that there is no label",
    ),
    "several labels of a row": (
        content(b'{"text": "x", "label": ["a", "b"]}\n{"text": "y", "label": "a"}\n', "t.jsonl"),
        ["t.jsonl"],
        "holds ['a', 'b']; a row has one label here",
    ),
    "one number in two spellings": (
        csv_file(text=["x y", "y z", "z x"], label=["1", "1.0", "2"]),
        ["t.csv"],
        "names '1' and '1.0', which nobody can tell apart",
    ),
    "one word in two spellings": (
        images(),
        ["d", "--classes", "caf\u00e9,cafe\u0301"],
        "nobody can tell apart",
    ),
    "a class that nobody can read": (
        images(),
        ["d", "--classes", "a" * 300 + ",b"],
        "300 characters",
    ),
    "a folder that is almost a class": (
        images("Cats/x.png"),
        ["d", "--classes", "cats,dogs"],
        "'Cats' is almost the class 'cats'",
    ),
    "weights that are not there": (
        images(),
        ["d", *TWO, "--teacher", "ViT-B-32:/none.pt"],
        "no such file of weights",
    ),
    "no student": (images(), ["d", *TWO, "--student", ""], "--student is empty"),
    "nobody": (images(), ["d", *TWO, "--annotator", " "], "is no name of up to 100 characters"),
    "a host of all": (images(), ["d", *TWO, "--host", "0.0.0.0"], "Say --allow-remote"),
    "a host of nobody": (
        images(),
        ["d", *TWO, "--host", "203.0.113.1", "--allow-remote"],
        "--host 203.0.113.1 is no place for the page",
    ),
    "a port of no number": (images(), ["d", *TWO, "--port", "70000"], "from 0 to 65535"),
    "the demo of something": (images(), ["d", "--demo"], "leave SOURCE out"),
    "an option of no name": (images(), ["d", *TWO, "--fast"], "No such option"),
    "a project that is a file": (
        lambda: (images()(), Path("p").touch()),
        ["d", *TWO],
        "p is a file; name a folder",
    ),
    "a project in a file": (
        lambda: (images()(), Path("f").touch()),
        ["d", *TWO, "--project", "f/p"],
        "f/p",
    ),
    "a project that is its source": (images(), ["d", *TWO, "--project", "d"], "part of its source"),
}

PROJECTS = {
    "no TOML": (config("\nclasses = [\n"), [], "is no valid TOML"),
    "an unknown setting": (config("\nteachers = 'x'\n"), [], "has a setting 'teachers'"),
    "a setting of another kind": (replaced("seed = 0", "seed = '0'"), [], "must be a whole number"),
    "a class that is a number": (replaced('"rate"', "3"), [], "must hold texts"),
    "a newer format": (replaced("format = 1", "format = 9"), [], "Upgrade skactivekd"),
    "settings in another encoding": (config("# café\n", "latin1"), [], "is no UTF-8"),
    "an audit beyond all": (replaced("audit = 0.1", "audit = 2.0"), [], "audit must be"),
    "another audit than before": (replaced("audit = 0.1", "audit = 0.2"), [], "audit=0.1"),
    "no kind": (replaced('kind = "texts"', 'kind = "sounds"'), [], "images, texts or table"),
    "a duplicate class": (replaced('"rate"', '"card"'), [], "'card' more than once"),
    "the name of no class": (
        config("\n[names]\nrat = 'rate of exchange'\n"),
        [],
        "has 'rat', which is no class; did you mean 'rate'?",
    ),
    "pictures of no size": (config("\nimage_size = -5\n"), [], "image_size must be from 8"),
    "another seed than before": (replaced("seed = 0", "seed = 1"), [], "Pass seed=0."),
    "another source": (
        lambda: write_csv("other.csv", {"text": TEXTS}),
        ["other.csv"],
        "is a project of",
    ),
    "a source that is gone": (lambda: os.unlink("t.csv"), [], "t.csv does not exist"),
    "a source of other rows": (
        lambda: write_csv("t.csv", {"text": ["no such row", "nor this one"]}),
        [],
        "is a project of other rows than",
    ),
    "a source of another kind": (
        lambda: write_csv("t.csv", {"text": ["x.png", "y.png"]}),
        ["--path-column", "text"],
        "now holds images, but the project is of texts",
    ),
    "a journal of another program": (
        lambda: Path("p/labels.sqlite").write_bytes(b"x" * 5000),
        [],
        "no labeling journal",
    ),
}

COMMANDS = {
    "no command": (["fits"], "No such command 'fits'; there are label"),
    "no project": (["fit", "--project", "none"], "holds no project"),
    "nothing to predict": (["predict"], "Name files to predict"),
    "a missing file": (["predict", "none.csv"], "none.csv does not exist"),
    "predictions of another kind": (["predict", "t.csv", "--out", "x.doc"], "must end in .csv"),
    "predictions in a folder": (["predict", "t.csv", "--out", "p.csv"], "is a folder"),
    "predictions of an image": (["predict", "x.png"], "is no table with texts"),
    "predictions without the column": (["predict", "wrong.csv"], "has no column 'text'"),
    "predictions of nothing": (["predict", "rowless.csv"], "has no row to predict"),
    "predictions of a broken table": (["predict", "broken.csv"], "is no table"),
    "predictions in place of what is read": (
        ["predict", "t.csv", "--out", "t.csv"],
        "would replace",
    ),
    "a project without name": (["fit", "--project", " "], "is no name of a folder"),
    "an export of another kind": (["export", "x.doc"], "must end in .onnx, .pt2"),
    "an export over a file": (["export", "t.csv"], "exists already"),
    "an export into no folder": (["export", "none/x.csv"], "is no folder"),
    "an import of nothing": (["import", "none.csv"], "does not exist"),
    "an import of another kind": (["import", "x.png"], "must end in .csv"),
    "an import of no class": (["import", "dog.csv"], "'dog' is none of the classes"),
    "an import without labels": (["import", "wrong.csv"], "has no column 'label'"),
    "a simulation without labels": (["simulate"], "the labels must be known"),
    "a simulation too long": (["simulate", "l.csv", "--rounds", "50"], "too few to play"),
    "a simulation of no strategy": (["simulate", "--strategies", "Best"], "is none of"),
    "a simulation without test": (["simulate", "--test", "1"], "--test must be"),
    "a simulation of few rows": (["simulate", "l.csv", "--test", "0.99"], "leaves 0 of 30 labeled"),
    "a simulation without rounds": (["simulate", "--rounds", "0"], "no whole number"),
    "a picture of no kind": (["simulate", "--out", "x.doc"], "ends in none of"),
}


def offline(*_, **__):
    raise OSError("nobody is there")


def refused(argv, message, capsys):
    """Run a command that cannot be done; return what it said."""
    capsys.readouterr()
    status = run(argv)
    said = capsys.readouterr()
    assert status == 2, said
    assert "Traceback" not in said.err
    lines = [line for line in said.err.splitlines() if line.startswith("skactivekd: ")]
    assert len(lines) == 1, said.err
    assert message in lines[0]
    assert said.err.rstrip().endswith(lines[0])
    return lines[0]


@pytest.mark.parametrize("case", SOURCES)
def test_a_source_that_cannot_be(case, tmp_path, monkeypatch, capsys):
    make, argv, message = SOURCES[case]
    monkeypatch.chdir(tmp_path)
    calls = fake_page(monkeypatch)
    monkeypatch.setattr("timm.create_model", offline)
    if make is not None:
        make()
    before = sorted(tmp_path.rglob("*"))
    refused([*LABEL, *argv], message, capsys)
    assert not calls
    caches = {"thumbnails.sqlite", "embeddings.sqlite", "labels.sqlite"}
    new = [path for path in sorted(tmp_path.rglob("*")) if path not in before]
    assert {path.name for path in new} <= {"p", *caches}


@pytest.mark.parametrize("case", PROJECTS)
def test_a_project_that_cannot_be(case, text_project, tmp_path, monkeypatch, capsys):
    make, argv, message = PROJECTS[case]
    shutil.copytree(text_project, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    calls = fake_page(monkeypatch)
    make()
    kept = Path("p/labels.sqlite").read_bytes()
    refused(["label", "--project", "p", *argv], message, capsys)
    assert not calls
    assert Path("p/labels.sqlite").read_bytes() == kept


@pytest.mark.parametrize("case", COMMANDS)
def test_a_command_that_cannot_be(case, text_project, tmp_path, monkeypatch, capsys):
    argv, message = COMMANDS[case]
    shutil.copytree(text_project, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    write_csv("wrong.csv", {"words": ["x"]})
    write_csv("rowless.csv", {"text": []})
    write_csv("dog.csv", {"text": TEXTS[:1], "label": ["dog"]})
    write_csv("l.csv", {"text": TEXTS, "label": NAMES})
    Path("broken.csv").write_text('text\nx\n"y\n')
    Path("x.png").touch()
    Path("p.csv").mkdir()
    before, files = answers("p"), sorted(os.listdir())
    refused(argv, message, capsys)
    assert answers("p") == before
    assert sorted(os.listdir()) == files


@pytest.mark.parametrize(
    ("name", "message"),
    [("a\\nb", "cannot be shown"), ("rate ", "looks like 'rate', which is there already")],
)
def test_classes_added_by_hand(name, message, text_project, tmp_path, monkeypatch, capsys):
    """Every command takes them in, not `label` alone, and a journal never forgets a class."""
    shutil.copytree(text_project, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    replaced('"rate"', f'"{name}"')()
    before = Path("p/labels.sqlite").read_bytes()
    refused(["report"], message, capsys)
    assert Path("p/labels.sqlite").read_bytes() == before


def test_several_projects_are_told_apart(text_project, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    refused(["report"], "There is no project here", capsys)
    for name in ("one", "two"):
        shutil.copytree(text_project / "p", name)
    refused(["report"], "There are 2 projects here (one, two); say which by --project", capsys)


def test_a_project_without_answers_has_no_model(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fake_page(monkeypatch)
    write_csv("t.csv", {"text": TEXTS})
    assert run(["label", "t.csv", *TWO, "--project", "p"]) == 0
    refused(["fit"], "has no labels yet; give some by `skactivekd label", capsys)
    refused(["predict", "t.csv"], "has no model yet; make it by `skactivekd fit", capsys)
    refused(["export", "x.onnx"], "has no model yet", capsys)
    fake_page(monkeypatch, tell_all(lambda row: "a", 5))
    assert run(["label", "--project", "p"]) == 0
    refused(["fit"], "All labels are of one class", capsys)
    new = ["fit", "t.csv", *TWO, "--project", "q"]
    refused(new, "q has no labels yet; give some by `skactivekd label --project", capsys)
    assert run(["label", "--project", "q"]) == 0  # it is a project all the same


def test_a_model_that_was_changed_is_refused(text_project, tmp_path, monkeypatch, capsys):
    shutil.copytree(text_project, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    with open("p/model/model.safetensors", "ab") as file:
        file.write(b"x")
    refused(["predict", "t.csv"], "is not as it was saved", capsys)


@pytest.mark.parametrize("module", ["skactivekd.app", "sentence_transformers", "pyarrow"])
def test_a_missing_extra_is_named(module, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fake_page(monkeypatch)
    monkeypatch.setitem(sys.modules, module, None)
    write_csv("t.csv", {"text": TEXTS})
    Path("t.parquet").touch()
    argv = {
        "skactivekd.app": (["t.csv"], "skactivekd[label]"),
        "sentence_transformers": (["t.csv", "--teacher", "all-MiniLM-L6-v2"], "skactivekd[text]"),
        "pyarrow": (["t.parquet"], "skactivekd[parquet]"),
    }
    given, extra = argv[module]
    refused([*LABEL, *given, *TWO], f"pip install {extra}", capsys)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("argv", [["label"], ["predict", "t.csv"], ["export", "x.csv"]])
def test_a_full_disk_or_a_folder_of_somebody_else(
    argv, number, text_project, tmp_path, monkeypatch, capsys
):
    shutil.copytree(text_project, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    fake_page(monkeypatch)
    replaced("seed = 0", "seed = 0  # as before")()
    before, files = answers("p"), sorted(path.name for path in Path().rglob("*"))

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number), "a file")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    given = ["--strategy", "Margin"] if argv == ["label"] else []
    said = refused([*argv, *given], os.strerror(number), capsys)
    assert ("Make some" if number == errno.ENOSPC else "Get the right") in said
    assert answers("p") == before
    assert sorted(path.name for path in Path().rglob("*")) == files


def test_what_nobody_thought_of_is_a_sentence_too(text_project, monkeypatch, capsys):
    monkeypatch.chdir(text_project)

    def fail(*_):
        raise AssertionError("two\nlines")

    monkeypatch.setattr("skactivekd.cli._report.report_project", fail)
    said = refused(["report"], "AssertionError: two lines (This should not happen", capsys)
    assert "No answer is lost" in said
    monkeypatch.setenv("SKACTIVEKD_TRACEBACK", "1")
    with pytest.raises(AssertionError):
        run(["report"])


def test_an_interrupt_ends_a_command_in_peace(text_project, monkeypatch, capsys):
    monkeypatch.chdir(text_project)

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("skactivekd.cli._report.report_project", stop)
    assert run(["report"]) == 130
    assert "What was answered is kept" in capsys.readouterr().err
