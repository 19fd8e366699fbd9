"""Any call of any public name: right, or an error that names the argument.

Each call starts from good arguments, of which up to three are given in another form (a list, a
tensor, a frame with an odd index ...), which must not change the result, or as something else,
which must be noticed or be right. What a call returns is checked against figures that are computed
here, by other means.

SKACTIVEKD_CALLS=10000 pytest tests/test_any_call.py makes 10,000 calls, shared among the names, in
some three minutes; the same calls each time, as hypothesis is derandomized.
"""

import inspect
import os
import pkgutil
import re
import tempfile
import traceback
import warnings
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_values import EQUAL, ODD
from scipy import sparse
from skactiveml.pool import TypiClust
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

import skactivekd
from skactivekd import (
    CLAPTeacher,
    DHOClassifier,
    DHONet,
    Embedder,
    EmbeddingCache,
    LabeledOnly,
    LabeledStratifiedKFold,
    LabelEfficiencyDisplay,
    LabelingSession,
    TeacherProba,
    TipAdapterTeacher,
    ZeroShotTeacher,
    app,
    area_under_curve,
    k_center_greedy,
    labeled_accuracy,
    labels_to_reach,
    load_glyph_digits,
    query,
    rank_table,
    simulate,
    teacher_report,
    tidy_classes,
    to_skactiveml,
    value_report,
)
from skactivekd.inspection import prediction_clusters
from skactivekd.metrics import (
    best_logit_scale,
    best_temperature,
    expected_calibration_error,
    reliability_curve,
)
from skactivekd.metrics._ranks import places
from skactivekd.modal import ActiveLearner
from skactivekd.student import (
    DHOLoss,
    DualHead,
    RowDataset,
    WarmupDecay,
    dho_loss,
    gradient_cosine,
    mix_heads,
)
from skactivekd.teacher import (
    TransductiveTeacher,
    clap_loss,
    class_prompts,
    embed_classes,
    list_prompt_templates,
    prompt_templates,
    tidy_name,
    tip_adapter_logits,
)
from skactivekd.utils import estimator_checks

# By default a few of each in some ten seconds.
CALLS_IN_ALL = int(os.environ.get("SKACTIVEKD_CALLS", 240))
quick = settings(
    deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)
pytestmark = pytest.mark.filterwarnings("ignore")

# Good arguments: three groups far from each other; all numbers have few digits, so that float16
# and bfloat16 hold them.
N = 18
RNG = np.random.RandomState(0)
CODES = np.arange(N) % 3
X = T_X = 4.0 * np.eye(3)[CODES] + RNG.randint(-2, 3, (N, 3)) / 4
PROBA = 0.0625 + 0.8125 * np.eye(3)[CODES]
PROBA[:, 0] += 1 - PROBA.sum(axis=1)
Y = np.where(np.arange(N) < 9, CODES, -1)
NAMES = np.array(["ant", "bee", "cat"])
WEIGHT = 1 + np.arange(N) % 4 / 4
CANDIDATES = np.arange(10, 16)
MODEL = LogisticRegression().fit(X, CODES)
UNIT = (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)
RESULTS = pd.DataFrame(
    [
        (estimator, strategy, seed, turn, 5 + 5 * turn, 0.5 + 0.125 * turn + 0.0625 * seed)
        for estimator in ("student", "no distillation")
        for strategy in ("margin", "random")
        for seed in (0, 1)
        for turn in (0, 1, 2)
    ],
    columns=["estimator", "strategy", "seed", "round", "n_labels", "score"],
)
RESULTS.loc[RESULTS["strategy"] == "margin", "score"] += 0.03125


class Encoder:
    """Embeds a row of three numbers as its direction, and the names as the axes."""

    def __init__(self):
        self.cache = None

    def encode_image(self, X):
        rows = np.asarray(X, dtype=np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def encode_text(self, texts):
        return np.eye(3, dtype=np.float32)[[self._axis(text) for text in texts]]

    def _axis(self, text):
        found = [axis for axis, name in enumerate(NAMES) if name in text]
        return found[0] if found else len(text) % 3


class Call(NamedTuple):
    """How a public name is called.

    Attributes
    ----------
    run : function of the arguments
        What it returns is checked.
    base : dict
        Good arguments.
    kinds : dict
        The kind of each argument that is varied.
    check : function of the result, the good result and the arguments
    numbers : function of a result
        To an array, or a list of these, by which results are compared.
    words : dict
        For an argument what else a message may call it.
    without : sequence of (argument, name of a form)
        What is not tried, each with its reason.
    """

    run: callable
    base: dict
    kinds: dict
    check: callable = lambda result, good, args: None
    numbers: callable = None
    words: dict = {}
    without: tuple = ()


CALLS = {}


def add(name, run, base, kinds, check=None, numbers=None, words=(), without=()):
    kinds = {**{key: "scalar" for key in base if key not in kinds}, **kinds}
    kinds = {key: kind for key, kind in kinds.items() if kind is not None}
    words = {"X": ("rows", "predict_proba"), "y": ("labels",), **dict(words)}
    check = check or (lambda result, good, args: None)
    CALLS[name] = Call(run, base, kinds, check, numbers, words, tuple(without))


# What results are checked by


def is_marker(value, marker):
    """Tell whether an entry of y is the marker, as a person would."""
    if marker is None or isinstance(marker, str):
        return value is None if marker is None else isinstance(value, str) and value == marker
    if pd.isna(marker):
        return value is not None and not isinstance(value, str) and bool(pd.isna(value))
    return not isinstance(value, str) and value is not None and bool(value == marker)


def read_labels(y, marker):
    """Return the labels, and which are there, in plain Python."""
    if isinstance(y, torch.Tensor):
        y = y.tolist()
    elif hasattr(y, "to_numpy") or hasattr(y, "__array__"):
        y = np.asarray(y).ravel().tolist()
    y = list(y)
    return y, [not is_marker(value, marker) for value in y]


def check_rows_of_proba(proba, n=None, n_classes=None, atol=1e-5):
    proba = np.asarray(proba, dtype=float)
    assert np.isfinite(proba).all()
    assert proba.min() >= 0
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=atol)
    assert n is None or len(proba) == n
    assert n_classes is None or proba.shape[1] == n_classes


def check_classes_of(found, y, marker, declared=None):
    """Classes are sorted, and those declared, or those of y."""
    classes = list(np.asarray(found).tolist())
    assert classes == sorted(set(classes))
    for label in classes:
        assert label is not None
        assert label != ""
        assert not pd.isna(label)
    labels, known = read_labels(y, marker)
    present = {label for label, there in zip(labels, known, strict=True) if there}
    assert present <= set(classes)
    if declared is not None:
        assert set(classes) == set(declared)
    elif present:
        assert set(classes) == present or not isinstance(classes[0], str)
    return labels, known


def accuracy_of(predicted, y, marker, weight=None):
    labels, known = read_labels(y, marker)
    weight = 1 if weight is None else np.asarray(weight, dtype=float).ravel()
    weight = np.broadcast_to(weight, len(labels))
    right = [guess == label for guess, label in zip(list(predicted), labels, strict=True)]
    return np.average(np.array(right)[known], weights=weight[known])


def dense(X):
    """Return rows as a dense array, whatever holds them."""
    if sparse.issparse(X):
        return X.toarray()
    if isinstance(X, torch.Tensor):
        X = X.detach().double()
    return np.asarray(X.detach() if isinstance(X, torch.Tensor) else X, dtype=float)


# The student

PARAMS = {
    "heads": "residual", "distill_weight": "auto", "temperature": 2.0, "alpha": 0.5, "beta": 1.0,
    "class_weight": None, "missing_label": -1, "reuse": True, "warm_start": False,
    "random_state": 0, "device": "cpu",
}  # fmt: skip


def student(**params):
    net = params.pop("net", None)
    net = DHONet(max_epochs=1, module__hidden=4) if net is None else net
    return DHOClassifier(net, **{"random_state": 0, "device": "cpu", **params})


def fit_student(X, y, teacher_proba, sample_weight, classes, **params):
    classifier = student(classes=classes, **params)
    return classifier.fit(X, y, teacher_proba=teacher_proba, sample_weight=sample_weight)


def check_student(fitted, good, args):
    marker, classes = args.get("missing_label", -1), args.get("classes")
    declared = None if classes is None else np.asarray(list(classes)).ravel().tolist()
    check_classes_of(fitted.classes_, args["y"], marker, declared)
    rows = args["X"]
    residual = fitted.heads == "residual"
    proba = fitted.predict_proba(rows)
    check_rows_of_proba(proba, len(args["y"]), len(fitted.classes_))
    np.testing.assert_array_equal(fitted.predict(rows), fitted.classes_[proba.argmax(axis=1)])
    plain = all(
        args[name] is good_args(name, args)
        for name in ("X", "sample_weight", "class_weight", "temperature", "heads", "alpha", "beta")
        if name in args
    )
    teacher = args.get("teacher_proba")
    if (
        plain
        and residual
        and teacher is not None
        and args.get("distill_weight") in ("auto", 1, 0.5)
    ):
        best = follow_teacher(teacher, fitted.classes_, classes)
        if best is not None and (dense(teacher).max(axis=1) > 0.6).all():
            labels, known = read_labels(args["y"], marker)
            expected = [
                label if there else guess
                for label, there, guess in zip(labels, known, best, strict=True)
            ]
            if all(map(np.array_equal, [expected], [best])):  # labels that agree with the teacher
                assert np.mean(proba.argmax(axis=1) == [
                    list(fitted.classes_).index(label) for label in best
                ]) > 0.8  # fmt: skip


def follow_teacher(teacher, found, declared):
    """Return the class that the teacher names for each row."""
    columns = getattr(teacher, "columns", None)
    if columns is not None:
        names = list(columns)
    elif declared is None:
        names = list(found)
    else:
        names = list(declared)
    proba = dense(teacher)
    return [names[column] for column in proba.argmax(axis=1)] if len(names) == 3 else None


def good_args(name, args):
    return args["__base__"].get(name)


def student_numbers(fitted):
    return [fitted.predict_proba(X), fitted.embed(X)]


FIT = {"X": X, "y": Y, "teacher_proba": PROBA, "sample_weight": None, "classes": None}
FIT_KINDS = {"X": "rows", "y": "labels", "teacher_proba": "proba"}
LABEL_WORDS = {
    "classes": ("classes", "missing_label", "y"),
    "missing_label": ("missing_label", "y"),
    "teacher_proba": ("teacher_proba", "The teacher", "teacher", "classes"),
    "random_state": ("random_state", "seed"),
}
FRAME_LABELS = (("teacher_proba", "frame"), ("teacher_proba", "nullable frame"))
add(
    "DHOClassifier.fit", fit_student, {**FIT, **PARAMS}, FIT_KINDS, check_student,
    student_numbers, LABEL_WORDS,
)  # fmt: skip
add(
    "DHOClassifier.fit, weighted", fit_student,
    {**FIT, **PARAMS, "sample_weight": WEIGHT, "classes": [0, 1, 2]},
    {**FIT_KINDS, "sample_weight": "vector", "classes": "classes"}, check_student,
    student_numbers, LABEL_WORDS,
)  # fmt: skip
add(
    "DHOClassifier.fit, names", fit_student,
    {
        **FIT, **PARAMS, "y": np.where(np.arange(N) < 9, NAMES[CODES], "?"),
        "teacher_proba": pd.DataFrame(PROBA, columns=NAMES), "missing_label": "?",
    },
    {**FIT_KINDS, "y": "names", "teacher_proba": "named proba"}, check_student,
    student_numbers, LABEL_WORDS,
)  # fmt: skip
add(
    "DHOClassifier.fit, no teacher", fit_student, {**FIT, **PARAMS, "teacher_proba": None},
    {"X": "rows", "y": "labels", "teacher_proba": None}, check_student, student_numbers,
    LABEL_WORDS,
)  # fmt: skip
add(
    "DHOClassifier.partial_fit",
    lambda X, y, teacher_proba, sample_weight, classes, **params: (
        student(**params)
        .fit(T_X, Y, PROBA)
        .partial_fit(X, y, classes=classes, teacher_proba=teacher_proba,
                     sample_weight=sample_weight)
    ),
    {**FIT, "sample_weight": WEIGHT, "classes": [0, 1, 2], "heads": "dual",
     "distill_weight": 0.5},
    {**FIT_KINDS, "sample_weight": "vector", "classes": "classes"}, check_student,
    student_numbers, LABEL_WORDS,
)  # fmt: skip
_FITTED = {}


def fitted(kind):
    """A fitted student or teacher, once."""
    if kind not in _FITTED:
        made = {
            "student": lambda: student().fit(X, Y, PROBA),
            "dual": lambda: student(heads="dual").fit(X, Y, PROBA),
            "labeled": lambda: LabeledOnly(GaussianNB()).fit(X, Y),
        }
        _FITTED[kind] = made[kind]()
    return _FITTED[kind]


def check_predictions(result, good, args):
    proba, both, features = result["proba"], result["both"], result["features"]
    check_rows_of_proba(proba, len(proba), 3)
    if args["head"] == "mixed":
        np.testing.assert_array_equal(both[0], proba)
    np.testing.assert_array_equal(both[1], features)


def predict_all(X, head):
    model = fitted("dual")
    return {
        "proba": model.predict_proba(X, head),
        "predicted": model.predict(X),
        "features": model.embed(X),
        "both": model.predict_proba_embed(X),
    }


add(
    "DHOClassifier.predict", predict_all, {"X": X, "head": "mixed"}, {"X": "rows"},
    check_predictions, lambda result: [result["proba"], result["features"]],
)  # fmt: skip


def check_score(result, good, args):
    score, predicted = result
    assert score == pytest.approx(
        accuracy_of(predicted, args["y"], args["missing_label"], args["sample_weight"])
    )


def score_by(kind):
    def run(X, y, sample_weight, missing_label):

        model = fitted(kind)
        if kind != "labeled":
            import copy

            model = copy.copy(model)
        else:
            model = copy_of(model)
        model.set_params(missing_label=missing_label)
        return model.score(X, y, sample_weight=sample_weight), model.predict(X)

    return run


def copy_of(model):
    import copy

    return copy.copy(model)


SCORE = {"X": X, "y": Y, "sample_weight": WEIGHT, "missing_label": -1}
SCORE_KINDS = {"X": "rows", "y": "labels", "sample_weight": "vector"}
for kind in ("student", "labeled"):
    add(f"score of {kind}", score_by(kind), SCORE, SCORE_KINDS, check_score,
        lambda result: [result[0]], LABEL_WORDS)  # fmt: skip
add(
    "labeled_accuracy",
    lambda X, y, sample_weight, missing_label: (
        labeled_accuracy(MODEL, X, y, sample_weight=sample_weight, missing_label=missing_label),
        MODEL.predict(X),
    ),
    SCORE, SCORE_KINDS, check_score, lambda result: [result[0]], LABEL_WORDS,
)  # fmt: skip


def fit_pipeline(teacher, X, y, missing_label, cache=None):
    pipe = make_pipeline(TeacherProba(teacher, cache=cache), student(missing_label=missing_label))
    return pipe.fit(X, y)


def by_row(rows):
    first = 1 / (2 + np.exp(-np.clip(dense(rows)[:, 0], -9, 9)))
    return np.column_stack([first, first / 2, 1 - 1.5 * first])


def check_pipeline(pipe, good, args):
    args = {**args, "teacher_proba": args["teacher"]}
    check_student(pipe[-1], good, args)


add(
    "TeacherProba", fit_pipeline, {"teacher": PROBA, "X": X, "y": Y, "missing_label": -1},
    {"teacher": "proba", "X": "rows", "y": "labels"}, check_pipeline,
    lambda pipe: [pipe.predict_proba(X)], LABEL_WORDS | {"teacher": ("teacher_proba",)},
    [("teacher", "function")],  # which fails in words of its own
)  # fmt: skip
add(
    "TeacherProba of a function",
    lambda answer, X, y: fit_pipeline(lambda X: answer, X, y, -1, cache=False),
    {"answer": PROBA, "X": X, "y": Y}, {"answer": "proba", "X": "rows", "y": "labels"},
    lambda pipe, good, args: check_pipeline(pipe, good, {**args, "teacher": args["answer"]}),
    lambda pipe: [pipe.predict_proba(X)],
    {"answer": ("teacher_proba", "teacher", "function", "The teacher")},
)  # fmt: skip
add(
    "TeacherProba of a function that is asked once",
    lambda X, y: fit_pipeline(by_row, X, y, -1),
    {"X": X, "y": Y}, {"X": "rows", "y": "labels"},
    lambda pipe, good, args: check_pipeline(pipe, good, {**args, "teacher": by_row(args["X"])}),
    lambda pipe: [pipe.predict_proba(X)],
)  # fmt: skip
add(
    "LabeledOnly",
    lambda estimator, classes, missing_label, X, y: LabeledOnly(
        estimator, classes, missing_label
    ).fit(X, y),
    {"estimator": GaussianNB(), "classes": [0, 1, 2], "missing_label": -1, "X": X, "y": Y},
    {"classes": "classes", "X": "rows", "y": "labels"},
    lambda model, good, args: (
        check_classes_of(model.classes_, args["y"], args["missing_label"], args["classes"]),
        args["X"] is args["__base__"]["X"]
        and check_rows_of_proba(model.predict_proba(args["X"]), N, len(model.classes_)),
    ),
    lambda model: [model.predict_proba(X)], LABEL_WORDS,
)  # fmt: skip

# Strategies

POOL, LABELED = slice(9, None), slice(None, 9)
SIMPLE = ["Entropy", "LeastConfidence", "Margin", "PCoreSet"]


def check_picks(picks, n_instances, allowed):
    picks = np.asarray(picks)
    assert picks.dtype == np.int64
    assert len(set(picks.tolist())) == len(picks) == min(int(n_instances), len(allowed))
    assert set(picks.tolist()) <= set(allowed)


def made(name, params):
    return getattr(query, name)(**params)


def select_check(picks, good, args):
    pool = args.get("proba_pool", args.get("features_pool"))
    n_pool = pool.shape[0] if hasattr(pool, "shape") else len(pool)
    check_picks(picks, args["n_instances"], range(n_pool))


def own(name):
    """Parameters of a strategy, with good values."""
    known = {"random_state": 0, "device": "cpu", "metric": "cosine", "power": 1.0,
             "max_targets": 16384, "missing_label": -1}  # fmt: skip
    parameters = inspect.signature(getattr(query, name)).parameters
    return {key: known[key] for key in parameters if key in known}


def adder(name):
    params = own(name)

    def select(**args):
        mine = {key: args.pop(key) for key in params if key in args}
        return made(name, mine).select(**args)

    common = {**{key: value for key, value in params.items() if key != "missing_label"},
              "n_instances": 3}  # fmt: skip
    if name in SIMPLE:
        views = {"proba_pool": "proba", "proba_labeled": "proba"}
    elif name == "CoreSet":
        views = {"features_pool": "matrix", "features_labeled": "matrix"}
    elif name == "UncertaintyHerding":
        views = {"proba_pool": "proba", "features_pool": "matrix", "features_labeled": "matrix",
                 "candidates": "row numbers"}  # fmt: skip
    elif name == "Badge":
        views = {"proba_pool": "proba", "features_pool": "matrix"}
    elif name == "ClassBalanced":
        views = {"proba_pool": "proba", "y_labeled": "labels"}
    else:
        kinds = {"proba": "proba", "features": "matrix", "y": "labels"}
        views = {view: kinds[view.partition("_")[0]] for view in getattr(query, name).needs}
        views = views or {"features_pool": "matrix"}
    values = {
        "proba_pool": PROBA, "proba_labeled": PROBA[:4], "features_pool": X,
        "features_labeled": X[:4], "candidates": CANDIDATES, "y_labeled": CODES[:4],
    }  # fmt: skip
    base = {key: values[key] for key in views} | common
    words = {
        "proba_pool": ("pool",), "features_pool": ("pool",), "random_state": ("random_state",),
        "labeled": ("features_labeled",),
    }  # fmt: skip
    add(f"{name}.select", select, base, views,
        check_candidate_picks if "candidates" in views else select_check,
        lambda picks: [picks], words)  # fmt: skip

    def ask(X, y, estimator, n_instances, candidates, **mine):
        return made(name, mine).query(X, y, estimator, n_instances, candidates)

    base = {"X": X, "y": Y, "estimator": MODEL, "n_instances": 3, "candidates": CANDIDATES}
    add(f"{name}.query", ask, base | params,
        {"X": "sparse rows", "y": "labels", "candidates": "row numbers", "estimator": None},
        check_query, lambda picks: [picks],
        LABEL_WORDS | {"estimator": ("estimator", name)})  # fmt: skip

    def call(X_training, y_training, X_pool, n_instances, candidates, **mine):
        learner = SimpleNamespace(
            estimator=MODEL, X_training=X_training, y_training=y_training,
            predict_proba=MODEL.predict_proba,
        )  # fmt: skip
        picks = made(name, mine)(learner, X_pool, n_instances, candidates)
        return picks[0] if isinstance(picks, tuple) else picks

    base = {"X_training": X, "y_training": Y, "X_pool": X, "n_instances": 3,
            "candidates": CANDIDATES}  # fmt: skip
    words = {"X_training": ("X",), "y_training": ("y",), "X_pool": ("X", "pool"),
             "missing_label": ("missing_label", "y")}  # fmt: skip
    add(f"{name} for modAL", call, base | params,
        {"X_training": "sparse rows", "y_training": "labels", "X_pool": "sparse rows",
         "candidates": "row numbers"}, None, lambda picks: [picks], words)  # fmt: skip


def check_query(picks, good, args):
    _labels, known = read_labels(args["y"], args["missing_label"])
    free = set(np.flatnonzero(~np.array(known)).tolist())
    if args["candidates"] is not None:
        rows = np.asarray(args["candidates"])
        if all(isinstance(value, bool) for value in rows.tolist()):
            rows = np.flatnonzero(rows)
        free &= set(np.asarray(rows).astype(int).tolist())
    check_picks(picks, args["n_instances"], free)


def check_candidate_picks(picks, good, args):
    check_query(picks, good, {**args, "y": np.full(len(dense(args["proba_pool"])), -1),
                              "missing_label": -1})  # fmt: skip


KNOWN = [*SIMPLE, "CoreSet", "UncertaintyHerding", "Badge", "ClassBalanced", "Random"]
OTHERS = [  # new ones are called by themselves
    name
    for name, kind in vars(query).items()
    if inspect.isclass(kind) and issubclass(kind, query.QueryStrategy)
    and name not in (*KNOWN, "QueryStrategy", "FromSkactiveml")
]  # fmt: skip
for name in [*KNOWN, *OTHERS]:
    adder(name)


def check_centers(result, good, args):
    """Each pick is as far from all before it as any point is."""
    index, distances = result
    points = dense(args["points"])
    check_picks(index, args["n_select"], range(len(points)))
    if args["centers"] is None:
        return
    centers = dense(args["centers"])
    if not len(centers):
        return
    for pick, distance in zip(index, distances, strict=True):
        nearest = np.linalg.norm(points[:, None] - centers[None], axis=2).min(axis=1)
        assert distance == pytest.approx(nearest.max(), rel=1e-4, abs=1e-5)
        assert nearest[pick] == pytest.approx(nearest.max(), rel=1e-4, abs=1e-5)
        centers = np.concatenate([centers, points[pick : pick + 1]])


add(
    "k_center_greedy", k_center_greedy,
    {"points": X, "centers": X[:2] + 0.25, "n_select": 4, "device": "cpu", "block_size": None},
    {"points": "matrix", "centers": "matrix"}, check_centers, lambda result: [result[1]],
)  # fmt: skip


def play(X, y, X_test, y_test, missing_label, strategies, **params):
    return simulate(
        LabeledOnly(GaussianNB(), missing_label=missing_label), X, y, X_test=X_test,
        y_test=y_test, missing_label=missing_label, strategies=strategies, **params,
    )  # fmt: skip


def check_play(table, good, args):
    n_seeds = args["seeds"] if isinstance(args["seeds"], int | np.integer) else len(args["seeds"])
    assert len(table) == int(args["n_rounds"]) * int(n_seeds) * table["strategy"].nunique()
    assert table["score"].between(0, 1).all()
    labels, known = read_labels(args["y"], args["missing_label"])
    assert all(known)
    n_first = len(set(labels)) if args["n_initial"] is None else int(args["n_initial"])
    assert (table["n_labels"] == n_first + table["round"] * int(args["n_instances"])).all()


add(
    "simulate", play,
    {
        "X": X, "y": CODES, "X_test": X, "y_test": CODES, "strategies": [query.Margin()],
        "n_rounds": 2, "n_instances": 2, "n_initial": None, "seeds": 1, "scoring": None,
        "missing_label": -1, "n_jobs": None, "progress": False,
    },
    {"X": "rows", "y": "labels", "X_test": "rows", "y_test": "labels"}, check_play,
    lambda table: [table["score"], table["n_labels"]],
    {"missing_label": ("missing_label", "y"), "X_test": ("X", "rows", "predict_proba"),
     "y_test": ("y", "labels"),
     "seeds": ("seed",), "strategies": ("Strategy", "strategies", "strategy"),
     "y": ("y", "labels", "y_test"), "n_rounds": ("rounds",),
     "n_initial": ("rounds", "No row of y is labeled", "one class is too few"),
     "n_instances": ("labels",)},
)  # fmt: skip


def split(X, y, n_splits, shuffle, random_state, missing_label):
    cv = LabeledStratifiedKFold(
        n_splits, shuffle=shuffle, random_state=random_state, missing_label=missing_label
    )
    return list(cv.split(X, y))


def check_split(folds, good, args):
    labels, known = read_labels(args["y"], args["missing_label"])
    tests = np.concatenate([test for _, test in folds])
    assert sorted(tests.tolist()) == np.flatnonzero(known).tolist()
    for train, test in folds:
        assert sorted([*train.tolist(), *test.tolist()]) == list(range(len(labels)))
    assert len(folds) == int(args["n_splits"])


add(
    "LabeledStratifiedKFold", split,
    {"X": X, "y": Y, "n_splits": 3, "shuffle": True, "random_state": 0, "missing_label": -1},
    {"X": "rows", "y": "labels"}, check_split, lambda folds: [test for _, test in folds],
    {**LABEL_WORDS, "n_splits": ("n_splits", "folds")},
)  # fmt: skip

# Teachers

TEACHER = {
    "classes": NAMES.tolist(), "templates": ["a photo of a {}.", "the {}"], "logit_scale": 5.0,
    "missing_label": "?",
}  # fmt: skip
Y_NAMED = np.where(np.arange(N) < 9, NAMES[CODES], "?")
FEW = {
    ZeroShotTeacher: {},
    CLAPTeacher: {
        "weighting": "standard", "metric": "l2", "adaptive": False, "constraint_weight": 1.0,
        "lr": None, "momentum": 0.9, "max_epochs": 3, "batch_size": 256, "random_state": 0,
        "device": "cpu",
    },
    TipAdapterTeacher: {
        "alpha": None, "beta": None, "fine_tune": True, "lr": 0.001, "max_epochs": 2,
        "batch_size": 256, "random_state": 0, "device": "cpu",
    },
}  # fmt: skip


def check_teacher(result, good, args):
    teacher, score = result
    proba = teacher.predict_proba(X)
    check_rows_of_proba(proba, N, len(teacher.classes_))
    if not isinstance(teacher, ZeroShotTeacher):  # which reads no labels
        check_classes_of(teacher.classes_, args["y"], args["missing_label"], list(args["classes"]))
    if good_args("classes", args) is args["classes"]:
        best = np.asarray(teacher.classes_)[proba.argmax(axis=1)]
        assert (best == NAMES[CODES]).mean() > 0.8
    if args["X"] is not args["__base__"]["X"]:
        return
    predicted = teacher.predict(args["X"])
    assert score == pytest.approx(accuracy_of(predicted, args["y"], args["missing_label"]))


def teach(kind):
    def run(X, y, **params):
        teacher = kind(Encoder(), **params).fit(X, y)
        return teacher, teacher.score(X, y)

    return run


for kind, params in FEW.items():
    add(
        kind.__name__, teach(kind), {"X": X, "y": Y_NAMED, **TEACHER, **params},
        {
            "X": "encoded", "y": "names", "classes": "classes", "templates": "texts",
            **({"max_epochs": "count"} if "max_epochs" in params else {}),
        },
        check_teacher, lambda result: [result[0].predict_proba(X), result[1]],
        {**LABEL_WORDS, "templates": ("template", "prompt", "prompts"),
         "classes": ("class", "classes", "missing_label", "y")},
    )  # fmt: skip


def teach_by_pool(X, y, weight, max_iter, **params):
    teacher = TransductiveTeacher(
        ZeroShotTeacher(Encoder(), **params), weight=weight, max_iter=max_iter
    ).fit(X, y)
    return teacher, teacher.score(X, y)


add(
    "TransductiveTeacher", teach_by_pool,
    {"X": X, "y": Y_NAMED, **TEACHER, "weight": 1.0, "max_iter": 2},
    {
        "X": "encoded", "y": "names", "weight": "scalar", "max_iter": "count",
    },
    check_teacher, lambda result: [result[0].predict_proba(X), result[1]],
    {**LABEL_WORDS, "templates": ("template", "prompt", "prompts"),
     "classes": ("class", "classes", "missing_label", "y")},
)  # fmt: skip
add(
    "Embedder", lambda X: Embedder(Encoder()).fit_transform(X), {"X": X}, {"X": "encoded"},
    None, lambda rows: [rows],
)  # fmt: skip


def check_report(report, good, args):
    if args["y"] is None:
        return
    labels, known = read_labels(args["y"], args["missing_label"])
    if good_args("teacher", args) is args["teacher"]:
        best = PROBA.argmax(axis=1)
        expected = np.mean([best[row] == labels[row] for row in np.flatnonzero(known)])
        if args["classes"] is args["__base__"]["classes"] and any(known):
            assert report.accuracy == pytest.approx(expected)


add(
    "teacher_report", teacher_report,
    {
        "teacher": PROBA, "X": None, "y": Y, "classes": [0, 1, 2], "missing_label": -1,
        "cv": None, "n_clusters": 3, "n_bins": 10, "confidence_level": 0.95, "random_state": 0,
    },
    {"teacher": "proba", "y": "labels", "classes": "classes", "X": None}, check_report,
    lambda report: [report.to_frame().select_dtypes("number").to_numpy(dtype=float)],
    {**LABEL_WORDS, "n_clusters": ("clusters", "n_clusters"),
     "teacher": ("teacher", "X", "classes", "y")},
)  # fmt: skip
COLUMNS = CODES[:9]
CALIBRATION = ({"proba": PROBA[:9], "y": COLUMNS}, {"proba": "proba", "y": "labels"})
add(
    "best_temperature", best_temperature, {**CALIBRATION[0], "n_prior": 10.0}, CALIBRATION[1],
    lambda value, good, args: check_range(value, 1e-4, 1e4), lambda value: [value],
)  # fmt: skip
add(
    "best_logit_scale", best_logit_scale,
    {"similarities": UNIT[:9].astype(float).round(2), "y": COLUMNS, "default": 100.0,
     "n_prior": 10.0},
    {"similarities": None, "y": "labels"},
    lambda value, good, args: check_range(value, 1e-9, np.inf), lambda value: [value],
)  # fmt: skip
add(
    "best_logit_scale, similarities", best_logit_scale,
    {"similarities": PROBA[:9], "y": COLUMNS}, {"similarities": "proba", "y": None},
    lambda value, good, args: check_range(value, 1e-9, np.inf), lambda value: [value],
)  # fmt: skip
add(
    "reliability_curve", reliability_curve,
    {**CALIBRATION[0], "n_bins": 10, "confidence_level": 0.95}, CALIBRATION[1],
    lambda curve, good, args: check_curve(curve, args), lambda curve: [curve.to_numpy()],
)  # fmt: skip
add(
    "expected_calibration_error", expected_calibration_error, {**CALIBRATION[0], "n_bins": 10},
    CALIBRATION[1], lambda value, good, args: check_range(value, 0, 1), lambda value: [value],
)  # fmt: skip
LABELED_ROWS = Y >= 0
add(
    "prediction_clusters", prediction_clusters,
    {"proba": PROBA, "labeled": LABELED_ROWS, "n_clusters": 3, "n_shuffles": 2,
     "random_state": 0},
    {"proba": "proba", "labeled": "mask", "n_shuffles": "count"},
    lambda found, good, args: check_clusters(found, args),
    lambda found: [found.mean_radius, found.coverage, found.table.to_numpy()],
    {"n_clusters": ("clusters", "n_clusters"), "proba": ("proba", "rows")},
)  # fmt: skip


def check_range(value, low, high):
    assert isinstance(value, float)
    assert low <= value <= high


def check_curve(curve, args):
    assert curve["n"].sum() == len(read_labels(args["y"], -1)[0])
    assert curve["accuracy"].between(0, 1).all()
    if not 0 < args["confidence_level"] < 1:
        return
    assert (curve["low"] <= curve["accuracy"] + 1e-9).all()
    assert (curve["high"] >= curve["accuracy"] - 1e-9).all()


def check_clusters(found, args):
    assert found.table["n"].sum() == len(found.labels)
    assert found.table["n_labeled"].le(found.table["n"]).all()
    if args["labeled"] is not None:
        assert found.table["n_labeled"].sum() == sum(map(bool, list(args["labeled"])))
    assert np.isfinite(found.mean_radius)
    assert np.isfinite(found.control_radius)


PROMPTS = {"names": NAMES.tolist(), "templates": ["a photo of a {}.", "the {}"], "labels": None}


def check_prompts(prompts, good, args):
    assert len(prompts) == len(list(args["names"]))
    assert all(isinstance(text, str) and text for texts in prompts for text in texts)


add(
    "class_prompts", class_prompts, PROMPTS, {"names": "texts", "templates": "texts"},
    check_prompts, None, {"templates": ("template", "prompt", "label"), "labels": ("label",),
                          "names": ("names", "name", "class", "labels")},
)  # fmt: skip
add(
    "class_prompts, labels", class_prompts, {**PROMPTS, "labels": [3, 1, 2]},
    {"names": "texts", "templates": "texts", "labels": "classes"}, check_prompts, None,
    {"templates": ("template", "prompt", "label"), "labels": ("label",),
     "names": ("names", "name", "class")},
)  # fmt: skip
add(
    "embed_classes", lambda **args: embed_classes(Encoder(), **args), PROMPTS,
    {"names": "texts", "templates": "texts"},
    lambda rows, good, args: np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5),
    lambda rows: [rows],
    {"templates": ("template", "prompt", "prompts", "label"), "labels": ("label",),
     "names": ("names", "name", "class", "labels")},
)  # fmt: skip
add(
    "tidy_classes", tidy_classes, {"classes": NAMES.tolist(), "year_first": False},
    {"classes": "classes"},
    lambda tidy, good, args: check_tidy(tidy, args), None, {"classes": ("name", "class")},
)  # fmt: skip
add(
    "tidy_name", tidy_name, {"name": "Boeing_737", "year_first": True}, {},
    lambda name, good, args: check_text(name),
)  # fmt: skip
add(
    "prompt_templates", prompt_templates, {"name": "food101"}, {},
    lambda texts, good, args: [check_text(text) for text in texts],
    None, {"name": ("templates",)},
)  # fmt: skip
add("list_prompt_templates", list_prompt_templates, {}, {})


def check_tidy(tidy, args):
    assert list(tidy) == list(args["classes"])
    for name in tidy.values():
        check_text(name)


def check_text(text):
    assert isinstance(text, str)
    assert text


# Tables of scores

for function in (area_under_curve, labels_to_reach, rank_table, places, value_report):
    more = {
        area_under_curve: {"method": ("estimator", "strategy")},
        labels_to_reach: {"targets": [0.6, 0.7], "method": ("estimator", "strategy")},
        rank_table: {"settings": ("estimator", "round"), "competitor": "strategy"},
        places: {"settings": ("estimator", "round"), "competitor": "strategy"},
        value_report: {"targets": [0.6, 0.7], "baseline": None, "random": "random"},
    }[function]
    add(
        function.__name__,
        (lambda **args: (report := value_report(**args), str(report)))
        if function is value_report else function,
        {"results": RESULTS, **more}, {"results": "table"},
        lambda table, good, args: check_table(table, args),
        lambda table: sorted_numbers(table),
        {"results": ("results", "row", "round", "strategy", "estimator", "seed", "column"),
         "random": ("strategy", "random"), "settings": ("settings", "column"),
         "competitor": ("competitor", "column"), "method": ("method", "column")},
    )  # fmt: skip


def check_table(table, args):
    table = table[0].gains if isinstance(table, tuple) else table
    for name in ("area", "score", "mean_rank"):
        if name in table:
            assert np.isfinite(table[name].to_numpy(dtype=float)).all()
    if "area" in table:
        scores = args["results"]["score"].astype(float)
        assert table["area"].between(scores.min() - 1e-9, scores.max() + 1e-9).all()


def sorted_numbers(table):
    table = table[0].gains if isinstance(table, tuple) else table
    names = [name for name in table if name not in ("estimator", "strategy", "verdict")]
    table = table[
        [name for name in names if pd.api.types.is_numeric_dtype(table[name].infer_objects())]
    ]
    table = table.to_numpy(dtype=float)
    return [np.sort(np.nan_to_num(table, posinf=-7), axis=0)]


def plot(**args):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    axes = plt.figure().subplots()
    try:
        return pd.concat(LabelEfficiencyDisplay.from_results(**args, ax=axes).curves)
    finally:
        plt.close("all")


add(
    "LabelEfficiencyDisplay", plot,
    {"results": RESULTS, "baselines": {"teacher": 0.5}, "score_name": "accuracy"},
    {"results": "table"}, None, sorted_numbers,
    {"results": ("results", "row", "round", "strategy", "estimator", "seed", "column"),
     "baselines": ("baseline",)},
)  # fmt: skip

# Tensors and arrays

LOGITS = torch.from_numpy(X[:6]).float()
TARGETS = torch.tensor([0, 1, 2, -1, -1, -1])
SOFT = torch.from_numpy(PROBA[:6]).float()
W = torch.eye(3)


def check_loss(loss, good, args):
    """Of good tensors it is finite; of others nan says enough."""
    assert loss.ndim == 0
    same = all(args[name] is value for name, value in args["__base__"].items() if
               isinstance(value, torch.Tensor))  # fmt: skip
    assert not same or torch.isfinite(loss)


LOSS = {
    "ce_logits": LOGITS, "kd_logits": LOGITS / 2, "y": TARGETS, "teacher_proba": SOFT,
    "distill_weight": 0.5, "temperature": 2.0, "sample_weight": torch.ones(6),
    "teacher_weight": torch.ones(6),
}  # fmt: skip
# Of two that do not fit, the error names the other.
FIT_TOGETHER = {
    "ce_logits": ("kd_logits", "y"), "prototypes": ("anchors", "features"),
    "features": ("targets",),
    "class_embeddings": ("values", "keys"), "keys": ("values",),
}  # fmt: skip
TENSORS = ["ce_logits", "kd_logits", "y", "teacher_proba", "sample_weight", "teacher_weight"]
add(
    "dho_loss", dho_loss, LOSS,
    {name: "vector tensor" if LOSS[name].ndim == 1 else "tensor" for name in TENSORS},
    check_loss, None, FIT_TOGETHER,
)  # fmt: skip
add(
    "DHOLoss",
    lambda ce_logits, kd_logits, y, distill_weight, temperature: DHOLoss(
        distill_weight, temperature
    )((ce_logits, kd_logits), y, SOFT),
    {name: LOSS[name] for name in ("ce_logits", "kd_logits", "y", "distill_weight",
                                   "temperature")},
    {"ce_logits": "tensor", "kd_logits": "tensor", "y": "vector tensor"}, check_loss, None,
    FIT_TOGETHER,
)  # fmt: skip
add(
    "mix_heads", mix_heads,
    {"ce_logits": LOGITS, "kd_logits": LOGITS / 2, "alpha": 0.5, "beta": 1.0},
    {"ce_logits": "tensor", "kd_logits": "tensor"},
    lambda proba, good, args: check_mixture(proba, args), None, FIT_TOGETHER,
)  # fmt: skip


def check_mixture(proba, args):
    if all(torch.isfinite(args[name]).all() for name in ("ce_logits", "kd_logits")):
        check_rows_of_proba(proba.detach().double(), atol=1e-2)


UNITS = torch.from_numpy(UNIT[:6])
add(
    "clap_loss", clap_loss,
    {"prototypes": W, "anchors": W, "multipliers": torch.ones(3), "features": UNITS,
     "targets": TARGETS.clamp(min=0), "logit_scale": 5.0, "metric": "l2"},
    {"prototypes": "tensor", "anchors": "tensor", "multipliers": "vector tensor",
     "features": "tensor", "targets": "vector tensor"},
    check_loss, None, FIT_TOGETHER,
)  # fmt: skip
add(
    "tip_adapter_logits", tip_adapter_logits,
    {"features": UNITS, "class_embeddings": W, "keys": W, "values": W, "alpha": 1.0,
     "beta": 1.0, "logit_scale": 5.0},
    {"features": "tensor", "class_embeddings": "tensor", "keys": "tensor", "values": "tensor"},
    lambda logits, good, args: check_logits(logits, args), None, FIT_TOGETHER,
)  # fmt: skip


def check_logits(logits, args):
    assert logits.ndim == 2
    same = all(args[name] is value for name, value in args["__base__"].items())
    assert not same or torch.isfinite(logits).all()


def cosine(scale, parameters):
    weight = torch.tensor([3.0, 4.0], requires_grad=True)
    return gradient_cosine(scale * weight.sum(), weight[0], [weight])


add(
    "DualHead",
    lambda features, weights, kd_scale, n_features, n_classes, shared: DualHead(
        n_features, n_classes, shared, weights, kd_scale
    )(features),
    {"features": LOGITS, "weights": np.eye(4, 3), "kd_scale": None, "n_features": 3,
     "n_classes": 4, "shared": False},
    {"weights": "matrix", "features": None},
    lambda logits, good, args: check_logits(logits[0], args),
    lambda logits: [logits[0].detach()],
    without=[("weights", form) for form in ("csr", "csc", "coo", "lil", "dok", "bsr",
                                            "csr_matrix")],
)  # fmt: skip


def batch(X, y, teacher_proba, columns, sample_weight, teacher_weight):
    rows = RowDataset(
        X, y, teacher_proba, columns=columns, sample_weight=sample_weight,
        teacher_weight=teacher_weight,
    )  # fmt: skip
    return rows.__getitems__([0, 2])


def check_batch(found, good, args):
    rows, _y = found
    assert rows["X"].dtype == torch.float32
    assert args["X"] is not args["__base__"]["X"] or torch.isfinite(rows["X"]).all()
    if args["teacher_proba"] is args["__base__"]["teacher_proba"]:
        assert torch.isfinite(rows["teacher_proba"]).all()


add(
    "RowDataset", batch,
    {"X": X, "y": Y, "teacher_proba": PROBA, "columns": [2, 1, -1], "sample_weight": WEIGHT,
     "teacher_weight": WEIGHT},
    {"X": "array", "y": "labels", "teacher_proba": "array", "columns": "columns",
     "sample_weight": "vector", "teacher_weight": "vector"},
    check_batch, lambda found: [found[0]["X"], found[0]["teacher_proba"], found[1]],
    words={"teacher_proba": ("teacher",)},
)  # fmt: skip


# What is no array


def cached(max_bytes, dtype):
    cache = EmbeddingCache(max_bytes=max_bytes, dtype=dtype)
    encoder = Encoder()
    encoder.cache = cache
    teacher = ZeroShotTeacher(encoder, NAMES.tolist(), logit_scale=5.0).fit()
    return teacher.predict_proba(X)


add(
    "EmbeddingCache", cached, {"max_bytes": None, "dtype": "float32"}, {},
    lambda proba, good, args: np.testing.assert_allclose(proba, good, atol=1e-2),
)  # fmt: skip


def roundtrip(overwrite, scores, modules):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        skactivekd.save(fitted("dual"), path, overwrite=overwrite, scores=scores, modules=modules)
        return skactivekd.load(path).predict_proba(X)


add(
    "save and load", roundtrip, {"overwrite": False, "scores": {"accuracy": 0.5},
                                 "modules": None}, {},
    lambda proba, good, args: np.testing.assert_allclose(proba, good, atol=1e-6),
)  # fmt: skip
add(
    "to_skactiveml",
    lambda X, y, candidates, batch_size, missing_label: to_skactiveml(
        query.CoreSet(device="cpu"), missing_label=missing_label
    ).query(X, y, candidates=candidates, batch_size=batch_size),
    {"X": X, "y": np.where(Y < 0, np.nan, Y), "candidates": None, "batch_size": 2,
     "missing_label": np.nan},
    {"X": None, "y": None, "candidates": None, "batch_size": "count"},
    lambda picks, good, args: check_picks(picks, args["batch_size"], range(9, 18)),
)  # fmt: skip
add(
    "load_glyph_digits", load_glyph_digits, {"return_X_y": True}, {},
)  # fmt: skip


def learn(X_training, y_training, X_new, y_new, missing_label):
    learner = ActiveLearner(
        LabeledOnly(GaussianNB(), [0, 1, 2], missing_label=missing_label),
        query.Margin(missing_label=missing_label),
        X_training=X_training,
        y_training=y_training,
    )
    learner.teach(X_new, y_new)
    return learner


def check_learner(learner, good, args):
    check_rows_of_proba(learner.predict_proba(X), N, 3)


add(
    "ActiveLearner", learn,
    {"X_training": X, "y_training": Y, "X_new": X[9:12], "y_new": CODES[9:12],
     "missing_label": -1},
    {"X_training": "rows", "y_training": "labels", "X_new": "rows", "y_new": "labels"},
    check_learner, lambda learner: [learner.predict_proba(X)],
    {"X_training": ("X",), "y_training": ("y",), "X_new": ("X",), "y_new": ("y",),
     "missing_label": ("missing_label", "y")},
)  # fmt: skip


def sit(X, y, classes, missing_label, audit, overlap, random_state, n, seconds):
    """Open a session, answer what it asks, and fit on what is known."""
    with tempfile.TemporaryDirectory() as folder:
        session = LabelingSession(
            LabeledOnly(GaussianNB(), missing_label=missing_label), X,
            journal=Path(folder) / "labels.sqlite", strategy=query.Margin(), classes=classes,
            y=y, missing_label=missing_label, audit=audit, overlap=overlap,
            random_state=random_state,
        )  # fmt: skip
        asked = session.ask(n)
        for question in asked:
            session.tell(question, session.classes[CODES[question.index]], seconds=seconds)
        model = session.fit().model
        found = session.y, session.classes, asked, model and model.predict_proba(session.X)
        session.close()
        return found


def check_sitting(result, good, args):
    y, classes, asked, proba = result
    assert classes == list(args["classes"])
    picks = [question.index for question in asked]
    assert len(set(picks)) == len(picks) == int(args["n"])
    labels, known = read_labels(args["y"], args["missing_label"])
    _, now = read_labels(y, args["missing_label"])
    assert set(np.flatnonzero(known)) <= set(np.flatnonzero(now))
    assert set(picks) <= set(np.flatnonzero(now))
    for row in np.flatnonzero(known):
        assert y[row] == labels[row]
    assert proba is None or check_rows_of_proba(proba, N, 3) is None


add(
    "LabelingSession", sit,
    {"X": X, "y": Y, "classes": [0, 1, 2], "missing_label": -1, "audit": 0.1, "overlap": 0.0,
     "random_state": 0, "n": 2, "seconds": 1.5},
    {"X": "rows", "y": "labels", "classes": "classes", "n": "count"}, check_sitting,
    lambda result: [result[3]],
    {**LABEL_WORDS, "classes": ("class", "classes", "missing_label", "y"),
     "y": ("y", "labels", "classes"), "X": ("X", "rows", "Row", "predict_proba")},
)  # fmt: skip
add(
    "FromSkactiveml",
    lambda X, y, candidates, n_instances, missing_label, random_state: query.FromSkactiveml(
        TypiClust(), random_state=random_state, missing_label=missing_label
    ).query(X, y, None, n_instances, candidates),
    {"X": X, "y": Y, "candidates": CANDIDATES, "n_instances": 2, "missing_label": -1,
     "random_state": 0},
    {"X": "rows", "y": "labels", "candidates": "row numbers"}, check_query,
    lambda picks: [picks], LABEL_WORDS,
)  # fmt: skip
add(
    "WarmupDecay",
    lambda warmup, shape, X, y: student(
        net=DHONet(max_epochs=1, module__hidden=4, callbacks=[("rate", WarmupDecay(warmup, shape))])
    ).fit(X, y, PROBA),
    {"warmup": 0.1, "shape": "linear", "X": X, "y": Y}, {"X": None, "y": None},
    lambda model, good, args: check_rows_of_proba(model.predict_proba(T_X), N, 3),
)  # fmt: skip
add(
    "TeacherProba with a cache",
    lambda X, y, cache, batch_size: make_pipeline(
        TeacherProba(by_row, cache=cache, batch_size=batch_size), student()
    ).fit(X, y),
    {"X": X, "y": Y, "cache": EmbeddingCache(), "batch_size": 4}, {"X": "rows", "y": "labels"},
    lambda pipe, good, args: check_pipeline(pipe, good, {**args, "teacher": by_row(args["X"])}),
    lambda pipe: [pipe.predict_proba(X)],
)  # fmt: skip


def show_all(items):
    rows = next(rows for rows in vars(items).values() if hasattr(rows, "__len__"))
    return [items.show(row) for row in range(len(rows))]


for items in (app.Texts, app.TableRows, app.ImageArrays):
    good = {
        app.Texts: {"texts": NAMES.tolist()},
        app.TableRows: {"table": pd.DataFrame(X), "columns": None},
        app.ImageArrays: {"images": np.zeros((3, 4, 4), np.uint8)},
    }[items]
    add(
        items.__name__, lambda items=items, **args: show_all(items(**args)), good,
        {name: "texts" if name == "texts" else None for name in good if name != "columns"},
        lambda shown, good, args: check_text(str(shown)),
    )  # fmt: skip

# Kinds made of others


def named_forms(forms):
    return {name: lambda v, form=form: form(v[NAMES].to_numpy()) for name, form in forms.items()}


EQUAL["named proba"] = {
    "turned": lambda v: v[NAMES[::-1]],
    "odd index": lambda v: v.set_axis([7] * len(v)),
    "float16": lambda v: v.astype(np.float16),
    "nullable": lambda v: v.astype("Float64"),
    "objects": lambda v: v.astype(object),
    "categorical names": lambda v: v.set_axis(pd.CategoricalIndex(v.columns), axis=1),
    "Fortran": lambda v: pd.DataFrame(np.asfortranarray(v.to_numpy()), columns=v.columns),
}
ODD["named proba"] = {
    "a name less": lambda v, k: v.drop(columns=v.columns[k % 3]),
    "a name more": lambda v, k: v.assign(owl=0.0),
    "another name": lambda v, k: v.rename(columns={"bee": "owl"}),
    "a name twice": lambda v, k: v.rename(columns={"bee": "cat"}),
    "numbers": lambda v, k: v.set_axis(range(3), axis=1),
    "two kinds": lambda v, k: v.rename(columns={"bee": 1}),
    "levels": lambda v, k: v.set_axis(pd.MultiIndex.from_product([["a"], v.columns]), axis=1),
    "None": lambda v, k: v.rename(columns={"bee": None}),
    "marker": lambda v, k: v.rename(columns={"bee": "?"}),
    "text": lambda v, k: v.assign(bee="x"),
    "not one": lambda v, k: v * 2,
    "NA": lambda v, k: v.astype("Float64").mask(v > 0.5),
    "dates": lambda v, k: v.set_axis(pd.date_range("2020", periods=3), axis=1),
}
EQUAL["encoded"] = {
    name: form
    for name, form in EQUAL["rows"].items()
    if name in ("float32", "Fortran", "strided", "backwards", "read-only", "list", "columns "
                "strided", "tuple", "big-endian", "float16")
}  # fmt: skip
ODD["encoded"] = {
    name: form
    for name, form in ODD["rows"].items()
    if name in ("nan inside", "no rows", "one row", "one row less", "one row more", "None",
                "number", "infinity inside", "two rows")
}  # fmt: skip
EQUAL["array"] = {
    name: form
    for name, form in EQUAL["rows"].items()
    if name in ("float32", "float16", "Fortran", "strided", "backwards", "read-only",
                "columns strided")
}  # fmt: skip
ODD["array"] = ODD["matrix"]
EQUAL["columns"] = {"array": np.array, "tuple": tuple, "int8": lambda v: np.array(v, np.int8)}
ODD["columns"] = ODD["classes"] | {
    "beyond": lambda v, k: [0, 1, 7],
    "below": lambda v, k: [0, 1, -2],
    "floats": lambda v, k: [0.0, 1.0, 2.0],
    "empty array": lambda v, k: np.zeros(0, int),
}
EQUAL["mask"] = {
    "list": list,
    "object": lambda v: v.astype(object),
    "series": lambda v: pd.Series(v, index=[7] * len(v)),
    "nullable": lambda v: pd.array(v, dtype="boolean"),
    "tensor": torch.from_numpy,
}
ODD["mask"] = ODD["labels"] | {"numbers": lambda v, k: np.flatnonzero(v)}
EQUAL["vector tensor"] = {}
ODD["vector tensor"] = {
    "short": lambda v, k: v[:-1],
    "long": lambda v, k: torch.cat([v, v[:1]]),
    "empty": lambda v, k: v[:0],
    "column": lambda v, k: v[:, None],
    "beyond": lambda v, k: v + 7,
    "below": lambda v, k: v - 7,
    "float": lambda v, k: v.double(),
    "half": lambda v, k: v.half(),
    "int": lambda v, k: v.int(),
    "bool": lambda v, k: v.bool(),
    "nan": lambda v, k: v * torch.nan,
    "array": lambda v, k: v.numpy(),
    "list": lambda v, k: v.tolist(),
    "None": lambda v, k: None,
    "zeros": lambda v, k: 0 * v,
    "text": lambda v, k: "abc",
}

# Errors

ALLOWED = (ValueError, TypeError, ImportError, OSError)
RAW = re.compile(
    r"broadcast|operands|out of bounds|out of range|has no attribute|unhashable|ufunc|mat1|"
    r"size of tensor|subscript|not iterable|Expected all|truth value|setting an array element|"
    r"could not convert|unsupported operand|invalid literal|has no len|inhomogeneous|"
    r"cannot be interpreted|positional argument|unexpected keyword|not callable|"
    r"not supported between|boolean value of NA|Dtype|incompatible|convertible|did not match|"
    r"must match|dimension mismatch|zero-size array|cannot be converted|Cannot cast|NoneType"
)


def judge(call, args, base, changed, error):
    """Return what is wrong with an error; None if nothing is."""
    if is_of_model(error):
        return None
    if not isinstance(error, ALLOWED):
        return f"{type(error).__name__}"
    message = str(error)
    words = set()
    for name in changed:
        words |= {name, *call.words.get(name, ())}
    if not any(re.search(rf"(?<![\w.]){re.escape(word)}\b", message) for word in words):
        return "names no argument"
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if "skactivekd/" in frame.filename and "/tests/" not in
              frame.filename]  # fmt: skip
    if not inside:
        return None
    if RAW.search(message.split("\n")[0]) and not re.search(r"skactivekd|sklearn|skactiveml",
                                                            frames[-1].filename):  # fmt: skip
        return "raw words"
    return None


def is_of_model(error):
    """Tell the words of what the caller passed: a model of scikit-learn, scikit-activeml's rule."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [n for n, frame in enumerate(frames) if "skactivekd/" in frame.filename
            and "/tests/" not in frame.filename]  # fmt: skip
    after = frames[ours[-1] + 1 :] if ours else []
    if after and "/skactiveml/" in after[0].filename and hasattr(error, "__notes__"):
        return True  # the note says whose words these are
    return bool(after) and "/sklearn/" in after[0].filename and after[0].name in (
        "predict", "predict_proba", "fit", "wrapper", "transform", "fit_transform")  # fmt: skip


def make_args(call, changes):
    """Return the arguments with some changed, and whether all are still of equal value."""
    args, equal = dict(call.base), True
    for name, form, place in changes:
        kind = call.kinds[name]
        if form in EQUAL[kind]:
            args[name] = EQUAL[kind][form](call.base[name])
        else:
            args[name], equal = ODD[kind][form](call.base[name], place), False
    return args, equal


# What cannot be right, whatever else is passed.
REFUSED = {
    "rows": {"masked", "complex", "complex tensor", "sparse complex", "timedelta", "ragged",
             "texts", "None inside", "nan inside", "infinity inside", "1e39", "None", "set",
             "iterator",
             "one row less", "one row more", "one row", "one-dimensional", "NA inside"},
    "proba": {"masked", "complex", "complex tensor", "negative", "logits", "percent", "zeros",
              "ragged", "nan inside", "infinity inside", "texts", "text inside", "a column less",
              "one row less", "no columns", "one-dimensional", "three-dimensional", "NA inside",
              "same columns", "other columns", "mixed columns", "levels", "sparse nan"},
    "matrix": {"masked", "complex", "complex tensor", "nan inside", "infinity inside", "texts",
               "text inside", "ragged", "no columns", "one-dimensional", "sparse nan", "NA inside"},
    "named proba": {"a name less", "another name", "a name twice", "numbers",
                    "two kinds", "levels", "None", "marker", "text", "not one", "NA", "dates"},
    "labels": {"masked", "nan inside", "None inside", "NA inside", "NaT inside", "'' inside",
               "'nan' inside", "infinity inside", "0.5 inside", "bytes inside", "tuple inside",
               "dict inside", "date inside", "complex", "complex inside", "one-hot",
               "two columns", "halves", "short", "long", "sparse", "generator", "mapping", "set",
               "'zebra' inside", "iterator", "all nan", "all None", "datetime"},
    "names": {"masked", "nan inside", "None inside", "NA inside", "NaT inside", "'' inside",
              "-1 inside", "7 inside", "True inside", "0.5 inside", "bytes inside", "tuple inside",
              "one-hot", "two columns", "short", "long", "generator", "mapping", "set",
              "'zebra' inside", "all nan", "all None"},
    "vector": {"masked", "negative", "nan inside", "infinity inside", "complex", "zeros",
               "two columns", "short", "long", "empty", "text inside", "None inside", "texts"},
    "classes": {"set", "frozenset", "generator", "repeated", "with nan", "with None", "with ''",
                "with NA", "with a list", "with bytes", "two kinds", "column", "text"},
    "row numbers": {"mask of 0 and 1", "short mask", "floats", "halves", "negative", "beyond",
                    "huge", "twice", "two columns", "empty", "nan", "texts", "one number",
                    "None inside", "set", "dict"},
    "mask": {"masked", "numbers", "short", "long", "nan inside", "None inside", "texts",
             "two columns"},
    "table": {"no rows", "one row less", "one row twice", "a column twice", "nan in score",
              "None in score", "0.5 in score", "inf in score", "5 in n_labels", "scores as text",
              "array", "no columns"},
}  # fmt: skip


# Where some of it is right all the same.
LENGTHS = {"one row", "one row less", "one row more", "short", "long"}
MAY_PASS = {
    "DHOClassifier.predict": LENGTHS,
    "score of labeled": {"1e39"},
    "labeled_accuracy": {"1e39"},
    "LabeledOnly": {"1e39", "nan inside", "infinity inside", "NA inside", "None inside"},
    "simulate": {"1e39"},
    "ActiveLearner": {"1e39", "None", "nan inside", "infinity inside", "NA inside", "None inside"},
    "best_logit_scale, similarities": {"negative", "logits", "percent", "zeros"},
    "RowDataset": {"zeros"},
    "class_prompts, labels": {"column", "generator"},
    # Only the number of rows counts.
    "LabeledStratifiedKFold": REFUSED["rows"] - LENGTHS - {"None", "set", "iterator"},
    "Random.select": REFUSED["matrix"],
}  # fmt: skip


def must_fail(name, changes):
    """Tell whether a single change is one that no call may accept."""
    if len(changes) != 1:
        return False
    argument, form, _ = changes[0]
    kind = CALLS[name].kinds[argument]
    if name.endswith(".select") and form in LENGTHS:
        return False
    if form in ("levels", "same columns", "other columns", "mixed columns"):
        return argument == "teacher_proba"  # elsewhere columns have no names
    if form == "'zebra' inside" and kind == "names" and name.startswith("ZeroShot"):
        return False
    if kind == "labels" and name in CODED and form == "generator":
        return False
    if kind == "table" and name not in ("value_report", "rank_table", "places"):
        return form in ("no rows", "one row twice", "a column twice", "nan in score", "array")
    if kind == "table" and form == "5 in n_labels":
        return name == "value_report"
    return form in REFUSED.get(kind, ()) and form not in MAY_PASS.get(name, ())


# Whose y are columns, as integers.
CODED = ("best_temperature", "best_logit_scale", "reliability_curve", "expected_calibration_error",
         "RowDataset", "ClassBalanced.select")  # fmt: skip
_GOOD = {}


def good_result(name):
    if name not in _GOOD:
        call = CALLS[name]
        _GOOD[name] = call.run(**call.base)
    return _GOOD[name]


def try_call(name, changes):
    """Make one call; return a complaint, or None."""
    call = CALLS[name]
    good = good_result(name)
    try:
        args, equal = make_args(call, changes)
    except (TypeError, ValueError, RuntimeError, OverflowError, IndexError, KeyError,
            AttributeError, ZeroDivisionError):  # fmt: skip
        return None  # there is no such value
    changed = [change[0] for change in changes]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            result = call.run(**args)
        except Exception as error:
            fault = judge(call, args, call.base, changed, error)
            if equal and fault is None:
                fault = "refused although it is equal"
            if fault is None:
                return None
            where = traceback.extract_tb(error.__traceback__)[-1]
            lines = [
                f"{Path(frame.filename).name}:{frame.lineno}"
                for frame in traceback.extract_tb(error.__traceback__)
                if "skactivekd/" in frame.filename
            ]
            return (
                f"{fault}: {type(error).__name__}: {str(error)[:300]} "
                f"[{' '.join(lines[-3:])} | {Path(where.filename).name}:{where.lineno}]"
            )
        if must_fail(name, changes):
            return "ACCEPTED"
        args, equal = make_args(call, changes)  # those that are used up
        try:
            call.check(result, good, {**args, "__base__": call.base})
            if equal and call.numbers is not None:
                for one, other in zip(call.numbers(result), call.numbers(good), strict=True):
                    np.testing.assert_allclose(
                        np.asarray(one, dtype=float), np.asarray(other, dtype=float), atol=2e-3
                    )
        except Exception as error:
            return f"WRONG: {type(error).__name__}: {str(error)[:400]}"
    return None


# What such a y may not be, though it says the same.
NOT_CODES = ("column", "frame", "float", "float16", "object", "list of scalars", "categorical")
# To what no rows can be added.
NOT_JOINED = ("column", "frame", "categorical array", "index", "lazy", "nullable array", "tensor",
              "float tensor", "half tensor", "int8 tensor")  # fmt: skip


def forms_of(name, argument):
    call = CALLS[name]
    kind = call.kinds[argument]
    forms = [*EQUAL[kind], *ODD[kind]]
    if name in CODED and kind == "labels":
        forms = [form for form in forms if form not in NOT_CODES]
    if name == "ActiveLearner":
        forms = [form for form in forms if form not in NOT_JOINED]
    return [form for form in forms if (argument, form) not in call.without]


@st.composite
def changes_of(draw, name):
    call = CALLS[name]
    if not call.kinds:
        return []
    chosen = draw(
        st.lists(st.sampled_from(sorted(call.kinds)), min_size=1, max_size=3, unique=True)
    )
    return [
        (argument, draw(st.sampled_from(forms_of(name, argument))), draw(st.integers(0, 60)))
        for argument in chosen
    ]


@pytest.mark.parametrize("name", CALLS)
def test_any_call_is_right_or_says_why_not(name):
    @given(changes=changes_of(name))
    @settings(quick, max_examples=max(1, CALLS_IN_ALL // len(CALLS)))
    def call(changes):
        complaint = try_call(name, changes)
        assert complaint is None, f"{name} with {changes}: {complaint}"

    call()


# Public names that the table does not call, and why not.
ELSEWHERE = {
    "ImageFiles": "rows of the page: test_page_server.py",
    "Items": "a base of rows of the page: test_page_server.py",
    "SoundFiles": "rows of the page: test_page_server.py",
    "make_app": "a server: test_page_server.py, test_page_guard.py",
    "serve": "a server: test_page_browser.py",
    "AcceleratedDHONet": "needs processes: test_multi_gpu.py",
    "Encoder": "a base: test_encoder_protocol.py",
    "embed_to_parquet": "writes folders: test_to_parquet.py, test_parquet_sources.py",
    "proba_to_memmap": "writes a file: test_large_pools.py",
    "read_embeddings": "reads folders: test_to_parquet.py",
    "DHONet": "every student here has one; its settings: test_dho_net.py, test_skorch_settings.py",
    "DHOClassifier": "its methods are called by name",
    "GradientCosine": "a callback: test_gradient_cosine.py",
    "clip_student": "needs a CLIP: test_head_init.py",
    "gradient_cosine": "takes losses with a graph: test_gradient_cosine.py",
    "export": "takes seconds: test_export.py",
    "load": "called as 'save and load'; damaged folders: test_persistence.py",
    "save": "called as 'save and load'",
    "OpenCLIPEncoder": "odd images and texts: test_bad_input.py",
    "SentenceEncoder": "odd texts: test_sentence.py",
    "TransformersEncoder": "odd images and folders: test_transformers_encoder.py",
    "PrecomputedEncoder": "odd matrices and rows: test_precomputed.py",
    "FrameEncoder": "odd frames: test_frame_encoder.py",
    "LogMel": "odd sounds: test_log_mel.py",
    "GenerativeTeacher": "odd settings, rows and models: test_generative.py",
    "EndpointTeacher": "odd settings, rows and servers: test_endpoint.py",
    "ImageError": "an error", "RowError": "an error", "TextError": "an error",
    "EndpointError": "an error",
    "SkippedRowsWarning": "a warning",
    "TeacherReport": "made by teacher_report",
    "TeacherReportDisplay": "made by TeacherReport.plot: test_plots.py",
    "ClassConfusionDisplay": "odd labels and lengths: test_displays.py",
    "ContactSheetDisplay": "odd items and stores: test_displays.py",
    "PredictionClustersDisplay": "odd rows: test_displays.py",
    "ReliabilityDisplay": "odd labels and lengths: test_displays.py",
    "TrainingHistoryDisplay": "odd estimators: test_displays.py",
    "ValueReport": "made by value_report",
    "QueryStrategy": "a base class",
    "Question": "made by LabelingSession.ask",
    "Entropy": "", "LeastConfidence": "", "Margin": "", "PCoreSet": "", "CoreSet": "",
    "UncertaintyHerding": "", "Badge": "", "ClassBalanced": "", "Random": "",  # by adder
    "main": "the command line: test_cli.py",
    "check_encoder": "test_public_checks.py", "check_teacher": "test_public_checks.py",
    "check_query_strategy": "test_public_checks.py",
    "run_demo": "takes seconds: test_cli.py",
}  # fmt: skip


def test_every_public_name_is_called():
    modules = [skactivekd, estimator_checks]
    for module in pkgutil.iter_modules(skactivekd.__path__):
        if not module.name.startswith("_"):
            modules.append(import_module(f"skactivekd.{module.name}"))
    names = {name for module in modules for name in getattr(module, "__all__", ())}
    names -= {"__version__"}
    called = {re.split(r"[ ,.]", name)[0] for name in CALLS}
    new = sorted(names - called - set(ELSEWHERE))
    assert not new, f"call {new} above, or say in ELSEWHERE what tests odd arguments"
    assert set(ELSEWHERE) <= names
    assert {f"{name}.select" for name, reason in ELSEWHERE.items() if not reason} <= set(CALLS)


# Faults that were found so, each as the smallest call.
FOUND = [
    ("prediction_clusters", [("labeled", "numbers", 0)]),  # row numbers were read as True
    ("prediction_clusters", [("labeled", "masked", 3)]),
    ("prediction_clusters", [("labeled", "texts", 0)]),  # every text was True
    ("to_skactiveml", [("missing_label", "scalar", 3)]),  # nan stayed, 0 was unlabeled
    ("DHOClassifier.fit", [("y", "masked", 3)]),  # what the mask hides was a label
    ("DHOClassifier.fit", [("X", "masked", 3)]),
    ("DHOClassifier.fit", [("X", "longdouble", 0)]),
    ("DHOClassifier.fit", [("X", "grad", 0)]),
    ("DHOClassifier.fit", [("X", "timedelta", 0)]),
    ("DHOClassifier.fit", [("X", "text inside", 0)]),
    ("DHOClassifier.fit", [("teacher_proba", "mixed columns", 0)]),
    ("DHOClassifier.fit", [("sample_weight", "scalar", 14)]),
    ("DHOClassifier.fit", [("temperature", "scalar", 48)]),
    ("DHOClassifier.fit, weighted", [("sample_weight", "1e300", 2)]),
    ("score of student", [("sample_weight", "texts", 0)]),
    ("score of student", [("y", "huge inside", 10)]),
    ("score of student", [("missing_label", "scalar", 24)]),
    ("Entropy.query", [("X", "zero-dimensional", 0)]),
    ("PCoreSet for modAL", [("y_training", "long", 0)]),
    ("UncertaintyHerding.select", [("power", "scalar", 0)]),
    ("ActiveLearner", [("y_new", "masked", 1)]),
    ("simulate", [("n_jobs", "scalar", 8)]),
    ("simulate", [("strategies", "scalar", 0)]),
    ("LabeledStratifiedKFold", [("n_splits", "scalar", 19)]),
    ("CLAPTeacher", [("lr", "scalar", 15)]),  # nan throughout
    ("TipAdapterTeacher", [("lr", "scalar", 15)]),
    ("TipAdapterTeacher", [("beta", "scalar", 15)]),
    ("ZeroShotTeacher", [("logit_scale", "scalar", 14)]),  # all classes equal
    ("DualHead", [("weights", "nan inside", 0)]),
    ("dho_loss", [("y", "beyond", 0)]),
    ("mix_heads", [("ce_logits", "two rows", 0)]),
    ("area_under_curve", [("results", "a column twice", 4)]),
    ("places", [("results", "1e+300 in score", 0)]),
    ("class_prompts", [("labels", "scalar", 26)]),
    ("LabelingSession", [("classes", "set", 0)]),  # in the order of the hashes
    ("LabelingSession", [("missing_label", "scalar", 22)]),
    ("LabelingSession", [("y", "nan inside", 0)]),
    ("LabelingSession", [("seconds", "scalar", 16)]),  # nan, into the journal
    ("LabelingSession", [("seconds", "scalar", 19)]),
    ("WarmupDecay", [("warmup", "scalar", 0)]),
    ("TableRows", [("columns", "scalar", 1)]),
    ("Texts", [("texts", "None", 0)]),
    ("class_prompts, labels", [("labels", "set", 0)]),  # in the order of the hashes
]


@pytest.mark.parametrize(("name", "changes"), FOUND, ids=lambda value: str(value)[:60])
def test_found_faults_stay_mended(name, changes):
    assert try_call(name, changes) is None
