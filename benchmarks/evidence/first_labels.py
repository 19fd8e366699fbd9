"""The first labels with everything at its default: no parameter set, classes missing.

    python -m benchmarks.evidence.first_labels --banking77 DIR

Banking77: the student reads `TfidfVectorizer()`. Digits: it reads images. Labels are those of the
first rows of a shuffled pool, so that most classes have none at first.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from benchmarks.few_shot_teachers import banking77 as read_banking77
from skactivekd import DHOClassifier, TeacherProba, ZeroShotTeacher, load_glyph_digits
from skactivekd.cache import EmbeddingCache
from skactivekd.metrics._curves import paired_difference
from skactivekd.simulation._simulate import _seeded_clone

from ._threads import use_one_thread
from .baselines import BASELINES
from .student_cells import fit_seconds
from .tasks import CACHE

RESULTS = Path(__file__).parents[1] / "results" / "first_labels.md"
N_TEXTS = 1500
LABELS = {"banking77": (0, 1, 10, 40, 77, 150), "digits": (0, 1, 5, 10, 20, 40)}
HEAD = """# The first labels, nothing set

`python -m benchmarks.evidence.first_labels --banking77 DIR`

Everything is at its default: `make_pipeline(TeacherProba(teacher), DHOClassifier())`, for texts
with `features=TfidfVectorizer()`. The labels are those of the first rows of a shuffled pool, not so
many of each class. "two-logistic" averages a logistic regression on the labels and one on the
teacher's choices, on the same input; with fewer than two classes labeled it is the second alone.
Percent of test rows right, mean (standard deviation) over {n_seeds} seeds, which shuffle the pool
and start the student; differences are paired by seed, with their standard error; seconds of one
core for the fit of the whole pipeline, the teacher's embeddings kept, longest of the seeds.
"""


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence.first_labels")
    parser.add_argument("tasks", nargs="*", default=list(LABELS))
    parser.add_argument("--banking77", type=Path, help="folder with train.csv and test.csv")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    use_one_thread()
    parts = [HEAD.format(n_seeds=arguments.seeds)]
    for name in arguments.tasks:
        data = texts(arguments.banking77) if name == "banking77" else images()
        rows = [
            row for seed in range(arguments.seeds) for row in measure(*data, LABELS[name], seed)
        ]
        parts.append(f"## {name}\n\n{table(pd.DataFrame(rows))}\n")
    text = "\n".join(parts)
    arguments.out.write_text(text)
    print(text)


def texts(folder):
    """Return Banking77 to learn from and to test on, with its step of a pipeline."""
    X, X_test, y, y_test, teacher = read_banking77(folder)
    names = dict(sorted(teacher["classes"].items()))
    codes = [np.searchsorted(list(names), part) for part in (y, y_test)]
    teacher["encoder"].cache = EmbeddingCache(CACHE / "embeddings.sqlite")
    del teacher["missing_label"]
    known = ZeroShotTeacher(**{**teacher, "classes": dict(enumerate(names.values()))})
    step = TeacherProba(known, features=TfidfVectorizer())
    return np.array(X, dtype=object), np.array(X_test, dtype=object), *codes, step, N_TEXTS


def images():
    """Return handwritten digits, those of the evidence."""
    X, y = load_glyph_digits(return_X_y=True)
    split = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)
    return *split, TeacherProba(ZeroShotTeacher()), None


def measure(X, X_test, y, y_test, step, n_rows, labels, seed):
    """Fit the default student and its rival with more and more labels; yield a row for each."""
    pool = np.random.RandomState(seed).permutation(len(X))[:n_rows]
    for n_labels in labels:
        known = np.where(np.arange(len(pool)) < n_labels, y[pool], -1)
        row = {"seed": seed, "labels": n_labels, "classes": len(np.unique(y[pool[:n_labels]]))}
        for name, learner in [
            ("default", DHOClassifier()),
            ("two-logistic", BASELINES["two-logistic"]()),
        ]:
            model = _seeded_clone(make_pipeline(step, learner), seed)
            row[f"{name}: seconds"] = fit_seconds(model, X[pool], known)
            row[name] = 100 * model.score(X_test, y_test)
        teacher = model[0].teacher_
        row["teacher"] = 100 * np.mean(teacher.predict(X_test) == y_test)
        yield row


def table(rows):
    """Write a line for each number of labels."""
    lines = []
    for labels, part in rows.groupby("labels"):
        part = part.set_index("seed")
        difference, error = paired_difference(part["default"], part["two-logistic"])
        lines.append({
            "labels": labels,
            "classes labeled": f"{part['classes'].mean():.1f}",
            **{
                name: f"{part[name].mean():.1f} ({part[name].std():.1f})"
                for name in ("default", "two-logistic")
            },
            "default - two-logistic": f"{difference:+.1f} ± {error:.1f}",
            "seconds": f"{part['default: seconds'].max():.1f}",
        })  # fmt: skip
    teacher = f"The teacher itself: {rows['teacher'].mean():.1f}."
    return f"{teacher}\n\n{pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True)}"


if __name__ == "__main__":
    main()
