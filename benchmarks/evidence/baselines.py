"""What a few lines of scikit-learn make of the same labels and the same teacher."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression


class TwoClassifiers(ClassifierMixin, BaseEstimator):
    """Average the probabilities of a classifier of labels and one of the teacher's choices.

    While fewer than two classes have a label, there is nothing to fit the first on, and the second
    predicts alone. Classes without a label have probability 0 in the first.

    Parameters
    ----------
    classifier : estimator
        Unfitted, cloned for each.
    """

    def __init__(self, classifier):
        self.classifier = classifier

    def fit(self, X, y):
        """Fit on what `TeacherProba` hands over, and class indices, -1 where hidden."""
        rows, choices, known = _unpack(X, y)
        self.classes_ = np.arange(X.proba.shape[1])
        self.experts_ = [clone(self.classifier).fit(rows, choices)]
        if len(np.unique(y[known])) > 1:
            self.experts_.append(clone(self.classifier).fit(rows[known], y[known]))
        return self

    def predict_proba(self, X):
        return np.mean([_proba(expert, X, self.classes_) for expert in self.experts_], axis=0)

    def predict(self, X):
        return self.predict_proba(X).argmax(axis=1)


class DistilledClassifier(ClassifierMixin, BaseEstimator):
    """One classifier of the teacher's choices on all rows and, as heavily, of the labels.

    Parameters
    ----------
    classifier : estimator
        Unfitted; takes weights of rows.
    """

    def __init__(self, classifier):
        self.classifier = classifier

    def fit(self, X, y):
        """Fit on what `TeacherProba` hands over, and class indices, -1 where hidden."""
        rows, choices, known = _unpack(X, y)
        self.classes_ = np.arange(X.proba.shape[1])
        both = np.concatenate([np.arange(len(y)), known])
        weights = np.repeat([1.0, len(y) / max(len(known), 1)], [len(y), len(known)])
        targets = np.concatenate([choices, y[known]])
        self.expert_ = clone(self.classifier).fit(rows[both], targets, sample_weight=weights)
        return self

    def predict_proba(self, X):
        return _proba(self.expert_, X, self.classes_)

    def predict(self, X):
        return self.predict_proba(X).argmax(axis=1)


def logistic():
    """Logistic regression as scikit-learn has it, with iterations enough to converge."""
    return LogisticRegression(max_iter=1000)


BASELINES = {
    "two-logistic": lambda: TwoClassifiers(logistic()),
    "distilled-logistic": lambda: DistilledClassifier(logistic()),
    "two-forest": lambda: TwoClassifiers(RandomForestClassifier()),
    "distilled-forest": lambda: DistilledClassifier(RandomForestClassifier()),
}


def _unpack(X, y):
    """Return flat rows, the teacher's choices, and which rows have a label."""
    return _flat(X.X), X.proba.argmax(axis=1), np.flatnonzero(np.asarray(y) >= 0)


def _flat(X):
    return X.reshape(len(X), -1) if X.ndim > 2 else X


def _proba(expert, X, classes):
    """Put the expert's probabilities into the columns of all classes."""
    proba = np.zeros((X.shape[0], len(classes)))
    proba[:, expert.classes_] = expert.predict_proba(_flat(X))
    return proba
