"""value_report(): labels saved, areas, ranks, and a plain verdict."""

import math
import re

import numpy as np
import pandas as pd
import pytest

from skactivekd import (
    ValueReport,
    area_under_curve,
    labels_to_reach,
    rank_table,
    value_report,
)
from skactivekd.metrics._ranks import places
from skactivekd.simulation._make_value_report import default_targets

N_LABELS = [10, 20, 40]


def table(curves):
    """Results of simulate from {(estimator, strategy): one list of scores per seed}."""
    rows = [
        (*method, seed, number, n_labels, score)
        for method, seeds in curves.items()
        for seed, scores in enumerate(seeds)
        for number, (n_labels, score) in enumerate(zip(N_LABELS, scores, strict=False))
    ]
    columns = ["estimator", "strategy", "seed", "round", "n_labels", "score"]
    return pd.DataFrame(rows, columns=columns)


CURVES = {
    ("no distillation", "random"): [[0.3, 0.5, 0.6], [0.2, 0.4, 0.8], [0.3, 0.6, 0.6]],
    ("no distillation", "entropy"): [[0.3, 0.4, 0.7], [0.2, 0.5, 0.7], [0.3, 0.6, 0.6]],
    ("DHO", "random"): [[0.6, 0.7, 0.8], [0.5, 0.7, 0.8], [0.6, 0.7, 0.8]],
    ("DHO", "entropy"): [[0.6, 0.5, 0.5], [0.5, 0.4, 0.5], [0.6, 0.5, 0.6]],
}
RESULTS = table(CURVES)


def row(frame, estimator, strategy, **more):
    for key, value in {"estimator": estimator, "strategy": strategy, **more}.items():
        frame = frame[frame[key] == value]
    (found,) = frame.to_dict("records")
    return found


def test_labels_are_those_of_the_first_round_with_the_score():
    needed = labels_to_reach(RESULTS, [0.6, 0.75])
    needed = needed.set_index(["estimator", "strategy", "target", "seed"]).sort_index()["labels"]
    assert needed["no distillation", "random", 0.6].tolist() == [40, 40, 20]
    assert needed["DHO", "random", 0.6].tolist() == [10, 20, 10]
    assert needed["DHO", "entropy", 0.75].tolist() == [math.inf] * 3
    assert len(needed) == 4 * 3 * 2
    shuffled = labels_to_reach(RESULTS.sample(frac=1, random_state=0), 0.6)
    assert sorted(shuffled["labels"]) == sorted(labels_to_reach(RESULTS, 0.6)["labels"])


def test_a_score_lost_again_was_reached():
    falling = table({("a", "random"): [[0.7, 0.5, 0.6]]})
    assert labels_to_reach(falling, 0.65)["labels"].tolist() == [10]


def test_median_and_shares_of_labels():
    labels = value_report(RESULTS, targets=[0.6, 0.75]).labels
    found = row(labels, "DHO", "random", target=0.6)
    assert (found["labels"], found["n_reached"], found["n_seeds"]) == (10, 3, 3)
    assert found["share_of_baseline"] == 10 / 40
    assert found["share_of_random"] == 1
    lost = row(labels, "DHO", "entropy", target=0.75)
    assert math.isnan(lost["labels"])
    assert math.isnan(lost["share_of_random"])
    once = row(labels, "no distillation", "random", target=0.75)
    assert math.isnan(once["labels"])  # one seed of three is no median
    assert once["n_reached"] == 1
    assert math.isnan(row(labels, "DHO", "random", target=0.75)["share_of_baseline"])


def test_labels_from_a_cold_start():
    curves = table({("a", "random"): [[0.2, 0.6]] * 2, ("a", "margin"): [[0.6, 0.6]] * 2})
    cold = curves.assign(n_labels=10 * curves["round"])
    report = value_report(cold, targets=0.5)
    assert row(report.labels, "a", "margin")["share_of_random"] == 0
    swapped = cold.replace({"strategy": {"random": "margin", "margin": "random"}})
    report = value_report(swapped, targets=0.5)
    assert row(report.labels, "a", "margin")["share_of_random"] == math.inf
    assert "it needs none" in str(report)


def test_area_is_the_mean_score_over_the_labels():
    areas = (
        area_under_curve(RESULTS).set_index(["estimator", "strategy", "seed"]).sort_index()["area"]
    )
    assert areas["DHO", "random", 0] == pytest.approx((0.65 * 10 + 0.75 * 20) / 30)
    assert area_under_curve(RESULTS[RESULTS["round"] == 1])["area"].tolist() == [
        scores[1] for seeds in CURVES.values() for scores in seeds
    ]
    flat = area_under_curve(RESULTS.assign(score=0.25).sample(frac=1, random_state=0))
    assert np.allclose(flat["area"], 0.25)
    report = value_report(RESULTS)
    found = row(report.areas, "DHO", "random")
    assert found["mean"] == pytest.approx(areas["DHO", "random"].mean())
    assert found["std"] == pytest.approx(np.std(areas["DHO", "random"], ddof=1))


def test_differences_are_paired_by_seed_and_judged():
    rng = np.random.default_rng(0)
    luck = rng.normal(0, 0.2, (6, 1)) + np.zeros(3)  # far larger than the gain, the same for both
    noise = rng.normal(0, 0.002, (4, 6, 3))
    curves = {
        ("s", "random"): luck + 0.5,
        ("s", "better"): luck + 0.52 + noise[0],
        ("s", "same"): luck + 0.5 + rng.permutation([-1, 1] * 3)[:, None] * 0.01,
        ("s", "worse"): luck + 0.48 + noise[2],
    }
    results = table({method: scores.tolist() for method, scores in curves.items()})
    shuffled = results.sample(frac=1, random_state=3)
    for frame in (results, shuffled):
        gains = value_report(frame).gains
        assert {r["strategy"]: r["verdict"] for r in gains.to_dict("records")} == {
            "better": "gain",
            "same": "no gain",
            "worse": "loss",
        }
    found = row(value_report(results).gains, "s", "better")
    areas = area_under_curve(results).pivot(index="seed", columns="strategy", values="area")
    differences = areas["better"] - areas["random"]
    assert found["difference"] == pytest.approx(differences.mean())
    assert found["standard_error"] == pytest.approx(differences.std(ddof=1) / np.sqrt(6))


def test_two_references_and_no_row_against_oneself():
    gains = value_report(RESULTS).gains
    assert row(gains, "DHO", "random", reference="baseline")["verdict"] == "gain"
    assert row(gains, "DHO", "entropy", reference="random")["verdict"] == "loss"
    assert len(gains) == 2 * 4 - 3
    other = value_report(RESULTS, baseline=("DHO", "random")).gains
    assert row(other, "no distillation", "random", reference="baseline")["verdict"] == "loss"
    alone = value_report(RESULTS[RESULTS["estimator"] == "DHO"])
    assert alone.gains["reference"].tolist() == ["random"]
    assert "share_of_baseline" not in alone.labels


def test_no_gain_is_said_plainly():
    report = value_report(RESULTS)
    assert report.notes == [
        "no gain over no distillation, random by any strategy with 'no distillation'",
        "no gain over DHO, random by any strategy with 'DHO'",
        "loss against DHO, random with 'DHO': entropy",
    ]
    equal = pd.concat(
        [RESULTS[RESULTS.estimator == "no distillation"].assign(estimator=e) for e in ("x", "y")]
    )
    report = value_report(equal, baseline=("x", "random"))
    assert "no gain over x, random by any strategy with 'y'" in report.notes
    assert (report.gains["verdict"] == "no gain").all()


def test_equal_scores_everywhere():
    report = value_report(RESULTS.assign(score=0.5))
    assert report.targets.tolist() == [0.5]
    assert (report.labels["labels"] == 10).all()
    assert (report.gains["verdict"] == "no gain").all()
    assert report.ranks["mean_rank"].tolist() == [1.5, 1.5]
    assert report.ranks["first"].tolist() == [0.5, 0.5]
    assert report.ranks["near_first"].tolist() == [1, 1]


def test_one_seed_cannot_tell():
    report = value_report(RESULTS[RESULTS["seed"] == 0])
    assert (report.gains["verdict"] == "cannot tell").all()
    assert "one seed cannot tell" in report.notes[0]
    assert "cannot tell" in str(report)
    assert "nan" not in str(report)


def test_text_and_html_tell_the_same(capsys):
    report = value_report(RESULTS.replace({"strategy": {"entropy": "a<b"}}), targets=[0.6, 0.75])
    assert isinstance(report, ValueReport)
    print(report)
    text = capsys.readouterr().out
    for words in ("4 methods, 3 seeds, 10 to 40 labels", "not reached", "1 of 3", "25%", "gain"):
        assert words in text
    assert re.search(r"DHO +random +10 +3 of 3 +25% +100%", text)
    assert re.search(r"DHO +random .*\+0\.\d{3} ± 0\.\d{3} gain +\(the reference\)", text)
    html = report._repr_html_()
    assert "not reached" in html
    assert "a&lt;b" in html
    assert "a<b" not in html
    assert repr(report) == "<ValueReport: 4 methods, 3 seeds, 10 to 40 labels>"


def test_default_targets_lie_between_the_baseline_and_the_best():
    assert default_targets(RESULTS, ("no distillation", "random")).tolist() == [0.53, 0.66, 0.74]
    small = RESULTS.assign(score=1e-6 * RESULTS["score"])
    targets = default_targets(small, ("no distillation", "random"))
    assert (np.diff(targets) > 0).all()
    assert (targets < small["score"].max()).all()
    losses = default_targets(RESULTS.assign(score=-10 + RESULTS["score"]), ("DHO", "random"))
    assert (losses < -9).all()


def test_ranks_leave_out_the_round_before_the_first_query():
    report = value_report(RESULTS)
    assert report.ranks["n_settings"].tolist() == [4, 4]
    first = RESULTS[RESULTS["round"] == 0]
    assert value_report(first).ranks["n_settings"].tolist() == [2, 2]


SCORES = pd.DataFrame(
    [
        ("digits", 0, "a", [0.9, 0.8, 0.7]),
        ("digits", 0, "b", [0.8, 0.8, 0.7]),  # near: mean behind and its error are equal
        ("digits", 0, "c", [0.8, 0.7, 0.6]),  # behind by 0.1 in every seed
        ("digits", 1, "a", [0.1 + 0.2, 0.3, 0.3]),
        ("digits", 1, "b", [0.3, 0.3, 0.3]),
        ("digits", 1, "c", [0.2, 0.2, 0.2]),
        ("letters", 0, "a", [0.2, 0.2, 0.2]),
        ("letters", 0, "b", [0.5, 0.1, 0.4]),
        ("letters", 0, "c", [0.6, 0.6, 0.6]),
    ],
    columns=["task", "round", "strategy", "score"],
)
SCORES = SCORES.assign(seed=[range(3)] * len(SCORES)).explode(["score", "seed"])
SCORES = SCORES.astype({"score": float, "seed": int}).reset_index(drop=True)


def test_places_within_each_setting():
    placed = places(SCORES, settings=["task", "round"])
    placed = placed.set_index(["task", "round"])[["strategy", "rank", "first", "near_first"]]
    assert placed.loc["digits", 0].to_numpy().tolist() == [
        ["a", 1, 1, 1],
        ["b", 2, 0, 1],
        ["c", 3, 0, 0],
    ]
    assert placed.loc["digits", 1]["rank"].tolist() == [1.5, 1.5, 3]
    assert placed.loc["digits", 1]["first"].tolist() == [0.5, 0.5, 0]
    assert placed.loc["letters", 0]["rank"].tolist() == [3, 2, 1]


def test_rank_table_sums_up_over_any_columns():
    ranks = rank_table(SCORES, settings=["task", "round"])
    assert ranks.index.tolist() == ["a", "b", "c"]
    assert ranks["mean_rank"].tolist() == pytest.approx([5.5 / 3, 5.5 / 3, 7 / 3])
    assert ranks["std_rank"]["b"] == pytest.approx(np.std([2, 1.5, 2], ddof=1))
    assert ranks["first"].tolist() == pytest.approx([0.5, 0.5 / 3, 1 / 3])
    assert ranks["near_first"].tolist() == pytest.approx([2 / 3, 2 / 3, 1 / 3])
    shuffled = rank_table(SCORES.sample(frac=1, random_state=1), settings=("round", "task"))
    pd.testing.assert_frame_equal(shuffled.sort_index(), ranks.sort_index())
    renamed = SCORES.rename(columns={"strategy": "method"})
    one = rank_table(renamed[renamed["round"] == 0], settings="task", competitor="method")
    assert one["n_settings"].tolist() == [2, 2, 2]


def test_with_one_seed_only_the_best_is_near_first():
    ranks = rank_table(SCORES[SCORES["seed"] == 0], settings=["task", "round"])
    assert ranks["near_first"].to_dict() == pytest.approx({"a": 2 / 3, "b": 1 / 3, "c": 1 / 3})


def test_who_is_missing_is_named():
    gone = SCORES[~((SCORES.task == "letters") & (SCORES.strategy == "b"))]
    message = r"strategy 'b' has no score in task=letters, round=0, seed=0 \(3 such gaps\)"
    with pytest.raises(ValueError, match=message):
        rank_table(gone, settings=["task", "round"])
    with pytest.raises(ValueError, match=r"'c' has no score in task=letters, round=0, seed=2"):
        rank_table(SCORES.iloc[:-1], settings=["task", "round"])
    with pytest.raises(ValueError, match="repeats round=0, strategy=a, seed=0; is there another"):
        rank_table(SCORES, settings=["round"])
    with pytest.raises(ValueError, match=r"no column .'student'., only"):
        rank_table(SCORES, settings=["student"])
    with pytest.raises(ValueError, match="settings must name at least one column"):
        rank_table(SCORES, settings=[])
    with pytest.raises(ValueError, match="row 0 of results has no task; give it a name"):
        rank_table(SCORES.assign(task=None), settings=["task", "round"])


@pytest.mark.parametrize(
    ("results", "params", "message"),
    [
        (RESULTS.iloc[:-1], {}, "'DHO' with strategy 'entropy' misses round 2 of seed 2"),
        (RESULTS[(RESULTS.seed > 0) | (RESULTS.estimator == "DHO")], {}, "misses round 0 of seed"),
        (RESULTS.iloc[:-9], {}, "estimator 'DHO' has no strategy 'random' to compare with"),
        (RESULTS.iloc[:0], {}, "no rows"),
        (RESULTS.drop(columns="seed"), {}, r"no column \['seed'\]"),
        (RESULTS.assign(score=np.nan), {}, "row 0 of results has the score nan"),
        (pd.concat([RESULTS, RESULTS]), {}, "row 36 of results repeats estimator=no distill"),
        (RESULTS.assign(n_labels=np.arange(36)), {}, "round 0 has 0 labels in one run and 33"),
        (RESULTS, {"random": "chance"}, r"no strategy is called 'chance'.*'entropy'\]"),
        (RESULTS, {"baseline": ("teacher", "random")}, r"baseline=\('teacher', 'random'\) is not"),
        (RESULTS, {"targets": []}, "one or more scores"),
        (RESULTS, {"targets": [0.5, np.nan]}, "one or more scores"),
    ],
)
def test_what_cannot_be_compared_is_refused(results, params, message):
    if message.startswith("estimator 'DHO' has no"):
        results = RESULTS[(RESULTS.estimator != "DHO") | (RESULTS.strategy != "random")]
    with pytest.raises(ValueError, match=message):
        value_report(results, **params)
