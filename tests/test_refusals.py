"""Calls that cannot mean what their user thinks: each is refused in words, wherever it is made."""

import decimal

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skactivekd import (
    DHOClassifier,
    DHONet,
    LabeledStratifiedKFold,
    Margin,
    PCoreSet,
    Random,
    TeacherProba,
    ZeroShotTeacher,
    rank_table,
    simulate,
)
from skactivekd.metrics._curves import check_rows
from skactivekd.metrics._reliability import accuracy_interval
from skactivekd.modal import ActiveLearner
from skactivekd.plotting import LabelEfficiencyDisplay
from skactivekd.student import DHOLoss, DualHead, RowDataset
from skactivekd.student._image_files import stack_pixels
from skactivekd.teacher import clap_loss, class_prompts
from skactivekd.teacher._clap import drift
from skactivekd.teacher._clap_penalty import class_multipliers
from skactivekd.teacher._lettered_answers import MalformedAnswer, read_answer
from skactivekd.utils._check_params import check_number
from skactivekd.utils._label_values import is_nan
from skactivekd.utils._read_tables import as_numbers, as_text, read_blocks

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 2
PROBA = np.eye(2)[Y]
EYE = torch.eye(2)
CURVE = pd.DataFrame(
    {"estimator": ["e"], "strategy": ["a"], "seed": [0], "n_labels": [1], "score": [0.5]}
)


def learner(**params):
    return ActiveLearner(LogisticRegression(), Margin(), X, Y, **params)


def play(**params):
    plan = {"n_rounds": 2, "n_instances": 2, "seeds": 1, "progress": False, **params}
    return simulate(LogisticRegression(), X, Y, X_test=X, y_test=Y, **plan)


def clap(features=EYE, targets=(0, 1), **params):
    settings = {"logit_scale": 1.0, **params}
    return clap_loss(EYE, EYE, torch.ones(2), features, torch.tensor(targets), **settings)


def fit(net=None, **params):
    return DHOClassifier(net or DHONet(max_epochs=1), **params).fit(X, Y, teacher_proba=PROBA)


CALLS = {
    "a level of one": (lambda: accuracy_interval(3, 4, 1.0), ValueError, "above 0 and below 1"),
    "lists for strategies": (
        lambda: check_rows(CURVE.assign(strategy=[["a"]]), ["strategy", "seed"]),
        ValueError,
        "row 0 of results has",
    ),
    "a competitor among the settings": (
        lambda: rank_table(CURVE, settings=["strategy"], competitor="strategy"),
        ValueError,
        "is among settings",
    ),
    "baselines in a list": (
        lambda: LabelEfficiencyDisplay.from_results(CURVE, baselines=[0.5]),
        TypeError,
        "a dict of name to score",
    ),
    "a score that has no name": (
        lambda: LabelEfficiencyDisplay.from_results(CURVE, score_name=3),
        TypeError,
        "score_name must be a text",
    ),
    "sparse labels": (
        lambda: learner().teach(X[:2], sp.csr_matrix([[0], [1]])),
        (ValueError, TypeError),
        "sparse matrix|one label",
    ),
    "folds without y": (
        lambda: next(LabeledStratifiedKFold(2).split(X, None)),
        ValueError,
        "needs y to tell which rows are labeled",
    ),
    "a seed below zero": (
        lambda: Random(random_state=-1).select(PROBA, n_instances=2),
        ValueError,
        "at least 0",
    ),
    "no processes": (lambda: play(n_jobs=0), ValueError, "n_jobs must not be 0"),
    "a score that is a number": (lambda: play(scoring=3), TypeError, "a name, a scorer or None"),
    "a seed twice": (lambda: play(seeds=[1, 1]), ValueError, "none twice"),
    "targets below zero": (lambda: clap(targets=(0, -1)), ValueError, "at least 0, got -1"),
    "no targets": (
        lambda: clap_loss(
            EYE, EYE, torch.ones(2), EYE[:0], torch.zeros(0, dtype=torch.long), logit_scale=1.0
        ),
        ValueError,
        "no row to learn from",
    ),
    "features of doubles": (lambda: clap(EYE.double()), TypeError, "but prototypes torch.float32"),
    "an unknown distance": (lambda: drift(EYE, EYE, "l1"), ValueError, "metric='l1' must be"),
    "an unknown weighting": (
        lambda: class_multipliers(EYE, torch.tensor([0]), "more"),
        ValueError,
        "weighting='more' must be",
    ),
    "a name that is no text": (lambda: class_prompts([1], "{}"), TypeError, "which is no text"),
    "no names": (lambda: class_prompts([], "{}"), ValueError, "names is empty"),
    "templates in a square": (
        lambda: class_prompts(["a"], np.array([["{}"]])),
        TypeError,
        "a list of one dimension",
    ),
    "a description by a number": (
        lambda: class_prompts(["a"], ["{}", {"a": 3}]),
        TypeError,
        "not by texts",
    ),
    "a class for a teacher": (
        lambda: make_pipeline(TeacherProba(ZeroShotTeacher), DHOClassifier()).fit(X, Y),
        TypeError,
        "pass an object of it",
    ),
    "weights that are infinite": (
        lambda: fit(class_weight={0: np.inf}),
        ValueError,
        "finite numbers",
    ),
    "warm_start on the net": (
        lambda: fit(DHONet(max_epochs=1, warm_start=True)),
        ValueError,
        "Set warm_start on DHOClassifier",
    ),
    "one tensor of logits": (lambda: DHOLoss()(EYE, torch.tensor([0, 1])), TypeError, "a pair"),
    "rows of one dimension": (lambda: RowDataset(X[:, 0]), TypeError, "an array of rows"),
    "labels of two dimensions": (lambda: RowDataset(X, y=np.eye(12)), ValueError, "one dimension"),
    "a teacher of three dimensions": (
        lambda: RowDataset(X, teacher_proba=PROBA[None].repeat(12, 0)),
        ValueError,
        "a dense array of two dimensions",
    ),
    "a teacher of fewer rows": (
        lambda: RowDataset(X, teacher_proba=PROBA[:3]),
        ValueError,
        "has 3 rows, but X has 12",
    ),
    "heads of booleans": (
        lambda: DualHead(2, 2, weights=torch.ones(2, 2, dtype=torch.bool)),
        (ValueError, TypeError),
        "weights",
    ),
    "pictures of two sizes": (
        lambda: stack_pixels([torch.zeros(3, 4, 4), torch.zeros(3, 5, 4)]),
        ValueError,
        "several sizes",
    ),
    "a number beyond torch's": (
        lambda: check_number(2**64, "lr"),
        (ValueError, TypeError),
        r"below 2\*\*63",
    ),
    "numbers of no device": (
        lambda: PCoreSet().select(torch.empty(2, 2, device="meta"), n_instances=1),
        TypeError,
        "meta|no numbers",
    ),
    "an answer without tokens": (
        lambda: read_answer({"choices": [{"logprobs": {"content": [{"token": "A"}]}}]}),
        MalformedAnswer,
        "top_logprobs cannot be read",
    ),
    "an answer of one token": (
        lambda: read_answer(
            {
                "choices": [
                    {"logprobs": {"content": [{"token": "A", "logprob": -1, "top_logprobs": []}]}}
                ]
            }
        ),
        LookupError,
        "no top_logprobs",
    ),
    "PCoreSet of a sparse teacher": (
        lambda: PCoreSet().select(sp.csr_matrix(PROBA), n_instances=1),
        (ValueError, TypeError),
        "sparse|dense",
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_it_is_refused(case):
    call, kind, message = CALLS[case]
    with pytest.raises(kind, match=message):
        call()


def test_names_of_columns_pass_a_step_without_features():
    table = pd.DataFrame(X, columns=["left", "right"])
    step = TeacherProba(PROBA)
    carried = step.fit_transform(table, Y)
    assert len(carried) == 12
    assert repr(carried) == "SoftLabeled(X=(12, 2), proba=(12, 2))"
    assert step.get_feature_names_out().tolist() == ["left", "right"]


def test_one_row_of_a_data_set():
    [row] = [RowDataset(X.astype(np.float32), y=Y)[3]]
    np.testing.assert_array_equal(np.ravel(row[0]["X"]), [6, 7])


def test_cells_of_tables(tmp_path):
    assert as_text(3.0) == "3"
    assert as_text(np.nan) == as_text(pd.NA) == as_text(None) == ""
    assert as_numbers(pd.Series([True, False], dtype=object)) is None
    np.testing.assert_array_equal(as_numbers(pd.Series([1, 2])), [1.0, 2.0])
    path = tmp_path / "t.csv"
    for text, message in (("", "is empty"), ("a\0b\n1", "is no text"), ("a,a\n1,2", "'a' more")):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            next(iter(read_blocks(str(path), 9)))


def test_what_is_nan():
    assert is_nan(decimal.Decimal("nan"))
    assert is_nan(pd.NaT)
    assert is_nan(pd.NA)
    assert not is_nan(np.arange(2))
    assert not is_nan("nan")
