"""The student's net on several GPUs."""

from skorch.hf import AccelerateMixin
from torch import nn

from ._dho_net import DHONet
from ._not_finite import check_step


class AcceleratedDHONet(AccelerateMixin, DHONet):
    """`DHONet` on the devices that Hugging Face accelerate manages.

    On one device it trains as `DHONet` does, in mixed precision if the
    accelerator says so. Under ``accelerate launch`` or ``torchrun`` every
    process runs the same script on the same data and takes its share of each
    batch, of the labeled and of the unlabeled half alike; a half that does
    not divide, having fewer rows than `batch_size`, is taken whole by all.
    So a step is that of one process, whatever their number, and a network
    without dropout and batch normalization comes out the same but for
    rounding. Weights, history and predictions agree in all processes.

    .. versionadded:: 0.1

    Parameters
    ----------
    module : None, str, callable or torch.nn.Module, default=None
        The backbone, as for `DHONet`.
    accelerator : accelerate.Accelerator
        Says how many processes there are, on which devices, how precisely.
    batch_size : int, default=64
        Rows of each half of a training batch over all processes, a multiple
        of their number.
    device : None, default=None
        Left to the accelerator; give `DHOClassifier` ``device=None`` as well.
    unwrap_after_train : bool, default=True
        Take off after training what the accelerator put around the network.
        `embed` needs it on more than one process.
    **kwargs
        Further parameters of `DHONet`.

    Raises
    ------
    ValueError
        In ``fit``, if `batch_size` is no multiple of the number of processes,
        or the classifier was not given ``device=None``, or rows are weighted
        on several processes, whose shares would differ in weight.

    See Also
    --------
    skorch.hf.AccelerateMixin : What it is made of.

    Notes
    -----
    Batch normalization has the statistics of each share, and the running ones
    of the first process; dropout draws the same mask in all processes.
    Prediction takes place in each process for itself, of all rows.
    With a seed of None the processes take that of the first for training.
    Needs the package accelerate. A process that was not launched so, a worker of
    ``GridSearchCV(n_jobs=2)`` say, trains on one device by itself.

    Examples
    --------
    >>> import numpy as np
    >>> from accelerate import Accelerator
    >>> from skactivekd import DHOClassifier
    >>> from skactivekd.student import AcceleratedDHONet
    >>> net = AcceleratedDHONet(accelerator=Accelerator(cpu=True), max_epochs=100)
    >>> X = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    >>> clf = DHOClassifier(net, device=None, random_state=0).fit(X, [0, -1, 1, -1])
    >>> clf.predict(X)
    array([0, 0, 1, 1])
    """

    def __init__(self, module=None, *, accelerator, **kwargs):
        super().__init__(module, accelerator=accelerator, **kwargs)

    @property
    def _share(self):
        return self.accelerator.process_index, self.accelerator.num_processes

    def partial_fit(self, X, y=None, classes=None, **fit_params):
        """Train on; what ends in an error leaves nothing with the accelerator.

        Parameters
        ----------
        X, y, classes, **fit_params
            As for `DHONet.partial_fit`.

        Returns
        -------
        self : AcceleratedDHONet
        """
        try:
            return super().partial_fit(X, y, classes, **fit_params)
        except BaseException:
            # Else a later fit would take its new network for one that is wrapped.
            self._unwrap_accelerator()
            self._let_go()
            raise

    def on_train_begin(self, net, **kwargs):
        """Wrap what an earlier fit left unwrapped, and seed all processes alike."""
        from accelerate.utils import synchronize_rng_states

        self._initialize_accelerator()
        synchronize_rng_states(["torch"])
        super().on_train_begin(net, **kwargs)

    def on_train_end(self, net, **kwargs):
        """Give all processes the same statistics of batch normalization."""
        from accelerate.utils import broadcast

        for buffer in self.module_.buffers():
            buffer.copy_(broadcast(buffer))
        super().on_train_end(net, **kwargs)
        if self.unwrap_after_train:
            self._let_go()

    def _let_go(self):
        # Else the net could not be pickled, and the accelerator would keep all networks.
        self.optimizer_ = getattr(self.optimizer_, "optimizer", self.optimizer_)
        self.accelerator.free_memory()

    def get_iterator(self, dataset, training=False):
        """Return the loader of this process's shares, or of all rows in order."""
        from accelerate.data_loader import prepare_data_loader

        self._ensure_state()
        # The shares are taken: accelerate would deal out whole batches in turn.
        loader = super(AccelerateMixin, self).get_iterator(dataset, training)
        device = next(self.module_.parameters()).device
        return prepare_data_loader(
            loader, device, num_processes=1, process_index=0, put_on_device=True
        )

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Run an epoch with the loss of all processes, so that callbacks decide alike."""

        def step(batch, **params):
            result = step_fn(batch, **params)
            return {**result, "loss": self.accelerator.reduce(result["loss"].detach(), "mean")}

        try:
            return super().run_single_epoch(iterator, training, prefix, step, **fit_params)
        finally:
            if iterator is not None:
                iterator.end()  # else accelerate would keep the loader of a fit that failed

    def evaluation_step(self, batch, training=False):
        """Predict a batch that every process has."""
        return super(AccelerateMixin, self).evaluation_step(batch, training)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Return the loss, in which every head has a part."""
        if training and self._share[1] > 1 and {"sample_weight", "teacher_weight"} & set(X):
            raise ValueError(
                "Rows with weights cannot be trained on several processes, whose shares of a batch "
                "would differ in weight. Train on one process, or without weights."
            )
        loss = super().get_loss(y_pred, y_true, X=X, training=training)
        # DistributedDataParallel waits for the gradients of all weights.
        return loss + 0 * sum(logits.sum() for logits in y_pred)

    def train_step_single(self, batch, **fit_params):
        """Compute loss and gradients, and stop where the loss is not finite."""
        # skorch's mixin does not call what DHONet has.
        step = super().train_step_single(batch, **fit_params)
        check_step(self, step, batch)
        return step

    def __sklearn_clone__(self):
        """Copy the net, as each fit does, also where the accelerator is unpickled."""
        self._ensure_state()
        return super().__sklearn_clone__()

    def _ensure_state(self):
        """Give a process that only unpickled the accelerator the state of one of its own."""
        from accelerate import Accelerator
        from accelerate.state import is_initialized

        if is_initialized():
            return
        if self._share[1] > 1:
            raise ValueError(
                f"An accelerator of {self._share[1]} processes cannot be sent to other processes. "
                "Set n_jobs=None."
            )
        own = self.accelerator
        Accelerator(cpu=own.device.type == "cpu", mixed_precision=own.mixed_precision)

    def _initialize_accelerator(self):
        self._ensure_state()
        # The loss has no weights, and DistributedDataParallel refuses modules without.
        criteria = self._criteria
        self._criteria = [name for name in criteria if _has_weights(getattr(self, f"{name}_"))]
        try:
            return super()._initialize_accelerator()
        finally:
            self._criteria = criteria

    def _initialize_callbacks(self):
        # With a sink of its own skorch would print in spite of verbose=0.
        if self.callbacks__print_log__sink == "auto" and not self.verbose:
            self.callbacks__print_log__sink = print
        return super()._initialize_callbacks()

    def _check_device(self, requested_device, map_device):
        # Where skorch would put a device on unpickling, none stays none.
        return requested_device

    def _validate_params(self):
        super()._validate_params()
        n_processes = self._share[1]
        if self.batch_size != -1 and self.batch_size % n_processes:
            raise ValueError(
                f"batch_size={self.batch_size} must be a multiple of the {n_processes} processes, "
                "which share each half of a batch."
            )
        if self.apart and n_processes > 1:
            raise ValueError(
                f"apart=True cannot be trained on {n_processes} processes, which pass each batch "
                "through the network once. Set apart=False."
            )


def _has_weights(criterion):
    return isinstance(criterion, nn.Module) and any(
        weight.requires_grad for weight in criterion.parameters()
    )
