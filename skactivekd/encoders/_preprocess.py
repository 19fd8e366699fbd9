"""Preparation of images for a model of open_clip: what threads do, and what the device does."""

import numpy as np


class Preparation:
    """open_clip's preparation, of bytes as far as they go.

    Images are resized one by one and normalized a batch at once, on the
    model's device; the numbers are open_clip's to the bit.

    Parameters
    ----------
    transform : callable
        open_clip's own.
    resizer : {"pil", "torch"}, default="pil"
        "torch" resizes in a fifth of the time, with the same result but for the
        last of 8 bits in one value of 200, so that it is another preparation.
    """

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

    def to_model(self, images, device, dtype):
        """Stack prepared images into a batch as the model takes it.

        Parameters
        ----------
        images : list of tensor of shape (3, H, W)
        device : torch.device
        dtype : torch.dtype

        Returns
        -------
        batch : tensor of shape (n, 3, H, W)
        """
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
