"""File systems without locks: one clear error, at once."""

import errno
import os
import sqlite3

import numpy as np
import pytest

from skactivekd.cache import EmbeddingCache, _sqlite_file, _sqlite_store
from skactivekd.encoders._base import encode_rows
from skactivekd.utils import _file_locks

pytestmark = pytest.mark.skipif(_file_locks.fcntl is None, reason="needs fcntl")


class Encoder:
    def __init__(self, path):
        self.cache, self.n_rows = EmbeddingCache(path), 0

    def fingerprint(self):
        return "ones"

    def encode_image(self, X):
        self.n_rows += len(X)
        return np.ones((len(X), 1))


@pytest.fixture
def without_locks(monkeypatch):
    def refuse(*args):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(_file_locks.fcntl, "lockf", refuse)


@pytest.mark.parametrize("exists", [False, True])
def test_a_cache_there_is_one_error_before_any_work(tmp_path, monkeypatch, exists, request):
    path = tmp_path / "deep" / "cache.sqlite"
    if exists:
        encode_rows(Encoder(path), np.zeros((3, 2, 2)))
    request.getfixturevalue("without_locks")
    monkeypatch.setattr(_sqlite_store, "connect", None)
    encoder = Encoder(path)
    with pytest.raises(OSError, match=r"cache of embeddings needs file locks.*local disk") as error:
        encode_rows(encoder, np.zeros((5, 2, 2)))
    assert str(path) in str(error.value)
    assert error.value.errno == errno.ENOLCK
    assert encoder.n_rows == 0
    assert "unreadable" in repr(encoder.cache)


def test_a_folder_that_cannot_be_written_is_told_by_the_file_itself(tmp_path, monkeypatch):
    path = tmp_path / "cache.sqlite"
    encode_rows(Encoder(path), np.zeros((3, 2, 2)))

    def refuse(*args, **kwargs):
        raise PermissionError

    monkeypatch.setattr(_file_locks.tempfile, "TemporaryFile", refuse)
    assert len(EmbeddingCache(path)) == 1
    assert len(EmbeddingCache(tmp_path / "missing")) == 0
    monkeypatch.setattr(
        _file_locks.fcntl,
        "lockf",
        lambda *args: (_ for _ in ()).throw(OSError(errno.EAGAIN, "busy")),
    )
    assert len(EmbeddingCache(path)) == 1  # locked by another: there are locks
    monkeypatch.setattr(
        _file_locks.fcntl,
        "lockf",
        lambda *args: (_ for _ in ()).throw(OSError(errno.ENOSYS, "none")),
    )
    with pytest.raises(OSError, match="needs file locks"):
        len(EmbeddingCache(path))


def test_what_sqlite_says_of_locks_is_put_into_words():
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR_LOCK"
    told = _sqlite_file.explain("/drive/cache", error)
    assert isinstance(told, OSError)
    assert "/drive/cache" in str(told)
    assert "needs file locks" in str(told)


def test_where_there_are_locks_nothing_is_left_behind(tmp_path):
    _file_locks.check_locks(str(tmp_path / "a" / "b"), "a cache")
    assert os.listdir(tmp_path) == []
