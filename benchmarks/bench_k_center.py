"""Measure k_center_greedy: time against one pass of distances and other searches, and memory.

    python benchmarks/bench_k_center.py [--quick] [--banking77 DIR] [--scratch DIR]

Needs ``pip install -e ".[benchmarks,dask]"``. Each case runs in a process of its own; figures are
ratios to others of the same process. Writes results/k_center.md and results/k_center.png.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import _k_center_baselines as other
import numpy as np
from _measure import Memory, paired, peak_of_process, seconds
from _simplex import KINDS, banking77, digits, dirichlet, structured

from skactivekd import k_center_greedy

RESULTS = Path(__file__).parent / "results"
HEAD = """# k_center_greedy

Command: `{}`, each table in processes of their own.

*Plain pass*: the distances of all rows to the labeled ones, by one matrix product in blocks; what
every running minimum begins with. *Selection*: all picks, that pass included. *Error*: largest
difference between a pick's distance and the maximum of a greedy search in float64, on 5000 of the
rows. *Own memory*: growth while selecting, without the rows. *Whole process*: its peak,
rows and libraries included, and of a mapped file the pages that were cached. Times of other
searches are extrapolated: from 51 picks, of the one that measures all distances for each pick
from one. Banking77 takes part with `--banking77 DIR`.
"""
IMAGENET = 1_281_167


def split(rows, n_centers):
    """Make the last rows the labeled ones."""
    return np.ascontiguousarray(rows[:-n_centers]), np.ascontiguousarray(rows[-n_centers:])


def large(kind, n_rows, n_picks, n_repeats=5):
    """Time the whole selection against one plain pass."""
    points, centers = split(KINDS[kind](n_rows + 1000), 1000)
    picks, distances = k_center_greedy(points[:5000], centers[:200], 200)
    error = other.error_against_brute_force(points[:5000], centers[:200], picks, distances)
    with Memory() as memory:
        distances = k_center_greedy(points, centers, n_picks)[1]
    best = paired(
        {
            "pass": lambda: other.plain_pass(points, centers),
            "all": lambda: k_center_greedy(points, centers, n_picks),
        },
        n_repeats,
    )
    return {
        "rows": kind,
        "plain pass (s)": round(best["pass"], 2),
        "selection / pass": round(best["all"] / best["pass"], 2),
        "radius from": round(float(distances[0]), 3),
        "to": round(float(distances[-1]), 3),
        "error": f"{error:.0e}",
        "own memory (MiB)": round(memory.growth),
        "whole process (MiB)": round(peak_of_process()),
        "GPU": on_gpu(points, centers, n_picks),
    }


def on_gpu(points, centers, n_picks):
    """Time of the selection on a GPU, rows there already, against the plain pass there."""
    import torch

    if not torch.cuda.is_available():
        return "none here"
    there, known = torch.from_numpy(points).cuda(), torch.from_numpy(centers).cuda()

    def plain():
        torch.cdist(there, known).amin(1)
        torch.cuda.synchronize()

    best = paired({"pass": plain, "all": lambda: k_center_greedy(there, known, n_picks)})
    return round(best["all"] / best["pass"], 2)


def others(n_rows, n_picks):
    """Time against other ways to the same picks; the slow ones from their first picks."""
    points, centers = split(structured(n_rows + 1000), 1000)
    ours = paired({"ours": lambda: k_center_greedy(points, centers, n_picks)}, 2)["ours"]
    rows = []
    for name in ("torch", "numpy", "sklearn"):
        search = getattr(other, f"running_minimum_{name}")
        rows.append((f"running minimum, {name}", _extrapolated(search, points, centers, n_picks)))
    search = other.skactiveml_core_set
    rows.append(("scikit-activeml CoreSet", _extrapolated(search, points, centers, n_picks)))
    once = seconds(lambda: other.recompute_once(points, centers))
    grown = 1 + n_picks / (2 * len(centers))  # centers on average, in units of those at first
    rows.append(("all distances for each pick", once * n_picks * grown))
    return [{"search": name, "times as long": round(took / ours, 1)} for name, took in rows]


def _extrapolated(search, points, centers, n_picks, few=50):
    start = seconds(lambda: search(points, centers, 1))
    each = (seconds(lambda: search(points, centers, 1 + few)) - start) / few
    return start + max(each, 0.0) * (n_picks - 1)


def memmap(n_rows, picks, scratch):
    """Select from a mapped file that is larger than what the process may take."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        path = Path(folder) / "rows.npy"
        rows = np.lib.format.open_memmap(path, "w+", np.float32, (n_rows, 1000))
        structured(n_rows, out=rows)
        rows.flush()
        points, centers = np.load(path, mmap_mode="r"), structured(1000)
        return [_from_file(points, centers, n_picks) for n_picks in picks]


def _from_file(points, centers, n_picks):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch on read-only memory
        took = seconds(lambda: other.plain_pass(points, centers))
    with Memory() as memory:
        ours = seconds(lambda: k_center_greedy(points, centers, n_picks))
    return {
        "rows": len(points),
        "picks": n_picks,
        "plain pass (s)": round(took, 1),
        "selection / pass": round(ours / took, 2),
        "own memory (MiB)": round(memory.growth),
        "whole process (MiB)": round(peak_of_process()),
    }


SMALL = [(200, 10), (1000, 10), (1000, 100), (5000, 100), (20_000, 10), (20_000, 100)]


def small():
    """Time against the tightest loops where laziness has little to gain."""
    rows = []
    for n_rows, n_classes in SMALL:
        for n_centers, n_picks in ((10, 10), (100, 100), (1000, 100)):
            points, centers = split(dirichlet(n_rows + n_centers, n_classes, alpha=0.2), n_centers)
            best = _race(points, centers, n_picks)
            shape = f"{n_rows} x {n_classes}, {n_centers} labeled, {n_picks} picks"
            rows.append({"rows": shape, **best})
    return rows


def real(name, rows):
    """Race on the probabilities of a teacher for real data."""
    rows = np.random.default_rng(0).permutation(rows).astype(np.float32)
    points, centers = split(rows, rows.shape[1])
    shape = f"{name}: {len(points)} x {rows.shape[1]}, one labeled per class, 100 picks"
    return {"rows": shape, **_race(points, centers, 100)}


def _race(points, centers, n_picks):
    # Not in turn with torch's loop, whose threads go on spinning for a while.
    best = paired(
        {
            "numpy": lambda: other.running_minimum_numpy(points, centers, n_picks),
            "ours": lambda: k_center_greedy(points, centers, n_picks),
        },
        5,
        budget=0.5,
    )
    torch_loop = {"torch": lambda: other.running_minimum_torch(points, centers, n_picks)}
    best.update(paired(torch_loop, 5, budget=0.3))
    ratio = best["ours"] / min(best["numpy"], best["torch"])
    return {
        "loop on numpy (ms)": round(1e3 * best["numpy"], 2),
        "on torch (ms)": round(1e3 * best["torch"], 2),
        "ours / the faster": round(ratio, 2),
    }


def growth(n_rows):
    """Time against rows, picks, labeled and classes, each doubled alone."""
    base = {"rows": n_rows, "picks": 500, "labeled": 500, "classes": 500}
    times = []
    for name in base:
        for factor in (0.25, 0.5, 1, 2, 4):
            case = {**base, name: int(base[name] * factor)}
            rows = structured(case["rows"] + case["labeled"], case["classes"])
            points, centers = split(rows, case["labeled"])
            took = paired(
                {"ours": lambda p=points, c=centers, k=case["picks"]: k_center_greedy(p, c, k)}, 2
            )["ours"]
            times.append({"what": name, "times": factor, "seconds": took})
    return times


def badge(n_rows):
    """Peak of a whole process that runs Badge."""
    from skactivekd import Badge

    rng = np.random.default_rng(0)
    proba = dirichlet(n_rows, 1000, alpha=0.05)
    features = rng.standard_normal((n_rows, 512), np.float32)
    with Memory() as memory:
        took = seconds(
            lambda: Badge(random_state=0).select(proba, features_pool=features, n_instances=100)
        )
    return {
        "rows": f"{n_rows} x 512 features x 1000 classes, 100 picks",
        "seconds": round(took, 1),
        "own memory (MiB)": round(memory.growth),
        "whole process (MiB)": round(peak_of_process()),
    }


def cluster(n_rows, n_picks):
    """Compare the picks of two worker processes with those of one, and count what moved."""
    import dask.array as da
    from distributed import Client, LocalCluster

    from skactivekd.query import _k_center_dask

    counted = []
    forget = _k_center_dask.RemoteShards.forget
    _k_center_dask.RemoteShards.forget = lambda self: (
        counted.append(self.bytes_moved),
        forget(self),
    )
    points, centers = split(structured(n_rows + 1000), 1000)
    here = k_center_greedy(points, centers, n_picks)[0]
    alone = seconds(lambda: k_center_greedy(points, centers, n_picks))
    warnings.filterwarnings("ignore", message="Sending large graph")
    with LocalCluster(2, threads_per_worker=1, dashboard_address=":0") as workers, Client(workers):
        spread = da.from_array(points, chunks=(n_rows // 8, 1000)).persist()
        there = k_center_greedy(spread, centers, n_picks)[0]
        took = seconds(lambda: k_center_greedy(spread, centers, n_picks))
    return {
        "rows": f"{n_rows} x 1000, two processes",
        "picks": n_picks,
        "same picks": bool((here == there).all()),
        "time / one process": round(took / alone, 2),
        "KiB moved per pick": round(counted[-1] / n_picks / 1024, 1),
        "share of the rows": round(counted[-1] / points.nbytes, 3),
    }


def plot(times, path):
    """Draw the growth, both axes logarithmic."""
    import matplotlib.pyplot as plt
    import pandas as pd

    _, ax = plt.subplots(figsize=(5, 4), layout="constrained")
    for name, part in pd.DataFrame(times).groupby("what"):
        ax.loglog(part.times, part.seconds, marker="o", label=name, base=2)
    ax.set(xlabel="times the usual number", ylabel="seconds")
    ax.legend()
    ax.figure.savefig(path, dpi=120)


def table(title, rows):
    """Write rows of dicts as a Markdown table."""
    head = list(rows[0])
    lines = [f"## {title}", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(row.get(name, "")) for name in head) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def main():
    """Run every case in a process of its own, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    parser.add_argument("--banking77", help="folder with train.csv and categories.json")
    parser.add_argument("--scratch", help="where a file of 5 GB goes for the while")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        print(json.dumps(CASES[args.case](args)))
        return
    tables = {}
    for name in CASES:
        run = subprocess.run(
            [sys.executable, __file__, *sys.argv[1:], "--case", name],
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        print(name, run.stdout, flush=True)
        rows = json.loads(run.stdout.splitlines()[-1])
        tables.setdefault(name.partition(": ")[0], []).extend(
            rows if isinstance(rows, list) else [rows]
        )
    RESULTS.mkdir(exist_ok=True)
    plot(tables.pop("Growth"), RESULTS / "k_center.png")
    parts = [HEAD.format("python benchmarks/bench_k_center.py" + " --quick" * args.quick)]
    parts += [table(title, rows) for title, rows in tables.items()]
    parts.append("## As the work grows\n\n![Time as the work grows](k_center.png)\n")
    (RESULTS / "k_center.md").write_text("\n".join(parts))


def _rows(args):
    return 10_000 if args.quick else 100_000


def _real(args):
    rows = [real("handwritten digits", digits())]
    if args.banking77:
        rows.append(real("Banking77", banking77(args.banking77)))
    return rows


CASES = {
    **{
        f"100,000 x 1000, 1000 labeled, 1000 picks: {kind}": (
            lambda args, kind=kind: large(kind, _rows(args), 1000)
        )
        for kind in KINDS
    },
    "Other ways to the same picks": lambda args: others(_rows(args), 1000),
    "From a mapped file": lambda args: memmap(
        IMAGENET // (10 if args.quick else 1), (1000, 10_000), args.scratch
    ),
    "Small": lambda args: small(),
    "Real": _real,
    "Growth": lambda args: growth(_rows(args) // 4),
    "Badge": lambda args: badge(_rows(args) // 2),
    "Cluster": lambda args: cluster(_rows(args) // 2, 500),
}

if __name__ == "__main__":
    main()
