"""A million rows: embedded to Parquet on a cluster that is killed, read, predicted, picked from.

    python benchmarks/bench_parquet.py [--rows 1000000] [--scratch DIR]

Needs ``pip install -e ".[benchmarks,dask,parquet]"`` and 5 kB of disk a row. The encoder is a
random projection from 64 numbers to 512, so that the figures are those of all the rest: what a
model costs is to be added. The cluster has two processes of one thread. Its run is killed with
SIGKILL at a third and at two thirds of the shards; in the third run a worker is. The seconds of
the three are added up, without those to start a cluster. Memory is the
growth of the process's own, without mapped files. Of cores: seconds that the process had one,
which other programs of a busy machine do not add to. Writes results/parquet.md.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _measure import Memory

from skactivekd import CoreSet, PCoreSet, ZeroShotTeacher
from skactivekd.encoders import PrecomputedEncoder, embed_to_parquet, read_embeddings
from skactivekd.teacher import proba_to_memmap

RESULTS = Path(__file__).parent / "results" / "parquet.md"
WIDTH, DIMENSION, CLASSES, PICKS, SHARD = 64, 512, 100, 1000, 10_000


class Projection:
    """A random projection: rows of 64 numbers, and names of classes as one of their clusters."""

    logit_scale_ = 20.0

    def fingerprint(self):
        return "a random projection, seed 0"

    def encode_image(self, X):
        weights = np.random.default_rng(0).normal(size=(WIDTH, DIMENSION)).astype(np.float32)
        rows = np.asarray(X, dtype=np.float32) @ weights
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def encode_text(self, texts):
        return self.encode_image(np.stack([clusters()[int(text.split()[-1])] for text in texts]))


def clusters():
    return np.random.default_rng(1).normal(size=(CLASSES, WIDTH)).astype(np.float32)


def make_rows(path, n):
    """Write rows of a hundred clusters."""
    rng, centers = np.random.default_rng(2), clusters()
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, WIDTH))
    for start in range(0, n, 100_000):
        part = rows[start : start + 100_000]
        part[:] = centers[rng.integers(CLASSES, size=len(part))]
        part += rng.normal(size=part.shape)
    rows.flush()


def embed(source, directory):
    """Embed on a cluster of two processes, whose ids are said; what the parent kills."""
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        with Client(cluster) as client:
            pids = client.run(os.getpid)
            print(json.dumps(list(pids.values())), flush=True)
            start = time.perf_counter()
            rows = np.load(source, mmap_mode="r")
            with Memory() as memory:
                made = embed_to_parquet(
                    rows, Projection(), directory, shard_size=SHARD, client=client
                )
            seconds = time.perf_counter() - start
    print(json.dumps({"made": made, "seconds": seconds, "MiB": memory.growth}), flush=True)


def count(directory):
    return len(list(Path(directory).glob("*.parquet")))


def run_and_kill(source, directory, n_shards, share, victim):
    """Run `embed` until there is a share of the shards; kill it, or a worker, or nobody."""
    command = [sys.executable, __file__, "--embed", source, directory]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    pids = json.loads(process.stdout.readline())
    start, before = time.perf_counter(), count(directory)
    while count(directory) < share * n_shards:
        if process.poll() is not None:
            raise RuntimeError("the run ended before it was to be killed")
        time.sleep(0.005)
    if victim == "run":
        seconds = time.perf_counter() - start
        process.send_signal(signal.SIGKILL)
        process.communicate()
        time.sleep(3)  # its workers notice
        return {"seconds": seconds, "made": count(directory) - before}
    os.kill(pids[0], signal.SIGKILL)
    said = json.loads(process.communicate()[0])
    if process.returncode:
        raise RuntimeError("the last run failed")
    return said


def measured(function):
    """Return what a function does, and its seconds, MiB and seconds of this process's cores."""
    start, busy = time.perf_counter(), time.process_time()
    with Memory() as memory:
        result = function()
    return result, time.perf_counter() - start, memory.growth, time.process_time() - busy


def check(directory, source, ids, embeddings):
    """Compare the map with the rows embedded here: none lost, none doubled, none moved."""
    rows = np.load(source, mmap_mode="r")
    assert len(rows) == len(embeddings) == len(ids) == ids[-1] + 1
    assert not list(Path(directory).glob(".draft-*"))
    for start in range(0, len(rows), 50_000):
        part = slice(start, start + 50_000)
        np.testing.assert_array_equal(ids[part], np.arange(start, start + len(ids[part])))
        expected = Projection().encode_image(rows[part])
        assert abs(embeddings[part] - expected).max() < 1e-3


def size(directory, pattern):
    return sum(path.stat().st_size for path in Path(directory).glob(pattern))


def main(n, scratch):
    lines = []

    def tell(what, seconds, mib, note="", cpu=None):
        cpu = "" if cpu is None else f"{cpu * 1e6 / n:.1f}"
        lines.append(f"| {what} | {seconds * 1e6 / n:.1f} | {cpu} | {mib:.0f} | {note} |")
        print(lines[-1], flush=True)

    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        source, directory = os.path.join(folder, "rows.npy"), os.path.join(folder, "pool")
        os.mkdir(directory)
        make_rows(source, n)
        n_shards = -(-n // SHARD)
        plan = ((1 / 3, "run"), (2 / 3, "run"), (3 / 4, "worker"))
        runs = [run_and_kill(source, directory, n_shards, share, who) for share, who in plan]
        made = [run["made"] for run in runs]
        tell(
            "embed, killed and resumed twice, and once with a worker killed",
            sum(run["seconds"] for run in runs),
            runs[-1]["MiB"],
            f"{' + '.join(map(str, made))} of {n_shards} shards made by the three runs; memory of "
            "the calling process",
        )
        assert count(directory) == n_shards
        (ids, embeddings), seconds, mib, cpu = measured(lambda: read_embeddings(directory))
        note = f"{size(directory, '*.parquet') / n:.0f} + {size(directory, '*.npy') / n:.0f} bytes"
        tell("read_embeddings, the first time", seconds, mib, f"{note} a row on the disk", cpu)
        check(directory, source, ids, embeddings)
        _, seconds, mib, cpu = measured(lambda: read_embeddings(directory))
        tell("read_embeddings, later", seconds, mib, cpu=cpu)
        _, seconds, mib, cpu = measured(
            lambda: embed_to_parquet(
                np.load(source, mmap_mode="r"), Projection(), directory, shard_size=SHARD
            )
        )
        tell("embed_to_parquet, nothing left to do", seconds, mib, "checks all checksums", cpu)
        classes = {label: f"cluster {label}" for label in range(CLASSES)}
        lookup = PrecomputedEncoder(directory, Projection())
        teacher = ZeroShotTeacher(lookup, classes, "{}", 20.0).fit()
        path = os.path.join(folder, "proba.npy")
        proba, seconds, mib, cpu = measured(lambda: proba_to_memmap(teacher, np.arange(n), path))
        note = f"{2 * CLASSES} bytes a row"
        tell(f"proba_to_memmap, {CLASSES} classes", seconds, mib, note, cpu)
        known = np.arange(0, n, n // 100)[:100]
        picks, seconds, mib, cpu = measured(
            lambda: PCoreSet().select(
                proba_pool=proba, proba_labeled=proba[known], n_instances=PICKS
            )
        )
        assert len(set(picks.tolist()) - set(known.tolist())) == PICKS
        tell(f"{PICKS:,} picks of PCoreSet, 100 labeled", seconds, mib, cpu=cpu)
        picks, seconds, mib, cpu = measured(
            lambda: CoreSet().select(
                features_pool=embeddings, features_labeled=embeddings[known], n_instances=PICKS
            )
        )
        assert len(set(picks.tolist()) - set(known.tolist())) == PICKS
        note = f"{DIMENSION} numbers a row"
        tell(f"{PICKS:,} picks of CoreSet, 100 labeled", seconds, mib, note, cpu)
    head = f"# Pools on the disk\n\nCommand: `python benchmarks/bench_parquet.py --rows {n}`.\n"
    table = [
        "| step | seconds per million rows | of cores | own memory (MiB) | |",
        "|---|---|---|---|---|",
    ]
    notes = __doc__[__doc__.index("The encoder") :].replace(" Writes results/parquet.md.", "")
    cores = f"{os.cpu_count()} cores, float16, {DIMENSION} numbers a row.\n"
    RESULTS.write_text("\n".join([head, cores, *table, *lines, "", notes]) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--scratch", default=None)
    parser.add_argument("--embed", nargs=2, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.embed:
        embed(*options.embed)
    else:
        main(options.rows, options.scratch)
