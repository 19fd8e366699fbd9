"""Embeddings of all shards as one memory map, which is written once."""

import hashlib
import json
import os

import numpy as np

from ..utils._atomic_write import replacing
from ..utils._row_identity import stamp_file
from ._shards import checksum, list_shards, read_header, read_shard, shard_path
from ._unreadable_rows import report

_COMPLETE = "complete.json"  # rows and shards there are, once all were there
_MAP, _IDS, _MAPPED = "embeddings.npy", "ids.npy", "mapped.json"


def read_embeddings(directory):
    """Read what `embed_to_parquet` wrote, as one memory map.

    At the first call the shards are checked and copied into ``embeddings.npy`` beside them, a
    shard at a time; later calls open it. The memory this takes is that of one shard and of the
    ids where these are texts, however many rows there are.

    .. versionadded:: 0.1

    Parameters
    ----------
    directory : str or path
        Where the shards are, all of them.

    Returns
    -------
    ids : ndarray of shape (n,)
        A memory map of int64, or an object array of str.
    embeddings : memmap of float16 of shape (n, d)
        Rows of norm 1, in the order of the source. Skipped rows are left out,
        with a `SkippedRowsWarning` that names them.

    Raises
    ------
    FileNotFoundError
        If there is no shard.
    ValueError
        If a shard is damaged or missing, `embed_to_parquet` has not come to
        its end, or an id is in two shards.
    OSError
        If the disk is full.

    See Also
    --------
    embed_to_parquet : Writes them.

    Notes
    -----
    The memory map is that of these shards if size, inode and times of change
    of its file are those noted when it was written. Where they are not, say
    because it was copied, it is compared with the checksums of the shards.

    Examples
    --------
    >>> import tempfile
    >>> from skactivekd import OpenCLIPEncoder
    >>> from skactivekd.encoders import embed_to_parquet, read_embeddings
    >>> from skactivekd.query import CoreSet
    >>> X = [[[shade] * 8] * 8 for shade in (0.0, 0.1, 0.9)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = embed_to_parquet(X, OpenCLIPEncoder(), folder, ids=["a", "b", "c"])
    ...     ids, embeddings = read_embeddings(folder)
    ...     picked = CoreSet().select(features_pool=embeddings, n_instances=2)
    >>> len(ids[picked])
    2
    """
    directory = os.path.abspath(os.path.expanduser(os.fspath(directory)))
    headers = read_headers(directory)
    path = os.path.join(directory, _MAP)
    shards = identify_shards(headers)
    if not _is_current(directory, shards, headers):
        _build(directory, headers)
        _note(directory, shards)
    embeddings = np.load(path, mmap_mode="r", allow_pickle=False)
    if headers[0].integers:
        ids = np.load(os.path.join(directory, _IDS), mmap_mode="r", allow_pickle=False)
    else:
        ids = np.empty(len(embeddings), dtype=object)
        for header, start, some, _ in _read_good(directory, headers):
            ids[start : start + header.n_good] = some
    bad = {
        header.start + row: f"{why} (shard {header.number})"
        for header in headers
        for row, why in header.bad.items()
    }
    if bad:
        report(bad, headers[0].noun, final=True)
    return ids, embeddings


def holds_shards(directory):
    """Tell a directory of `embed_to_parquet` from one of any other Parquet files."""
    return os.path.isdir(directory) and bool(list_shards(directory))


def read_headers(directory):
    """Return what the shards of a complete directory say of themselves, in their order."""
    numbers = list_shards(directory)
    if not numbers:
        raise FileNotFoundError(f"{directory} holds no shard of embed_to_parquet")
    headers = [read_header(shard_path(directory, number)) for number in numbers]
    complete = _load(directory, _COMPLETE)
    n = complete.get("n_shards", max(numbers) + 1)
    missing = sorted(set(range(n)) - set(numbers))
    again = "call embed_to_parquet again, as before: it computes what is missing"
    if missing:
        raise ValueError(
            f"{directory} lacks {len(missing)} of {n} shards, the first with the number "
            f"{missing[0]}: {again}"
        )
    if complete.get("n_rows") != headers[-1].stop or len(numbers) != n:
        raise ValueError(f"{directory} is not complete: {again}")
    first = headers[0]
    for header in headers:
        for name in ("fingerprint", "shard_size", "dimension", "integers"):
            if getattr(header, name) != getattr(first, name):
                raise ValueError(
                    f"shards 0 and {header.number} of {directory} differ in their {name}: they "
                    f"are of two calls; {again}, with overwrite=True"
                )
    return headers


def identify_shards(headers):
    """Return a digest of all that shards hold."""
    said = [(header.checksum, header.ids, sorted(header.bad)) for header in headers]
    return hashlib.sha256(repr((headers[0].fingerprint, said)).encode()).hexdigest()


def write_complete(directory, n_rows, n_shards):
    """Note that all shards are there."""
    with replacing(os.path.join(directory, _COMPLETE)) as file:
        json.dump({"n_rows": n_rows, "n_shards": n_shards}, file)


def _load(directory, name):
    try:
        with open(os.path.join(directory, name)) as file:
            return json.load(file)
    except (FileNotFoundError, ValueError):
        return {}


def _stamps(directory):
    """Tell one state of the files of the map from another, wherever they are."""
    stamps = [stamp_file(os.path.join(directory, name)) for name in (_MAP, _IDS)]
    return repr(stamps)


def _note(directory, shards):
    with replacing(os.path.join(directory, _MAPPED)) as file:
        json.dump({"shards": shards, "stamps": _stamps(directory)}, file)


def _is_current(directory, shards, headers):
    """Tell whether the map is that of the shards; where its file is another, by what it holds."""
    noted = _load(directory, _MAPPED)
    if noted.get("shards") != shards:
        return False
    if noted.get("stamps") == _stamps(directory):
        return True
    try:
        embeddings = np.load(os.path.join(directory, _MAP), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    start, same = 0, embeddings.dtype == np.float16
    same = same and embeddings.shape == (_n_good(headers), headers[0].dimension)
    for header in headers if same else ():
        stop = start + header.n_good
        same, start = same and checksum(embeddings[start:stop]) == header.checksum, stop
    if same and headers[0].integers:
        same = _same_ids(directory, headers)
    if same:
        _note(directory, shards)
    return same


def _same_ids(directory, headers):
    try:
        ids = np.load(os.path.join(directory, _IDS), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    return len(ids) == _n_good(headers) and all(
        np.array_equal(ids[start : start + header.n_good], some)
        for header, start, some, _ in _read_good(directory, headers)
    )


def _n_good(headers):
    return sum(header.n_good for header in headers)


def _read_good(directory, headers):
    """Yield each shard: header, where it begins in the map, ids and embeddings of good rows."""
    start = 0
    for header in headers:
        ids, embeddings = read_shard(shard_path(directory, header.number), header)
        if header.bad:
            good = np.setdiff1d(np.arange(len(embeddings)), list(header.bad))
            embeddings = embeddings[good]
            ids = ids[good] if header.integers else [ids[row] for row in good]
        yield header, start, ids, embeddings
        start += header.n_good


def _build(directory, headers):
    """Copy all shards; written as a stream, so that a full disk is an error and not a crash."""
    first, n = headers[0], _n_good(headers)
    if not n:
        raise ValueError(f"{directory}: all {headers[-1].stop} rows were skipped")
    shape = (n, first.dimension)
    all_ids = np.empty(n, dtype=np.int64) if first.integers else []
    with replacing(os.path.join(directory, _MAP), "wb") as file:
        _write_start(file, "<f2", shape)
        for header, start, ids, embeddings in _read_good(directory, headers):
            file.write(np.ascontiguousarray(embeddings, dtype="<f2").data)
            if first.integers:
                all_ids[start : start + header.n_good] = ids
            else:
                all_ids.extend(ids)
        _refuse_repeated(all_ids, headers)  # before the file is in its place
    if first.integers:
        with replacing(os.path.join(directory, _IDS), "wb") as file:
            _write_start(file, "<i8", (n,))
            file.write(all_ids.astype("<i8", copy=False).data)


def _write_start(file, dtype, shape):
    start = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, start)


def _refuse_repeated(ids, headers):
    """Refuse an id that two shards have; within one there is none twice."""
    integers = isinstance(ids, np.ndarray)
    if integers and len(ids) and (ids[1:] > ids[:-1]).all():
        return
    if integers:
        ordered = np.sort(ids)
        again = ordered[1:][ordered[1:] == ordered[:-1]]
        value = again[0] if len(again) else None
    else:
        seen = set()
        value = next((value for value in ids if value in seen or seen.add(value)), None)
    if value is not None:
        raise ValueError(
            f"the id {value!r} is in two shards: ids must differ in all of the source, so that "
            "rows can be told by them"
        )
