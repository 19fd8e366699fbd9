"""The part of a fit that does not depend on the labels."""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from ._image_files import Pictures

_N_ANCHORS = 16  # surest rows kept of each class; some of them may be labeled later
_N_STAND_INS = 3  # of which stand for a class without a label, together as one label
_LENGTH = 4.0  # of a typical row of features in the correction: what its penalties are scaled for
_MAX_KEPT = 2**28  # bytes of features, a quarter of what the memory of distilled students holds
# A feature that varies by less than this share of the liveliest is rounding in float32.
_CONSTANT = 1e-6
_LINEAR_ROWS = 20_000  # enough for a linear imitation of the teacher, and seconds at most


@dataclass
class Distilled:
    """A student that has learned from the teacher alone, and what it says of its pool.

    Attributes
    ----------
    net : DHONet
    shift, scale : tensor of shape (n_features,)
        Bring the backbone's features to the length that the correction's
        penalties are made for.
    input_scale : float
        The same for the inputs, where the correction sees them.
    anchors : ndarray of int of shape (n_classes, at most 16)
        Rows of the pool that are surest of each class, surest first; -1 where
        there are fewer that count.
    class_mass : ndarray of shape (n_classes,)
        Mean probability of each class over the pool.
    features : Kept or None
        The features of the pool, where it took decoding files to get them.
    """

    net: object
    shift: torch.Tensor
    scale: torch.Tensor
    input_scale: float
    anchors: np.ndarray
    class_mass: np.ndarray
    features: object = None


class Kept:
    """Features that nobody changes, so that copies share them."""

    def __init__(self, parts):
        self.rows = torch.cat(parts)

    def __deepcopy__(self, memo):
        return self


def survey(net, rows, linear=True):
    """Imitate the teacher's choices linearly too, and pass once over the pool.

    The net, trained on `rows`, is changed in place; without `linear` the imitation there stays.
    """
    heads = net.module_.heads
    if heads.n_inputs and linear and rows.teacher_proba is not None:
        imitation = imitate(rows, net)
        if imitation is not None:
            heads.set_linear(*imitation)
    total = square = mass = 0
    best, kept = None, [] if isinstance(rows.X, Pictures) and not heads.n_inputs else None
    start = n_counted = 0
    for _, kd_logits, features, _ in look(net, rows):
        if kept is not None:
            kept.append(features.cpu())
            if len(rows) * features.shape[1] * features.element_size() > _MAX_KEPT:
                kept = None
        features, proba = features.double(), torch.softmax(kd_logits.double(), dim=1)
        weight = _weights(rows, start, proba)
        total = total + (weight * features).sum(dim=0)
        square = square + (weight * features**2).sum(dim=0)
        mass = mass + (weight * proba).sum(dim=0)
        best = _surest(best, torch.where(weight > 0, proba, -1), start)
        start += len(proba)
        n_counted += float(weight.sum())
    mean = total / n_counted
    spread = (square / n_counted - mean**2).clamp(min=0).sqrt()
    constant = spread <= _CONSTANT * spread.max()
    n_parts = 2 if heads.n_inputs else 1
    length = _LENGTH / n_parts**0.5
    n_varying = max(int((~constant).sum()), 1)
    return Distilled(
        net=net,
        shift=mean.float(),
        scale=torch.where(constant, 0, length / n_varying**0.5 / spread).float(),
        input_scale=length / max(heads.n_inputs, 1) ** 0.5,
        anchors=torch.where(best[0] < 0, -1, best[1]).T.cpu().numpy(),
        class_mass=(mass / n_counted).cpu().numpy(),
        features=None if kept is None else Kept(kept),
    )


def _weights(rows, start, proba):
    """Return the weight of each row of a batch, as a column."""
    if rows.teacher_weight is None:
        return proba.new_ones(len(proba), 1)
    weight = rows.teacher_weight[start : start + len(proba)]
    return torch.as_tensor(weight, dtype=proba.dtype, device=proba.device)[:, None]


def _surest(best, proba, start):
    """Merge the surest rows of each class so far with those of another batch."""
    rows = torch.arange(start, start + len(proba), device=proba.device)
    rows = rows[:, None].expand_as(proba)
    if best is not None:
        proba, rows = torch.cat([best[0], proba]), torch.cat([best[1], rows])
    values, order = proba.topk(min(_N_ANCHORS, len(proba)), dim=0)
    return values, rows.gather(0, order)


def look(net, X):
    """Yield both heads' logits, the features and the network's inputs, batch by batch."""
    net._set_training(False)
    student = net.module_
    with torch.no_grad():
        for batch in net.get_iterator(net.get_dataset(X)):
            inputs, features = student.features(net._inputs_of(batch))
            yield *student.heads(features, inputs), features, inputs.flatten(1)


def correction_features(distilled, X, picked, corrected=False):
    """Return what a correction of some rows sees: logits (n, n_classes) and scaled features.

    The logits are the teacher head's, or with `corrected` those of the student as it is.
    """
    parts = []
    for ce_logits, kd_logits, features, inputs in _look_again(distilled, X, picked):
        scaled = (features - distilled.shift) * distilled.scale
        if distilled.net.module_.heads.n_inputs:
            scaled = torch.cat([scaled, inputs * distilled.input_scale], dim=1)
        parts.append((ce_logits if corrected else kd_logits, scaled))
    return tuple(map(torch.cat, zip(*parts, strict=True)))


def _look_again(distilled, X, picked):
    """Yield what `look` does of some rows, from the features that are known if they are."""
    if distilled.features is None:
        yield from look(distilled.net, X[picked])
        return
    heads = distilled.net.module_.heads.eval()
    features = distilled.features.rows[picked].to(heads.kd.weight.device)
    with torch.no_grad():
        yield *heads(features, features[:, :0]), features, features[:, :0]


def set_correction(distilled, residual, further=False):
    """Write a correction of scaled features into the heads, for features as they come.

    With `further` it corrects what is there already.
    """
    n_features, heads = len(distilled.shift), distilled.net.module_.heads
    weight = residual.weight[:, :n_features] * distilled.scale
    skip = residual.weight[:, n_features:] * distilled.input_scale
    bias = residual.bias - weight @ distilled.shift
    scale = residual.scale
    if further:
        weight, skip, bias = (
            scale * old + new
            for old, new in (
                (heads.ce_weight, weight),
                (heads.ce_skip, skip),
                (heads.ce_bias, bias),
            )
        )
        scale = scale * float(heads.ce_scale)
    heads.set_correction(scale, weight, skip, bias)


def stand_ins(distilled, codes):
    """Choose rows that stand for classes with one label or none; return them and their classes."""
    counts = np.bincount(codes[codes >= 0], minlength=len(distilled.anchors))
    rows, classes = [], []
    # Nobody stands for a class of which the pool seems to hold not even half a row.
    held = distilled.class_mass * len(codes) >= 0.5
    for label in np.flatnonzero((counts <= 1) & held):
        free = distilled.anchors[label]
        free = free[(free >= 0) & (codes[free] < 0)][:_N_STAND_INS]
        rows.append(free)
        classes.append(np.full(len(free), label))
    if not rows:
        return np.zeros(0, dtype=int), np.zeros(0, dtype=int)
    return np.concatenate(rows), np.concatenate(classes)


def imitate(rows, net):
    """Fit a logistic regression to the teacher's choices; None if it chooses one class throughout.

    It errs otherwise than a network does: their mean is better than either if a teacher is noisy.
    """
    n, n_classes = len(rows), net.n_classes
    drawn = np.arange(n)
    if n > _LINEAR_ROWS:
        drawn = np.sort(np.random.RandomState(0).permutation(n)[:_LINEAR_ROWS])
    choices = rows._teacher_rows(drawn).argmax(axis=1)
    found = np.unique(choices)
    if len(found) < 2:
        return None
    X = rows.X[drawn]
    weights = None if rows.teacher_weight is None else rows.teacher_weight[drawn]
    if weights is not None and len(np.unique(choices[weights > 0])) < 2:
        return None
    if weights is not None:
        # Of the network's loss only the ratios of the weights count; so here.
        weights = weights / weights[weights > 0].mean()
    # Scaled as the user has them: this is the regression one would fit by hand.
    # Coarser than scikit-learn's 1e-4: an imitation, beside that of the network.
    model = LogisticRegression(max_iter=200, tol=1e-3)
    with warnings.catch_warnings():
        # That it might still improve by a trifle, or that classes are many, is no news here.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)
        model.fit(X.astype(np.float64), choices, sample_weight=weights)
    coef, intercept = model.coef_, model.intercept_
    if len(found) == 2:
        coef, intercept = np.vstack([-coef, coef]) / 2, np.r_[-intercept, intercept] / 2
    # A class the teacher never chooses is as unlikely as one row in all.
    weight = np.zeros((n_classes, X.shape[1]))
    bias = np.full(n_classes, -np.log(len(drawn) + 1.0))
    weight[found], bias[found] = coef, intercept
    scaler = net.module_.scaler
    shift, scale = scaler.shift.cpu().double().numpy(), scaler.scale.cpu().double().numpy()
    bias = bias + weight @ shift
    return torch.from_numpy(weight * scale), torch.from_numpy(bias)
