"""What the network gives for rows: logits, probabilities, features."""

import torch
from skorch.dataset import unpack_data
from skorch.utils import to_tensor

from .._devices_and_seeds import own_settings
from ._heads import mix_heads
from ._image_files import as_floats
from ._not_finite import check_outputs
from ._reading_workers import check_batch
from ._torch_module import Student


class Outputs:
    """The part of `DHONet` that predicts."""

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
                output = function(self._inputs_of(batch))
                check_outputs(output, batch)
                if outputs is None:
                    outputs = tuple(room(part, len(dataset)) for part in output)
                for whole, part in zip(outputs, output, strict=True):
                    whole[start : start + len(part)] = part
                start += len(output[0])
        return outputs

    def _inputs_of(self, batch):
        """Return what the network takes of a batch, on its device."""
        check_batch(batch)
        rows, _ = unpack_data(batch)
        return as_floats(to_tensor(rows["X"], device=self.device))


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
