"""A damaged cache file: the right rows or a clear error, never the row of another."""

import os
import random
import sqlite3
import warnings

import numpy as np
import pytest

from skactivekd.cache import EmbeddingCache
from skactivekd.cache._encoder_identity import identify
from skactivekd.encoders._base import encode_rows

N_FLIPS = int(os.environ.get("N_FLIPS", 60))


class Angles:
    """Rows of numbers, in arrays or files, by one of two encoders."""

    batch_size = 5

    def __init__(self, scale, cache):
        self.scale, self.cache = scale, cache

    def fingerprint(self):
        return f"angles, scale {self.scale}"

    def encode_image(self, X):
        numbers = [len(x.read_bytes()) if hasattr(x, "read_bytes") else np.sum(x) for x in X]
        angles = self.scale * np.array(numbers, dtype=float)
        return np.column_stack([np.cos(angles), np.sin(angles)])


X = np.arange(14.0).reshape(14, 1, 1)


@pytest.fixture
def pools(tmp_path):
    files = [tmp_path / f"{n}.bin" for n in range(8)]
    for n, file in enumerate(files):
        file.write_bytes(bytes(n))
    return [(scale, rows) for scale in (1.0, 2.0) for rows in (X, files)]


def encode_all(path, pools):
    return [encode_rows(Angles(scale, EmbeddingCache(path)), rows) for scale, rows in pools]


def flip(path, sound, bit):
    damaged = bytearray(sound)
    damaged[bit // 8] ^= 1 << bit % 8
    path.write_bytes(damaged)


@pytest.mark.parametrize("part", ["anywhere", "what is used"])
def test_a_flipped_bit_never_gives_a_wrong_row(tmp_path, pools, part):
    path = tmp_path / "cache.sqlite"
    expected = encode_all(path, pools)
    sound = path.read_bytes()
    # Most of a small file is empty pages: half of the flips are where something is.
    used = [place for place, byte in enumerate(sound) if byte]
    rng = random.Random(0)
    errors = []
    for _ in range(N_FLIPS):
        place = rng.randrange(len(sound)) if part == "anywhere" else rng.choice(used)
        flip(path, sound, 8 * place + rng.randrange(8))
        for _ in range(2):  # what the first wrote, the second reads
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # that rows could not be written
                    found = encode_all(path, pools)
            except (ValueError, OSError) as error:
                errors.append(str(error))
                break
            for got, wanted in zip(found, expected, strict=True):
                np.testing.assert_array_equal(got, wanted, err_msg=f"byte {place}")
    for error in errors:
        assert str(path) in error
        assert "delete it" in error or "choose another path" in error
    assert part == "anywhere" or len(errors) > N_FLIPS // 20


def test_a_slot_of_another_row_is_noticed(tmp_path, pools):
    path = tmp_path / "cache.sqlite"
    encode_all(path, pools)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("UPDATE place SET slot = slot + 1 - 2 * (slot % 2)")
    db.close()
    with pytest.raises(ValueError, match=r"cache.sqlite is damaged.*delete it"):
        encode_all(path, pools)


def test_the_rows_of_another_encoder_are_noticed(tmp_path, pools):
    path = tmp_path / "cache.sqlite"
    encode_all(path, pools[:1])
    other = identify(Angles(2.0, None), "encode_image")
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("UPDATE owner SET name = ?", [f"{other} float32"])
    db.close()
    with pytest.raises(ValueError, match=r"cache.sqlite is damaged"):
        encode_all(path, pools[2:3])


def test_a_cache_of_the_first_format_is_emptied_with_a_warning(tmp_path, pools):
    path = tmp_path / "cache.sqlite"
    expected = encode_all(tmp_path / "other.sqlite", pools)
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript("""
        CREATE TABLE owner (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
        CREATE TABLE batch (id INTEGER PRIMARY KEY AUTOINCREMENT, owner INTEGER NOT NULL,
            n INTEGER NOT NULL, crc INTEGER NOT NULL, written REAL NOT NULL);
        CREATE TABLE block (batch INTEGER PRIMARY KEY, data BLOB NOT NULL);
        CREATE TABLE place (owner INTEGER NOT NULL, key BLOB NOT NULL, slot INTEGER NOT NULL,
            PRIMARY KEY (owner, key)) WITHOUT ROWID;
        CREATE TABLE files (stamp BLOB PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID;
        INSERT INTO owner (name) VALUES ('someone');
        PRAGMA application_id = 1936419684;
        PRAGMA user_version = 1;
    """)
    db.close()
    assert len(EmbeddingCache(path)) == 0
    with pytest.warns(UserWarning, match=r"cache.sqlite has the format of an older.*emptied"):
        found = encode_all(path, pools)
    for got, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(got, wanted)
    np.testing.assert_array_equal(encode_all(path, pools)[0], expected[0])
    assert len(EmbeddingCache(path)) == 2 * (14 + 8)
