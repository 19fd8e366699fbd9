"""Embeddings in a file: kept across processes, never wrong, and errors that say what to do."""

import copy
import multiprocessing
import os
import pathlib
import pickle
import shutil
import sqlite3
import threading
import time
from collections import OrderedDict

import numpy as np
import pytest
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, clone

from skactivekd.cache import EmbeddingCache, _cache, _sqlite_file, _sqlite_store
from skactivekd.cache._encoder_identity import identify
from skactivekd.encoders._base import encode_rows
from skactivekd.utils import _row_identity


class Encoder(BaseEstimator):
    """Angles from numbers, in arrays or files; says what it was given."""

    seen = []
    batch_size = 4

    def __init__(self, scale=1.0, cache=None):
        self.scale = scale
        self.cache = cache

    def fingerprint(self):
        return f"angles times {self.scale}"

    def encode_image(self, X):
        self.seen.append(len(X))
        numbers = [len(x.read_bytes()) if hasattr(x, "read_bytes") else np.sum(x) for x in X]
        angles = self.scale * np.array(numbers)
        return np.column_stack([np.cos(angles), np.sin(angles)])


@pytest.fixture(autouse=True)
def seen(monkeypatch):
    monkeypatch.setattr(Encoder, "seen", [])
    return Encoder.seen


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "er" / "embeddings.sqlite"


@pytest.fixture
def X():
    return np.random.default_rng(0).random((10, 4, 4))


@pytest.fixture
def files(tmp_path):
    files = [tmp_path / f"{i}.png" for i in range(10)]
    for i, file in enumerate(files):
        file.write_bytes(bytes(i))
    return files


def encode(path, X, scale=1.0, **settings):
    return encode_rows(Encoder(scale, EmbeddingCache(path, **settings)), X)


def test_another_cache_on_the_file_finds_the_rows(path, X, seen):
    first = encode(path, X)
    order = np.array([3, 3, 0, 9])
    np.testing.assert_array_equal(encode(str(path), X[order]), first[order])
    np.testing.assert_array_equal(first, encode(None, X))
    assert seen == [4, 4, 2] * 2
    assert os.listdir(path.parent) == [path.name]


def test_nothing_is_made_before_it_is_needed(path, X):
    cache = EmbeddingCache(path)
    assert (len(cache), cache.nbytes, cache.prune(older_than=0)) == (0, 0, 0)
    assert repr(cache) == f"<EmbeddingCache({str(path)!r}): 0 rows, 0 bytes>"
    cache.clear()
    assert clone(Encoder(cache=cache)).cache is copy.deepcopy(cache) is cache
    assert not path.parent.exists()
    encode_rows(Encoder(cache=cache), X)
    assert (len(cache), cache.nbytes) == (10, path.stat().st_size)
    assert "10 rows" in repr(cache)


def test_the_path_is_that_of_the_start(tmp_path, monkeypatch, X):
    monkeypatch.chdir(tmp_path)
    cache = EmbeddingCache("a.sqlite")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    encode_rows(Encoder(cache=cache), X)
    assert (tmp_path / "a.sqlite").exists()


def test_an_empty_file_is_filled(tmp_path, X, seen):
    (tmp_path / "empty").touch()
    assert len(EmbeddingCache(tmp_path / "empty")) == 0
    encode(tmp_path / "empty", X)
    encode(tmp_path / "empty", X)
    assert sum(seen) == 10


def test_another_owner_or_dtype_is_another_row(path, X, seen):
    first, other = encode(path, X), encode(path, X, 2.0)
    half = encode(path, X, dtype="float16")
    assert not np.allclose(first, other)
    np.testing.assert_array_equal(encode(path, X), first)
    np.testing.assert_array_equal(encode(path, X, dtype="float16"), half)
    assert 0 < np.abs(first - half).max() < 1e-3
    assert sum(seen) == 30


def test_float16_halves_the_file(path, X):
    wide = np.random.default_rng(0).standard_normal((500, 512)).astype(np.float32)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    sizes = []
    for dtype in ("float32", "float16"):
        cache = EmbeddingCache(path.with_name(dtype), dtype=dtype)
        keys = [b"%d" % i for i in range(500)]
        rows = cache.fetch("owner", keys, wide.__getitem__)
        np.testing.assert_array_equal(cache.fetch("owner", keys, None), rows)
        np.testing.assert_allclose(rows, wide, atol=1e-3)
        sizes.append(cache.nbytes)
    assert sizes[1] < 0.55 * sizes[0]


@pytest.mark.parametrize("chunk", [3, 4096])
def test_any_subset_in_any_order(path, X, chunk, monkeypatch, seen):
    monkeypatch.setattr(_sqlite_store, "_CHUNK", chunk)
    X = np.random.default_rng(1).random((50, 2, 2))
    expected = encode(None, X)
    encode(path, X[:30])
    encode(path, X[25:40], 3.0)  # more than is wanted below
    for size in (1, 5, 29, 50):
        order = np.random.default_rng(size).integers(0, 50, size)
        np.testing.assert_array_equal(encode(path, X[order]), expected[order])


def test_a_file_that_moved_or_was_touched_is_found_by_content(path, files, seen):
    first = encode(path, files)
    moved = files[0].parent / "moved"
    moved.mkdir()
    places = [pathlib.Path(shutil.move(file, moved / f"x{file.name}")) for file in files]
    os.utime(places[3], ns=(0, 5))
    seen.clear()
    np.testing.assert_array_equal(encode(path, places), first)
    assert seen == []


def test_a_known_file_is_not_read(path, files, seen, monkeypatch):
    encode(path, files)
    monkeypatch.setattr("skactivekd.cache._cache.hash_file", None)
    assert len(encode(path, files)) == 10
    assert sum(seen) == 10


def test_a_changed_file_is_encoded_again(path, files, seen):
    first = encode(path, files)
    files[2].write_bytes(bytes(50))
    assert not np.allclose(encode(path, files)[2], first[2])
    assert sum(seen) == 11


def test_a_file_that_changes_while_it_is_encoded_is_not_kept(path, files):
    class Meddler(Encoder):
        def fingerprint(self):
            return super().fingerprint()

        def encode_image(self, X):
            rows = super().encode_image(X)
            X[0].write_bytes(bytes(99))
            return rows

    cache = EmbeddingCache(path)
    encode_rows(Meddler(cache=cache), files)
    assert len(cache) == 7  # the first of each batch of four is missing
    np.testing.assert_array_equal(
        encode_rows(Meddler(cache=cache), files[1:2]), encode(None, files[1:2])
    )


def test_clear_and_prune_shrink_the_file(path):
    cache = EmbeddingCache(path)
    rows = np.ones((2000, 64), dtype=np.float32) / 8
    for start in range(0, 2000, 500):
        keys = [b"%d" % (start + i) for i in range(500)]
        cache.fetch("owner", keys, lambda indices: rows[: len(indices)])
        time.sleep(0.02)
    middle, full = time.time(), cache.nbytes
    dropped = cache.prune(max_bytes=full // 2)
    assert 1000 <= dropped <= 1300
    assert full // 3 < cache.nbytes <= full // 2
    assert len(cache) == 2000 - dropped
    cache.fetch("owner", keys, None)  # the newest are still there
    cache.fetch("owner", [b"new"], lambda indices: rows[:1])
    assert cache.prune(older_than=time.time() - middle) == 2000 - dropped
    assert len(cache) == 1
    cache.clear()
    assert len(cache) == 0
    assert cache.nbytes < 100_000


def test_a_limit_holds_while_rows_are_written(path):
    cache = EmbeddingCache(path, max_bytes=300_000)
    rows = np.ones((64, 64), dtype=np.float32) / 8
    for start in range(0, 3000, 300):
        keys = [b"%d" % (start + i) for i in range(300)]
        cache.fetch("owner", keys, lambda indices: rows[: len(indices)])
        assert cache.nbytes < 340_000
    assert 300 < len(cache) < 1200
    cache.fetch("owner", keys, None)
    with pytest.warns(UserWarning, match="do not fit the cache of 300000"):
        cache.fetch("owner", [b"x%d" % i for i in range(2000)], lambda i: rows[: len(i)])


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"no database " * 100, "no SQLite file"),
        ("PRAGMA user_version = 3", "another program"),
        ("CREATE TABLE t (x)", "another program"),
        (f"PRAGMA application_id = {_sqlite_file.APPLICATION}; PRAGMA user_version = 9", "newer"),
    ],
)
def test_a_file_that_is_not_ours_raises_and_is_left_alone(tmp_path, X, content, match):
    path = tmp_path / "other"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        db = sqlite3.connect(path)
        db.executescript(content)
        db.close()
    before = path.read_bytes()
    for use in (lambda: encode(path, X), lambda: len(EmbeddingCache(path))):
        with pytest.raises(ValueError, match=f"{path}.*{match}"):
            use()
    assert "unreadable" in repr(EmbeddingCache(path))
    assert path.read_bytes() == before


@pytest.mark.parametrize(("start", "size"), [(8192, 300_000), (300_000, 9)])
def test_a_damaged_file_raises_and_may_be_deleted(path, start, size):
    rows = np.ones((3000, 64), dtype=np.float32) / 8
    keys = [b"%d" % i for i in range(3000)]
    EmbeddingCache(path).fetch("owner", keys, lambda indices: rows[: len(indices)])
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(b"?" * size)
    cache = EmbeddingCache(path)
    with pytest.raises(ValueError, match=f"{path} is damaged.*delete it"):
        cache.fetch("owner", keys, None)
    path.unlink()
    cache.fetch("owner", keys, lambda indices: rows[: len(indices)])
    assert len(EmbeddingCache(path)) == 3000


def test_a_truncated_file_raises(path):
    rows = np.ones((3000, 64), dtype=np.float32) / 8
    keys = [b"%d" % i for i in range(3000)]
    EmbeddingCache(path).fetch("owner", keys, lambda indices: rows[: len(indices)])
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(ValueError, match="is damaged"):
        EmbeddingCache(path).fetch("owner", keys, None)


def test_a_file_deleted_meanwhile_is_made_anew(path, X, seen):
    cache = EmbeddingCache(path)
    encode_rows(Encoder(cache=cache), X)
    path.unlink()
    assert len(cache) == 0
    encode_rows(Encoder(cache=cache), X)
    assert len(EmbeddingCache(path)) == 10


def test_where_nothing_can_be_written_rows_are_returned_with_a_warning(tmp_path, X, seen):
    (tmp_path / "file").touch()
    with pytest.warns(UserWarning, match="not kept") as caught:
        rows = encode(tmp_path / "file" / "cache", X)
    assert len(caught) == 1
    np.testing.assert_array_equal(rows, encode(None, X))


def test_a_full_disk_does_not_stop_the_work(path, X, monkeypatch, seen):
    cache = EmbeddingCache(path)
    encode_rows(Encoder(cache=cache), X[:1])
    cache._store._db.execute(f"PRAGMA max_page_count = {path.stat().st_size // 8192}")
    big = np.eye(10, 9000, dtype=np.float32)
    with pytest.warns(UserWarning, match="full.*not kept"):
        rows = cache.fetch("owner", [b"%d" % i for i in range(10)], lambda i: big[i])
    np.testing.assert_array_equal(rows, big)
    assert len(EmbeddingCache(path)) == 1


def test_a_read_only_file_is_read(path, X, seen):
    encode(path, X[:5])
    cache = EmbeddingCache(path)
    encode_rows(Encoder(cache=cache), X[:5])
    cache._store._db.execute("PRAGMA query_only = 1")  # the mode of the file stops no root user
    with pytest.warns(UserWarning, match="readonly.*not kept"):
        encode_rows(Encoder(cache=cache), X)
    assert sum(seen) == 10


def test_a_lock_is_waited_for_and_then_named(path, X, monkeypatch):
    encode(path, X[:1])
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    timer = threading.Timer(0.3, other.execute, ["COMMIT"])
    timer.start()
    encode(path, X)
    timer.join()
    monkeypatch.setattr(_sqlite_file, "PATIENCE", 0.1)
    other.execute("BEGIN IMMEDIATE")
    with pytest.warns(UserWarning, match="locked by another process.*not kept"):
        encode(path, X, 2.0)
    other.execute("ROLLBACK")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(TimeoutError, match="locked by another process"):
        encode(path, X)
    other.close()


def test_pickles_and_workers_open_the_same_file(path, X, seen):
    encode(path, X[:5])
    cache = EmbeddingCache(path, max_bytes=10**9, dtype="float16")
    other = pickle.loads(pickle.dumps(cache))
    assert (other.path, other.max_bytes, other.dtype) == (str(path), 10**9, "float16")
    encoder = Encoder(cache=EmbeddingCache(path))
    parts = Parallel(n_jobs=2)(delayed(encode_rows)(encoder, X[i:]) for i in (0, 5))
    assert len(encoder.cache) == 10
    np.testing.assert_array_equal(encode_rows(encoder, X), parts[0])
    assert seen == [4, 1]


def test_threads_encode_each_row_once(path, seen, monkeypatch):
    X = np.arange(40.0).reshape(40, 1, 1)
    monkeypatch.setattr(
        Encoder,
        "encode_image",
        lambda self, X, f=Encoder.encode_image: (time.sleep(0.01), f(self, X))[1],
    )
    encoder = Encoder(cache=EmbeddingCache(path))
    threads = [threading.Thread(target=encode_rows, args=(encoder, X)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(seen) == 40


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_shares_the_file_and_not_the_connection(path, X):
    cache = EmbeddingCache(path)
    first = encode_rows(Encoder(cache=cache), X[:5])
    context = multiprocessing.get_context("fork")
    queue = context.Queue()

    def child():
        queue.put((cache._store._db, encode_rows(Encoder(cache=cache), X)))

    holder = threading.Thread(target=lambda: [cache._lock.acquire(), time.sleep(0.3)])
    holder.start()  # a lock held by another thread must not be inherited
    process = context.Process(target=child)
    process.start()
    inherited, rows = queue.get(timeout=20)
    process.join(20)
    holder.join()
    assert process.exitcode == 0
    assert inherited is None
    np.testing.assert_array_equal(rows[:5], first)
    assert len(cache) == 10


def test_encoders_that_cannot_be_told_apart_elsewhere_stay_in_memory(path, X):
    encoder = Encoder(cache=EmbeddingCache(path))
    lock = threading.Lock()
    encoder.encode_image = lambda X: np.ones((len(X), 1)) if lock else X
    with pytest.warns(UserWarning, match=r"Encoder.*cannot be told.*fingerprint\(\)"):
        encode_rows(encoder, X)
    assert not path.exists()
    encode_rows(encoder, X)


def test_the_cache_and_the_batch_size_are_no_part_of_the_identity(path):
    class Sized(Encoder):
        fingerprint = None

        def __init__(self, cache=None, batch_size=4):
            self.cache, self.batch_size = cache, batch_size

    owners = {
        identify(Sized(cache, size), "encode_image")
        for cache in (None, EmbeddingCache(path))
        for size in (1, 2)
    }
    assert len(owners) == 1


class Clock:
    """Seconds that pass as a test says, in place of the module `time`."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def time(self):
        return self.now


@pytest.mark.parametrize(
    ("batch_seconds", "write_seconds", "groups"),
    [
        (1.0, 0.01, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]),  # an encoder that is slower than the disk
        (0.1, 0.02, [1, 5, 4]),  # a twentieth of the time for writing
        (0.3, 5.0, [1, 4, 4, 1]),  # but a second at the most is lost
    ],
)
def test_writes_are_grouped_by_time(path, monkeypatch, batch_seconds, write_seconds, groups):
    clock, written = Clock(), []
    write = _sqlite_store.Store.write

    def slow_write(self, owner, batches, files):
        written.append(len(batches))
        clock.now += write_seconds
        return write(self, owner, batches, files)

    def encode_slowly(positions):
        clock.now += batch_seconds
        return np.ones((len(positions), 1), dtype=np.float32)

    monkeypatch.setattr(_cache, "time", clock)
    monkeypatch.setattr(_sqlite_store.Store, "write", slow_write)
    keys = [b"%d" % row for row in range(40)]
    EmbeddingCache(path).fetch("owner", keys, encode_slowly, batch_size=4)
    assert written == groups
    assert len(EmbeddingCache(path)) == 40


def test_many_bytes_are_written_before_their_time(path, monkeypatch):
    clock, written = Clock(), []
    write = _sqlite_store.Store.write

    def note(self, owner, batches, files):
        written.append(len(batches))
        clock.now += 10.0
        return write(self, owner, batches, files)

    monkeypatch.setattr(_cache, "time", clock)
    monkeypatch.setattr(_cache, "_GROUP_BYTES", 100)
    monkeypatch.setattr(_sqlite_store.Store, "write", note)
    keys = [b"%d" % row for row in range(20)]
    EmbeddingCache(path).fetch("owner", keys, lambda p: np.ones((len(p), 4)), batch_size=2)
    assert written == [1, 4, 4, 1]


def test_an_interrupt_loses_no_batch_that_was_encoded(path, monkeypatch):
    monkeypatch.setattr(_cache, "_GROUP_SHARE", 10**9)

    def encode_some(positions):
        if positions[0] >= 12:
            raise KeyboardInterrupt
        return np.ones((len(positions), 1), dtype=np.float32)

    keys = [b"%d" % row for row in range(40)]
    with pytest.raises(KeyboardInterrupt):
        EmbeddingCache(path).fetch("owner", keys, encode_some, batch_size=4)
    assert len(EmbeddingCache(path)) == 12


def test_a_model_file_is_read_once_for_all_processes(path, files, monkeypatch):
    found = _row_identity.hash_model_file(*files[:3], cache=EmbeddingCache(path))
    read = []
    monkeypatch.setattr(_row_identity, "_HASHES", OrderedDict())  # as in a new process
    monkeypatch.setattr(_cache, "hash_file", lambda path: read.append(path))
    cache = EmbeddingCache(path)
    assert _row_identity.hash_model_file(*files[:3], cache=cache) == found
    assert read == []
    files[1].write_bytes(b"other weights")
    monkeypatch.undo()
    assert _row_identity.hash_model_file(*files[:3], cache=cache) != found
    assert _row_identity.hash_model_file(*files[:3]) != found
