"""One shard of embeddings: a Parquet file of ids and half floats that says what it was made of."""

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass

import numpy as np

from ..utils._atomic_write import replacing

FORMAT = 1
_KEY = b"skactivekd"
_NAME = re.compile(r"embeddings-(\d{8})\.parquet$")


@dataclass(frozen=True)
class Header:
    """What a shard says of itself, in the metadata of its Parquet file.

    Attributes
    ----------
    fingerprint : str
        Of the encoder.
    number, start, stop, shard_size : int
        Which shard it is, its rows in the source, and how many all shards but the last have.
    source : str
        Digest of ids and rows.
    ids : str
        Digest of the ids.
    integers : bool
        Whether the ids are integers; texts otherwise.
    dimension : int
    checksum : str
        SHA-256 of the embeddings, but for those of bad rows.
    bad : dict of int to str
        Rows of the shard, from 0, that were skipped, and why.
    noun : str
        What the rows are, for messages.
    """

    fingerprint: str
    number: int
    start: int
    stop: int
    shard_size: int
    source: str
    ids: str
    integers: bool
    dimension: int
    checksum: str
    bad: dict
    noun: str = "row"
    format: int = FORMAT

    @property
    def n_good(self):
        """Rows that have an embedding."""
        return self.stop - self.start - len(self.bad)


class DamagedError(ValueError):
    """A shard that is truncated, or holds something else than it says."""


class ForeignError(ValueError):
    """A file that is no shard of this format."""


def import_pyarrow():
    """Return pyarrow and pyarrow.parquet."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ImportError(
            f'Parquet files need pyarrow: pip install "skactivekd[parquet]" ({error})'
        ) from None
    return pa, pq


def shard_path(directory, number):
    """Return the path of a shard; in the order of their names, shards are in that of rows."""
    return os.path.join(directory, f"embeddings-{number:08d}.parquet")


def list_shards(directory):
    """Return the numbers of the shards in a directory, ascending."""
    found = map(_NAME.match, os.listdir(directory))
    return sorted(int(match[1]) for match in found if match)


def write_shard(path, header, ids, embeddings):
    """Write a shard, whole or not at all.

    Parameters
    ----------
    path : str
    header : Header
    ids : ndarray of int64, or list of str, of length n
    embeddings : ndarray of float16 of shape (n, dimension)
    """
    pa, pq = import_pyarrow()
    flat = pa.array(embeddings.reshape(-1))
    columns = {
        "id": pa.array(ids, pa.int64() if header.integers else pa.string()),
        "embedding": pa.FixedSizeListArray.from_arrays(flat, embeddings.shape[1]),
    }
    table = pa.table(columns).replace_schema_metadata({_KEY: json.dumps(asdict(header))})
    with replacing(path, "wb") as file:
        # Half floats of unit vectors hardly get smaller, and reading would wait for it.
        pq.write_table(table, file, compression="none", use_dictionary=False)


def read_header(path):
    """Return what a shard says of itself, without reading its rows.

    Raises
    ------
    FileNotFoundError, DamagedError, ForeignError
    """
    pa, pq = import_pyarrow()
    try:
        schema = pq.read_schema(path)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise DamagedError(f"{path} is damaged ({error})") from None
    try:
        said = json.loads((schema.metadata or {})[_KEY])
        if said["format"] == FORMAT:
            said["bad"] = {int(row): why for row, why in said["bad"].items()}
            return Header(**said)
    except (KeyError, TypeError, ValueError):
        raise ForeignError(f"{path} is no file that embed_to_parquet wrote") from None
    raise ForeignError(f"{path} is of a newer version of skactivekd; update it")


def read_shard(path, header=None):
    """Return ids, ndarray of int64 or list of str, and embeddings, once they are those written.

    Raises
    ------
    FileNotFoundError, DamagedError, ForeignError
    """
    pa, pq = import_pyarrow()
    header = header or read_header(path)
    try:
        table = pq.read_table(path, memory_map=False, partitioning=None)
        flat = table["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        ids = table["id"].combine_chunks()
        ids = ids.to_numpy() if header.integers else ids.to_pylist()
        embeddings = flat.reshape(-1, header.dimension)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise DamagedError(f"{path} is damaged ({error})") from None
    whole = len(ids) == len(embeddings) == header.stop - header.start
    whole = whole and digest_ids(ids) == header.ids
    if not whole or checksum(embeddings, header.bad) != header.checksum:
        raise DamagedError(f"{path} is damaged (its checksum is another)")
    return ids, embeddings


def checksum(embeddings, bad=()):
    """Hash embeddings but for those of bad rows."""
    if bad:
        embeddings = np.delete(embeddings, list(bad), axis=0)
    values = np.ascontiguousarray(embeddings, dtype="<f2")
    return hashlib.sha256(values.view(np.uint8)).hexdigest()  # has instructions of its own


def digest_ids(ids):
    """Hash ids, an array of integers or a list of texts."""
    if isinstance(ids, np.ndarray):
        return hashlib.sha256(np.ascontiguousarray(ids, dtype="<i8").view(np.uint8)).hexdigest()
    hasher = hashlib.sha256()
    for value in ids:
        text = str(value).encode("utf-8", "surrogatepass")
        hasher.update(len(text).to_bytes(4, "little") + text)
    return hasher.hexdigest()
