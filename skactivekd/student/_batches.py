"""Mini-batches fetched by array indexing, half labelled and half unlabelled."""

import numpy as np
import torch
from scipy import sparse
from torch.utils.data import Dataset, Sampler


class RowDataset(Dataset):
    """Rows of X with their labels and teacher probabilities.

    A whole mini-batch is one array look-up: PyTorch's loaders call
    ``__getitems__`` once a batch.

    Parameters
    ----------
    X : array or CSR matrix of shape (n, n_features), (n, H, W) or (n, C, H, W)
        Sparse rows become dense, integers are divided by 255 and images of
        shape (n, H, W, C) turn to (n, C, H, W) batch by batch.
    y : integer array of shape (n,), default=None
        Class indices; negative means unlabelled. None: all unlabelled.
    teacher_proba : float array of shape (n, n_classes), default=None
        The teacher's probabilities.
    """

    def __init__(self, X, y=None, teacher_proba=None):
        self.X = X
        self.y = np.full(X.shape[0], -1) if y is None else np.asarray(y)
        self.teacher_proba = teacher_proba

    def __len__(self):
        return self.X.shape[0]

    def __getitem__(self, index):
        return self.__getitems__([index])

    def __getitems__(self, indices):
        rows = {"X": as_input(self.X[indices])}
        if self.teacher_proba is not None:
            rows["teacher_proba"] = torch.as_tensor(self.teacher_proba[indices])
        return rows, torch.as_tensor(self.y[indices], dtype=torch.int64)


def as_input(rows):
    """Turn rows of X into a float32 tensor of the network's layout.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.student._batches import as_input
    >>> as_input(np.zeros((2, 8, 8, 3), dtype=np.uint8)).shape
    torch.Size([2, 3, 8, 8])
    """
    rows = rows.toarray() if sparse.issparse(rows) else np.asarray(rows)
    if rows.ndim == 3:
        rows = rows[:, None]
    elif is_channels_last(rows.shape):
        rows = np.moveaxis(rows, -1, 1)
    scale = 255 if rows.ndim == 4 and rows.dtype.kind in "ui" else 1
    # A copy: a view of the caller's memory may be read-only.
    return torch.from_numpy(np.divide(rows, scale, dtype=np.float32, casting="unsafe"))


def is_channels_last(shape):
    """Tell (n, H, W, C) from (n, C, H, W); C first wins where both would do."""
    return len(shape) == 4 and shape[1] not in (1, 3) and shape[3] in (1, 3, 4)


class PairedBatchSampler(Sampler):
    """Index batches that join a labelled and an unlabelled half.

    Each half runs through its rows in random order, over and over, without
    leaving a row out of a round. One epoch is one pass over the labelled
    rows, or over the unlabelled ones where none is labelled.

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

    References
    ----------
    .. [1] Kang et al., arXiv:2505.07675, batches of 64 + 64 rows.
    """

    def __init__(self, labeled, unlabeled, batch_size, generator, share=(0, 1)):
        self.batch_size = batch_size
        self.share = share
        self.drop_last = False
        self._steps = steps_per_epoch(len(labeled), len(unlabeled), batch_size)
        self._halves = [_Cycle(rows, generator) for rows in (labeled, unlabeled)]

    def __len__(self):
        return self._steps

    def __iter__(self):
        for _ in range(self._steps):
            halves = [half.take(self.batch_size) for half in self._halves]
            yield np.concatenate([take_share(half, self.share) for half in halves])


def take_share(rows, share):
    """Return a process's share of the rows, or all of them where they do not divide evenly.

    As all shares have one size, the mean over the processes of a mean over
    their rows is the mean over the rows.

    Examples
    --------
    >>> from skactivekd.student._batches import take_share
    >>> take_share([5, 6, 7, 8], (1, 2)), take_share([5, 6, 7], (1, 2))
    ([6, 8], [5, 6, 7])
    """
    process, n_processes = share
    return rows if len(rows) % n_processes else rows[process::n_processes]


def steps_per_epoch(n_labeled, n_unlabeled, batch_size):
    """Count the batches of one epoch of `PairedBatchSampler`."""
    return -(-(n_labeled or n_unlabeled) // batch_size)


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
