"""The label head as a correction of the teacher's: its penalized fit."""

from dataclasses import dataclass

import numpy as np
import torch

_MAX_ITER = 50  # a convex problem, scaled: it took 5 to 15 steps on 10 to 1000 rows
_TOLERANCE = 1e-3  # of a gradient, per row: far below what moves a prediction
_CHANGE = 1e-7  # of the loss, per row: what float32 still tells apart
# Directions in which the features hardly vary, as squares in float64, are left out; the second
# number keeps features that are all zero from having any.
_FLAT, _ZERO = 1e-9, 1e-30


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
    >>> from skactivekd.student._label_correction import fit_residual
    >>> features, teacher_logits = torch.tensor([[1.0], [-1.0]]), torch.zeros(2, 2)
    >>> residual = fit_residual(features, teacher_logits, np.array([0, 1]), penalty=1.0)
    >>> residual(features, teacher_logits).argmax(dim=1)
    tensor([0, 1])
    """
    weight = np.ones(len(codes)) if sample_weight is None else np.asarray(sample_weight)
    basis = Basis(features)
    problem = Problem(basis, teacher_logits, codes, weight)
    theta = problem.start() if np.isinf(penalty) else problem.solve(penalty)
    return basis.residual(theta)


class Basis:
    """Coordinates of the features in the span of the rows: no more of them than rows."""

    def __init__(self, features):
        n, d = features.shape
        gram = features @ features.T if n < d else features.T @ features
        values, vectors = torch.linalg.eigh(gram.double())
        kept = values > _FLAT * values[-1].clamp(min=_ZERO)
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


class Problem:
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
            tolerance_change=_CHANGE * n,
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
        log_proba = corrected(theta, self.rows, self.teacher).log_softmax(dim=1)
        own = self.codes[:, None]
        loss = -(self.weight * log_proba.gather(1, own)[:, 0]).sum()
        error = log_proba.exp_().scatter_add_(
            1, own, torch.full_like(own, -1, dtype=log_proba.dtype)
        )
        error *= self.weight[:, None]
        scale = (error * self.teacher).sum() / error.shape[1]
        parts = scale.expand(1, error.shape[1]), self.rows.T @ error, error.sum(dim=0)[None]
        return loss, torch.cat(parts)


def corrected(theta, rows, teacher_logits):
    return theta[0] * teacher_logits + rows @ theta[1:-1] + theta[-1]
