"""The rows that a student learns from, fetched by batches."""

import numpy as np
import torch
from scipy.sparse import issparse
from skorch.dataset import Dataset
from torch.utils.data import Subset

from ..utils._check_params import naming, refuse_mask
from ..utils._label_values import as_labels, plain
from ..utils._sample_weight import check_weights
from ._augmentation import drawing, row_seed
from ._image_files import Pictures, as_floats, places_of, stack_pixels
from ._reading_workers import Unreadable
from ._tensors import as_input


class RowDataset(Dataset):
    """Rows of X with their labels and teacher probabilities.

    A whole mini-batch is one array look-up: PyTorch's loaders call
    ``__getitems__`` once a batch.

    .. versionadded:: 0.1

    Parameters
    ----------
    X : array or CSR matrix of shape (n, n_features), (n, H, W) or (n, C, H, W), or Pictures
        Sparse rows become dense, and images of shape (n, H, W, C) turn to
        (n, C, H, W), batch by batch. Integers of images are divided by 65535 if
        they are uint16, by 255 otherwise, and may hold nothing above that.
    y : integer array of shape (n,), default=None
        Class indices; negative means unlabeled. None: all unlabeled.
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

    See Also
    --------
    DHONet : Trains on it; a validation set of your own is one.

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
        self.sample_weight = _single(sample_weight, n_rows, "sample_weight")
        self.teacher_weight = _single(teacher_weight, n_rows, "teacher_weight")
        if teacher_proba is not None and teacher_proba.shape[0] != n_rows:
            raise ValueError(
                f"teacher_proba has {teacher_proba.shape[0]} rows, but X has {n_rows}."
            )

    def __len__(self):
        return self.X.shape[0]

    def __getitem__(self, index):
        return self.__getitems__([index])

    def __getitems__(self, indices):
        return self._take(indices)

    def _take(self, indices, view=None, seed=None):
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
        y = torch.as_tensor(self.y[indices], dtype=torch.int64)
        rows = {"X": X, "row": torch.as_tensor(row), "labeled": y >= 0}
        if self.teacher_proba is not None:
            rows["teacher_proba"] = torch.from_numpy(self._teacher_rows(indices))
        for name in ("sample_weight", "teacher_weight"):
            if getattr(self, name) is not None:
                rows[name] = torch.from_numpy(getattr(self, name)[indices])
        return rows, y

    def _augment(self, X, indices, view, seed):
        """Apply the user's augmentation to each image of an array, as bytes if it holds bytes."""
        if self.X.dtype == np.uint8:
            X = (X * 255).round().to(torch.uint8)
        made = [None] * len(indices)
        with drawing() as start:
            for row, places in places_of(indices).items():
                for number, place in enumerate(places):
                    start(row_seed(*seed, row, number))
                    made[place] = as_floats(view(X[place]))
        return stack_pixels(made)

    def _teacher_rows(self, indices):
        return self._by_class(self.teacher_proba[indices])

    def _by_class(self, proba):
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


def _single(weight, n_rows, name):
    weight = check_weights(weight, n_rows, name, all_zero=True)
    return None if weight is None else weight.astype(np.float32, copy=False)


def halves(dataset):
    """Return the labeled and the unlabeled rows of a training set.

    Rows without a label teach only through the teacher.
    """
    rows = source_of(dataset)
    y = rows.y[dataset.indices] if isinstance(dataset, Subset) else rows.y
    unlabeled = [] if rows.teacher_proba is None else np.flatnonzero(y < 0)
    return np.flatnonzero(y >= 0), unlabeled


def source_of(dataset):
    return dataset.dataset if isinstance(dataset, Subset) else dataset
