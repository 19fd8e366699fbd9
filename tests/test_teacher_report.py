"""The teacher report: figures against direct computation, warnings, controls, and its plot."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_blobs
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, cohen_kappa_score, confusion_matrix
from sklearn.model_selection import KFold

from skactivekd import (
    LabeledStratifiedKFold,
    OpenCLIPEncoder,
    TeacherReportDisplay,
    ZeroShotTeacher,
    load_glyph_digits,
    teacher_report,
)
from skactivekd.encoders import SkippedRowsWarning
from skactivekd.inspection import prediction_clusters
from skactivekd.inspection._prediction_clusters import deal_others, expected_coverage


def simulated(n=300, n_classes=5, accuracy=0.7, n_labeled=100, seed=0):
    """Probabilities of a teacher of about this accuracy, and partly known labels."""
    rng = np.random.default_rng(seed)
    y = rng.integers(n_classes, size=n)
    guess = np.where(rng.random(n) < accuracy, y, rng.integers(n_classes, size=n))
    logits = rng.normal(size=(n, n_classes)) + 4 * np.eye(n_classes)[guess]
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return proba, y, np.where(np.arange(n) < n_labeled, y, -1)


@pytest.fixture(scope="module")
def report():
    proba, _, known = simulated()
    return teacher_report(proba, y=known)


def test_figures_of_the_labeled_rows(report):
    proba, y, _ = simulated()
    y, known = y[:100], proba[:100]
    predicted = known.argmax(axis=1)
    assert (report.n_samples, report.n_labeled) == (300, 100)
    assert report.accuracy == pytest.approx(accuracy_score(y, predicted))
    assert report.accuracy_interval[0] < report.accuracy < report.accuracy_interval[1]
    assert report.mean_confidence == pytest.approx(known.max(axis=1).mean())
    # Cohen's kappa is defined by the same chance.
    kappa = (report.accuracy - report.chance) / (1 - report.chance)
    assert kappa == pytest.approx(cohen_kappa_score(y, predicted))
    assert not report.near_chance


def test_figures_of_each_class(report):
    proba, y, _ = simulated()
    counts = confusion_matrix(y[:100], proba[:100].argmax(axis=1))
    table = report.per_class
    assert table["n"].tolist() == counts.sum(axis=1).tolist()
    np.testing.assert_allclose(table["accuracy"], counts.diagonal() / counts.sum(axis=1))
    wrong = counts - np.diag(counts.diagonal())
    assert table["confused_with"].tolist() == wrong.argmax(axis=1).tolist()
    assert table["n_confused"].tolist() == wrong.max(axis=1).tolist()
    predicted = np.bincount(proba.argmax(axis=1)) / len(proba)
    np.testing.assert_allclose(table["predicted"], predicted)
    confidence = [proba[:100][y[:100] == c].max(axis=1).mean() for c in range(5)]
    np.testing.assert_allclose(table["confidence"], confidence)


def test_classes_without_labels_have_no_figures_but_stay():
    proba, y, _ = simulated()
    known = np.where(y < 2, y, -1)
    table = teacher_report(proba, y=known).per_class
    assert table["n"].iloc[2:].tolist() == [0, 0, 0]
    assert table["accuracy"].iloc[2:].isna().all()
    assert table["predicted"].sum() == pytest.approx(1)


def test_labels_of_every_kind_give_the_same_report():
    proba, _, known = simulated()
    names = np.array(["e", "d", "c", "b", "a"])
    expected = teacher_report(proba, y=known).accuracy
    strings = [names[label] if label >= 0 else None for label in known]
    floats = np.where(known >= 0, known, np.nan)
    numbers = range(5)
    for labels, marker, classes in (
        (strings, None, names),
        (floats, np.nan, numbers),
        (pd.Series(known), -1, dict(enumerate(names))),
    ):
        report = teacher_report(proba, y=labels, classes=classes, missing_label=marker)
        assert report.accuracy == expected
        assert report.per_class.index.tolist() == list(classes)


def test_numbers_beside_names_need_a_mapping():
    proba, _, known = simulated()
    names = ["e", "d", "c", "b", "a"]
    frame = pd.DataFrame(proba, columns=names)
    for teacher, classes in ((proba, names), (frame, None), (frame, range(5))):
        with pytest.raises(ValueError, match=r"numbers such as .* names: .*classes=\{0: "):
            teacher_report(teacher, y=known, classes=classes)
    shuffled = frame[sorted(names)]
    report = teacher_report(shuffled, y=known, classes=dict(enumerate(names)))
    assert report.accuracy == teacher_report(proba, y=known).accuracy
    assert report.per_class.index.tolist() == [4, 3, 2, 1, 0]
    with pytest.raises(ValueError, match=r"columns of the teacher's output .*\['f'\] have no"):
        teacher_report(frame, y=known, classes=[*"abcf", "d"], missing_label=-1)


def test_matrix_callable_and_estimator_agree():
    X, y = make_blobs(120, centers=3, random_state=0)
    forest = RandomForestClassifier(20, random_state=0).fit(X[60:], y[60:])
    known = np.where(np.arange(120) < 60, y, -1)
    reports = [
        teacher_report(teacher, X, known)
        for teacher in (forest, FrozenEstimator(forest), forest.predict_proba)
    ]
    reports.append(teacher_report(forest.predict_proba(X), X, known))
    reports.append(teacher_report(forest.predict_proba(X).tolist(), y=known))
    frames = [report.to_frame() for report in reports]
    for frame in frames[1:]:
        pd.testing.assert_frame_equal(frame, frames[0])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"teacher": "clip"}, TypeError, "must have predict_proba"),
        ({"teacher": LogisticRegression}, TypeError, "the class LogisticRegression"),
        ({"teacher": LogisticRegression()}, TypeError, "X is None"),
        ({"teacher": np.ones((2, 2))}, ValueError, "teacher: row 0 does not sum to one"),
        ({"teacher": [[0.5, 0.5], [1.5, -0.5]]}, ValueError, "row 1"),
        ({"teacher": [[0.5, 0.5], [np.nan, 1]]}, ValueError, "row 1"),
        ({"teacher": [[np.nan, np.nan]] * 2}, ValueError, "skipped every row"),
        (
            {"teacher": lambda X: np.full((3, 2), 0.5), "X": [1, 2]},
            ValueError,
            "each of the 2 rows of X, but has 3",
        ),
        ({"y": [0, 1, 1]}, ValueError, "X has 2 rows but y has 3 labels"),
        ({"y": [0, 7]}, ValueError, r"labels \[7\], first in row 1, which are not among"),
        ({"y": ["a", "b"]}, ValueError, "classes="),
        ({"classes": ["a"]}, ValueError, "1 classes for 2 columns"),
        ({"classes": [-1, 1]}, ValueError, "missing_label=-1 is one of the classes"),
        ({"cv": 2}, TypeError, "cv needs a teacher that can be fitted"),
        ({"n_clusters": 5}, ValueError, "n_clusters=5 must be in 1 to 2"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, error, message):
    arguments = {"teacher": [[0.6, 0.4], [0.2, 0.8]], "y": [0, 1], **arguments}
    with pytest.raises(error, match=message):
        teacher_report(**arguments)


def test_a_guessing_teacher_is_warned_of():
    proba, _, known = simulated(accuracy=0.0)
    with pytest.warns(UserWarning, match=r"no better than chance .* order of the classes"):
        report = teacher_report(proba, y=known)
    assert report.near_chance
    assert "no better than chance" in str(report)


def test_a_constant_teacher_is_no_better_than_chance_however_often_it_is_right():
    with pytest.warns(UserWarning, match="no better than chance"):
        report = teacher_report([[0.9, 0.1]] * 50, y=[0] * 45 + [1] * 5)
    assert (report.accuracy, report.chance) == (0.9, pytest.approx(0.9))
    assert "never predicted: 1" in str(report)


def test_one_label_proves_nothing():
    proba, _, known = simulated(n_labeled=1, accuracy=1.0)
    with pytest.warns(UserWarning, match="on 1 labeled rows"):
        teacher_report(proba, y=known)


def test_names_in_the_wrong_order_are_found():
    proba, _, known = simulated(accuracy=0.9)
    with pytest.warns(UserWarning, match=r"would be right in .*\[1, 2, 3, 4, 0\]"):
        teacher_report(np.roll(proba, -1, axis=1), y=known)


def test_no_label_leaves_the_shape_of_the_predictions():
    proba, _, _ = simulated()
    for y in (None, np.full(300, -1)):
        report = teacher_report(proba, y=y)
        assert np.isnan([report.accuracy, report.expected_calibration_error]).all()
        assert (report.n_labeled, report.temperature, report.clusters.coverage) == (0, 1.0, 0.0)
        assert "no row is labeled" in str(report)
        report.plot()


def test_overconfidence_has_a_temperature():
    proba, _, known = simulated(accuracy=0.4)
    sharp = proba**3 / (proba**3).sum(axis=1, keepdims=True)
    assert "overconfident" in str(teacher_report(sharp, y=known))
    assert teacher_report(sharp, y=known).temperature > 2


class LookUp(LogisticRegression):
    """Knows by heart what it was fitted on and guesses the rest; knows what is not labeled."""

    def __init__(self, missing_label=-1):
        super().__init__()
        self.missing_label = missing_label

    def fit(self, X, y):
        self.classes_ = np.arange(3)
        self.rows_ = {row.tobytes(): label for row, label in zip(X, y, strict=True) if label != -1}
        return self

    def predict_proba(self, X):
        labels = [self.rows_.get(row.tobytes(), 0) for row in X]
        return 0.7 * np.eye(3)[labels] + 0.1


@pytest.mark.parametrize("folds", [5, LabeledStratifiedKFold(3), KFold(4)])
def test_cv_judges_rows_by_teachers_that_did_not_see_them(folds):
    X = np.random.default_rng(0).normal(size=(90, 2))
    y = np.where(np.arange(90) < 60, np.arange(90) % 3, -1)
    teacher = LookUp().fit(X, y)
    naive = teacher_report(teacher, X, y)
    assert naive.accuracy == 1
    assert "cv=5" in str(naive)
    with pytest.warns(UserWarning, match="no better than chance"):
        report = teacher_report(teacher, X, y, cv=folds)
    assert report.accuracy == pytest.approx(1 / 3, abs=0.02)
    assert "cv=5" not in str(report)


def test_cv_keeps_unlabeled_rows_from_classifiers_that_take_them_for_a_class():
    X, y = make_blobs(90, centers=3, random_state=0)
    known = np.where(np.arange(90) < 45, y, -1)
    teacher = LogisticRegression().fit(X[:45], y[:45])
    report = teacher_report(teacher, X, known, cv=3)
    assert report.n_labeled == 45
    assert report.accuracy > 0.8


def test_zero_shot_teachers_have_no_caveat():
    X, y = load_glyph_digits(return_X_y=True)
    report = teacher_report(ZeroShotTeacher().fit(), X[:100], y[:100])
    assert not any("cv=" in note for note in report.notes)


def test_skipped_rows_count_nowhere(tmp_path):
    from PIL import Image

    X, y = load_glyph_digits(return_X_y=True)
    paths = [str(tmp_path / f"{i}.png") for i in range(40)]
    for x, path in zip(X, paths, strict=False):
        Image.fromarray((x * 255).astype(np.uint8)).save(path)
    (tmp_path / "3.png").write_bytes(b"")
    teacher = ZeroShotTeacher(OpenCLIPEncoder(on_error="skip")).fit()
    with pytest.warns(SkippedRowsWarning, match="row 3"):
        report = teacher_report(teacher, paths, y[:40])
    assert report.skipped.tolist() == [3]
    assert (report.n_samples, report.n_labeled) == (39, 39)
    assert "1 rows were skipped" in str(report)
    kept = np.delete(np.arange(40), 3)
    assert report.accuracy == pytest.approx((teacher.predict(X[kept]) == y[kept]).mean())


def habits(n=400, n_classes=6, noise=0.01, seed=0):
    """Predictions in as many tight balls as there are classes."""
    rng = np.random.default_rng(seed)
    centers = rng.dirichlet(np.full(n_classes, 0.5), n_classes)
    proba = centers[rng.integers(n_classes, size=n)] + rng.uniform(0, noise, (n, n_classes))
    return proba / proba.sum(axis=1, keepdims=True), centers


def test_clusters_of_a_teacher_with_habits_are_narrower_than_shuffled():
    proba, centers = habits()
    report = teacher_report(proba, n_clusters=6)
    assert report.radius_ratio < 0.2
    gaps = np.linalg.norm(report.clusters.centers[:, None] - centers, axis=2).min(axis=1)
    assert gaps.max() < 0.05


@pytest.mark.parametrize("concentration", [0.05, 0.3, 2.0])
def test_predictions_without_habits_are_as_wide_as_shuffled(concentration):
    proba = np.random.default_rng(0).dirichlet(np.full(8, concentration), 1500)
    assert teacher_report(proba).radius_ratio == pytest.approx(1, abs=0.05)


def test_the_control_keeps_favorites_and_sharpness():
    proba, _ = habits()
    dealt = deal_others(proba, np.random.default_rng(0))
    np.testing.assert_array_equal(dealt.argmax(axis=1), proba.argmax(axis=1))
    np.testing.assert_array_equal(np.sort(dealt, axis=1), np.sort(proba, axis=1))
    assert (dealt != proba).any(axis=1).mean() > 0.9
    places = np.argsort(dealt, axis=1)[:, -2]
    assert len(set(places[proba.argmax(axis=1) == proba[0].argmax()])) == 5


def test_radii_and_coverage_are_those_of_the_rows():
    proba, _ = habits(noise=0.3)
    labeled = np.arange(400) < 9
    found = prediction_clusters(proba, labeled, n_clusters=12)
    distances = np.linalg.norm(proba - found.centers[found.labels], axis=1)
    for k, row in found.table.iterrows():
        inside = found.labels == k
        np.testing.assert_allclose(found.centers[k], proba[inside].mean(axis=0), atol=1e-3)
        assert row["n"] == inside.sum()
        assert row["n_labeled"] == (inside & labeled).sum()
        assert row["mean_radius"] == pytest.approx(distances[inside].mean())
        assert row["max_radius"] == pytest.approx(distances[inside].max())
    hit = sorted(set(found.labels[:9]))
    assert found.coverage == pytest.approx(len(hit) / 12)
    assert found.row_coverage == pytest.approx(np.isin(found.labels, hit).mean())
    assert found.table["n"].is_monotonic_decreasing


def test_expected_coverage_is_that_of_random_labels():
    sizes, rng = [50, 30, 15, 4, 1], np.random.default_rng(0)
    clusters = np.repeat(range(5), sizes)
    draws = [len(set(rng.choice(clusters, 8, replace=False))) / 5 for _ in range(4000)]
    assert expected_coverage(sizes, 8) == pytest.approx(np.mean(draws), abs=0.01)


def test_clusters_that_are_errors_show():
    proba = np.repeat([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.2, 0.7]], 20, axis=0)
    y = np.repeat([0, 1, 1], 20)
    clusters = teacher_report(proba, y=y, n_clusters=3).to_frame("clusters")
    assert clusters.set_index("predicted")["accuracy"].to_dict() == {0: 1.0, 1: 1.0, 2: 0.0}


@pytest.mark.parametrize("n_classes", [2, 3])
def test_one_hot_predictions_have_no_radius(n_classes):
    proba = np.eye(n_classes)[np.arange(60) % n_classes]
    report = teacher_report(proba, y=np.arange(60) % n_classes)
    assert np.isnan(report.radius_ratio)
    assert len(report.clusters.table) == n_classes


def test_large_pools_are_clustered_on_a_sample(monkeypatch):
    proba, _ = habits(n=600)
    monkeypatch.setattr("skactivekd.inspection._prediction_clusters._FIT_ROWS", 200)
    found = prediction_clusters(proba, n_clusters=6)
    assert found.table["n"].sum() == 600
    assert found.mean_radius < 0.05


def test_the_same_seed_gives_the_same_report_and_global_state_stays():
    proba, _, known = simulated()
    before = np.random.get_state()[1].copy()
    frames = [teacher_report(proba, y=known, random_state=s).to_frame() for s in (3, 3, None)]
    pd.testing.assert_frame_equal(frames[0], frames[1])
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_tables_are_copies_and_reports_pickle(report):
    for name in ("summary", "per_class", "reliability", "clusters", "control"):
        frame = report.to_frame(name)
        frame.iloc[0, 0] = -1
        assert not frame.equals(report.to_frame(name))
    with pytest.raises(ValueError, match=r"table='radii' must be one of \['summary'"):
        report.to_frame("radii")
    assert str(pickle.loads(pickle.dumps(report))) == str(report)
    assert "accuracy" in repr(report)


def test_the_text_holds_the_figures(report):
    text = str(report)
    low, high = report.accuracy_interval
    for figure in (f"{report.accuracy:.1%}", f"{low:.1%} to {high:.1%}", f"{report.chance:.1%}"):
        assert figure in text
    assert f"{report.radius_ratio:.2f}" in text


def test_the_plot_shows_the_tables(report):
    from matplotlib import pyplot as plt

    display = report.plot()
    reliability, classes, radii = display.axes_
    drawn = reliability.containers[0][0].get_xydata()
    np.testing.assert_allclose(drawn, report.reliability[["confidence", "accuracy"]])
    ranked = report.per_class.sort_values("accuracy")
    np.testing.assert_allclose(
        classes.containers[0][0].get_xdata().astype(float), ranked["accuracy"]
    )
    assert [tick.get_text() for tick in classes.get_yticklabels()] == [str(c) for c in ranked.index]
    lines = radii.get_lines()
    assert len(lines) == report.clusters.control["shuffle"].nunique() + 1
    np.testing.assert_allclose(
        lines[-1].get_ydata(), np.sort(report.clusters.table["mean_radius"])[::-1]
    )
    plt.close(display.figure_)


def test_the_plot_takes_axes(report):
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(3, 1)
    display = TeacherReportDisplay.from_report(report, axes=axes)
    assert display.figure_ is figure
    assert list(display.axes_) == list(axes)
    plt.close(figure)


def test_thousands_of_classes_are_sketched_and_radii_stay_those_of_the_rows():
    rng = np.random.default_rng(0)
    habits_of = rng.dirichlet(np.full(600, 0.01), 4).astype(np.float32)
    proba = habits_of[np.arange(80) % 4] + rng.random((80, 600), dtype=np.float32) / 6000
    proba /= proba.sum(axis=1, keepdims=True)
    found = prediction_clusters(proba, n_clusters=4)
    distances = np.linalg.norm(proba - found.centers[found.labels], axis=1)
    assert found.mean_radius == pytest.approx(distances.mean(), rel=1e-5)
    assert found.mean_radius < found.control_radius / 5
    for k in range(4):
        np.testing.assert_allclose(found.centers[k], proba[found.labels == k].mean(0), atol=1e-6)


def test_the_report_takes_little_more_memory_than_the_matrix():
    import tracemalloc

    rng = np.random.default_rng(0)
    proba = rng.random((30_000, 100), dtype=np.float32)
    proba /= proba.sum(axis=1, keepdims=True)
    y = np.where(np.arange(30_000) < 500, proba.argmax(axis=1), -1)
    teacher_report(proba[:50], y=y[:50])  # imports
    tracemalloc.start()
    try:
        teacher_report(proba, y=y, n_clusters=5)
        assert tracemalloc.get_traced_memory()[1] < 3 * proba.nbytes
    finally:
        tracemalloc.stop()


def test_blocks_and_copies_leave_the_matrix_alone():
    proba, _, known = simulated()
    before = proba.copy()
    teacher_report(proba, y=known)
    np.testing.assert_array_equal(proba, before)
