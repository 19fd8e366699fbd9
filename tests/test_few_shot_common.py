"""What every few-shot teacher does with labels, classes, copies and seeds."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from few_shot_data import NAMES, Directions, hide, make_rows
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags

from skactivekd import (
    CLAPTeacher,
    DHOClassifier,
    DHONet,
    Entropy,
    LabeledStratifiedKFold,
    Margin,
    OpenCLIPEncoder,
    PCoreSet,
    TeacherProba,
    TipAdapterTeacher,
    ZeroShotTeacher,
    load_glyph_digits,
    simulate,
)
from skactivekd.cache import EmbeddingCache
from skactivekd.encoders import ImageError, SkippedRowsWarning
from skactivekd.metrics import best_logit_scale

X, Y = make_rows()
CLASSES = dict(enumerate(NAMES))
Y_NAMES = np.array(NAMES)[Y]
KNOWN = hide(Y, 30)


def build(kind, encoder=None, classes=CLASSES, **params):
    cls = {"clap": CLAPTeacher, "tip": TipAdapterTeacher, "tip-f": TipAdapterTeacher}[kind]
    if kind == "clap":
        params = {"max_epochs": 40, "lr": 0.3, **params}
    if kind == "tip-f":
        params = {"fine_tune": True, "max_epochs": 20, **params}
    return cls(encoder or Directions(), classes, logit_scale=5.0, random_state=0, **params)


@pytest.fixture(params=["clap", "tip", "tip-f"])
def kind(request):
    return request.param


@pytest.mark.parametrize("y", [None, np.full(60, -1), [-1] * 60])
def test_without_labels_it_is_the_zero_shot_teacher(kind, y):
    expected = ZeroShotTeacher(Directions(), CLASSES, logit_scale=5.0).fit().predict_proba(X)
    teacher = build(kind)
    np.testing.assert_array_equal(teacher.fit(X, y).predict_proba(X), expected)
    np.testing.assert_array_equal(teacher.fit().predict_proba(X), expected)


def test_with_the_embedded_model_too(kind):
    images = load_glyph_digits(return_X_y=True)[0][:50]
    cls = type(build(kind))
    expected = ZeroShotTeacher().fit().predict_proba(images)
    np.testing.assert_array_equal(cls().fit().predict_proba(images), expected)


def test_labels_improve_it(kind):
    zero_shot = build(kind).fit().score(X[30:], Y[30:])
    assert zero_shot < 0.9
    assert build(kind).fit(X, KNOWN).score(X[30:], Y[30:]) > zero_shot + 0.03


def test_it_never_reads_unlabeled_rows_in_fit(kind):
    encoder = Directions()
    build(kind, encoder).fit(X, KNOWN)
    assert encoder.n_rows == 30
    poisoned = X.copy()
    poisoned[30:] = np.nan
    np.testing.assert_array_equal(
        build(kind).fit(poisoned, KNOWN).predict_proba(X),
        build(kind).fit(X[:30], Y[:30]).predict_proba(X),
    )


@pytest.mark.parametrize(
    ("y", "missing_label"),
    [
        (np.where(KNOWN < 0, None, Y_NAMES), None),
        (np.where(KNOWN < 0, "?", Y_NAMES), "?"),
        (np.where(KNOWN < 0, None, Y_NAMES).tolist(), None),
        (pd.Series(np.where(KNOWN < 0, None, Y_NAMES)).astype("category"), np.nan),
        (np.where(KNOWN < 0, np.nan, Y), np.nan),
        (np.where(KNOWN < 0, -1, Y).astype(float), -1),
        (np.where(KNOWN < 0, 99, Y).tolist(), 99),
    ],
)
def test_labels_come_in_every_form(kind, y, missing_label):
    # What is drawn while they are chosen depends on the order of the classes.
    fixed = {} if kind == "clap" else {"alpha": 2.0, "beta": 2.0, "guard": False}
    named = {isinstance(label, str) for label in y} != {False}
    expected = build(kind, **fixed).fit(X, KNOWN)
    classes = NAMES if named else CLASSES
    teacher = build(kind, classes=classes, missing_label=missing_label, **fixed).fit(X, y)
    columns = np.argsort(NAMES) if named else [0, 1, 2]
    proba = expected.predict_proba(X)[:, columns]
    np.testing.assert_allclose(teacher.predict_proba(X), proba, atol=1e-5)
    assert teacher.score(X, y) == expected.score(X, KNOWN)
    assert set(teacher.predict(X)) <= set(NAMES if named else CLASSES)


def test_numbers_are_labels_where_classes_are_numbers(kind):
    fixed = {} if kind == "clap" else {"alpha": 2.0, "beta": 2.0}
    mapping = dict(zip([7, 3, 5], NAMES, strict=True))
    y = np.where(KNOWN < 0, -1, np.array([7, 3, 5])[Y])
    teacher = build(kind, classes=mapping, **fixed).fit(X, y)
    assert teacher.classes_.tolist() == [3, 5, 7]
    expected = build(kind, **fixed).fit(X, KNOWN).predict_proba(X)
    np.testing.assert_allclose(teacher.predict_proba(X), expected[:, [1, 2, 0]], atol=1e-5)
    assert teacher.predict(X)[0] in (7, 3, 5)


def test_columns_are_sorted_whatever_the_order_of_classes(kind):
    teachers = [
        build(kind, classes=order, missing_label="").fit(X, np.where(KNOWN < 0, "", Y_NAMES))
        for order in (NAMES, NAMES[::-1])
    ]
    first, second = teachers
    assert first.classes_.tolist() == second.classes_.tolist() == sorted(NAMES)
    assert first.get_feature_names_out().tolist() == sorted(NAMES)
    np.testing.assert_array_equal(first.class_embeddings_, second.class_embeddings_)
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))


@pytest.mark.parametrize(
    ("y", "params", "match"),
    [
        (np.where(KNOWN < 0, -1, Y + 1), {}, r"labels \[3\], first in row 2,.*missing_label=-1"),
        (Y, {"classes": NAMES}, r"numbers such as 0, but the classes are names.*classes=\{0: "),
        (
            np.where(KNOWN < 0, None, Y_NAMES),
            {"classes": NAMES},
            "y holds None .* first in row 30.*missing_label=None",
        ),
        (
            np.where(KNOWN < 0, "dog", Y_NAMES),
            {"classes": NAMES, "missing_label": None},
            r"labels \['dog'\], first in row 30",
        ),
        (Y[:40], {}, "X has 60 rows but y has 40 labels"),
        (Y, {"classes": {0: "owl", -1: "cat", 2: "ant"}}, "missing_label=-1 is one of the classes"),
        (KNOWN, {"batch_size": 0}, "batch_size=0"),
        (KNOWN, {"max_epochs": 0}, "max_epochs=0"),
        (KNOWN, {"lr": float("nan")}, "lr=nan"),
    ],
)
def test_wrong_labels_and_settings_raise_with_a_hint(kind, y, params, match):
    with pytest.raises(ValueError, match=match):
        build(kind, **params).fit(X, y)


def test_labels_without_rows_are_refused(kind):
    with pytest.raises(ValueError, match="X has 0 rows but y has 2 labels"):
        build(kind).fit(None, [0, 1])
    with pytest.raises(ValueError, match="needs labeled rows"):
        build(kind).fit().score(X, np.full(60, -1))


def test_score_counts_labeled_rows_with_their_weights(kind):
    teacher = build(kind).fit(X, KNOWN)
    right = teacher.predict(X) == Y
    assert teacher.score(X, Y) == right.mean()
    assert teacher.score(X, hide(Y, 7)) == right[:7].mean()
    weights = np.arange(60.0)
    assert teacher.score(X, Y, weights) == pytest.approx(np.average(right, weights=weights))


def test_outputs_fit_together(kind):
    teacher = build(kind).fit(X, KNOWN)
    proba = teacher.predict_proba(X)
    assert proba.dtype == np.float32
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(teacher.transform(X), proba)
    np.testing.assert_array_equal(teacher.predict(X), proba.argmax(axis=1))
    assert list(teacher.get_feature_names_out()) == ["0", "1", "2"]
    frame = clone(teacher).set_output(transform="pandas").fit(X, KNOWN).transform(X)
    assert list(frame.columns) == ["0", "1", "2"]


@pytest.mark.parametrize("seed", [0, np.random.RandomState(3), None])
def test_fits_repeat_and_leave_global_generators_alone(kind, seed):
    states = np.random.get_state()[1].copy(), torch.get_rng_state()
    params = {"batch_size": 8, "random_state": seed}
    first, second = (
        clone(build(kind)).set_params(**params).fit(X, KNOWN).predict_proba(X) for _ in range(2)
    )
    assert np.array_equal(np.random.get_state()[1], states[0])
    assert torch.equal(torch.get_rng_state(), states[1])
    if seed == 0:
        np.testing.assert_array_equal(first, second)
        other = build(kind, batch_size=8).set_params(random_state=1).fit(X, KNOWN)
        assert kind == "tip" or not np.array_equal(other.predict_proba(X), first)


def test_it_starts_afresh_in_each_fit(kind):
    teacher = build(kind).fit(X, Y)
    again = teacher.fit(X, KNOWN).predict_proba(X)
    np.testing.assert_array_equal(again, build(kind).fit(X, KNOWN).predict_proba(X))


def test_clones_share_a_plain_encoder_and_pickles_predict_the_same(kind):
    encoder = Directions()
    teacher = build(kind, encoder).fit(X, KNOWN)
    proba = teacher.predict_proba(X)
    assert clone(teacher).encoder is encoder
    with pytest.raises(NotFittedError):
        clone(teacher).predict(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(teacher)).predict_proba(X), proba)


def test_tags_say_what_it_is(kind):
    tags = get_tags(build(kind))
    assert tags.estimator_type == "classifier"
    assert not tags.target_tags.required
    assert not tags.input_tags.two_d_array


def test_a_grid_search_runs_on_partly_labeled_rows(kind):
    grid = {"logit_scale": [1.0, 5.0], "lr": [1e-3]}
    search = GridSearchCV(build(kind), grid, cv=LabeledStratifiedKFold(2)).fit(X, KNOWN)
    assert search.best_score_ > 0.5


def test_unreadable_labeled_rows_are_named_as_in_x(kind, tmp_path):
    paths = [str(tmp_path / f"{number}.png") for number in range(4)]
    for path in paths[:3]:
        Image.new("L", (8, 8)).save(path)
    teacher = type(build(kind))(OpenCLIPEncoder(cache=EmbeddingCache()))
    with pytest.raises(ImageError) as error:
        teacher.fit(paths, [-1, 1, -1, 1])
    assert list(error.value.bad) == [3]
    teacher.set_params(encoder__on_error="skip")
    with pytest.warns(SkippedRowsWarning) as warned:
        teacher.fit(paths, [-1, 1, -1, 1])
    assert list(warned[0].message.bad) == [3]
    with pytest.warns(SkippedRowsWarning):
        np.testing.assert_allclose(teacher.predict_proba(paths)[3], 0.1)


class Words:
    """Embeds a text by the letters in it; counts how often it has seen each."""

    def __init__(self):
        self.seen = []
        self.cache = EmbeddingCache()

    def encode_text(self, texts):
        self.seen.extend(texts)
        counts = [[1 + text.count(letter) for letter in "abcdefgh"] for text in texts]
        rows = np.array(counts, dtype=float)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def texts_of(n, seed):
    rng = np.random.RandomState(seed)
    y = np.arange(n) % 3
    own = np.array(["aab", "ccd", "eef"])
    letters = list("abcdefgh")
    return [f"{own[c]} {''.join(rng.choice(letters, 6))} {seed} {i}" for i, c in enumerate(y)], y


def test_rounds_seeds_and_strategies_encode_each_text_once(kind):
    encoder = Words()
    classes = {0: "aab", 1: "ccd", 2: "eef"}
    teacher = type(build(kind))(encoder, classes, logit_scale=20.0, max_epochs=3)
    if kind == "tip-f":
        teacher.set_params(fine_tune=True)
    fitted = []

    class Watched(type(teacher)):
        def fit(self, X, y):
            fitted.append(int((y >= 0).sum()))
            return super().fit(X, y)

    watched = Watched(**{**teacher.get_params(deep=False), "encoder": encoder})
    student = DHOClassifier(DHONet(max_epochs=1, module__hidden=4), heads="dual")
    pipe = make_pipeline(TeacherProba(watched, features=TfidfVectorizer()), student)
    (pool, y), (test, y_test) = texts_of(45, 0), texts_of(20, 1)
    strategies = [PCoreSet(), Entropy(), Margin()]  # and random selection
    seeds = 2 if kind == "clap" else 1
    simulate(
        pipe, pool, y, X_test=test, y_test=y_test, strategies=strategies, n_rounds=5,
        n_instances=4, seeds=seeds, progress=False,
    )  # fmt: skip
    assert sorted(encoder.seen) == sorted([*pool, *classes.values()])
    assert fitted == [3, 7, 11, 15, 19] * 4 * seeds


def test_the_student_learns_from_the_refitted_teacher(kind):
    teacher = build(kind)
    step = TeacherProba(teacher)
    soft = step.fit_transform(X, KNOWN)
    np.testing.assert_array_equal(soft.proba, build(kind).fit(X, KNOWN).predict_proba(X))
    assert step.teacher_ is not teacher
    step.fit(X, np.full(60, -1))
    np.testing.assert_array_equal(
        step.teacher_.predict_proba(X),
        ZeroShotTeacher(Directions(), CLASSES, logit_scale=5.0).fit().predict_proba(X),
    )


def test_a_scale_left_to_the_labels_is_the_best_for_them():
    encoder = Directions()
    teacher = ZeroShotTeacher(encoder, CLASSES, logit_scale="auto").fit(X, KNOWN)
    assert encoder.n_rows == 30
    similarities = encoder.encode_image(X[:30]) @ teacher.class_embeddings_.T
    assert teacher.logit_scale_ == best_logit_scale(similarities, Y[:30])
    given = ZeroShotTeacher(Directions(), CLASSES, logit_scale=teacher.logit_scale_).fit()
    np.testing.assert_array_equal(teacher.predict_proba(X), given.predict_proba(X))


@pytest.mark.parametrize("y", [None, np.full(60, -1)])
def test_a_scale_left_to_no_labels_is_the_usual_one(y):
    assert ZeroShotTeacher(Directions(), CLASSES, logit_scale="auto").fit(X, y).logit_scale_ == 100


def test_a_few_shot_teacher_fits_its_scale_too(kind):
    cls = type(build(kind))
    teacher = cls(Directions(), CLASSES, logit_scale="auto", random_state=0).fit(X, KNOWN)
    zero_shot = ZeroShotTeacher(Directions(), CLASSES, logit_scale="auto").fit(X, KNOWN)
    assert teacher.logit_scale_ == zero_shot.logit_scale_ != 100
    assert teacher.score(X[30:], Y[30:]) >= zero_shot.score(X[30:], Y[30:])


class OwnScale(Directions):
    logit_scale_ = 7.0


class Letters(Directions):
    encode_image = property()  # texts alone


@pytest.mark.parametrize(
    ("encoder", "scale"), [(Directions, 100.0), (OwnScale, 7.0), (Letters, 20)]
)
def test_the_scale_is_the_encoders_own_unless_given(kind, encoder, scale):
    cls = type(build(kind))
    for teacher in (cls, ZeroShotTeacher):
        assert teacher(encoder(), NAMES).fit().logit_scale_ == scale
        assert teacher(encoder(), NAMES, logit_scale="auto").fit().logit_scale_ == scale
        assert teacher(encoder(), NAMES, logit_scale=3).fit().logit_scale_ == 3


def test_a_scale_that_is_none_is_refused():
    encoder = Directions()
    encoder.logit_scale_ = -1
    with pytest.raises(ValueError, match=r"Directions\.logit_scale_ is -1"):
        ZeroShotTeacher(encoder, NAMES).fit()


@pytest.mark.parametrize(
    "classes",
    [["cat", "dog"], {0: "zero", 1: "one dog"}, ["0", "10"], [True, False], {7: "sieben"}],
)
def test_without_an_encoder_classes_are_digits(kind, classes):
    for teacher in (type(build(kind))(classes=classes), ZeroShotTeacher(classes=classes)):
        with pytest.raises(ValueError, match=r"OpenCLIPEncoder\('ViT-B-32'.*SentenceEncoder"):
            teacher.fit()
    with pytest.raises(ValueError, match="knows the ten digits alone"):
        ZeroShotTeacher(OpenCLIPEncoder(), classes).fit()


@pytest.mark.parametrize(
    "classes",
    [range(10), list("0123456789"), ["Seven", "nine"], {"a": "the digit two", "b": "3"}],
)
def test_digits_of_any_spelling_need_no_encoder(kind, classes):
    assert len(type(build(kind))(classes=classes).fit().classes_) == len(classes)


@pytest.mark.parametrize("scale", ["best", 0, -1.0, np.inf, np.nan, True])
def test_other_scales_are_refused(scale):
    with pytest.raises(ValueError, match=r"above 0 and finite, or 'auto'"):
        ZeroShotTeacher(Directions(), CLASSES, logit_scale=scale).fit()
