"""Where shards are made: in this process, in processes of this machine, or on a dask cluster."""

import os
from concurrent import futures
from contextlib import contextmanager

import joblib

AGAIN = "the same call goes on with what is left"
_AHEAD = 2  # parts that wait for each worker, so that it has not to wait for the next


class _Engine:
    """What engines with futures of Python's own have in common."""

    def result(self, future):
        """Return what became of a part, or raise what its maker did."""
        return future.result()


class Here(_Engine):
    """The calling process."""

    width = 1

    def __init__(self, function, encoder):
        self.function, self.encoder = function, encoder

    def submit(self, *args):
        """Make a shard now."""
        done = futures.Future()
        done.set_result(self.function(self.encoder, *args))
        return done

    def wait(self, running):
        """Return what has ended."""
        return set(running)


class Processes(_Engine):
    """Processes of this machine, each of which is sent the encoder once."""

    def __init__(self, function, encoder, n_jobs):
        from joblib.externals.loky import ProcessPoolExecutor

        share = str(max(1, joblib.cpu_count() // n_jobs))  # threads of each process
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        env = {name: os.environ.get(name, share) for name in names}
        self.width = _AHEAD * n_jobs
        self.pool = ProcessPoolExecutor(
            n_jobs, initializer=_keep, initargs=(function, encoder), env=env
        )

    def submit(self, *args):
        """Hand a part to a process."""
        return self.pool.submit(_call_kept, *args)

    def wait(self, running):
        """Wait until one of some has ended."""
        return futures.wait(running, return_when=futures.FIRST_COMPLETED).done

    def close(self):
        """End the processes, whatever they are at."""
        self.pool.shutdown(wait=True, kill_workers=True)


_KEPT = []


def _keep(function, encoder):
    _KEPT[:] = [function, encoder]


def _call_kept(*args):
    function, encoder = _KEPT
    return function(encoder, *args)


class Cluster:
    """The workers of a dask cluster; they pass the encoder on among themselves."""

    def __init__(self, function, encoder, client):
        import dask

        self.function, self.client, self.running = function, client, set()
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
            # As a task of its own it is sent once, and made again where its worker is lost.
            self.encoder = client.submit(_same, encoder, pure=False)

    @property
    def width(self):
        """Parts to have under way; workers come and go."""
        return _AHEAD * max(1, len(self.client.nthreads()))

    def submit(self, *args):
        """Hand a part to the cluster."""
        import dask

        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
            future = self.client.submit(self.function, self.encoder, *args, pure=False)
        self.running.add(future)
        return future

    def wait(self, running):
        """Wait until one of some has ended."""
        import distributed

        try:
            done = distributed.wait(list(running), return_when="FIRST_COMPLETED").done
        except futures.CancelledError as error:
            raise RuntimeError(f"the cluster was lost ({error}); {AGAIN}") from error
        return done

    def result(self, future):
        """Return what became of a part."""
        try:
            return future.result()
        finally:
            self.running.discard(future)
            future.release()  # by hand: whoever keeps the traceback keeps what its frames know

    def close(self):
        """Take back what has not ended."""
        left = [*self.running, self.encoder]
        self.client.cancel(left, force=True)
        for future in left:
            future.release()


def _same(encoder):
    return encoder


@contextmanager
def opened_engine(function, encoder, client, n_jobs):
    """Yield an engine for ``function(encoder, *args)``; what is under way ends with it."""
    if client is not None:
        engine = Cluster(function, encoder, client)
    elif n_jobs == 1:
        yield Here(function, encoder)
        return
    else:
        engine = Processes(function, encoder, n_jobs)
    try:
        yield engine
    finally:
        engine.close()


def check_engine(client, n_jobs):
    """Return the number of local processes, or say why there can be none."""
    if client is not None:
        if n_jobs not in (None, 1):
            raise ValueError("client= and n_jobs= are two ways to have workers: leave one out")
        if not hasattr(client, "nthreads") or getattr(client, "asynchronous", False):
            raise TypeError(
                f"client is a {type(client).__name__}; pass a distributed.Client that is not "
                "asynchronous"
            )
        return 1
    return joblib.effective_n_jobs(n_jobs)
