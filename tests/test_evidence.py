import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.evidence import migrate, recheck, run, tables
from benchmarks.evidence._rows import Rows, TableEncoder
from benchmarks.evidence.inputs import EmbeddingBag, hashed_tokens
from benchmarks.evidence.methods import METHODS, estimator
from benchmarks.evidence.tasks import Task
from benchmarks.evidence.variants import degraded, imbalanced_rows
from skactivekd import ZeroShotTeacher, simulate
from skactivekd.query import PCoreSet
from skactivekd.simulation._simulate import _seeded_clone


@pytest.fixture
def task():
    """Three classes around three directions, which the teacher's prompts name."""
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    embeddings = np.eye(3)[y] + 0.3 * rng.normal(size=(90, 3))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    embeddings = embeddings.astype(np.float32)
    prompts = dict(zip("abc", np.eye(3, dtype=np.float32), strict=True))
    teacher = {
        "encoder": TableEncoder(embeddings, prompts),
        "classes": dict(enumerate("abc")),
        "templates": "{}",
        "logit_scale": 5.0,
    }
    inputs = {"mlp": embeddings}
    return Task(y, np.arange(60), np.arange(60, 90), inputs, embeddings, teacher)


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setitem(
        estimator.__globals__["NETS"], "mlp", {"max_epochs": 40, "lr": 0.03, "module__hidden": 8}
    )


def test_rows_stand_for_what_was_computed_once(task):
    direct = ZeroShotTeacher(**task.teacher).fit()
    rows = np.array([4, 2])
    np.testing.assert_allclose(direct.predict_proba(rows), task.proba[rows], rtol=1e-5)
    table = np.arange(12).reshape(6, 2)
    assert Rows(table).fit_transform([5, 0]).tolist() == [[10, 11], [0, 1]]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("teacher", ["zero-shot", "clap"])
def test_every_method_learns_on_row_numbers(task, short, method, teacher):
    model = _seeded_clone(estimator(task, "mlp", teacher, method), 0)
    known = np.where(np.arange(60) < 9, task.y[:60], -1)
    model.fit(task.pool, known)
    assert model.predict_proba(task.test).shape == (30, 3)
    assert model.score(task.test, task.y[task.test]) > 0.6


def test_a_recorded_cell_is_trained_again_to_the_same_number(task, short, tmp_path):
    store = tmp_path / "cells.csv"
    model = estimator(task, "mlp", "zero-shot", "dho")
    y = task.y
    simulate(
        {"toy, plain, mlp, zero-shot, dho": model}, task.pool, y[task.pool], X_test=task.test,
        y_test=y[task.test], strategies={"PCoreSet": PCoreSet()}, n_rounds=3, n_instances=4,
        seeds=2, store=store, progress=False,
    )  # fmt: skip
    cells = pd.read_csv(store, converters={"score": float})  # pandas 2 loses the last digit
    chosen = cells[(cells["strategy"] == "PCoreSet") & (cells["seed"] == 1)]
    for number, score in zip(chosen["round"], chosen["score"], strict=True):
        assert recheck.train_again(task, model, chosen, number) == score
    assert run.read(store)["student"].unique().tolist() == ["mlp"]


def test_older_results_are_completed_where_the_settings_are_those_of_today(
    task, short, tmp_path, monkeypatch
):
    store = tmp_path / "cells.csv"
    plan = '[[cells]]\nstudents = ["mlp"]\nteachers = ["zero-shot"]\nmethods = ["none"]\n'
    plan += 'strategies = ["random"]\nn_rounds = 2\nn_instances = 4\nseeds = 2\n'
    (tmp_path / "toy.toml").write_text(f'task = "toy"\n{plan}')
    monkeypatch.setattr(run, "CONFIGS", tmp_path)
    monkeypatch.setattr(run, "load", lambda name, **_: task)
    run.run("toy", store)
    whole = store.read_bytes()
    old = b"\n".join(
        re.sub(rb"(-[0-9a-f]+){2},", b",", line) for line in whole.split(b"\n")
    )  # fmt: skip
    assert old != whole
    store.write_bytes(old)
    with pytest.raises(ValueError, match="did not record X and X_test"):
        run.run("toy", store)
    settings = migrate.settings_of("toy")
    completed, counts = migrate.migrated(old, settings)
    assert completed == whole
    assert counts == {("toy", "completed"): 4}
    other = {names: f"0{value}" for names, value in settings.items()}
    assert migrate.migrated(old, other)[0] == old


def test_classes_become_rarer_step_by_step():
    y = np.repeat(np.arange(5), 100)
    counts = np.sort(np.bincount(y[imbalanced_rows(y, 50)], minlength=5))
    assert counts[-1] == 100
    assert counts[0] == 2
    np.testing.assert_allclose(counts[1:] / counts[:-1], 50**0.25, rtol=0.1)


def test_noise_takes_the_teacher_down(task):
    accuracy = [
        np.mean(degraded(task.proba, level).argmax(axis=1) == task.y) for level in (0, 1, 3)
    ]
    assert accuracy[0] > accuracy[1] > accuracy[2]
    np.testing.assert_allclose(degraded(task.proba, 0), task.proba, atol=1e-6)


def test_texts_become_buckets_and_the_bag_ignores_their_padding():
    import torch

    tokens = hashed_tokens(["top up my card", "card"])
    assert (tokens > 0).sum(axis=1).tolist() == [7, 1]
    assert tokens[1, 0] in tokens[0]
    bag = EmbeddingBag(width=4, hidden=5)
    rows = torch.from_numpy(tokens)
    assert torch.equal(bag(rows[:, :20]), bag(rows))


@pytest.mark.parametrize("name", ["TypiClust", "ProbCover"])
def test_covering_strategies_do_not_see_the_length_of_features(name):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 4))
    strategy = run.STRATEGIES[name]().set_params(random_state=0)
    known = {"n_instances": 8, "y_labeled": [0, 1, 0, 1]}
    picks = strategy.select(features_pool=features[4:], features_labeled=features[:4], **known)
    longer = features * 2.0 ** rng.integers(-3, 4, size=(60, 1))
    assert (
        strategy.select(features_pool=longer[4:], features_labeled=longer[:4], **known).tolist()
        == picks.tolist()
    )


def test_every_config_names_what_exists():
    plans = run.plans()
    assert len(plans) >= 6
    for plan in plans:
        for block in plan["cells"]:
            assert set(block["strategies"]) <= set(run.STRATEGIES)
            assert set(block["methods"]) <= set(METHODS)
            assert set(block.get("variants", [])) <= {"plain", *plan.get("variants", {})}


def cells_of(scores):
    """Cells of one setting, from scores by strategy of shape (n_seeds, n_rounds)."""
    keys = {"task": "toy", "variant": "plain", "student": "mlp", "teacher": "zero-shot"}
    return pd.DataFrame([
        {**keys, "method": "dho", "strategy": strategy, "seed": seed, "round": number,
         "n_labels": 10 * (number + 1), "score": score}
        for strategy, rows in scores.items()
        for seed, row in enumerate(rows)
        for number, score in enumerate(row)
    ])  # fmt: skip


def test_the_first_round_and_unfinished_strategies_are_not_ranked():
    cells = cells_of({"random": [[0.1, 0.2], [0.1, 0.4]], "PCoreSet": [[0.1, 0.3], [0.1, 0.5]]})
    assert set(tables.ranked(cells, "dho")["round"]) == {1}
    half_done = cells[~((cells["strategy"] == "PCoreSet") & (cells["seed"] == 1))]
    assert len(tables.ranked(half_done, "dho")) == 0


def test_students_do_not_mix_in_the_ranks():
    cells = cells_of({"random": [[0.1, 0.2]], "PCoreSet": [[0.1, 0.3]]})
    reverse = cells_of({"random": [[0.1, 0.9]], "PCoreSet": [[0.1, 0.8]]})
    both = pd.concat([cells, reverse.assign(method="default")])
    for method, best in (("dho", "PCoreSet"), ("default", "random")):
        assert set(tables.ranked(both, method)["method"]) == {method}
        _, text, *_ = tables.rank_tables(both, [], method)
        assert text.splitlines()[2].startswith(f"| {best}")


def test_the_ranks_say_what_chance_and_hindsight_would_reach():
    cells = cells_of({"random": [[0.1, 0.2, 0.3]], "PCoreSet": [[0.1, 0.3, 0.2]],
                      "margin": [[0.1, 0.1, 0.4]]})  # fmt: skip
    other = cells_of({"random": [[0.1, 0.5, 0.6]], "PCoreSet": [[0.1, 0.3, 0.2]],
                      "margin": [[0.1, 0.1, 0.4]]})  # fmt: skip
    _, text, *_ = tables.rank_tables(pd.concat([cells, other.assign(task="other")]), ["toy"], "dho")
    assert "in 33%" in text
    assert "in 75%" in text  # one round of two, and two of two


def test_labels_are_told_as_a_share_of_the_baseline():
    cells = pd.concat([
        cells_of({"random": [[0.1, 0.2, 0.9]]}).assign(method="none"),
        cells_of({"PCoreSet": [[0.9, 0.9, 0.9]], "random": [[0.1, 0.2, 0.3]]}),
    ])  # fmt: skip
    text = tables.labels_table(cells, [0.9])
    assert "10 (0.33)" in text
    assert "over 30" in text
