"""What plots show: lines that can be told apart, who is judged, names of classes."""

import numpy as np
import pandas as pd
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skactivekd import DHOClassifier, DHONet, LabelEfficiencyDisplay, TeacherProba, teacher_report

plt = pytest.importorskip("matplotlib.pyplot")
CURVE = pd.DataFrame({"mean": [0.5, 0.7], "std": [0.1, 0.0]}, index=[10, 20])


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.mark.parametrize("n_lines", [1, 4, 11, 25, 45])
def test_no_two_lines_look_the_same(n_lines):
    curves = {f"strategy {number}": CURVE for number in range(n_lines)}
    display = LabelEfficiencyDisplay(curves, baselines={"teacher": 0.6, "chance": 0.1}).plot()
    lines = display.ax_.get_lines()
    assert len(lines) == n_lines + 2
    if n_lines <= 40:
        assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == n_lines + 2
    bands = [tuple(band.get_facecolor()[0][:3]) for band in display.ax_.collections]
    assert len(bands) == n_lines
    for line, band in zip(lines, bands, strict=False):
        np.testing.assert_allclose(plt.matplotlib.colors.to_rgb(line.get_color()), band)


@pytest.mark.parametrize("n_lines", [5, 20])
def test_a_long_legend_stands_beside_the_curves(n_lines):
    display = LabelEfficiencyDisplay({f"line {n}": CURVE for n in range(n_lines)}).plot()
    display.figure_.draw_without_rendering()
    legend, axes = display.ax_.get_legend().get_window_extent(), display.ax_.get_window_extent()
    assert legend.x0 >= axes.x1
    assert len(display.ax_.get_legend().get_texts()) == n_lines


def test_labels_are_counted_in_whole_numbers_unless_a_user_set_the_ticks():
    curves = {name: CURVE.set_axis([1, 2]) for name in "ab"}
    display = LabelEfficiencyDisplay(curves)
    for ax in [display.plot().ax_, *display.plot_facets().axes_]:
        assert (ax.get_xticks() == ax.get_xticks().round()).all()
    ax = plt.figure().add_subplot(xscale="log")
    display = LabelEfficiencyDisplay({"line": CURVE}).plot(ax=ax)
    assert display.ax_.get_xscale() == "log"


X = np.random.default_rng(0).normal(size=(60, 3))
Y = (X[:, 0] > 0).astype(int)


def student(kind):
    model = DHOClassifier(DHONet(max_epochs=1, module__hidden=8), random_state=0)
    if kind != "alone":
        model = make_pipeline(TeacherProba(), model)
    model = model.fit(X, Y)
    return FrozenEstimator(model) if kind == "frozen" else model


@pytest.mark.filterwarnings("ignore:accuracy is")  # of one epoch
@pytest.mark.parametrize("kind", ["alone", "in a pipeline", "frozen"])
def test_a_report_on_a_student_says_so(kind):
    report = teacher_report(student(kind), X, Y)
    assert report.subject == "student"
    assert str(report).startswith("Student report: 60 rows")
    assert "teacher learns" not in str(report)
    labels = [label for ax in report.plot().axes_ for label in ax.get_legend_handles_labels()[1]]
    assert labels.count("student") == 2
    assert "teacher" not in labels


@pytest.mark.parametrize("teacher", ["matrix", "function", "model"])
def test_all_others_are_teachers(teacher):
    model = LogisticRegression().fit(X, Y)
    given = {"matrix": model.predict_proba(X), "function": model.predict_proba, "model": model}
    report = teacher_report(given[teacher], X, Y)
    assert str(report).startswith("Teacher report: 60 rows")
    labels = [label for ax in report.plot().axes_ for label in ax.get_legend_handles_labels()[1]]
    assert labels.count("teacher") == 2


@pytest.mark.parametrize("n_classes", [30, 31, 77])
def test_the_axis_of_classes_has_names_however_many_they_are(n_classes):
    rng = np.random.default_rng(0)
    y = np.arange(4 * n_classes) % n_classes
    proba = rng.dirichlet(np.ones(n_classes), size=len(y)) * 0.5 + np.eye(n_classes)[y] * 0.5
    report = teacher_report(proba, y=y, classes=np.arange(n_classes))
    axis = report.plot().axes_[1]
    names = [tick.get_text() for tick in axis.get_yticklabels()]
    assert 0 < len(names) <= 30
    ranked = report.per_class.sort_values("accuracy").index
    assert names[0] == str(ranked[0])
    for place, name in zip(axis.get_yticks(), names, strict=True):
        assert name == str(ranked[int(place)])
