"""Reading cached embeddings against encoding them with the embedded tiny CLIP.

    python benchmarks/bench_cache.py [--rows 100000] [--encode 100000]

Rows are synthetic digits, 8x8 as arrays, and PNG files of the same. Each figure of reading is
from a new `EmbeddingCache` on the file, as a new process would have, and includes hashing the
rows. The time to encode is that of `OpenCLIPEncoder().encode_image` without a cache; with
`--encode` below `--rows` it is measured on so many rows and scaled.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from synthetic_digits import draw_pen, render, skeletons

from skactivekd.cache import EmbeddingCache
from skactivekd.encoders import OpenCLIPEncoder
from skactivekd.encoders._base import encode_rows, owner_of
from skactivekd.utils._row_identity import row_keys


def digits(n):
    """Draw a thousand digits, and number the rows in three pixels, so that all differ."""
    images, _ = render(skeletons(), draw_pen, 1000, np.random.default_rng(0))
    X = np.rint(255 * images[np.arange(n) % 1000]).astype(np.uint8)
    X[:, 0, :3] = np.arange(n)[:, None] >> np.array([0, 8, 16]) & 255
    return X


def write_files(X, folder):
    paths = [os.path.join(folder, f"{i // 1000:03}", f"{i:06}.png") for i in range(len(X))]
    for start in range(0, len(X), 1000):
        os.makedirs(os.path.dirname(paths[start]))
    for path, pixels in zip(paths, X, strict=True):
        Image.fromarray(pixels).save(path)
    return paths


def timed(function, *args):
    start = time.perf_counter()
    result = function(*args)
    return time.perf_counter() - start, result


def measure_encoding(X, n_encode):
    """Seconds to encode all rows, and the embeddings of those that were encoded."""
    encoder = OpenCLIPEncoder(cache=False)
    encoder.encode_image(X[:64])  # loads the model
    seconds, rows = timed(encoder.encode_image, X[:n_encode])
    return seconds * len(X) / n_encode, rows


def fill(cache, encoder, X, embeddings):
    """Write known embeddings batch by batch, as encoding would."""
    keys, files, _ = row_keys(X)
    owner = owner_of(encoder, "encode_image")
    return timed(lambda: cache.fetch(owner, keys, lambda rows: embeddings[rows], files=files))[0]


def measure_reading(name, X, embeddings, encode_seconds, path, dtype):
    cache = EmbeddingCache(path, dtype=dtype)
    write_seconds = fill(cache, OpenCLIPEncoder(), X, embeddings)
    times = []
    for _ in range(3):
        if path:
            cache = EmbeddingCache(path, dtype=dtype)
        seconds, rows = timed(encode_rows, OpenCLIPEncoder(cache=cache), X)
        times.append(seconds)
        np.testing.assert_allclose(rows, embeddings, atol=1e-6 if dtype == "float32" else 1e-3)
    best, worst = min(times), max(times)
    print(
        f"{name:6} {'file' if path else 'memory':6} {dtype}: read in {best:.2f} to {worst:.2f} s, "
        f"{encode_seconds / worst:.0f} to {encode_seconds / best:.0f} times as fast as encoding; "
        f"written in {write_seconds:.0f} s; {cache.nbytes / 1e6:.1f} MB"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--encode", type=int, default=None, help="rows to encode; default: all")
    options = parser.parse_args()
    X = digits(options.rows)
    n_encode = min(options.encode or options.rows, options.rows)
    seconds, rows = measure_encoding(X, n_encode)
    print(f"encoding {n_encode} of {len(X)} arrays: {len(X) / seconds:.0f} rows/s, {seconds:.0f} s")
    embeddings = rows[np.arange(len(X)) % n_encode]  # what is read back need not be the rows' own
    print(f"hashing the arrays: {timed(row_keys, X)[0]:.2f} s")
    with tempfile.TemporaryDirectory() as folder:
        for dtype in ("float32", "float16"):
            for path in (os.path.join(folder, dtype), None):
                measure_reading("arrays", X, embeddings, seconds, path, dtype)
        files = write_files(X, Path(folder, "images"))
        file_seconds, _ = measure_encoding(files, min(n_encode, 10_000))
        print(
            f"encoding {min(n_encode, 10_000)} of the files: {len(files) / file_seconds:.0f} rows/s"
        )
        print(f"finding the files' state: {timed(row_keys, files)[0]:.2f} s")
        path = os.path.join(folder, "files")
        measure_reading("files", files, embeddings, file_seconds, path, "float32")


if __name__ == "__main__":
    main()
