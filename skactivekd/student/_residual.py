"""The label head as a correction of the teacher's: its penalized fit, and how far to trust it."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

# Strong to weak, each a fourth of the one before: the mean over them hides the gaps. A penalty
# without end is no correction, the teacher's head alone.
PENALTIES = (32.0, 8.0, 2.0, 0.5, 0.125, 0.03)

# Belief before any label speaks: one decade around a penalty of 1, which was close to the best on
# every development task, and little for no correction at all.
_PRIOR_DECADES, _PRIOR_NONE = 1.0, -2.0

# Penalties are tried from strong to weak; once one is this many nats behind the best, it and the
# weaker ones, which take the longest, have no share above exp(-20) in the mean.
_HOPELESS = 20.0

_MAX_ITER = 50
_TOLERANCE = 1e-3  # of a gradient, per row: far below what moves a prediction


@dataclass
class Residual:
    r"""A correction of the teacher's logits that is linear in the features.

    .. math:: \mathrm{logits}(x) = s \, h(x) + W z(x) + b

    Attributes
    ----------
    scale : float
        s, near 1.
    weight : tensor of shape (n_classes, n_features)
    bias : tensor of shape (n_classes,)
    """

    scale: float
    weight: torch.Tensor
    bias: torch.Tensor

    def __call__(self, features, teacher_logits):
        """Return the corrected logits, of shape (n, n_classes)."""
        return self.scale * teacher_logits + features @ self.weight.T + self.bias


def fit_residual(features, teacher_logits, codes, penalty, sample_weight=None):
    r"""Fit the correction of the teacher's logits by penalized logistic regression.

    It minimizes

    .. math:: \sum_i w_i \, \mathrm{CE}(s h_i + W z_i + b, \, y_i)
        + \frac{\lambda}{2} \left[ \|W\|^2 + \|b\|^2 + (s - 1)^2 \right] ,

    so that the teacher's logits stay where the labels say nothing.

    Parameters
    ----------
    features : tensor of shape (n, n_features)
        z of the labeled rows.
    teacher_logits : tensor of shape (n, n_classes)
        h of the labeled rows.
    codes : ndarray of int of shape (n,)
        Class of each row, in [0, n_classes).
    penalty : float > 0
        :math:`\lambda`; inf is no correction.
    sample_weight : ndarray of shape (n,), default=None
        w; None is 1 for each row.

    Returns
    -------
    residual : Residual

    References
    ----------
    .. [1] T. Yu, Z. Lu, X. Jin, Z. Chen and X. Wang, "Task residual for tuning vision-language
       models", CVPR 2023, arXiv:2211.10277, where a residual is added to a classifier made of
       text.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from skactivekd.student._residual import fit_residual
    >>> features, teacher_logits = torch.tensor([[1.0], [-1.0]]), torch.zeros(2, 2)
    >>> residual = fit_residual(features, teacher_logits, np.array([0, 1]), penalty=1.0)
    >>> residual(features, teacher_logits).argmax(dim=1)
    tensor([0, 1])
    """
    weight = np.ones(len(codes)) if sample_weight is None else np.asarray(sample_weight)
    basis = _Basis(features)
    problem = _Problem(basis, teacher_logits, codes, weight)
    theta = problem.start() if np.isinf(penalty) else problem.solve(penalty)
    return basis.residual(theta)


def choose_residual(features, teacher_logits, codes, fit_weight, test_weight):
    r"""Fit the correction, and let held-out labels say how strong its penalty should be.

    Each penalty :math:`\lambda`, and no correction, has the score

    .. math:: S(\lambda) = \log p(\lambda)
        + \sum_i v_i \log \hat p_{\lambda, -i}(y_i \mid x_i) ,

    its prior and the log-likelihood of labels that its fit was not shown. The
    fits to all labels are averaged with weights in proportion to
    :math:`\exp S(\lambda)`; as they are linear, so is their mean.

    Parameters
    ----------
    features, teacher_logits, codes
        As for `fit_residual`.
    fit_weight : ndarray of shape (n, 1 + n_folds)
        w of each row in the fit to all labels, and in that of each fold.
    test_weight : ndarray of shape (n, 1 + n_folds)
        v of each row under the fit of each fold; the first column is unused.

    Returns
    -------
    residual : Residual
    posterior : ndarray of shape (1 + len(PENALTIES),)
        Share of no correction, and of each penalty, in the mean.

    See Also
    --------
    plan_folds : Makes both weights.
    """
    basis = _Basis(features)
    whole, *folds = (
        _Problem(basis, teacher_logits, codes, weight) for weight in np.asarray(fit_weight).T
    )
    held_out = [
        _HeldOut(fold, teacher_logits, codes, weight)
        for fold, weight in zip(folds, np.asarray(test_weight).T[1:], strict=True)
        if weight.any()
    ]
    scores = np.full(1 + len(PENALTIES), -np.inf)
    for number, penalty in enumerate((np.inf, *PENALTIES)):
        scores[number] = _log_prior(penalty) + sum(part.score(penalty) for part in held_out)
        if scores[number] < scores.max() - _HOPELESS:
            break
    posterior = np.exp(scores - scores.max())
    posterior /= posterior.sum()
    # What has no part in the mean need not be fitted.
    fits = [whole.start(), *whole.path(posterior[1:] > 1e-3)]
    mean = sum(float(share) * fit for share, fit in zip(posterior, fits, strict=True))
    return basis.residual(mean), posterior


def plan_folds(codes, is_anchor, sample_weight, unseen_mass, random_state):
    """Share out the labeled rows into folds, and stand-ins for classes without labels.

    Parameters
    ----------
    codes : ndarray of int of shape (n,)
        Class of each row.
    is_anchor : ndarray of bool of shape (n,)
        Rows without a label, which the teacher is surest are of their class.
        A fit is shown them where it has no label of that class: else a class
        without labels would lose its rows to the others.
    sample_weight : ndarray of shape (n,)
        Weights of the labeled rows.
    unseen_mass : float in [0, 1]
        Share of all rows that seem to be of classes without any label.
    random_state : numpy.random.RandomState
        Deals out the rows.

    Returns
    -------
    fit_weight, test_weight : ndarray of shape (n, 1 + n_folds)
        For `choose_residual`. A held-out row whose class has no other label
        shows how a class without labels fares; all such rows together count
        with the share `unseen_mass`, so not at all once each class has one.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.student._residual import plan_folds
    >>> rng = np.random.RandomState(0)
    >>> fit, test = plan_folds(np.array([0, 0, 1]), np.zeros(3, bool), np.ones(3), 0.0, rng)
    >>> test.sum(axis=1)  # one label of class 1 says nothing of a penalty
    array([1., 1., 0.])
    """
    labeled = np.flatnonzero(~is_anchor)
    fold = np.full(len(codes), -1)
    order = labeled[np.lexsort((random_state.permutation(len(labeled)), codes[labeled]))]
    # Neighbors in this order are of one class: stratified folds.
    n_parts, n_folds = _count_folds(len(labeled))
    fold[order] = np.arange(len(labeled)) % n_parts
    masks = [~is_anchor, *(~is_anchor & (fold != number) for number in range(n_folds))]
    fit_weight = np.stack(
        [_with_anchors(codes, sample_weight, mask, is_anchor) for mask in masks], 1
    )
    test_weight = np.zeros_like(fit_weight)
    for number in range(n_folds):
        held_out = fold == number
        seen = np.isin(codes, codes[masks[number + 1]])
        test_weight[held_out & seen, number + 1] = 1
        test_weight[held_out & ~seen, number + 1] = -1
    alone, usual = test_weight < 0, test_weight > 0
    n_alone, n_usual = alone.sum(), usual.sum()
    if n_alone:
        share = unseen_mass * (n_alone + n_usual if unseen_mass and n_usual else n_alone)
        test_weight[alone] = share / n_alone
        if n_usual and unseen_mass:
            test_weight[usual] = (1 - unseen_mass) * (n_alone + n_usual) / n_usual
    weight = sample_weight / sample_weight[labeled].mean()
    return fit_weight, test_weight * weight[:, None]


def _count_folds(n_labeled):
    """Return how many parts to make of the labels, and how many of these to hold out in turn.

    Few are held out one by one; of many, one part is evidence enough.
    """
    if n_labeled <= 12:
        return max(n_labeled, 1), max(n_labeled, 1)
    if n_labeled <= 250:
        return 5, 5
    return (3, 3) if n_labeled <= 600 else (3, 1)


def _with_anchors(codes, sample_weight, mask, is_anchor):
    missing = is_anchor & ~np.isin(codes, codes[mask])
    counts = np.bincount(codes[missing], minlength=codes.max() + 1)
    return np.where(mask, sample_weight, np.where(missing, 1 / np.maximum(counts[codes], 1), 0))


def _log_prior(penalty):
    if np.isinf(penalty):
        return _PRIOR_NONE
    return -((np.log10(penalty) / _PRIOR_DECADES) ** 2) / 2


class _Basis:
    """Coordinates of the features in the span of the rows: no more of them than rows."""

    def __init__(self, features):
        n, d = features.shape
        gram = features @ features.T if n < d else features.T @ features
        values, vectors = torch.linalg.eigh(gram.double())
        kept = values > 1e-9 * values[-1].clamp(min=1e-30)
        values, vectors = values[kept], vectors[:, kept].to(features.dtype)
        self.squares = values.to(features.dtype)  # squared lengths of the columns of `rows`
        if n < d:
            self.axes = features.T @ vectors / self.squares.sqrt()
        else:
            self.axes = vectors
        self.rows = features @ self.axes

    def residual(self, theta):
        scale, weight, bias = theta[0], theta[1:-1], theta[-1]
        return Residual(float(scale[0]), (self.axes @ weight).T.contiguous(), bias.clone())


class _Problem:
    """One fit. Its parameters are a matrix: a row of scales, the weights, a row of biases."""

    def __init__(self, basis, teacher_logits, codes, weight):
        used = torch.from_numpy(np.flatnonzero(weight)).to(basis.rows.device)
        self.basis = basis
        self.rows, self.teacher = basis.rows[used], teacher_logits[used]
        self.codes = torch.as_tensor(codes, device=basis.rows.device)[used]
        self.weight = torch.as_tensor(weight, dtype=basis.rows.dtype, device=used.device)[used]

    def start(self):
        """Return the parameters of no correction."""
        theta = self.rows.new_zeros(self.rows.shape[1] + 2, self.teacher.shape[1])
        theta[0] = 1
        return theta

    def solve(self, penalty, start=None):
        """Return the parameters of a penalty, searched from those of another."""
        origin = self.start()
        n, n_classes = self.teacher.shape
        if not n:
            return origin
        # Steps are taken in coordinates in which the loss bends alike in all directions.
        spread = self.weight.sum() / max(n_classes, 2)
        bend = torch.cat([spread[None], self.basis.squares / max(n_classes, 2), spread[None]])
        step = (bend + penalty).rsqrt()[:, None]
        x = ((origin if start is None else start) - origin) / step
        x.requires_grad_(True)
        optimizer = torch.optim.LBFGS(
            [x],
            max_iter=_MAX_ITER,
            tolerance_grad=_TOLERANCE * n**0.5,
            tolerance_change=1e-7 * n,
            line_search_fn="strong_wolfe",
        )

        def closure():
            change = step * x.detach()
            loss, gradient = self._loss(origin + change)
            loss += penalty / 2 * ((change[1:] ** 2).sum() + change[0, 0] ** 2)
            gradient[1:] += penalty * change[1:]
            gradient[0] += penalty / n_classes * change[0]
            x.grad = step * gradient
            return loss

        optimizer.step(closure)
        return origin + step * x.detach()

    def _loss(self, theta):
        """Return the loss of the labels and its gradient.

        The scale is one number that stands in the first row for each class: its
        gradient is shared out evenly, so that these stay equal.
        """
        log_proba = _logits(theta, self.rows, self.teacher).log_softmax(dim=1)
        own = self.codes[:, None]
        loss = -(self.weight * log_proba.gather(1, own)[:, 0]).sum()
        error = log_proba.exp_().scatter_add_(
            1, own, torch.full_like(own, -1, dtype=log_proba.dtype)
        )
        error *= self.weight[:, None]
        scale = (error * self.teacher).sum() / error.shape[1]
        parts = scale.expand(1, error.shape[1]), self.rows.T @ error, error.sum(dim=0)[None]
        return loss, torch.cat(parts)

    def path(self, wanted=None):
        """Return the parameters of every penalty; of unwanted ones, those of the one before."""
        theta, thetas = None, []
        for number, penalty in enumerate(PENALTIES):
            if wanted is None or wanted[number]:
                theta = self.solve(penalty, theta)
            thetas.append(self.start() if theta is None else theta)
        return thetas


class _HeldOut:
    """Rows that one fit is not shown, and the last parameters of that fit."""

    def __init__(self, problem, teacher_logits, codes, weight):
        basis = problem.basis
        rows = torch.from_numpy(np.flatnonzero(weight)).to(basis.rows.device)
        self.problem, self.theta = problem, problem.start()
        self.rows, self.teacher = basis.rows[rows], teacher_logits[rows]
        self.codes = torch.as_tensor(codes, device=rows.device)[rows]
        self.weight = torch.as_tensor(weight, dtype=basis.rows.dtype, device=rows.device)[rows]

    def score(self, penalty):
        """Return the log-likelihood of the rows under the next weaker penalty."""
        if not np.isinf(penalty):
            self.theta = self.problem.solve(penalty, self.theta)
        logits = _logits(self.theta, self.rows, self.teacher)
        loss = F.cross_entropy(logits, self.codes, reduction="none")
        return -float((self.weight * loss).sum())


def _logits(theta, rows, teacher_logits):
    return theta[0] * teacher_logits + rows @ theta[1:-1] + theta[-1]
