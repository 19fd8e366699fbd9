"""Preparation of images for a model of open_clip: what threads do, and what the device does."""

import functools
import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np


class Preparation:
    """open_clip's preparation, of bytes as far as they go.

    Resizer "pil" gives open_clip's numbers to the bit. "torch" takes a fifth of the time and
    rounds one value of 200 otherwise, by 1 of 255, which is 2e-5 on average. "auto" takes torch
    for photos that are made smaller, where resizing is most of the work, and PIL for all else.
    """

    def __init__(self, transform, resizer="auto"):
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
        self.side = max((np.max(step.size) for step in self.steps), default=0)
        self.mean, self.std = steps[-1].mean, steps[-1].std

    def __call__(self, image):
        """Turn an RGB image of PIL into a tensor of shape (3, H, W), of bytes where it is known."""
        import torch

        if not self.known:
            return self.transform(image)
        photo = min(image.size) > self.side and math.prod(image.size) >= _PHOTO
        by_torch = self.resizer == "torch" or (self.resizer == "auto" and photo)
        if not by_torch:
            for step in self.steps:
                image = step(image)
        # In PIL's order, channels last, which torch resizes fastest.
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        if by_torch:
            for step in self.steps:
                pixels = _apply(step, pixels)
        return pixels

    def before(self, model, device, dtype):
        """Return the model as a function of lists of prepared images."""
        return lambda images: model(self.to_model(images, device, dtype))

    def to_model(self, images, device, dtype):
        """Stack prepared images, tensors of shape (3, H, W), into a batch as the model takes it."""
        import torch

        if not self.known:
            return torch.stack(images).to(device=device, dtype=dtype)
        mean, std = (torch.tensor(v, device=device).view(-1, 1, 1) for v in (self.mean, self.std))
        # The steps of ToTensor and Normalize, which round alike. On a CPU a picture at a time stays
        # in a core's cache; on other devices a call for each would cost more.
        if device.type == "cpu":
            batch = torch.empty((len(images), *images[0].shape))
            for made, image in zip(batch, images, strict=True):
                made.copy_(image).div_(255).sub_(mean).div_(std)
        else:
            batch = torch.stack(images).to(device).float().div_(255).sub_(mean).div_(std)
        return batch.to(dtype=dtype)


_PHOTO = 2**16  # pixels; PIL resizes fewer in less time than it takes to read a file
_PART = 16  # rows that one thread computes at a time: their pixels take 10 MB
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
    pool, ahead = ThreadPoolExecutor(n_workers, thread_name_prefix="skactivekd-loader"), {}
    try:
        for batch in itertools.chain(batches, [()]):
            later = {row: pool.submit(attempt, row) for row in batch}
            if ahead:
                yield {row: future.result() for row, future in ahead.items()}
            ahead = later
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
    return Preparation(transform, dict(preprocess or {}).get("resizer", "auto"))


def forward_parts(forward, batch):
    """Compute parts of a batch side by side, each on one thread.

    Where other threads prepare rows on the cores that compute, the threads of one operation would
    wait for each other in the middle of it.
    """
    import torch

    from .._devices_and_seeds import own_settings, threads_apart

    def compute(part):
        with own_settings(), torch.inference_mode():  # each thread has its own
            parts[part] = forward(batch[part * size : (part + 1) * size])

    # The pixels of more rows are memory that the system has to clear for each batch anew.
    size = max(1, min(_PART, math.ceil(len(batch) / torch.get_num_threads())))
    parts = [None] * math.ceil(len(batch) / size)
    with threads_apart(torch.device("cpu")) as run:
        run(compute, range(len(parts)))
    return torch.cat(parts)


def embed(forward, batches, blank, total, verbose, shared_cores=False):
    """Embed batches in order; `blank` makes one, which tells the width where there is no other."""
    import torch

    from .._devices_and_seeds import own_settings
    from ..utils._progress_bar import bar

    parts = functools.partial(forward_parts, forward)
    rows = []
    with (
        own_settings(),
        torch.inference_mode(),
        bar(total, what="Encoding") if verbose else nullcontext() as shown,
    ):
        for batch in batches:
            compute = parts if shared_cores and len(batch) > 1 else forward
            rows.append(compute(batch).float().cpu())
            if verbose:
                shown.update(len(batch))
        return torch.cat(rows or [forward(blank())[:0].float().cpu()]).numpy()


class AheadList(list):
    """Rows, and what is being made of them meanwhile."""

    def __init__(self, X, pool, prepare):
        super().__init__(X)
        self.ahead = {row: pool.submit(prepare, item) for row, item in enumerate(X)}
