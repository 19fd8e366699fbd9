"""Choosing alpha and beta: whose labels to hide, and how good each mixture then is."""

import numbers
import warnings
from itertools import product

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import get_scorer
from sklearn.model_selection import StratifiedKFold, check_cv

from ._heads import mix_heads


def hidden_folds(codes, classes, cv=3):
    """Share out the labelled rows whose labels the folds hide in turn.

    Parameters
    ----------
    codes : ndarray of int of shape (n_samples,)
        Class indices, -1 where a row is not labelled.
    classes : ndarray of shape (n_classes,)
        The labels.
    cv : int, splitter or iterable, default=3
        A number makes stratified folds of the rows whose class has a second
        label, so that one is left to learn from; none if there are fewer
        than two labels for each class on average. Anything else is handed
        the labelled rows and labels alone, and only its test folds matter.

    Returns
    -------
    folds : list of ndarray of int
        Rows of each fold.

    Raises
    ------
    ValueError
        If a fold hides every label.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.student._mixture_search import hidden_folds
    >>> hidden_folds(np.array([0, -1, 0, 1, 2, 1, 1]), np.array(["a", "b", "c"]))
    [array([0, 3]), array([2, 5]), array([6])]
    >>> hidden_folds(np.array([0, -1, 1]), np.array(["a", "b"]))
    []
    """
    labeled = rows = np.flatnonzero(codes >= 0)
    if isinstance(cv, numbers.Integral):
        if len(labeled) < 2 * len(classes):
            return []
        counts = np.bincount(codes[labeled])
        rows = labeled[counts[codes[labeled]] > 1]
        cv = StratifiedKFold(min(cv, counts.max()))
    with warnings.catch_warnings():
        # A class with fewer labels than folds is absent from some, which does no harm.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        folds = [rows[test] for _, test in check_cv(cv).split(rows, classes[codes[rows]])]
    if any(len(fold) == len(labeled) for fold in folds):
        raise ValueError(f"cv={cv!r} has a fold that leaves no labelled row to learn from.")
    return folds


def score_mixtures(ce_logits, kd_logits, codes, classes, alphas, betas, scoring=None):
    """Score every mixture of the heads on rows that neither head was shown the label of.

    Parameters
    ----------
    ce_logits, kd_logits : tensor of shape (n, n_classes)
    codes : ndarray of int of shape (n,)
        True class indices.
    classes : ndarray of shape (n_classes,)
        The labels, for `scoring`.
    alphas : ndarray of shape (n_alphas,)
    betas : ndarray of shape (n_betas,)
    scoring : str, callable or None, default=None
        As for `DHOClassifierCV`.

    Returns
    -------
    scores, log_likelihood : ndarray of float of shape (n_alphas, n_betas)

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from skactivekd.student._mixture_search import score_mixtures
    >>> ce, kd = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    >>> score_mixtures(ce, kd, np.array([0]), np.array(["a", "b"]), [0, 1], [1.0])[0]
    array([[0.], [1.]])
    """
    scores, log_likelihood = np.empty((2, len(alphas), len(betas)))
    score = _score_function(scoring, codes, classes)
    for i, j in product(range(len(alphas)), range(len(betas))):
        proba = mix_heads(ce_logits, kd_logits, float(alphas[i]), float(betas[j])).numpy()
        likelihood = proba[np.arange(len(codes)), codes]
        log_likelihood[i, j] = np.log(np.maximum(likelihood, np.finfo(np.float32).tiny)).mean()
        scores[i, j] = log_likelihood[i, j] if scoring == "neg_log_loss" else score(proba)
    return scores, log_likelihood


def best_mixture(scores, log_likelihood):
    """Return the position of the best score; the log-likelihood decides ties.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.student._mixture_search import best_mixture
    >>> best_mixture(np.array([[0.9, 0.9, 0.8]]), np.array([[-2.0, -1.0, -0.5]]))
    (0, 1)
    """
    return max(np.ndindex(scores.shape), key=lambda at: (scores[at], log_likelihood[at]))


def _score_function(scoring, codes, classes):
    if scoring in (None, "accuracy"):
        return lambda proba: np.mean(proba.argmax(axis=1) == codes)
    scorer, answers, y = get_scorer(scoring), _GivenAnswers(classes), classes[codes]
    return lambda proba: scorer(answers, proba, y)


class _GivenAnswers(ClassifierMixin, BaseEstimator):
    """Classifier of rows that are their own probabilities, for scikit-learn's scorers."""

    def __init__(self, classes):
        self.classes_ = self.classes = classes

    def predict_proba(self, X):
        return X

    def predict(self, X):
        return self.classes_[X.argmax(axis=1)]
