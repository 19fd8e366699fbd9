"""What the displays draw is what they were given, and what they cannot draw is refused."""

import itertools
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skactivekd import (
    ClassConfusionDisplay,
    ContactSheetDisplay,
    DHOClassifier,
    DHONet,
    LabeledOnly,
    LabelEfficiencyDisplay,
    LabelingSession,
    PredictionClustersDisplay,
    ReliabilityDisplay,
    TeacherProba,
    TeacherReportDisplay,
    TrainingHistoryDisplay,
    load,
    save,
    simulate,
)
from skactivekd.metrics import expected_calibration_error, reliability_curve
from skactivekd.plotting._common import line_styles, spread

plt = pytest.importorskip("matplotlib.pyplot")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)
KNOWN = np.where(np.arange(60) < 20, Y, -1)
PROBA = RNG.dirichlet(np.ones(3), size=60)
Y3 = RNG.integers(0, 3, size=60)


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def fitted(heads="dual", teacher=True, **settings):
    student = DHOClassifier(
        DHONet(max_epochs=3, module__hidden=8, **settings), heads=heads, random_state=0
    )
    if not teacher:
        return student.fit(X, KNOWN)
    return student.fit(X, KNOWN, teacher_proba=np.c_[1 - Y, Y] * 0.6 + 0.2)


def drawn(ax):
    return {line.get_label(): line.get_ydata() for line in ax.get_lines()}


def test_history_of_two_heads_adds_up_to_the_loss():
    student = fitted(batch_size=8)
    display = TrainingHistoryDisplay.from_estimator(student)
    lines = drawn(display.ax_)
    assert list(lines) == ["label head", "distillation head", "both, weighted"]
    weight = student.net_.criterion_.distill_weight
    total = (1 - weight) * lines["label head"] + weight * lines["distillation head"]
    np.testing.assert_allclose(total, lines["both, weighted"], rtol=1e-5)
    np.testing.assert_allclose(lines["both, weighted"], student.net_.history_[:, "train_loss"])


@pytest.mark.parametrize(
    ("heads", "teacher", "names"),
    [("dual", False, ["label head"]), ("residual", True, ["distillation head"])],
)
def test_history_draws_no_head_that_was_not_trained(heads, teacher, names):
    display = TrainingHistoryDisplay.from_estimator(fitted(heads, teacher))
    assert list(drawn(display.ax_)) == names
    assert ("fitted in one step" in display.ax_.get_title()) == (heads == "residual")


def test_history_shows_the_rows_held_out():
    from skorch.dataset import ValidSplit

    display = TrainingHistoryDisplay.from_estimator(fitted(train_split=ValidSplit(3)))
    assert "label head, held out" in drawn(display.ax_)
    assert "distillation head, held out" in drawn(display.ax_)


def test_history_that_is_not_there(tmp_path):
    with pytest.raises(NotFittedError, match="call fit"):
        TrainingHistoryDisplay.from_estimator(make_pipeline(TeacherProba(), DHOClassifier()))
    with pytest.raises(NotFittedError, match="call fit"):
        TrainingHistoryDisplay.from_estimator(DHONet())
    with pytest.raises(TypeError, match="LogisticRegression"):
        TrainingHistoryDisplay.from_estimator(LogisticRegression())
    with pytest.raises(ValueError, match="from_estimator"):
        TrainingHistoryDisplay(pd.DataFrame({"loss": [1.0]}))
    save(fitted(), tmp_path / "student")
    with pytest.raises(ValueError, match="no history"):
        TrainingHistoryDisplay.from_estimator(load(tmp_path / "student"))


def test_confusion_of_few_classes_is_a_matrix_by_name():
    display = ClassConfusionDisplay.from_predictions(
        ["b", "b", "a", "?"], ["b", "a", "a", "a"], classes={"b": "Bee", "a": "Ant"},
        missing_label="?",
    )  # fmt: skip
    assert [tick.get_text() for tick in display.ax_.get_yticklabels()] == ["Bee", "Ant"]
    assert [text.get_text() for text in display.ax_.texts] == ["1", "1", "0", "1"]
    assert display.pairs_[["true", "predicted", "n"]].to_numpy().tolist() == [["Bee", "Ant", 1]]


def test_confusion_of_77_classes_is_the_worst_pairs():
    true = np.repeat(np.arange(77), 10)
    predicted = true.copy()
    predicted[:6], predicted[10:14] = 5, 0
    predicted[20::10] = (true[20::10] + 1) % 77
    display = ClassConfusionDisplay.from_predictions(true, predicted, n_pairs=10)
    bars = [bar.get_width() for bar in display.ax_.patches]
    assert len(bars) == 10
    assert bars[:3] == [6, 4, 1]
    assert display.ax_.get_yticklabels()[0].get_text() == "0 → 5"
    assert display.ax_.get_title() == "10 most confused of 77 pairs:\n18 of 85 errors"


@pytest.mark.parametrize(
    ("true", "predicted", "said"),
    [
        ([0, 1], [0], "same rows"),
        ([-1, -1], [0, 1], "No row"),
        ([0, 0], [0, 0], "single class"),
        ([0, 1], [0, -1], "swap"),
    ],
)
def test_confusion_refuses(true, predicted, said):
    with pytest.raises(ValueError, match=said):
        ClassConfusionDisplay.from_predictions(true, predicted)


NAMES = [
    *("random", "entropy", "margin", "leastconfidence", "coreset", "pcoreset", "badge"),
    *("uncertaintyherding", "classbalanced", "typiclust", "probcover", "bald"),
]
RESULTS = pd.DataFrame(
    [
        ("student", name, seed, number, 10 * number + 10, 0.5 + 0.1 * number + 0.001 * place * seed)
        for place, name in enumerate(NAMES)
        for seed in range(2)
        for number in range(3)
    ],
    columns=["estimator", "strategy", "seed", "round", "n_labels", "score"],
)


def test_names_at_the_ends_of_twelve_lines_do_not_overlap():
    display = LabelEfficiencyDisplay.from_results(
        RESULTS, baselines={"teacher": 0.7}, direct_labels=True
    )
    display.figure_.draw_without_rendering()
    assert display.ax_.get_legend() is None
    texts = {text.get_text(): text for text in display.ax_.texts}
    assert set(texts) == {*NAMES, "teacher"}
    # The annotation's own box has the leader in it; the text's does not.
    box = plt.matplotlib.text.Text.get_window_extent
    boxes = sorted((box(text) for text in texts.values()), key=lambda box: box.y0)
    assert all(low.y1 <= high.y0 + 1 for low, high in itertools.pairwise(boxes))
    assert all(box.x0 >= display.ax_.get_window_extent().x1 for box in boxes)
    assert max(box.x1 for box in boxes) <= display.figure_.bbox.x1
    for line in display.ax_.get_lines()[:-1]:
        assert texts[line.get_label()].get_color() == line.get_color()


def test_a_strategy_has_its_color_in_every_figure():
    all_of_them = line_styles(NAMES)
    assert len({style["color"] for style in all_of_them.values()}) == 12
    for name in NAMES[:9]:
        assert line_styles([name, "another"])[name] == all_of_them[name]
    assert line_styles(["UncertaintyHerding"])["UncertaintyHerding"] == all_of_them[NAMES[7]]
    styles = line_styles(["a, margin", "b, margin"])
    assert {style["color"] for style in styles.values()} == {all_of_them["margin"]["color"]}
    assert len({style["linestyle"] for style in styles.values()}) == 2


def test_facets_have_one_line_each_that_stands_out():
    display = LabelEfficiencyDisplay.from_results(RESULTS).plot_facets()
    assert [ax.get_title() for ax in display.axes_] == NAMES
    for name, ax in zip(NAMES, display.axes_, strict=True):
        lines = ax.get_lines()
        assert len(lines) == 12
        (chosen,) = [line for line in lines if line.get_color() != "lightgray"]
        np.testing.assert_allclose(chosen.get_ydata(), display.curves[name]["mean"])
    with pytest.raises(ValueError, match="must be 12"):
        display.plot_facets(axes=display.axes_[:3])


@pytest.mark.parametrize("labels", [[10], [10, 11], [10, 15], [10, 12, 20, 25], [0, 100]])
def test_counts_have_whole_ticks(labels):
    curve = pd.DataFrame({"mean": 0.5, "std": 0.1}, index=labels)
    curves = LabelEfficiencyDisplay({"one": curve, "another": curve})
    losses = pd.DataFrame({"train_loss": 0.5}, index=labels)
    n = len(labels)
    pairs = ClassConfusionDisplay(np.full((2, 2), n), ["a", "b"], max_classes=0)
    reliability = ReliabilityDisplay.from_predictions({"student": PROBA[:n]}, Y3[:n])
    clusters = pd.DataFrame({"mean_radius": np.linspace(0.1, 0.2, n)})
    control = clusters.assign(shuffle=0)
    empty = pd.DataFrame(columns=["confidence", "accuracy", "low", "high", "n"], dtype=float)
    tables = {"reliability": empty, "per_class": empty, "clusters": clusters, "control": control}
    report = TeacherReportDisplay(**tables, accuracy=0.5, chance=0.1)
    for axis in (
        curves.plot().ax_.xaxis,
        *(ax.xaxis for ax in curves.plot_facets().axes_),
        TrainingHistoryDisplay(losses).plot().ax_.xaxis,
        pairs.plot().ax_.xaxis,
        reliability.axes_[1].yaxis,
        report.plot().axes_[2].xaxis,
    ):
        ticks = axis.get_major_locator()()
        assert len(ticks)
        assert (ticks == np.round(ticks)).all()


def test_ticks_of_the_user_stay():
    ax = plt.figure().add_subplot(xscale="log")
    LabelEfficiencyDisplay.from_results(RESULTS, ax=ax)
    assert isinstance(ax.xaxis.get_major_locator(), plt.matplotlib.ticker.LogLocator)
    ax = plt.figure().add_subplot(xticks=[12.5])
    LabelEfficiencyDisplay.from_results(RESULTS, ax=ax)
    assert ax.get_xticks().tolist() == [12.5]


def test_spread_keeps_order_gap_and_bounds():
    placed = spread([0.5, 0.1, 0.5, 0.99, 1.0], 0.1)
    assert (np.diff(np.sort(placed)) >= 0.1 - 1e-9).all()
    assert placed.max() <= 1 + 1e-9
    assert placed[1] == pytest.approx(0.1)


def test_reliability_draws_the_metrics_of_both():
    labels = np.array(["a", "b", "c"])[Y3]
    other = np.roll(PROBA, 1, axis=0)
    display = ReliabilityDisplay.from_predictions(
        {"student": PROBA, "teacher": other}, [*labels[:50], *["?"] * 10], classes=["a", "b", "c"],
        missing_label="?",
    )  # fmt: skip
    points, counts = display.axes_
    curve = reliability_curve(PROBA[:50], Y3[:50])
    np.testing.assert_allclose(points.get_lines()[1].get_ydata(orig=False), curve["accuracy"])
    heights = [bar.get_height() for bar in counts.patches]
    assert heights[: len(curve)] == curve["n"].tolist()
    assert sum(heights) == 100
    error = expected_calibration_error(other[:50], Y3[:50])
    assert f"teacher, ECE {error:.2f}, 50 rows" in points.get_legend_handles_labels()[1]


@pytest.mark.parametrize(
    ("probas", "y", "said"),
    [
        (PROBA, Y3, "dict"),
        ({"a": PROBA}, Y3[:9], "same rows"),
        ({"a": PROBA}, [-1] * 60, "No row"),
        ({"a": np.ones((60, 1))}, [0] * 60, "single class"),
        ({"a": PROBA, "b": PROBA[:, :2] / PROBA[:, :2].sum(axis=1, keepdims=True)}, Y3, "columns"),
    ],
)
def test_reliability_refuses(probas, y, said):
    with pytest.raises((TypeError, ValueError), match=said):
        ReliabilityDisplay.from_predictions(probas, y)


def test_reliability_refuses_a_teacher_of_other_classes():
    student, teacher = LogisticRegression().fit(X, Y), LogisticRegression().fit(X, Y + 1)
    with pytest.raises(ValueError, match="in the same order"):
        ReliabilityDisplay.from_estimator(student, X, Y, teacher=teacher)


def test_sheet_of_a_session(tmp_path):
    model = LogisticRegression()
    images = RNG.random((60, 4, 4))
    session = LabelingSession(model, X, classes=[0, 1], journal=tmp_path / "labels.sqlite")
    with pytest.raises(ValueError, match="Nothing was answered"):
        ContactSheetDisplay.from_session(session, show=images)
    told = []
    for _ in range(4):
        for question in session.ask(5):
            session.tell(question, Y[question.index])
            told.append(question)
    display = ContactSheetDisplay.from_session(session, 8, show=images)
    assert len(display.axes_) == 8
    assert any(display.suggestions)
    for ax, question, pair in zip(display.axes_, told[::-1], display.suggestions, strict=False):
        np.testing.assert_array_equal(ax.images[0].get_array(), images[question.index])
        assert ax.get_title().split("\n")[0] == str(Y[question.index])
        assert pair == (question.suggestions[0] if question.suggestions else None)
    with pytest.raises(TypeError, match="show="):
        ContactSheetDisplay.from_session(session)
    with pytest.raises(ValueError, match="59 entries"):
        ContactSheetDisplay.from_session(session, show=images[1:])
    session.close()


def test_sheet_of_a_simulation(tmp_path):
    store, texts = tmp_path / "rounds.csv", [f"text {row} for $5" for row in range(60)]
    model = LabeledOnly(LogisticRegression(), classes=[0, 1])
    simulate(
        model, X, Y, X_test=X, y_test=Y, n_rounds=3, n_instances=2, seeds=1, progress=False,
        store=store,
    )  # fmt: skip
    display = ContactSheetDisplay.from_store(store, X, Y, strategy="random", show=texts)
    queried = pd.read_csv(store).sort_values("round")["queried"].dropna()
    rows = [int(row) for part in queried for row in part.split()]
    assert display.items == [texts[row] for row in rows]
    assert display.answers == Y[rows].tolist()
    assert display.titles[2] == f"round 1, row {rows[2]}"
    with pytest.raises(ValueError, match=r"it has .*random"):
        ContactSheetDisplay.from_store(store, X, Y, strategy="margin", show=texts)
    with pytest.raises(ValueError, match="pass the pool"):
        ContactSheetDisplay.from_store(store, X, Y[1:], strategy="random", show=texts)


def test_sheet_marks_what_was_not_taken():
    display = ContactSheetDisplay(["x", "y"], ["a", "b"], [("a", 0.9), ("a", 0.6)]).plot()
    assert [ax.title.get_color() for ax in display.axes_] == ["black", "#c00000"]
    with pytest.raises(ValueError, match="1 entries for 2 items"):
        ContactSheetDisplay(["x", "y"], ["a"])


def test_clusters_draw_all_rows_and_mark_some():
    labeled = np.arange(60) < 5
    display = PredictionClustersDisplay.from_predictions(
        PROBA, labeled=labeled, asked=[7, 9], n_clusters=4
    )
    rows, marked, asked = display.ax_.collections
    np.testing.assert_allclose(rows.get_offsets(), display.points)
    np.testing.assert_allclose(marked.get_offsets(), display.points[:5])
    np.testing.assert_allclose(asked.get_offsets(), display.points[[7, 9]])
    assert len(np.unique(rows.get_facecolors(), axis=0)) == 4
    assert display.ax_.get_title() == "60 predictions in 4 clusters"
    own = PredictionClustersDisplay.from_predictions(PROBA, projection=PROBA[:, :2])
    np.testing.assert_allclose(own.points, PROBA[:, :2])


@pytest.mark.parametrize(
    ("proba", "more", "said"),
    [
        (np.ones((9, 1)), {}, "two classes"),
        (PROBA, {"asked": [60]}, "rows 0 to 59"),
        (PROBA, {"asked": np.ones(60, bool)}, "flatnonzero"),
        (PROBA, {"labeled": [True]}, "labeled must be a mask"),
        (PROBA, {"projection": PROBA}, "two columns"),
    ],
)
def test_clusters_refuse(proba, more, said):
    with pytest.raises((TypeError, ValueError), match=said):
        PredictionClustersDisplay.from_predictions(proba, **more)


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install skactivekd\[plots\]"):
        ContactSheetDisplay(["x"], ["a"]).plot()


def test_a_sheet_reads_stores_and_pictures_as_the_package_does(tmp_path):
    store = tmp_path / "rounds.csv"
    plan = {"n_rounds": 2, "n_instances": 2, "seeds": 1, "progress": False, "store": store}
    model = LabeledOnly(LogisticRegression(), classes=[0, 1])
    simulate(model, X, Y, X_test=X, y_test=Y, **plan)
    texts = [f"text {row}" for row in range(len(X))]
    data = store.read_bytes()
    store.write_bytes(data + b"cut off by a ki")
    ContactSheetDisplay.from_store(store, X, Y, strategy="random", show=texts)
    store.write_bytes(data.replace(b",0,0,", b",0,zero,", 1))
    with pytest.raises(ValueError, match=r"Line 2 of .* is damaged"):
        ContactSheetDisplay.from_store(store, X, Y, strategy="random", show=texts)
    turned = Image.new("RGB", (20, 10))
    turned.save(tmp_path / "a.jpg", exif=turned.getexif().tobytes())
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    turned.save(tmp_path / "b.jpg", exif=exif)
    sheet = ContactSheetDisplay([tmp_path / "a.jpg", str(tmp_path / "b.jpg")], ["a", "b"]).plot()
    shapes = [ax.images[0].get_array().shape[:2] for ax in sheet.axes_]
    assert shapes == [(10, 20), (20, 10)]
