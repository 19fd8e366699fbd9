"""Mini-batches fetched by array indexing, half labelled and half unlabelled."""

import numpy as np
import torch
from scipy import sparse
from scipy.sparse import issparse
from skorch.dataset import Dataset
from torch.utils.data import Sampler

from ..encoders._pixels import channel_axis, integer_problem, white_level
from ..utils._labels import as_labels, plain
from ..utils._params import naming, refuse_mask
from ._pictures import Pictures, Unreadable, as_floats, check_batch, stack_pixels
from ._views import drawing, row_seed

EPOCHS = ("labeled", "all")


class RowDataset(Dataset):
    """Rows of X with their labels and teacher probabilities.

    A whole mini-batch is one array look-up: PyTorch's loaders call
    ``__getitems__`` once a batch.

    Parameters
    ----------
    X : array or CSR matrix of shape (n, n_features), (n, H, W) or (n, C, H, W), or Pictures
        Sparse rows become dense, and images of shape (n, H, W, C) turn to
        (n, C, H, W), batch by batch. Integers of images are divided by 65535 if
        they are uint16, by 255 otherwise, and may hold nothing above that.
    y : integer array of shape (n,), default=None
        Class indices; negative means unlabelled. None: all unlabelled.
    teacher_proba : float array of shape (n, n_teacher), default=None
        The teacher's probabilities, of any float type and memory order, also
        a memory map: only the rows of a batch are ever read and copied.
    columns : integer array of shape (n_classes,), default=None
        The teacher's column of each class; -1 for a class it does not know,
        which gets probability 0. None: column i belongs to class i.
    sample_weight : float array of shape (n,), default=None
        Weights, zero or more, of the rows in the loss of the labels.
    teacher_weight : float array of shape (n,), default=None
        Weights, zero or more, of the rows in the loss of the teacher.

    Raises
    ------
    ValueError
        If the arrays do not fit together, or a weight is negative or not
        finite; from a batch, if a number of X has no place in float32 or in an
        image, or a shape may have its channels first or last.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.student import RowDataset
    >>> teacher_proba = np.array([[0.75, 0.25], [0.5, 0.5]])
    >>> rows = RowDataset(np.eye(2), [0, -1], teacher_proba, columns=[1, -1, 0])
    >>> batch, y = rows.__getitems__([0])
    >>> batch["teacher_proba"]
    tensor([[0.2500, 0.0000, 0.7500]])
    """

    def __init__(
        self,
        X,
        y=None,
        teacher_proba=None,
        *,
        columns=None,
        sample_weight=None,
        teacher_weight=None,
    ):
        for name, rows in (("X", X), ("teacher_proba", teacher_proba)):
            indexed = hasattr(rows, "__getitem__") and not hasattr(rows, "columns")
            if not (
                (indexed and len(getattr(rows, "shape", ())) > 1) or (rows is None and name != "X")
            ):
                raise TypeError(
                    f"{name} must be an array of rows or a CSR matrix, got {type(rows).__name__}."
                )
        self.X = X
        n_rows = X.shape[0]
        self.y = np.full(n_rows, -1) if y is None else _check_y(y, n_rows)
        if teacher_proba is not None and (len(teacher_proba.shape) != 2 or issparse(teacher_proba)):
            raise ValueError(
                f"teacher_proba must be a dense array of two dimensions, got "
                f"{type(teacher_proba).__name__} of shape {tuple(teacher_proba.shape)}."
            )
        self.teacher_proba = teacher_proba
        self.columns = _check_columns(columns, teacher_proba)
        self.teacher = None  # who is asked of each view, in place of `teacher_proba`
        self.sample_weight = _check_weight(sample_weight, n_rows, "sample_weight")
        self.teacher_weight = _check_weight(teacher_weight, n_rows, "teacher_weight")
        if teacher_proba is not None and teacher_proba.shape[0] != n_rows:
            raise ValueError(
                f"teacher_proba has {teacher_proba.shape[0]} rows, but X has {n_rows}."
            )

    def __len__(self):
        return self.X.shape[0]

    def __getitem__(self, index):
        return self.__getitems__([index])

    def __getitems__(self, indices):
        return self.take(indices)

    def take(self, indices, view=None, seed=None):
        """Return a batch, its pictures as a random view shows them if there is one."""
        indices = np.asarray(indices)
        if isinstance(self.X, Pictures):
            X, row = self.X.read(indices, view, seed), self.X.places[indices]
            if isinstance(X, Unreadable):
                return X
        else:
            with naming("X"):
                X, row = as_input(self.X[indices], indices), indices
            X = X if view is None else self._augment(X, indices, view, seed)
        rows = {"X": X, "row": torch.as_tensor(row)}
        if self.teacher_proba is not None:
            rows["teacher_proba"] = torch.from_numpy(self.teacher_rows(indices))
        for name in ("sample_weight", "teacher_weight"):
            if getattr(self, name) is not None:
                rows[name] = torch.from_numpy(getattr(self, name)[indices])
        return rows, torch.as_tensor(self.y[indices], dtype=torch.int64)

    def _augment(self, X, indices, view, seed):
        """Apply the user's augmentation to each image of an array, as bytes if it holds bytes."""
        if self.X.dtype == np.uint8:
            X = (X * 255).round().to(torch.uint8)
        made = []
        for image, row in zip(X, indices.tolist(), strict=True):
            with drawing(row_seed(*seed, row)):
                made.append(as_floats(view(image)))
        return stack_pixels(made)

    def teacher_rows(self, indices):
        return self.by_class(self.teacher_proba[indices])

    def by_class(self, proba):
        """Put the teacher's columns in the order of the classes."""
        with naming("teacher_proba"):
            proba = np.asarray(proba, dtype=np.float32)
        if self.columns is not None:
            proba = np.where(self.columns >= 0, proba[:, self.columns], np.float32(0))
        return np.ascontiguousarray(proba)


def _check_y(y, n_rows):
    refuse_mask(y, "y")
    with naming("y"):
        y = plain(as_labels(y))
    if y.ndim != 1:
        raise ValueError(f"y must have one dimension, got shape {y.shape}.")
    if len(y) != n_rows:
        raise ValueError(f"y has {len(y)} rows, but X has {n_rows}.")
    if n_rows and y.dtype.kind not in "iu":
        raise ValueError(
            f"y must hold class indices, integers counted from 0, but has the type {y.dtype}. "
            "DHOClassifier takes labels of any kind."
        )
    return y.astype(np.int64, copy=False)


def _check_columns(columns, teacher_proba):
    if columns is None or teacher_proba is None:
        return None
    with naming("columns"):
        columns, n_teacher = np.asarray(columns), teacher_proba.shape[1]
    if columns.ndim != 1 or columns.dtype.kind not in "iu":
        raise ValueError(f"columns must be a list of integers, one a class, got {columns!r}.")
    if not ((columns >= -1) & (columns < n_teacher)).all():
        raise ValueError(
            f"columns must be -1 or one of the teacher's {n_teacher} columns, counted from 0, got "
            f"{columns.tolist()}."
        )
    return None if np.array_equal(columns, np.arange(n_teacher)) else columns


def _check_weight(weight, n_rows, name):
    if weight is None:
        return None
    refuse_mask(weight, name)
    with naming(name):
        if np.asarray(weight).dtype.kind in "SU":
            raise TypeError(f"{name} must hold numbers, got texts.")
        weight = np.asarray(weight, dtype=np.float32)
    if weight.shape != (n_rows,):
        raise ValueError(
            f"{name} must have shape ({n_rows},), a number for each row of X, but has the shape "
            f"{weight.shape}."
        )
    bad = np.flatnonzero(~np.isfinite(weight) | (weight < 0))
    if len(bad):
        raise ValueError(
            f"{name} must hold finite numbers, zero or more, but that of row {bad[0]} is "
            f"{weight[bad[0]]}."
        )
    return weight


def as_input(rows, indices=None):
    """Turn rows of X into a float32 tensor of the network's layout.

    Parameters
    ----------
    rows : array or CSR matrix of shape (n, n_features), (n, H, W) or (n, C, H, W)
        Rows as `RowDataset` takes them.
    indices : integer array of shape (n,), default=None
        Their places in X, for messages. None counts from 0.

    Returns
    -------
    tensor : float32 tensor of shape (n, n_features) or (n, C, H, W)

    Raises
    ------
    ValueError
        If a finite number is too large for float32, or an integer of an image
        is out of range, the message names its row; or if a shape may have its
        channels first or last.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.student._batches import as_input
    >>> as_input(np.zeros((2, 8, 8, 3), dtype=np.uint8)).shape
    torch.Size([2, 3, 8, 8])
    """
    if isinstance(rows, Pictures):
        pixels = rows.read(np.arange(len(rows)))
        check_batch(pixels)
        return as_floats(pixels)
    rows = rows.toarray() if sparse.issparse(rows) else np.asarray(rows)
    scale = 1
    if rows.ndim in (3, 4):
        scale = white_level(rows.dtype)
        _check_integers(rows, indices)
        axis = channel_axis(rows.shape)
        rows = rows[:, None] if axis is None else np.moveaxis(rows, axis, 1)
    try:
        # The processor notes an overflow by itself, which saves a look at each number.
        with np.errstate(over="raise"):
            # A copy: a view of the caller's memory may be read-only.
            return torch.from_numpy(np.divide(rows, scale, dtype=np.float32, casting="unsafe"))
    except FloatingPointError:
        raise ValueError(_overflow(rows, indices)) from None


def _overflow(rows, indices):
    """Say which row has a number that float32 does not hold."""
    rows = rows.reshape(len(rows), -1)
    with np.errstate(over="ignore"):
        bad = np.isfinite(rows) & ~np.isfinite(rows.astype(np.float32))
    place = int(np.flatnonzero(bad.any(axis=1))[0])
    row = place if indices is None else int(indices[place])
    return (
        f"Row {row} of X holds {rows[place][bad[place]][0]:.3g}, which is too large for float32, "
        "the type in which the student computes. Scale X, with StandardScaler say, or mend the row."
    )


def _check_integers(rows, indices):
    """Refuse integers that no picture holds, as they cannot be brought to [0, 1]."""
    if integer_problem(rows) is None:
        return
    place, problem = next(found for found in enumerate(map(integer_problem, rows)) if found[1])
    row = place if indices is None else int(indices[place])
    raise ValueError(f"Row {row} of X holds {problem}.")


class PairedBatchSampler(Sampler):
    """Index batches that join a labelled and an unlabelled half.

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
    ):
        self.batch_size = batch_size
        self.share = share
        self.drop_last = False
        self._steps = steps_per_epoch(len(labeled), len(unlabeled), batch_size, epoch)
        self._halves = [_Cycle(rows, generator) for rows in (labeled, unlabeled)]
        self._sizes = [[batch_size] * self._steps for _ in self._halves]
        for sizes, rows in zip(self._sizes, (labeled, unlabeled), strict=True):
            # Processes share full batches only.
            if even and share[1] == 1 and -(-len(rows) // batch_size) == self._steps:
                sizes[:] = np.diff(np.arange(self._steps + 1) * len(rows) // self._steps).tolist()

    def __len__(self):
        return self._steps

    def __iter__(self):
        for sizes in zip(*self._sizes, strict=True):
            halves = [half.take(size) for half, size in zip(self._halves, sizes, strict=True)]
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


def steps_per_epoch(n_labeled, n_unlabeled, batch_size, epoch="labeled"):
    """Count the batches of one epoch of `PairedBatchSampler`.

    Parameters
    ----------
    n_labeled, n_unlabeled : int
        Rows of the two halves.
    batch_size : int
        Rows of each half in a batch, at most.
    epoch : {"labeled", "all"}, default="labeled"
        "labeled": a pass over the labeled rows, or over the unlabeled ones
        where none is labeled. "all": a pass over the larger half.

    Returns
    -------
    n_steps : int

    Raises
    ------
    ValueError
        If `epoch` is neither.

    References
    ----------
    .. [1] "PCoreSet: Effective Active Learning through Knowledge Distillation
       from Vision-Language Models". 2025. arXiv:2506.00910. Its epochs are
       those of "labeled".

    Examples
    --------
    >>> from skactivekd.student._batches import steps_per_epoch
    >>> steps_per_epoch(10, 1000, 64), steps_per_epoch(10, 1000, 64, epoch="all")
    (1, 16)
    """
    if epoch not in EPOCHS:
        raise ValueError(f"epoch must be 'labeled' or 'all', got {epoch!r}.")
    n_rows = max(n_labeled, n_unlabeled) if epoch == "all" else n_labeled or n_unlabeled
    return -(-n_rows // batch_size)


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
