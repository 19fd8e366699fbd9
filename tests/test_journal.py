"""The store of simulate(): nothing lost, nothing twice, nothing mixed."""

import csv
import functools
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torchvision.transforms import v2

from skactivekd import DHONet, Entropy, LabeledOnly, Random, simulate
from skactivekd.simulation._journal import COLUMNS, Journal, Round
from skactivekd.utils._digest import digest

X, Y = load_iris(return_X_y=True)


class Counting(LabeledOnly):
    """Counts its fits, over all clones."""

    fits = 0

    def fit(self, X, y):
        type(self).fits += 1
        return super().fit(X, y)


@pytest.fixture(autouse=True)
def _from_zero():
    Counting.fits = 0


def run(store=None, estimator=None, **params):
    estimator = Counting(GaussianNB(), classes=range(3)) if estimator is None else estimator
    params = {"strategies": [Entropy()], "n_rounds": 4, "n_instances": 3, "seeds": 2, **params}
    pool = params.pop("pool", (X[::2], Y[::2]))
    return simulate(
        estimator, *pool, X_test=X[1::2], y_test=Y[1::2], progress=False, store=store, **params
    )


def assert_each_round_once(store, n_rounds=4):
    stored = pd.read_csv(store, converters={"score": float})  # pandas 2 loses the last digit
    assert stored.columns.tolist() == COLUMNS
    assert not stored.duplicated(["estimator", "strategy", "seed", "round"]).any()
    assert stored.queried.isna().tolist() == (stored["round"] == n_rounds - 1).tolist()
    return stored


def test_store_changes_no_number(tmp_path):
    expected = run()
    results = run(tmp_path / "s.csv")
    pd.testing.assert_frame_equal(results, expected)
    stored = assert_each_round_once(tmp_path / "s.csv")
    assert stored.score.tolist() == expected.score.tolist()
    picks = [row for text in stored.queried[:3] for row in text.split()]
    assert len(set(picks)) == 9


def test_a_finished_run_is_only_read(tmp_path):
    first, Counting.fits = run(tmp_path / "s.csv"), 0
    before = (tmp_path / "s.csv").read_bytes()
    pd.testing.assert_frame_equal(run(tmp_path / "s.csv"), first)
    assert Counting.fits == 0
    assert (tmp_path / "s.csv").read_bytes() == before


def test_goes_on_after_a_kill_at_any_round_and_inside_any_line(tmp_path):
    store = tmp_path / "s.csv"
    plan = {"seeds": 1, "n_rounds": 3}
    expected = run(store, **plan)
    whole = store.read_bytes()
    lines = whole.splitlines(keepends=True)
    for kept in range(len(lines)):
        for torn in (b"", lines[kept][:1], lines[kept][:-4], lines[kept].rstrip()):
            store.write_bytes(b"".join(lines[:kept]) + torn)
            Counting.fits = 0
            pd.testing.assert_frame_equal(run(store, **plan), expected)
            assert Counting.fits == len(lines) - max(kept, 1)
            assert store.read_bytes() == whole


def test_a_last_line_with_fields_missing_is_run_again(tmp_path):
    store = tmp_path / "s.csv"
    expected = run(store)
    whole = store.read_bytes()
    store.write_bytes(whole[: whole.rstrip().rfind(b",")] + b"\n")
    pd.testing.assert_frame_equal(run(store), expected)
    assert store.read_bytes() == whole


def test_more_rounds_ask_the_last_model_alone_again(tmp_path):
    store = tmp_path / "s.csv"
    expected = run(n_rounds=6)
    run(store, n_rounds=4)
    Counting.fits = 0
    pd.testing.assert_frame_equal(run(store, n_rounds=6), expected)
    assert Counting.fits == 4 * (6 - 4 + 1)
    assert_each_round_once(store, n_rounds=6)
    pd.testing.assert_frame_equal(run(store, n_rounds=2), run(n_rounds=2))


def test_more_rounds_after_a_kill_among_them(tmp_path):
    store = tmp_path / "s.csv"
    run(store, n_rounds=2, seeds=1, strategies=[])
    expected = run(store, n_rounds=4, seeds=1, strategies=[])
    lines = store.read_bytes().splitlines(keepends=True)
    for kept in range(len(lines)):
        store.write_bytes(b"".join(lines[:kept]))
        pd.testing.assert_frame_equal(run(store, n_rounds=4, seeds=1, strategies=[]), expected)


def test_warm_start_starts_over(tmp_path):
    store = tmp_path / "s.csv"

    def student():
        return Warm(GaussianNB(), classes=range(3), warm_start=True)

    expected = run(store, student(), seeds=1, strategies=[])
    whole = store.read_bytes()
    store.write_bytes(b"".join(whole.splitlines(keepends=True)[:3]))
    pd.testing.assert_frame_equal(run(store, student(), seeds=1, strategies=[]), expected)
    assert store.read_bytes() == whole


class Warm(LabeledOnly):
    """Its score counts its fits."""

    def __init__(self, estimator=None, classes=None, missing_label=-1, warm_start=False):
        super().__init__(estimator, classes, missing_label)
        self.warm_start = warm_start

    def fit(self, X, y):
        self.fits_ = getattr(self, "fits_", 0) + 1
        return super().fit(X, y)

    def score(self, X, y):
        return self.fits_


def test_names_survive_and_share_the_file(tmp_path):
    store = tmp_path / "s.csv"
    names = ['a, "b"', "café \u2028", "", "a"]
    students = {name: LabeledOnly(GaussianNB(), classes=range(3)) for name in names}
    strategies = {"x,y": Entropy(), '"': Random()}
    results = run(store, students, strategies=strategies, seeds=1, n_rounds=2)
    assert results.estimator.unique().tolist() == names
    before = store.read_bytes()
    pd.testing.assert_frame_equal(
        run(store, students, strategies=strategies, seeds=1, n_rounds=2), results
    )
    assert store.read_bytes() == before
    alone = run(store, {"other": students["a"]}, seeds=1, n_rounds=2)
    assert alone.estimator.unique().tolist() == ["other"]
    assert store.read_bytes().startswith(before)
    with open(store, newline="", encoding="utf-8") as file:
        assert {row["estimator"] for row in csv.DictReader(file)} == {*names, "other"}


@pytest.mark.parametrize(
    "change",
    [
        {"estimator": Counting(GaussianNB(var_smoothing=0.1), classes=range(3))},
        {"strategies": {"entropy": Entropy(missing_label=-1), "random": Entropy()}},
        {"n_instances": 2},
        {"n_initial": 3},
        {"scoring": "accuracy"},
        {"pool": (X[::2], Y[::2][::-1])},
        {"pool": (X[:140:2], Y[:140:2])},
    ],
    ids=["parameter", "strategy", "n_instances", "n_initial", "scoring", "labels", "rows"],
)
def test_other_settings_are_not_mixed(tmp_path, change):
    store = tmp_path / "s.csv"
    run(store, n_rounds=2)
    before = store.read_bytes()
    if "strategies" in change:
        change = {"strategies": {**change["strategies"], "chance": Random()}}
    with pytest.raises(ValueError, match=r"'estimator' with strategy '\w+'.*pass another store"):
        run(store, **{"n_rounds": 2, **change})
    assert store.read_bytes() == before


def test_new_seeds_and_strategies_join(tmp_path):
    store = tmp_path / "s.csv"
    run(store, seeds=1)
    Counting.fits = 0
    pd.testing.assert_frame_equal(run(store, seeds=[0, 5], n_jobs=1), run(seeds=[0, 5]))
    assert Counting.fits == 2 * 4 + 4 * 4


def test_files_that_are_no_store_are_left_alone(tmp_path):
    store = tmp_path / "s.csv"
    for content in (b"a,b\n1,2\n", b"some text without end", b"estimator,strategy\n"):
        store.write_bytes(content)
        with pytest.raises(ValueError, match="no store of simulate"):
            run(store)
        assert store.read_bytes() == content


def test_damage_inside_is_named(tmp_path):
    store = tmp_path / "s.csv"
    run(store)
    lines = store.read_bytes().splitlines(keepends=True)
    store.write_bytes(b"".join([*lines[:3], b"damage\n", *lines[3:]]))
    with pytest.raises(ValueError, match=r"Line 4 of .* is damaged: 'damage"):
        run(store)


def test_what_cannot_be_stored_is_refused_before_the_first_fit(tmp_path):
    store = tmp_path / "s.csv"
    with pytest.raises(ValueError, match=r"strings of one line, got 'a.nb'"):
        run(store, {"a\nb": Counting()})
    with pytest.raises(ValueError, match="strings of one line, got 3"):
        run(store, {3: Counting()})
    with pytest.raises(TypeError, match="seeds=None must be an integer"):
        run(store, seeds=[None])
    with pytest.raises(ValueError, match="cannot read the content of a set in it"):
        run(store, pool=([{1}] * 75, Y[::2]))
    assert Counting.fits == 0


def test_a_second_writer_adds_nothing_and_contradicts_nothing(tmp_path):
    path, key = tmp_path / "s.csv", ("a", "b", 0)
    one, two = (Journal(path, {("a", "b"): "d"}) for _ in range(2))
    assert one.load([key]) == two.load([key]) == {key: []}
    one.save(key, 0, Round(3, 0.1 + 0.2, [4]))
    before = path.read_bytes()
    two.save(key, 0, Round(3, 0.1 + 0.2, [4]))
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="holds another result of round 0"):
        two.save(key, 0, Round(3, 0.25, [4]))
    assert path.read_bytes() == before
    assert two.load([key])[key][0].score == 0.1 + 0.2


def test_many_writers_at_once_lose_nothing(tmp_path):
    runs = [("a", "b", seed) for seed in range(4)]

    def write(run):  # the lock holds between threads as between processes
        journal = Journal(tmp_path / "s.csv", {("a", "b"): "d"})
        for number in range(8):
            journal.save(run, number, Round(number, 0.5, []))
            journal.save(run, number, Round(number, 0.5, [number]))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, runs))
    rounds = Journal(tmp_path / "s.csv", {("a", "b"): "d"}).load(runs)
    assert [[r.n_labels for r in rounds[run]] for run in runs] == [list(range(8))] * 4
    assert len(pd.read_csv(tmp_path / "s.csv")) == 4 * 8


def test_a_line_of_a_killed_process_is_cut_by_the_next_writer(tmp_path):
    path, key = tmp_path / "s.csv", ("a", "b", 0)
    journal = Journal(path, {("a", "b"): "d"})
    journal.save(key, 0, Round(3, 0.5, [4]))
    with open(path, "ab") as file:
        file.write(b"a,c,0,0,3,0.")
    journal.save(key, 1, Round(4, 0.5, []))
    assert [len(r.queried) for r in journal.load([key])[key]] == [1, 0]


def test_long_queries_and_links(tmp_path):
    (tmp_path / "real.csv").touch()
    path, key = tmp_path / "link.csv", ("a", "b", 0)
    path.symlink_to(tmp_path / "real.csv")
    journal, picks = Journal(path, {("a", "b"): "d"}), np.arange(10**6, 10**6 + 50_000)
    journal.save(key, 0, Round(3, 0.5, []))
    journal.save(key, 0, Round(3, 0.5, picks))
    assert (journal.load([key])[key][0].queried == picks).all()
    assert path.is_symlink()
    assert {p.name for p in tmp_path.iterdir()} == {"real.csv", "link.csv"}


class Slow(LabeledOnly):
    """Leaves time to kill it."""

    seconds = 0

    def fit(self, X, y):
        time.sleep(self.seconds)
        return super().fit(X, y)


def run_slowly(store):
    return run(store, Slow(GaussianNB(), classes=range(3)), n_rounds=5, seeds=1, strategies=[])


@pytest.mark.thorough
def test_a_killed_process_goes_on_in_another(tmp_path):
    store, whole = tmp_path / "s.csv", tmp_path / "whole.csv"
    code = f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); import test_journal\n"
    code += f"test_journal.Slow.seconds = 0.5; test_journal.run_slowly({os.fspath(store)!r})"
    process = subprocess.Popen([sys.executable, "-c", code])
    wait_for_lines(store, 3, process)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    before = store.read_bytes()
    assert 3 <= before.count(b"\n") < 6
    pd.testing.assert_frame_equal(run_slowly(store), run_slowly(whole))
    assert store.read_bytes() == whole.read_bytes()
    assert store.read_bytes().startswith(before)


def wait_for_lines(path, n, process):
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_bytes().count(b"\n") >= n):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_digest_knows_values_and_names(tmp_path):
    pipe = make_pipeline(StandardScaler(), LogisticRegression())
    assert digest(pipe) == digest(make_pipeline(StandardScaler(), LogisticRegression()))
    assert digest(pipe) != digest(make_pipeline(StandardScaler(), LogisticRegression(tol=1)))
    assert digest(np.arange(6)[::2]) == digest(np.array([0, 2, 4]))
    assert digest(np.arange(3)) != digest(np.arange(3)[::-1])
    assert digest({"a": 1, "b": (2, None)}) == digest({"b": [2, None], "a": np.int64(1)})
    assert digest("1") != digest(1)
    assert digest(pd.Series([1, 2])) != digest(pd.Series([1, 3]))
    assert digest({"a", "b"}) == digest({"b", "a"})
    half = functools.partial(round, ndigits=1)
    assert digest(half) != digest(functools.partial(round, ndigits=2))
    assert digest(FunctionTransformer(np.log)) != digest(FunctionTransformer(np.exp))
    crops = [v2.RandomResizedCrop(8), v2.RandomResizedCrop(8), v2.RandomResizedCrop(9)]
    nets = [DHONet(augment=v2.Compose([crop, v2.Lambda(np.copy)])) for crop in crops]
    assert digest(DHONet(augment=crops[0])) == digest(DHONet(augment=crops[1]))
    assert digest(nets[0]) == digest(nets[1]) != digest(nets[2])
    assert digest(DHONet(iterator_train__num_workers=2)) == digest(
        DHONet(iterator_train__num_workers=3)
    )
    with open(tmp_path / "a", "w") as one, open(tmp_path / "b", "w") as other:
        assert digest(one) == digest(other)
