"""The skorch net of the student: two heads, one loss, paired batches."""

import numpy as np
import torch
from skorch import NeuralNet
from skorch.dataset import unpack_data
from skorch.utils import is_dataset, to_device, to_tensor
from torch import nn
from torch.utils.data import BatchSampler, SequentialSampler, Subset

from .._torch import fewer_threads
from ._backbones import build_backbone, count_features
from ._batches import PairedBatchSampler, RowDataset, steps_per_epoch
from ._heads import DualHead, mix_heads
from ._loss import DHOLoss
from ._schedule import WarmupDecay


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
    heads : {"dual", "single"}, default="dual"
        "single" trains one head on both losses; set by `DHOClassifier`.
    head_weights : array-like of shape (n_classes, d), default=None
        Initial weights of the heads, in the order of the sorted classes.
    kd_scale : float > 0, default=None
        Scale of a teacher's head that compares directions, as in `DualHead`.
    criterion : class, default=DHOLoss
        The loss; called with (ce_logits, kd_logits), y, teacher_proba.
    optimizer : class, default=torch.optim.AdamW
    lr : float, default=0.001
        Highest learning rate; see `WarmupDecay`, the callback ``schedule``.
    max_epochs : int, default=200
        Passes over the labelled rows, or over the unlabelled ones where none
        is labelled.
    batch_size : int, default=64
        Rows of each half, labelled and unlabelled, of a training batch. At
        prediction batches have 256 rows at least, or what
        ``iterator_valid__batch_size`` says.
    train_split : None or callable, default=None
        skorch's internal validation split. None trains on every label.
    verbose : int, default=0
        1 prints a line per epoch.
    **kwargs
        Further parameters of `skorch.NeuralNet`.

    See Also
    --------
    AcceleratedDHONet : For several GPUs or mixed precision.

    References
    ----------
    .. [1] Kang et al., "Simple Semi-supervised Knowledge Distillation from
       Vision-Language Models via Dual-Head Optimization", arXiv:2505.07675.

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

    def __init__(
        self,
        module=None,
        *,
        n_classes=None,
        input_shape=None,
        heads="dual",
        head_weights=None,
        kd_scale=None,
        criterion=DHOLoss,
        optimizer=torch.optim.AdamW,
        lr=1e-3,
        max_epochs=200,
        batch_size=64,
        train_split=None,
        verbose=0,
        **kwargs,
    ):
        self.n_classes = n_classes
        self.input_shape = input_shape
        self.heads = heads
        self.head_weights = head_weights
        self.kd_scale = kd_scale
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
        return [*super()._default_callbacks, ("schedule", WarmupDecay())]

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
        if self.heads not in ("dual", "single"):
            raise ValueError(f"heads must be 'dual' or 'single', got {self.heads!r}.")
        backbone = build_backbone(self.module, self.input_shape, **self.get_params_for("module"))
        n_features = count_features(backbone, self.input_shape)
        shared = self.heads == "single"
        heads = DualHead(n_features, self.n_classes, shared, self.head_weights, self.kd_scale)
        self.module_ = Student(backbone, heads)
        return self

    def partial_fit(self, X, y=None, classes=None, **fit_params):
        """Train on; unlike skorch's, an interrupt reaches the caller.

        A net that was stopped half-way must not pass for one that is trained.
        """
        if not self.initialized_:
            self.initialize()
        routing = fit_params.pop("_routing_method", "partial_fit")
        self.notify("on_train_begin", X=X, y=y)
        self.fit_loop(X, y, _routing_method=routing, **fit_params)
        self.notify("on_train_end", X=X, y=y)
        return self

    def fit_loop(self, X, y=None, epochs=None, **kwargs):
        """Train; a small network does so on one thread."""
        with fewer_threads(self.module_, self.input_shape):
            return super().fit_loop(X, y, epochs, **kwargs)

    def get_dataset(self, X, y=None):
        """Wrap arrays for look-ups by batch; a dataset stays as it is."""
        return X if is_dataset(X) else RowDataset(X, y)

    def get_iterator(self, dataset, training=False):
        """Return the loader of paired batches, or of plain ones in order."""
        prefix = "iterator_train" if training else "iterator_valid"
        kwargs = self.get_params_for(prefix)
        default = (
            self.batch_size if training or self.batch_size == -1 else max(self.batch_size, 256)
        )
        batch_size = kwargs.pop("batch_size", default)
        batch_size = len(dataset) if batch_size == -1 else batch_size
        if training:
            # The one random source of a fit is torch's generator, which the caller seeds.
            generator = torch.Generator().manual_seed(int(torch.randint(2**31, (1,))))
            sampler = PairedBatchSampler(*_halves(dataset), batch_size, generator, self._share)
        else:
            # A loader without its own generator would move torch's global one.
            generator = torch.Generator()
            sampler = BatchSampler(SequentialSampler(dataset), batch_size, drop_last=False)
        kwargs = {"collate_fn": _as_is, "generator": generator, **kwargs}
        return getattr(self, prefix)(dataset, batch_sampler=sampler, **kwargs)

    def count_steps(self, dataset):
        """Count the training steps of one epoch on a dataset."""
        batch_size = self.get_params_for("iterator_train").get("batch_size", self.batch_size)
        batch_size = len(dataset) if batch_size == -1 else batch_size
        return steps_per_epoch(*map(len, _halves(dataset)), batch_size)

    def infer(self, x, **fit_params):
        """Return (ce_logits, kd_logits) of a batch."""
        return super().infer(x["X"], **fit_params)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Return the criterion's value, with the batch's teacher in it."""
        y_true = to_tensor(y_true, device=self.device)
        teacher = (
            to_tensor(X.get("teacher_proba"), device=self.device) if "teacher_proba" in X else None
        )
        return self.criterion_(y_pred, y_true, teacher)

    def predict_proba(self, X):
        """Return the even mixture of both heads, an array (n, n_classes)."""
        return mix_heads(*self.forward(X)).numpy()

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
        self.check_is_fitted()
        self._set_training(False)
        features = []
        with torch.no_grad():
            for batch in self.get_iterator(self.get_dataset(X)):
                rows, _ = unpack_data(batch)
                rows = to_tensor(rows["X"], device=self.device)
                features.append(to_device(self.module_.backbone(rows), device="cpu"))
        return torch.cat(features).numpy()

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
        self._set_training(False)
        outputs = []
        with torch.no_grad():
            for batch in self.get_iterator(self.get_dataset(X)):
                rows, _ = unpack_data(batch)
                features = self.module_.backbone(to_tensor(rows["X"], device=self.device))
                heads = self.module_.heads(features)
                outputs.append(to_device((*heads, features), device="cpu"))
        return tuple(map(torch.cat, zip(*outputs, strict=True)))


class Student(nn.Module):
    """Backbone and heads, as one module: X -> (ce_logits, kd_logits)."""

    def __init__(self, backbone, heads):
        super().__init__()
        self.backbone = backbone
        self.heads = heads

    def forward(self, X):
        """Return the logits of both heads, each of shape (n, n_classes)."""
        return self.heads(self.backbone(X))


def _halves(dataset):
    """Return the labelled and the unlabelled rows of a training set.

    Rows without a label teach only through the teacher.
    """
    rows = dataset.dataset if isinstance(dataset, Subset) else dataset
    y = rows.y[dataset.indices] if isinstance(dataset, Subset) else rows.y
    unlabeled = [] if rows.teacher_proba is None else np.flatnonzero(y < 0)
    return np.flatnonzero(y >= 0), unlabeled


def _as_is(batch):
    return batch
