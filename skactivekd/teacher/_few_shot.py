"""What teachers share that learn from labelled rows, on cached embeddings."""

import numpy as np

from .._rows import n_rows, take_rows
from ..encoders._base import encode_rows
from ..encoders._skipping import numbered
from ..utils._labels import encode_labels
from ..utils._params import check_integer, check_number
from ._base import EmbeddingTeacher
from ._trust import choose_trust, evenness, keep_unlabeled

_COUNTS = ("max_epochs", "batch_size")


class FewShotTeacher(EmbeddingTeacher):
    """Base of the few-shot teachers: zero-shot until rows are labelled.

    A subclass adds `guard`, `missing_label` and `random_state` to the parameters
    of `EmbeddingTeacher`. It has ``_taught(embeddings)``, logits, and
    ``_fit_labeled(embeddings, codes)``, called with the labelled rows, of which
    there may be none. That returns a function without arguments: it gives the
    zero-shot logits of labelled rows, those of a fit that did not know their
    labels, and their classes.
    """

    def fit(self, X=None, y=None):
        """Embed the names of the classes, and learn from the labelled rows.

        Parameters
        ----------
        X : array-like of n samples, default=None
            Only labelled rows are encoded, those not seen before.
        y : array-like of shape (n,), default=None
            Labels among `classes`; `missing_label` marks rows without.
            None: no labels, which leaves the zero-shot teacher.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If a label is not among the classes, X and y do not fit, or a
            parameter has a wrong value.
        TypeError
            If the encoder or the classes are of the wrong kind.
        """
        from .._torch import own_settings

        self._fit_classes()
        embeddings, codes = labeled_embeddings(self, X, y)
        self._fit_scale(embeddings, codes)
        with own_settings():
            hold_out = self._fit_labeled(embeddings, codes)
            self.seen_ = np.bincount(codes, minlength=len(self.classes_)) > 0
            self.trust_ = 0.0 if self.guard else 1.0
            if self.guard and len(codes):
                even = evenness(codes, len(self.classes_))
                self.trust_ = choose_trust(*hold_out(), even)
        return self

    def _logits(self, embeddings):
        from .._torch import own_settings

        zero_shot = self._zero_shot(embeddings)
        if self.trust_ == 0:
            return zero_shot
        with own_settings():
            taught = self._taught(embeddings)
        if not self.guard:
            return taught
        kept = keep_unlabeled(zero_shot, taught, self.seen_)
        return zero_shot + np.float32(self.trust_) * (kept - zero_shot)

    def _zero_shot(self, embeddings):
        return super()._logits(embeddings)


def labeled_embeddings(teacher, X, y):
    """Embed the labelled rows of X for a teacher whose classes are fitted.

    Returns
    -------
    embeddings : ndarray of float32 of shape (n_labeled, d)
        Of the labelled rows that the encoder did not skip.
    codes : ndarray of int of shape (n_labeled,)
        Positions of their labels in ``teacher.classes_``.
    """
    n = 0 if X is None else n_rows(X)
    codes = np.full(n, -1)
    if y is not None:
        codes = encode_labels(y, teacher.classes_, teacher.missing_label, n_rows=n)
    rows = np.flatnonzero(codes >= 0)
    if not len(rows):
        return teacher.class_embeddings_[:0], codes[rows]
    with numbered(rows):
        embeddings = encode_rows(teacher.encoder_, take_rows(X, rows))
    known = ~np.isnan(embeddings).any(axis=1)
    return embeddings[known], codes[rows[known]]


def check_at_least(estimator, **bounds):
    """Refuse parameters of an estimator that are below a bound, or not finite."""
    for name, bound in bounds.items():
        check_number(getattr(estimator, name), name, bound)
        if name in _COUNTS:
            check_integer(getattr(estimator, name), name, bound, 2**31)
