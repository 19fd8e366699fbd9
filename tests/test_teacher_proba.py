"""TeacherProba before a student: what is cut, what is counted, what is lost."""

import pickle

import numpy as np
import pytest
import sklearn
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, ParameterGrid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skactivekd import (
    DHOClassifier,
    DHONet,
    LabeledStratifiedKFold,
    OpenCLIPEncoder,
    TeacherProba,
    ZeroShotTeacher,
    load_glyph_digits,
)
from skactivekd.cache import EmbeddingCache
from skactivekd.student._soft_labels import SoftLabeled


class OwnTeacher(ClassifierMixin, BaseEstimator):
    """Says what the first feature rounds to, in the order of its names."""

    seen = 0

    def __init__(self, names=("no", "yes")):
        self.names = names

    def fit(self, X, y=None):
        self.classes_ = np.asarray(self.names)
        return self

    def predict_proba(self, X):
        type(self).seen += len(X)
        certain = np.clip(np.asarray(X, dtype=float)[:, 0], 0.1, 0.9)
        return np.column_stack([1 - certain, certain])


def student(**params):
    return DHOClassifier(
        DHONet(max_epochs=20, lr=0.01, module__hidden=16), random_state=0, **params
    )


@pytest.fixture(scope="module")
def data():
    rng = np.random.RandomState(0)
    X = rng.uniform(-0.5, 1.5, (60, 3))
    y = (X[:, 0] > 0.5).astype(int)
    return X, y, np.where(np.arange(60) < 12, y, -1)


YES_NO = {0: "no", 1: "yes"}


def test_fit_hands_over_the_teacher_and_predict_does_not_run_it(data):
    X, y, hidden = data
    pipe = make_pipeline(TeacherProba(OwnTeacher()), student(classes=YES_NO))
    OwnTeacher.seen = 0
    pipe.fit(X, hidden)
    assert OwnTeacher.seen == 60
    assert pipe.score(X, y) > 0.9
    pipe.predict_proba(X)
    assert OwnTeacher.seen == 60
    taught = TeacherProba(OwnTeacher()).fit_transform(X, hidden)
    direct = student().fit(X, hidden, teacher_proba=taught.proba)
    assert np.array_equal(direct.predict_proba(X), pipe.predict_proba(X))


def test_columns_are_matched_by_name(data):
    X, y, hidden = data
    names = np.array(["no", "yes", "?"])
    results = [
        make_pipeline(TeacherProba(OwnTeacher(order)), student(missing_label="?"))
        .fit(X if order == ("no", "yes") else 1 - X, names[hidden])
        .predict(X if order == ("no", "yes") else 1 - X)
        for order in (("no", "yes"), ("yes", "no"))
    ]
    for predicted in results:
        assert (predicted == names[y]).mean() > 0.9


def test_numbers_for_names_need_a_mapping(data):
    X, y, hidden = data
    pipe = make_pipeline(TeacherProba(OwnTeacher(("yes", "no"))), student())
    with pytest.raises(ValueError, match=r"numbers such as 0, .*names.*classes=\{0: "):
        pipe.fit(1 - X, hidden)
    pipe.set_params(dhoclassifier__classes={1: "yes", 0: "no"}).fit(1 - X, hidden)
    assert pipe.classes_.tolist() == [0, 1]
    assert pipe.score(1 - X, y) > 0.8
    nothing = make_pipeline(TeacherProba(OwnTeacher()), student()).fit(X, np.full(60, -1))
    assert nothing.classes_.tolist() == ["no", "yes"]
    assert nothing.score(X, np.array(["no", "yes"])[y]) > 0.8
    with pytest.raises(ValueError, match="numbers such as 0"):
        nothing.score(X, y)


def test_labels_the_teacher_does_not_know_are_refused(data):
    X, _, hidden = data
    pipe = make_pipeline(TeacherProba(OwnTeacher()), student())
    known = np.array(["no", "other", None], dtype=object)[hidden]
    pipe.set_params(dhoclassifier__missing_label=None)
    with pytest.raises(ValueError, match=r"labels \['other'\].*classes="):
        pipe.fit(X, known)


def test_a_step_in_between_is_refused(data):
    X, _, hidden = data
    pipe = make_pipeline(TeacherProba(OwnTeacher()), StandardScaler(), student())
    with pytest.raises(TypeError, match=r"TeacherProba\(features="):
        pipe.fit(X, hidden)


def test_teacher_sees_raw_texts_and_the_student_features():
    class Reader(BaseEstimator):
        def fit(self, X, y=None):
            self.classes_ = np.array(["bad", "good"])
            return self

        def predict_proba(self, X):
            good = np.array([0.9 if "good" in text else 0.1 for text in X])
            return np.column_stack([1 - good, good])

    texts = [f"{word} thing {n}" for n in range(20) for word in ("good", "bad")]
    y = [None] * 40
    y[:2] = ["good", "bad"]
    teach = TeacherProba(Reader(), features=TfidfVectorizer())
    pipe = make_pipeline(teach, student(missing_label=None)).fit(texts, y)
    assert pipe.predict(["a good one", "one bad"]).tolist() == ["good", "bad"]
    assert sparse.issparse(pipe[0].transform(texts))
    assert "good" in pipe[0].get_feature_names_out()
    for raw in (texts, np.array(texts), np.array(texts, dtype=object)):
        with pytest.raises(ValueError, match="TfidfVectorizer"):
            TeacherProba(Reader()).fit(raw, y)


def test_matrix_and_foreign_teachers(data):
    X, y, hidden = data
    proba = OwnTeacher().predict_proba(X)
    pipe = make_pipeline(TeacherProba(proba), student()).fit(X, hidden)
    assert pipe.score(X, y) > 0.9
    with pytest.raises(ValueError, match="60 rows of probabilities for 30 rows"):
        pipe.fit(X[:30], hidden[:30])
    with pytest.raises(TypeError, match="must have predict_proba"):
        TeacherProba("clip").fit(X, hidden)
    frozen = FrozenEstimator(LogisticRegression().fit(X, y))
    assert make_pipeline(TeacherProba(frozen), student()).fit(X, hidden).score(X, y) > 0.8
    learned = make_pipeline(TeacherProba(LogisticRegression()), student())
    with pytest.raises(ValueError, match=r"-1.*FrozenEstimator"):
        learned.fit(X, hidden)


def test_search_scores_labeled_rows_like_a_loop_by_hand():
    X, y = load_digits(return_X_y=True)
    X, y = X[:400] / 16, y[:400]
    rng = np.random.RandomState(0)
    hidden = np.where(rng.uniform(size=400) < 0.8, -1, y)
    proba = 0.7 * np.eye(10)[y] + 0.03
    lookup = {row.tobytes(): row_proba for row, row_proba in zip(X, proba, strict=True)}

    class Oracle(BaseEstimator):
        def fit(self, X, y=None):
            self.classes_ = np.arange(10)
            return self

        def predict_proba(self, X):
            return np.array([lookup[row.tobytes()] for row in X])

    net = DHONet(max_epochs=5, module__hidden=16)
    pipe = make_pipeline(TeacherProba(Oracle()), DHOClassifier(net, random_state=0))
    grid = {
        "dhoclassifier__distill_weight": [0.2, 0.8],
        "dhoclassifier__temperature": [1.0, 3.0],
        "dhoclassifier__net__lr": [1e-3, 1e-2],
    }
    cv = LabeledStratifiedKFold(3)
    search = GridSearchCV(pipe, grid, cv=cv).fit(X, hidden)
    labeled = np.flatnonzero(hidden != -1)
    for number, params in enumerate(ParameterGrid(grid)):
        for fold, (train, test) in enumerate(cv.split(X, hidden)):
            known = np.full(400, -1)
            rows = np.setdiff1d(labeled, test)
            known[rows] = y[rows]
            clf = clone(pipe[-1]).set_params(
                **{name.removeprefix("dhoclassifier__"): value for name, value in params.items()}
            )
            clf.set_params(classes=range(10)).fit(
                X[train], known[train], teacher_proba=proba[train]
            )
            expected = np.mean(clf.predict(X[test]) == y[test])
            assert search.cv_results_[f"split{fold}_test_score"][number] == expected


def test_teacher_proba_is_cut_with_x_under_metadata_routing(data):
    X, _, hidden = data
    proba = OwnTeacher().predict_proba(X)
    seen = []

    class Spy(DHOClassifier):
        def fit(self, X, y, teacher_proba=None):
            seen.append((np.asarray(X), np.asarray(teacher_proba)))
            return super().fit(X, y, teacher_proba)

    spy = Spy(DHONet(max_epochs=1), random_state=0)
    grid = {"temperature": [1.0, 2.0]}
    with sklearn.config_context(enable_metadata_routing=True):
        spy.set_fit_request(teacher_proba=True)
        search = GridSearchCV(spy, grid, cv=LabeledStratifiedKFold(3))
        search.fit(X, hidden, teacher_proba=proba)
    GridSearchCV(spy, grid, cv=LabeledStratifiedKFold(3)).fit(X, hidden, teacher_proba=proba)
    assert len(seen) == 14
    for rows, row_proba in seen:
        np.testing.assert_array_equal(row_proba, OwnTeacher().predict_proba(rows))


def test_soft_labels_are_cut_like_an_array(data):
    X, _, hidden = data
    taught = TeacherProba(OwnTeacher()).fit_transform(X, hidden)
    model = student(classes=YES_NO)
    search = GridSearchCV(model, {"distill_weight": [0, 1]}, cv=LabeledStratifiedKFold(3))
    assert search.fit(taught, hidden).predict(taught).shape == (60,)
    cut = taught[np.array([5, 2])]
    assert isinstance(cut, SoftLabeled)
    np.testing.assert_array_equal(cut.X, X[[5, 2]])
    np.testing.assert_array_equal(cut.proba, taught.proba[[5, 2]])
    with pytest.raises(ValueError, match="carries teacher probabilities already"):
        student().fit(taught, hidden, teacher_proba=taught.proba)


def test_memory_spares_teacher_and_features(tmp_path, data):
    X, _, hidden = data
    teach = TeacherProba(
        OwnTeacher(), FunctionTransformer(np.abs), memory=str(tmp_path), cache=False
    )
    OwnTeacher.seen = 0
    first = teach.fit_transform(X, hidden)
    again = clone(teach).fit_transform(X, hidden)
    assert OwnTeacher.seen == 60
    np.testing.assert_array_equal(first.proba, again.proba)
    np.testing.assert_array_equal(first.X, again.X)


def test_without_a_teacher_it_passes_x_on(data):
    X, _y, hidden = data
    assert np.array_equal(TeacherProba().fit_transform(X, hidden), X)
    alone = make_pipeline(TeacherProba(), student()).fit(X, hidden)
    assert np.array_equal(alone.predict_proba(X), student().fit(X, hidden).predict_proba(X))


def test_fitted_pipeline_survives_pickling(data):
    X, _, hidden = data
    pipe = make_pipeline(TeacherProba(OwnTeacher()), student(classes=YES_NO)).fit(X, hidden)
    assert np.array_equal(pickle.loads(pickle.dumps(pipe)).predict_proba(X), pipe.predict_proba(X))


def test_a_grid_search_encodes_each_training_row_once_and_no_other(monkeypatch):
    seen = []
    encode = OpenCLIPEncoder.encode_image

    def counting(self, X):
        seen.extend(image.tobytes() for image in X)
        return encode(self, X)

    monkeypatch.setattr(OpenCLIPEncoder, "encode_image", counting)
    X, y = load_glyph_digits(return_X_y=True)
    X, other = X[:150], X[150:200]
    hidden = np.where(np.arange(150) % 3 == 0, y[:150], -1)
    teacher = ZeroShotTeacher(OpenCLIPEncoder(cache=EmbeddingCache()))
    net = DHONet(max_epochs=2, module__hidden=8)
    pipe = make_pipeline(TeacherProba(teacher), DHOClassifier(net, random_state=0))
    grid = {"dhoclassifier__temperature": [1.0, 2.0], "dhoclassifier__net__lr": [1e-3, 1e-2]}
    search = GridSearchCV(pipe, grid, cv=LabeledStratifiedKFold(2)).fit(X, hidden)
    search.predict(other)
    assert sorted(seen) == sorted(image.tobytes() for image in X)
