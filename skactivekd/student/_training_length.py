"""How long training takes: steps of an epoch, epochs of a fit."""

from ._dataset import halves

EPOCHS = ("labeled", "all")
# A small network has learned what it can of its teacher after as many steps, at the default
# learning rate; a large pool is passed over as often as the published protocol does ImageNet.
_STEPS, PASSES = 1000, 20
_EPOCHS = 200  # of two heads or one: the published protocol on its ten small sets


class TrainingLength:
    """The part of `DHONet` that counts."""

    def count_epochs(self, dataset):
        """Count the epochs of a fit on a dataset."""
        if self.max_epochs != "auto":
            return self.max_epochs
        if self.heads != "residual":
            return _EPOCHS
        return max(PASSES, -(-_STEPS // max(self.count_steps(dataset), 1)))

    def count_steps(self, dataset):
        """Count the training steps of one epoch on a dataset."""
        sizes = map(len, halves(dataset))
        return steps_per_epoch(*sizes, self._half_batch(dataset), self._epoch_rule())

    def _epoch_rule(self):
        if self.epoch != "auto":
            return self.epoch
        return "all" if self.heads == "residual" else "labeled"

    def _half_batch(self, dataset):
        """Return the rows of each half in a training batch."""
        batch_size = self.get_params_for("iterator_train").get("batch_size", self.batch_size)
        if batch_size == -1:
            return len(dataset)
        return 2 * batch_size if self.heads == "residual" else batch_size


def steps_per_epoch(n_labeled, n_unlabeled, batch_size, epoch="labeled"):
    """Count the batches of one epoch, of `batch_size` rows at most from each half.

    "labeled" is a pass over the labeled rows, or the unlabeled ones if none is, as arXiv:2506.00910
    has it; "all" one over the larger half.
    """
    if epoch not in EPOCHS:
        raise ValueError(f"epoch must be 'labeled' or 'all', got {epoch!r}.")
    n_rows = max(n_labeled, n_unlabeled) if epoch == "all" else n_labeled or n_unlabeled
    return -(-n_rows // batch_size)
