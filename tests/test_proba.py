"""Matrices of probabilities: one check at every door, for every dtype and container."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from test_strategies_common import FACTORIES, looks_at, make

from skactivekd import DHOClassifier, DHONet, LabeledOnly, TeacherProba, teacher_report
from skactivekd.inspection import prediction_clusters
from skactivekd.metrics import best_temperature, expected_calibration_error, reliability_curve
from skactivekd.utils._matrix import as_ndarray
from skactivekd.utils._proba import check_proba, column_names, find_columns, ordered_proba

N = 24
X = np.random.default_rng(0).normal(size=(N, 3))
Y = np.arange(N) % 3
# Eighths are exact in every dtype, so that all of them have to give the same.
PROBA = np.array([[0.625, 0.25, 0.125], [0.125, 0.625, 0.25], [0.25, 0.125, 0.625]])[Y]
PROBA[15:] = PROBA[15:, ::-1]


def nullable(values, dtype="Float64"):
    return pd.DataFrame(values, columns=[0, 1, 2]).astype(dtype)


FORMS = {
    "float16": lambda p: p.astype(np.float16),
    "float32": lambda p: p.astype(np.float32),
    "longdouble": lambda p: p.astype(np.longdouble),
    "big endian": lambda p: p.astype(">f8"),
    "column order": np.asfortranarray,
    "list": lambda p: p.tolist(),
    "tuples": lambda p: tuple(map(tuple, p.tolist())),
    "objects": lambda p: p.astype(object),
    "frame": lambda p: nullable(p, float),
    "nullable": nullable,
    "nullable float32": lambda p: nullable(p, "Float32"),
    "tensor": torch.from_numpy,
    "tensor with gradient": lambda p: torch.from_numpy(p).requires_grad_(),
    "float16 tensor": lambda p: torch.from_numpy(p).half(),
    "bfloat16 tensor": lambda p: torch.from_numpy(p).bfloat16(),
    "masked nowhere": np.ma.masked_array,
}
BAD = {
    "sum": (lambda p: np.where(np.arange(N)[:, None] == 5, p * 1.01, p), "row 5 .*sum to one"),
    "negative": (
        lambda p: np.where(np.arange(N)[:, None] == 5, [1.5, -0.5, 0], p),
        "row 5 has a negative value",
    ),
    "nan": (lambda p: np.where(np.arange(N)[:, None] == 5, [np.nan, 1, 0], p), "row 5 .*finite"),
    "inf": (lambda p: np.where(np.arange(N)[:, None] == 5, [np.inf, 1, 0], p), "row 5 .*finite"),
    "NA": (lambda p: nullable(p).mask(np.eye(N, 3, -5, dtype=bool)), "row 5 .*finite"),
    "logits": (lambda p: np.log(p), "row 0 .*softmax"),
    "integers": (lambda p: (p * 8).astype(int), "row 0 .*sum to one"),
    "columns": (lambda p: p[:, :0], "two dimensions|no columns"),
    "three dimensions": (lambda p: p[None], "two dimensions|matrix of|returned 1 rows"),
    "one dimension": (lambda p: p[:, 0], "two dimensions|matrix of|returned 1 rows"),
    "ragged": (lambda p: [*p.tolist()[:-1], [1.0]], "two dimensions|matrix of|inhomogeneous"),
    "mask": (lambda p: np.ma.masked_less(p, 0.2), "hides values by a mask"),
    "text": (lambda p: p.astype(str), "must hold real numbers"),
    "text in objects": (lambda p: p.astype(str).astype(object), "must hold real numbers"),
    "text in frame": (lambda p: nullable(p, "string"), "must hold real numbers"),
    "complex": (lambda p: p.astype(complex), "must hold real numbers"),
    "sparse": (sparse.csr_matrix, r"is sparse|matrix of|two dimensions"),
}


def frozen(answer):
    """A fitted classifier that answers so."""

    class Frozen(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            self.classes_ = np.arange(3)
            return self

        def predict_proba(self, X):
            return answer

    return Frozen().fit(X, Y)


def student():
    return DHOClassifier(DHONet(max_epochs=2, module__hidden=8), random_state=0, classes=range(3))


def select(name):
    def call(proba):
        strategy = make(FACTORIES[name])
        return strategy.select(proba, features_pool=X, n_instances=5).tolist()

    return call


KNOWN = np.where(np.arange(N) < 9, Y, -1)
DOORS = {
    **{f"select {name}": select(name) for name in looks_at("proba_pool")},
    "fit": lambda p: student().fit(X, KNOWN, teacher_proba=p).predict_proba(X).tolist(),
    "TeacherProba": lambda p: TeacherProba(p).fit_transform(X, KNOWN).proba.tolist(),
    "function": lambda p: TeacherProba(lambda X: p).fit_transform(X, KNOWN).proba.tolist(),
    "teacher": lambda p: TeacherProba(frozen(p)).fit_transform(X, KNOWN).proba.tolist(),
    "LabeledOnly": lambda p: LabeledOnly(frozen(p)).fit(X, Y).predict_proba(X).tolist(),
    "report": lambda p: teacher_report(p, y=KNOWN).accuracy,
    "report of a teacher": lambda p: teacher_report(frozen(p), X, KNOWN).accuracy,
    "temperature": lambda p: best_temperature(p, Y),
    "reliability": lambda p: reliability_curve(p, Y)["accuracy"].tolist(),
    "calibration error": lambda p: expected_calibration_error(p, Y),
    "clusters": lambda p: prediction_clusters(p, n_clusters=4, n_shuffles=1).mean_radius,
}
OWN_TYPE = {"TeacherProba", "report"}  # a thing that is no matrix is no teacher either: TypeError


@pytest.mark.parametrize("door", DOORS)
def test_every_form_of_a_matrix_gives_the_same(door):
    expected = DOORS[door](PROBA)
    for name, form in FORMS.items():
        found = DOORS[door](form(PROBA))
        np.testing.assert_allclose(found, expected, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("fault", BAD)
def test_what_is_no_probability_is_refused_in_the_same_words(door, fault):
    bad, message = BAD[fault]
    numeric = fault.startswith("text") or fault in ("complex", "sparse")
    error = TypeError if numeric else ValueError
    shapes = ("columns", "three dimensions", "one dimension", "ragged")
    if door in OWN_TYPE and fault in shapes:
        error = (TypeError, ValueError)
    with pytest.raises(error, match=message):
        DOORS[door](bad(PROBA))


def test_rounding_is_tolerated_as_far_as_the_dtype_goes():
    proba = np.random.default_rng(0).dirichlet(np.ones(1000), size=20)
    check_proba(proba.astype(np.float16), "p")
    two = torch.tensor([[0.9, 0.1], [0.7, 0.3]])
    check_proba(two.bfloat16(), "p")
    off = torch.tensor([[0.9, 0.095]])
    with pytest.raises(ValueError, match="p: row 0 does not sum to one"):
        check_proba(off, "p")
    assert as_ndarray(check_proba(two.bfloat16(), "p")).dtype == np.float32
    check_proba([[1 + 1e-7, -1e-7]], "p")
    with pytest.raises(ValueError, match="p: row 0 has a negative value"):
        check_proba([[1 + 1e-4, -1e-4]], "p")


def test_integers_and_booleans_of_one_hot_rows_are_taken():
    for dtype in (int, np.uint8, bool):
        hot = np.eye(3, dtype=dtype)[Y]
        assert TeacherProba(hot).fit_transform(X, KNOWN).proba.shape == (N, 3)
        assert check_proba(hot, "p") is hot


def test_arrays_are_not_copied(tmp_path):
    for matrix in (PROBA, np.asfortranarray(PROBA), PROBA.astype(np.float32)):
        assert check_proba(matrix, "p") is matrix
    np.save(tmp_path / "p.npy", PROBA)
    mapped = np.load(tmp_path / "p.npy", mmap_mode="r")
    assert isinstance(as_ndarray(check_proba(mapped, "p")), np.memmap)
    tensor = torch.from_numpy(PROBA)
    assert as_ndarray(check_proba(tensor, "p")).base is not None
    soft = TeacherProba(PROBA).fit_transform(X, KNOWN)
    assert np.shares_memory(soft.proba, PROBA)


def test_rows_of_another_number_are_refused():
    for door in ("fit", "function", "teacher", "LabeledOnly", "report of a teacher"):
        words = f"each of the {N} rows of X, but has {N - 1}|returned {N - 1} rows for the {N} rows"
        with pytest.raises(ValueError, match=words):
            DOORS[door](PROBA[:-1])
    with pytest.raises(ValueError, match="returned 23 rows for the 15 rows of X"):
        make(FACTORIES["Margin"]).query(X, KNOWN, frozen(PROBA[:-1]))
    with pytest.raises(ValueError, match="2 columns"):
        DOORS["LabeledOnly"](np.full((N, 2), 0.5))
    with pytest.raises(ValueError, match=r"2 columns, but teacher.classes_ names 3"):
        DOORS["teacher"](np.full((N, 2), 0.5))


def test_columns_of_frames():
    frame = pd.DataFrame(PROBA, columns=["c", "a", "b"])
    assert column_names(PROBA, "p") is None
    assert column_names(SimpleNamespace(columns=3), "p") is None
    assert column_names(frame, "p").tolist() == ["c", "a", "b"]
    np.testing.assert_array_equal(ordered_proba(frame, ["a", "b", "c"], "p"), PROBA[:, [1, 2, 0]])
    for names, message in (
        (["a", "b"], r"\['c'\] are no classes"),
        (["a", "b", "d"], r"\['d'\] have no column and \['c'\] are no classes"),
        (range(3), r"matched by name: set p.columns"),
    ):
        with pytest.raises(ValueError, match=message):
            find_columns(["c", "a", "b"], names, "p")


def test_columns_of_an_arrow_table_are_matched_by_name():
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"dog": [0.75, 0.5], "cat": [0.25, 0.5]})
    found = ordered_proba(table, ["cat", "dog"], "teacher_proba")
    np.testing.assert_array_equal(found, [[0.25, 0.75], [0.5, 0.5]])
    with pytest.raises(ValueError, match="'owl'"):
        ordered_proba(table, ["cat", "owl"], "teacher_proba")
