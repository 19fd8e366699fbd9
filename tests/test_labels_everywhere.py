"""Every public door understands labels, classes and markers in the same way."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from few_shot_data import NAMES, Directions, make_rows
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from test_strategies_common import FACTORIES, make

from skactivekd import (
    CLAPTeacher,
    DHOClassifier,
    DHONet,
    LabeledOnly,
    LabeledStratifiedKFold,
    Margin,
    Random,
    TeacherProba,
    TipAdapterTeacher,
    ZeroShotTeacher,
    area_under_curve,
    labeled_accuracy,
    labels_to_reach,
    rank_table,
    simulate,
    teacher_report,
    value_report,
)
from skactivekd.plotting import summarize
from skactivekd.student._soft_labels import SoftLabeled

X, Y = make_rows(10, noise=0.4)
X = X.astype(np.float64)
Y_NAMES = np.array(NAMES)[Y]
PROBA = 0.7 * np.eye(3)[Y] + 0.1  # columns 0, 1, 2
SORTED = sorted(NAMES)
MODEL = LogisticRegression().fit(X, Y)


def hide(y, marker, n=12):
    return [label if row < n else marker for row, label in enumerate(np.asarray(y).tolist())]


def student(**params):
    net = DHONet(max_epochs=3, module__hidden=8)
    return DHOClassifier(net, **{"random_state": 0, **params})


def named(kind, classes=NAMES, **params):
    """A teacher that knows the classes by name."""
    if kind == "labeled":
        return LabeledOnly(LogisticRegression(), classes, **params)
    cls = {"zero-shot": ZeroShotTeacher, "clap": CLAPTeacher}.get(kind, TipAdapterTeacher)
    more = {
        "clap": {"max_epochs": 20, "random_state": 0},
        "tip": {"random_state": 0},
        "tip-f": {"fine_tune": True, "max_epochs": 5, "random_state": 0},
    }.get(kind, {})
    return cls(Directions(), classes, logit_scale=5.0, **more, **params)


TEACHERS = ["zero-shot", "clap", "tip", "tip-f", "labeled"]

# Markers


def door(name):
    """Return a function of y and a marker that hands both to one public name."""
    if name in FACTORIES:
        return lambda y, marker: make(FACTORIES[name], missing_label=marker).query(X, y, MODEL, 2)
    if name.startswith("modAL "):
        learner = SimpleNamespace(estimator=MODEL, X_training=X, predict_proba=MODEL.predict_proba)
        strategy = FACTORIES[name.removeprefix("modAL ")]
        return lambda y, marker: make(strategy, missing_label=marker)(
            SimpleNamespace(**vars(learner), y_training=y), X, n_instances=2
        )
    fitted = {kind: named(kind).fit(X, Y_NAMES.astype(object)) for kind in TEACHERS}
    doors = {
        "splitter": lambda y, m: list(LabeledStratifiedKFold(2, missing_label=m).split(X, y)),
        "accuracy": lambda y, m: labeled_accuracy(MODEL, X, y, missing_label=m),
        "student fit": lambda y, m: student(missing_label=m).fit(X, y),
        "student partial_fit": lambda y, m: student(missing_label=m).partial_fit(X, y),
        "student with a teacher": lambda y, m: student(missing_label=m).fit(X, y, PROBA),
        "student score": lambda y, m: student().fit(X, Y).set_params(missing_label=m).score(X, y),
        "LabeledOnly": lambda y, m: LabeledOnly(LogisticRegression(), missing_label=m).fit(X, y),
        "report": lambda y, m: teacher_report(PROBA, X, y, missing_label=m),
        "simulate": lambda y, m: simulate(
            MODEL, X, y, X_test=X, y_test=Y, n_rounds=1, seeds=1, progress=False, missing_label=m
        ),
        "simulate y_test": lambda y, m: simulate(
            MODEL, X, Y, X_test=X, y_test=y, n_rounds=1, seeds=1, progress=False, missing_label=m
        ),
        **{
            f"{kind} fit": lambda y, m, kind=kind: named(
                kind, dict(enumerate(NAMES)), missing_label=m
            ).fit(X, y)
            for kind in TEACHERS
            if kind != "zero-shot"  # labels do not matter to it
        },
        "zero-shot auto": lambda y, m: (
            named("zero-shot", dict(enumerate(NAMES)), missing_label=m)
            .set_params(logit_scale="auto")
            .fit(X, y)
        ),
        **{
            f"{kind} score": lambda y, m, kind=kind: (
                clone(fitted[kind])
                .set_params(classes=dict(enumerate(NAMES)))
                .fit(X, Y)
                .set_params(missing_label=m)
                .score(X, y)
            )
            for kind in TEACHERS
        },
    }
    return doors[name]


DOORS = [
    *FACTORIES,
    *(f"modAL {name}" for name in FACTORIES),
    "splitter",
    "accuracy",
    "student fit",
    "student partial_fit",
    "student with a teacher",
    "student score",
    "LabeledOnly",
    "report",
    "simulate",
    "simulate y_test",
    *(f"{kind} fit" for kind in TEACHERS if kind != "zero-shot"),
    "zero-shot auto",
    *(f"{kind} score" for kind in TEACHERS),
]
BAD = {
    "nan": (hide(Y.astype(float), np.nan), -1, "missing_label=np.nan"),
    "NA": (hide(Y, pd.NA), -1, "missing_label=np.nan"),
    "None": (hide(Y, None), -1, "missing_label=None"),
    "None for NA": (hide(Y, None), pd.NA, "missing_label=None"),
    "empty": (hide(Y_NAMES, ""), -1, "missing_label=''"),
    "text": (np.array(hide(Y_NAMES, np.nan)), -1, "missing_label='nan'"),
    "-1": (hide(Y, -1), np.nan, "missing_label=-1"),
    "-1 for NA": (hide(Y, -1), pd.NA, "missing_label=-1"),
    "-1 among names": (hide(Y_NAMES, -1), "?", "missing_label=-1"),
    "two columns": (np.eye(3, dtype=int)[Y], -1, "should be a 1d array"),
}


@pytest.mark.parametrize("name", DOORS)
def test_a_marker_that_does_not_match_is_refused_everywhere(name):
    call = door(name)
    for y, marker, message in BAD.values():
        with pytest.raises(ValueError, match=message):
            call(y, marker)


@pytest.mark.parametrize("marker", [np.nan, pd.NA, None, "?"], ids=str)
def test_every_marker_gives_what_the_default_gives(marker):
    strings = marker is None or isinstance(marker, str)
    y, labels = hide(Y_NAMES if strings else Y, marker), Y_NAMES if strings else Y
    usual = hide(Y_NAMES if strings else Y, -1)
    found = [
        [
            *[test.tolist() for _, test in LabeledStratifiedKFold(2, missing_label=m).split(X, v)],
            LabeledOnly(LogisticRegression(), missing_label=m).fit(X, v).score(X, v),
            make(FACTORIES["Margin"], missing_label=m).query(X, v, MODEL_OF[strings], 4).tolist(),
            student(missing_label=m).fit(X, v).predict(X).tolist(),
            simulate(
                LabeledOnly(LogisticRegression(), missing_label=m), X, labels, X_test=X,
                y_test=labels, strategies=[Margin(missing_label=m)], n_rounds=2, n_instances=3,
                seeds=1, progress=False, missing_label=m,
            )["score"].tolist(),
        ]
        for v, m in ((y, marker), (usual, -1))
    ]  # fmt: skip
    assert found[0] == found[1]


MODEL_OF = {False: MODEL, True: LogisticRegression().fit(X, Y_NAMES)}


# A model that took the marker for a class


@pytest.mark.parametrize("name", FACTORIES)
@pytest.mark.parametrize("marker", [-1, "?"])
def test_a_model_that_learned_the_marker_is_refused_by_strategies(name, marker):
    y = np.array(hide(Y if marker == -1 else Y_NAMES, marker))
    model = LogisticRegression().fit(X, y)
    strategy = make(FACTORIES[name], missing_label=marker)
    learner = SimpleNamespace(
        estimator=model, X_training=X, y_training=y, predict_proba=model.predict_proba
    )
    for call in (lambda: strategy.query(X, y, model), lambda: strategy(learner, X)):
        with pytest.raises(ValueError, match=r"learned missing_label=.* as a class.*LabeledOnly"):
            call()


def test_a_model_that_learned_the_marker_is_refused_elsewhere():
    y = np.array(hide(Y, -1))
    model = LogisticRegression().fit(X, y)
    plan = {"X_test": X, "y_test": Y, "n_rounds": 2, "seeds": 1, "progress": False}
    for call in (
        lambda: simulate(LogisticRegression(), X, Y, **plan),
        lambda: simulate(RandomForestClassifier(3), X, Y, **{**plan, "n_rounds": 1}),
        lambda: labeled_accuracy(model, X, y),
        lambda: teacher_report(model, X, y),
        lambda: make_pipeline(TeacherProba(LogisticRegression()), student()).fit(X, y),
        lambda: make_pipeline(TeacherProba(FrozenEstimator(model)), student()).fit(X, y),
    ):
        with pytest.raises(ValueError, match=r"learned missing_label=-1.*LabeledOnly\(estimator\)"):
            call()
    scores = simulate(LabeledOnly(LogisticRegression()), X, Y, **plan)["score"]
    assert scores.min() > 0.5


def test_two_classes_called_minus_one_and_one_are_refused_where_classes_are_unknown():
    y = np.where(Y == 0, 1, -1)
    for call in (
        lambda: student().fit(X, y),
        lambda: student().fit(X, y, np.full((30, 2), 0.5)),
        lambda: LabeledOnly(LogisticRegression()).fit(X, y),
        lambda: list(LabeledStratifiedKFold(2).split(X, y)),
        lambda: simulate(MODEL, X, y, X_test=X, y_test=y, progress=False),
    ):
        with pytest.raises(ValueError, match=r"-1 and 1 alone.*another missing_label"):
            call()
    # What says that there are more classes says that -1 is the marker.
    assert student(classes=range(3)).fit(X, y).classes_.tolist() == [0, 1, 2]
    assert student(missing_label=np.nan).fit(X, y).classes_.tolist() == [-1, 1]
    assert LabeledOnly(LogisticRegression(), range(3)).fit(X, y).score(X, y) == 0
    assert y[Random().query(X, y, None)[0]] == -1


# Classes


@pytest.mark.parametrize("kind", TEACHERS)
def test_columns_of_teachers_are_sorted(kind):
    y = np.array(hide(Y_NAMES, None), dtype=object)
    first, second = (
        named(kind, order, missing_label=None).fit(X, y)
        for order in (["owl", "cat", "ant"], ["cat", "ant", "owl"])
    )
    assert first.classes_.tolist() == second.classes_.tolist() == SORTED
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    np.testing.assert_array_equal(first.predict(X), second.predict(X))
    best = np.array(SORTED)[first.predict_proba(X).argmax(axis=1)]
    np.testing.assert_array_equal(first.predict(X), best)
    if kind != "labeled":
        assert first.get_feature_names_out().tolist() == SORTED
        names = Directions().encode_text(SORTED)
        np.testing.assert_allclose(first.class_embeddings_, names, atol=1e-6)


@pytest.mark.parametrize("kind", TEACHERS)
def test_scorers_and_ensembles_of_scikit_learn_read_the_columns_right(kind):
    teacher = named(kind, ["owl", "cat", "ant"]).fit(X, Y_NAMES)
    assert teacher.score(X, Y_NAMES) > 0.6
    assert get_scorer("roc_auc_ovr")(teacher, X, Y_NAMES) > 0.8
    assert get_scorer("neg_log_loss")(teacher, X, Y_NAMES) > -1
    for classes in ({"a", "b"}, frozenset("ab"), (name for name in "ab")):
        with pytest.raises((TypeError, AttributeError), match=r"no order|pickle"):
            named(kind, classes).fit(X, Y_NAMES)


def test_a_zero_shot_teacher_votes_and_is_cross_validated():
    teacher = named("zero-shot", ["owl", "cat", "ant"])
    accuracy = teacher.fit().score(X, Y_NAMES)
    proba = cross_val_predict(teacher, X, Y_NAMES, method="predict_proba", cv=3)
    assert (np.array(SORTED)[proba.argmax(axis=1)] == Y_NAMES).mean() == accuracy
    vote = VotingClassifier([("t", teacher), ("l", LogisticRegression())], voting="soft")
    assert vote.fit(X, Y_NAMES).score(X, Y_NAMES) >= accuracy


@pytest.mark.parametrize("kind", TEACHERS[1:])
def test_numbers_are_no_positions_among_names(kind):
    with pytest.raises(ValueError, match=r"numbers such as 0, .*names: .*classes=\{0: 'ant'"):
        named(kind).fit(X, Y)
    taught = named(kind, dict(enumerate(NAMES))).fit(X, Y)
    assert taught.classes_.tolist() == [0, 1, 2]
    assert taught.score(X, Y) > 0.6


def test_names_in_folder_order_are_not_read_as_positions():
    folders = sorted(map(str, range(12)))  # "0", "1", "10", "11", "2" ...
    labels = np.arange(60) % 12
    rows = np.eye(12)[labels]

    class Perfect(LogisticRegression):
        def fit(self, X, y):
            self.classes_ = np.array(folders)
            return self

        def predict_proba(self, X):
            return X[:, [int(name) for name in folders]]

    teach = make_pipeline(TeacherProba(Perfect()), student(distill_weight=0.5))
    teach.set_params(dhoclassifier__net__max_epochs=60, dhoclassifier__net__lr=0.01)
    known = np.where(np.arange(60) < 24, labels, -1)
    with pytest.raises(ValueError, match=r"numbers such as 0, .*classes=\{0: '0'"):
        teach.fit(rows, known)
    mapping = {number: str(number) for number in range(12)}
    right = clone(teach).set_params(dhoclassifier__classes=mapping).fit(rows, known)
    assert right.score(rows, labels) > 0.9
    texts = np.array([*map(str, range(12)), ""], dtype=object)[known]
    right = clone(teach).set_params(dhoclassifier__missing_label="").fit(rows, texts)
    assert right.score(rows, labels.astype(str)) > 0.9


# Data frames of probabilities


FRAME = pd.DataFrame(PROBA, columns=NAMES)[["cat", "owl", "ant"]]
Y_KNOWN = np.array(hide(Y_NAMES, ""), dtype=object)


def frames(frame):
    """Hand a frame of probabilities to the student in each way there is."""

    class Framed(LogisticRegression):
        def fit(self, X, y):
            self.classes_ = np.array(SORTED)
            return self

        def predict_proba(self, X):
            return frame

    def fit(step):
        return make_pipeline(step, student(missing_label="")).fit(X, Y_KNOWN)

    return {
        "fit": lambda: student(missing_label="").fit(X, Y_KNOWN, teacher_proba=frame),
        "partial_fit": lambda: student(missing_label="").partial_fit(
            X, Y_KNOWN, teacher_proba=frame
        ),
        "declared": lambda: student(missing_label="", classes=["owl", "ant", "cat"]).fit(
            X, Y_KNOWN, teacher_proba=frame
        ),
        "matrix": lambda: fit(TeacherProba(frame)),
        "function": lambda: fit(TeacherProba(lambda X: frame)),
        "teacher": lambda: fit(TeacherProba(Framed())),
    }


@pytest.mark.parametrize("way", frames(FRAME))
def test_columns_of_a_frame_are_matched_by_name(way):
    array = PROBA[:, np.argsort(NAMES)]
    expected = student(missing_label="", classes=SORTED).fit(X, Y_KNOWN, teacher_proba=array)
    found = frames(FRAME)[way]()
    assert found.classes_.tolist() == SORTED
    np.testing.assert_array_equal(found.predict_proba(X), expected.predict_proba(X))


def test_columns_of_an_array_follow_classes_as_given():
    array = student(missing_label="", classes=NAMES).fit(X, Y_KNOWN, teacher_proba=PROBA)
    frame = student(missing_label="").fit(X, Y_KNOWN, teacher_proba=FRAME)
    np.testing.assert_array_equal(array.predict_proba(X), frame.predict_proba(X))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["cat", "owl", "bee"], r"labels \['ant'\]|\['ant'\] have no column and \['bee'\] are no"),
        (["cat", "owl", "cat"], "Two columns of .* have one name"),
        ([0, 1, 2], "strings such as .*numbers|set teacher_proba.columns"),
        (pd.MultiIndex.from_product([["p"], NAMES]), "several levels"),
    ],
)
def test_columns_that_are_not_the_classes_are_refused(columns, message):
    for way, call in frames(FRAME.set_axis(columns, axis=1)).items():
        if way == "declared" or way == "fit":
            with pytest.raises(ValueError, match=message):
                call()
        else:
            with pytest.raises(ValueError):  # noqa: PT011
                call()


def test_a_report_and_strategies_match_frames_by_name():
    expected = teacher_report(PROBA, y=Y_NAMES, classes=NAMES).accuracy
    assert teacher_report(FRAME, y=Y_NAMES).accuracy == expected
    assert teacher_report(lambda X: FRAME, X, Y_NAMES).accuracy == expected
    assert teacher_report(FRAME, y=Y, classes=dict(enumerate(NAMES))).accuracy == expected
    assert teacher_report(FRAME, y=Y_NAMES, classes=SORTED).accuracy == expected

    class Framed:
        classes_ = np.array(SORTED)

        def predict_proba(self, X):
            return pd.DataFrame(MODEL.predict_proba(X), columns=NAMES)[["cat", "owl", "ant"]]

    class Plain(Framed):
        def predict_proba(self, X):
            return super().predict_proba(X)[SORTED].to_numpy()

    assert teacher_report(Framed(), X, Y_NAMES).accuracy == MODEL.score(X, Y)
    y = np.where(Y_KNOWN == "owl", "", Y_KNOWN)
    for name in ("ClassBalanced", "PCoreSet", "Margin"):
        picks = [
            make(FACTORIES[name], missing_label="").query(X, y, model, 4).tolist()
            for model in (Framed(), Plain())
        ]
        assert picks[0] == picks[1]


def test_a_class_weight_by_label_reaches_the_estimator():
    y = np.array(hide(Y + 1, -1))
    weights = {1: 1, 2: 1, 3: 50}
    inner = LogisticRegression(class_weight=weights)
    alone = clone(inner).fit(X[:12], y[:12])
    np.testing.assert_allclose(
        LabeledOnly(inner).fit(X, y).predict_proba(X), alone.predict_proba(X)
    )


# One score


@pytest.mark.parametrize("kind", [*TEACHERS, "student"])
def test_one_score_of_labeled_rows(kind):
    classes = dict(enumerate(NAMES))
    model = student(classes=range(3)) if kind == "student" else named(kind, classes)
    y = np.array(hide(Y, -1))
    model.fit(X, y)
    right = model.predict(X) == Y
    weight = np.arange(30.0) + 1
    assert model.score(X, y) == pytest.approx(right[:12].mean())
    assert labeled_accuracy(model, X, y) == pytest.approx(right[:12].mean())
    expected = np.average(right[:12], weights=weight[:12])
    assert model.score(X, y, weight) == pytest.approx(expected)
    assert labeled_accuracy(model, X, y, sample_weight=weight) == pytest.approx(expected)
    for score in (model.score, lambda *args: labeled_accuracy(model, *args[:2])):
        with pytest.raises(ValueError, match="needs labeled rows"):
            score(X, np.full(30, -1))
        with pytest.raises(ValueError, match="X has 30 rows but y has 12 labels"):
            score(X, y[:12])
        with pytest.raises(ValueError, match="strings such as"):
            score(X, Y_NAMES)
        with pytest.raises(ValueError, match=r"None of the labels in y, \[7, 8, 9\]"):
            score(X, Y + 7)
    for bad in (weight[:12], np.r_[weight[:29], -1]):
        with pytest.raises(ValueError, match=r"sample_weight|[Ww]eight"):
            model.score(X, y, bad)
    with pytest.raises(ValueError, match="sample_weight is zero for every labeled row"):
        model.score(X, y, np.where(y == -1, 1.0, 0.0))


def test_labels_that_a_model_has_not_seen_yet_are_errors_of_its():
    model = LabeledOnly(LogisticRegression()).fit(X, np.where(Y == 2, -1, Y))
    assert model.score(X, Y) == pytest.approx(np.mean(model.predict(X) == Y))


def test_soft_labels_are_scored():
    taught = SoftLabeled(X, PROBA, np.arange(3))
    model = student().fit(taught, Y)
    assert model.score(taught, hide(Y, -1)) == model.score(X, hide(Y, -1))


# Numbers in tables


def table(**columns):
    return pd.DataFrame(
        {
            "estimator": "student",
            "strategy": ["margin"] * 4 + ["random"] * 4,
            "seed": [0, 0, 1, 1] * 2,
            "round": [0, 1] * 4,
            "n_labels": [5, 10] * 4,
            "score": [0.5, 0.7, 0.6, 0.8, 0.4, 0.6, 0.5, 0.7],
            **columns,
        }
    )


FIGURES = {
    "labels_to_reach": lambda results: labels_to_reach(results, [0.5, 0.7]),
    "area_under_curve": area_under_curve,
    "value_report": lambda results: value_report(results, targets=0.6).labels,
    "value_report targets": lambda results: value_report(results).labels,
    "rank_table": rank_table,
    "summarize": lambda results: pd.concat(summarize(results)),
}


@pytest.mark.parametrize("name", FIGURES)
def test_numbers_as_text_are_refused(name):
    columns = [] if name == "rank_table" else ["n_labels"]
    for column in [*columns, "score"]:
        text = table()
        text[column] = text[column].astype(str)
        with pytest.raises(ValueError, match=rf"row 0 .* for {column}, .*pandas.to_numeric"):
            FIGURES[name](text)
    if name.startswith("value_report"):
        text = table().assign(round=["9", "10"] * 4)
        with pytest.raises(ValueError, match=r"row 0 .* for round, .*pandas.to_numeric"):
            FIGURES[name](text)


@pytest.mark.parametrize("name", FIGURES)
def test_tables_of_every_dtype_give_the_same_figures(name):
    expected = FIGURES[name](table())
    whole = dict.fromkeys(("seed", "round", "n_labels"), "Int64")
    for dtypes in (
        {**whole, "score": "Float64"},
        {"estimator": "category", "strategy": "category", "seed": "category"},
        {"estimator": "string", "strategy": "string"},
        dict.fromkeys(("n_labels", "score"), object),
        {"n_labels": np.float32, "seed": np.int8},
    ):
        found = FIGURES[name](table().astype(dtypes))
        pd.testing.assert_frame_equal(
            found, expected, check_dtype=False, check_index_type=False, check_column_type=False
        )


def test_missing_figures_are_named():
    for column in ("n_labels", "score"):
        gap = table().astype({column: "Float64"})
        gap.loc[3, column] = pd.NA
        with pytest.raises(ValueError, match=f"row 3 of results has .*{column}"):
            labels_to_reach(gap, 0.5)
    for targets in ("0.5", ["a"], [], np.nan, [[0.5]]):
        with pytest.raises(ValueError, match="targets must be one or more scores"):
            labels_to_reach(table(), targets)
    with pytest.raises(TypeError, match=r"results must be a pandas.DataFrame"):
        labels_to_reach(table().to_dict(), 0.5)
