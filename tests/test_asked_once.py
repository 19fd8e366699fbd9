"""Every teacher is asked once for each row, ever: functions and classifiers of the user's own."""

import functools
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skactivekd import (
    DHOClassifier,
    DHONet,
    EmbeddingCache,
    LabeledOnly,
    LabeledStratifiedKFold,
    TeacherProba,
    ZeroShotTeacher,
    labeled_accuracy,
)

X = np.random.default_rng(0).normal(size=(60, 4))
Y = np.where(np.arange(60) < 30, (X[:, 0] > 0).astype(int), -1)


def answer(rows):
    first = 1 / (1 + np.exp(-np.asarray(rows, dtype=float)[:, 0]))
    return np.column_stack([1 - first, first])


class Asks:
    """A function that counts the rows it is asked for."""

    def __init__(self, answer=answer):
        self.n_rows, self.answer = 0, answer

    def __call__(self, rows):
        self.n_rows += rows.shape[0] if hasattr(rows, "shape") else len(rows)
        return self.answer(rows)


def counted(answer=answer):
    """A closure that does the same."""
    asked = []

    def teacher(rows):
        asked.extend(range(len(rows)))
        return answer(rows)

    return teacher, lambda: len(asked)


class Plain:
    """Not of scikit-learn, and never fitted."""

    n_rows = 0

    def predict_proba(self, rows):
        Plain.n_rows += len(rows)
        return answer(rows)


class Trivial(ClassifierMixin, BaseEstimator):
    """An estimator that learns nothing, as who calls a server writes it."""

    n_rows = 0

    def fit(self, X, y=None):
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, rows):
        Trivial.n_rows += len(rows)
        return answer(rows)


def kept(teacher, **params):
    return TeacherProba(teacher, **({"cache": EmbeddingCache()} | params))


def make_teacher(kind):
    if kind == "an object that is called":
        teacher = Asks()
        return teacher, lambda: teacher.n_rows
    if kind == "a closure":
        return counted()
    if kind == "a part":
        function, count = counted()
        return functools.partial(lambda rows, function: function(rows), function=function), count
    Plain.n_rows = Trivial.n_rows = 0
    if kind == "a frozen one":
        return FrozenEstimator(Trivial().fit(X)), lambda: Trivial.n_rows
    teacher = Plain() if kind == "an object" else Trivial()
    return teacher, lambda: type(teacher).n_rows


KINDS = [
    "an object that is called",
    "a closure",
    "a part",
    "an object",
    "an estimator",
    "a frozen one",
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_grid_search_asks_for_each_row_once(kind):
    teacher, count = make_teacher(kind)
    step = kept(teacher)
    for seed in (0, 1):
        net = DHONet(max_epochs=1, module__hidden=2)
        student = DHOClassifier(net, classes=[0, 1], random_state=seed)
        search = GridSearchCV(
            make_pipeline(step, student),
            {"dhoclassifier__distill_weight": [0.0, 0.3, 0.6, 0.9]},
            cv=LabeledStratifiedKFold(3, shuffle=True, random_state=seed),
            scoring=labeled_accuracy,
        )
        best = search.fit(X, Y).best_estimator_
    assert count() == 60
    assert (best[0].n_asked_, best[0].n_kept_) == (0, 60)
    np.testing.assert_allclose(step.fit_transform(X, Y).proba, answer(X), atol=1e-6)


def test_threads_wait_for_each_other():
    from joblib import Parallel, delayed

    teacher, count = counted(lambda rows: [time.sleep(0.05), answer(rows)][1])
    steps = [kept(teacher, cache=EmbeddingCache())] * 4
    with Parallel(4, backend="threading") as pool:
        taught = pool(delayed(clone(step).fit_transform)(X, Y) for step in steps)
    assert count() == 60
    assert all(np.array_equal(one.proba, taught[0].proba) for one in taught)


def test_a_fingerprint_leads_into_a_file_and_nothing_else_does(tmp_path):
    path = tmp_path / "answers.sqlite"
    named, count = counted()
    named.fingerprint = lambda: "the first feature"
    first = kept(named, cache=EmbeddingCache(path)).fit_transform(X, Y).proba
    assert (count(), len(EmbeddingCache(path))) == (60, 60)

    other, count = counted(lambda rows: 1 / 0)
    other.fingerprint = lambda: "the first feature"
    again = kept(other, cache=EmbeddingCache(path))
    np.testing.assert_array_equal(again.fit_transform(X, Y).proba, first)
    assert (count(), again.n_asked_, again.n_kept_) == (0, 0, 60)

    changed, count = counted()
    changed.fingerprint = lambda: "the first feature, another way"
    kept(changed, cache=EmbeddingCache(path)).fit(X, Y)
    assert count() == 60

    nameless, count = counted()
    step = kept(nameless, cache=EmbeddingCache(path))
    with pytest.warns(UserWarning, match=r"no fingerprint\(\) of its own.* _identity"):
        step.fit(X, Y)
    step.fit(X, Y)
    assert (count(), len(EmbeddingCache(path))) == (60, 120)


def test_what_a_function_reads_belongs_to_it():
    weight, rows_asked = [0.2], []

    def teacher(rows):
        rows_asked.append(len(rows))
        return np.tile([weight[0], 1 - weight[0]], (len(rows), 1))

    step = kept(teacher)
    assert step.fit_transform(X, Y).proba[0, 0] == np.float32(0.2)
    weight[0] = 0.6
    assert step.fit_transform(X, Y).proba[0, 0] == np.float32(0.6)
    weight[0] = 0.2
    assert step.fit_transform(X, Y).proba[0, 0] == np.float32(0.2)


PROMPT = "one"


class Server:
    """What holds something that cannot be looked into."""

    def __init__(self):
        self.file = open(os.devnull)
        self.n_rows = 0


def test_an_object_that_cannot_be_told_keeps_its_answers_for_itself_alone(tmp_path):
    global PROMPT
    path = tmp_path / "answers.sqlite"
    server = Server()

    def teacher(rows):
        server.file.read()
        server.n_rows += len(rows)
        return answer(rows) if PROMPT == "one" else answer(rows)[:, ::-1]

    step = kept(teacher, cache=EmbeddingCache(path))
    with pytest.warns(UserWarning, match=r"no fingerprint\(\) of its own"):
        step.fit(X, Y)
    with pytest.warns(UserWarning, match=r"60 rows have the answers that this very object gave"):
        clone(step).fit(X, Y)
    step.fit(X, Y)  # it said so once
    assert server.n_rows == 60
    assert not path.exists()
    PROMPT = "two"
    try:
        turned = kept(teacher, cache=step.cache)
        with pytest.warns(UserWarning, match=r"no fingerprint\(\) of its own"):
            proba = turned.fit_transform(X, Y).proba
    finally:
        PROMPT = "one"
    assert server.n_rows == 120
    np.testing.assert_allclose(proba, answer(X)[:, ::-1], atol=1e-6)
    server.file.close()


def test_what_was_fitted_and_cannot_be_told_is_asked_anew():
    class Remote(Trivial):
        def fit(self, X, y=None):
            self.file_ = open(os.devnull)
            return super().fit(X, y)

        def predict_proba(self, rows):
            self.file_.close()
            return super().predict_proba(rows)

    Trivial.n_rows = 0
    step = kept(Remote())
    step.fit(X, Y)
    with pytest.warns(UserWarning, match=r"asked anew for the same rows.*fingerprint\(\)"):
        step.fit(X, Y)
    assert Trivial.n_rows == 120


def test_who_learns_from_the_labels_is_asked_again(capsys):
    step = TeacherProba(LabeledOnly(LogisticRegression(), classes=[0, 1]))
    few = np.where(np.arange(60) < 10, Y, -1)
    first, second = (step.fit_transform(X, y).proba for y in (few, Y))
    assert abs(first - second).max() > 0.01
    assert step.n_asked_ == 60

    class Counts(Trivial):
        def fit(self, X, y=None):
            self.share_ = (np.asarray(y) == 1).mean()
            return super().fit(X, y)

        def predict_proba(self, rows):
            print(len(rows), "rows")
            return np.tile([1 - self.share_, self.share_], (len(rows), 1))

    step = kept(Counts())
    shares = [step.fit_transform(X, y).proba[0, 1] for y in (few, Y, few)]
    assert shares[0] == shares[2] != shares[1]
    assert capsys.readouterr().out == "60 rows\n" * 2


def test_teachers_with_an_encoder_count_what_it_encoded():
    from skactivekd import OpenCLIPEncoder, load_glyph_digits

    images = load_glyph_digits(return_X_y=True)[0][:20]
    cache = EmbeddingCache()
    step = TeacherProba(ZeroShotTeacher(OpenCLIPEncoder(cache=cache)))
    y = np.full(20, -1)
    step.fit(images[:15], y[:15])
    assert (step.n_asked_, step.n_kept_) == (15, 0)
    step.fit(images, y)
    assert (step.n_asked_, step.n_kept_) == (5, 15)
    step = TeacherProba(ZeroShotTeacher(OpenCLIPEncoder(cache=False))).fit(images, y)
    assert (step.n_asked_, step.n_kept_) == (20, 0)


def by_length(rows):
    lengths = np.array([len(str(row)) for row in rows]) % 7 + 1
    return np.column_stack([1 / lengths, 1 - 1 / lengths])


TEXTS = [f"text {'x' * (n % 9)} {n}" for n in range(30)]
IMAGES = [np.full((4, 4 + n % 2, 3), n, dtype=np.uint8) for n in range(10)]
FORMS = {
    "frame": pd.DataFrame(X, columns=list("abcd")),
    "sparse": sparse.csr_matrix(np.where(X > 0.5, X, 0)),
    "sparse array": sparse.coo_array(np.where(X > 0.5, X, 0)),
    "integers": (X * 3).astype(np.int64),
    "images": np.arange(640, dtype=np.uint8).reshape(10, 8, 8),
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_of_every_form_are_known_by_their_content(form):
    rows = FORMS[form]

    def halves(rows):
        n = rows.shape[0]
        return np.full((n, 2), 0.5)

    teacher = Asks(halves)
    step = kept(teacher)
    y = np.full(rows.shape[0], -1)
    step.fit(rows, y)
    n_unique = teacher.n_rows
    assert 0 < n_unique <= len(y)
    rows = rows.tocsr() if sparse.issparse(rows) else rows
    order = np.random.default_rng(0).permutation(len(y))
    step.fit(rows.iloc[order] if hasattr(rows, "iloc") else rows[order], y)
    assert teacher.n_rows == n_unique
    assert step.n_kept_ == len(y)


@pytest.mark.parametrize("rows", [TEXTS, np.array(TEXTS), pd.Series(TEXTS, name="t"), IMAGES])
def test_texts_and_pictures_are_too(rows):
    from sklearn.preprocessing import FunctionTransformer

    teacher = Asks(by_length)
    features = FunctionTransformer(lambda rows: np.zeros((len(rows), 1)))
    step = kept(teacher, features=features)
    for _ in range(2):
        proba = step.fit_transform(rows, np.full(len(rows), -1)).proba
    assert teacher.n_rows == len(rows)
    np.testing.assert_allclose(proba, by_length(rows), atol=1e-6)


def test_equal_rows_are_one_row():
    teacher = Asks()
    step = kept(teacher)
    twice = np.concatenate([X, X[::-1]])
    proba = step.fit_transform(twice, np.full(120, -1)).proba
    assert teacher.n_rows == 60
    assert (step.n_asked_, step.n_kept_) == (60, 60)
    np.testing.assert_array_equal(proba[:60], proba[60:][::-1])


def test_half_precision_keeps_probabilities(tmp_path):
    cache = EmbeddingCache(tmp_path / "half.sqlite", dtype="float16")
    teacher, count = counted()
    teacher.fingerprint = lambda: "half"
    for _ in range(2):
        proba = kept(teacher, cache=cache).fit_transform(X, Y).proba
        np.testing.assert_allclose(proba, answer(X), atol=1e-3)
    assert count() == 60


def frame(names):
    def teacher(rows):
        table = pd.DataFrame(answer(rows), columns=["no", "yes"])
        return table[list(names())]

    teacher.fingerprint = lambda: "a table"
    return teacher


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_names_of_columns_are_kept_with_the_answers(tmp_path, dtype):
    path = tmp_path / "answers.sqlite"
    for turned in (["yes", "no"], ["yes", "no"], ["no", "yes"]):
        for part in (slice(0, 40), slice(20, 60)):
            step = kept(frame(lambda t=turned: t), cache=EmbeddingCache(path, dtype=dtype))
            taught = step.fit_transform(X[part], Y[part])
            assert taught.classes.tolist() == ["yes", "no"]
            np.testing.assert_allclose(taught.proba[:, 1], answer(X[part])[:, 0], atol=1e-3)
            assert taught.exact
        assert step.n_asked_ <= 20


def test_batches_are_of_the_size_that_was_asked_for():
    sizes = []

    def teacher(rows):
        sizes.append(len(rows))
        return answer(rows)

    kept(teacher, batch_size=25).fit(X, Y)
    assert sizes == [25, 25, 10]


def test_progress_is_shown(capsys, monkeypatch):
    monkeypatch.setattr("skactivekd.utils._progress_bar.LATE", 0)
    kept(Asks(), batch_size=30, verbose=1).fit(X, Y)
    assert "60/60" in capsys.readouterr().err


def test_without_a_cache_all_rows_are_asked_each_time():
    teacher = Asks()
    step = TeacherProba(teacher, cache=False)
    step.fit(X, Y).fit(X, Y)
    assert teacher.n_rows == 120
    assert (step.n_asked_, step.n_kept_) == (60, 0)


BAD = {
    "sum": (lambda p: p * 2, r"row 47 does not sum to one"),
    "nan": (lambda p: p * np.nan, r"row 47 has a value that is not finite"),
    "negative": (lambda p: p - [[2, -2]], r"row 47 has a negative value"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_answers_are_named_as_they_stand_in_x(fault):
    spoil, match = BAD[fault]

    def teacher(rows):
        proba = answer(rows)
        bad = (rows == X[47]).all(axis=1)
        proba[bad] = spoil(proba[bad])
        return proba

    step = kept(teacher, batch_size=8)
    step.fit(X[:40], Y[:40])
    with pytest.raises(ValueError, match=rf"teacher\(X\): {match}"):
        step.fit(X, Y)
    step.fit(X[:40], Y[:40])
    assert step.n_asked_ == 0


def test_a_function_that_answers_for_all_rows_is_told_to_be_a_matrix():
    step = kept(lambda rows: answer(X))
    step.fit(X, Y)
    with pytest.raises(ValueError, match=r"60 rows for 59 rows of X.*as a matrix"):
        kept(lambda rows: answer(X)).fit(np.concatenate([X[:59], X[:1]]), Y)


@pytest.mark.parametrize(
    ("teacher", "error", "match"),
    [
        (answer(X), ValueError, "a matrix: there is nothing to keep"),
        (None, ValueError, "no teacher: there is nothing to keep"),
        (ZeroShotTeacher(), ValueError, r"ZeroShotTeacher.*give it to the encoder\(cache=\.\.\.\)"),
        (LogisticRegression(), ValueError, "learns anew.*FrozenEstimator"),
    ],
)
def test_a_cache_for_which_there_is_nothing_is_refused(teacher, error, match):
    with pytest.raises(error, match=match):
        TeacherProba(teacher, cache=EmbeddingCache()).fit(X, Y)


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"cache": "answers.sqlite"}, r"EmbeddingCache\('answers.sqlite'\)"),
        ({"cache": True}, "must be None"),
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"batch_size": 2.5}, "batch_size=2.5 must be an integer"),
    ],
)
def test_wrong_settings_are_refused(params, match):
    with pytest.raises((ValueError, TypeError), match=match):
        TeacherProba(answer, **params).fit(X, Y)


def test_rows_without_content_are_asked_each_time():
    class Row:
        def __reduce__(self):
            raise RuntimeError("this row is a connection")

    from sklearn.preprocessing import FunctionTransformer

    teacher = Asks(lambda rows: np.full((len(rows), 2), 0.5))
    features = FunctionTransformer(lambda rows: np.zeros((len(rows), 1)))
    step = kept(teacher, features=features)
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"asked for all rows.*this row is a connection"):
            step.fit([Row(), Row()], [-1, -1])
    assert teacher.n_rows == 4


def test_clones_share_a_teacher_that_is_no_estimator():
    teacher = Asks()
    step = kept(teacher, batch_size=7)
    copied = clone(step)
    assert copied.teacher is teacher
    assert copied.get_params() == step.get_params()
    assert clone(kept(Trivial())).teacher is not Trivial


def test_a_class_added_in_a_session_asks_nobody():
    from skactivekd.session._student import widen

    teacher = Asks()
    cache = EmbeddingCache()
    kept(teacher, cache=cache).fit(X, Y)
    wide = widen(widen(teacher, 2, 1), 3, 2)
    proba = kept(wide, cache=cache).fit_transform(X, Y).proba
    assert teacher.n_rows == 60
    assert proba.shape == (60, 5)
    np.testing.assert_allclose(proba[:, :2], answer(X), atol=1e-6)


KILLED = """
import sys, time
import numpy as np
from skactivekd import EmbeddingCache, TeacherProba

path, log, out = sys.argv[1:]

def teacher(rows):
    with open(log, "a") as file:
        file.write("".join(f"{int(row)} " for row in rows[:, 0]))
    time.sleep(0.01)
    return np.column_stack([rows[:, 0] / 400, 1 - rows[:, 0] / 400])

teacher.fingerprint = lambda: "a share"
X = np.arange(400.0)[:, None]
step = TeacherProba(teacher, cache=EmbeddingCache(path), batch_size=4)
np.save(out, step.fit_transform(X, np.full(400, -1)).proba)
"""


@pytest.mark.thorough
@pytest.mark.skipif(not hasattr(os, "kill") or os.name == "nt", reason="needs signals")
def test_after_a_kill_at_most_one_batch_is_asked_again(tmp_path):
    log, out, wanted = tmp_path / "log", tmp_path / "proba.npy", random.randint(40, 300)
    for attempt in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path / "answers.sqlite"), str(log), str(out)]
        )
        while attempt == 0 and process.poll() is None and n_words(log) < wanted:
            time.sleep(0.002)
        if attempt == 0:
            process.send_signal(signal.SIGKILL)
        process.wait()
    rows = np.array(log.read_text().split(), dtype=int)
    assert set(rows) == set(range(400))
    assert len(rows) <= 400 + 4
    np.testing.assert_allclose(np.load(out)[:, 0], np.arange(400) / 400, atol=1e-6)


def n_words(file):
    return len(file.read_text().split()) if file.exists() else 0


def test_rows_are_counted_once_whoever_asks_inside():
    from skactivekd import Embedder, OpenCLIPEncoder, load_glyph_digits

    images, y = (part[:30] for part in load_glyph_digits(return_X_y=True))
    encoder = OpenCLIPEncoder(cache=EmbeddingCache())
    zero_shot = ZeroShotTeacher(encoder).fit()
    step = kept(lambda rows: zero_shot.predict_proba(rows))
    assert step.fit(images[:10], y[:10]).n_asked_ == 10
    probe = LabeledOnly(make_pipeline(Embedder(encoder), LogisticRegression()))
    step = TeacherProba(probe).fit(images, y)
    assert (step.n_asked_, step.n_kept_) == (20, 10)
    assert TeacherProba(LogisticRegression()).fit(X, np.arange(60) % 2).n_asked_ == 60
