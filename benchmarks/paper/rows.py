"""Images on disk as a data set of the student, and the batches of the paper."""

from itertools import chain, islice, repeat

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from skactivekd.encoders._read_image import open_image
from skactivekd.student._batches import PairedBatchSampler, take_share


def train_view(size, interpolation="bilinear"):
    """Make the random view of the paper: a crop of half the image or more, maybe flipped."""
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(
                size, scale=(0.5, 1.0), interpolation=InterpolationMode(interpolation)
            ),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
        ]
    )


def test_view(size):
    """Make the plain view: the shorter side to `size`, then its middle."""
    return transforms.Compose(
        [transforms.Resize(size), transforms.CenterCrop(size), transforms.ToTensor()]
    )


class ImageRows(Dataset):
    """Image files, a batch at a time, as tensors of pixels in [0, 1].

    Parameters
    ----------
    paths : sequence of str
    view : callable
        From PIL image to tensor of shape (3, H, W).
    y : integer array of shape (n,), default=None
        Classes, negative where unknown; None where all are.
    teacher_proba : float array of shape (n, n_classes), default=None
        The teacher's, if it saw the images once, without augmentation.
    distils : bool, default=False
        Whether unlabelled rows take part in training.
    """

    def __init__(self, paths, view, y=None, teacher_proba=None, distils=False):
        self.paths = paths
        self.view = view
        self.y = np.full(len(paths), -1) if y is None else y
        self.teacher_proba = teacher_proba
        self.distils = distils

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return self.__getitems__([index])

    def __getitems__(self, indices):
        y = torch.as_tensor(self.y[indices], dtype=torch.int64)
        rows = {"X": torch.stack([self._read(index) for index in indices]), "labeled": y >= 0}
        if self.teacher_proba is not None:
            rows["teacher_proba"] = torch.as_tensor(self.teacher_proba[indices])
        return rows, y

    def _read(self, index):
        try:
            return self.view(open_image(self.paths[index]))
        except Exception as error:
            raise ValueError(f"{self.paths[index]} cannot be read: {error}") from error


class StepSampler(Sampler):
    """A fixed number of batches, the labelled half first.

    Parameters
    ----------
    labeled, unlabeled : integer array
        Row indices; either may be empty.
    batch_size : int
        Rows of each half, over all processes.
    n_steps : int
    generator : torch.Generator
        Seeded alike in all processes.
    replacement : bool
        Draw the labelled half with replacement, so that it is full however few
        labels there are; else run through them as through the unlabelled.
    share : tuple of int, default=(0, 1)
        Which of how many shares of every half is taken.
    """

    def __init__(
        self,
        labeled,
        unlabeled,
        batch_size,
        n_steps,
        generator,
        *,
        replacement=False,
        share=(0, 1),
    ):
        self.labeled, self.unlabeled = labeled, unlabeled
        self.batch_size, self.n_steps, self.generator = batch_size, n_steps, generator
        self.replacement = replacement
        self.share = share

    def __len__(self):
        return self.n_steps

    def __iter__(self):
        draw = self._draws if self.replacement else self._passes
        halves = zip(draw(self.labeled), self._passes(self.unlabeled), strict=False)
        for batch in islice(halves, self.n_steps):
            yield np.concatenate([take_share(half, self.share) for half in batch])

    def _draws(self, rows):
        while len(rows):
            yield rows[torch.randint(len(rows), (self.batch_size,), generator=self.generator)]
        yield from repeat(rows)

    def _passes(self, rows):
        if not len(rows):
            return repeat(rows)
        half = PairedBatchSampler(rows, rows[:0], self.batch_size, self.generator)
        return chain.from_iterable(repeat(half))


def training_loader(dataset, batch_sampler, generator, *, n_steps, replacement, **kwargs):
    """Load the batches of `StepSampler` in place of the package's own."""
    rows = np.arange(len(dataset))
    sampler = StepSampler(
        rows[dataset.y >= 0],
        rows[dataset.y < 0] if dataset.distils else rows[:0],
        batch_sampler.batch_size,
        n_steps,
        generator,
        replacement=replacement,
        share=batch_sampler.share,
    )
    return DataLoader(dataset, batch_sampler=sampler, generator=generator, **kwargs)
