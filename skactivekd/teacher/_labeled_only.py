"""A classifier that knows nothing of missing labels, on partly labeled data."""

import numpy as np
from sklearn.base import MetaEstimatorMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from .._take_rows import n_rows, take_rows
from ..encoders._unreadable_rows import numbered
from ..utils._classes import check_classes
from ..utils._label_values import as_labels
from ..utils._labels import check_labels, encode_labels, find_classes, find_positions
from ..utils._proba import ordered_proba
from ._embedding_teacher import KnowsClasses


class LabeledOnly(MetaEstimatorMixin, KnowsClasses):
    """Fit any classifier on the labeled rows alone.

    scikit-learn's classifiers take the marker of unlabeled rows for a class;
    this keeps those rows from them, so that they can be teachers. Until two
    classes have labels there is nothing to fit, and all probabilities are
    equal.

    .. versionadded:: 0.1

    Parameters
    ----------
    estimator : classifier
        Has ``predict_proba``; cloned by `fit`.
    classes : sequence of labels, mapping of label to name, or None, default=None
        All classes. None is those in y.
    missing_label : int, float nan, pandas.NA, str or None, default=-1
        Marks the unlabeled rows of y.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted; columns of `predict_proba` follow them. Those that
        had no labels get zeros.
    estimator_ : classifier or None
        Fitted on the labeled rows; None until two classes have labels.

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
        """Fit a clone of the estimator on the labeled rows.

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
        codes = encode_labels(y, classes, self.missing_label, n_rows=n_rows(X))
        rows = np.flatnonzero(codes >= 0)
        self.classes_, self.estimator_ = classes, None
        if len(np.unique(codes[rows])) > 1:
            # The labels themselves, so that a class_weight by label means what it says.
            known = classes[codes[rows]]
            with numbered(rows):
                self.estimator_ = clone(self.estimator).fit(take_rows(X, rows), known)
            self._columns = self._find_columns(known)
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

        Raises
        ------
        ValueError
            If the estimator returns anything but a row of probabilities for
            each sample.
        """
        check_is_fitted(self)
        n_classes = len(self.classes_)
        if self.estimator_ is None:
            return np.full((n_rows(X), n_classes), 1 / n_classes)
        known = ordered_proba(
            self.estimator_.predict_proba(X),
            self.classes_[self._columns],
            f"predict_proba of {type(self.estimator_).__name__}",
            n_rows=n_rows(X),
        )
        proba = np.zeros((len(known), n_classes), dtype=known.dtype)
        proba[:, self._columns] = known
        return proba

    @property
    def n_features_in_(self):
        """Columns of X, where the classifier that was fitted knows them."""
        check_is_fitted(self)
        return self.estimator_.n_features_in_

    def __sklearn_tags__(self):
        """Say that it takes what its classifier takes."""
        tags = super().__sklearn_tags__()
        if self.estimator is not None:
            inside = get_tags(self.estimator).input_tags
            tags.input_tags.sparse, tags.input_tags.allow_nan = inside.sparse, inside.allow_nan
        return tags

    def _find_columns(self, known):
        """Find the class of each column of the estimator."""
        learned = as_labels(getattr(self.estimator_, "classes_", np.unique(known)))
        columns = find_positions(learned, self.classes_)
        if (columns < 0).any():
            raise ValueError(
                f"{type(self.estimator_).__name__} has the classes {learned.tolist()}, but this "
                f"LabeledOnly {self.classes_.tolist()}; name all of them in its classes=."
            )
        return columns

    def _find_classes(self, y):
        if self.classes is not None:
            return check_classes(self.classes, self.missing_label).labels
        y, labeled = check_labels(y, self.missing_label)
        if not labeled.any():
            raise ValueError("No row of y is labeled; name all classes in classes=.")
        return find_classes(y, labeled)
