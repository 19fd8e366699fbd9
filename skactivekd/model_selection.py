"""Cross-validation and scores for data in which most rows are not labeled."""

import warnings

import numpy as np
from sklearn.model_selection import BaseCrossValidator, KFold, StratifiedKFold
from sklearn.utils import check_random_state

from ._take_rows import n_rows
from .utils._check_params import check_flag, check_integer, naming
from .utils._labels import check_labels, encode_labels, find_classes
from .utils._score import labeled_score

__all__ = ["LabeledStratifiedKFold", "labeled_accuracy"]


class LabeledStratifiedKFold(BaseCrossValidator):
    """Stratified folds over the labeled rows; the others always train.

    Unlabeled rows are in every training fold, where they help to distil, and
    in no test fold, where they could not be scored.

    .. versionadded:: 0.1

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=False
        Shuffle the rows of each class before splitting.
    random_state : None, int or numpy.random.RandomState, default=None
        Order of the shuffle.
    missing_label : int, float nan, str or None, default=-1
        Marks the unlabeled rows of y.

    See Also
    --------
    labeled_accuracy : The score that goes with it.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd import LabeledStratifiedKFold
    >>> y = [0, 1, -1, 0, 1, -1]
    >>> for train, test in LabeledStratifiedKFold(2).split(np.zeros((6, 1)), y):
    ...     print(train, test)
    [2 3 4 5] [0 1]
    [0 1 2 5] [3 4]
    """

    def __init__(self, n_splits=5, *, shuffle=False, random_state=None, missing_label=-1):
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state
        self.missing_label = missing_label

    def get_n_splits(self, X=None, y=None, groups=None):
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : object
            Ignored.

        Returns
        -------
        n_splits : int
        """
        return self.n_splits

    def split(self, X, y, groups=None):
        """Yield the rows of each training and test fold.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Only its length counts.
        y : array-like of shape (n_samples,)
            Labels, `missing_label` where unknown.
        groups : object
            Ignored.

        Yields
        ------
        train, test : ndarray of int
            Indices into X.

        Raises
        ------
        ValueError
            If fewer rows are labeled than there are folds, or y seems to use
            another marker.

        Warns
        -----
        UserWarning
            If no class has enough labeled rows to be in every fold; the folds
            then disregard the classes.
        """
        if y is None:
            raise ValueError("LabeledStratifiedKFold needs y to tell which rows are labeled.")
        y, known = check_labels(y, self.missing_label, n_rows=n_rows(X))
        check_integer(self.n_splits, "n_splits", 2)
        check_flag(self.shuffle, "shuffle")
        labeled, unlabeled = np.flatnonzero(known), np.flatnonzero(~known)
        if len(labeled) < self.n_splits:
            raise ValueError(
                f"{self.n_splits} folds need as many labeled rows, but only {len(labeled)} of "
                f"{len(y)} in y are labeled (missing_label={self.missing_label!r}). Take fewer "
                "folds or label more rows."
            )
        codes = encode_labels(y, find_classes(y, known), self.missing_label)[labeled]
        for train, test in self._folds(codes).split(codes, codes):
            yield np.sort(np.concatenate([labeled[train], unlabeled])), labeled[test]

    def _folds(self, codes):
        kind = StratifiedKFold
        if np.bincount(codes).max() < self.n_splits:
            warnings.warn(
                f"No class has {self.n_splits} labeled rows: the folds disregard the classes.",
                UserWarning,
                stacklevel=4,
            )
            kind = KFold
        state = self.random_state if self.shuffle else None
        if self.shuffle:
            with naming("random_state"):
                check_random_state(state)
        return kind(self.n_splits, shuffle=self.shuffle, random_state=state)


def labeled_accuracy(estimator, X, y, *, sample_weight=None, missing_label=-1):
    """Score the accuracy of an estimator on the labeled rows.

    For ``scoring=`` of GridSearchCV and its kin, with any classifier; rows
    without a label do not count.

    .. versionadded:: 0.1

    Parameters
    ----------
    estimator : classifier
        A fitted one.
    X : array-like of shape (n_samples, ...)
        Rows to predict.
    y : array-like of shape (n_samples,)
        Labels, `missing_label` where unknown.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, zero or more.
    missing_label : int, float nan, pandas.NA, str or None, default=-1
        The marker. Fix another one with ``functools.partial``.

    Returns
    -------
    accuracy : float

    Raises
    ------
    ValueError
        If no row is labeled, the estimator learned the marker as a class (wrap
        it in `LabeledOnly`), or y seems to use another marker.

    See Also
    --------
    LabeledStratifiedKFold : Folds in which each part has labels.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from skactivekd import labeled_accuracy
    >>> clf = DummyClassifier(strategy="constant", constant=1).fit([[0]] * 2, [0, 1])
    >>> labeled_accuracy(clf, [[0]] * 4, [1, -1, -1, 0])
    0.5
    """
    return labeled_score(estimator, X, y, missing_label, sample_weight)
