"""Embeddings in Parquet files: what they hold, and which shards are computed again."""

import errno
import json
import os
import pickle

import numpy as np
import pandas as pd
import pytest
from angle_encoder import Angles, angles_of

from skactivekd.encoders import (
    RowError,
    SkippedRowsWarning,
    embed_to_parquet,
    read_embeddings,
)
from skactivekd.encoders import _make_shard as making
from skactivekd.encoders import _to_parquet as to_parquet
from skactivekd.encoders._shard_locks import claimed
from skactivekd.encoders._source_parts import read_parts

pq = pytest.importorskip("pyarrow.parquet")

N, SIZE = 23, 5


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "pool"


def embed(source, folder, encoder=None, **kwargs):
    kwargs = {"shard_size": SIZE, **kwargs}
    return embed_to_parquet(source, Angles() if encoder is None else encoder, folder, **kwargs)


def shard(folder, number):
    return folder / f"embeddings-{number:08d}.parquet"


def numbers(n=N):
    return np.arange(float(n))


def test_each_shard_is_a_plain_parquet_file(folder):
    assert embed(numbers(), folder) == 5
    table = pd.concat(map(pd.read_parquet, sorted(folder.glob("*.parquet"))))
    assert table["id"].tolist() == list(range(N))
    np.testing.assert_array_equal(np.stack(table["embedding"]), angles_of(numbers()))
    schema = pq.read_schema(shard(folder, 4))
    assert str(schema.field("embedding").type).startswith("fixed_size_list<")
    said = json.loads(schema.metadata[b"skactivekd"])
    assert (said["start"], said["stop"], said["dimension"], said["format"]) == (20, 23, 3, 1)
    assert said["fingerprint"].startswith("angle_encoder.Angles.encode_image ")


def test_one_memory_map_is_written_once(folder):
    embed(numbers(), folder)
    ids, embeddings = read_embeddings(folder)
    assert isinstance(embeddings, np.memmap)
    assert embeddings.dtype == np.float16
    np.testing.assert_array_equal(embeddings, angles_of(numbers()))
    np.testing.assert_array_equal(ids, np.arange(N))
    before = os.stat(folder / "embeddings.npy")
    read_embeddings(folder)
    after = os.stat(folder / "embeddings.npy")
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize("damage", ["a byte", "its end", "all of it"])
def test_a_damaged_memory_map_is_written_again(folder, damage):
    embed(numbers(), folder)
    read_embeddings(folder)
    path = folder / "embeddings.npy"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes({"a byte": content, "its end": content[:-9], "all of it": b""}[damage])
    np.testing.assert_array_equal(read_embeddings(folder)[1], angles_of(numbers()))


def test_a_copied_memory_map_is_found_good(folder, monkeypatch):
    embed(numbers(), folder)
    read_embeddings(folder)
    os.utime(folder / "embeddings.npy")
    monkeypatch.setattr("skactivekd.encoders._read_embeddings._build", None)
    np.testing.assert_array_equal(read_embeddings(folder)[1], angles_of(numbers()))


@pytest.mark.parametrize("name", ["embeddings", "ids"])
def test_the_memory_map_follows_its_shards(folder, name):
    embed(numbers(), folder)
    read_embeddings(folder)
    changed = {"ids": list(range(100, 100 + N))} if name == "ids" else {}
    encoder = Angles(name="other") if name == "embeddings" else None
    embed(numbers()[::-1].copy(), folder, encoder, overwrite=True, **changed)
    ids, embeddings = read_embeddings(folder)
    np.testing.assert_array_equal(embeddings, angles_of(numbers()[::-1]))
    assert ids[0] == (100 if name == "ids" else 0)


def test_a_second_call_computes_nothing(folder, tmp_path):
    embed(numbers(), folder)
    log = tmp_path / "log"
    assert embed(numbers(), folder, Angles(log)) == 0
    assert not log.exists()


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "a flipped bit":
        content[40] ^= 1
        path.write_bytes(content)
    else:
        os.unlink(path)


@pytest.mark.parametrize("how", ["truncated", "empty", "a flipped bit", "missing"])
def test_what_is_damaged_is_computed_again(folder, tmp_path, how):
    embed(numbers(), folder)
    damage(shard(folder, 2), how)
    with pytest.raises(ValueError, match=r"00000002\.parquet is damaged|number 2: call"):
        read_embeddings(folder)
    log = tmp_path / "log"
    if how == "missing":
        assert embed(numbers(), folder, Angles(log)) == 1
    else:
        with pytest.warns(UserWarning, match=r"00000002\.parquet is damaged.*computed again"):
            assert embed(numbers(), folder, Angles(log)) == 1
    assert log.read_text().split()[1:] == ["10", "5"]
    np.testing.assert_array_equal(read_embeddings(folder)[1], angles_of(numbers()))


OTHERS = {
    "encoder": ({}, Angles(name="other"), "00000000.parquet is of another encoder"),
    "shard size": ({"shard_size": 4}, None, "has shard_size=5, and this call 4"),
    "rows": ({"source": numbers() + 1}, None, "00000000.parquet holds other rows or ids"),
    "ids": ({"ids": range(1, N + 1)}, None, "00000000.parquet holds other rows or ids"),
    "a shorter source": ({"source": numbers(11)}, None, "begins at row 15 .* has 11 rows"),
    "one row less": ({"source": numbers(22)}, None, "00000004.parquet holds other rows or ids"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_shards_of_something_else_raise_or_are_replaced(folder, tmp_path, what):
    embed(numbers(), folder)
    changed, encoder, message = OTHERS[what]
    kwargs = {"source": numbers(), **changed}
    source = kwargs.pop("source")
    with pytest.raises(ValueError, match=message + r".*overwrite=True"):
        embed(source, folder, encoder, **kwargs)
    np.testing.assert_array_equal(read_embeddings(folder)[1], angles_of(numbers()))
    embed(source, folder, encoder, overwrite=True, **kwargs)
    ids, embeddings = read_embeddings(folder)
    np.testing.assert_array_equal(embeddings, angles_of(source))
    assert ids[0] == (1 if what == "ids" else 0)


def test_a_shorter_stream_is_noticed_at_its_end(folder):
    embed(list(numbers()), folder)
    with pytest.raises(ValueError, match=r"begins at row 10 .* has 10 rows"):
        embed(iter(numbers(10)), folder)
    embed(iter(numbers(10)), folder, overwrite=True)
    assert len(read_embeddings(folder)[0]) == 10


def test_another_parquet_file_in_the_way_is_no_shard(folder):
    folder.mkdir()
    pd.DataFrame({"a": [1]}).to_parquet(shard(folder, 0))
    with pytest.raises(ValueError, match=r"no file that embed_to_parquet wrote.*overwrite=True"):
        embed(numbers(), folder)
    assert embed(numbers(), folder, overwrite=True) == 5


def test_a_source_may_grow_at_its_end(folder, tmp_path):
    embed(numbers(), folder)
    log = tmp_path / "log"
    assert embed(numbers(32), folder, Angles(log)) == 3
    assert [line.split()[1] for line in log.read_text().splitlines()] == ["20", "25", "30"]
    np.testing.assert_array_equal(read_embeddings(folder)[1], angles_of(numbers(32)))


def test_what_is_not_at_its_end_is_not_read(folder, monkeypatch):
    monkeypatch.setattr(making, "write_shard", lambda *_: None)
    with pytest.raises(RuntimeError, match=r"wrote .*00000000.parquet, but it is not there"):
        embed(numbers(), folder)
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError, match="holds no shard"):
        read_embeddings(folder)
    embed(numbers(), folder)
    (folder / "complete.json").unlink()
    with pytest.raises(ValueError, match="not complete: call embed_to_parquet again"):
        read_embeddings(folder)
    assert embed(numbers(), folder) == 0
    assert len(read_embeddings(folder)[0]) == N


def texts(n=N, bad=()):
    return ["x" * (row + 1) if row not in bad else f"bad{row}" for row in range(n)]


def test_bad_rows_are_named_with_shard_and_id(folder):
    ids = [f"id{row}" for row in range(N)]
    with pytest.raises(RowError) as caught:
        embed(texts(bad=(7, 22)), folder, ids=ids)
    assert caught.value.bad == {
        7: "bad7 is bad (id id7, shard 1)",
        22: "bad22 is bad (id id22, shard 4)",
    }
    assert "call again for the shards that are left" in str(caught.value)
    assert len(list(folder.glob("*.parquet"))) == 3  # all the others
    mended = texts(bad=(22,))
    with pytest.raises(RowError, match="row 22"):
        embed(mended, folder, ids=ids)
    assert len(list(folder.glob("*.parquet"))) == 4


def test_skipped_rows_are_named_at_each_call_and_left_out(folder):
    encoder = Angles(on_error="skip")
    for computed in (5, 0):
        with pytest.warns(SkippedRowsWarning) as caught:
            assert embed(texts(bad=(7, 22)), folder, encoder) == computed
        assert caught[0].message.bad[22] == "bad22 is bad (id 22, shard 4)"
    with pytest.warns(SkippedRowsWarning, match=r"row 7: bad7 is bad \(shard 1\)"):
        ids, embeddings = read_embeddings(folder)
    good = [row for row in range(N) if row not in (7, 22)]
    assert ids.tolist() == good
    np.testing.assert_array_equal(embeddings, angles_of(np.array(good) + 1))
    with pytest.raises(RowError, match="row 7"):  # as these now have to be sound
        embed(texts(bad=(7, 22)), folder)


def test_where_all_is_wrong_it_ends_early(folder, tmp_path):
    log = tmp_path / "log"
    with pytest.raises(RowError, match="1500 rows and perhaps more cannot be encoded"):
        embed(["bad"] * 9000, folder, Angles(log), shard_size=500)
    assert len(log.read_text().splitlines()) == 3


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_errors_of_the_encoder_reach_the_caller(folder, n_jobs):
    class Long(Angles):
        def fingerprint(self):
            return "long"

        def encode_image(self, X):
            return 2 * super().encode_image(X)

    with pytest.raises(ValueError, match=r"rows of shard \d, .* not norm 1, the first for row"):
        embed(numbers(), folder, Long(), n_jobs=n_jobs)


def test_a_worker_has_the_same_weights_and_disk(folder):
    plan = making.make_plan(Angles(), folder, SIZE, False)
    part = next(read_parts(numbers(), folder, SIZE, texts=False)[1])
    with pytest.raises(RuntimeError, match="a worker does not see"):
        making.make_shard(Angles(), plan, part)
    folder.mkdir()
    with pytest.raises(RuntimeError, match="the files of its model, or the versions"):
        making.make_shard(Angles(name="other weights"), plan, part)
    assert making.make_shard(Angles(), plan, pickle.loads(pickle.dumps(part))).state == "made"
    assert making.make_shard(Angles(), plan, part).state == "kept"


def test_local_processes_make_the_same(folder, tmp_path):
    log = tmp_path / "log"
    assert embed(numbers(), folder, Angles(log), n_jobs=2) == 5
    np.testing.assert_array_equal(read_embeddings(folder)[1], angles_of(numbers()))
    assert str(os.getpid()) not in log.read_text().split()


def test_the_time_left_is_that_of_what_is_computed(folder, capsys, monkeypatch):
    embed(numbers(10), folder)
    monkeypatch.setattr("skactivekd.utils._progress_bar.LATE", 0)
    bars, bar_of = [], to_parquet.bar_of
    monkeypatch.setattr(
        to_parquet, "bar_of", lambda *a, **k: bars.append(bar_of(*a, **k)) or bars[0]
    )
    embed(numbers(), folder, verbose=1)
    assert "23/23" in capsys.readouterr().err
    assert (bars[0].initial, bars[0].n, bars[0].total) == (10, 23, 23)


def refusals(folder):
    class Nameless:
        def encode_image(self, X):
            return X

    yield TypeError, "no fingerprint.* _identity", {"encoder": Nameless()}
    yield TypeError, "must be an object with encode_image", {"encoder": 3}
    yield ValueError, "shard_size=0", {"shard_size": 0}
    yield ValueError, "leave one out", {"client": object(), "n_jobs": 2}
    yield TypeError, "client is a object", {"client": object()}
    yield ValueError, "must be a path", {"folder": "s3://bucket/pool"}
    yield TypeError, "overwrite", {"overwrite": "yes"}


@pytest.mark.parametrize("number", range(7))
def test_refusals(folder, number):
    kind, message, changed = list(refusals(folder))[number]
    kwargs = {"source": numbers(), "folder": folder, **changed}
    with pytest.raises(kind, match=message):
        embed(**kwargs)
    assert not folder.exists()


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.EACCES, errno.ENOLCK, errno.EIO])
def test_claims_of_shards_on_odd_file_systems(code, tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "lockf", refuse)
    if code == errno.EIO:
        with pytest.raises(OSError, match=os.strerror(code)), claimed(tmp_path, 0):
            pass
        return
    with claimed(tmp_path, 0) as mine:
        assert mine is (None if code == errno.ENOLCK else False)
