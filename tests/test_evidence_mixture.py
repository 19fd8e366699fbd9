"""The evidence on alpha and beta, and on gradients: what is drawn, kept and said."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_blobs

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.evidence import gradients, mixture
from benchmarks.evidence._draws import few_labels, labels_of_pool
from benchmarks.evidence._store import fill
from skactivekd import DHOClassifier, DHONet


@pytest.fixture
def task(monkeypatch):
    """Blobs in which the teacher is wrong about the last class."""
    settings = {"max_epochs": 5, "module__hidden": 8}
    monkeypatch.setattr(mixture, "NETS", {"mlp": settings})
    monkeypatch.setattr(gradients, "NETS", {"mlp": settings})
    X, y = make_blobs(90, centers=3, n_features=4, cluster_std=2, random_state=0)
    proba = (0.7 * np.eye(3) + 0.1)[np.minimum(y, 1)]
    pool, test = np.split(np.arange(90), 2)
    inputs = {"mlp": X.astype(np.float32)}
    return SimpleNamespace(y=y, pool=pool, test=test, inputs=inputs, proba=proba, n_classes=3)


def test_labels_are_drawn_by_class_or_from_the_pool():
    y = np.repeat([0, 1, 2], [50, 8, 6])
    known = few_labels(y, 4, seed=1)
    assert np.bincount(known[known >= 0]).tolist() == [4, 4, 4]
    assert (known == y)[known >= 0].all()
    assert not np.array_equal(known, few_labels(y, 4, seed=2))
    drawn = labels_of_pool(y, 4, seed=1)
    assert (drawn >= 0).sum() == 12
    assert (drawn == y)[drawn >= 0].all()
    assert (drawn == 0).sum() > 4


def test_mixtures_are_those_of_one_student(task):
    known = few_labels(task.y[task.pool], 4, seed=0)
    row = mixture.measure(task, "mlp", known, seed=0)
    net = DHONet(**mixture.NETS["mlp"])
    clf = DHOClassifier(net, heads="dual", distill_weight=0.5, classes=range(3), random_state=0)
    rows, y = task.inputs["mlp"], task.y
    clf.fit(rows[task.pool], known, teacher_proba=task.proba[task.pool])
    test, y_test = rows[task.test], y[task.test]
    for name, params in [
        ("fixed", {}),
        ("cross-validated", {"alpha": row["alpha"], "beta": row["beta"]}),
        ("CE head", {"alpha": 1}),
        ("KD head", {"alpha": 0}),
    ]:
        clf.set_params(**{"alpha": 0.5, "beta": 1.0, **params})
        assert row[name] == pytest.approx(100 * clf.score(test, y_test))
        assert row["hindsight"] >= row[name]


def test_report_says_where_the_choice_loses():
    row = {"task": "digits", "split": "test", "draw": "class", "seconds": 60, "alpha": 0.3}
    scores = dict.fromkeys(mixture.COLUMNS, 80.0)
    cells = [
        {**row, **scores, "shots": shots, "seed": seed, "cross-validated": 80 + gain}
        for shots, gains in [(2, (-3, -1)), (4, (1, 2))]
        for seed, gain in enumerate(gains)
    ]
    text = mixture.report(pd.DataFrame(cells))
    assert "**Cross-validation loses** 2.0 points ± 1.0 at 2 (mean" in text
    assert "-2.0 (-3.0 to -1.0)" in text
    assert "(4 minutes of one core)" in text
    assert "never loses" in mixture.report(pd.DataFrame(cells[2:]))


def test_finished_cells_are_not_measured_again(tmp_path):
    store, seen = tmp_path / "new" / "rows.csv", []

    def measure(name, seed):
        seen.append((name, seed))
        return [{"value": seed}, {"value": 10 + seed}]

    fill(store, ["name", "seed"], [("a", 0), ("b", 1)], measure)
    rows = fill(store, ["name", "seed"], [("a", 0), ("b", 1), ("b", 2)], measure)
    assert seen == [("a", 0), ("b", 1), ("b", 2)]
    assert rows["value"].tolist() == [0, 10, 1, 11, 2, 12]


def test_cosines_are_measured_and_summed_up(task, tmp_path):
    rows = [
        {"task": "digits", "seed": 0, "heads": heads, **row}
        for heads in gradients.HEADS
        for row in gradients.measure(task, "mlp", 0, heads)
    ]
    curves = pd.DataFrame(rows)
    assert sorted(set(zip(curves["heads"], curves["part"], strict=True))) == [
        ("one head", "backbone"),
        ("one head", "head"),
        ("two heads", "backbone"),
    ]
    curves["cosine"] = np.where(curves["heads"] == "one head", -0.5, 0.5)
    one, head, two = gradients.summary(curves).to_dict("records")
    assert (one["mean"], head["steps below 0"], two["steps below 0"]) == (-0.5, 100, 0)
    assert gradients.report(curves, 1).count(": holds") == 3
    curves["cosine"] = -curves["cosine"]
    assert gradients.report(curves, 1).count(": in 0 % of the training") == 3
