"""What teachers share that learn from labelled rows, on cached embeddings."""

import numpy as np
from sklearn.utils import _safe_indexing, column_or_1d
from sklearn.utils.validation import _num_samples, check_is_fitted

from .._labels import as_labels, is_missing
from ._embedding_teacher import EmbeddingTeacher
from ._encode_once import encode_rows
from ._skipping import numbered


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
            Numbers beside names are positions: 3 is the fourth class. None:
            no labels, which leaves the zero-shot teacher.

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

    def score(self, X, y, sample_weight=None):
        """Accuracy on the labelled rows.

        Parameters
        ----------
        X : array-like of n samples
        y : array-like of shape (n,)
            Labels; rows with `missing_label` do not count and are not encoded.
        sample_weight : array-like of shape (n,), default=None
            Weights of the rows.

        Returns
        -------
        accuracy : float

        Raises
        ------
        ValueError
            If no row is labelled.
        """
        check_is_fitted(self)
        codes = self._codes(X, y)
        rows = np.flatnonzero(codes >= 0)
        if len(rows) == 0:
            raise ValueError("score needs labelled rows, but y has none")
        with numbered(rows):
            right = self.predict_proba(_safe_indexing(X, rows)).argmax(axis=1) == codes[rows]
        weights = None if sample_weight is None else np.asarray(sample_weight)[rows]
        return float(np.average(right, weights=weights))

    def _codes(self, X, y):
        return label_codes(X, y, self.classes_, self.missing_label)


def labeled_embeddings(teacher, X, y):
    """Embed the labelled rows of X for a teacher whose classes are fitted.

    Returns
    -------
    embeddings : ndarray of float32 of shape (n_labeled, d)
        Of the labelled rows that the encoder did not skip.
    codes : ndarray of int of shape (n_labeled,)
        Positions of their labels in ``teacher.classes_``.
    """
    codes = label_codes(X, y, teacher.classes_, teacher.missing_label)
    rows = np.flatnonzero(codes >= 0)
    if not len(rows):
        return teacher.class_embeddings_[:0], codes[rows]
    with numbered(rows):
        embeddings = encode_rows(teacher.encoder_, _safe_indexing(X, rows))
    known = ~np.isnan(embeddings).any(axis=1)
    return embeddings[known], codes[rows[known]]


def label_codes(X, y, classes, missing_label=-1):
    """Turn labels into positions among the classes, -1 where there is none.

    Parameters
    ----------
    X : array-like of n samples
        Only its length counts.
    y : array-like of shape (n,) or None
        Labels; None labels no row. Numbers beside classes that are no
        numbers are positions already.
    classes : ndarray of shape (n_classes,)
        In any order.
    missing_label : int, float nan, str or None, default=-1
        What marks rows without a label.

    Returns
    -------
    codes : ndarray of int of shape (n,)

    Raises
    ------
    ValueError
        If a label is not among the classes, `missing_label` is, or y has not
        the length of X.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.teacher._few_shot import label_codes
    >>> X, classes = [0, 0, 0], np.array(["dog", "cat"])
    >>> label_codes(X, ["cat", None, "dog"], classes, missing_label=None)
    array([ 1, -1,  0])
    >>> label_codes(X, [0, -1, 1], classes)
    array([ 0, -1,  1])
    """
    if y is None:
        return np.full(0 if X is None else _num_samples(X), -1)
    y = column_or_1d(as_labels(y))
    n = 0 if X is None else _num_samples(X)
    if len(y) != n:
        raise ValueError(f"y has {len(y)} labels for the {n} rows of X")
    if y.dtype.kind in "iuf" and classes.dtype.kind not in "iufb":
        classes = np.arange(len(classes))
    if is_missing(classes, missing_label).any():
        raise ValueError(f"missing_label={missing_label!r} is one of the classes; choose another")
    position = {label: index for index, label in enumerate(classes.tolist())}
    codes = np.full(n, -1)
    for row in np.flatnonzero(~is_missing(y, missing_label)):
        label = y[row].item() if isinstance(y[row], np.generic) else y[row]
        if label not in position:
            raise ValueError(
                f"y has the label {label!r} in row {row}, which is not among the classes "
                f"{list(position)}. Name every class in classes=, and mark unlabelled rows with "
                f"missing_label={missing_label!r}."
            )
        codes[row] = position[label]
    return codes


def check_at_least(estimator, **bounds):
    """Refuse parameters of an estimator that are below a bound, or not finite."""
    for name, bound in bounds.items():
        value = getattr(estimator, name)
        if not bound <= value < np.inf:
            raise ValueError(f"{name}={value!r} must be at least {bound} and finite")
