"""Making one shard, and telling whether one that is there will do."""

import os
from dataclasses import dataclass

import numpy as np

from ..utils._atomic_write import remove_drafts
from ._base import owner_of, row_method
from ._shard_locks import claimed
from ._shards import (
    DamagedError,
    ForeignError,
    Header,
    checksum,
    digest_ids,
    list_shards,
    read_header,
    read_shard,
    shard_path,
    write_shard,
)
from ._unreadable_rows import RowError, collecting

_OTHER = "choose another directory, or set overwrite=True"


@dataclass(frozen=True)
class Plan:
    """What all shards of a call have in common."""

    directory: str
    method: str
    fingerprint: str
    shard_size: int
    strict: bool
    overwrite: bool

    def path(self, number):
        """Return the path of a shard."""
        return shard_path(self.directory, number)


@dataclass(frozen=True)
class Outcome:
    """What became of a part: "made", "kept", "busy" or "bad", and its bad rows."""

    state: str
    bad: dict
    noun: str = "row"


def make_plan(encoder, directory, shard_size, overwrite):
    """Check what all shards have in common."""
    method = row_method(encoder)
    if method is None or isinstance(encoder, type):
        raise TypeError(
            f"encoder={encoder!r:.200} must be an object with encode_image, encode_audio or "
            "encode_text, such as OpenCLIPEncoder(...)"
        )
    if not isinstance(directory, str | os.PathLike) or "://" in os.fspath(directory):
        raise ValueError(
            f"directory={directory!r} must be a path, of a disk that all workers see; mount what "
            "is elsewhere"
        )
    path = os.path.abspath(os.path.expanduser(os.fspath(directory)))
    strict = getattr(encoder, "on_error", "raise") != "skip"
    return Plan(path, method, _fingerprint(encoder, method), shard_size, strict, overwrite)


def _fingerprint(encoder, method):
    owner = owner_of(encoder, method)
    if not isinstance(owner, str):
        raise TypeError(
            f"{type(encoder).__name__} has no fingerprint() of its own, so that files of its "
            "embeddings could not be told from others: give it a method fingerprint() that "
            "returns a str of all that they depend on, or, where it is an Encoder, "
            "_identity(params, run)"
        )
    return owner


def check_directory(plan, n):
    """Refuse shards of another encoder or size, and those beyond the end, before any work."""
    for number in list_shards(plan.directory):
        path = plan.path(number)
        if n is not None and number * plan.shard_size >= n:
            drop_beyond(plan, number, n)
            continue
        try:
            header = read_header(path)
        except DamagedError:  # its turn will come
            continue
        except ForeignError as error:
            if not plan.overwrite:
                raise ForeignError(f"{error}: {_OTHER}") from None
            continue
        _difference(plan, header, path)


def drop_beyond(plan, number, n):
    """Refuse a shard behind the last row, or remove it."""
    if not plan.overwrite:
        raise ValueError(
            f"{plan.path(number)} begins at row {number * plan.shard_size} of {plan.shard_size} a "
            f"shard, but source has {n} rows: it is of another source or size; {_OTHER}"
        )
    os.unlink(plan.path(number))


def _difference(plan, header, path):
    """Tell whether a shard is of another encoder or size; raise unless it may be replaced."""
    if header.fingerprint != plan.fingerprint:
        fault = (
            f"is of another encoder, {header.fingerprint[:80]!r}, and this one is "
            f"{plan.fingerprint[:80]!r}"
        )
    elif header.shard_size != plan.shard_size:
        fault = f"has shard_size={header.shard_size}, and this call {plan.shard_size}"
    else:
        return False
    if not plan.overwrite:
        raise ValueError(f"{path} {fault}: {_OTHER}")
    return True


def find_shard(plan, part):
    """Return the header of a shard that is there, whole and just what a part would give, or None.

    Raises
    ------
    DamagedError
        If it has to be computed again for this.
    ValueError
        If it is of something else, and may not be replaced.
    """
    path = plan.path(part.number)
    try:
        header = read_header(path)
        if _difference(plan, header, path):
            return None
        if header.source != part.source:
            _check_grown(plan, header, part, path)
            return None
        if header.bad and plan.strict:
            return None
        read_shard(path, header)
    except FileNotFoundError:
        return None
    except ForeignError:
        if plan.overwrite:
            return None
        raise
    return header


def _check_grown(plan, header, part, path):
    """Refuse a shard of other rows, unless it was the last of a source that has grown."""
    before = header.stop - header.start
    grown = header.start == part.start and before < len(part)
    if plan.overwrite or (grown and part.digest(before) == header.source):
        return
    raise ValueError(
        f"{path} holds other rows or ids than source from row {part.start} on: a source may grow "
        f"at its end, and nothing else; {_OTHER}"
    )


def make_shard(encoder, plan, part):
    """Embed a part and write its shard, on whatever machine this is; return the `Outcome`."""
    path = plan.path(part.number)
    if not os.path.isdir(plan.directory):
        raise RuntimeError(f"a worker does not see {plan.directory}: choose a shared directory")
    with claimed(plan.directory, part.number) as mine:
        if mine is False:
            return Outcome("busy", {})
        if mine:
            remove_drafts(path)
        header = _made_meanwhile(plan, part)
        if header is not None:
            return Outcome("kept", header.bad, header.noun)
        own = _fingerprint(encoder, plan.method)
        if own.split()[-1] != plan.fingerprint.split()[-1]:  # a class may have moved by pickling
            raise RuntimeError(
                f"the encoder of a worker is {own[:80]!r}, and that of the call "
                f"{plan.fingerprint[:80]!r}: the files of its model, or the versions of the "
                "packages, are not the same there"
            )
        embeddings, bad, noun = _embed(encoder, plan.method, part)
        if bad and plan.strict:
            return Outcome("bad", bad, noun)
        header = Header(
            plan.fingerprint,
            part.number,
            part.start,
            part.start + len(part),
            plan.shard_size,
            part.source,
            digest_ids(part.ids),
            isinstance(part.ids, np.ndarray),
            embeddings.shape[1],
            checksum(embeddings, bad),
            bad,
            noun,
        )
        write_shard(path, header, part.ids, embeddings)
        return Outcome("made", bad, noun)


def _made_meanwhile(plan, part):
    """Return the header of what another process has made since this part was handed on."""
    try:
        header = read_header(plan.path(part.number))
        same = (header.fingerprint, header.source) == (plan.fingerprint, part.source)
        if not same or header.shard_size != plan.shard_size or (header.bad and plan.strict):
            return None
        read_shard(plan.path(part.number), header)
        return header
    except (FileNotFoundError, DamagedError, ForeignError):
        return None


def _embed(encoder, method, part):
    """Return half floats, nan where rows are bad, the bad rows with reasons, what rows are."""
    name = f"{type(encoder).__name__}.{method}"
    try:
        with collecting() as warned:
            rows = np.asarray(getattr(encoder, method)(part.rows), dtype=np.float32)
    except RowError as error:
        if not error.bad:
            raise
        return None, error.bad, error.noun
    bad = {int(row): why for warning in warned for row, why in warning.bad.items()}
    noun = warned[0].noun if warned else "row"
    if rows.ndim != 2 or len(rows) != len(part) or not rows.shape[1]:
        raise ValueError(f"{name} returned shape {rows.shape}; it must return ({len(part)}, d)")
    norms = np.linalg.norm(rows, axis=1)
    norms[list(bad)] = 1
    wrong = np.flatnonzero(~(np.abs(norms - 1) < 1e-2))
    if len(wrong):
        raise ValueError(
            f"{name} returned {len(wrong)} rows of {part.name} that have not norm 1, the first "
            f"for row {part.start + wrong[0]}; divide each row by its norm"
        )
    rows[list(bad)] = np.nan
    return rows.astype(np.float16), bad, noun
