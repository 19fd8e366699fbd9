"""Gray images: a step and a prediction of the small network, as it lays them out and as they come.

    python benchmarks/bench_gray.py [--repeats 6]

Milliseconds of one processor for 128 images, the least of the repeats, in turn.
"""

import argparse
import time

import torch

from skactivekd.student._backbones import SmallCNN, channels_side_by_side

SIDES = 8, 12, 16, 20, 28, 32, 48, 64, 96
N_CALLS = 4


def step(net, images):
    net(images).square().sum().backward()


def prediction(net, images):
    with torch.no_grad():
        net(images)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=6)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    for side in SIDES:
        torch.manual_seed(0)
        net, images = SmallCNN(1, side), torch.rand(128, 1, side, side)
        laid_out = images[:, 0, :, :, None].permute(0, 3, 1, 2)
        assert side <= 8 or channels_side_by_side(images).stride() == laid_out.stride()
        least = {}
        for _ in range(repeats):
            for way, rows in {"as they come": images, "laid out": laid_out}.items():
                for call in (step, prediction):
                    started = time.process_time()
                    for _ in range(N_CALLS):
                        call(net, rows)
                    took = 1000 * (time.process_time() - started) / N_CALLS
                    least[call, way] = min(took, least.get((call, way), took))
        for call in (step, prediction):
            before, now = least[call, "as they come"], least[call, "laid out"]
            ratio = f"{before:.1f} ms, {now:.1f} ms, {now / before:.2f}"
            print(f"{side} px, {call.__name__}: {ratio}", flush=True)


if __name__ == "__main__":
    main()
