"""The grid of students: baselines, cells, resuming in processes, and what the report says."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.evidence import first_labels, methods, student_cells, students_report
from benchmarks.evidence._draws import DRAWS
from benchmarks.evidence._store import fill
from benchmarks.evidence.baselines import DistilledClassifier, TwoClassifiers
from benchmarks.evidence.student_cells import KEYS, TOGETHER, cells
from benchmarks.evidence.tasks import Task
from skactivekd.simulation._simulate import _seeded_clone
from skactivekd.student._soft_labels import SoftLabeled


@pytest.fixture
def taught():
    """Rows with a teacher that takes class 2 for class 1, and the truth."""
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    X = 3 * np.eye(3)[y] + rng.normal(size=(90, 3))
    return SoftLabeled(X, np.eye(3)[np.minimum(y, 1)]), y


def known(y, *rows):
    return np.where(np.isin(np.arange(len(y)), rows), y, -1)


def test_two_classifiers_are_averaged_over_all_classes(taught):
    X, y = taught
    model = TwoClassifiers(LogisticRegression()).fit(X, known(y, 0, 3, 2, 5))
    labels = LogisticRegression().fit(X.X[[0, 3, 2, 5]], [0, 0, 2, 2]).predict_proba(X.X)
    choices = LogisticRegression().fit(X.X, np.minimum(y, 1)).predict_proba(X.X)
    proba = model.predict_proba(X.X)
    np.testing.assert_allclose(proba[:, 0], (labels[:, 0] + choices[:, 0]) / 2)
    np.testing.assert_allclose(proba[:, 1], choices[:, 1] / 2)
    np.testing.assert_allclose(proba[:, 2], labels[:, 1] / 2)


@pytest.mark.parametrize("rows", [(), (0,), (0, 3)])
def test_labels_of_one_class_leave_the_teacher_alone(taught, rows):
    X, y = taught
    model = TwoClassifiers(LogisticRegression()).fit(X, known(y, *rows))
    alone = LogisticRegression().fit(X.X, np.minimum(y, 1))
    assert np.array_equal(model.predict(X.X), alone.predict(X.X))


def test_labels_weigh_as_much_as_the_teacher(taught):
    X, y = taught
    model = DistilledClassifier(LogisticRegression()).fit(X, known(y, 2, 5, 8))
    repeated = np.concatenate([X.X, *[X.X[[2, 5, 8]]] * 30])
    targets = np.concatenate([np.minimum(y, 1), [2] * 90])
    same = LogisticRegression().fit(repeated, targets)
    np.testing.assert_allclose(model.predict_proba(X.X), same.predict_proba(X.X), atol=1e-3)
    alone = LogisticRegression().fit(X.X, np.minimum(y, 1))
    model.fit(X, known(y))
    np.testing.assert_allclose(model.predict_proba(X.X)[:, :2], alone.predict_proba(X.X))
    assert not model.predict_proba(X.X)[:, 2].any()


def test_baselines_take_images(taught):
    X, y = taught
    images = SoftLabeled(X.X[:, None], X.proba)
    for model in (TwoClassifiers, DistilledClassifier):
        flat = model(LogisticRegression()).fit(X, known(y, 0, 2))
        deep = model(LogisticRegression()).fit(images, known(y, 0, 2))
        assert np.array_equal(flat.predict_proba(X.X), deep.predict_proba(images.X))


def test_cells_of_a_student_that_has_seen_the_pool_follow_one_another():
    grid = pd.DataFrame(cells(["digits", "sentiment"], ["plain", "rare50"], 2), columns=KEYS)
    assert not grid.duplicated().any()
    runs = (grid[TOGETHER] != grid[TOGETHER].shift()).any(axis=1).sum()
    assert runs == len(grid[TOGETHER].drop_duplicates())
    assert set(grid.loc[grid["labels"] == 0, "draw"]) == {"class"}
    harder = grid[grid["variant"] == "rare50"]
    assert set(zip(harder["task"], harder["student"], strict=True)) == {("digits", "mlp")}
    default = grid[grid["method"] == "default"]
    per_student = default.groupby(["task", "variant", "student", "seed"]).size()
    assert set(per_student.loc[:, "plain"]) == {11}


def measure_toy(name, seed):
    return [{"value": f"{name}{seed}"}]


@pytest.mark.thorough
def test_processes_measure_what_is_missing_and_keep_runs_together(tmp_path):
    store = tmp_path / "rows.csv"
    grid = [(name, seed) for name in "abc" for seed in (0, 1)]
    fill(store, ["name", "seed"], grid[:1], measure_toy)
    rows = fill(store, ["name", "seed"], grid, measure_toy, together=["name"], jobs=2)
    assert sorted(rows["value"]) == ["a0", "a1", "b0", "b1", "c0", "c1"]
    # Behind the row that was there, each name has its rows side by side, whichever came first.
    added = rows["name"].iloc[1:]
    assert sorted(added[added != added.shift()]) == ["a", "b", "c"]


def rows_of(scores, labels=1):
    setting = {"task": "toy", "variant": "plain", "split": "test", "student": "mlp"}
    return pd.DataFrame([
        {**setting, "draw": "class", "labels": labels, "method": method, "seed": seed,
         "score": score, "seconds": 30.0}
        for method, values in scores.items()
        for seed, score in enumerate(values)
    ])  # fmt: skip


def test_standings_compare_what_does_not_run_the_encoder():
    scores = {
        "default": [0.6, 0.7], "kd": [0.5, 0.9], "two-logistic": [0.7, 0.8],
        "embedding-logistic": [1.0, 1.0], "teacher": [1.0, 1.0], "single": [1.0],
    }  # fmt: skip
    (row,) = students_report.standings(rows_of(scores)).to_dict("records")
    assert (row["best"], row["first"], row["near"]) == ("two-logistic", 0, 0)
    assert row["behind"] == pytest.approx(0.1)
    assert row["error"] == pytest.approx(0)
    assert row["behind kd"] == pytest.approx(0.05)
    ahead = rows_of({"default": [0.9, 0.9], "kd": [0.9, 0.8]})
    (row,) = students_report.standings(ahead).to_dict("records")
    assert (row["best"], row["first"], row["behind"]) == ("default", 1, 0)


def test_report_names_the_losses():
    lost = rows_of({"default": [0.6, 0.7], "kd": [0.5, 0.6], "single": [0.7, 0.8]})
    won = rows_of({"default": [0.9, 0.9], "kd": [0.5, 0.6], "single": [0.7, 0.8]}, labels=4)
    text = students_report.write(pd.concat([lost, won]))
    assert "Largest shortfall from the best: 10.0 points (toy, plain, mlp, class, 1 " in text
    assert "Largest shortfall from the kd head: 0.0 points" in text
    losses = text.split("by more than one standard error\n\n")[1].split("\n\n")[0]
    assert len(losses.splitlines()) == 3
    assert "10.0 ± 0.0" in losses
    assert "75.0 (7.1), -10.0 ± 0.0" in text
    assert "(4 minutes of one core" in text  # the kd head is that of another fit


def test_cells_have_the_accuracy_of_their_model(taught, monkeypatch):
    rows, y = taught
    X, pool, test = rows.X.astype(np.float32), np.arange(60), np.arange(60, 90)
    task = Task(y, pool, test, {"mlp": X}, X, {"classes": dict(enumerate("abc"))})
    task.proba = rows.proba
    monkeypatch.setattr(student_cells, "_load", lambda *cell: task)
    settings = {"max_epochs": 20, "lr": 0.03, "module__hidden": 8}
    monkeypatch.setitem(methods.NETS, "mlp", settings)

    def measure(method, draw, labels):
        cell = ("digits", "plain", "test", "mlp", 0, method, draw, labels)
        return student_cells.measure(None, *cell)

    (teacher,) = measure("teacher", "class", 0)
    assert teacher["score"] == 20 / 30
    (none,), (some,) = (measure("distilled-logistic", "class", labels) for labels in (0, 8))
    assert none["score"] < some["score"]
    dho, kd = measure("dho", "pool", 4)
    drawn = DRAWS["pool"](y[pool], 4, 0)
    for method, row in (("dho", dho), ("kd", kd)):
        model = _seeded_clone(methods.estimator(task, "mlp", "zero-shot", method), 0)
        assert row["score"] == model.fit(pool, drawn).score(test, y[test])
    assert (kd["method"], kd["seconds"]) == ("kd", dho["seconds"])


def test_first_labels_are_told_by_number():
    rows = pd.DataFrame([
        {"seed": seed, "labels": labels, "classes": 3, "default": 50 + labels + seed,
         "two-logistic": 50 + seed, "default: seconds": seed, "teacher": 40}
        for labels in (0, 5)
        for seed in (0, 1)
    ])  # fmt: skip
    line = first_labels.table(rows).splitlines()[-1]
    assert [part.strip() for part in line.strip("|").split("|")] == [
        "5", "3.0", "55.5 (0.7)", "50.5 (0.7)", "+5.0 ± 0.0", "1.0",
    ]  # fmt: skip
