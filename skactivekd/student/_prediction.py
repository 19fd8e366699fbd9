"""What the student predicts: the mixture of its heads, and its features."""

from sklearn.utils.validation import (
    check_is_fitted,
)

from .._devices_and_seeds import own_settings
from ..utils._check_params import (
    check_choice,
)
from ..utils._score import warn_of_scorer
from ._heads import mix_heads
from ._image_files import naming_all, spread
from ._input import readable
from ._network_outputs import fill

_BLOCK = 1024  # rows whose heads are mixed at once: the parts of a mixture are as large as it


class Prediction:
    """The part of `DHOClassifier` that predicts."""

    @own_settings()
    def predict_proba(self, X, head="mixed"):
        """Return class probabilities.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, ...)
            Rows of the shape seen in ``fit``.
        head : {"mixed", "ce", "kd"}, default="mixed"
            "kd" is the head trained on the teacher, "ce" that trained on the
            labels. "mixed" is what the student believes: with "residual" heads
            the corrected teacher, with "dual" ones ``alpha * softmax(ce) +
            (1 - alpha) * softmax(kd / beta)``, of the heads that were trained.

        Returns
        -------
        proba : ndarray of float32 of shape (n_samples, n_classes)
            Columns follow ``classes_``.

        Raises
        ------
        ValueError
            If `head` is unknown or was never trained.
        """
        check_is_fitted(self)
        self._check_params()
        check_choice(head, "head", ("mixed", "ce", "kd"))
        if head != "mixed" and head not in self.trained_heads_:
            raise ValueError(
                f"The {head!r} head was not trained: fit had no "
                f"{'labels' if head == 'ce' else 'teacher'}. Use head='mixed'."
            )
        X = self._rows(X)
        rows, good = readable(X)
        with naming_all(rows):
            parts = (self._mix(*logits, head) for logits in self.net_.forward_iter(rows))
            proba = fill(parts, rows.shape[0]).numpy()
        return spread(X, proba, good, 1 / len(self.classes_))

    def predict(self, X):
        """Return the likeliest class of each row.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, ...)
            Rows of the shape seen in ``fit``.

        Returns
        -------
        y : ndarray of shape (n_samples,)
        """
        warn_of_scorer(self.missing_label)
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    @own_settings()
    def embed(self, X):
        """Return the backbone's features, for strategies that select by them.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, ...)
            Rows of the shape seen in ``fit``.

        Returns
        -------
        features : ndarray of float32 of shape (n_samples, d)
        """
        check_is_fitted(self)
        X = self._rows(X)
        rows, good = readable(X)
        with naming_all(rows):
            return spread(X, self.net_.embed(rows), good, 0)

    @own_settings()
    def predict_proba_embed(self, X):
        """Return class probabilities and the backbone's features, from one pass over X.

        For strategies that select by both: the backbone, which takes nearly all
        of the time, runs once.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, ...)
            Rows of the shape seen in ``fit``.

        Returns
        -------
        proba : ndarray of float32 of shape (n_samples, n_classes)
            Those of `predict_proba`, to the bit.
        features : ndarray of float32 of shape (n_samples, d)
            Those of `embed`, to the bit.

        Examples
        --------
        >>> import numpy as np
        >>> from skactivekd import DHOClassifier, DHONet
        >>> X = np.array([[-2.0], [-1.0], [1.0], [2.0]])
        >>> net = DHONet(max_epochs=5, module__hidden=16)
        >>> clf = DHOClassifier(net, random_state=0).fit(X, [0, -1, -1, 1])
        >>> proba, features = clf.predict_proba_embed(X)
        >>> proba.shape, features.shape
        ((4, 2), (4, 16))
        """
        check_is_fitted(self)
        self._check_params()
        X = self._rows(X)
        rows, good = readable(X)
        with naming_all(rows):
            ce_logits, kd_logits, features = self.net_.forward_embed(rows)
        blocks = zip(ce_logits.split(_BLOCK), kd_logits.split(_BLOCK), strict=True)
        proba = fill((self._mix(*logits) for logits in blocks), len(features)).numpy()
        proba = spread(X, proba, good, 1 / len(self.classes_))
        return proba, spread(X, features.numpy(), good, 0)

    def _mix(self, ce_logits, kd_logits, head="mixed"):
        return mix_heads(ce_logits, kd_logits, *self._mixing(head))

    def _mixing(self, head="mixed"):
        """Return the weight of the "ce" head in a prediction, and the temperature of the other."""
        alpha, beta = self._mixture()
        if head == "mixed" and self.trained_heads_ != ("ce", "kd"):
            (head,) = self.trained_heads_
        elif head == "mixed" and self._fitted_heads == "residual":
            head = "ce"
        return {"mixed": alpha, "ce": 1, "kd": 0}[head], beta

    def _mixture(self):
        return self.alpha, self.beta
