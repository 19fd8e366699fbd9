"""From one command to a saved model, by the page in a real browser: pictures, texts, a table."""

import importlib.util
import queue
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from cli_tools import answers, read_csv, run, write_csv
from page_tools import Person
from sklearn.datasets import load_iris

import skactivekd

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("uvicorn") is None, reason="the page is not there"
)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder, and students that learn no longer than a test may take."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("skactivekd.student._training_length._STEPS", 200)
    return tmp_path


@contextmanager
def label(monkeypatch, *argv):
    """Run the command as a person does; yield the address that it opens in the browser."""
    opened, ended = queue.Queue(), []
    monkeypatch.setattr("webbrowser.open", opened.put)
    command = threading.Thread(target=lambda: ended.append(run(["label", *argv])), daemon=True)
    command.start()
    deadline = time.monotonic() + 120
    while opened.empty():
        assert command.is_alive(), "the command ended before there was a page"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield opened.get()
    command.join(30)
    assert ended == [0]


def finish(person):
    """Press the button; return what the page says then."""
    from selenium.webdriver.common.keys import Keys

    person.settle()
    assert person.complaints() == []  # later ones may be of a picture that nobody serves any more
    person.ask("document.getElementById('finish').click()")
    assert person.ask("document.getElementById('finishing').open")
    person.press(Keys.ENTER)
    person.wait("!document.getElementById('over').hidden")
    person.ask("problem('The server does not answer.')")  # to what was under way
    assert person.ask("document.getElementById('problem').hidden")
    return person.text("over-text")


def test_the_demo_and_new_files(here, driver, monkeypatch, capsys):
    load = skactivekd.load_glyph_digits
    data = load()

    def fewer():
        part = load()
        part.images, part.target = part.images[:240], part.target[:240]
        return part

    monkeypatch.setattr("skactivekd.datasets.load_glyph_digits", fewer)
    with label(monkeypatch, "--demo", "--project", "p") as url:
        person = Person(driver, url)
        asked = []
        for _ in range(14):
            assert person.text("caption") == f"{person.row:04d}.png"
            asked.append(person.row)
            person.tell(str(data.target[person.row]))
        said = finish(person)
    assert "14 items are labeled" in said
    assert str(Path("p/labels.sqlite").resolve()) in said
    assert "skactivekd fit --project p\n" in said
    assert said in capsys.readouterr().out  # in the terminal, too
    assert len(set(asked)) == sum(bool(name) for _, name in answers("p")) == 14

    assert run(["fit"]) == 0
    from PIL import Image

    Path("new").mkdir()
    for row in range(300, 400):
        pixels = np.round(data.images[row] * 255).astype(np.uint8)
        Image.fromarray(pixels).save(f"new/{row}_{data.target[row]}.png")
    assert run(["predict", "new"]) == 0
    rows = read_csv("predictions.csv")
    assert np.mean([row["class"] == Path(row["file"]).stem[-1] for row in rows]) > 0.6
    capsys.readouterr()
    assert run(["report"]) == 0
    assert "14 of 240 items labeled" in capsys.readouterr().out
    assert run(["export", "digits.onnx"]) == 0
    assert run(["export", "labels.csv"]) == 0
    told = [row["label"] for row in read_csv("labels.csv") if row["kind"] == "answered"]
    assert sorted(told) == sorted(f'"{data.target[row]}"' for row in asked)
    # The same command goes on, where it was before.
    with label(monkeypatch, "--project", "p") as again:
        assert again.split("/?")[0] == url.split("/?")[0]
        person = Person(driver, again)
        assert person.row not in asked
        person.wait("document.getElementById('figure-labels').textContent === '14'")
        finish(person)


VERBS = ("lost", "activate", "pending", "wrong", "cancel", "about", "declined")
THINGS = ("card", "transfer", "top up", "refund", "pin", "fee", "account", "rate", "atm", "limit")
THINGS += ("passcode",)


@pytest.mark.thorough
@pytest.mark.full_training
def test_texts_of_77_classes_found_by_typing(here, driver, monkeypatch, capsys):
    from selenium.webdriver.common.keys import Keys

    names = [f"{verb} {thing}" for verb in VERBS for thing in THINGS]
    rng = np.random.default_rng(0)
    truth = rng.permutation(3 * names)
    fill = "please hello today my need help why is it".split()
    texts = [
        f"{' '.join(rng.choice(fill, 3))} {name} {number}" for number, name in enumerate(truth)
    ]
    write_csv("t.csv", {"text": texts})
    Path("names.txt").write_text("\n".join(names), encoding="utf-8")
    with label(monkeypatch, "t.csv", "--classes", "@names.txt") as url:
        person = Person(driver, url)
        for _ in range(20):
            row, name = person.row, truth[person.row]
            person.see()
            person.press("/")
            person.press(name)
            assert person.ask("document.querySelector('.option.found .name').textContent") == name
            person.press(Keys.ENTER)
            person.change(row)
        assert "20 items are labeled" in finish(person)
    assert run(["fit"]) == 0
    known = [name for _, name in answers("t-project") if name]
    write_csv("new.csv", {"text": [f"hello my {name} please" for name in known]})
    assert run(["predict", "new.csv"]) == 0
    right = [
        row["class"] == name for row, name in zip(read_csv("predictions.csv"), known, strict=True)
    ]
    assert np.mean(right) > 0.6
    assert run(["report"]) == 0
    assert "20 of 231 items labeled" in capsys.readouterr().out
    assert run(["export", "tasks.json"]) == 0


@pytest.mark.thorough
def test_rows_of_a_table(here, driver, monkeypatch, capsys):
    X, y = load_iris(return_X_y=True)
    measured = ["sepal length", "sepal width", "petal length", "petal width"]
    columns = dict(zip(measured, X.T, strict=True))
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    pool, new = np.arange(150) % 3 > 0, np.arange(150) % 3 == 0
    write_csv("t.csv", {name: values[pool] for name, values in columns.items()})
    write_csv("new.csv", {name: values[new] for name, values in columns.items()})
    truth = names[pool]
    with label(monkeypatch, "t.csv", "--classes", ",".join(np.unique(names))) as url:
        person = Person(driver, url)
        for _ in range(20):
            person.tell(truth[person.row])
        assert "20 items are labeled" in finish(person)
    assert run(["fit"]) == 0
    assert run(["predict", "new.csv", "--out", "p.parquet"]) == 0
    import pandas as pd

    assert np.mean(pd.read_parquet("p.parquet")["class"] == names[new]) > 0.85
    assert run(["report"]) == 0
    assert "setosa" in capsys.readouterr().out
    assert run(["export", "m.onnx"]) == 0
