"""60 answers on 3,000 generated digits: the command line's student, its teacher, other networks.

    python benchmarks/sixty_answers.py

Deformed glyphs of fonts and pen strokes (`synthetic_digits.py`), 3,000 files of 8 x 8 pixels to be
labeled and 2,000 new ones; the embedded teacher, or none; a person who knows answers what the
session asks by its default strategy. "plain" is the package's network for images as it is,
"cli" the one that the command line takes. SVM: with the labels of all 3,000. Percent right,
labeled files / new ones; seeds are draws of the files.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.svm import SVC
from synthetic_digits import draw_font, draw_pen, font_glyphs, render, skeletons

from skactivekd import DHONet, LabelingSession, UncertaintyHerding
from skactivekd.cli._project import Settings
from skactivekd.cli._sources import read_source
from skactivekd.cli._students import Student
from skactivekd.cli._teachers import ask_teacher, make_encoder, make_teacher

CLASSES = list("0123456789")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", default=["fonts", "pen"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[100, 101])
    parser.add_argument("--nets", nargs="+", default=["plain", "cli"])
    parser.add_argument("--answers", nargs="+", type=int, default=[0, 60, 120])
    parser.add_argument("--teachers", nargs="+", default=["glyph"])
    arguments = parser.parse_args()
    for kind in arguments.kinds:
        for seed in arguments.seeds:
            with tempfile.TemporaryDirectory() as folder:
                compare(Path(folder), kind, seed, arguments)


def compare(folder, kind, seed, arguments):
    pool, new = (
        write(folder / name, *draw(kind, n, seed + shift))
        for name, n, shift in (("pool", 3000, 0), ("new", 2000, 1000))
    )
    svm = SVC(C=10).fit(pool[0].reshape(len(pool[0]), -1), pool[1])
    right = [100 * svm.score(X.reshape(len(X), -1), y) for X, y, _ in (pool, new)]
    print(f"{kind} {seed}: SVM {right[1]:.1f} on new ones", flush=True)
    for teacher in arguments.teachers:
        settings = Settings(classes=CLASSES, teacher=teacher)
        source = read_source(folder / "pool", classes=CLASSES)
        student, proba = Student(source, settings), None
        if teacher != "none":
            asked = make_teacher(make_encoder(teacher, "images"), settings, CLASSES)
            proba = ask_teacher(asked, student.X, CLASSES)[0]
            said = [proba, ask_teacher(asked, new[2], CLASSES)[0]]
            right = [
                100 * np.mean(each.argmax(1) == y.astype(int))
                for each, (_, y, _) in zip(said, (pool, new), strict=True)
            ]
            print(f"  teacher {teacher}: {right[0]:.1f} / {right[1]:.1f}", flush=True)
        for net in arguments.nets:
            if net == "plain":
                student.net = DHONet()
            elif net == "cli":
                student = Student(source, settings)
            curve = label(folder, student.estimator(proba), student.X, pool, new, arguments.answers)
            print(f"  {net:5}, teacher {teacher}: {'  '.join(curve)}", flush=True)


def draw(kind, n, seed):
    rng = np.random.default_rng(seed)
    if kind == "pen":
        return render(skeletons(), draw_pen, n, rng)
    fonts = list(font_glyphs().values())
    shapes = {digit: [font[digit] for font in fonts] for digit in range(10)}
    return render(shapes, draw_font, n, rng)


def write(folder, images, digits):
    """Write pictures; return them, their classes and their paths."""
    folder.mkdir()
    paths = [str(folder / f"{number:05d}.png") for number in range(len(images))]
    for path, pixels in zip(paths, images, strict=True):
        Image.fromarray(np.round(255 * pixels).astype(np.uint8)).save(path)
    return images, digits.astype(str), paths


def label(folder, estimator, X, pool, new, stops):
    """Let a person answer; return the curve as texts."""
    curve = []
    with tempfile.TemporaryDirectory(dir=folder) as place:
        session = LabelingSession(
            estimator,
            X,
            journal=Path(place, "labels.sqlite"),
            classes=CLASSES,
            strategy=UncertaintyHerding(),
            refit=False,
        )
        for n in range(max(stops) + 1):
            if n % 5 == 0 or n in stops:
                session.fit()
            if n in stops and session.model is not None:
                right = [
                    100 * np.mean(session.model.predict(rows) == y)
                    for rows, y in ((X, pool[1]), (new[2], new[1]))
                ]
                curve.append(f"{n}: {right[0]:.1f} / {right[1]:.1f}")
            [question] = session.ask()
            session.tell(question, pool[1][question.index])
        session.close()
    return curve


if __name__ == "__main__":
    main()
