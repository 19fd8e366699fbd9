"""Query time on a convolutional network, of this checkout and of another, in turn.

    python benchmarks/bench_query.py [--against CHECKOUT] [--repeats 3]

A query is timed against one plain pass of the network over the same rows, in processor seconds of
one thread; each process times one checkout, and the checkouts take turns. Printed is the least of
the repeats, for images whose channels come first and last.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np

N_LABELED, N_PICKS, N_CLASSES = 100, 50, 10
CASES = {  # backbone, side of the images in pixels, channels, images
    "small, 28 px, gray": (None, 28, 1, 2000),
    "small, 32 px": (None, 32, 3, 2000),
    "small, 64 px": (None, 64, 3, 800),
    "resnet18, 64 px": ("resnet18", 64, 3, 400),
}


def times(case, first):
    """Return processor seconds of a plain pass and of each strategy's query."""
    import torch

    from skactivekd import DHOClassifier, DHONet, query

    backbone, side, n_channels, n = CASES[case]
    rng = np.random.default_rng(0)
    shape = (n, n_channels, side, side) if first else (n, side, side, n_channels)
    X = rng.integers(0, 256, shape).astype(np.uint8)
    y = np.full(n, -1)
    y[:N_LABELED] = np.arange(N_LABELED) % N_CLASSES
    model = DHOClassifier(DHONet(backbone, max_epochs=1), random_state=0)
    model.fit(X[:N_LABELED], y[:N_LABELED])
    module = model.net_.module_.eval()
    pixels = torch.from_numpy(X if first else np.moveaxis(X, 3, 1).copy()).float() / 255

    def plain():
        with torch.no_grad():
            for block in pixels.split(256):
                module.backbone(block)

    calls = {"one plain pass": plain}
    for strategy in (query.Margin(), query.Badge(random_state=0), query.UncertaintyHerding()):
        calls[type(strategy).__name__] = lambda s=strategy: s.query(X, y, model, N_PICKS)
    took = {}
    for name, call in calls.items():
        call()  # the first one reserves memory
        start = time.process_time()
        call()
        took[name] = time.process_time() - start
    return took


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", help="another checkout of this repository")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        warnings.simplefilter("ignore")
        case, first = json.loads(args.child)
        print(json.dumps(times(case, first)))
        return
    checkouts = {"here": Path(__file__).parents[1]}
    checkouts |= {"there": Path(args.against).resolve()} if args.against else {}
    for case in CASES:
        for first in (True, False):
            best = {}
            for name in list(checkouts) * args.repeats:
                env = {**os.environ, "PYTHONPATH": str(checkouts[name]), "OMP_NUM_THREADS": "1"}
                command = [sys.executable, __file__, "--child", json.dumps([case, first])]
                out = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
                for call, took in json.loads(out.stdout.splitlines()[-1]).items():
                    key = name, call
                    best[key] = min(best.get(key, took), took)
            print(f"{case}, channels {'first' if first else 'last'}")
            for call in {call: None for _, call in best}:
                row = [f"{name} {best[name, call]:.3f} s" for name in checkouts]
                if args.against:
                    row.append(f"ratio {best['here', call] / best['there', call]:.2f}")
                print(f"  {call:20}", *row, sep="  ", flush=True)


if __name__ == "__main__":
    main()
