"""Farthest-first search on a dask cluster: each worker keeps its rows and sends candidates."""

import logging
from collections import deque
from contextlib import contextmanager
from uuid import uuid4

import numpy as np
import torch

from ._k_center_bounds import Shard
from ._k_center_search import farthest_first
from ._read_rows import common_dtype

ATTEMPTS = 8  # times a round is tried while workers come and go
logger = logging.getLogger(__name__)


@contextmanager
def cluster_search(points, block_size=None):
    """Spread the rows of a dask array over the workers, and search there.

    Parameters
    ----------
    points : dask.array.Array of shape (n_points, n_features)
    block_size : int, default=None
        See `Shard`.

    Yields
    ------
    points : dask.array.Array
        The same rows, one chunk for each worker.
    search : callable
        ``search(points, centers, n_select, taken=())``.
    """
    from distributed import futures_of

    with _client() as client:
        points = _spread(points, client)
        futures = client.compute(points.to_delayed().ravel().tolist())
        starts = np.cumsum((0, *points.chunks[0][:-1])).tolist()
        parts = list(zip(starts, futures, strict=True))

        def search(points, centers, n_select, taken=()):
            dtype = common_dtype(np.empty((0, 1), points.dtype), centers)
            settings = (len(centers) + n_select, dtype, block_size)
            shards = RemoteShards(client, parts, np.asarray(centers), settings, taken)
            try:
                picks = farthest_first(shards, n_select)
            finally:
                shards.forget()
            logger.info("%d picks moved %d bytes", n_select, shards.bytes_moved)
            return picks

        try:
            yield points, search
        finally:
            # By hand: whoever keeps the traceback of an error keeps all that its frames know.
            for future in (*futures, *futures_of(points)):
                future.release()


@contextmanager
def _client():
    """Give the current client, or one of this process alone where there is none."""
    from distributed import Client, get_client

    try:
        client = get_client()
    except ValueError:
        client = None
    if client is not None and client.status == "running":
        yield client
    else:
        with Client(processes=False, dashboard_address=":0") as client:
            yield client


def _spread(points, client):
    """Give each worker one chunk of rows."""
    if np.isnan(points.shape[0]):
        raise ValueError("points has chunks of unknown length; call points.compute_chunk_sizes().")
    n_workers = max(1, len(client.nthreads()))
    return client.persist(points.rechunk((-(-points.shape[0] // n_workers), -1)))


class RemoteShards:
    """Shards on the workers, as `farthest_first` wants them.

    A shard can be rebuilt from its rows and the centers so far. A worker that
    does not hold it as it should be, say because it is new, says so and is
    sent all of these; its rows are computed again by dask.

    Attributes
    ----------
    bytes_moved : int
        Rows and distances that went to and from the workers.
    """

    def __init__(self, client, parts, centers, settings, taken):
        self.client, self.parts, self.settings = client, parts, settings
        self.key, self.bytes_moved = uuid4().hex, 0
        self.centers, self.taken = [centers], list(taken)
        self.news = None  # what each worker has not been told yet

    def fronts(self, n_wanted):
        """Return the front of each shard, once the last picks have gone there."""
        every = range(len(self.parts))
        answers = dict.fromkeys(every)
        if self.news is not None:
            answers.update(self._ask(_advance, {n: self.news[n] for n in every}, n_wanted))
        for _ in range(ATTEMPTS):
            lost = [number for number, answer in answers.items() if answer is None]
            if not lost:
                return list(answers.values())
            everything = self.settings, np.concatenate(self.centers), self.taken
            answers.update(self._ask(_build, dict.fromkeys(lost, everything), n_wanted))
        raise RuntimeError(
            f"Workers were lost in each of {ATTEMPTS} attempts at one round of picks; start again "
            "when the cluster is stable."
        )

    def advance(self, updates, rows):
        """Keep the news until the next call of `fronts`."""
        known = sum(map(len, self.centers))
        self.news = [(known, *update, rows) for update in updates]
        self.centers.append(rows)
        for index, squares in updates:
            self.taken.extend(index[squares < 0].tolist())

    def forget(self):
        """Free what the workers keep, and what they are still at work on."""
        # A worker that is lost keeps nothing, and must not hide the error that led here.
        self.client.run(_forget, self.key, on_error="ignore")

    def _ask(self, function, messages, n_wanted):
        """Send each shard its message; return their answers by number."""
        import dask

        tasks = {}
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
            for number, message in messages.items():
                start, part = self.parts[number]
                key = self.key, start
                tasks[number] = self.client.submit(
                    function, part, key, *message, n_wanted, pure=False
                )
        try:
            answers = self.client.gather(tasks)
        except BaseException:
            self.client.cancel(list(tasks.values()))
            raise
        self.bytes_moved += sum(map(_n_bytes, messages.values()))
        self.bytes_moved += sum(_n_bytes(answer) for answer in answers.values() if answer)
        return answers


_SHARDS = {}  # on a worker: (key of the search, number of the first row) -> Shard
_ENDED = deque(maxlen=1000)  # keys of searches: what is still being built for one is not kept


@torch.no_grad()
def _build(rows, key, settings, centers, taken, n_wanted):
    """Start a shard on a worker, and return its front."""
    (room, dtype, block), start = settings, key[1]
    taken = [row for row in taken if start <= row < start + len(rows)]
    device = torch.device("cpu")
    shard = Shard(rows, centers, room, dtype, device, block=block, offset=start, taken=taken)
    front = shard.front(n_wanted)
    _SHARDS[key] = shard
    if key[0] in _ENDED:  # another worker had a bad row, say; asked once it can be found there
        _SHARDS.pop(key, None)
    return front


@torch.no_grad()
def _advance(rows, key, known, index, squares, fresh, n_wanted):
    """Tell a shard the last picks, and return its front; None if it is not the one that knows."""
    shard = _SHARDS.get(key)
    if shard is None or shard.centers.count != known:
        return None
    shard.advance(index, squares, fresh)
    return shard.front(n_wanted)


def _forget(key):
    _ENDED.append(key)
    for name in [name for name in list(_SHARDS) if name[0] == key]:
        _SHARDS.pop(name, None)


def _n_bytes(arrays):
    return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))
