"""A classifier that knows nothing of missing labels, on partly labelled data."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples, check_is_fitted

from .._labels import as_labels, is_missing
from ._few_shot import label_codes
from ._prompts import check_classes
from ._skipping import numbered


class LabeledOnly(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Fit any classifier on the labelled rows alone.

    scikit-learn's classifiers take the marker of unlabelled rows for a class;
    this keeps those rows from them, so that they can be teachers. Until two
    classes have labels there is nothing to fit, and all probabilities are
    equal.

    Parameters
    ----------
    estimator : classifier
        Has ``predict_proba``; cloned by `fit`.
    classes : sequence of labels, mapping of label to name, or None, default=None
        All classes, in the order of the columns of `predict_proba`. None is
        those in y, sorted.
    missing_label : int, float nan, str or None, default=-1
        Marks the unlabelled rows of y.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels; columns of `predict_proba` follow them. Those that had no
        labels get zeros.
    estimator_ : classifier or None
        Fitted on the labelled rows; None until two classes have labels.

    See Also
    --------
    TeacherProba : Takes it as a teacher.
    CLAPTeacher, TipAdapterTeacher : Start from the names of the classes instead.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skactivekd import LabeledOnly
    >>> teacher = LabeledOnly(LogisticRegression(), classes=["cat", "dog"], missing_label=None)
    >>> teacher.fit([[0], [1], [2]], [None, None, "dog"]).predict_proba([[0]])
    array([[0.5, 0.5]])
    >>> teacher.fit([[0], [1], [2]], ["cat", None, "dog"]).predict([[0], [3]])
    array(['cat', 'dog'], dtype='<U3')
    """

    def __init__(self, estimator=None, classes=None, missing_label=-1):
        self.estimator = estimator
        self.classes = classes
        self.missing_label = missing_label

    def fit(self, X, y):
        """Fit a clone of the estimator on the labelled rows.

        Parameters
        ----------
        X : array-like of n samples
            What the estimator takes.
        y : array-like of shape (n,)
            Labels; `missing_label` marks rows without.

        Returns
        -------
        self : LabeledOnly

        Raises
        ------
        TypeError
            If `estimator` has no ``predict_proba``.
        ValueError
            If a label is not among `classes`, or there is no label and
            `classes` is None.
        """
        if not hasattr(self.estimator, "predict_proba"):
            raise TypeError(f"estimator={self.estimator!r} must be a classifier with predict_proba")
        classes = self._find_classes(y)
        codes = label_codes(X, y, classes, self.missing_label)
        rows = np.flatnonzero(codes >= 0)
        self.classes_, self.estimator_ = classes, None
        if len(np.unique(codes[rows])) > 1:
            with numbered(rows):
                self.estimator_ = clone(self.estimator).fit(_safe_indexing(X, rows), codes[rows])
        return self

    def predict_proba(self, X):
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like of n samples

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
            Columns in the order of `classes_`.
        """
        check_is_fitted(self)
        n_classes = len(self.classes_)
        if self.estimator_ is None:
            return np.full((_num_samples(X), n_classes), 1 / n_classes)
        known = self.estimator_.predict_proba(X)
        proba = np.zeros((len(known), n_classes), dtype=known.dtype)
        proba[:, self.estimator_.classes_] = known
        return proba

    def predict(self, X):
        """The most probable class of each sample.

        Parameters
        ----------
        X : array-like of n samples

        Returns
        -------
        y : ndarray of shape (n,)
        """
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def _find_classes(self, y):
        if self.classes is not None:
            return check_classes(self.classes)[0]
        y = as_labels(y)
        known = y[~is_missing(y, self.missing_label)]
        if len(known) == 0:
            raise ValueError("no row of y is labelled; name all classes in classes=")
        return np.unique(np.asarray(known.tolist()))
