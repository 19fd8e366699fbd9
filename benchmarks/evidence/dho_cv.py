"""The published student with alpha and beta chosen by cross-validation on its labels."""

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, clone

from skactivekd import DHOClassifier
from skactivekd._devices_and_seeds import draw_seed, seeded
from skactivekd.student._dataset import RowDataset

from ._mixture_search import ALPHAS, BETAS, best_mixture, hidden_folds, score_mixtures


class DHOClassifierCV(ClassifierMixin, BaseEstimator):
    """Two heads, mixed as suits hidden labels.

    Each of three folds hides the labels of some rows, which stay in the training as unlabeled
    ones, and trains one student; the outputs of its heads on these rows score all 147 mixtures at
    once. The student that predicts is trained on every label: that of `DHOClassifier` but for the
    mixture. With fewer than two labels for each class on average the fixed mixture stays.

    Parameters
    ----------
    net : DHONet
        Unfitted.
    n_classes : int
    random_state : int, default=None

    Attributes
    ----------
    student_ : DHOClassifier
        Mixes as chosen.
    accuracy_, log_likelihood_ : ndarray of float of shape (21, 7) or None
        Of each mixture on the hidden labels; None where there was no choice to make.
    """

    def __init__(self, net, n_classes, random_state=None):
        self.net = net
        self.n_classes = n_classes
        self.random_state = random_state

    def fit(self, X, y):
        """Fit on what `TeacherProba` hands over, and class indices, -1 where hidden."""
        y = np.asarray(y)
        student = DHOClassifier(
            self.net,
            heads="dual",
            distill_weight=0.5,
            alpha=0.5,
            beta=1.0,
            classes=range(self.n_classes),
            random_state=self.random_state,
        )
        self.student_ = student.fit(X, y)
        self.classes_ = student.classes_
        self.accuracy_ = self.log_likelihood_ = None
        folds = hidden_folds(y, self.n_classes)
        if folds:
            heads = map(torch.cat, zip(*self._outputs(X, y, folds), strict=True))
            scores = score_mixtures(*heads, y[np.concatenate(folds)])
            self.accuracy_, self.log_likelihood_ = scores
            i, j = best_mixture(*scores)
            student.set_params(alpha=float(ALPHAS[i]), beta=float(BETAS[j]))
        return self

    def _outputs(self, X, y, folds):
        """Yield both heads' logits on each fold, by a student that never saw its labels."""
        seeds = np.random.RandomState(draw_seed(self.random_state))
        draw_seed(seeds)  # started the student that predicts
        for fold in folds:
            codes = y.copy()
            codes[fold] = -1
            net = clone(self.student_.net_)
            with seeded(draw_seed(seeds), torch.device(net.device)):
                net.fit(RowDataset(X.X, codes, X.proba.astype(np.float32)), None)
            yield net.forward(X.X[fold])

    def predict_proba(self, X):
        return self.student_.predict_proba(X)

    def predict(self, X):
        return self.student_.predict(X)

    def embed(self, X):
        return self.student_.embed(X)
