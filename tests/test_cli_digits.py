"""From a folder of generated digits, and 60 answers of a person who knows them, to a model."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
from cli_tools import fake_page, read_csv, run
from PIL import Image

import skactivekd

# 3,000 is what a person would bring; it takes a minute.
N_IMAGES = int(os.environ.get("SKACTIVEKD_DIGITS", "300"))
SCRIPT = Path(__file__).parents[1] / "benchmarks" / "synthetic_digits.py"


def write_digits(folder, n, seed):
    """Write pictures of printed digits of many fonts, called after what they show.

    Bent as the script does it for training, many of 8 x 8 pixels are told by nobody: a support
    vector machine with all 3,000 labels is right in 83 % of new ones.
    """
    spec = importlib.util.spec_from_file_location("synthetic_digits", SCRIPT)
    digits = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(digits)
    digits._deform = lambda lines, rng: lines
    fonts = list(digits.font_glyphs().values())
    shapes = {digit: [font[digit] for font in fonts] for digit in range(10)}
    images, names = digits.render(shapes, digits.draw_font, n, np.random.default_rng(seed))
    Path(folder).mkdir()
    for number, (pixels, name) in enumerate(zip(images, names, strict=True)):
        pixels = np.round(255 * pixels).astype(np.uint8)
        Image.fromarray(pixels).save(Path(folder, f"{number:05d}_{name}.png"))


def truth(path):
    return Path(path).stem[-1]


@pytest.mark.thorough
def test_sixty_answers_on_digits(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if N_IMAGES < 3000:
        monkeypatch.setattr("skactivekd.student._training_length._STEPS", 300)
    write_digits("digits", N_IMAGES, seed=0)
    write_digits("new", 200, seed=1)

    def person(session, items):
        session.refit = True
        for _ in range(12):
            for question in session.ask(5):
                session.tell(question, truth(items.rows[question.index]))

    fake_page(monkeypatch, person)
    classes = ",".join("0123456789")
    assert run(["label", "digits", "--classes", classes, "--teacher", "glyph"]) == 0
    assert run(["fit"]) == 0
    assert run(["predict", "new"]) == 0
    rows = read_csv("predictions.csv")
    right = np.mean([row["class"] == truth(row["file"]) for row in rows])
    assert right >= (0.9 if N_IMAGES >= 3000 else 0.8)
    assert run(["report"]) == 0
    assert "60 of" in capsys.readouterr().out
    assert run(["export", "digits.onnx"]) == 0
    assert run(["export", "tasks.json"]) == 0
    model = skactivekd.load("digits-project/model")
    assert model.predict([row["file"] for row in rows[:5]]).tolist() == [
        row["class"] for row in rows[:5]
    ]
