"""The skorch net of the student: two heads, one loss, paired batches."""

import copy
import numbers
import warnings
from contextlib import contextmanager

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import EarlyStopping
from skorch.dataset import unpack_data
from skorch.utils import is_dataset, to_tensor
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import BatchSampler, SequentialSampler, Subset

from .._torch import fewer_threads, is_small, own_settings
from ._backbones import build_backbone, count_features, find_pixel_config
from ._batches import PairedBatchSampler, RowDataset, steps_per_epoch
from ._finite import SpoiledWeights, check_outputs, check_step, check_weights, explain_weights
from ._heads import DualHead, ResidualHeads, mix_heads
from ._inputs import InputScaler, PixelScaler
from ._loss import DHOLoss
from ._pictures import (
    Augmented,
    Pictures,
    Seeded,
    as_floats,
    check_batch,
    holds_pictures,
    make_loader,
    worker_settings,
)
from ._schedule import WarmupDecay
from ._skorch_settings import (
    check_pictures,
    check_settings,
    loader_settings,
    replaces_schedule,
    split_labeled,
)
from ._views import CropAndFlip, OwnView, PlainView, are_photos, sample_rows

# A small network has learned what it can of its teacher after as many steps, at the default
# learning rate; a large pool is passed over as often as the published protocol does ImageNet.
_STEPS, _PASSES = 1000, 20
_EPOCHS = 200
_SIZE = 64  # pixels of a side, which the package's network learns on a laptop


class DHONet(NeuralNet):
    """skorch net with the two heads of DHO on a backbone of your choice.

    Give it, unfitted, to `DHOClassifier`, which clones it, tells it the shape
    of the input and the number of classes, and trains it. Every other setting
    is skorch's: callbacks, optimizer, learning rate, epochs, batch sizes.

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
        nor pictures up to 64 pixels, drawings, scans and grey ones. What was
        chosen stands in ``augment_``.
    on_error : {"raise", "skip"}, default="raise"
        What to do with files that are no pictures: name them all in one
        `ImageError`, or leave them out of training, give them uniform
        probabilities and zeros as features, and name them in one
        `SkippedRowsWarning`.
    train_split : None or callable, default=None
        skorch's internal validation split, ``ValidSplit(5)`` say. It splits the
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

    _asked = None  # the rows whose teacher sees the views of training

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
        self.module_ = Student(backbone, heads, self._make_scaler())
        return self

    def _make_scaler(self):
        """Return what stands before the backbone, None if nothing does."""
        if len(self.input_shape) != 3 and self.image_size not in ("auto", None):
            raise ValueError(
                f"image_size={self.image_size!r} is for images, but X has rows of shape "
                f"{tuple(self.input_shape)}."
            )
        if self.input_scaling is not None:
            return InputScaler(*self.input_scaling)
        if len(self.input_shape) != 3:
            return None
        config = self.pixel_config()
        fixed = (config is not None and config.fixed) or self.image_size not in ("auto", None)
        size = tuple(self.input_shape[1:]) if fixed else None
        if config is not None and self.normalize:
            return PixelScaler(*config.for_channels(self.input_shape[0]), size)
        return None if size is None else PixelScaler(size=size)

    def pixel_config(self):
        """Return how the backbone wants its images, None if that is not known."""
        return find_pixel_config(self.module, **self.get_params_for("module"))

    def find_input_shape(self, X):
        """Return the shape of images as the backbone is to take them.

        Parameters
        ----------
        X : Pictures, or tuple of int
            Files and the like, or the shape (C, H, W) of images in an array.

        Returns
        -------
        input_shape : tuple of int
            (C, H, W).

        Raises
        ------
        ValueError
            If there is no way to tell.
        """
        check_pictures(self)
        files = isinstance(X, Pictures)
        if self.image_size not in ("auto", None):
            size = self.image_size
            size = (size, size) if isinstance(size, numbers.Integral) else tuple(size)
            return (3 if files else X[0], *size)
        config = None if self.image_size is None and not files else self.pixel_config()
        if not files:
            return (X[0], *config.size) if config is not None and config.fixed else X
        if config is not None:
            return (3, *config.size)
        if self.module is None:
            sizes = [X.size(row) for row in sample_rows(len(X))]
            shorter = [min(size) for size in sizes if size is not None]
            return (3, *[min(_SIZE, max(shorter, default=_SIZE))] * 2)
        size = getattr(self.module, "image_size", None)
        if size is None:
            raise ValueError(
                "Pictures in files have many sizes, and this backbone does not say which it takes. "
                "Set image_size of DHONet, to 224 say."
            )
        return (3, size, size) if isinstance(size, numbers.Integral) else (3, *size)

    def show(self, X):
        """Return rows that the net can read: pictures get the size that the backbone takes."""
        if not isinstance(X, Pictures):
            if isinstance(X, np.ndarray) or not holds_pictures(X):
                return X
            X = Pictures(X, self.on_error)
        return X.shown(self._plain_view())

    def _plain_view(self):
        size, config = tuple(self.input_shape[1:]), self.pixel_config()
        if config is None:
            return PlainView(size)
        return PlainView(
            size, config.interpolation, config.crop_pct, config.crop_mode, tuple(config.mean)
        )

    def _choose_augmentation(self, X):
        """Return how training sees images, None if as they are."""
        if isinstance(X, Pictures):
            plain = X.view or self._plain_view()
            if callable(self.augment):
                return OwnView(self.augment, plain)
            if self.augment is None or max(plain.size) <= _SIZE:
                return None
            rows = sample_rows(len(X))
            seen = [image for image in map(X.try_open, rows) if image is not None]
            return CropAndFlip(plain.size, plain.interpolation) if are_photos(seen) else None
        if not callable(self.augment):
            return None
        if len(X.shape) not in (3, 4):
            raise ValueError(
                f"augment={self.augment!r} is for images, but X has rows of shape {X.shape[1:]}."
            )
        return OwnView(self.augment)

    def initialize_history(self):
        """Forget an earlier fit."""
        super().initialize_history()
        self.trained_heads_ = ()

    @own_settings()
    def initialize(self):
        """Build module, criterion, optimizer and callbacks, with none of the caller's settings."""
        return super().initialize()

    @own_settings()
    def partial_fit(self, X, y=None, classes=None, **fit_params):
        """Train on, or start if there was no ``fit``.

        Parameters
        ----------
        X : array, CSR matrix or RowDataset
            Rows.
        y : integer array of shape (n,), default=None
            Class indices, negative where unlabeled; None if X has them.
        classes : object, default=None
            Not used, as in skorch.
        **fit_params
            Passed on to `fit_loop`.

        Returns
        -------
        self : DHONet

        Raises
        ------
        KeyboardInterrupt
            If training is interrupted; skorch's own method would return.
        """
        if not self.initialized_:
            self.initialize()
        if y is None and is_dataset(X):
            y = getattr(X, "y", None)  # which scorings without a cache ask for
        self.notify("on_train_begin", X=X, y=y)
        self.fit_loop(X, y, **fit_params)
        self.notify("on_train_end", X=X, y=y)
        return self

    def fit_loop(self, X, y=None, epochs=None, **kwargs):
        """Train; a small network does so on one thread."""
        epochs = self.count_epochs(self.get_dataset(X, y)) if epochs is None else epochs
        try:
            with fewer_threads(is_small(self.module_, self.input_shape)):
                self._loop(X, y, epochs, **kwargs)
            check_weights(self)
        except SpoiledWeights as error:
            rows = self.get_dataset(X, y)
            took_part = np.concatenate(_halves(rows)).astype(int)
            cause = explain_weights(self, Subset(rows, took_part))
            raise ValueError(f"{error}: {cause}") from None
        finally:
            self._asked = None
        return self

    def _loop(self, X, y, epochs, **kwargs):
        try:
            super().fit_loop(X, y, epochs, **kwargs)
        except KeyboardInterrupt:
            # skorch's EarlyStopping ends a fit by the exception that Ctrl-C raises.
            stopping = [call for _, call in self.callbacks_ if isinstance(call, EarlyStopping)]
            if not any(call.misses_ == call.patience for call in stopping):
                raise

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        """Note the learning rate of the step, which callbacks change after it."""
        check_batch(batch)  # where another loader than ours did not
        super().on_batch_begin(net, batch=batch, training=training, **kwargs)
        if training:
            self.rate_ = max(group["lr"] for group in self.optimizer_.param_groups)

    def train_step_single(self, batch, **fit_params):
        """Compute loss and gradients, and stop where the loss is not finite."""
        step = super().train_step_single(batch, **fit_params)
        check_step(self, step, batch)
        return step

    def validation_step(self, batch, **fit_params):
        """Compute the loss, and stop where it is not finite."""
        step = super().validation_step(batch, **fit_params)
        check_step(self, step, batch)
        return step

    def evaluation_step(self, batch, training=False):
        """Compute the outputs, and stop where one is not finite."""
        check_batch(batch)
        outputs = super().evaluation_step(batch, training)
        check_outputs(outputs, batch)
        return outputs

    def get_dataset(self, X, y=None):
        """Wrap arrays for look-ups by batch; a dataset stays as it is."""
        return X if is_dataset(X) else RowDataset(self.show(X), y)

    def get_split_datasets(self, X, y=None, **fit_params):
        """Return training and validation rows; only labeled ones are for validation."""
        train, valid = split_labeled(self, self.get_dataset(X, y), **fit_params)
        self._note_heads(*map(len, _halves(train)), _source(train).teacher_proba is not None)
        return train, valid

    def _note_heads(self, n_labeled, n_unlabeled, has_teacher):
        """Remember which heads have been trained."""
        weight = getattr(self.criterion_, "distill_weight", 0.5) if has_teacher else 0
        used = {"ce": n_labeled and weight < 1, "kd": has_teacher and weight > 0}
        self.trained_heads_ = tuple(
            head for head, now in used.items() if now or head in self.trained_heads_
        )

    def get_iterator(self, dataset, training=False):
        """Return the loader of paired batches, or of plain ones in order."""
        prefix = "iterator_train" if training else "iterator_valid"
        kwargs = loader_settings(self, prefix)
        own_size = kwargs.pop("batch_size", None)
        X = getattr(_source(dataset), "X", None)  # a data set of the user's has none
        pictures = X if isinstance(X, Pictures) else None
        if pictures is not None:
            kwargs = {**self._reading(pictures, len(dataset), training, kwargs), **kwargs}
        if training:
            # The one random source of a fit is torch's generator, which the caller seeds.
            generator = torch.Generator().manual_seed(int(torch.randint(2**31, (1,))))
            sampler = PairedBatchSampler(
                *_halves(dataset),
                self._half_batch(dataset),
                generator,
                self._share,
                self._epoch_rule(),
                even=pictures is not None,
            )
            self.augment_ = self._choose_augmentation(X)
            asked = getattr(_source(dataset), "teacher", None)
            self._asked = None if asked is None or self.augment_ is None else _source(dataset)
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
            least = 1 if pictures is not None else 256
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
            passes = _PASSES if self.max_epochs == "auto" else self.max_epochs
        n_workers = pictures.count_workers(passes * n_rows)
        if not n_workers:
            return {}
        return {"num_workers": n_workers, **worker_settings(n_workers, training)}

    def _half_batch(self, dataset):
        """Return the rows of each half in a training batch."""
        batch_size = self.get_params_for("iterator_train").get("batch_size", self.batch_size)
        if batch_size == -1:
            return len(dataset)
        return 2 * batch_size if self.heads == "residual" else batch_size

    def _epoch_rule(self):
        if self.epoch != "auto":
            return self.epoch
        return "all" if self.heads == "residual" else "labeled"

    def count_steps(self, dataset):
        """Count the training steps of one epoch on a dataset."""
        halves = map(len, _halves(dataset))
        return steps_per_epoch(*halves, self._half_batch(dataset), self._epoch_rule())

    def count_epochs(self, dataset):
        """Count the epochs of a fit on a dataset."""
        if self.max_epochs != "auto":
            return self.max_epochs
        if self.heads != "residual":
            return _EPOCHS
        return max(_PASSES, -(-_STEPS // max(self.count_steps(dataset), 1)))

    def infer(self, x, **fit_params):
        """Return (ce_logits, kd_logits) of a batch."""
        x = as_floats(x["X"])
        if len(x) > 1 or not self.module_.training:
            return super().infer(x, **fit_params)
        with _running_statistics(self.module_):
            return super().infer(x, **fit_params)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Return the criterion's value, with the batch's teacher in it."""
        y_true = to_tensor(y_true, device=self.device)
        teacher = (
            to_tensor(X.get("teacher_proba"), device=self.device) if "teacher_proba" in X else None
        )
        if training and self._asked is not None:
            teacher = to_tensor(self._ask_teacher(X["X"]), device=self.device)
        weights = {
            name: to_tensor(X[name], device=self.device)
            for name in ("sample_weight", "teacher_weight")
            if name in X
        }
        return self.criterion_(y_pred, y_true, teacher, **weights)

    def _ask_teacher(self, pixels):
        """Return what the teacher says of the views in a batch."""
        images = (as_floats(pixels) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
        proba = np.asarray(self._asked.teacher(images.cpu().numpy()))
        if proba.shape != (len(images), self._asked.teacher_proba.shape[1]):
            raise ValueError(
                f"The teacher returned probabilities of shape {proba.shape} for {len(images)} "
                f"views of images, but {self._asked.teacher_proba.shape[1]} columns before."
            )
        return torch.from_numpy(self._asked.by_class(proba))

    @own_settings()
    def forward(self, X, training=False, device="cpu"):
        """Return the logits of both heads, as skorch's `forward` does."""
        return super().forward(X, training, device)

    @own_settings()
    def predict_proba(self, X):
        """Return the even mixture of the heads that were trained, an array (n, n_classes)."""
        alpha = {("ce",): 1, ("kd",): 0}.get(self.trained_heads_, 0.5)
        # skorch's scoring callbacks put what they have kept in place of `forward_iter`.
        return torch.cat([mix_heads(*logits, alpha) for logits in self.forward_iter(X)]).numpy()

    def predict(self, X):
        """Return the likeliest class index of each row."""
        return self.predict_proba(X).argmax(axis=1)

    def embed(self, X):
        """Return the backbone's features.

        Parameters
        ----------
        X : array or dataset
            As for `predict_proba`.

        Returns
        -------
        features : ndarray of float32 of shape (n, d)
        """
        (features,) = self._outputs(X, lambda rows: self.module_.features(rows)[1:])
        return features.numpy()

    def forward_embed(self, X):
        """Return the logits of both heads and the backbone's features, from one pass.

        Parameters
        ----------
        X : array or dataset
            As for `predict_proba`.

        Returns
        -------
        ce_logits, kd_logits : tensor of shape (n, n_classes)
            Those of `forward`, to the bit.
        features : tensor of float32 of shape (n, d)
            Those of `embed`, to the bit.
        """
        self.check_is_fitted()
        if getattr(self.module_.forward, "__func__", None) is not Student.forward:
            # Compiled, or wrapped for mixed precision: forward rounds otherwise than embed.
            return *self.forward(X), torch.from_numpy(self.embed(X))
        return self._outputs(X, self.module_.logits_and_features)

    @own_settings()
    def _outputs(self, X, function):
        """Return what a function of the input gives for all rows, on the CPU."""
        self.check_is_fitted()
        self._set_training(False)
        dataset, outputs, start = self.get_dataset(X), None, 0
        with torch.no_grad():
            for batch in self.get_iterator(dataset):
                output = function(self.inputs_of(batch))
                check_outputs(output, batch)
                if outputs is None:
                    outputs = tuple(room(part, len(dataset)) for part in output)
                for whole, part in zip(outputs, output, strict=True):
                    whole[start : start + len(part)] = part
                start += len(output[0])
        return outputs

    def inputs_of(self, batch):
        """Return what the network takes of a batch, on its device."""
        check_batch(batch)
        rows, _ = unpack_data(batch)
        return as_floats(to_tensor(rows["X"], device=self.device))


class Student(nn.Module):
    """Scaling, backbone and heads, as one module: X -> (ce_logits, kd_logits)."""

    def __init__(self, backbone, heads, scaler=None):
        super().__init__()
        self.backbone = backbone
        self.heads = heads
        self.scaler = scaler

    def forward(self, X):
        """Return the logits of both heads, each of shape (n, n_classes)."""
        return self.logits_and_features(X)[:2]

    def features(self, X):
        """Return the backbone's input and its features."""
        inputs = X if self.scaler is None else self.scaler(X)
        return inputs, self.backbone(inputs)

    def logits_and_features(self, X):
        """Return the logits of both heads, and the features below them."""
        inputs, features = self.features(X)
        if isinstance(self.heads, ResidualHeads):
            return *self.heads(features, inputs), features
        return *self.heads(features), features


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


def fill(parts, n):
    """Write blocks of rows into one tensor of n rows: no block waits for the last."""
    whole, start = None, 0
    for part in parts:
        whole = room(part, n) if whole is None else whole
        whole[start : start + len(part)] = part
        start += len(part)
    return whole


def room(part, n):
    """Return an empty tensor on the CPU for n rows of the form of a block's."""
    return torch.empty((n, *part.shape[1:]), dtype=part.dtype, device="cpu")


def _halves(dataset):
    """Return the labelled and the unlabelled rows of a training set.

    Rows without a label teach only through the teacher.
    """
    rows = _source(dataset)
    y = rows.y[dataset.indices] if isinstance(dataset, Subset) else rows.y
    unlabeled = [] if rows.teacher_proba is None else np.flatnonzero(y < 0)
    return np.flatnonzero(y >= 0), unlabeled


def _source(dataset):
    return dataset.dataset if isinstance(dataset, Subset) else dataset


@contextmanager
def _running_statistics(module):
    """Let batch normalization take its running statistics where a channel has one value.

    Of one value there is no variance, and torch raises.
    """

    def prepare(layer, inputs):
        layer.train(inputs[0].numel() > inputs[0].shape[1])

    layers = [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]
    modes = [layer.training for layer in layers]
    hooks = [layer.register_forward_pre_hook(prepare) for layer in layers if layer.training]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for layer, mode in zip(layers, modes, strict=True):
            layer.train(mode)


def _as_is(batch):
    return batch
