"""How the network is trained, step by step, and what stops it."""

import numpy as np
import torch
from skorch.callbacks import EarlyStopping
from skorch.utils import is_dataset, to_tensor
from torch.utils.data import Subset

from .._devices_and_seeds import fewer_threads, is_small, own_settings
from .._interrupts import check_stop
from ._dataset import halves
from ._dho_loss import DHOLoss, weigh_terms
from ._image_files import as_floats
from ._not_finite import SpoiledWeights, check_network, check_outputs, check_step, explain_weights
from ._reading_workers import check_batch
from ._torch_module import running_statistics


class TrainingLoop:
    """The part of `DHONet` that trains."""

    _asked = None  # the rows whose teacher sees the views of training
    _terms = None  # of the loss of the last batch

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
            check_network(self)
        except SpoiledWeights as error:
            rows = self.get_dataset(X, y)
            took_part = np.concatenate(halves(rows)).astype(int)
            cause = explain_weights(self, Subset(rows, took_part))
            raise ValueError(f"{error}: {cause}") from None
        finally:
            self._asked = self._terms = None
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
        check_stop()
        check_batch(batch)  # where another loader than ours did not
        super().on_batch_begin(net, batch=batch, training=training, **kwargs)
        if training:
            self.rate_ = max(group["lr"] for group in self.optimizer_.param_groups)

    def on_batch_end(self, net, batch=None, training=False, **kwargs):
        """Note the terms of the loss, which tell the heads apart."""
        super().on_batch_end(net, batch=batch, training=training, **kwargs)
        terms, self._terms = self._terms, None
        for name, term in zip(("label", "distill"), terms or (), strict=False):
            if term is not None:
                kind = "train" if training else "valid"
                self.history_.record_batch(f"{kind}_{name}_loss", float(term))

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
        check_stop()
        check_batch(batch)
        outputs = super().evaluation_step(batch, training)
        check_outputs(outputs, batch)
        return outputs

    def infer(self, x, **fit_params):
        """Return (ce_logits, kd_logits) of a batch."""
        rows = as_floats(x["X"])
        if not (self.apart and self.module_.training):
            return self._infer(rows, **fit_params)
        n_labeled = int(x["labeled"].sum())  # which come first
        halves = [half for half in (rows[:n_labeled], rows[n_labeled:]) if len(half)]
        logits = [self._infer(half, **fit_params) for half in halves]
        return tuple(torch.cat(parts) for parts in zip(*logits, strict=True))

    def _infer(self, x, **fit_params):
        if len(x) > 1 or not self.module_.training:
            return super().infer(x, **fit_params)
        with running_statistics(self.module_):
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
        if type(self.criterion_) is not DHOLoss:  # what another one adds up is its own affair
            return self.criterion_(y_pred, y_true, teacher, **weights)
        terms = self.criterion_.terms(y_pred, y_true, teacher, **weights)
        self._terms = [None if term is None else term.detach() for term in terms]
        return weigh_terms(terms, self.criterion_.distill_weight)

    def _ask_teacher(self, pixels):
        """Return what the teacher says of the views in a batch."""
        images = (as_floats(pixels) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
        proba = np.asarray(self._asked.teacher(images.cpu().numpy()))
        if proba.shape != (len(images), self._asked.teacher_proba.shape[1]):
            raise ValueError(
                f"The teacher returned probabilities of shape {proba.shape} for {len(images)} "
                f"views of images, but {self._asked.teacher_proba.shape[1]} columns before."
            )
        return torch.from_numpy(self._asked._by_class(proba))
