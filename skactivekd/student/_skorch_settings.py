"""Which of skorch's settings a DHONet takes, and what to do instead of the others."""

import numbers

import numpy as np
from skorch.callbacks import BatchScoring, LRScheduler
from skorch.callbacks.scoring import ScoringBase
from skorch.dataset import Dataset
from torch.utils.data import Subset

from ..utils._check_params import check_flag, is_integer
from ._image_settings import check_pictures
from ._schedule import WarmupDecay
from ._training_length import EPOCHS

_LOADER = {
    "shuffle": "training draws its rows in random order, and prediction needs them in order",
    "drop_last": "batches of training are full, and prediction needs every row",
    "collate_fn": "RowDataset looks up a whole batch at once. Transform X before fit instead",
    "sampler": "DHONet itself pairs labeled and unlabeled rows. Set batch_size or epoch instead",
    "batch_sampler": "DHONet itself pairs labeled and unlabeled rows. Set batch_size or epoch "
    "instead",
    "generator": "the batches follow random_state of DHOClassifier, or torch's generator",
}
# What DHONet does anyway.
_TRUE = {
    ("iterator_valid", "shuffle"): False,
    ("iterator_valid", "drop_last"): False,
    ("iterator_train", "drop_last"): False,
}


def check_settings(net):
    """Refuse settings of skorch that could have no effect, or a wrong one, and say what to do."""
    if net.epoch not in ("auto", *EPOCHS):
        raise ValueError(f"epoch must be 'auto', 'labeled' or 'all', got {net.epoch!r}.")
    for name in ("replacement", "apart"):
        check_flag(getattr(net, name), name)
        if getattr(net, name) and net.heads == "residual":
            raise ValueError(
                f"{name}=True is for heads='dual' or 'single': with heads='residual' the network "
                "learns from the teacher alone, so that its batches have no labeled half."
            )
    _check_numbers(net)
    check_pictures(net)
    _check_dataset(net)
    for prefix in ("iterator_train", "iterator_valid"):
        for name, value in net.get_params_for(prefix).items():
            if name in _LOADER and value is not None and value is not _TRUE.get((prefix, name)):
                raise ValueError(
                    f"{prefix}__{name}={value!r} cannot be set on DHONet: {_LOADER[name]}."
                )
    if net.predict_nonlinearity not in ("auto", None):
        raise ValueError(
            "predict_nonlinearity cannot be set on DHONet, which mixes the softmax of its heads. "
            "Set alpha and beta of DHOClassifier, or transform what predict_proba returns."
        )
    settings = net.get_params_for("callbacks__schedule")
    if settings and replaces_schedule(net.callbacks) and not _is_named(net.callbacks, "schedule"):
        raise ValueError(
            f"callbacks__schedule__{min(settings)} has no effect, as a schedule among the "
            "callbacks replaces the default one. Set one of the two."
        )


def _check_numbers(net):
    automatic = isinstance(net.max_epochs, str) and net.max_epochs == "auto"
    if not automatic and not (is_integer(net.max_epochs) and net.max_epochs >= 0):
        raise ValueError(
            f"max_epochs must be 'auto' or an int of at least 0, got {net.max_epochs!r}."
        )
    # skorch takes -1 for all rows at once.
    if not (is_integer(net.batch_size) and (net.batch_size >= 1 or net.batch_size == -1)):
        raise ValueError(f"batch_size must be an int of at least 1, got {net.batch_size!r}.")
    if not (isinstance(net.lr, numbers.Real) and 0 <= net.lr < np.inf):
        raise ValueError(f"lr must be a finite number, zero or more, got {net.lr!r}.")
    if not callable(net.optimizer):
        raise TypeError(
            f"optimizer must be a class such as torch.optim.AdamW, got {net.optimizer!r}."
        )


def loader_settings(net, prefix):
    """Return the settings of a loader, without those that only say what DHONet does anyway."""
    settings = net.get_params_for(prefix)
    return {name: value for name, value in settings.items() if name not in _LOADER}


def replaces_schedule(callbacks):
    """Tell whether a schedule of the learning rate is among the user's callbacks."""
    if not isinstance(callbacks, list | tuple):
        return False
    found = [item[1] if isinstance(item, list | tuple) else item for item in callbacks]
    kinds = [callback if isinstance(callback, type) else type(callback) for callback in found]
    return any(issubclass(kind, LRScheduler | WarmupDecay) for kind in kinds)


def split_labeled(net, dataset, y=None, **fit_params):
    """Split off a validation set of labeled rows, as `train_split` of the net says.

    Training keeps every unlabeled row. No labeled row, or a callback with none to score, raises.
    """
    scorings = _check_scorings(net)
    if not net.train_split and not scorings:
        return dataset, None
    source, rows = _rows_of(dataset)
    labels = source.y[rows]
    labeled, unlabeled = rows[labels >= 0], rows[labels < 0]
    if not len(labeled):
        what = "train_split" if net.train_split else f"The callback {scorings[0]!r}"
        if net.heads == "residual":
            raise ValueError(
                f"{what} needs labeled rows, but no row of y is labeled in the training of the "
                "default student's network, which learns from the teacher alone. Take heads='dual' "
                "or 'single', or set train_split=None and leave out callbacks that score."
            )
        raise ValueError(
            f"{what} needs labeled rows, but no row of y is labeled. To learn from the teacher "
            "alone, set train_split=None and leave out callbacks that score."
        )
    if not net.train_split:
        raise ValueError(
            f"The callback {scorings[0]!r} has no validation rows to score. Set train_split, to "
            "skorch.dataset.ValidSplit(5) say, or leave the callback out."
        )
    train, valid = _call_split(net, Subset(source, labeled), labels[labels >= 0], fit_params)
    train_source, train_rows = _rows_of(train)
    if train_source is not source:
        raise ValueError(
            "train_split must return the training rows as a torch.utils.data.Subset of the data "
            f"set it is given, but returned a {type(train_source).__name__}."
        )
    if not len(train_rows):
        raise ValueError(
            f"train_split leaves none of the {len(labeled)} labeled rows for training. Validate on "
            "fewer of them."
        )
    if valid is None:
        if scorings:
            raise ValueError(
                f"The callback {scorings[0]!r} has no validation rows to score, as train_split "
                "returned none. Leave the callback out."
            )
        return Subset(source, np.sort(np.concatenate([train_rows, unlabeled]))), None
    train = Subset(source, np.sort(np.concatenate([train_rows, unlabeled])))
    return train, _labeled_part(valid, net.n_classes)


def _check_dataset(net):
    settings = net.get_params_for("dataset")
    if net.dataset is Dataset and not settings:
        return
    name = "dataset" if net.dataset is not Dataset else f"dataset__{min(settings)}"
    raise ValueError(
        f"{name} cannot be set on DHONet, which reads its rows through RowDataset. Transform X "
        "before fit, in a pipeline say, or give DHONet.fit a data set of your own as X."
    )


def _is_named(callbacks, name):
    return any(isinstance(item, list | tuple) and item[0] == name for item in callbacks)


def _check_scorings(net):
    """Return the names of the callbacks that score, and refuse those that cannot be right."""
    scorings = [(name, call) for name, call in net.callbacks_ if isinstance(call, ScoringBase)]
    for name, callback in scorings:
        if callback.on_train:
            raise ValueError(
                f"on_train=True of the callback {name!r} cannot be right: batches of training hold "
                "unlabeled rows too. Score validation rows, with train_split, or watch train_loss."
            )
        caching = callback.use_caching if net.use_caching == "auto" else net.use_caching
        if isinstance(callback, BatchScoring) and not caching:
            raise ValueError(
                f"use_caching=False does not work with BatchScoring, the callback {name!r}. Take "
                "EpochScoring, or leave use_caching as it is."
            )
    return [name for name, _ in scorings]


def _call_split(net, labeled, y, fit_params):
    try:
        return net.train_split(labeled, y, **fit_params)
    except ValueError as error:
        raise ValueError(
            f"train_split cannot split the {len(y)} labeled rows, of which alone it is given: "
            f"{error}"
        ) from error


def _rows_of(dataset):
    """Return the data set below all subsets, and the rows of it that are meant."""
    if not isinstance(dataset, Subset):
        return dataset, np.arange(len(dataset))
    source, rows = _rows_of(dataset.dataset)
    return source, rows[np.asarray(dataset.indices, dtype=np.int64)]


def _labeled_part(valid, n_classes):
    """Return the labeled rows of a validation set."""
    source, rows = _rows_of(valid)
    if not hasattr(source, "teacher_proba"):
        raise ValueError(
            f"train_split gave a {type(source).__name__} for validation, in which it is not clear "
            "what class a label means. Give skactivekd.student.RowDataset(X, y), where y holds "
            "places in the sorted classes, counted from 0."
        )
    y = source.y[rows]
    if not (y >= 0).any():
        raise ValueError("train_split gave a validation set without a labeled row.")
    if y.max() >= n_classes:
        raise ValueError(
            f"The validation set of train_split has the class {y.max()}, but there are {n_classes} "
            "classes, and y of a RowDataset holds their places, counted from 0."
        )
    return Subset(source, rows[y >= 0])
