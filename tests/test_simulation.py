"""simulate(): fair starts, tidy results, the same numbers again."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.naive_bayes import GaussianNB

from skactivekd import (
    DHOClassifier,
    DHONet,
    Entropy,
    LabeledOnly,
    LabelEfficiencyDisplay,
    Margin,
    Random,
    simulate,
)
from skactivekd._played_rounds import hide_labels, initial_rows, play
from skactivekd.plotting import summarize

X, Y = load_iris(return_X_y=True)
SPLIT = {"X_test": X[1::2], "y_test": Y[1::2], "progress": False}
STUDENT = DHOClassifier(DHONet(max_epochs=8, lr=0.02, module__hidden=16))


def run(estimator=STUDENT, y=Y[::2], **params):
    params = {"n_rounds": 3, "n_instances": 4, "seeds": 2, **SPLIT, **params}
    return simulate(estimator, X[::2], y, **params)


def test_one_row_per_strategy_seed_and_round():
    results = run(strategies=[Entropy(), Margin()])
    assert results.columns.tolist() == [
        "estimator",
        "strategy",
        "seed",
        "round",
        "n_labels",
        "score",
    ]
    assert not results.duplicated(["estimator", "strategy", "seed", "round"]).any()
    assert len(results) == 3 * 2 * 3
    assert results.strategy.unique().tolist() == ["entropy", "margin", "random"]
    assert results.n_labels.tolist() == [3, 7, 11] * 6
    assert results.score.between(0, 1).all()


def test_random_is_not_added_twice():
    assert run(strategies={"chance": Random()}, seeds=1).strategy.unique().tolist() == ["chance"]


def test_strategies_start_from_the_same_labels_of_their_seed():
    first = (
        run(strategies=[Entropy()])
        .query("round == 0")
        .pivot(index="strategy", columns="seed", values="score")
    )
    assert (first.loc["entropy"] == first.loc["random"]).all()


def test_the_same_call_gives_the_same_numbers():
    pd.testing.assert_frame_equal(run(strategies=[Entropy()]), run(strategies=[Entropy()]))


@pytest.mark.full_training
@pytest.mark.thorough
def test_processes_give_the_same_numbers(tmp_path):
    expected = run()
    pd.testing.assert_frame_equal(run(n_jobs=2, store=tmp_path / "s.csv"), expected)
    stored = pd.read_csv(tmp_path / "s.csv").sort_values(["seed", "round"], ignore_index=True)
    pd.testing.assert_frame_equal(stored[expected.columns], expected)


def test_a_student_goes_on_where_it_stopped(tmp_path):
    store, plan = tmp_path / "s.csv", {"strategies": [Entropy()], "seeds": 1, "n_rounds": 3}
    expected = run(**plan)
    pd.testing.assert_frame_equal(run(**plan, store=store), expected)
    lines = store.read_bytes().splitlines(keepends=True)
    store.write_bytes(b"".join(lines[:3]))
    pd.testing.assert_frame_equal(run(**plan, store=store), expected)
    assert store.read_bytes() == b"".join(lines)


def test_seeds_and_estimators_by_name():
    results = run({"few": STUDENT, "fewer": STUDENT}, seeds=[7, 3], n_rounds=1)
    assert results.seed.tolist() == [7, 3] * 2
    assert results.estimator.tolist() == ["few"] * 2 + ["fewer"] * 2
    assert results.score.tolist()[:2] == results.score.tolist()[2:]


@pytest.mark.parametrize("missing_label", [None, "?"])
def test_string_labels(missing_label):
    names = np.array(["setosa", "versicolor", "virginica"])[Y]
    student = STUDENT.__class__(STUDENT.net, missing_label=missing_label)
    results = run(
        student,
        names[::2],
        y_test=names[1::2],
        strategies=[Entropy(missing_label=missing_label)],
        missing_label=missing_label,
        seeds=1,
    )
    expected = run(strategies=[Entropy()], seeds=1)
    assert results.score.tolist() == expected.score.tolist()


def test_rounds_reveal_what_was_asked_for():
    start = initial_rows(Y, None, seed=0)
    assert sorted(Y[start]) == [0, 1, 2]
    rounds = list(play(STUDENT, Random(random_state=0), X, Y, start, 3, 5))
    labeled = rounds[-1][1]
    assert len(set(labeled.tolist())) == 13
    assert labeled[:3].tolist() == start.tolist()


class Answers(Random):
    """Returns what it is told to, made from what it might choose from."""

    def __init__(self, answer, *, missing_label=-1):
        self.answer, self.missing_label = answer, missing_label

    def query(self, X, y, estimator, n_instances=1):
        return self.answer(np.flatnonzero(np.asarray(y) == -1), n_instances)


BAD_ANSWERS = {
    "a boolean mask; np.flatnonzero turns it into row numbers": lambda rows, n: np.arange(75) < n,
    "a boolean mask; ": lambda rows, n: [True] * n,
    "row 5 more than once": lambda rows, n: [5, 6, 7, 5],
    "row 0, which is labeled already": lambda rows, n: np.arange(n),
    "row -1, which X does not have": lambda rows, n: [*rows[:3], -1],
    "row 75, which X does not have": lambda rows, n: [75, *rows[:3]],
    "row 18446744073709551615, which": lambda rows, n: np.array([2**64 - 1], dtype=np.uint64),
    "3 rows": lambda rows, n: rows[:3],
    "5 rows": lambda rows, n: rows[:5],
    "no row": lambda rows, n: [],
    "None": lambda rows, n: None,
    "a tuple of 2": lambda rows, n: (rows[:n], None),
    "a tuple of 4": lambda rows, n: tuple(rows[:n]),
    r"a ndarray of shape \(4, 1\)": lambda rows, n: rows[:n, np.newaxis],
    "a int, 3": lambda rows, n: 3,
    "a set, ": lambda rows, n: set(rows[:n].tolist()),
    "a list that is no array": lambda rows, n: [[1, 2], 3],
    "values of dtype float64, not integers": lambda rows, n: rows[:n] / 1,
    "values of dtype object, not integers": lambda rows, n: [1, 2, 3, 2**70],
}


@pytest.mark.parametrize("fault", BAD_ANSWERS)
def test_strategies_have_to_return_unlabeled_rows(monkeypatch, fault):
    # Rows 0 to 2 are labeled first.
    monkeypatch.setattr(
        "skactivekd.simulation._simulate.initial_rows", lambda y, n, seed: np.arange(3)
    )
    message = rf"Strategy 'mine' \(Answers\) returned {fault}.* array of 4 different row numbers"
    with pytest.raises(ValueError, match=message):
        run(
            LabeledOnly(GaussianNB(), classes=range(3)),
            strategies={"mine": Answers(BAD_ANSWERS[fault])},
            n_initial=3,
            seeds=1,
        )


@pytest.mark.parametrize("kind", [list, np.array, pd.Series, lambda rows: rows.astype(np.uint8)])
def test_strategies_may_return_rows_of_any_kind(kind):
    student = LabeledOnly(GaussianNB(), classes=range(3))
    results = run(student, strategies={"mine": Answers(lambda rows, n: kind(rows[:n]))}, seeds=1)
    assert results.n_labels.tolist() == [3, 7, 11]


def test_play_names_the_class_of_a_strategy():
    rounds = play(STUDENT, Answers(lambda rows, n: None), X, Y, np.arange(150)[::50], 2, 5)
    with pytest.raises(ValueError, match="Strategy Answers returned None"):
        list(rounds)


def test_cold_start_has_no_labels():
    assert len(initial_rows(Y, 0)) == 0
    assert len(set(initial_rows(Y, 9, seed=2).tolist())) == 9


def test_hidden_labels_keep_their_kind():
    assert hide_labels(np.array([0, 1], dtype=np.uint8), [0]).tolist() == [0, -1]
    assert hide_labels(np.array([3, 1]), [1], np.nan).tolist()[1] == 1
    assert hide_labels(np.array(["long name"]), [0], "").tolist() == ["long name"]
    assert hide_labels(np.array([True, False]), [1]).tolist() == [-1, False]


def test_impossible_plans_are_refused():
    with pytest.raises(ValueError, match="need 83 rows, but the pool has 75"):
        run(n_rounds=9, n_instances=10)
    with pytest.raises(ValueError, match="misses 1, the first in row 2"):
        run(y=np.where(np.arange(75) == 2, -1, Y[::2]))
    with pytest.raises(ValueError, match="X has 75 rows but y has 5"):
        run(y=Y[:5])


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"seeds": 0}, ValueError, "seeds=0 must be at least 1"),
        ({"seeds": -2}, ValueError, "seeds=-2 must be at least 1"),
        ({"seeds": []}, ValueError, "at least one seed"),
        ({"seeds": [1, 1]}, ValueError, "none twice"),
        ({"seeds": [-1]}, ValueError, "seeds=-1 must be at least 0"),
        ({"seeds": 1.5}, TypeError, "seeds must be an integer or a list"),
        ({"seeds": True}, TypeError, "seeds must be an integer or a list"),
        ({"seeds": "12"}, TypeError, "seeds must be an integer or a list"),
        ({"seeds": [0.5]}, TypeError, "seeds=0.5 must be an integer"),
        ({"n_rounds": 0}, ValueError, "n_rounds=0 must be at least 1"),
        ({"n_rounds": 2.0}, TypeError, "n_rounds=2.0 must be an integer"),
        ({"n_instances": 0}, ValueError, "n_instances=0 must be at least 1"),
        ({"n_instances": None}, TypeError, "n_instances=None must be an integer"),
        ({"n_initial": -1}, ValueError, "n_initial=-1 must be at least 0"),
        ({"n_initial": 2.5}, TypeError, "n_initial=2.5 must be an integer"),
        ({"estimator": {}}, ValueError, "estimator is an empty dict"),
        ({"strategies": Margin()}, TypeError, "strategies must be a list or a dict"),
        ({"strategies": Margin}, TypeError, "strategies must be a list or a dict"),
        ({"strategies": "margin"}, TypeError, "strategies must be a list or a dict"),
        ({"strategies": [Margin]}, TypeError, "'type' must be an object with query"),
        ({"strategies": {"mine": len}}, TypeError, "'mine' must be an object with query"),
    ],
)
def test_plans_that_say_nothing_are_refused(params, error, message):
    with pytest.raises(error, match=message):
        run(**params)


def test_seeds_of_numpy_are_seeds(tmp_path):
    student = LabeledOnly(GaussianNB(), classes=range(3))
    expected = run(student, seeds=[0, 1])
    for seeds in (np.int64(2), np.arange(2), (seed for seed in range(2))):
        results = run(student, seeds=seeds, store=tmp_path / "s.csv")
        pd.testing.assert_frame_equal(results, expected)


def test_strategies_of_one_class_need_names_of_their_own():
    with pytest.raises(ValueError, match="pass a dict"):
        run(strategies=[Random(random_state=0), Random(random_state=1)])


def test_curves_average_over_seeds():
    results = pd.DataFrame(
        {
            "estimator": "a",
            "strategy": "random",
            "seed": [0, 1, 0, 1],
            "round": [0, 0, 1, 1],
            "n_labels": [3, 3, 7, 7],
            "score": [0.2, 0.4, 0.5, 0.5],
        }
    )
    curve = summarize(results)["random"]
    assert curve["mean"].tolist() == pytest.approx([0.3, 0.5])
    assert curve["std"].tolist() == pytest.approx([np.std([0.2, 0.4], ddof=1), 0])
    display = LabelEfficiencyDisplay.from_results(results, baselines={"teacher": 0.7})
    (line, baseline) = display.ax_.lines
    assert line.get_ydata().tolist() == pytest.approx([0.3, 0.5])
    assert baseline.get_label() == "teacher"
    both = pd.concat([results, results.assign(estimator="b")])
    assert list(summarize(both)) == ["a, random", "b, random"]
