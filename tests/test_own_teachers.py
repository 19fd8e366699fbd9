"""Anything is a teacher: functions, classifiers on labeled rows, pipelines on embeddings."""

import functools
import pickle

import numpy as np
import pytest
from few_shot_data import WIDTH, Directions, hide, make_rows
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from skactivekd import DHOClassifier, DHONet, Embedder, LabeledOnly, TeacherProba
from skactivekd.cache import EmbeddingCache
from skactivekd.teacher._own_teacher_identity import _loose_key

X, Y = make_rows()
KNOWN = hide(Y, 30)


def student(**params):
    return DHOClassifier(DHONet(max_epochs=2, module__hidden=4), random_state=0, **params)


def own_function(X):
    return np.full((len(X), 3), 1 / 3) + np.eye(3)[np.asarray(X)[:, :3].argmax(axis=1)] / 2


def test_a_function_teaches_like_its_matrix():
    calls = []

    def teacher(rows):
        calls.append(len(rows))
        return own_function(rows) / own_function(rows).sum(axis=1, keepdims=True)

    pipe = make_pipeline(TeacherProba(teacher), student()).fit(X, KNOWN)
    assert calls == [60]
    matrix = make_pipeline(TeacherProba(teacher(X)), student()).fit(X, KNOWN)
    np.testing.assert_array_equal(pipe.predict_proba(X), matrix.predict_proba(X))
    assert calls == [60, 60]  # the pipeline did not run it to predict


def test_a_function_is_called_afresh_whatever_is_kept_in_memory(tmp_path):
    def make(weight):
        return lambda X: np.tile([weight, 1 - weight], (len(X), 1))

    for weight in (0.2, 0.6):
        step = TeacherProba(make(weight), memory=str(tmp_path))
        assert step.fit_transform(X, KNOWN).proba[0, 0] == weight


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda X: np.ones((len(X) - 1, 3)), "a row for each of the 60 rows of X, but has 59"),
        (lambda X: np.ones(len(X)), r"teacher\(X\) .* two dimensions .* shape \(60,\)"),
        (lambda X: None, "teacher.* two dimensions .* NoneType"),
        (lambda X: [["a", "b"]] * len(X), "teacher.* must hold real numbers, got dtype <U1"),
        (lambda X: np.ones((len(X), 3)), r"teacher\(X\): row 0 does not sum to one"),
    ],
)
def test_a_function_that_gives_no_probabilities_is_refused(answer, match):
    with pytest.raises((TypeError, ValueError), match=match):
        TeacherProba(answer).fit(X, KNOWN)


def test_a_classifier_without_predict_proba_is_refused():
    with pytest.raises(TypeError, match="must have predict_proba, or be a function"):
        TeacherProba(SVC()).fit(X, KNOWN)
    with pytest.raises(TypeError, match="classifier with predict_proba"):
        LabeledOnly(SVC()).fit(X, KNOWN)


@pytest.mark.parametrize(
    ("names", "missing_label"),
    [([0, 1, 2], -1), (["a", "b", "c"], None), (["a", "b", "c"], ""), ([5.0, 6.0, 7.0], np.nan)],
)
@pytest.mark.parametrize("declared", [False, True])
def test_labeled_rows_alone_are_learned(names, missing_label, declared):
    y = np.full(60, missing_label, dtype=object if missing_label is None else type(names[0]))
    if missing_label is None or missing_label == "":
        y = y.astype(object)
    y[:30] = np.array(names)[Y[:30]]
    classes = names[::-1] if declared else None
    teacher = LabeledOnly(LogisticRegression(), classes, missing_label).fit(X, y)
    alone = LogisticRegression().fit(X[:30], y[:30].tolist())
    assert teacher.classes_.tolist() == names
    np.testing.assert_allclose(teacher.predict_proba(X), alone.predict_proba(X), atol=1e-3)
    np.testing.assert_array_equal(teacher.predict(X), alone.predict(X))


def test_until_two_classes_have_labels_it_knows_nothing():
    one, none = np.where(KNOWN == 1, 1, -1), np.full(60, -1)
    for y in (one, none):
        teacher = LabeledOnly(LogisticRegression(), classes=range(3)).fit(X, y)
        np.testing.assert_array_equal(teacher.predict_proba(X), np.full((60, 3), 1 / 3))
    with pytest.raises(ValueError, match="classes="):
        LabeledOnly(LogisticRegression()).fit(X, none)


def test_classes_without_labels_get_zeros():
    y = np.where(KNOWN == 1, -1, KNOWN)
    proba = LabeledOnly(LogisticRegression(), classes=range(3)).fit(X, y).predict_proba(X)
    assert (proba[:, 1] == 0).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1)


def test_labels_beyond_the_classes_are_refused():
    with pytest.raises(ValueError, match=r"labels \[2\], first in row 2"):
        LabeledOnly(LogisticRegression(), classes=[0, 1]).fit(X, KNOWN)


def test_a_pipeline_on_embeddings_teaches_and_encodes_each_row_once():
    encoder = Directions()
    teacher = LabeledOnly(make_pipeline(Embedder(encoder), LogisticRegression()), range(3))
    pipe = make_pipeline(TeacherProba(teacher), student())
    for n_labels in (0, 2, 30):
        pipe.fit(X, hide(Y, n_labels)).predict(X[:1] + 1)
    assert encoder.n_rows == 60
    taught = TeacherProba(teacher).fit_transform(X, KNOWN)
    alone = LogisticRegression().fit(X[:30], Y[:30])
    np.testing.assert_allclose(taught.proba, alone.predict_proba(X), atol=1e-4)


def test_a_pipeline_fitted_on_all_labels_needs_no_wrapper():
    pipe = make_pipeline(Embedder(Directions()), LogisticRegression())
    np.testing.assert_allclose(
        TeacherProba(pipe).fit_transform(X, Y).proba,
        LogisticRegression().fit(X, Y).predict_proba(X),
        atol=1e-4,
    )


def test_an_embedder_is_what_the_encoder_says():
    encoder = Directions()
    embedder = Embedder(encoder)
    embeddings = embedder.fit_transform(X)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(embeddings, encoder.encode_image(X), atol=1e-6)
    assert list(embedder.get_feature_names_out()) == [f"embedder{i}" for i in range(WIDTH)]
    copied = clone(embedder)
    assert copied.encoder is encoder
    assert not hasattr(copied, "encoder_")
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(embedder)).transform(X[:3]), embeddings[:3]
    )


def test_an_embedder_of_texts_makes_the_students_features():
    class Lengths:
        cache = EmbeddingCache()

        def encode_text(self, texts):
            angles = np.array([len(text) / 10 for text in texts])
            return np.column_stack([np.cos(angles), np.sin(angles)])

    texts = ["a" * (n % 10) + str(n) for n in range(20)]
    step = TeacherProba(
        lambda X: np.full((len(X), 2), 0.5), features=Embedder(Lengths()), encoder_at_predict=True
    )
    pipe = make_pipeline(step, student(classes=[0, 1]))
    assert pipe.fit(texts, [0, 1] + [-1] * 18).predict_proba(texts).shape == (20, 2)
    frame = Embedder(Lengths()).set_output(transform="pandas").fit_transform(texts)
    assert list(frame.columns) == ["embedder0", "embedder1"]


@pytest.mark.parametrize("encoder", ["openai", Directions, object()])
def test_an_embedder_wants_an_encoder(encoder):
    with pytest.raises(TypeError, match="must be an object with"):
        Embedder(encoder).fit(X)
    with pytest.raises(ValueError, match="no row"):
        Embedder(Directions()).fit(X[:0])
    with pytest.raises(TypeError, match=r"encoder is None.*knows handwritten digits only"):
        Embedder().fit(X)


def test_what_cannot_be_told_apart_counts_as_the_objects_it_is():
    """Methods, partial functions and closures over what has no state that can be told."""

    class Handle:  # such as an open file: what it will say is its own affair
        __slots__ = ("weight",)

    def make(weight, way):
        handle = Handle()
        handle.weight = weight

        def base(X, scale=1.0):
            return np.tile([handle.weight, 1 - handle.weight], (len(X), 1)) * scale

        def inner(X):
            [answer] = [base(X) for _ in range(1)]
            return answer

        class Owner:
            def ask(self, X):
                return base(X)

        return {
            "closure": inner,
            "partial": functools.partial(base, scale=1.0),
            "method": Owner().ask,
            "lambda": lambda X: inner(X),
        }[way]

    for way in ("closure", "partial", "method", "lambda"):
        one, other = (_loose_key(make(0.25, way)) for _ in range(2))
        assert one != other
        teacher = make(0.25, way)
        assert _loose_key(teacher) == _loose_key(teacher)
        assert TeacherProba(teacher, cache=False).fit_transform(X, KNOWN).proba[0, 0] == 0.25
