"""TipAdapterTeacher: logits, choices and tuned keys against float64 numpy."""

import numpy as np
import pytest
import torch
from few_shot_data import CLASSES, NAMES, Directions, hide, make_rows
from scipy.special import log_softmax, softmax

from skactivekd import TipAdapterTeacher, ZeroShotTeacher
from skactivekd.teacher import _tip_adapter, tip_adapter_logits
from skactivekd.teacher._tip_adapter_math import (
    HeldOut,
    choose,
    cross_validate,
    judge,
    leave_one_out,
    stratified_folds,
    tune_keys,
)

X, Y = make_rows()
W = Directions().encode_text(NAMES)
ALPHAS, BETAS = (0.0, 1.0, 4.0), (0.5, 8.0)


def numpy_logits(f, w, keys, values, alpha, beta, s):
    logits = np.empty((len(f), len(w)))
    for i, row in enumerate(np.asarray(f, dtype=float)):
        for c in range(len(w)):
            vote = sum(
                np.exp(-beta * (1 - row @ key)) * value[c]
                for key, value in zip(keys, values, strict=True)
            )
            logits[i, c] = s * (row @ w[c]) + alpha * vote
    return logits


def build(**params):
    params = {"logit_scale": 5.0, "max_epochs": 20, "random_state": 0, **params}
    return TipAdapterTeacher(Directions(), CLASSES, **params)


def test_logits_agree_with_numpy():
    rng = np.random.RandomState(0)
    f, w, keys = (rng.normal(size=shape) for shape in ((9, 4), (3, 4), (6, 4)))
    f, w, keys = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (f, w, keys))
    values = np.eye(3)[rng.randint(3, size=6)]
    found = tip_adapter_logits(*map(torch.tensor, (f, w, keys, values)), 1.3, 5.5, 100.0)
    expected = numpy_logits(f, w, keys, values, 1.3, 5.5, 100.0)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("fine_tune", [False, True])
def test_the_teacher_is_what_the_formula_says(fine_tune, monkeypatch):
    monkeypatch.setattr(_tip_adapter, "_BLOCK", 7)
    teacher = build(alpha=2.0, beta=3.0, guard=False, fine_tune=fine_tune).fit(X, hide(Y, 25))
    assert (teacher.alpha_, teacher.beta_) == (2.0, 3.0)
    np.testing.assert_array_equal(teacher.key_classes_, Y[:25])
    values = np.eye(3)[Y[:25]]
    logits = numpy_logits(X, W.astype(float), teacher.keys_.astype(float), values, 2.0, 3.0, 5.0)
    np.testing.assert_allclose(teacher.predict_proba(X), softmax(logits, axis=1), atol=1e-6)
    assert np.array_equal(teacher.keys_, X[:25]) != fine_tune


def test_alpha_0_is_zero_shot():
    teacher = build(alpha=0).fit(X, Y)
    expected = ZeroShotTeacher(Directions(), CLASSES, logit_scale=5.0).fit().predict_proba(X)
    np.testing.assert_array_equal(teacher.predict_proba(X), expected)


def test_the_grid_is_judged_as_the_logits_say():
    zero_shot, values = 5.0 * X[20:] @ W.T, np.eye(3)[Y[:20]]
    zero_shot = np.concatenate([np.zeros((20, 3)), zero_shot])
    part = HeldOut(np.arange(20, 60), X[20:] @ X[:20].T, Y[:20])
    losses, hits = judge([part], zero_shot, Y, ALPHAS, BETAS)
    for line, alpha in enumerate(ALPHAS):
        for column, beta in enumerate(BETAS):
            logits = numpy_logits(X[20:], W, X[:20], values, alpha, beta, 5.0)
            expected = -log_softmax(logits, axis=1)[np.arange(40), Y[20:]]
            np.testing.assert_allclose(losses[line, column], expected, atol=1e-5)
            np.testing.assert_array_equal(hits[line, column], logits.argmax(axis=1) == Y[20:])


def test_leaving_one_out_drops_its_key_and_scales_its_class():
    y = np.array([0, 0, 0, 1, 1, 2])  # the last is alone in its class
    rows, zero_shot = X[:6], (5.0 * X[:6] @ W.T).astype(float)
    losses, hits = judge(leave_one_out(rows, y), zero_shot, y, ALPHAS, BETAS)
    assert losses.shape == hits.shape == (3, 2, 5)
    for left in range(5):
        others = np.arange(6) != left
        sums = np.exp(-8.0 * (1 - rows[others] @ rows[left])) @ np.eye(3)[y[others]]
        sums[y[left]] *= [3 / 2, 2][y[left]]
        logits = zero_shot[left] + 4.0 * sums
        assert losses[2, 1, left] == pytest.approx(-log_softmax(logits)[y[left]], abs=1e-5)
        assert hits[2, 1, left] == (logits.argmax() == y[left])


def test_the_choice_is_the_most_believable_of_the_equally_accurate():
    accuracy = np.array([[0.90, 0.88], [0.50, 0.86]])
    hits = np.arange(100) < 100 * accuracy[..., None]
    losses = np.array([[3.0, 2.0], [0.1, 1.0]])[..., None] * np.ones(100)
    assert choose(losses, hits) == (0, 1)  # one standard error is 0.03
    hits[0, 0] = True
    assert choose(losses, hits) == (0, 0)  # nothing else is as accurate
    assert choose(np.ones((2, 2, 9)), np.ones((2, 2, 9), dtype=bool)) == (0, 0)


def test_it_chooses_what_leaving_one_out_says():
    known = hide(Y, 45)
    teacher = build().fit(X, known)
    parts, zero_shot = leave_one_out(X[:45], Y[:45]), 5.0 * X[:45] @ W.T
    grid = _tip_adapter._ALPHAS, _tip_adapter._BETAS
    losses, hits = judge(parts, zero_shot, Y[:45], *grid)
    line, column = choose(losses, hits)
    assert teacher.alpha_ == _tip_adapter._ALPHAS[line] > 0
    assert teacher.beta_ == _tip_adapter._BETAS[column]
    assert build(alpha=0.3).fit(X, known).alpha_ == 0.3
    assert build(beta=0.3).fit(X, known).beta_ == 0.3


@pytest.mark.parametrize("fine_tune", [False, True])
def test_useless_labels_leave_it_near_zero_shot(fine_tune):
    rng = np.random.RandomState(0)
    X, y = np.repeat(W, 40, axis=0) + rng.normal(scale=0.1, size=(120, 6)), np.arange(120) // 40
    known = np.full(120, -1)
    known[::4] = y[::4]
    X[::4] = rng.normal(size=(30, 6))  # the labeled rows look like nothing at all
    zero_shot = build(fine_tune=fine_tune).fit()
    teacher = build(fine_tune=fine_tune).fit(X, known)
    rest = known < 0
    assert zero_shot.score(X[rest], y[rest]) > 0.9
    assert teacher.score(X[rest], y[rest]) > zero_shot.score(X[rest], y[rest]) - 0.05


@pytest.mark.parametrize("fine_tune", [False, True])
def test_with_too_few_labels_it_takes_the_default(fine_tune):
    rows = [0, 1, 2]
    teacher = build(fine_tune=fine_tune).fit(X[rows], Y[rows])
    assert (teacher.alpha_, teacher.beta_) == (4, 4)
    teacher = build(fine_tune=fine_tune, alpha=2).fit(X[rows], Y[rows])
    assert (teacher.alpha_, teacher.beta_) == (2, 4)
    teacher.fit(X[:9], Y[:9])  # nine rows that can be judged
    assert (teacher.alpha_, teacher.beta_) == (2, 4)


def tune(features, targets, **params):
    settings = {"lr": 1e-2, "max_epochs": 3, "batch_size": 8, "seed": 0, **params}
    return tune_keys(
        features, targets, class_embeddings=W, alpha=2.0, beta=3.0, logit_scale=5.0,
        device=torch.device("cpu"), **settings,
    )  # fmt: skip


def test_the_first_step_of_tuning_goes_down_the_gradient_by_hand():
    keys = tune(X[:12], Y[:12], max_epochs=1, batch_size=12, lr=1e-3)
    f, onehot = X[:12].astype(float), np.eye(3)[Y[:12]]
    proba = softmax(numpy_logits(f, W, f, onehot, 2.0, 3.0, 5.0), axis=1)
    affinity = np.exp(-3.0 * (1 - f @ f.T))  # rows, keys
    pull = (proba - onehot) @ onehot.T * 2.0 * 3.0 * affinity / 12
    gradient = pull.T @ f
    # AdamW's first step: decay by lr * 0.01, then lr * g / (|g| + eps).
    expected = f * (1 - 1e-5) - 1e-3 * gradient / (np.abs(gradient) + 1e-4)
    np.testing.assert_allclose(keys, expected, atol=1e-6)


def test_tuning_fits_the_labels_better_and_repeats():
    untuned, tuned = (
        build(alpha=2.0, beta=3.0, fine_tune=tuned, lr=0.01, batch_size=8).fit(X, Y)
        for tuned in (False, True)
    )
    losses = [-np.log(t.predict_proba(X)[np.arange(60), Y]).mean() for t in (untuned, tuned)]
    assert losses[1] < losses[0] - 0.05
    np.testing.assert_array_equal(tune(X, Y), tune(X, Y))
    assert not np.array_equal(tune(X, Y), tune(X, Y, seed=1))


def test_cross_validation_tunes_on_the_other_folds_only():
    y = np.append(Y[:29] % 2, 2)  # the last row is alone in its class
    tuned_on = []

    def spy(features, targets):
        tuned_on.append(len(targets))
        return features

    zero_shot = 5.0 * X[:30] @ W.T
    parts = cross_validate(spy, X[:30], y, n_folds=3, seed=0)
    losses, _ = judge(parts, zero_shot, y, ALPHAS, BETAS)
    assert tuned_on == [20, 20, 20]
    folds = stratified_folds(y, 3, seed=0)
    expected = []
    for fold in range(3):
        train, test = folds != fold, (folds == fold) & (y != 2)
        logits = numpy_logits(X[:30][test], W, X[:30][train], np.eye(3)[y[train]], 4.0, 8.0, 5.0)
        expected.extend(-log_softmax(logits, axis=1)[np.arange(test.sum()), y[test]])
    np.testing.assert_allclose(losses[2, 1], expected, atol=1e-5)


def test_folds_share_out_each_class():
    y = np.repeat([0, 1, 2], [7, 2, 4])
    folds = stratified_folds(y, 3, seed=0)
    for label in range(3):
        counts = np.bincount(folds[y == label], minlength=3)
        assert counts.max() - counts.min() <= 1
    assert not np.array_equal(folds, stratified_folds(y, 3, seed=1))


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"alpha": -1}, "alpha=-1 must be at least 0"),
        ({"beta": 0}, "beta=0 must be above 0"),
        ({"beta": np.inf}, "beta=inf"),
    ],
)
@pytest.mark.parametrize("y", [None, Y])
def test_wrong_settings_raise_with_or_without_labels(params, match, y):
    with pytest.raises(ValueError, match=match):
        build(**params).fit(X, y)
