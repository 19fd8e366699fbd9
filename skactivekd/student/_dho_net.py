"""The skorch net of the student: two heads, one loss, paired batches."""

import copy

import numpy as np
import torch
from skorch import NeuralNet
from skorch.utils import is_dataset

from .._devices_and_seeds import own_settings
from ._backbones import build_backbone, count_features, takes_channels_last
from ._dataset import RowDataset, halves, source_of
from ._dho_loss import DHOLoss
from ._heads import DualHead, ResidualHeads
from ._image_settings import ImageInput
from ._loaders import Loading
from ._network_outputs import Outputs
from ._schedule import WarmupDecay
from ._skorch_settings import check_settings, replaces_schedule, split_labeled
from ._torch_module import Student
from ._training_length import TrainingLength
from ._training_loop import TrainingLoop


class DHONet(ImageInput, TrainingLength, Loading, TrainingLoop, Outputs, NeuralNet):
    """The skorch net with the two heads of DHO on a backbone of your choice.

    Give it, unfitted, to `DHOClassifier`, which clones it, tells it the shape
    of the input and the number of classes, and trains it. Every other setting
    is skorch's: callbacks, optimizer, learning rate, epochs, batch sizes.

    .. versionadded:: 0.1

    Parameters
    ----------
    module : None, str, callable or torch.nn.Module, default=None
        The backbone, which turns a batch of X into features (n, d). None: a
        small perceptron for 2-D X, a small convolutional network for images,
        with arguments ``module__hidden`` (feature width) and
        ``module__dropout``. A string: a timm model, say ``"resnet18"``, with
        ``module__pretrained=True`` for its trained weights. A class: called
        with the ``module__*`` arguments. A module: copied for each fit.
    n_classes : int, default=None
        Number of classes; set by `DHOClassifier`.
    input_shape : tuple of int, default=None
        Shape of one row, (n_features,) or (C, H, W); set by `DHOClassifier`.
    heads : {"dual", "single", "residual"}, default="dual"
        "single" trains one head on both losses, "residual" one on the teacher
        alone, for a correction to follow; set by `DHOClassifier`.
    input_scaling : pair of array-like of shape (n_features,), default=None
        What to take off each column of 2-D X, and what to divide it by; set by
        `DHOClassifier` with "residual" heads and the perceptron.
    head_weights : array-like of shape (n_classes, d), default=None
        Initial weights of the heads, in the order of the sorted classes.
    kd_scale : float > 0, default=None
        Scale of a teacher's head that compares directions, as in `DualHead`.
    criterion : class, default=DHOLoss
        The loss; called with (ce_logits, kd_logits), y, teacher_proba.
    optimizer : class, default=torch.optim.AdamW
        Its arguments are ``optimizer__weight_decay`` and the like.
    lr : float, default=0.001
        Highest learning rate; see `WarmupDecay`, the callback ``schedule``.
        Another `WarmupDecay` or a skorch `LRScheduler` among the callbacks
        takes its place.
    max_epochs : int or "auto", default="auto"
        How many epochs to train, of the length that `epoch` says. "auto" is
        200 for two heads or one; with "residual" heads 20 passes over all rows,
        or 1000 steps where these are more.
    epoch : {"auto", "labeled", "all"}, default="auto"
        "labeled": an epoch is a pass over the labeled rows, or over the
        unlabeled ones where none is labeled, the rule of [2]_. "all": a pass
        over the larger half. "auto": "all" with "residual" heads, which learn
        from all rows alike, else "labeled".
    replacement : bool, default=False
        Draw the labeled half of a batch with replacement, as in [2]_, so that it
        has `batch_size` rows however few labels there are, and sees several
        views of one image. False: it runs through the labeled rows, and holds
        none twice. Not for "residual" heads, whose network learns from the
        teacher alone.
    apart : bool, default=False
        Run the labeled and the unlabeled half of a training batch through the
        network one after the other, as in [2]_ on its ten small sets, so that
        batch normalization takes the statistics of each. Not for "residual"
        heads.
    batch_size : int, default=64
        Rows of each half, labeled and unlabeled, of a training batch; with
        "residual" heads, which know one kind of rows, it has twice as many. At
        prediction batches have 256 rows at least, or what
        ``iterator_valid__batch_size`` says. Batch normalization takes its
        running statistics where a batch of training has one row.
    image_size : "auto", None, int or pair of int (height, width), default="auto"
        Size of images as the backbone takes them. "auto": of files what timm
        says of its model, 64 for the package's own network, or theirs where
        they are smaller; of arrays their own, unless the backbone takes one
        size only, as Vision Transformers do. None: that of the arrays. Other
        images are resized batch by batch.
    normalize : {"auto"} or bool, default="auto"
        Whether the network begins by bringing pixels in [0, 1] to the mean and
        standard deviation that timm names for its model. "auto": where the
        backbone is timm's, unless X holds floats far outside [0, 1], which
        somebody normalized before.
    augment : "auto", None or callable, default="auto"
        What training does to images: a transform of torchvision's (v2) or any
        callable, from a uint8 tensor (C, H, W) to such a tensor, or to floats in
        [0, 1] where it says so. "auto" takes a random crop of half the image or
        more and mirrors every other one, but only photos in files: not arrays,
        nor pictures up to 64 pixels, drawings, scans and gray ones. What was
        chosen stands in ``augment_``.
    on_error : {"raise", "skip"}, default="raise"
        What to do with files that are no pictures: name them all in one
        `ImageError`, or leave them out of training, give them uniform
        probabilities and zeros as features, and name them in one
        `SkippedRowsWarning`.
    train_split : None or callable, default=None
        The internal validation split of skorch, ``ValidSplit(5)`` say. It splits the
        labeled rows only; all unlabeled ones stay in training. A validation
        set of your own is a `RowDataset`. None trains on every label.
    verbose : int, default=0
        1 prints a line per epoch.
    **kwargs
        Further parameters of `skorch.NeuralNet`. Those that could have no
        effect here, say ``dataset`` or ``iterator_train__shuffle``, are refused.
        Files are read by other processes, as many as
        ``iterator_train__num_workers`` and ``iterator_valid__num_workers`` say;
        where these are not set, by one less than there are cores, at most 8, on
        Linux and for 256 files or more, else by none.

    Attributes
    ----------
    augment_ : object or None
        How training sees images, after ``fit``; None is as they are.

    Raises
    ------
    ValueError
        In ``fit``, if a setting is refused, or loss or weights are no longer
        finite; in prediction, if an output is not finite. The message names
        the row, if one is the cause.
    KeyboardInterrupt
        If training is interrupted. Unlike skorch, DHONet does not pass an
        unfinished network off as a fitted one. Of callbacks, `EarlyStopping`
        and its subclasses may end a fit.

    See Also
    --------
    AcceleratedDHONet : For several GPUs or mixed precision.

    References
    ----------
    .. [1] Kang et al., "Simple Semi-supervised Knowledge Distillation from
       Vision-Language Models via Dual-Head Optimization", arXiv:2505.07675.
    .. [2] "PCoreSet: Effective Active Learning through Knowledge Distillation
       from Vision-Language Models". 2025. arXiv:2506.00910.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd import DHOClassifier, DHONet
    >>> net = DHONet(max_epochs=100, module__hidden=32)
    >>> X = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    >>> clf = DHOClassifier(net, random_state=0).fit(X, [0, -1, 1, -1])
    >>> clf.predict(X)
    array([0, 0, 1, 1])
    """

    augment_ = None

    def __init__(
        self,
        module=None,
        *,
        n_classes=None,
        input_shape=None,
        heads="dual",
        input_scaling=None,
        head_weights=None,
        kd_scale=None,
        criterion=DHOLoss,
        optimizer=torch.optim.AdamW,
        lr=1e-3,
        max_epochs="auto",
        epoch="auto",
        replacement=False,
        apart=False,
        batch_size=64,
        image_size="auto",
        normalize="auto",
        augment="auto",
        on_error="raise",
        train_split=None,
        verbose=0,
        **kwargs,
    ):
        self.n_classes = n_classes
        self.input_shape = input_shape
        self.heads = heads
        self.input_scaling = input_scaling
        self.head_weights = head_weights
        self.kd_scale = kd_scale
        self.epoch = epoch
        self.replacement = replacement
        self.apart = apart
        self.image_size = image_size
        self.normalize = normalize
        self.augment = augment
        self.on_error = on_error
        super().__init__(
            module,
            criterion=criterion,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            train_split=train_split,
            verbose=verbose,
            **kwargs,
        )

    # Which process this is, and of how many.
    _share = (0, 1)

    @property
    def _default_callbacks(self):
        defaults = super()._default_callbacks
        if replaces_schedule(self.callbacks):
            return defaults
        return [*defaults, ("schedule", WarmupDecay())]

    def __deepcopy__(self, memo):
        """Copy the net; skorch's own way pickles it, which classes in functions do not survive."""
        if hasattr(self, "accelerator"):
            memo[id(self.accelerator)] = self.accelerator
        if getattr(self, "history_", None):
            memo[id(self.history_)] = _copy_history(self.history_)
        twin = memo[id(self)] = type(self).__new__(type(self))
        twin.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return twin

    def get_params(self, deep=True, **kwargs):
        """Return the parameters.

        Parameters
        ----------
        deep : bool, default=True
            Those of estimators among them as well.
        **kwargs
            As in skorch.

        Returns
        -------
        params : dict
        """
        if not hasattr(self.augment, "get_params"):
            return super().get_params(deep, **kwargs)
        params = super(DHONet, self._without_augment()).get_params(deep, **kwargs)
        return {**params, "augment": self.augment}

    def __sklearn_clone__(self):
        """Clone the net; transforms of torchvision with a get_params are no estimators."""
        if not hasattr(self.augment, "get_params"):
            return super().__sklearn_clone__()
        twin = super(DHONet, self._without_augment()).__sklearn_clone__()
        vars(twin)["augment"] = copy.deepcopy(self.augment)
        return twin

    def _without_augment(self):
        plain = copy.copy(self)
        vars(plain)["augment"] = None
        return plain

    def __sklearn_tags__(self):
        """Say that this is a classifier, so that scorings may ask for probabilities."""
        tags = super().__sklearn_tags__()
        tags.estimator_type = "classifier"
        return tags

    @property
    def classes_(self):
        """Class indices, the labels in which the net itself thinks."""
        return np.arange(self.n_classes)

    def check_training_readiness(self):
        """Refuse settings that could have no effect before anything is built."""
        super().check_training_readiness()
        check_settings(self)

    def initialize_module(self):
        """Build the backbone and the heads on it."""
        if self.n_classes is None or self.input_shape is None:
            raise ValueError(
                "DHONet does not know its n_classes and input_shape. Give it to DHOClassifier, "
                "which finds them in the data, or pass both."
            )
        if hasattr(self, "accelerator") and self.accelerator.num_processes != self._share[1]:
            raise ValueError(
                "On several processes train AcceleratedDHONet: AccelerateMixin alone would tear "
                "the paired batches apart."
            )
        if self.heads not in ("dual", "single", "residual"):
            raise ValueError(f"heads must be 'dual', 'single' or 'residual', got {self.heads!r}.")
        backbone = build_backbone(self.module, self.input_shape, **self.get_params_for("module"))
        n_features = count_features(backbone, self.input_shape)
        if self.heads == "residual":
            # Inputs that were scaled are numbers; those of a backbone of the user's may be codes.
            n_inputs = 0 if self.input_scaling is None else self.input_shape[0]
            heads = ResidualHeads(
                n_features, self.n_classes, n_inputs, self.head_weights, self.kd_scale
            )
        else:
            shared = self.heads == "single"
            heads = DualHead(n_features, self.n_classes, shared, self.head_weights, self.kd_scale)
        channels_last = takes_channels_last(backbone, self.input_shape)
        self.module_ = Student(backbone, heads, self._make_scaler(), channels_last)
        return self

    def initialize_history(self):
        """Forget an earlier fit."""
        super().initialize_history()
        self.trained_heads_ = ()

    @own_settings()
    def initialize(self):
        """Build module, criterion, optimizer and callbacks, with none of the caller's settings."""
        return super().initialize()

    def get_dataset(self, X, y=None):
        """Wrap arrays for look-ups by batch; a dataset stays as it is."""
        return X if is_dataset(X) else RowDataset(self._show(X), y)

    def get_split_datasets(self, X, y=None, **fit_params):
        """Return training and validation rows; only labeled ones are for validation."""
        train, valid = split_labeled(self, self.get_dataset(X, y), **fit_params)
        self._note_heads(*map(len, halves(train)), source_of(train).teacher_proba is not None)
        return train, valid

    def _note_heads(self, n_labeled, n_unlabeled, has_teacher):
        """Remember which heads have been trained."""
        weight = getattr(self.criterion_, "distill_weight", 0.5) if has_teacher else 0
        used = {"ce": n_labeled and weight < 1, "kd": has_teacher and weight > 0}
        self.trained_heads_ = tuple(
            head for head, now in used.items() if now or head in self.trained_heads_
        )


def _copy_history(history):
    """Copy what skorch recorded: thousands of dicts of numbers, for which deepcopy is slow."""

    def copied(values):
        return {
            name: value if isinstance(value, _NUMBERS) else copy.deepcopy(value)
            for name, value in values.items()
        }

    epochs = []
    for epoch in history:
        values = copied({name: value for name, value in epoch.items() if name != "batches"})
        if "batches" in epoch:
            values = {"batches": [copied(batch) for batch in epoch["batches"]], **values}
        epochs.append(values)
    return type(history)(epochs)


_NUMBERS = int | float | str | None
