"""How rows are read batch by batch, by which processes, in training and in prediction."""

import math
import warnings

import numpy as np
import torch
from torch.utils.data import BatchSampler, Dataset, SequentialSampler, Subset

from ._batches import PairedBatchSampler, Seeded
from ._dataset import halves, source_of
from ._image_files import Pictures
from ._reading_workers import make_loader, worker_settings
from ._skorch_settings import loader_settings
from ._training_length import PASSES


class Loading:
    """The part of `DHONet` that makes loaders."""

    def get_iterator(self, dataset, training=False):
        """Return the loader of paired batches, or of plain ones in order."""
        prefix = "iterator_train" if training else "iterator_valid"
        kwargs = loader_settings(self, prefix)
        own_size = kwargs.pop("batch_size", None)
        X = getattr(source_of(dataset), "X", None)  # a data set of the user's has none
        pictures = X if isinstance(X, Pictures) else None
        if pictures is not None:
            kwargs = {**self._reading(pictures, len(dataset), training, kwargs), **kwargs}
        if training:
            # The one random source of a fit is torch's generator, which the caller seeds.
            generator = torch.Generator().manual_seed(int(torch.randint(2**31, (1,))))
            sampler = PairedBatchSampler(
                *halves(dataset),
                self._half_batch(dataset),
                generator,
                self._share,
                self._epoch_rule(),
                even=pictures is not None,
                replacement=self.replacement,
            )
            self.augment_ = self._choose_augmentation(X)
            asked = getattr(source_of(dataset), "teacher", None)
            self._asked = None if asked is None or self.augment_ is None else source_of(dataset)
            if asked is not None and self.augment_ is None:
                warnings.warn(
                    "teacher_views='augmented', but nothing is augmented here (augment="
                    f"{self.augment!r}): the teacher sees each picture once, as it is.",
                    UserWarning,
                    stacklevel=2,
                )
            if self.augment_ is not None:
                sampler = Seeded(sampler, generator.initial_seed())
                dataset = Augmented(dataset, self.augment_)
        else:
            # Pictures are as large in prediction as in training, where their batch has room.
            least = 1 if pictures is not None else _rows_at_once(self.input_shape)
            batch_size = self.batch_size if self.batch_size == -1 else max(self.batch_size, least)
            batch_size = batch_size if own_size is None else own_size
            batch_size = len(dataset) if batch_size == -1 else batch_size
            # A loader without its own generator would move torch's global one.
            generator = torch.Generator()
            sampler = BatchSampler(SequentialSampler(dataset), batch_size, drop_last=False)
        if pictures is not None:
            # A loader draws a seed for its processes each time it starts some: not from what
            # decides the order of the rows.
            generator = torch.Generator()
        kwargs = {"collate_fn": _as_is, "generator": generator, **kwargs}
        return make_loader(dataset, getattr(self, prefix), batch_sampler=sampler, **kwargs)

    def _reading(self, pictures, n_rows, training, settings):
        """Return how many processes read pictures, where the user does not say."""
        if "num_workers" in settings:
            pictures.check_workers(settings["num_workers"])
            return {"persistent_workers": training and settings["num_workers"] > 0}
        passes = 1
        if training:
            passes = PASSES if self.max_epochs == "auto" else self.max_epochs
        n_workers = pictures.count_workers(passes * n_rows)
        if not n_workers:
            return {}
        return {"num_workers": n_workers, **worker_settings(n_workers, training)}


class Augmented(Dataset):
    """A training set whose pictures are seen through a random view."""

    def __init__(self, dataset, view):
        self.dataset, self.view = dataset, view

    def __len__(self):
        return len(self.dataset)

    def __getitems__(self, drawn):
        """Return the batch of a pair (seed, rows)."""
        seed, rows = drawn
        source = self.dataset
        while isinstance(source, Subset):
            rows, source = np.asarray(source.indices)[rows], source.dataset
        return source._take(rows, self.view, seed)


def _as_is(batch):
    return batch


def _rows_at_once(input_shape):
    """Return how many rows of an array are predicted at once."""
    if len(input_shape) != 3:
        return 256
    # Of images as many as make 2**17 pixels: what a first layer of 16 channels makes of them is
    # 8 MiB, which stays in a processor's cache. 256 images of 64 x 64 took twice the time of 32.
    return min(256, max(16, 2**17 // math.prod(input_shape[1:])))
