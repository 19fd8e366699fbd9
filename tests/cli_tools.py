"""Projects of the command line, small and quick, and a person at a page that is none."""

import csv
import sys
import types
from pathlib import Path

import numpy as np
from PIL import Image

from skactivekd import demo
from skactivekd.cli._main import run
from skactivekd.session._journal import Journal

WORDS = {
    "card": "my card is lost stolen blocked plastic chip pin",
    "transfer": "send money transfer abroad bank account payment late",
    "rate": "exchange rate currency dollar euro fee conversion pound",
}


def fake_page(monkeypatch, person=None):
    """Put a page in place that lets a function answer; return what it was called with."""
    calls = []

    class Shown:
        def __init__(self, rows):
            self.rows = rows

    def serve(session, *, items, title, **settings):
        calls.append({"items": items, "title": title, **settings})
        if person is not None:
            person(session, items)

    page = types.ModuleType("skactivekd.app")
    page.__path__ = [str(Path(demo.__file__).parent / "app")]
    page.serve, page.ImageFiles, page.Texts, page.TableRows = serve, Shown, Shown, Shown
    monkeypatch.setitem(sys.modules, "skactivekd.app", page)
    import skactivekd

    monkeypatch.setattr(skactivekd, "app", page, raising=False)
    return calls


def sentences(n, seed=0):
    """Texts of three classes, and their classes."""
    rng = np.random.default_rng(seed)
    names = [list(WORDS)[number % 3] for number in range(n)]
    texts = [
        " ".join([*rng.choice(WORDS[name].split(), 4), str(rng.integers(10**6))]) for name in names
    ]
    return texts, names


def write_csv(path, columns, encoding="utf-8"):
    """Write columns as a CSV file."""
    with open(path, "w", encoding=encoding, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def read_csv(path):
    """Read a CSV file as a list of dicts."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_images(folder, n, size=8, seed=0):
    """Write pictures of three gray levels, called after their class."""
    rng = np.random.default_rng(seed)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(n):
        pixels = 80 * (number % 3) + rng.integers(60, size=(size, size))
        name = f"{number:03d}_{'abc'[number % 3]}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
    return folder


def answers(project):
    """What a journal holds of answers."""
    path = Path(project) / "labels.sqlite"
    if not path.exists():
        return []
    journal = Journal(path)
    found = [(event.item, event.data.get("label")) for event in journal.read() if event.item]
    journal.close()
    return found


def tell_all(truth, n):
    """A person who knows: answers n questions by a function from row to class."""

    def person(session, items):
        for _ in range(n):
            [question] = session.ask()
            session.tell(question, truth(question.index))

    return person


__all__ = [
    "answers",
    "fake_page",
    "read_csv",
    "run",
    "sentences",
    "tell_all",
    "write_csv",
    "write_images",
]
