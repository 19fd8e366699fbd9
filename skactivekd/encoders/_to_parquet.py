"""Embeddings of a pool of any size, shard by shard, on one machine or many."""

import os
import time
import warnings
from collections import deque

from ..utils._check_params import check_flag, check_integer
from ..utils._progress_bar import bar as bar_of
from ._make_shard import (
    Outcome,
    check_directory,
    drop_beyond,
    find_shard,
    make_plan,
    make_shard,
)
from ._read_embeddings import write_complete
from ._shard_engines import AGAIN, check_engine, opened_engine
from ._shards import DamagedError, import_pyarrow, list_shards
from ._source_parts import read_parts
from ._unreadable_rows import RowError, remedy, report

_MOST_BAD = 1000  # rows; where there are more, something is wrong with all of them
_PAUSE = 0.2  # seconds until a shard that another process makes is looked at again


def embed_to_parquet(
    source,
    encoder,
    directory,
    *,
    ids=None,
    column=None,
    id_column=None,
    shard_size=10_000,
    client=None,
    n_jobs=None,
    overwrite=False,
    verbose=0,
):
    """Embed a pool of any size into Parquet files, on one machine or a cluster.

    The rows are cut into shards. Each becomes one file, ``embeddings-00000000.parquet`` and so
    on, with the columns ``id`` and ``embedding``, half floats of norm 1. A file is there whole or
    not at all; a run that was ended, however, is gone on with by the same call. Several calls,
    of several machines too, may work on one directory.

    .. versionadded:: 0.1

    Parameters
    ----------
    source : list, array, iterable, DataFrame, str or path
        Rows as the encoder takes them: paths, texts, arrays, images. Or a
        ``.parquet``, ``.csv``, ``.tsv`` or ``.jsonl`` file, a folder of
        ``.parquet`` files, or a data frame, with a column of texts or paths.
        Or a folder of images. Tables and iterables are read as they are
        needed, and never held whole.
    encoder : object
        Has ``encode_image``, ``encode_audio`` or ``encode_text``, and
        ``fingerprint()``, as the encoders of this package. Workers get its
        pickle once, which for those is its parameters: each loads the model
        itself, and must find the same weights.
    directory : str or path
        Where the files go; made if it is not there. Workers of a cluster must
        see it under the same path.
    ids : array-like or iterable of n ids, or None, default=None
        Integers or texts. None: the number of the row; of a folder of images
        the path within it.
    column : str or None, default=None
        Of a table, the column of texts or paths, which count from the table's
        folder. None: the only one beside `id_column`.
    id_column : str or None, default=None
        Of a table, the column of the ids. None: the numbers of the rows.
    shard_size : int, default=10_000
        Rows of a shard: what a worker holds at a time, and what is computed
        again after it was lost.
    client : distributed.Client or None, default=None
        The dask cluster whose workers do it (extra ``dask``). A worker makes
        one shard at a time, so give it one thread, and one GPU.
    n_jobs : int or None, default=None
        Processes on this machine, -1 being one for each core. None is 1: this
        process itself.
    overwrite : bool, default=False
        What to do with shards of another encoder, shard size or source:
        replace them, or raise an error that names the first.
    verbose : int, default=0
        1 or more shows a progress bar with the time left, where the number of
        rows is known.

    Returns
    -------
    n_computed : int
        Shards that this call computed; the others were there.

    Raises
    ------
    RowError
        If rows cannot be encoded and the encoder has ``on_error="raise"``: all
        are named, up to a thousand, with their shards and ids. All other
        shards are written. With ``on_error="skip"`` a `SkippedRowsWarning`
        names them, and their embeddings are nan.
    ValueError
        If there are shards of something else, ids repeat within a shard, or
        the source cannot be read.
    TypeError
        If the encoder has no ``fingerprint()``, so that nobody could tell
        whose embeddings these are.
    RuntimeError
        If a worker has other weights, or does not see the directory.

    See Also
    --------
    read_embeddings : Reads them as one memory map.
    PrecomputedEncoder : Gives them to teachers.
    EmbeddingCache : Keeps embeddings by the content of rows.

    Notes
    -----
    A shard that is there is kept if its rows, ids, size and encoder are those
    of this call and its checksum is right. One that is damaged is computed
    again, with a warning. So is one with skipped rows if the encoder now has
    ``on_error="raise"``; and the last one where the source has grown. Any
    other difference is an error unless `overwrite` is set. Files count by
    their path: what was changed in place is not noticed.

    Where the file system has locks, no two processes make one shard at once.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from skactivekd import OpenCLIPEncoder
    >>> from skactivekd.encoders import embed_to_parquet, read_embeddings
    >>> X = np.random.default_rng(0).random((25, 8, 8))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     embed_to_parquet(X, OpenCLIPEncoder(), folder, shard_size=10)
    ...     embed_to_parquet(X, OpenCLIPEncoder(), folder, shard_size=10)
    ...     ids, embeddings = read_embeddings(folder)
    ...     ids[-1], embeddings.shape, embeddings.dtype
    3
    0
    (np.int64(24), (25, 64), dtype('float16'))
    """
    import_pyarrow()
    check_integer(shard_size, "shard_size", 1)
    check_flag(overwrite, "overwrite")
    n_jobs = check_engine(client, n_jobs)
    plan = make_plan(encoder, directory, int(shard_size), bool(overwrite))
    os.makedirs(plan.directory, exist_ok=True)
    n, parts = read_parts(
        source,
        plan.directory,
        plan.shard_size,
        texts=plan.method == "encode_text",
        ids=ids,
        column=column,
        id_column=id_column,
    )
    check_directory(plan, n)
    run = _Run(plan, parts, n, verbose)
    with opened_engine(make_shard, encoder, client, n_jobs) as engine:
        run.go(engine)
    run.finish()
    return run.n_computed


class _Run:
    """One call: what is under way, what is done, and which rows were bad."""

    def __init__(self, plan, parts, n, verbose):
        self.plan, self.parts, self.verbose = plan, parts, verbose
        self.n, self.n_rows, self.n_shards, self.n_computed = n, 0, 0, 0
        self.failed, self.skipped, self.noun = {}, {}, "row"
        self.later = deque()  # parts that another process is at work on

    def go(self, engine):
        """Have every part made that is not there."""
        running = {}
        with bar_of(self.n, what="Embedding", shown=bool(self.verbose)) as bar:
            bar.smoothing = 0  # shards take long, and those of several workers end together
            while True:
                width = engine.width
                while len(running) < width:
                    part = self._next(bar)
                    if part is None:
                        break
                    running[engine.submit(self.plan, part)] = part
                if running:
                    for future in engine.wait(running):
                        self._settle(running.pop(future), future, engine, bar)
                elif self.later:
                    time.sleep(_PAUSE)
                    part = self.later.popleft()  # its maker may have been ended
                    running[engine.submit(self.plan, part)] = part
                else:
                    return

    def _next(self, bar):
        """Return a part that has to be made; None where there is none now."""
        for _ in range(len(self.later)):
            part = self.later.popleft()
            if not self._is_kept(part, bar):
                self.later.append(part)
        for part in self.parts:
            self.n_rows, self.n_shards = self.n_rows + len(part), self.n_shards + 1
            if not self._is_kept(part, bar):
                return part
        return None

    def _is_kept(self, part, bar):
        try:
            header = find_shard(self.plan, part)
        except DamagedError as error:
            warnings.warn(f"{error}; it is computed again", UserWarning, stacklevel=5)
            header = None
        if header is None:
            return False
        self._note(part, Outcome("kept", header.bad, header.noun))
        if not bar.disable:
            bar.initial += len(part)  # took no time, and tells nothing of the time left
        bar.update(len(part))
        return True

    def _settle(self, part, future, engine, bar):
        outcome = self._result(part, future, engine)
        if outcome.state == "busy":
            self.later.append(part)
            return
        self._note(part, outcome)
        bar.update(len(part))
        self.n_computed += outcome.state == "made"
        if outcome.state == "made" and not os.path.exists(self.plan.path(part.number)):
            raise RuntimeError(
                f"a worker wrote {self.plan.path(part.number)}, but it is not there: choose a "
                "directory that all machines share"
            )

    def _result(self, part, future, engine):
        try:
            return engine.result(future)
        except Exception as error:
            if type(error).__name__ not in ("KilledWorker", "TerminatedWorkerError"):
                raise
            raise RuntimeError(
                f"a worker was lost over {part.name} ({error}): if memory ran out, take a smaller "
                f"shard_size or batch_size; {AGAIN}"
            ) from error

    def _note(self, part, outcome):
        """Keep the bad rows, named as in the source."""
        for row, why in outcome.bad.items():
            named = f"{why} (id {part.ids[row]!s:.80}, shard {part.number})"
            bad = self.failed if outcome.state == "bad" else self.skipped
            bad[part.start + row] = named
        self.noun = outcome.noun if outcome.bad else self.noun
        if len(self.failed) > _MOST_BAD:
            raise RowError(self.failed, f"and perhaps more {self._problem()}", 10)

    def _problem(self):
        what_to_do = remedy("the encoder")
        return f"cannot be encoded; {what_to_do}, and call again for the shards that are left"

    def finish(self):
        """Say that the directory is complete, or which rows are bad."""
        if self.failed:
            raise RowError(self.failed, self._problem())
        for number in list_shards(self.plan.directory):
            if number >= self.n_shards:
                drop_beyond(self.plan, number, self.n_rows)
        write_complete(self.plan.directory, self.n_rows, self.n_shards)
        if self.skipped:
            report(self.skipped, self.noun, final=True, stacklevel=4)
