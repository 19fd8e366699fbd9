"""How far labels may move the teacher's head: the penalty, chosen by labels held out."""

import numpy as np
import torch
from torch.nn import functional as F

from ._label_correction import Basis, Problem, corrected

# Strong to weak, each a fourth of the one before: the mean over them hides the gaps. A penalty
# without end is no correction, the teacher's head alone.
PENALTIES = (32.0, 8.0, 2.0, 0.5, 0.125, 0.03)

# Belief before any label speaks: one decade around a penalty of 1, which was close to the best on
# every development task, and little for no correction at all.
_PRIOR_DECADES, _PRIOR_NONE = 1.0, -2.0

# Penalties are tried from strong to weak; once one is this many nats behind the best, it and the
# weaker ones, which take the longest, have no share above exp(-20) in the mean.
_HOPELESS = 20.0
_NO_PART = 1e-3  # a share in the mean that is not worth a fit


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
    basis = Basis(features)
    whole, *folds = (
        Problem(basis, teacher_logits, codes, weight) for weight in np.asarray(fit_weight).T
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
    fits = [whole.start(), *_path(whole, posterior[1:] > _NO_PART)]
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
    >>> from skactivekd.student._correction_penalty import plan_folds
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


def _path(problem, wanted):
    """Return the parameters of every penalty; of unwanted ones, those of the one before."""
    theta, thetas = None, []
    for number, penalty in enumerate(PENALTIES):
        if wanted[number]:
            theta = problem.solve(penalty, theta)
        thetas.append(problem.start() if theta is None else theta)
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
        logits = corrected(self.theta, self.rows, self.teacher)
        loss = F.cross_entropy(logits, self.codes, reduction="none")
        return -float((self.weight * loss).sum())
