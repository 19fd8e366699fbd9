"""The student that chooses the mixture of its heads."""

import numpy as np
import torch
from sklearn.metrics import get_scorer

from ._classifier import DHOClassifier
from ._mixture_search import best_mixture, hidden_folds, score_mixtures

_BETAS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 4.0)


class DHOClassifierCV(DHOClassifier):
    r"""DHOClassifier that chooses alpha and beta by cross-validation on its labels.

    Each fold hides the labels of some labelled rows, which stay in the training
    as unlabelled ones, and trains one student; the outputs of its two heads on
    these rows score all of the grid at once. The student that predicts is
    trained on every label: it is the one `DHOClassifier` would give, but for
    the mixture.

    Parameters
    ----------
    net : DHONet, default=None
        As in `DHOClassifier`; it is trained once for each fold, and once more.
    alphas : array-like of floats in [0, 1], default=None
        Weights of the head trained on labels to choose from. None is
        ``np.linspace(0, 1, 21)``.
    betas : array-like of floats > 0, default=(0.5, 0.75, 1, 1.25, 1.5, 2, 4)
        Temperatures of the head trained on the teacher to choose from.
    cv : int, cross-validation splitter or iterable, default=3
        Whose labels are hidden in turn. A number: of folds, stratified by
        class, and fewer where no class has as many labels. A class with one
        label always keeps it, as no student could learn it from the others.
        With fewer than two labels for each class on average there is too
        little to choose by, and `alpha` and `beta` stay. A splitter or
        iterable is obeyed in any case; it is handed the labelled rows alone,
        and of a split only the test fold matters.
    scoring : str, callable or None, default=None
        What the hidden labels judge the mixtures by, all folds together: a
        scikit-learn scorer or the name of one. None is the accuracy. Ties are
        decided by the log-likelihood, which ``"neg_log_loss"`` goes by alone.
    distill_weight : float in [0, 1], default=0.5
        Weight of the teacher in the loss.
    temperature : float > 0, default=2.0
        Softens teacher and student in the loss.
    alpha : float in [0, 1], default=0.5
        `alpha_` where labels are too few to choose by.
    beta : float > 0, default=1.0
        `beta_` where labels are too few to choose by.
    heads : {"dual", "single"}, default="dual"
        With "single" there is nothing to choose.
    classes : array-like of shape (n_classes,), default=None
        All classes, as in `DHOClassifier`.
    missing_label : int, float nan, str or None, default=-1
        Marks the unlabelled rows of y.
    random_state : None, int or numpy.random.RandomState, default=None
        Governs initial weights, batches and dropout; the folds only through
        `cv`.
    device : {"auto"}, str, torch.device or None, default="auto"
        Where to train.

    Attributes
    ----------
    alpha_ : float
        Weight of the head trained on labels in ``predict_proba``.
    beta_ : float
        Temperature of the head trained on the teacher in ``predict_proba``.
    scores_ : ndarray of float of shape (n_alphas, n_betas) or None
        Score of each mixture on all hidden labels; None where there was no
        choice to make: too few labels, or only one head trained.
    log_likelihood_ : ndarray of float of shape (n_alphas, n_betas) or None
        Mean log-likelihood of the hidden labels.
    alphas_, betas_ : ndarray
        The grid.
    classes_, net_, trained_heads_, n_features_in_, feature_names_in_
        As in `DHOClassifier`.

    See Also
    --------
    DHOClassifier : One fit, with alpha and beta as given.

    Notes
    -----
    A teacher that learned from the labels, such as `CLAPTeacher` or
    `TipAdapterTeacher`, has seen the hidden ones: its probabilities for these
    rows are better than for others, and the choice leans towards the head
    trained on the teacher. Take a zero-shot teacher, or
    ``GridSearchCV`` around teacher and student together, which teaches the
    teacher anew in each fold; or keep alpha and beta as they are.

    ``partial_fit`` keeps the mixture that the first fit chose.

    References
    ----------
    .. [1] Kang et al., "Simple Semi-supervised Knowledge Distillation from
       Vision-Language Models via Dual-Head Optimization", arXiv:2505.07675,
       equation 8; its authors choose from the same grid by a validation set.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd import DHOClassifierCV, DHONet
    >>> X = np.array([[-2.0], [-1.5], [-1.0], [1.0], [1.5], [2.0]])
    >>> teacher_proba = np.repeat([[0.9, 0.1], [0.1, 0.9]], 3, axis=0)
    >>> clf = DHOClassifierCV(DHONet(max_epochs=20), random_state=0)
    >>> clf.fit(X, [0, 0, -1, -1, 1, 1], teacher_proba=teacher_proba).predict([[-3.0], [3.0]])
    array([0, 1])
    >>> clf.scores_.shape
    (21, 7)
    """

    def __init__(
        self,
        net=None,
        *,
        alphas=None,
        betas=_BETAS,
        cv=3,
        scoring=None,
        distill_weight=0.5,
        temperature=2.0,
        alpha=0.5,
        beta=1.0,
        heads="dual",
        classes=None,
        missing_label=-1,
        random_state=None,
        device="auto",
    ):
        super().__init__(
            net,
            distill_weight=distill_weight,
            temperature=temperature,
            alpha=alpha,
            beta=beta,
            heads=heads,
            classes=classes,
            missing_label=missing_label,
            random_state=random_state,
            device=device,
        )
        self.alphas = alphas
        self.betas = betas
        self.cv = cv
        self.scoring = scoring

    def _fit_net(self, net, rows, keep=False):
        if keep:
            super()._fit_net(net, rows, keep)
            return
        folds = self._folds(rows)  # errors of cv come before the long training
        super()._fit_net(net, rows)
        self._choose(rows, folds)

    def _folds(self, rows):
        has_labels, has_teacher = (rows.y >= 0).any(), rows.teacher_proba is not None
        if self._trained_heads(has_labels, has_teacher) != ("ce", "kd"):
            return []
        return hidden_folds(rows.y, self.classes_, self.cv)

    def _choose(self, rows, folds):
        """Set the mixture that is best on the hidden labels of all folds."""
        self.alphas_, self.betas_ = self._grid()
        self.alpha_, self.beta_ = self.alpha, self.beta
        self.scores_ = self.log_likelihood_ = None
        if not folds:
            return
        heads = zip(*(self._outputs(rows, fold) for fold in folds), strict=True)
        codes = rows.y[np.concatenate(folds)]
        self.scores_, self.log_likelihood_ = score_mixtures(
            *map(torch.cat, heads), codes, self.classes_, self.alphas_, self.betas_, self.scoring
        )
        i, j = best_mixture(self.scores_, self.log_likelihood_)
        self.alpha_, self.beta_ = float(self.alphas_[i]), float(self.betas_[j])

    def _outputs(self, rows, fold):
        """Return both heads' logits on a fold, by a student that never saw its labels."""
        codes = rows.y.copy()
        codes[fold] = -1
        net = self._new_net(rows.X, len(self.classes_))
        super()._fit_net(net, rows.with_labels(codes))
        return net.forward(rows.X[fold])

    def _mixture(self):
        return self.alpha_, self.beta_

    def _grid(self):
        alphas = np.linspace(0, 1, 21) if self.alphas is None else self.alphas
        return np.asarray(alphas, dtype=float), np.asarray(self.betas, dtype=float)

    def _check_params(self):
        super()._check_params()
        alphas, betas = self._grid()
        if alphas.ndim != 1 or not len(alphas) or not ((alphas >= 0) & (alphas <= 1)).all():
            raise ValueError(f"alphas must be a list of numbers in [0, 1], got {self.alphas!r}.")
        if betas.ndim != 1 or not len(betas) or not (betas > 0).all():
            raise ValueError(f"betas must be a list of numbers > 0, got {self.betas!r}.")
        if self.scoring is not None:
            get_scorer(self.scoring)  # raises for an unknown name
