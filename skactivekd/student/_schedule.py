"""Learning rate over the steps of a fit."""

import math
from functools import partial

from skorch.callbacks import Callback
from torch.optim.lr_scheduler import LambdaLR

from ..utils._check_params import is_number


def warmup_decay(step, n_steps, warmup=0.1, shape="linear"):
    """Scale the learning rate up linearly, then down to zero.

    Parameters
    ----------
    step : int
        Steps taken so far.
    n_steps : int
        Steps of the whole fit.
    warmup : float in [0, 1), default=0.1
        Share of the steps spent going up.
    shape : {"linear", "cosine"}, default="linear"
        Of the way down.

    Returns
    -------
    factor : float
        In (0, 1] for every step before `n_steps`.

    References
    ----------
    .. [1] Kang et al., arXiv:2505.07675: linear with a warm-up on the ten small
       sets, cosine without one on ImageNet.

    Examples
    --------
    >>> from skactivekd.student._schedule import warmup_decay
    >>> [warmup_decay(step, 10, warmup=0.2) for step in (0, 1, 2, 6, 10)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    >>> [round(warmup_decay(step, 4, warmup=0, shape="cosine"), 2) for step in range(5)]
    [1.0, 0.85, 0.5, 0.15, 0.0]
    """
    n_up = int(warmup * n_steps)
    if step < n_up:
        return (step + 1) / n_up
    left = (n_steps - step) / max(n_steps - n_up, 1)
    return left if shape == "linear" else (1 - math.cos(math.pi * left)) / 2


class WarmupDecay(Callback):
    """Let the learning rate go up over the first steps of training, and down to zero after.

    It is that of the optimizer times a factor between zero and one, at every
    training step of a skorch net.

    .. versionadded:: 0.1

    Parameters
    ----------
    warmup : float in [0, 1), default=0.1
        Share of the steps spent going up.
    shape : {"linear", "cosine"}, default="linear"
        Of the way down.

    See Also
    --------
    skorch.callbacks.LRScheduler : Other schedules, which take its place.

    Examples
    --------
    >>> from skactivekd import DHONet
    >>> from skactivekd.student import WarmupDecay
    >>> net = DHONet(callbacks=[("schedule", WarmupDecay(warmup=0.2, shape="cosine"))])
    """

    def __init__(self, warmup=0.1, shape="linear"):
        self.warmup = warmup
        self.shape = shape

    def on_train_begin(self, net, **kwargs):
        """Forget the schedule of an earlier fit."""
        if not isinstance(self.shape, str) or self.shape not in ("linear", "cosine"):
            raise ValueError(f"shape must be 'linear' or 'cosine', got {self.shape!r}.")
        if not (is_number(self.warmup) and 0 <= self.warmup < 1):
            raise ValueError(f"warmup must be in [0, 1), got {self.warmup!r}.")
        self.scheduler_ = None

    def on_epoch_begin(self, net, dataset_train=None, **kwargs):
        """Lay out the schedule once the training set is known."""
        if self.scheduler_ is None:
            n_steps = net.count_epochs(dataset_train) * net.count_steps(dataset_train)
            factor = partial(warmup_decay, n_steps=n_steps, warmup=self.warmup, shape=self.shape)
            self.scheduler_ = LambdaLR(net.optimizer_, factor)

    def on_batch_end(self, net, training=False, **kwargs):
        """Move the learning rate on by one step."""
        if training:
            self.scheduler_.step()

    def on_train_end(self, net, **kwargs):
        """Leave nothing of the schedule in pickles."""
        self.scheduler_ = None
