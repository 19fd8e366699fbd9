"""Encode JPEG files as this package does and as it did before, turn by turn.

    python benchmarks/bench_reading.py --files 2000

Before: PIL resizes, torchvision turns each picture into floats and normalizes it, and a batch is
read when the one before is written. The model is a small Vision Transformer with random weights.
The time of the process on all cores is shown too: on a busy machine it says more than the clock.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from skactivekd import OpenCLIPEncoder
from skactivekd.cache import EmbeddingCache
from skactivekd.encoders import _open_clip as encoders
from skactivekd.encoders import _open_clip_preprocess as preprocess
from skactivekd.encoders._base import encode_rows
from skactivekd.encoders._open_clip_preprocess import embed

CONFIG = {
    "embed_dim": 64,
    "vision_cfg": {
        "image_size": 224,
        "patch_size": 32,
        "width": 128,
        "head_width": 32,
        "layers": 4,
    },
    "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


def write_files(folder, n_files, size=(500, 375), seed=0):
    """Write JPEG files as large as those of ImageNet; return their paths."""
    random, paths = np.random.RandomState(seed), []
    for row in range(n_files):
        small = Image.fromarray(random.randint(256, size=(24, 32, 3), dtype=np.uint8))
        pixels = np.asarray(small.resize(size, Image.Resampling.BICUBIC)).astype(np.int16)
        pixels = pixels + random.normal(scale=8, size=pixels.shape).astype(np.int16)
        paths.append(str(Path(folder) / f"{row}.jpg"))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(paths[-1], quality=90)
    return paths


def small_vit(folder):
    """Register a Vision Transformer of a million weights, and save random ones."""
    import open_clip
    import torch

    folder = Path(folder)
    (folder / "configs").mkdir()
    (folder / "configs" / "bench-vit.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(folder / "configs")
    torch.manual_seed(0)
    torch.save(open_clip.create_model("bench-vit").state_dict(), folder / "weights.pt")
    return "bench-vit", str(folder / "weights.pt")


class _Before:
    """The preparation of one picture after the other by open_clip's own transform."""

    def __init__(self, transform, resizer):
        self.transform = transform

    def __call__(self, image):
        return self.transform(image)

    def to_model(self, images, device, dtype):
        import torch

        images = torch.stack(images) if isinstance(images, list) else images
        return images.to(device=device, dtype=dtype)


def _embed_before(forward, batches, *rest):
    """Embed batches, each stacked as a whole."""
    import torch

    return embed(forward, map(torch.stack, batches), *rest)


class EncoderBefore(OpenCLIPEncoder):
    """The encoder without reading ahead."""

    _prepare_ahead = None

    def fingerprint(self):
        """Have the embeddings kept in a file, as they were."""
        return f"before {super().fingerprint()}"


def measure(model, paths, before, device, resizer="auto"):
    """Encode all files with an empty cache; return seconds, those of all cores, and embeddings."""
    kind = EncoderBefore if before else OpenCLIPEncoder
    now = preprocess.Preparation, encoders.embed
    if before:
        preprocess.Preparation, encoders.embed = _Before, _embed_before
    try:
        with tempfile.TemporaryDirectory() as folder:
            cache = EmbeddingCache(f"{folder}/cache.sqlite")
            encoder = kind(*model, preprocess={"resizer": resizer}, cache=cache, device=device)
            encoder._load_model()
            start = np.array([time.perf_counter(), time.process_time()])
            embeddings = encode_rows(encoder, paths)
            return np.array([time.perf_counter(), time.process_time()]) - start, embeddings
    finally:
        preprocess.Preparation, encoders.embed = now


def main():
    """Run from the shell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths, model = write_files(folder, args.files), small_vit(folder)
        for before in (True, False):
            measure(model, paths[:64], before, args.device)
        ratios, moved = [], {}
        for _ in range(args.turns):
            old, expected = measure(model, paths, True, args.device)
            times = [old]
            for resizer in ("auto", "pil"):
                seconds, found = measure(model, paths, False, args.device, resizer)
                times.append(seconds)
                moved[resizer] = abs(found - expected).max()
            ratios.append(old / np.array(times[1:]))
            print(
                "files/s before, now, with PIL:",
                *(f"{args.files / clock:.0f}," for clock, _ in times),
                "work divided by",
                *(f"{work:.2f}" for _, work in ratios[-1]),
                flush=True,
            )
        for resizer, ratio in zip(moved, np.median(ratios, axis=0), strict=True):
            print(
                f"{resizer}: throughput times {ratio[0]:.2f}, work of all cores divided by "
                f"{ratio[1]:.2f}, embeddings moved by {moved[resizer]:.1e}"
            )


if __name__ == "__main__":
    main()
