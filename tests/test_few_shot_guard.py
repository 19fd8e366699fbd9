"""A few-shot teacher is no worse than zero-shot, whatever labels there are."""

import numpy as np
import pytest
from few_shot_data import NAMES, Directions, hide, make_rows

from skactivekd import (
    CLAPTeacher,
    OpenCLIPEncoder,
    TipAdapterTeacher,
    ZeroShotTeacher,
    load_glyph_digits,
)
from skactivekd.encoders._open_clip_models import GLYPH_CLASSES, GLYPH_TEMPLATES
from skactivekd.teacher import class_prompts
from skactivekd.teacher._few_shot_trust import choose_trust, evenness, keep_unlabeled

N_CLASSES, WIDTH = 10, 32
KINDS = {
    "clap": lambda **params: CLAPTeacher(max_epochs=40, **params),
    "tip": lambda **params: TipAdapterTeacher(**params),
    "tip-f": lambda **params: TipAdapterTeacher(fine_tune=True, max_epochs=20, **params),
}


class Table:
    """Embeds rows by their numbers, names by theirs."""

    cache = False

    def __init__(self, rows, names):
        self.rows, self.names = rows, names

    def encode_image(self, X):
        return self.rows[np.asarray(X)]

    def encode_text(self, texts):
        return self.names[[int(text) for text in texts]]


def weak_encoder(noise, gap=1.0, n=900, seed=0):
    """Rows about centers near the names, all of them away from the names, as images are."""
    rng = np.random.RandomState(seed)
    centers, y = rng.normal(size=(N_CLASSES, WIDTH)), rng.randint(N_CLASSES, size=n)
    rows = 0.45 * centers[y] + rng.normal(size=(n, WIDTH)) + gap * rng.normal(size=WIDTH)
    names = centers + noise * rng.normal(size=centers.shape)
    unit = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in (rows, names)]
    return Table(*(part.astype(np.float32) for part in unit)), y


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("noise", [0.3, 0.9])
@pytest.mark.parametrize("n_labels", [1, 10, 30])
def test_labels_at_random_do_no_harm(kind, noise, n_labels):
    encoder, y = weak_encoder(noise)
    settings = {"encoder": encoder, "classes": range(N_CLASSES), "templates": "{}"}
    settings["logit_scale"] = 12.0
    X, gains = np.arange(len(y)), []
    zero_shot = ZeroShotTeacher(**settings).fit().predict(X) == y
    for seed in range(3):
        order = np.random.RandomState(seed).permutation(len(y))
        known = np.full(len(y), -1)
        known[order[:n_labels]] = y[order[:n_labels]]
        teacher = KINDS[kind](random_state=0, device="cpu", **settings).fit(X, known)
        rest = order[n_labels:]
        gains.append((teacher.predict(X) == y)[rest].mean() - zero_shot[rest].mean())
    assert np.mean(gains) > -0.02


@pytest.mark.parametrize("kind", KINDS)
def test_classes_without_a_label_keep_their_rows(kind):
    X, y = make_rows()
    labeled = np.where((y == 0) & (np.arange(len(y)) < 30), y, -1)
    settings = {"encoder": Directions(), "classes": dict(enumerate(NAMES)), "logit_scale": 5.0}
    zero_shot = ZeroShotTeacher(**settings).fit().predict_proba(X)
    guarded = KINDS[kind](random_state=0, **settings).fit(X, labeled).predict_proba(X)
    np.testing.assert_allclose(guarded, zero_shot, atol=1e-5)
    published = KINDS[kind](random_state=0, guard=False, **settings).fit(X, labeled)
    assert published.predict_proba(X)[:, 0].mean() > zero_shot[:, 0].mean() + 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_equal_numbers_of_labels_are_followed(kind):
    X, y = make_rows()
    settings = {
        "encoder": Directions(),
        "classes": dict(enumerate(NAMES)),
        "logit_scale": 5.0,
        "random_state": 0,
    }
    teacher = KINDS[kind](**settings).fit(X, hide(y, 30))
    assert teacher.trust_ > 0.8
    assert teacher.seen_.all()
    published = KINDS[kind](guard=False, **settings).fit(X, hide(y, 30))
    assert published.trust_ == 1
    assert (teacher.predict(X) == published.predict(X)).mean() > 0.9


def test_equal_labels_of_blurred_rows_cost_a_fraction_of_the_published_loss():
    """Names are right and rows are half noise: one label of each class misleads."""
    X, y = load_glyph_digits(return_X_y=True)
    X, y, glyph = X[:700], y[:700], OpenCLIPEncoder()
    rows = glyph.encode_image(X)
    rows += np.random.RandomState(9).normal(size=rows.shape) / rows.shape[1] ** 0.5
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    prompts = class_prompts([str(name) for name in GLYPH_CLASSES.values()], GLYPH_TEMPLATES)
    names = np.stack([glyph.encode_text(list(texts)).mean(axis=0) for texts in prompts])
    names /= np.linalg.norm(names, axis=1, keepdims=True)
    settings = {"encoder": Table(rows, names), "classes": range(10), "templates": "{}"}
    settings["logit_scale"] = 115.0
    index, losses = np.arange(700), {True: [], False: []}
    zero_shot = ZeroShotTeacher(**settings).fit().predict(index) == y
    for seed in range(4):
        order = np.random.RandomState(seed).permutation(700)
        known = np.full(700, -1)
        for label in range(10):
            known[order[y[order] == label][:1]] = label
        rest = known < 0
        for guard, found in losses.items():
            teacher = CLAPTeacher(guard=guard, device="cpu", max_epochs=100, **settings)
            right = teacher.fit(index, known).predict(index) == y
            found.append(zero_shot[rest].mean() - right[rest].mean())
    assert np.mean(losses[False]) > 0.04
    assert np.mean(losses[True]) < np.mean(losses[False]) * 0.6


def test_belief_in_equal_labels_grows_with_those_held_out():
    trusts = []
    for n_shots in (1, 2, 4, 16):
        y = np.repeat(np.arange(5), n_shots)
        logits = np.eye(5)[y][: len(y) if n_shots > 1 else 0]
        trusts.append(choose_trust(logits, logits, y[: len(logits)], even=1.0))
    assert trusts[0] == pytest.approx(0.5)
    assert trusts == sorted(trusts)
    assert trusts[1] < 0.65
    assert trusts[-1] > 0.9


def test_the_unlabeled_keep_their_probability():
    rng = np.random.default_rng(0)
    zero_shot, taught = rng.normal(size=(2, 8, 5))
    seen = np.array([True, False, True, True, False])
    kept = keep_unlabeled(zero_shot, taught, seen)
    proba = [np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) for z in (zero_shot, taught, kept)]
    np.testing.assert_allclose(proba[2][:, ~seen], proba[0][:, ~seen])
    own = [p[:, seen] / p[:, seen].sum(axis=1, keepdims=True) for p in proba]
    np.testing.assert_allclose(own[2], own[1])
    assert keep_unlabeled(zero_shot, taught, np.ones(5, bool)) is taught


def test_trust_follows_the_evidence_and_the_draw():
    y = np.arange(60) % 3
    right, blind = 5.0 * np.eye(3)[y], np.zeros((60, 3))
    assert choose_trust(blind, right, y, even=1.0) > 0.85
    assert 0.5 < choose_trust(-right, right, y, even=0.8) <= 0.8
    assert choose_trust(right, -right, y, even=1.0) < 0.2
    nothing = np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0, int)
    assert choose_trust(*nothing, even=1.0) == pytest.approx(0.5)
    assert choose_trust(*nothing, even=0.8) == 0
    # To be too sure, but right, is no reason to be distrusted.
    np.testing.assert_allclose(
        choose_trust(blind, 100 * right, y, 1.0), choose_trust(blind, right, y, 1.0), atol=0.1
    )


def test_evenness_is_the_effective_share_of_the_classes():
    assert evenness(np.array([0, 1, 2, 2]), 3) == pytest.approx(16 / 18)
    assert evenness(np.array([1]), 10) == pytest.approx(0.1)
