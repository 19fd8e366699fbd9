"""Preparation of images for a model of open_clip: what threads do, and what the device does."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np


class Preparation:
    """open_clip's preparation, of bytes as far as they go."""

    def __init__(self, transform, resizer="pil"):
        self.transform, self.resizer = transform, resizer
        steps = list(getattr(transform, "transforms", ()))
        names = [_name(step) for step in steps]
        cut = next((i for i, name in enumerate(names) if name in _TO_TENSOR), None)
        # What does not look like open_clip's stays whole.
        self.known = cut is not None and names[cut + 1 :] == ["Normalize"]
        if not self.known:
            return
        self.steps = [step for step in steps[:cut] if _name(step) not in _TO_RGB]
        if not all(_name(step) in ("Resize", "CenterCrop") for step in self.steps):
            self.resizer = "pil"  # which alone adds borders
        self.mean, self.std = steps[-1].mean, steps[-1].std

    def __call__(self, image):
        """Turn an RGB image of PIL into a tensor of shape (3, H, W), of bytes where it is known."""
        import torch

        if not self.known:
            return self.transform(image)
        if self.resizer == "pil":
            for step in self.steps:
                image = step(image)
        # In PIL's order, channels last, which torch resizes fastest.
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        if self.resizer == "torch":
            for step in self.steps:
                pixels = _apply(step, pixels)
        return pixels

    def stacked(self, batches, device, dtype):
        """Yield each list of prepared images as the model takes it."""
        for images in batches:
            yield self.to_model(images, device, dtype)

    def to_model(self, images, device, dtype):
        """Stack prepared images, tensors of shape (3, H, W), into a batch as the model takes it."""
        import torch

        batch = torch.stack(images)
        if self.known:
            mean, std = (
                torch.tensor(v, device=device).view(-1, 1, 1) for v in (self.mean, self.std)
            )
            # The steps of ToTensor and Normalize, which round alike.
            batch = batch.to(device).float().div_(255).sub_(mean).div_(std)
        return batch.to(device=device, dtype=dtype)


_TO_TENSOR = ("ToTensor", "MaybeToTensor")
_TO_RGB = ("MaybeConvertMode", "_convert_to_rgb")


def _name(step):
    return getattr(step, "__name__", type(step).__name__)


def _apply(step, pixels):
    from torchvision.transforms.v2 import functional as F

    if _name(step) == "CenterCrop":
        return F.center_crop(pixels, step.size)
    size = [step.size] if isinstance(step.size, int) else step.size
    return F.resize(pixels, size, step.interpolation, step.max_size, antialias=True)


def load_batches(prepare, rows, batch_size, n_workers):
    """Prepare rows batch by batch, one batch ahead of whoever takes them."""

    def attempt(row):
        try:
            return prepare(row)
        except Exception as error:
            return error

    batches = (rows[start : start + batch_size] for start in range(0, len(rows), batch_size))
    if n_workers == 0:
        yield from ({row: attempt(row) for row in batch} for batch in batches)
        return
    with _workers(n_workers) as pool:
        ahead = deque()
        for batch in batches:
            ahead.append({row: pool.submit(attempt, row) for row in batch})
            if len(ahead) > 1:
                yield _results(ahead.popleft())
        while ahead:
            yield _results(ahead.popleft())


def _results(futures):
    return {row: future.result() for row, future in futures.items()}


@contextmanager
def _workers(n_workers):
    pool = ThreadPoolExecutor(n_workers, thread_name_prefix="skactivekd-loader")
    try:
        yield pool
    finally:  # an interrupt waits for the rows in hand only
        pool.shutdown(wait=True, cancel_futures=True)


def good_batches(batches, bad, reason, stop):
    """Yield lists of what was made of the good rows, and add the other rows to `bad`."""
    for batch in batches:
        failed = {row: made for row, made in batch.items() if isinstance(made, Exception)}
        bad.update((row, reason(row, made)) for row, made in failed.items())
        good = [made for row, made in batch.items() if row not in failed]
        if good and not (bad and stop):
            yield good


def prepare_as(transform, preprocess):
    """Prepare images as an encoder's setting `preprocess` has it."""
    return Preparation(transform, dict(preprocess or {}).get("resizer", "pil"))


def embed(forward, batches, blank, total, verbose):
    """Embed batches in order; `blank` makes one, which tells the width where there is no other."""
    import torch
    from tqdm.auto import tqdm

    from .._torch import own_settings

    rows = []
    with (
        own_settings(),
        torch.inference_mode(),
        tqdm(total=total, unit="rows", disable=not verbose) as bar,
    ):
        for batch in batches:
            rows.append(forward(batch).float().cpu())
            bar.update(len(batch))
        return torch.cat(rows or [forward(blank())[:0].float().cpu()]).numpy()


class AheadList(list):
    """Rows, and what is being made of them meanwhile."""

    def __init__(self, X, pool, prepare):
        super().__init__(X)
        self.ahead = {row: pool.submit(prepare, item) for row, item in enumerate(X)}
