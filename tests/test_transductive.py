"""TransductiveTeacher: clusters of the pool beside the names of the classes."""

import pickle

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax
from sklearn.base import clone
from sklearn.datasets import load_digits

from skactivekd import CLAPTeacher, OpenCLIPEncoder, ZeroShotTeacher
from skactivekd.teacher import LabeledOnly, TransductiveTeacher
from skactivekd.teacher import _transductive as module
from skactivekd.utils.estimator_checks import check_teacher

CLASSES = ["ant", "bee", "cat"]
DIRECTIONS = np.eye(8)[:3] + 0.05


class Points:
    """Rows are embeddings; the names point a little beside the middle of their cluster."""

    logit_scale_ = 8.0

    def __init__(self, tilt=0.9):
        self.tilt = tilt

    def encode_image(self, X):
        X = np.asarray(X, dtype=np.float32)
        return X / np.linalg.norm(X, axis=1, keepdims=True)

    def encode_text(self, texts):
        names = [CLASSES.index(next(name for name in CLASSES if name in text)) for text in texts]
        aside = np.roll(DIRECTIONS, 1, axis=0)
        return self.encode_image((DIRECTIONS + self.tilt * aside)[names])


def draw(n, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=n)
    return DIRECTIONS[y] + 0.25 * rng.standard_normal((n, 8)), np.array(CLASSES)[y]


def names(**params):
    return ZeroShotTeacher(Points(), CLASSES, missing_label="", **params)


def written_out(f, p, later, p_later, voice, rounds, codes):
    """The formulas of the docstring, one class and one row at a time, in float64."""

    def spread(logits):
        return np.sqrt(np.mean([(row - row.mean()) ** 2 for row in logits]))

    f, later = f.astype(float), later.astype(float)
    z = p.copy()
    for _ in range(rounds):
        z = np.array([np.eye(3)[c] if c >= 0 else row for c, row in zip(codes, z, strict=True)])
        means = np.array([np.average(f, axis=0, weights=z[:, c]) for c in range(3)])
        variance = sum(z[:, c] @ (f - means[c]) ** 2 for c in range(3)) / z.sum()

        def density(rows, means=means, variance=variance):
            return np.array([[-(((x - m) ** 2) / variance).sum() / 2 for m in means] for x in rows])

        tau = voice * spread(np.log(p)) / spread(density(f))
        both = np.log(p) + tau * density(f)
        z = softmax(both, axis=1)
    scale = spread(np.log(p)) / spread(both)
    return softmax(scale * (np.log(p_later) + tau * density(later)), axis=1)


@pytest.mark.parametrize("rounds", [1, 3])
@pytest.mark.parametrize("n_labels", [0, 5])
def test_it_follows_the_formulas(rounds, n_labels):
    (X, y), (later, _) = draw(40), draw(10, seed=1)
    known = np.where(np.arange(40) < n_labels, y, "")
    teacher = TransductiveTeacher(names(), weight=0.7, max_iter=rounds).fit(X, known)
    first = names().fit()
    embed = Points().encode_image
    codes = np.where(known == "", -1, np.searchsorted(CLASSES, y))
    pool = first.predict_proba(X), embed(later), first.predict_proba(later)
    expected = written_out(embed(X), *pool, 0.7 * 40 / (40 + 2 * 3), rounds, codes)
    assert np.allclose(teacher.predict_proba(later), expected, atol=1e-5)
    assert teacher.n_rows_ == 40
    assert 0 < teacher.agreement_ <= 1


def test_clusters_correct_names_that_point_aside():
    (X, _), (later, y) = draw(300), draw(300, seed=1)
    before, after = names().fit(), TransductiveTeacher(names()).fit(X)
    assert before.score(later, y) < 0.9
    assert after.score(later, y) > before.score(later, y) + 0.05
    surer = [-np.log(t.predict_proba(later).max(axis=1)).mean() for t in (after, before)]
    assert surer[0] > 0.5 * surer[1]  # it does not count the same evidence twice


def test_without_weight_it_is_the_teacher():
    X, y = draw(60)
    for teacher in (names(), CLAPTeacher(Points(), CLASSES, missing_label="", random_state=0)):
        alone = clone(teacher).fit(X, y).predict_proba(X)
        assert np.allclose(
            TransductiveTeacher(teacher, weight=0).fit(X, y).predict_proba(X), alone, atol=1e-5
        )


def test_few_rows_and_many_labels_lower_the_voice():
    assert module._voice(1, 6, 3, 0) == 0.5
    assert module._voice(1, 6, 3, 3) == 0.25
    assert module._voice(2, 6000, 3, 0) == pytest.approx(2, abs=0.01)
    X, y = draw(60)
    few_shot = CLAPTeacher(Points(), CLASSES, missing_label="", random_state=0)
    taught = TransductiveTeacher(few_shot).fit(X, y)
    untaught = TransductiveTeacher(few_shot).fit(X)
    assert taught.tau_ < untaught.tau_


def test_blocks_change_nothing(monkeypatch):
    X, _ = draw(50)
    whole = TransductiveTeacher(names()).fit(X).predict_proba(X)
    monkeypatch.setattr(module, "_BLOCK", 21)
    assert np.allclose(TransductiveTeacher(names()).fit(X).predict_proba(X), whole, atol=1e-6)


@pytest.mark.filterwarnings("ignore::skactivekd.encoders.SkippedRowsWarning")
def test_skipped_rows_take_no_part():
    images = [Image.fromarray(image) for image in (load_digits().images[:12] * 15).astype("uint8")]
    teacher = ZeroShotTeacher(OpenCLIPEncoder(on_error="skip"))
    with_holes = TransductiveTeacher(teacher).fit([b"no picture", *images])
    without = TransductiveTeacher(teacher).fit(images)
    assert with_holes.n_rows_ == 12
    assert np.allclose(with_holes.means_, without.means_)
    assert np.allclose(with_holes.predict_proba([b"no picture", *images])[0], 0.1)
    with pytest.raises(ValueError, match="no row that the encoder could read"):
        TransductiveTeacher(teacher).fit([b"no picture"])


def test_rows_that_are_all_alike_leave_the_teacher():
    X = np.repeat(DIRECTIONS[:1], 5, axis=0)
    teacher = TransductiveTeacher(names()).fit(X)
    assert np.allclose(teacher.predict_proba(X), names().fit().predict_proba(X), atol=1e-5)


POOLS = {
    "one row": (DIRECTIONS[:1], None, {}),
    "fewer rows than classes": (DIRECTIONS[:2], None, {}),
    "labels of one class": (DIRECTIONS[:2], ["bee", "bee"], {}),
    "labels of two classes": (np.repeat(DIRECTIONS, 4, axis=0)[:8], ["ant", "bee"] * 4, {}),
    "a loud pool": (np.repeat(DIRECTIONS, 9, axis=0), None, {"weight": 1000, "max_iter": 20}),
    "opposite rows": (np.r_[DIRECTIONS[:1], -DIRECTIONS[:1]], None, {}),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", POOLS)
@pytest.mark.parametrize("learns", [False, True])
def test_odd_pools_give_probabilities(case, learns):
    X, y, params = POOLS[case]
    few_shot = CLAPTeacher(Points(), CLASSES, missing_label="", random_state=0)
    teacher = TransductiveTeacher(few_shot if learns else names(), **params).fit(X, y)
    proba = teacher.predict_proba(np.r_[X, DIRECTIONS])
    assert np.isfinite(proba).all()
    assert np.allclose(proba.sum(axis=1), 1, atol=1e-5)
    assert np.isfinite([teacher.tau_, *teacher.variances_]).all()


def test_the_public_checks_pass():
    X, y = draw(40)
    check_teacher(TransductiveTeacher(names()), X, missing_label="")
    check_teacher(TransductiveTeacher(names()), X, y, missing_label="")


def test_pickle_and_clone():
    X, _ = draw(30)
    teacher = TransductiveTeacher(names(), weight=0.5).fit(X)
    again = pickle.loads(pickle.dumps(teacher))
    assert np.array_equal(again.predict_proba(X), teacher.predict_proba(X))
    assert clone(teacher).weight == 0.5


@pytest.mark.parametrize(
    ("estimator", "X", "params", "error", "message"),
    [
        (LabeledOnly(), [[1.0]], {}, TypeError, "estimator=.*ZeroShotTeacher"),
        (ZeroShotTeacher, [[1.0]], {}, TypeError, "estimator="),
        (names(), None, {}, ValueError, "X is None.*the pool"),
        (names(), np.zeros((0, 8)), {}, ValueError, "no row"),
        (names(), "abc", {}, TypeError, "X must be an array or a list of rows"),
        (names(), np.full((2, 8), np.nan), {}, ValueError, "1 rows .* norm nan"),
        (names(), DIRECTIONS, {"weight": -1}, ValueError, "weight"),
        (names(), DIRECTIONS, {"weight": np.nan}, ValueError, "weight=nan"),
        (names(), DIRECTIONS, {"weight": np.inf}, ValueError, "weight=inf"),
        (names(), DIRECTIONS, {"weight": "1"}, (TypeError, ValueError), "weight='1'"),
        (names(), DIRECTIONS, {"max_iter": True}, (TypeError, ValueError), "max_iter=True"),
        (names(), DIRECTIONS, {"max_iter": 0}, ValueError, "max_iter"),
        (names(), DIRECTIONS, {"max_iter": 1.5}, (TypeError, ValueError), "max_iter"),
    ],
)
def test_errors_say_what_to_do(estimator, X, params, error, message):
    with pytest.raises(error, match=message):
        TransductiveTeacher(estimator, **params).fit(X)


def test_a_label_of_no_class_is_an_error():
    X, y = draw(10)
    with pytest.raises(ValueError, match="dog"):
        TransductiveTeacher(names()).fit(X, np.where(y == "bee", "dog", y).astype(object))
