"""The label head as a correction of the teacher's: its penalized fit."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize

_MAX_ITER = 50  # a convex problem, scaled: it took 5 to 15 steps on 10 to 1000 rows
# Of the gradient per label: far below what moves a prediction. The first, over the root of the
# labels, holds from a hundred of them on; for fewer, whose steps cost little, the second, by label.
_TOLERANCE, _TOLERANCE_FEW = 1e-3, 1e-6
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
    >>> from skactivekd.student._residual import fit_residual
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
        total, n_classes = float(self.weight.sum()), self.teacher.shape[1]
        if not total:
            return origin
        # Steps are taken in coordinates in which the loss bends alike in all directions.
        spread = self.weight.sum() / max(n_classes, 2)
        bend = torch.cat([spread[None], self.basis.squares / max(n_classes, 2), spread[None]])
        step = (bend + penalty).rsqrt()[:, None]
        first = torch.zeros_like(origin) if start is None else (start - origin) / step
        found = minimize(
            _Objective(self, penalty, step),
            first.double().cpu().numpy().ravel(),
            jac=True,
            method="L-BFGS-B",
            options={
                "maxiter": _MAX_ITER,
                "gtol": min(_TOLERANCE / total**0.5, _TOLERANCE_FEW * total),
                "ftol": _CHANGE,
            },
        )
        return origin + step * torch.from_numpy(found.x).to(origin).reshape(origin.shape)


class _Objective:
    """The penalized loss per label and its gradient, at changes in units of `step`.

    On the CPU the arrays are numpy's: most problems are so small that calls are what they cost.
    """

    def __init__(self, problem, penalty, step):
        self.xp = np if step.device.type == "cpu" else torch
        self.rows, self.teacher, self.codes, self.weight, self.step = (
            values.detach().numpy() if self.xp is np else values.detach()
            for values in (problem.rows, problem.teacher, problem.codes, problem.weight, step)
        )
        self.penalty, self.n = penalty, float(self.weight.sum())
        self.places = self.xp.arange(len(self.codes))

    def __call__(self, x):
        xp, penalty, n_classes = self.xp, self.penalty, self.teacher.shape[1]
        change = self.step * self._take(x.reshape(len(self.step), n_classes))
        logits = self.rows @ change[1:-1]
        logits += (1 + change[0]) * self.teacher
        logits += change[-1]
        logits -= xp.amax(logits, 1)[:, None]
        own = logits[self.places, self.codes]
        error = xp.exp(logits)
        total = error.sum(1)
        loss = self.weight @ (xp.log(total) - own)
        loss = loss + penalty / 2 * ((change[1:] ** 2).sum() + change[0, 0] ** 2)
        error *= (self.weight / total)[:, None]
        error[self.places, self.codes] -= self.weight
        gradient = penalty * change
        gradient[1:-1] += self.rows.T @ error
        gradient[-1] += error.sum(0)
        # The scale is one number that stands in the first row for each class: its gradient is
        # shared out evenly, so that these stay equal.
        gradient[0] = (gradient[0, 0] + (error * self.teacher).sum()) / n_classes
        gradient *= self.step / self.n
        return float(loss) / self.n, self._give(gradient)

    def _take(self, x):
        if self.xp is np:
            return x.astype(self.step.dtype)
        return torch.from_numpy(x).to(self.step)

    def _give(self, gradient):
        if self.xp is torch:
            return gradient.double().cpu().numpy().ravel()
        return gradient.astype(np.float64).ravel()


def corrected(theta, rows, teacher_logits):
    return theta[0] * teacher_logits + rows @ theta[1:-1] + theta[-1]
