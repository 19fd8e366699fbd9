"""The store of simulate(): other samples, edited lines, and file systems that lack something."""

import datetime
import errno
import os

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.sparse import csc_array, csr_matrix
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.naive_bayes import GaussianNB

from skactivekd import Entropy, LabeledOnly, simulate
from skactivekd.simulation import _journal as journal_module
from skactivekd.simulation._journal import Journal, Round
from skactivekd.utils._digest import digest_rows

X, Y = load_iris(return_X_y=True)
BIG = np.random.RandomState(0).rand(1000, 5000)


def run(store, X_train=X[::2], X_test=X[1::2], **params):
    params = {"strategies": [Entropy()], "n_rounds": 3, "n_instances": 3, "seeds": 1, **params}
    student = params.pop("estimator", LabeledOnly(GaussianNB(), classes=range(3)))
    return simulate(
        student, X_train, Y[::2], X_test=X_test, y_test=Y[1::2], progress=False, store=store,
        **params,
    )  # fmt: skip


# Other samples


@pytest.mark.parametrize(
    "change",
    [
        {"X_train": X[::2] + 1e-9},
        {"X_train": X[::2, :3]},
        {"X_train": X[::2][::-1]},
        {"X_test": X[1::2] + 1e-9},
        {"X_test": X[::2]},
        {"X_train": X[::2].astype(np.float32)},
    ],
    ids=["content", "width", "order", "test content", "test rows", "dtype"],
)
def test_other_samples_are_not_mixed(tmp_path, change):
    store = tmp_path / "s.csv"
    run(store)
    before = store.read_bytes()
    with pytest.raises(ValueError, match="on another X or X_test; pass another store="):
        run(store, **change)
    assert store.read_bytes() == before


def test_the_same_samples_in_another_place_go_on(tmp_path):
    expected = run(tmp_path / "s.csv")
    before = (tmp_path / "s.csv").read_bytes()
    again = run(tmp_path / "s.csv", np.asfortranarray(X)[::2], X[1::2].copy())
    pd.testing.assert_frame_equal(again, expected)
    assert (tmp_path / "s.csv").read_bytes() == before


def test_texts_count(tmp_path):
    texts = [f"text {row}" for row in range(75)]
    student = LabeledOnly(DummyClassifier(), classes=range(3))
    run(tmp_path / "s.csv", texts, texts, estimator=student)
    with pytest.raises(ValueError, match="on another X or X_test"):
        run(tmp_path / "s.csv", texts, [*texts[:-1], "another"], estimator=student)


def frame(**changes):
    columns = {"a": [1.0, None], "b": ["x", "y"], "c": pd.Categorical(["u", "v"])}
    return pd.DataFrame({**columns, **changes})


SAMPLES = {
    "arrays": [np.eye(2), np.eye(2, dtype="f4"), np.eye(2).ravel(), np.eye(3), -np.eye(2)],
    "last of many": [BIG, np.where(np.arange(BIG.size).reshape(BIG.shape) == BIG.size - 1, 0, BIG)],
    "dates": [np.array(["2020"], dtype="M8[D]"), np.array(["2021"], dtype="M8[D]")],
    "sparse": [csr_matrix(np.eye(2)), csr_matrix([[1, 1], [0, 1.0]]), csr_matrix(np.eye(2, 3))],
    "frames": [
        frame(),
        frame(a=[2.0, None]),
        frame(c=["u", "w"]),
        frame().rename(columns={"a": "A"}),
        frame()[["b", "a", "c"]],
        frame(a=pd.array([3, pd.NA], dtype="Int64")),
        frame(a=[pd.Timestamp("2020"), pd.NaT]),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame([[1, 3]], columns=["a", "a"]),
    ],
    "tensors": [torch.eye(2), torch.eye(2).bfloat16(), torch.ones(2, 2)],
    "texts": [["ab", "c"], ["a", "bc"], ["ab"], ["ab", "c", ""], [["ab"], "c"], ["1"], [1], [True]],
    "images": [[Image.new("L", (2, 3))], [Image.new("L", (3, 2))], [Image.new("L", (2, 3), 1)]],
    "rows": [[np.zeros(2)], [np.ones(2)], [[0, 0]], [[0, 1]], [{"a": 1}], [{"b": 1}], [None]],
    "moments": [[datetime.date(2020, 1, 1)], [datetime.date(2020, 1, 2)]],
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_digest_tells_samples_apart(kind):
    digests = [digest_rows(rows) for rows in SAMPLES[kind]]
    assert len(set(digests)) == len(digests)
    assert digests == [digest_rows(rows) for rows in SAMPLES[kind]]


def test_digest_knows_equal_samples():
    rows = csr_matrix(np.eye(3)[[0, 0, 2]])
    assert digest_rows(rows) == digest_rows(csc_array(rows))
    unsorted = csr_matrix((np.array([1.0, 2]), np.array([1, 0]), np.array([0, 2])), shape=(1, 2))
    before = unsorted.indices.copy()
    assert digest_rows(unsorted) == digest_rows(csr_matrix([[2.0, 1]]))
    assert (unsorted.indices == before).all()
    texts = np.array(["a", "bc"])
    assert digest_rows(texts) == digest_rows(texts.astype(object)) == digest_rows(pd.Series(texts))
    assert digest_rows(np.arange(8)[::2]) == digest_rows(np.array([0, 2, 4, 6]))


@pytest.mark.parametrize("kind", [str, os.fspath, lambda path: path])
def test_files_count_by_what_they_hold(tmp_path, kind):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for folder in "ab":
        (tmp_path / folder / "x.png").write_bytes(b"same")
    one, moved = ([kind(tmp_path / folder / "x.png")] for folder in "ab")
    before = digest_rows(one)
    assert before == digest_rows(moved) != digest_rows(["same"])
    assert digest_rows(np.array(one)) == digest_rows(np.array(moved))
    stat = os.stat(tmp_path / "a" / "x.png")
    (tmp_path / "a" / "x.png").write_bytes(b"else")
    os.utime(tmp_path / "a" / "x.png", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert digest_rows(one) != before


def test_rows_without_a_value_are_refused_with_a_way_out(tmp_path):
    rows = [object() for _ in range(75)]
    with pytest.raises(ValueError, match=r"one X_test from another.*object in it.*row numbers as"):
        run(tmp_path / "s.csv", X_test=rows)
    assert not (tmp_path / "s.csv").exists()


def test_lines_of_an_earlier_version_need_a_word(tmp_path):
    """They tell nothing of X; saying so by hand is enough."""
    store = tmp_path / "s.csv"
    expected = run(store)
    header, *lines = store.read_text().splitlines()
    fields = [line.split(",") for line in lines]
    owns, (samples, *_), _ = zip(*(line[6].split("-") for line in fields), strict=True)

    def write(settings):
        old = [
            ",".join([*line[:6], own, line[7]]) for line, own in zip(fields, settings, strict=True)
        ]
        store.write_text("\n".join([header, *old, ""]))

    write(owns)
    with pytest.raises(ValueError, match=f"did not record X and X_test.*append '-{samples}' to"):
        run(store)
    write([f"{own}-{samples}" for own in owns])
    pd.testing.assert_frame_equal(run(store), expected)
    longer = run(store, n_rounds=4)
    pd.testing.assert_frame_equal(longer, run(None, n_rounds=4))


# Edited lines


def edit(store, number, column, value):
    lines = [line.split(",") for line in store.read_text().splitlines()]
    lines[number][column] = value
    store.write_text("\n".join([*map(",".join, lines), ""]))


@pytest.mark.parametrize(
    ("column", "value"),
    [(2, "0"), (3, "0"), (4, "4"), (5, "0.99"), (5, "nan"), (7, "1 2 3"), (7, "74 73 -1"), (7, "")],
)
def test_a_changed_line_is_named(tmp_path, column, value):
    store = tmp_path / "s.csv"
    run(store, seeds=[0, 1])
    line = 1 + [text.split(",")[2:4] for text in store.read_text().split("\n")].index(["1", "1"])
    edit(store, line - 1, column, value)
    before = store.read_bytes()
    with pytest.raises(ValueError, match=rf"Line {line} of .* was changed after it was written"):
        run(store, seeds=[0, 1])
    assert store.read_bytes() == before


@pytest.mark.parametrize(
    ("column", "value", "fault"),
    [
        (4, "9", "n_labels is 9, but 6 rows were labeled"),
        (7, "75 1 2", "queried holds row 75, but X has 75 rows"),
        (7, "-1 1 2", "queried holds row -1, but X"),
        (7, "60 60 61", "queried holds row 60, which was labeled already"),
        (7, "11 12", r"queried holds 2 rows in place of n_instances=3"),
    ],
)
def test_a_line_without_checksum_has_to_be_possible(tmp_path, column, value, fault):
    store = tmp_path / "s.csv"
    run(store)
    settings = store.read_text().splitlines()[2].split(",")[6]
    edit(store, 2, 6, settings.rpartition("-")[0])
    run(store)
    edit(store, 2, column, value)
    with pytest.raises(ValueError, match=f"was never played: in round 1 of .*'entropy'.* {fault}"):
        run(store)


@pytest.mark.parametrize(
    ("column", "value"),
    [(7, "1 2 99999999999999999999"), (4, "x"), (2, ""), (3, "1.5"), (7, "1 2 x")],
)
def test_a_line_that_says_nothing_is_damaged(tmp_path, column, value):
    run(tmp_path / "s.csv")
    edit(tmp_path / "s.csv", 2, column, value)
    with pytest.raises(ValueError, match=r"Line 3 of .*s\.csv is damaged: .* or remove it"):
        run(tmp_path / "s.csv")


@pytest.mark.parametrize("number", [1, -1])
def test_bytes_that_are_no_text_are_damage(tmp_path, number):
    run(tmp_path / "s.csv")
    lines = (tmp_path / "s.csv").read_bytes().splitlines(keepends=True)
    lines[number] = b"\xff" + lines[number]
    (tmp_path / "s.csv").write_bytes(b"".join(lines))
    with pytest.raises(ValueError, match=r"Line \d of .* is damaged: '.*xff"):
        run(tmp_path / "s.csv")


def test_two_lines_of_a_round_may_not_contradict_each_other(tmp_path):
    key, settings = ("a", "b", 0), {("a", "b"): "5eed"}
    for name, score in (("one", 0.5), ("two", 0.75)):
        Journal(tmp_path / name, settings).save(key, 0, Round(3, score, []))
    Journal(tmp_path / "three", settings).save(key, 0, Round(3, 0.5, [7]))

    def joined(*names):
        header = (tmp_path / "one").read_bytes().splitlines(keepends=True)[0]
        lines = [(tmp_path / name).read_bytes().splitlines(keepends=True)[1] for name in names]
        (tmp_path / "joined").write_bytes(b"".join([header, *lines]))
        return Journal(tmp_path / "joined", settings).load([key])[key]

    with pytest.raises(ValueError, match=r"Line 3 of .* contradicts an earlier line on round 0"):
        joined("one", "two")
    for names in (("one", "three"), ("three", "one")):  # one knows of no query yet
        assert joined(*names)[0].queried.tolist() == [7]


# The user's files, and what file systems lack


def test_files_beside_the_store_stay_as_they_are(tmp_path):
    store, own = tmp_path / "s.csv", tmp_path / "own.txt"
    own.write_text("mine")
    (tmp_path / "s.csv.tmp").symlink_to(own)
    run(store, n_rounds=2)
    run(store, n_rounds=3)
    assert own.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.txt", "s.csv", "s.csv.tmp"]


def test_home_and_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    run("~/new/folder/s.csv", n_rounds=1)
    assert (tmp_path / "new" / "folder" / "s.csv").exists()


def test_what_names_no_file_is_refused_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    for store, error, message in (
        (tmp_path / "pipe", OSError, "is no regular file"),
        (tmp_path, IsADirectoryError, "is a folder; name a file in it"),
        ("", IsADirectoryError, "is a folder; name a file in it"),
        (tmp_path / "file" / "s.csv", NotADirectoryError, r"lies below what is no folder.*file"),
        (tmp_path / "file" / "a" / "s.csv", NotADirectoryError, "lies below what is no folder"),
        (tmp_path / "loop", OSError, "loop"),
        ("~nobody-of-this-name/s.csv", ValueError, r"home folder that is not known; .*'\./~no"),
        ("a\0b", ValueError, "is no path of a file"),
        (3, TypeError, "store= must be the path of a file, got 3"),
        (b"s.csv", TypeError, "store= must be the path of a file, got b's.csv'"),
        (True, TypeError, "store= must be the path of a file, got True"),
    ):
        with pytest.raises(error, match=message):
            run(store)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "loop", "pipe"]


@pytest.fixture
def read_only(monkeypatch):
    def refuse(path, mode="r", *args, **kwargs):
        if mode != "rb":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return open(path, mode, *args, **kwargs)

    return lambda: monkeypatch.setattr(journal_module, "open", refuse, raising=False)


def test_a_finished_store_need_not_be_writable(tmp_path, read_only):
    store = tmp_path / "s.csv"
    expected = run(store)
    before = store.read_bytes()
    read_only()
    pd.testing.assert_frame_equal(run(store), expected)
    with pytest.raises(OSError, match=r"lacks rounds .* cannot be written; copy it .*s\.csv"):
        run(store, n_rounds=4)
    with pytest.raises(OSError, match="Read-only"):
        run(tmp_path / "none.csv")
    assert store.read_bytes() == before


@pytest.fixture
def _without_locks(monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.usefixtures("_without_locks")
def test_without_locks_one_process_goes_on_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match=r"s\.csv has no locks: let no other simulation"):
        results = run(tmp_path / "s.csv")
    pd.testing.assert_frame_equal(results, run(None))
    pd.testing.assert_frame_equal(results, run(tmp_path / "s.csv"))  # only read: no warning


@pytest.mark.usefixtures("_without_locks")
def test_without_locks_processes_are_refused(tmp_path):
    with pytest.raises(OSError, match=r"2 processes cannot write to it at once. Pass n_jobs=1"):
        run(tmp_path / "s.csv", n_jobs=2)


def test_a_disk_that_is_full_leaves_no_half_line(tmp_path, monkeypatch):
    journal, key = Journal(tmp_path / "s.csv", {("a", "b"): "5eed"}), ("a", "b", 0)
    journal.save(key, 0, Round(3, 0.5, [1]))
    before = (tmp_path / "s.csv").read_bytes()

    class Full:
        def __init__(self, file):
            self.file = file

        def write(self, line):
            return self.file.write(line[:5])

        def __getattr__(self, name):
            return getattr(self.file, name)

    append = journal_module._append
    monkeypatch.setattr(journal_module, "_append", lambda file, line: append(Full(file), line))
    with pytest.raises(OSError, match="is the disk full"):
        journal.save(key, 1, Round(4, 0.5, []))
    assert (tmp_path / "s.csv").read_bytes() == before


def test_a_save_reads_only_what_is_new(tmp_path, monkeypatch):
    key, settings, sizes = ("a", "b", 0), {("a", "b"): "5eed"}, []
    journal, other = (Journal(tmp_path / "s.csv", settings) for _ in range(2))
    for number in range(20):
        journal.save(key, number, Round(number, 0.5, [number]))

    class Counted:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def readall(self):
            data = self.file.readall()
            sizes.append(len(data))
            return data

        def __getattr__(self, name):
            return getattr(self.file, name)

    opened = Journal._open
    monkeypatch.setattr(Journal, "_open", lambda self: Counted(opened(self)))
    journal.save(key, 20, Round(20, 0.5, []))
    assert sizes[0] < 100
    other.save(key, 20, Round(20, 0.5, [20]))  # a new file, longer by two bytes
    journal.save(key, 21, Round(21, 0.5, []))
    assert max(sizes[-2:]) > 500
    rounds = other.load([key])[key]
    assert [each.n_labels for each in rounds] == list(range(22))
    assert rounds[20].queried.tolist() == [20]


def test_a_closed_journal_writes_nothing(tmp_path):
    journal = Journal(tmp_path / "s.csv", {("a", "b"): "5eed"})
    journal.load([])
    before = (tmp_path / "s.csv").read_bytes()
    journal.close()
    with pytest.raises(RuntimeError, match="has ended"):
        journal.save(("a", "b", 0), 0, Round(3, 0.5, []))
    assert (tmp_path / "s.csv").read_bytes() == before
