"""CLAPTeacher: its loss, gradient and training against float64 numpy."""

import numpy as np
import pytest
import torch
from few_shot_data import CLASSES, NAMES, Directions, hide, make_rows

from skactivekd import CLAPTeacher, ZeroShotTeacher
from skactivekd.teacher import clap_loss
from skactivekd.teacher._clap import train_prototypes
from skactivekd.teacher._clap_penalty import class_multipliers

X, Y = make_rows()
WEIGHTINGS = ["standard", "balanced", "corrected", "constant"]
METRICS = ["l2", "cosine"]


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def numpy_loss(w, t, a, f, y, s, metric):
    u = w / np.linalg.norm(w, axis=1, keepdims=True)
    f = f / np.linalg.norm(f, axis=1, keepdims=True)
    cross_entropy = -np.log(softmax(s * f @ u.T)[np.arange(len(y)), y]).mean()
    if metric == "l2":
        d = ((w - t) ** 2).sum(axis=1)
    else:
        d = 1 - (u * t).sum(axis=1) / np.linalg.norm(t, axis=1)
    return cross_entropy + (a * d).sum() / len(w)


def numpy_gradient(w, t, a, f, y, s, metric):
    """By hand: through the softmax, and through the norm of each prototype."""
    norms = np.linalg.norm(w, axis=1, keepdims=True)
    u, v = w / norms, t / np.linalg.norm(t, axis=1, keepdims=True)
    f = f / np.linalg.norm(f, axis=1, keepdims=True)
    of_u = s * (softmax(s * f @ u.T) - np.eye(len(w))[y]).T @ f / len(y)
    of_w = 0
    if metric == "l2":
        of_w = 2 * a[:, None] * (w - t) / len(w)
    else:
        of_u = of_u - a[:, None] * v / len(w)
    return of_w + (of_u - (of_u * u).sum(axis=1, keepdims=True) * u) / norms


def numpy_training(t, a, f, y, s, metric, adaptive, lr, momentum, n_epochs):
    w, velocity, rho = t.copy(), 0, 0
    for epoch in range(n_epochs):
        rate = lr * ((1 + np.cos(np.pi * epoch / n_epochs)) / 2 if epoch else 1e-4)
        velocity = momentum * velocity + numpy_gradient(w, t, a, f, y, s, metric)
        w = w - rate * velocity
        if adaptive:
            cosine = (w * t).sum(axis=1) / np.linalg.norm(w, axis=1) / np.linalg.norm(t, axis=1)
            h = ((w - t) ** 2).sum(axis=1) if metric == "l2" else 1 - cosine
            a, rho = np.maximum(a + rho * h, 0), h
    return w, a


def numpy_multipliers(proba, y, weighting):
    means = [proba[y == c, c].mean() if (y == c).any() else 1 for c in range(proba.shape[1])]
    means = np.array(means)
    return {
        "standard": means,
        "balanced": np.ones(len(means)),
        "corrected": means * len(means) / means.sum(),
        "constant": np.full(len(means), means.mean()),
    }[weighting]


@pytest.fixture
def problem():
    rng = np.random.RandomState(0)
    w, t = rng.normal(size=(2, 5, 7))
    f, y = rng.normal(size=(11, 7)), rng.randint(4, size=11)  # no row of the last class
    return w, t, rng.uniform(size=5), f, y


def tensors(*arrays):
    return [torch.tensor(array) for array in arrays]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("s", [1.0, 20.0])
def test_loss_and_gradient_agree_with_numpy(problem, metric, s):
    w, *others = tensors(*problem)
    w.requires_grad_()
    loss = clap_loss(w, *others, logit_scale=s, metric=metric)
    loss.backward()
    np.testing.assert_allclose(loss.item(), numpy_loss(*problem, s, metric), rtol=1e-12)
    np.testing.assert_allclose(w.grad, numpy_gradient(*problem, s, metric), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_the_gradient_is_that_of_finite_differences(problem, metric):
    w, *others = problem
    gradient, step = numpy_gradient(w, *others, 20.0, metric), 1e-6
    for place in [(0, 0), (3, 6), (4, 2)]:
        moved = [w.copy(), w.copy()]
        moved[0][place] += step
        moved[1][place] -= step
        up, down = (numpy_loss(m, *others, 20.0, metric) for m in moved)
        assert gradient[place] == pytest.approx((up - down) / (2 * step), abs=1e-6)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_multipliers_agree_with_numpy(weighting):
    rng = np.random.RandomState(0)
    proba, y = softmax(rng.normal(size=(20, 5))), rng.randint(4, size=20)
    found = class_multipliers(*tensors(proba, y), weighting)
    np.testing.assert_allclose(found, numpy_multipliers(proba, y, weighting), rtol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("adaptive", [False, True])
def test_training_agrees_with_numpy(problem, metric, adaptive):
    _, t, a, f, y = problem
    settings = {"metric": metric, "adaptive": adaptive, "lr": 0.05, "momentum": 0.9}
    w, multipliers = train_prototypes(
        *tensors(t, a, f, y), logit_scale=5.0, max_epochs=30, batch_size=64, generator=None,
        **settings,
    )  # fmt: skip
    expected = numpy_training(t, a, f, y, 5.0, n_epochs=30, **settings)
    np.testing.assert_allclose(w, expected[0], rtol=1e-9)
    np.testing.assert_allclose(multipliers, expected[1], rtol=1e-9)
    assert (multipliers.numpy() > a).all() == adaptive


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("adaptive", [False, True])
def test_the_teacher_is_what_the_formulas_say(weighting, metric, adaptive):
    params = {"weighting": weighting, "metric": metric, "adaptive": adaptive, "lr": 0.05}
    teacher = CLAPTeacher(
        Directions(), CLASSES, logit_scale=5.0, max_epochs=20, constraint_weight=3.0, device="cpu",
        guard=False, **params,
    ).fit(X, hide(Y, 14))  # fmt: skip
    f, y = X[:14].astype(float), Y[:14]
    t = Directions().encode_text(NAMES).astype(float)
    a = 3 * numpy_multipliers(softmax(5 * f @ t.T), y, weighting)
    w, a = numpy_training(t, a, f, y, 5.0, metric, adaptive, 0.05, 0.9, 20)
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    np.testing.assert_allclose(teacher.prototypes_, w, atol=2e-6)
    np.testing.assert_allclose(teacher.multipliers_, a, rtol=1e-5)
    np.testing.assert_allclose(teacher.predict_proba(X), softmax(5 * X @ w.T), atol=1e-5)
    assert teacher.n_labeled_ == 14


@pytest.mark.thorough
def test_the_default_step_does_not_depend_on_the_scale():
    coarse, fine = (
        CLAPTeacher(Directions(), CLASSES, logit_scale=s, constraint_weight=0).fit(X, Y)
        for s in (10.0, 40.0)
    )
    assert (coarse.multipliers_ == 0).all()
    for teacher in (coarse, fine):
        moved = np.linalg.norm(teacher.prototypes_ - teacher.class_embeddings_, axis=1)
        assert ((0.001 < moved) & (moved < 1)).all()
    explicit = CLAPTeacher(Directions(), CLASSES, logit_scale=10.0, constraint_weight=0, lr=0.025)
    np.testing.assert_array_equal(explicit.fit(X, Y).prototypes_, coarse.prototypes_)


def test_a_heavy_constraint_keeps_zero_shot():
    teacher = CLAPTeacher(Directions(), CLASSES, logit_scale=5.0, constraint_weight=1e3, lr=1e-4)
    zero_shot = ZeroShotTeacher(Directions(), CLASSES, logit_scale=5.0).fit().predict_proba(X)
    free = CLAPTeacher(Directions(), CLASSES, logit_scale=5.0, lr=1e-4).fit(X, Y).predict_proba(X)
    held = teacher.fit(X, Y).predict_proba(X)
    assert np.abs(held - zero_shot).max() < 0.2 * np.abs(free - zero_shot).max()


def test_batches_cover_every_row_in_each_epoch():
    one = CLAPTeacher(Directions(), CLASSES, logit_scale=5.0, max_epochs=50, random_state=0)
    many = CLAPTeacher(
        Directions(), CLASSES, logit_scale=5.0, max_epochs=50, random_state=0, batch_size=25
    )
    proba = one.fit(X, Y).predict_proba(X), many.fit(X, Y).predict_proba(X)
    assert not np.array_equal(*proba)
    assert np.abs(proba[0] - proba[1]).max() < 0.2


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"weighting": "adaptive"}, "weighting='adaptive' must be one of"),
        ({"metric": "l1"}, "metric='l1' must be one of"),
        ({"constraint_weight": -1.0}, "constraint_weight=-1.0 must be at least 0"),
        ({"momentum": np.inf}, "momentum=inf"),
        ({"lr": 0.0}, "lr=0.0 must be above 0"),
    ],
)
@pytest.mark.parametrize("y", [None, Y])
def test_wrong_settings_raise_with_or_without_labels(params, match, y):
    with pytest.raises(ValueError, match=match):
        CLAPTeacher(Directions(), CLASSES, **params).fit(X, y)
