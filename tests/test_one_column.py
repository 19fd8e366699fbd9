"""A table of one column of texts, paths or images is n rows, not one."""

import inspect

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import skactivekd.query
from skactivekd import (
    CLAPTeacher,
    DHOClassifier,
    DHONet,
    Embedder,
    LabeledOnly,
    TeacherProba,
    TipAdapterTeacher,
    ZeroShotTeacher,
    simulate,
)
from skactivekd._take_rows import one_column
from skactivekd.encoders import OpenCLIPEncoder
from skactivekd.query import FromSkactiveml, QueryStrategy

N = 30
TEXTS = [f"{'good' if row % 2 else 'bad'} word{row} word{row % 5}" for row in range(N)]
TABLES = {
    "frame": lambda rows: pd.DataFrame({"item": rows}, index=np.arange(len(rows)) + 9),
    "array": lambda rows: _objects(rows)[:, None],
    "lists": lambda rows: [[row] for row in rows],
    "tuples": lambda rows: tuple((row,) for row in rows),
}
STRATEGIES = [
    value
    for value in vars(skactivekd.query).values()
    if inspect.isclass(value)
    and issubclass(value, QueryStrategy)
    and value not in (QueryStrategy, FromSkactiveml)
]


def _objects(rows):
    array = np.empty(len(rows), dtype=object)
    array[:] = rows
    return array


class Letters:
    """A text encoder that counts a few letters, and takes a plain list."""

    def encode_text(self, texts):
        counts = [[text.count("g") + 0.1, text.count("b"), text.count("1")] for text in texts]
        counts = np.array(counts, dtype=np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    names = []
    for row in range(6):
        names.append(str(folder / f"{row}.png"))
        Image.fromarray(np.full((8, 8), 40 * row, np.uint8)).save(names[-1])
    return names


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("Teacher", [ZeroShotTeacher, CLAPTeacher, TipAdapterTeacher])
def test_teachers_take_the_column_of_texts(table, Teacher):
    y = np.where(np.arange(N) < 8, np.arange(N) % 2, -1)

    def proba(X):
        params = {"classes": ["bad", "good"]}
        teacher = Teacher(Letters(), **params).fit(X, [("bad", "good", "?")[c] for c in y])
        return teacher.predict_proba(X)

    if Teacher is not ZeroShotTeacher:
        Teacher = lambda *args, _kind=Teacher, **kw: _kind(*args, missing_label="?", **kw)  # noqa: E731
    np.testing.assert_array_equal(proba(TABLES[table](TEXTS)), proba(TEXTS))


@pytest.mark.parametrize("table", TABLES)
def test_encoders_take_the_column_of_paths_and_images(table, paths):
    encoder = OpenCLIPEncoder(cache=False)
    expected = encoder.encode_image(paths)
    images = [Image.open(path) for path in paths]
    for rows in (paths, images):
        np.testing.assert_array_equal(encoder.encode_image(TABLES[table](rows)), expected)
        embedder = Embedder(OpenCLIPEncoder()).fit(TABLES[table](rows))
        np.testing.assert_allclose(embedder.transform(TABLES[table](rows)), expected, atol=1e-6)
    texts = encoder.encode_text(["one", "two"])
    np.testing.assert_array_equal(encoder.encode_text(TABLES[table](["one", "two"])), texts)


def test_a_missing_path_is_named_by_its_row(paths):
    frame = TABLES["frame"]([*paths, None, "nowhere.png"])
    with pytest.raises(ValueError, match=r"(?s)row 6: (None|nan).*row 7: nowhere\.png"):
        OpenCLIPEncoder().encode_image(frame)


def test_what_is_no_single_column_of_items_stays():
    for rows in (
        np.eye(3),
        np.eye(3)[:, :1],
        np.array([["a", "b"]]),
        np.array([[1], [2]], dtype=object),
        pd.DataFrame({"a": [1.0, 2.0]}),
        pd.DataFrame({"a": ["x"], "b": ["y"]}),
        pd.Series(["x"]),
        sparse.csr_array(np.ones((3, 1))),
        [[1.0], [2.0]],
        ["a", "b"],
        [["a", "b"]],
        [],
        None,
        3,
    ):
        assert one_column(rows) is rows


def test_a_student_of_texts_in_one_column():
    frame = TABLES["frame"](TEXTS)
    y = np.where(np.arange(N) < 8, np.arange(N) % 2, -1)
    student = DHOClassifier(DHONet(max_epochs=1, module__hidden=8), random_state=0)
    teacher = ZeroShotTeacher(Letters(), classes=["bad", "good"])
    names = np.array(["bad", "good", "?"])[y]
    good = make_pipeline(
        TeacherProba(teacher, features=ColumnTransformer([("t", TfidfVectorizer(), "item")])),
        student.set_params(missing_label="?"),
    ).fit(frame, names)
    plain = make_pipeline(TeacherProba(teacher, features=TfidfVectorizer()), student)
    plain.fit(TEXTS, names)
    np.testing.assert_array_equal(good.predict_proba(frame), plain.predict_proba(TEXTS))
    with pytest.raises(ValueError, match=r"TfidfVectorizer returned 1 rows for the 30 .*X\['item'"):
        plain.fit(frame, names)
    plain.fit(TEXTS, names)
    with pytest.raises(ValueError, match=r"TfidfVectorizer returned 1 rows for the 30 .*X\['item'"):
        plain.predict_proba(frame)
    bare = make_pipeline(TeacherProba(teacher), student)
    with pytest.raises(ValueError, match="X holds texts, which"):
        bare.fit(frame, names)


def test_a_teacher_that_sees_one_row_is_refused():
    frame = TABLES["frame"](TEXTS)
    inner = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, np.arange(N) % 2)

    class Fitted:
        def predict_proba(self, X):
            return inner.predict_proba(X)

    with pytest.raises(
        ValueError, match=r"must have a row for each of the 30 rows of X, but has 1"
    ):
        TeacherProba(Fitted(), features="passthrough").fit(frame.assign(item=np.arange(30.0)))


def make(Strategy):
    drawing = "random_state" in inspect.signature(Strategy).parameters
    return Strategy(**({"random_state": 0} if drawing else {}))


@pytest.mark.parametrize("Strategy", STRATEGIES)
def test_strategies_count_the_rows_of_a_table(Strategy):
    frame = TABLES["frame"](TEXTS)
    y = np.where(np.arange(N) < 8, np.arange(N) % 2, -1)
    features = ColumnTransformer([("t", TfidfVectorizer(), "item")])
    knowing = make_pipeline(features, LogisticRegression()).fit(frame[:8], y[:8])
    plain = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS[:8], y[:8])
    strategy = make(Strategy)
    expected = strategy.query(TEXTS, y, plain, 5)
    np.testing.assert_array_equal(strategy.query(frame, y, knowing, 5), expected)
    if Strategy.__name__ != "Random":  # it asks nobody
        with pytest.raises(ValueError, match=r"Pipeline returned 1 rows for the \d+ rows .*'item'"):
            strategy.query(frame, y, plain, 1)


def test_numbers_in_one_column_are_rows_as_well():
    values = np.arange(N) % 7.0
    y = (values > 3).astype(int)
    model = LabeledOnly(LogisticRegression(), classes=[0, 1])
    results = [
        simulate(
            model, X, y, X_test=X, y_test=y, n_rounds=2, n_instances=3, seeds=1, progress=False
        )
        for X in (values[:, None], pd.DataFrame({"a": values}), values[:, None].tolist())
    ]
    assert results[0].equals(results[1])
    assert results[0].equals(results[2])
