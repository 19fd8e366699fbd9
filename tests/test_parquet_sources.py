"""What embed_to_parquet takes rows from."""

import numpy as np
import pandas as pd
import pytest
from angle_encoder import Angles, angles_of
from PIL import Image

from skactivekd import OpenCLIPEncoder
from skactivekd.encoders import embed_to_parquet, read_embeddings

pytest.importorskip("pyarrow")

N, SIZE = 13, 5
NAMES = ["x" * (row + 1) for row in range(N)]
KEYS = [f"k{row}" for row in range(N)]


class Lengths(Angles):
    """The same for texts."""

    def fingerprint(self):
        return "lengths"

    def encode_text(self, texts):
        return Angles().encode_image(texts)

    encode_image = property()  # is none


class Table:
    """Files of a table with a column of texts."""

    def __init__(self, folder):
        self.frame, self.folder = pd.DataFrame({"key": KEYS, "text": NAMES, "n": range(N)}), folder

    def parquet(self):
        self.frame.to_parquet(self.folder / "t.parquet", row_group_size=4)
        return self.folder / "t.parquet"

    def dataset(self):
        folder = self.folder / "dataset"
        folder.mkdir()
        self.frame[:6].to_parquet(folder / "a.parquet")
        self.frame[6:].to_parquet(folder / "b.parquet")
        return folder

    def csv(self):
        self.frame.to_csv(self.folder / "t.csv", index=False)
        return self.folder / "t.csv"

    def jsonl(self):
        self.frame.to_json(self.folder / "t.jsonl", orient="records", lines=True)
        return self.folder / "t.jsonl"

    def data_frame(self):
        return self.frame.set_index(np.arange(N)[::-1])


def read(source, encoder, folder, **kwargs):
    embed_to_parquet(source, encoder, folder / "pool", shard_size=SIZE, **kwargs)
    assert embed_to_parquet(source, encoder, folder / "pool", shard_size=SIZE, **kwargs) == 0
    return read_embeddings(folder / "pool")


@pytest.mark.parametrize("kind", ["parquet", "dataset", "csv", "jsonl", "data_frame"])
def test_tables(tmp_path, kind):
    source = getattr(Table(tmp_path), kind)()
    ids, embeddings = read(source, Lengths(), tmp_path, column="text", id_column="key")
    assert ids.tolist() == KEYS
    np.testing.assert_array_equal(embeddings, angles_of(np.arange(1, N + 1)))


def test_the_ids_of_a_table_are_its_rows_or_a_column_of_integers(tmp_path):
    table = Table(tmp_path).parquet()
    assert read(table, Lengths(), tmp_path, column="text")[0].tolist() == list(range(N))
    other = tmp_path / "other"
    other.mkdir()
    ids, _ = read(table, Lengths(), other, column="text", id_column="n")
    assert ids.dtype == np.int64


def test_the_only_column_left_is_taken(tmp_path):
    table = Table(tmp_path)
    table.frame = table.frame[["key", "text"]]
    assert len(read(table.csv(), Lengths(), tmp_path, id_column="key")[0]) == N


def test_paths_in_a_table_count_from_its_folder(tmp_path):
    write_pictures(tmp_path / "images")
    names = [f"images/{name}" for name in sorted(("a.png", "b/c.png"))]
    pd.DataFrame({"path": names}).to_csv(tmp_path / "t.csv", index=False)
    _, embeddings = read(tmp_path / "t.csv", OpenCLIPEncoder(), tmp_path)
    expected = OpenCLIPEncoder().encode_image([str(tmp_path / name) for name in names])
    np.testing.assert_allclose(embeddings, expected, atol=1e-3)


def write_pictures(folder):
    (folder / "b").mkdir(parents=True)
    for shade, name in enumerate(("a.png", "b/c.png")):
        Image.new("L", (8, 8), 99 * shade).save(folder / name)
    (folder / "notes.txt").write_text("no image")


def test_a_folder_of_images(tmp_path):
    write_pictures(tmp_path / "images")
    ids, embeddings = read(tmp_path / "images", OpenCLIPEncoder(), tmp_path)
    assert ids.tolist() == ["a.png", "b/c.png"]
    paths = [str(tmp_path / "images" / name) for name in ids]
    np.testing.assert_allclose(embeddings, OpenCLIPEncoder().encode_image(paths), atol=1e-3)


SEQUENCES = {
    "array": lambda: np.arange(1.0, N + 1),
    "images": lambda: np.arange(1.0, N + 1)[:, None, None],
    "list of arrays": lambda: [np.full((2, 2), row + 1.0) for row in range(N)],
    "list of paths": lambda: NAMES,
    "series": lambda: pd.Series(NAMES, index=range(N, 0, -1)),
    "array of texts": lambda: np.array(NAMES),
    "generator": lambda: (name for name in NAMES),
    "data set": lambda: DataSet(),
}


class DataSet:
    def __len__(self):
        return N

    def __getitem__(self, row):
        return NAMES[row]

    def __iter__(self):
        return iter(NAMES)


@pytest.mark.parametrize("kind", SEQUENCES)
def test_sequences(tmp_path, kind):
    embed_to_parquet(SEQUENCES[kind](), Angles(), tmp_path, shard_size=SIZE, ids=iter(KEYS))
    assert embed_to_parquet(SEQUENCES[kind](), Angles(), tmp_path, shard_size=SIZE, ids=KEYS) == 0
    ids, embeddings = read_embeddings(tmp_path)
    assert ids.tolist() == KEYS
    np.testing.assert_array_equal(embeddings, angles_of(np.arange(1, N + 1)))


def test_a_stream_is_not_read_ahead(tmp_path):
    seen = []

    def stream():
        for row in range(10**9):
            seen.append(row)
            yield "bad" if row > 30 else "x"

    with pytest.raises(ValueError, match="perhaps more"):
        embed_to_parquet(stream(), Angles(), tmp_path, shard_size=600)
    assert len(seen) <= 3 * 600


FAULTS = {
    "no row": ([], {}, "source holds no row"),
    "an empty stream": (iter([]), {}, "source holds no row"),
    "one text": ("x" * 9, {}, "does not exist"),
    "bytes": (b"x", {}, "source is a bytes"),
    "a number": (3, {}, "source is a int"),
    "a url": ("https://example.org/t.parquet", {}, "is elsewhere"),
    "too few ids": (NAMES, {"ids": KEYS[:-1]}, "ids has 12 entries for the 13 rows"),
    "too few in a stream": (NAMES, {"ids": iter(KEYS[:-1])}, "ids has 12 entries, but source"),
    "too many in a stream": (NAMES, {"ids": iter([*KEYS, "z"])}, "ids has more entries"),
    "an id twice": (
        NAMES,
        {"ids": ["a", "b", "a", *KEYS[3:]]},
        "rows 0 and 2 both have the id 'a'",
    ),
    "mixed ids": (NAMES, {"ids": [1, "2", *range(3, N + 1)]}, "id of row 1 is '2'"),
    "other ids later": (NAMES, {"ids": [*range(5), *KEYS[5:]]}, "ids from row 5 on"),
    "a bool": (NAMES, {"ids": [True, *range(2, N + 1)]}, "id of row 0 is True"),
    "a float": (NAMES, {"ids": [0.5, *range(2, N + 1)]}, "id of row 0 is 0.5"),
    "a large id": (NAMES, {"ids": [2**63, *range(2, N + 1)]}, "fit into 64 bits"),
    "no UTF-8": (NAMES, {"ids": ["\udcff", *KEYS[1:]]}, "id of row 0, .* is no UTF-8"),
    "a column": (NAMES, {"column": "text"}, "column='text' is for tables"),
    "objects": ([object()] * N, {}, "row 0 of source is a object"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults(tmp_path, fault):
    source, kwargs, message = FAULTS[fault]
    with pytest.raises((ValueError, TypeError), match=message):
        embed_to_parquet(source, Angles(), tmp_path / "pool", shard_size=SIZE, **kwargs)


def test_faults_of_tables(tmp_path):
    table = Table(tmp_path)
    path = table.parquet()

    def refuses(match, source=path, **kwargs):
        with pytest.raises(ValueError, match=match):
            embed_to_parquet(source, Lengths(), tmp_path / "pool", **kwargs)

    refuses(r"columns 'key', 'text', 'n': say in column=")
    refuses(r"has no column 'texts', but 'key', 'text', 'n'", column="texts")
    refuses(r"name its column of ids by id_column=", ids=KEYS, column="text")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    refuses("is no Parquet file", tmp_path / "broken.parquet")
    (tmp_path / "empty").mkdir()
    refuses("holds no image and no .parquet file", tmp_path / "empty")
    folder = table.dataset()
    Image.new("L", (8, 8)).save(folder / "a.png")
    refuses("holds both images and .parquet files", folder)
    table.frame[["key"]].to_parquet(tmp_path / "dataset" / "b.parquet")
    (folder / "a.png").unlink()
    refuses(r"b.parquet has no column 'text'", folder, column="text")


def test_an_id_in_two_shards_is_found_when_all_are_read(tmp_path):
    keys = [*KEYS[:-1], KEYS[0]]
    embed_to_parquet(NAMES, Angles(), tmp_path, ids=keys, shard_size=SIZE)
    with pytest.raises(ValueError, match="the id 'k0' is in two shards"):
        read_embeddings(tmp_path)


def test_source_and_directory_are_two(tmp_path):
    folder = Table(tmp_path).dataset()
    with pytest.raises(ValueError, match="are one folder"):
        embed_to_parquet(folder, Lengths(), folder, column="text")
