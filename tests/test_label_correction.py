"""The correction of the teacher by labels: its objective, its folds, and how far it is trusted."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression

from skactivekd.student._correction_penalty import PENALTIES, choose_residual, plan_folds
from skactivekd.student._label_correction import Residual, fit_residual

INF = float("inf")

pytestmark = pytest.mark.full_training


def problem(n=20, d=4, n_classes=3, seed=0):
    """Features and teacher's logits in double precision, and labels."""
    rng = np.random.RandomState(seed)
    return rng.normal(size=(n, d)), rng.normal(size=(n, n_classes)), rng.randint(n_classes, size=n)


def tensors(*arrays):
    return tuple(map(torch.from_numpy, arrays))


def objective(flat, features, logits, codes, penalty, weight):
    """The formula of `fit_residual`, and its gradient by differences of probabilities."""
    n, d = features.shape
    n_classes = logits.shape[1]
    s, W, b = flat[0], flat[1 : 1 + n_classes * d].reshape(n_classes, d), flat[-n_classes:]
    z = s * logits + features @ W.T + b
    log_proba = z - logsumexp(z, axis=1, keepdims=True)
    loss = -(weight * log_proba[np.arange(n), codes]).sum()
    loss += penalty / 2 * ((W**2).sum() + (b**2).sum() + (s - 1) ** 2)
    error = weight[:, None] * (np.exp(log_proba) - np.eye(n_classes)[codes])
    gradient = [
        (error * logits).sum() + penalty * (s - 1),
        *(error.T @ features + penalty * W).ravel(),
        *(error.sum(axis=0) + penalty * b),
    ]
    return loss, np.array(gradient)


def flatten(residual):
    return np.r_[residual.scale, residual.weight.numpy().ravel(), residual.bias.numpy()]


def predict(residual, features, logits):
    return torch.softmax(residual(*tensors(features, logits)), dim=1).numpy()


def same(a, b, atol=1e-3):
    np.testing.assert_allclose(flatten(a), flatten(b), atol=atol)


@pytest.mark.parametrize("penalty", [0.03, 1.0, 32.0])
@pytest.mark.parametrize(("n", "d"), [(20, 4), (6, 30), (1, 5)])
def test_the_solution_is_that_of_another_optimizer(n, d, penalty):
    features, logits, codes = problem(n, d)
    weight = np.random.RandomState(1).uniform(0.5, 2, size=n)
    found = fit_residual(*tensors(features, logits), codes, penalty, weight)
    arguments = features, logits, codes, penalty, weight
    start = np.r_[1.0, np.zeros(3 * d + 3)]
    best = minimize(
        objective, start, arguments, jac=True, method="L-BFGS-B", options={"ftol": 0, "gtol": 1e-8}
    )
    loss, gradient = objective(flatten(found), *arguments)
    # The solver stops where nothing is left that would move a prediction.
    assert np.abs(gradient).max() < 0.01 * n**0.5
    assert loss - best.fun < 1e-4 * n
    exact = best.x[0], *tensors(best.x[1:-3].reshape(3, d), best.x[-3:])
    expected = predict(Residual(*exact), features, logits)
    np.testing.assert_allclose(predict(found, features, logits), expected, atol=0.01)
    rng = np.random.RandomState(2)
    for _ in range(20):
        shift = rng.normal(size=len(start))
        moved = flatten(found) + 0.1 * shift / np.linalg.norm(shift)
        assert objective(moved, *arguments)[0] > loss


def test_without_a_teacher_it_is_logistic_regression():
    features, _, codes = problem(60, 3)
    model = LogisticRegression(C=1 / 0.5, tol=1e-8, max_iter=1000)
    # A constant column in place of the intercept, which is penalized here.
    model.set_params(fit_intercept=False).fit(np.c_[features, np.ones(60)], codes)
    found = fit_residual(*tensors(features, np.zeros((60, 3))), codes, 0.5)
    assert found.scale == pytest.approx(1)
    np.testing.assert_allclose(found.weight, model.coef_[:, :3], atol=5e-3)
    np.testing.assert_allclose(found.bias, model.coef_[:, 3], atol=5e-3)
    z = found(*tensors(features, np.zeros((60, 3))))
    np.testing.assert_allclose(
        torch.softmax(z, dim=1), model.predict_proba(np.c_[features, np.ones(60)]), atol=2e-3
    )


def test_a_penalty_without_end_is_no_correction():
    features, logits, codes = problem()
    found = fit_residual(*tensors(features, logits), codes, INF)
    assert found.scale == 1
    assert not found.weight.any()
    assert not found.bias.any()
    assert torch.equal(found(*tensors(features, logits)), torch.from_numpy(logits))
    sizes = [
        float(fit_residual(*tensors(features, logits), codes, penalty).weight.norm())
        for penalty in (*PENALTIES, INF)
    ]
    assert sizes[-1] == 0 < sizes[0]
    assert sizes[:-1] == sorted(sizes[:-1])


def test_weights_are_repeated_rows():
    features, logits, codes = problem(10)
    times = np.array([0, 1, 2, 3, 1] * 2)
    weighted = fit_residual(*tensors(features, logits), codes, 0.5, times)
    rows = np.repeat(np.arange(10), times)
    repeated = fit_residual(*tensors(features[rows], logits[rows]), codes[rows], 0.5)
    same(weighted, repeated, atol=5e-3)
    plain = fit_residual(*tensors(features, logits), codes, 0.5)
    assert np.abs(flatten(plain) - flatten(weighted)).max() > 0.05


def test_more_features_than_rows_are_the_span_of_the_rows():
    """Turned into many dimensions, features give the same predictions, and weights turned alike."""
    features, logits, codes = problem(12, 5)
    turn, _ = np.linalg.qr(np.random.RandomState(0).normal(size=(40, 5)))
    few = fit_residual(*tensors(features, logits), codes, 0.5)
    many = fit_residual(*tensors(features @ turn.T, logits), codes, 0.5)
    assert many.scale == pytest.approx(few.scale, abs=1e-3)
    np.testing.assert_allclose(many.weight.numpy() @ turn, few.weight, atol=2e-3)
    # Nothing points out of the span.
    np.testing.assert_allclose(many.weight.numpy() @ turn @ turn.T, many.weight, atol=1e-6)
    np.testing.assert_allclose(many.bias, few.bias, atol=1e-3)


@pytest.mark.parametrize("features", [np.zeros((4, 3)), np.tile([[1.0, 2.0, 2.0]], (4, 1))])
def test_features_that_say_nothing_leave_the_bias(features):
    codes = np.array([0, 0, 0, 1])
    found = fit_residual(*tensors(features, np.zeros((4, 2))), codes, 0.1)
    assert np.isfinite(flatten(found)).all()
    chosen = found(*tensors(features, np.zeros((4, 2)))).argmax(dim=1)
    assert chosen.tolist() == [0, 0, 0, 0]


def test_without_rows_there_is_no_correction():
    features, logits, codes = problem()
    found = fit_residual(*tensors(features, logits), codes, 0.5, np.zeros(20))
    assert flatten(found).tolist() == [1.0] + [0.0] * 15


def test_the_scale_learns_that_a_teacher_is_too_sure():
    rng = np.random.RandomState(0)
    y = rng.randint(2, size=300)
    says = np.where(rng.uniform(size=300) < 0.3, 1 - y, y)
    logits = 8.0 * np.eye(2)[says]
    features = np.zeros((300, 1))
    found = fit_residual(*tensors(features, logits), y, 0.03)
    # Right seven times of ten: a difference of logits of log(7 / 3).
    assert 8 * found.scale == pytest.approx(np.log(7 / 3), abs=0.3)


# Folds


def folds(codes, anchors=(), weight=None, unseen_mass=0.0, seed=0):
    """Plan the folds of labels, then of anchors behind them."""
    codes = np.r_[codes, anchors].astype(int)
    is_anchor = np.arange(len(codes)) >= len(codes) - len(anchors)
    weight = np.ones(len(codes)) if weight is None else np.asarray(weight, dtype=float)
    return plan_folds(codes, is_anchor, weight, unseen_mass, np.random.RandomState(seed))


@pytest.mark.parametrize(
    ("n", "n_parts", "n_folds"),
    [
        (1, 1, 1),
        (2, 2, 2),
        (12, 12, 12),
        (13, 5, 5),
        (250, 5, 5),
        (251, 3, 3),
        (600, 3, 3),
        (601, 3, 1),
    ],
)
def test_number_of_folds(n, n_parts, n_folds):
    fit, test = folds(np.arange(n) % 2)
    assert fit.shape == test.shape == (n, 1 + n_folds)
    assert (fit[:, 0] == 1).all()
    assert not test[:, 0].any()
    for number in range(1, 1 + n_folds):
        held_out = fit[:, number] == 0
        assert abs(held_out.sum() - n / n_parts) < 1
        if n > 2:
            assert np.array_equal(test[:, number] > 0, held_out)


def test_folds_are_stratified_and_drawn():
    codes = np.r_[np.zeros(60), np.ones(30), np.full(10, 2)].astype(int)
    codes = np.random.RandomState(0).permutation(codes)
    fit, test = folds(codes)
    for number in range(1, 6):
        shares = np.bincount(codes[fit[:, number] == 0], minlength=3)
        assert np.abs(shares - [12, 6, 2]).max() <= 1
    assert (test.sum(axis=1) == 1).all()
    assert np.array_equal(folds(codes)[1], test)
    assert not np.array_equal(folds(codes, seed=1)[1], test)


def test_a_class_with_one_label_does_not_count_once_all_classes_have_some():
    fit, test = folds([0, 0, 1, 1, 2])
    assert test.sum(axis=1).tolist() == [1, 1, 1, 1, 0]
    assert fit[:, 0].tolist() == [1] * 5


@pytest.mark.parametrize("mass", [0.1, 0.5, 0.9])
def test_a_class_with_one_label_counts_as_the_classes_without_any(mass):
    _, test = folds([0, 0, 1, 1, 2, 3], unseen_mass=mass)
    counted = test.sum(axis=1)
    assert counted[4:].sum() == pytest.approx(mass * 6)
    assert counted[:4].sum() == pytest.approx((1 - mass) * 6)
    assert counted[4] == counted[5]
    assert len(set(counted[:4])) == 1


def test_labels_of_different_classes_only_count_by_that_mass():
    _, test = folds([0, 1, 2], unseen_mass=0.4)
    np.testing.assert_allclose(test.sum(axis=1), 0.4)
    _, test = folds([0, 0, 1, 1], unseen_mass=0.4)  # none is alone: nothing to share
    np.testing.assert_allclose(test.sum(axis=1), 1)


def test_stand_ins_are_only_in_fits_without_a_label_of_their_class():
    fit, test = folds([0, 0, 1], anchors=[1, 1, 1, 2, 2], unseen_mass=0.3)
    assert not test[3:].any()
    for number in range(4):
        has_label = fit[2, number] > 0
        # Those of one class weigh as one label together.
        assert fit[3:6, number].sum() == pytest.approx(0 if has_label else 1)
        assert fit[6:, number].tolist() == [0.5, 0.5]
    assert (fit[2] > 0).tolist().count(False) == 1


def test_weights_of_labels_are_in_fits_as_they_are_and_in_tests_on_the_mean():
    weight = [1, 2, 3, 6, 1, 1]
    fit, test = folds([0, 0, 1, 1], anchors=[2, 2], weight=weight, unseen_mass=0.5)
    assert fit[:4, 0].tolist() == [1, 2, 3, 6]
    assert set(fit[:4].ravel()) == {0, 1, 2, 3, 6}
    np.testing.assert_allclose(test.sum(axis=1), [1 / 3, 2 / 3, 1, 2, 0, 0])


# The choice


def cloud(n, seed=0, n_features=3):
    rng = np.random.RandomState(seed)
    features = rng.normal(size=(n, n_features))
    return features, (features[:, 0] > 0).astype(int), rng


def choose(features, logits, codes, weight=None):
    fit, test = folds(codes, weight=weight)
    return choose_residual(*tensors(features, logits), codes, fit, test)


def test_shares_sum_to_one_and_mix_the_fits():
    features, y, rng = cloud(40)
    logits = 2 * rng.normal(size=(40, 2)) + np.eye(2)[y]
    residual, shares = choose(features, logits, y)
    assert shares.shape == (1 + len(PENALTIES),)
    assert shares.sum() == pytest.approx(1)
    assert (shares >= 0).all()
    fits = [Residual(1.0, torch.zeros(2, 3).double(), torch.zeros(2).double())]
    fits += [fit_residual(*tensors(features, logits), y, penalty) for penalty in PENALTIES]
    rows = tensors(features, logits)
    expected = sum(share * fit(*rows) for share, fit in zip(shares, fits, strict=True))
    expected = torch.softmax(expected, dim=1)
    np.testing.assert_allclose(predict(residual, features, logits), expected, atol=0.01)


@pytest.mark.parametrize("seed", range(3))
def test_random_labels_are_no_reason_for_a_correction(seed):
    """The teacher gives every row one half, and so do the labels: there is nothing to add."""
    features, _, rng = cloud(200, seed, n_features=20)
    logits, codes = np.zeros((200, 2)), rng.randint(2, size=200)
    residual, shares = choose(features, logits, codes)
    assert shares[0] > 0.9
    assert np.abs(predict(residual, features, logits) - 0.5).max() < 0.05
    weak = fit_residual(*tensors(features, logits), codes, PENALTIES[-1])
    assert np.abs(predict(weak, features, logits) - 0.5).max() > 0.3


def test_labels_that_the_teacher_has_right_change_little():
    features, y, _ = cloud(100)
    logits = 6.0 * np.eye(2)[y]
    residual, _ = choose(features, logits, y)
    before = torch.softmax(torch.from_numpy(logits), dim=1)
    np.testing.assert_allclose(predict(residual, features, logits), before, atol=0.01)


def test_labels_that_contradict_the_teacher_throughout_have_their_way():
    features, y, _ = cloud(100)
    logits = 3.0 * np.eye(2)[1 - y]
    residual, shares = choose(features, logits, y)
    assert shares[-4:].sum() > 0.99  # penalties of 2 and less
    assert shares[0] < 1e-6
    assert residual.scale < 0
    assert (predict(residual, features, logits).argmax(axis=1) == y).all()


def test_more_evidence_speaks_louder():
    features, y, _ = cloud(200)
    logits = 3.0 * np.eye(2)[1 - y]
    shares = [choose(features[:n], logits[:n], y[:n])[1][0] for n in (4, 20, 200)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[2]


def test_one_label_is_no_evidence_and_leaves_the_prior():
    features, logits, codes = problem(1)
    _, shares = choose(features, logits, codes)
    log_prior = np.r_[-2.0, -(np.log10(PENALTIES) ** 2) / 2]
    np.testing.assert_allclose(shares, np.exp(log_prior) / np.exp(log_prior).sum())
