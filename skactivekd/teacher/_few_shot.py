"""What teachers share that learn from labelled rows, on cached embeddings."""

import numpy as np

from .._rows import n_rows, take_rows
from ..utils._labels import encode_labels
from ..utils._params import check_integer, check_number
from ._embedding_teacher import EmbeddingTeacher
from ._encode_once import encode_rows
from ._skipping import numbered

_COUNTS = ("max_epochs", "batch_size")


class FewShotTeacher(EmbeddingTeacher):
    """Base of the few-shot teachers: zero-shot until rows are labelled.

    A subclass adds `missing_label` and `random_state` to the parameters of
    `EmbeddingTeacher` and has ``_fit_labeled(embeddings, codes)``, called with
    the labelled rows, of which there may be none.
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
        self._fit_classes()
        embeddings, codes = labeled_embeddings(self, X, y)
        self._fit_scale(embeddings, codes)
        self._fit_labeled(embeddings, codes)
        return self


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
