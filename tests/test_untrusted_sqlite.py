"""Caches and journals that strangers made: nothing in them runs, and what is wrong is said."""

import json
import os
import sqlite3
import zlib

import numpy as np
import pytest

from skactivekd.cache import EmbeddingCache
from skactivekd.encoders._base import encode_rows
from skactivekd.session._journal import Event, Journal
from skactivekd.utils._untrusted_sqlite import check_schema, open_file

X = np.arange(1.0, 8.0).reshape(7, 1, 1)


class Angles:
    batch_size = 4

    def __init__(self, path):
        self.cache = EmbeddingCache(path)

    def fingerprint(self):
        return "angles"

    def encode_image(self, X):
        angles = X[:, 0, 0]
        return np.column_stack([np.cos(angles), np.sin(angles)])


def use_cache(path):
    """Read what is there and write one row more."""
    return encode_rows(Angles(path), np.append(X, [[[9.0]]], axis=0))


def use_journal(path):
    """Read what is there and write one event more."""
    journal = Journal(path)
    try:
        events = journal.read()
        journal.known_files()
        journal.remember_files({"stamp2": "content"})
        with journal.writing() as append:
            append([Event("class", data={"name": "dog"})])
        return events
    finally:
        journal.close()


@pytest.fixture(params=["cache", "journal"])
def made(request, tmp_path):
    """A file of ours, its main table, and what opens it."""
    path = tmp_path / f"{request.param}.sqlite"
    if request.param == "cache":
        encode_rows(Angles(path), X)
        return path, "batch", use_cache
    journal = Journal(path)
    with journal.writing() as append:
        append([Event("class", data={"name": "cat"})])
    journal.remember_files({"stamp": "content"})
    journal.close()
    return path, "event", use_journal


def edit(path, *statements):
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA writable_schema = ON")
    for statement, *values in statements:
        db.execute(statement, *values)
    db.close()


EXTRA = {
    "trigger": "CREATE TRIGGER spy AFTER INSERT ON {table} BEGIN DELETE FROM {table}; END",
    "view": "CREATE VIEW spy AS SELECT * FROM {table}",
    "table": "CREATE TABLE spy (x)",
    "index": "CREATE INDEX spy ON {table} (id + abs(id))",
    "virtual table": "CREATE VIRTUAL TABLE spy USING fts5(x)",
}


@pytest.mark.parametrize("kind", EXTRA)
def test_what_is_not_ours_is_refused_before_it_can_run(made, kind):
    path, table, use = made
    use(path)
    edit(path, (EXTRA[kind].format(table=table),))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=rf"{path.name} is damaged.*'spy.*not one of this format"):
        use(path)
    assert path.read_bytes() == before


CHANGES = {
    "a column computes": ("CREATE TABLE", "CREATE /* */ TABLE"),
    "a check": ("NOT NULL", "CHECK (abs(1))"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_tables_that_are_not_written_as_ours_are_refused(made, change):
    path, table, use = made
    old, new = CHANGES[change]
    edit(
        path,
        ("UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE name = ?", [old, new, table]),
    )
    with pytest.raises(ValueError, match=f"{path.name} is damaged"):
        use(path)


def test_a_table_that_is_missing_is_noticed(made):
    path, _, use = made
    name = "files" if use is use_cache else "file"
    edit(path, (f"DROP TABLE {name}",))
    with pytest.raises(ValueError, match=f"{path.name} is damaged.*'{name}' is missing"):
        use(path)


def test_a_cache_of_the_first_format_with_a_program_is_refused(tmp_path):
    path = tmp_path / "cache.sqlite"
    edit(
        path,
        ("CREATE TABLE place (owner, key, slot)",),
        ("CREATE VIEW owner AS SELECT * FROM place",),
        ("PRAGMA application_id = 1936419684",),
        ("PRAGMA user_version = 1",),
    )
    with pytest.raises(ValueError, match=r"cache.sqlite is damaged"):
        use_cache(path)


def test_connections_trust_no_schema_attach_nothing_and_load_nothing(tmp_path):
    db = open_file(str(tmp_path / "x.sqlite"), "rwc", 1)
    assert db.execute("PRAGMA trusted_schema").fetchone() == (0,)
    with pytest.raises(sqlite3.OperationalError, match="attached"):
        db.execute("ATTACH ? AS other", [str(tmp_path / "other.sqlite")])
    with pytest.raises(sqlite3.OperationalError, match="not authorized"):
        db.execute("SELECT load_extension('x')")
    assert not (tmp_path / "other.sqlite").exists()
    check_schema(db, [])
    db.close()


@pytest.mark.parametrize("name", ["a?mode=memory&x.sqlite", "b#c%41.sqlite", "d e:f.sqlite"])
@pytest.mark.parametrize("use", [use_cache, use_journal])
def test_a_path_is_a_path_whatever_it_looks_like(tmp_path, name, use):
    use(tmp_path / name)
    assert os.listdir(tmp_path) == [name]


def sealed(name, n, keys, data):
    return zlib.crc32(data, zlib.crc32(keys, zlib.crc32(f"{name} {n}".encode())))


@pytest.mark.parametrize("data", [b"", b"12345", b"1234" * 3])
def test_batches_of_no_width_are_noticed_though_they_are_sealed(tmp_path, data):
    path = tmp_path / "cache.sqlite"
    encode_rows(Angles(path), X)
    db = sqlite3.connect(path, isolation_level=None)
    (name,) = db.execute("SELECT name FROM owner").fetchone()
    for batch, n, keys in db.execute(
        "SELECT id, n, keys FROM batch JOIN block ON id = batch"
    ).fetchall():
        db.execute("UPDATE block SET data = ? WHERE batch = ?", [data, batch])
        seal = sealed(name, n, keys, data)
        db.execute("UPDATE batch SET seal = ? WHERE id = ?", [seal, batch])
    db.close()
    if len(data) == 12:  # three numbers fit three rows, and not four
        edit(path, ("DELETE FROM place WHERE slot / 1048576 = 2",))
    with pytest.raises(ValueError, match=r"cache.sqlite is damaged.*no width"):
        encode_rows(Angles(path), X)


@pytest.mark.parametrize("value", [2**62, 2**63 - 1, "many"])
def test_a_counter_that_somebody_raised_is_an_error_with_the_path(tmp_path, value):
    path = tmp_path / "cache.sqlite"
    encode_rows(Angles(path), X)
    edit(path, ("UPDATE sqlite_sequence SET seq = ?", [value]))
    try:
        use_cache(path)
    except (ValueError, OSError) as error:
        assert str(path) in str(error)  # noqa: PT017
    except UserWarning as warning:
        assert str(path) in str(warning)  # noqa: PT017


def crc(values):
    return zlib.crc32(json.dumps(values).encode())


EVENTS = {
    "a number as item": ["u", 1.0, "answered", "ann", 5, "{}"],
    "data that is a list": ["u", 1.0, "answered", "ann", "x", "[1, 2]"],
    "data that is no JSON": ["u", 1.0, "answered", "ann", "x", "{"],
    "deep data": ["u", 1.0, "answered", "ann", "x", "[" * 100_000],
    "no time": ["u", "noon", "answered", "ann", "x", "{}"],
    "after the end of time": ["u", 1e300, "answered", "ann", "x", "{}"],
    "no kind": ["u", 1.0, "", "ann", "x", "{}"],
}


def insert(path, values, seal):
    marks = "INSERT INTO event (uid, time, kind, annotator, item, data, crc) VALUES (?,?,?,?,?,?,?)"
    edit(path, (marks, [*values, seal]))


@pytest.mark.parametrize("kind", EVENTS)
def test_events_of_other_types_are_noticed_though_their_checksum_is_right(tmp_path, kind):
    path = tmp_path / "journal.sqlite"
    use_journal(path)
    values = EVENTS[kind]
    db = sqlite3.connect(path)
    columns = db.execute("SELECT ?, CAST(? AS TEXT)", [values[1], values[4]]).fetchone()
    db.close()
    if kind == "a number as item":
        values = [*values[:4], sqlite3.Binary(b"x"), values[5]]  # texts are made of numbers
    as_read = [values[0], columns[0], *values[2:]]
    seal = 0 if kind == "a number as item" else crc(as_read)
    insert(path, values, seal)
    with pytest.raises(ValueError, match=r"journal.sqlite is damaged: event 2.*Restore"):
        use_journal(path)


def test_an_event_larger_than_any_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    path = tmp_path / "journal.sqlite"
    use_journal(path)
    text = json.dumps({"name": "x" * 3000})
    insert(path, ["u", 1.0, "class", None, None, text], crc(["u", 1.0, "class", None, None, text]))
    assert len(Journal(path).read()) == 2
    monkeypatch.setattr("skactivekd.session._journal._LARGEST", 2000)
    with pytest.raises(ValueError, match=r"journal.sqlite is damaged.*too big"):
        use_journal(path)


def test_known_files_of_another_type_are_left_out(tmp_path):
    path = tmp_path / "journal.sqlite"
    use_journal(path)
    edit(path, ("INSERT INTO file VALUES ('a', x'00ff')",), ("INSERT INTO file VALUES ('b', 'c')",))
    assert Journal(path).known_files() == {"stamp2": "content", "b": "c"}
