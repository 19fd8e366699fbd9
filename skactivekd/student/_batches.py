"""Which rows make a batch of training: half labeled, half unlabeled."""

import numpy as np
import torch
from torch.utils.data import Sampler

from ._training_length import steps_per_epoch


class PairedBatchSampler(Sampler):
    """Index batches that join a labeled and an unlabeled half.

    Each half runs through its rows in random order, over and over, without
    leaving a row out of a round. How long an epoch is, `epoch` says.

    Parameters
    ----------
    labeled, unlabeled : integer array
        Row indices of the two halves; either may be empty.
    batch_size : int
        Rows of each half in a batch, at most; a half never repeats a row
        within a batch.
    generator : torch.Generator
        Source of the order.
    share : tuple of int, default=(0, 1)
        Which of how many shares of each half to take; see `take_share`.
    epoch : {"labeled", "all"}, default="labeled"
        Length of an epoch, as for `steps_per_epoch`.
    even : bool, default=False
        Let an epoch take each row of the half it passes over once, in batches
        of one size but for a row, where else batches are full and the last one
        begins the next round: for rows that take long to read.
    replacement : bool, default=False
        Draw each labeled half with replacement, of `batch_size` rows.

    References
    ----------
    .. [1] Kang et al., arXiv:2505.07675, batches of 64 + 64 rows.
    """

    def __init__(
        self,
        labeled,
        unlabeled,
        batch_size,
        generator,
        share=(0, 1),
        epoch="labeled",
        even=False,
        replacement=False,
    ):
        self.batch_size = batch_size
        self.share = share
        self.drop_last = False
        self._steps = steps_per_epoch(len(labeled), len(unlabeled), batch_size, epoch)
        kinds = (_Draws if replacement else _Cycle, _Cycle)
        self._halves = [
            kind(rows, generator) for kind, rows in zip(kinds, (labeled, unlabeled), strict=True)
        ]
        self._sizes = [[batch_size] * self._steps for _ in self._halves]
        for sizes, half, rows in zip(self._sizes, self._halves, (labeled, unlabeled), strict=True):
            full = share[1] > 1 or isinstance(half, _Draws)  # processes share full batches only
            if even and not full and -(-len(rows) // batch_size) == self._steps:
                sizes[:] = np.diff(np.arange(self._steps + 1) * len(rows) // self._steps).tolist()

    def __len__(self):
        return self._steps

    def __iter__(self):
        for sizes in zip(*self._sizes, strict=True):
            halves = [half.take(size) for half, size in zip(self._halves, sizes, strict=True)]
            yield np.concatenate([take_share(half, self.share) for half in halves])


def take_share(rows, share):
    """Return a process's share of the rows, or all of them where they do not divide evenly.

    As shares have one size, the mean over processes of means over rows is the mean over rows.
    """
    process, n_processes = share
    return rows if len(rows) % n_processes else rows[process::n_processes]


class _Draws:
    """Rows drawn with replacement."""

    def __init__(self, rows, generator):
        self._rows = np.asarray(rows, dtype=np.int64)
        self._generator = generator

    def take(self, size):
        if not len(self._rows):
            return self._rows
        return self._rows[torch.randint(len(self._rows), (size,), generator=self._generator)]


class _Cycle:
    """Rows in random order, reshuffled after each full round."""

    def __init__(self, rows, generator):
        self._rows = torch.as_tensor(np.asarray(rows, dtype=np.int64))
        self._generator = generator
        self._queue = self._rows[:0]

    def take(self, size):
        size = min(size, len(self._rows))
        taken = self._queue[:size]
        self._queue = self._queue[size:]
        if len(taken) < size:
            order = self._rows[torch.randperm(len(self._rows), generator=self._generator)]
            # Rows already in this batch go to the end of the new round.
            seen = torch.isin(order, taken)
            order = torch.cat([order[~seen], order[seen]])
            missing = size - len(taken)
            taken, self._queue = torch.cat([taken, order[:missing]]), order[missing:]
        return taken.numpy()


class Seeded:
    """A batch sampler that hands out a seed with each batch.

    So what is drawn for a row depends on the step and the row, and not on
    which of how many processes reads it.
    """

    def __init__(self, sampler, seed):
        self.sampler, self.seed, self.step = sampler, seed, 0
        self.batch_size, self.share, self.drop_last = sampler.batch_size, sampler.share, False

    def __len__(self):
        return len(self.sampler)

    def __iter__(self):
        for rows in self.sampler:
            yield (self.seed, self.step), rows
            self.step += 1
