"""The accuracy on labeled rows, of whatever predicts, and metrics that count the others too."""

import sys
import warnings

import numpy as np
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted

from .._take_rows import n_rows, take_rows
from ._classes import classes_of, explain_kinds, refuse_learned_marker
from ._label_values import as_labels, of_two_kinds, plain
from ._labels import check_labels, find_positions
from ._missing_label import is_missing
from ._sample_weight import check_weights


class LabeledScoreMixin:
    """Mixin of classifiers that know their `missing_label`: `score` counts labeled rows only."""

    def score(self, X, y, sample_weight=None):
        """Return the accuracy on the labeled rows.

        Parameters
        ----------
        X : array-like of n_samples rows
            Only the labeled ones are predicted.
        y : array-like of shape (n_samples,)
            Labels; rows with `missing_label` do not count.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, zero or more.

        Returns
        -------
        accuracy : float

        Raises
        ------
        ValueError
            If no row is labeled, no label is among the classes, or lengths
            differ.
        """
        check_is_fitted(self)
        return labeled_score(self, X, y, self.missing_label, sample_weight)


def labeled_score(estimator, X, y, missing_label=-1, sample_weight=None):
    """Return the accuracy of a fitted classifier on the labeled rows, which alone it predicts.

    A label that it does not know is an error of its, unless it knows none of them.
    """
    classes = classes_of(estimator)
    refuse_learned_marker(classes, missing_label)
    y, labeled = check_labels(y, missing_label, classes=classes, n_rows=n_rows(X))
    rows = np.flatnonzero(labeled)
    if not len(rows):
        raise ValueError(
            f"A score needs labeled rows, but every entry of y is missing_label={missing_label!r}."
        )
    if sample_weight is not None:
        sample_weight = check_weights(sample_weight, len(y))[rows]
        if not sample_weight.any():
            raise ValueError("sample_weight is zero for every labeled row.")
    known = plain(y[rows])
    if classes is not None and (find_positions(np.unique(known), classes) < 0).all():
        found = np.unique(known)
        if of_two_kinds(found, classes):
            raise ValueError(explain_kinds(found, classes))
        raise ValueError(
            f"None of the labels in y, {found.tolist()[:10]}, is among the classes of the "
            f"estimator, {as_labels(classes).tolist()[:10]}."
        )
    if len(rows) < len(y):
        X = take_rows(X, rows)
    from ..encoders._unreadable_rows import numbered  # which itself stands on this module

    with numbered(rows):
        predicted = estimator.predict(X)
    if known.dtype == object:  # integers beyond 64 bits, which scikit-learn does not compare
        return float(np.average(np.asarray(predicted) == known, weights=sample_weight))
    return float(accuracy_score(known, predicted, sample_weight=sample_weight))


_DEPTH = 40  # calls between a scorer and the model: pipelines and searches add a few each
_MODULE = "sklearn.metrics._scorer"


def warn_of_scorer(missing_label):
    """Warn where a model is asked by a metric of scikit-learn that gets unlabeled rows, too.

    The model never sees that y: only the scorer that asks knows of it.
    """
    scorer, y = _find_scorer()
    if scorer is None or not scorer._score_func.__module__.startswith("sklearn."):
        return
    try:
        missing = is_missing(as_labels(y), missing_label)
    except (TypeError, ValueError):  # a y of several outputs
        return
    if missing.ndim == 1 and missing.any():
        name = scorer._score_func.__name__
        warnings.warn(
            f"{name} counts the {np.count_nonzero(missing)} unlabeled rows of {len(missing)} in y "
            f"(missing_label={missing_label!r}) as wrong. Pass cv=LabeledStratifiedKFold(...), "
            "whose test folds hold labeled rows alone, or scoring=labeled_accuracy.",
            UserWarning,
            stacklevel=3,
        )


def _find_scorer():
    """Return the scorer that called, and the y that it compares with; None, None without."""
    frame = sys._getframe(2)
    for _ in range(_DEPTH):
        if frame is None:
            break
        if frame.f_globals.get("__name__") == _MODULE and "y_true" in frame.f_code.co_varnames:
            found = frame.f_locals
            if hasattr(found.get("self"), "_score_func"):
                return found["self"], found.get("y_true")
        frame = frame.f_back
    return None, None
