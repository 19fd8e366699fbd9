"""dho_loss and mix_heads against independent float64 computations."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from skactivekd.student import DHOLoss, DualHead, dho_loss, mix_heads


def reference_loss(ce, kd, y, teacher, weight, temperature):
    """The formula, row by row, in numpy."""
    labeled = [row for row in range(len(y)) if y[row] >= 0]
    unlabeled = [row for row in range(len(y)) if y[row] < 0]
    cross = [-log_softmax(ce[row])[y[row]] for row in labeled]

    def divergence(row):
        softened = teacher[row] ** (1 / temperature)
        softened = softened / softened.sum()
        student = log_softmax(kd[row] / temperature)
        return temperature**2 * sum(
            q * (np.log(q) - s) for q, s in zip(softened, student, strict=True) if q > 0
        )

    parts = [np.mean([divergence(row) for row in rows]) for rows in (labeled, unlabeled) if rows]
    return (1 - weight) * (np.mean(cross) if cross else 0) + weight * sum(parts)


def batch(seed, n_labeled, n_unlabeled, n_classes):
    rng = np.random.RandomState(seed)
    n = n_labeled + n_unlabeled
    ce, kd = rng.normal(0, 3, (2, n, n_classes))
    y = np.r_[rng.randint(0, n_classes, n_labeled), np.full(n_unlabeled, -1)]
    teacher = rng.dirichlet(np.full(n_classes, 0.3), n)
    order = rng.permutation(n)
    return ce, kd, y[order], teacher


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    n_labeled=st.integers(0, 9),
    n_unlabeled=st.integers(0, 9),
    n_classes=st.integers(2, 12),
    weight=st.floats(0, 1),
    temperature=st.floats(0.5, 8),
)
def test_loss_agrees_with_the_formula(seed, n_labeled, n_unlabeled, n_classes, weight, temperature):
    ce, kd, y, teacher = batch(seed, n_labeled, n_unlabeled, n_classes)
    loss = dho_loss(
        *map(torch.tensor, (ce, kd, y, teacher)), distill_weight=weight, temperature=temperature
    )
    expected = reference_loss(ce, kd, y, teacher, weight, temperature)
    assert float(loss) == pytest.approx(expected, abs=1e-6, rel=1e-9)


@pytest.mark.parametrize(("n_labeled", "n_unlabeled"), [(4, 5), (0, 5), (4, 0), (1, 1)])
def test_gradients_agree_with_the_closed_form(n_labeled, n_unlabeled):
    weight, temperature = 0.3, 2.0
    ce, kd, y, teacher = batch(7, n_labeled, n_unlabeled, 4)
    ce_t, kd_t = (torch.tensor(a, requires_grad=True) for a in (ce, kd))
    loss = dho_loss(
        ce_t,
        kd_t,
        torch.tensor(y),
        torch.tensor(teacher),
        distill_weight=weight,
        temperature=temperature,
    )
    loss.backward()
    labeled = y >= 0
    count = np.where(labeled, labeled.sum(), (~labeled).sum())[:, None]
    onehot = np.eye(4)[np.where(labeled, y, 0)]
    grad_ce = (1 - weight) * labeled[:, None] * (softmax(ce, axis=1) - onehot) / count
    softened = teacher ** (1 / temperature)
    softened /= softened.sum(axis=1, keepdims=True)
    grad_kd = weight * temperature * (softmax(kd / temperature, axis=1) - softened) / count
    np.testing.assert_allclose(ce_t.grad, grad_ce, atol=1e-6)
    np.testing.assert_allclose(kd_t.grad, grad_kd, atol=1e-6)


def test_float32_stays_close_to_float64():
    ce, kd, y, teacher = batch(3, 64, 64, 10)
    wide = dho_loss(*map(torch.tensor, (ce, kd, y, teacher)))
    narrow = dho_loss(
        *(torch.tensor(a, dtype=torch.float32) for a in (ce, kd)),
        torch.tensor(y),
        torch.tensor(teacher, dtype=torch.float32),
    )
    assert float(narrow) == pytest.approx(float(wide), rel=1e-6)


def test_certain_teacher_gives_finite_loss_and_gradients():
    kd = torch.zeros(2, 3, requires_grad=True)
    loss = dho_loss(kd, kd, torch.tensor([0, -1]), torch.eye(3)[[0, 2]])
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(kd.grad).all()


def test_no_teacher_leaves_the_full_cross_entropy():
    ce, kd, y, _ = (torch.tensor(a) for a in batch(1, 5, 0, 3))
    expected = torch.nn.functional.cross_entropy(ce, y)
    assert dho_loss(ce, kd, y, distill_weight=0.9) == pytest.approx(float(expected))


@pytest.mark.parametrize(("n_labeled", "n_unlabeled"), [(4, 5), (0, 5), (4, 0)])
def test_weights_make_weighted_means(n_labeled, n_unlabeled):
    ce, kd, y, teacher = batch(11, n_labeled, n_unlabeled, 3)
    rng = np.random.RandomState(0)
    w, v = rng.uniform(0, 3, (2, len(y)))
    labeled = y >= 0
    cross = -log_softmax(ce, axis=1)[np.arange(len(y)), np.where(labeled, y, 0)]
    softened = np.sqrt(teacher) / np.sqrt(teacher).sum(axis=1, keepdims=True)
    terms = softened * (np.log(softened) - log_softmax(kd / 2, axis=1))
    divergence = 4 * terms.sum(axis=1)
    expected = 0.4 * np.average(cross[labeled], weights=w[labeled]) if n_labeled else 0
    for half in (labeled, ~labeled):
        if half.any():
            expected += 0.6 * np.average(divergence[half], weights=v[half])
    tensors = [torch.tensor(a) for a in (ce, kd, y, teacher)]
    settings = {"distill_weight": 0.6, "temperature": 2.0}
    weights = {"sample_weight": torch.tensor(w), "teacher_weight": torch.tensor(v)}
    assert float(dho_loss(*tensors, **settings, **weights)) == pytest.approx(expected, rel=1e-6)
    module = DHOLoss(**settings)((tensors[0], tensors[1]), *tensors[2:], **weights)
    assert float(module) == pytest.approx(expected, rel=1e-6)


def test_weights_of_zero_leave_nothing():
    ce, kd, y, teacher = (torch.tensor(a, requires_grad=a.ndim == 2) for a in batch(4, 3, 3, 3))
    zero, one = torch.zeros(6), torch.ones(6)
    loss = dho_loss(ce, kd, y, teacher, sample_weight=zero, teacher_weight=zero)
    loss.backward()
    assert loss == 0
    assert ce.grad.abs().max() == kd.grad.abs().max() == 0
    ce, kd = ce.detach(), kd.detach()
    only = dho_loss(ce, kd, y, teacher, sample_weight=one, teacher_weight=zero)
    assert float(only) == pytest.approx(0.5 * float(dho_loss(ce, kd, y)))
    halves = [
        dho_loss(ce, kd, y, teacher, sample_weight=zero, teacher_weight=half.double())
        for half in (y >= 0, y < 0)
    ]
    both = dho_loss(ce, kd, y, teacher, sample_weight=zero)
    assert float(sum(halves)) == pytest.approx(float(both))


def test_module_passes_its_settings_on():
    ce, kd, y, teacher = (torch.tensor(a) for a in batch(2, 3, 3, 3))
    expected = dho_loss(ce, kd, y, teacher, distill_weight=0.2, temperature=4.0)
    assert DHOLoss(0.2, 4.0)((ce, kd), y, teacher) == expected


def test_mixture_agrees_with_the_formula():
    ce, kd, *_ = batch(5, 6, 0, 4)
    proba = mix_heads(torch.tensor(ce), torch.tensor(kd), alpha=0.3, beta=0.5)
    expected = 0.3 * softmax(ce, axis=1) + 0.7 * softmax(kd / 0.5, axis=1)
    np.testing.assert_allclose(proba, expected, atol=1e-12)


def test_shared_heads_are_one_layer():
    heads = DualHead(3, 2, shared=True)
    ce, kd = heads(torch.ones(1, 3))
    assert torch.equal(ce, kd)
    assert len(list(heads.parameters())) == 2
    assert len(list(DualHead(3, 2).parameters())) == 4
