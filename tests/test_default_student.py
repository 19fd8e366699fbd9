"""The student with everything at its default: labels correct what the teacher taught."""

import copy
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from skorch.callbacks import Callback

from skactivekd import DHOClassifier, DHONet, ZeroShotTeacher, load_glyph_digits

RNG = np.random.RandomState(0)
X = RNG.normal(size=(150, 6))
Y = X[:, :3].argmax(axis=1)
# Right four times of five, and sure of itself.
SAYS = np.where(RNG.uniform(size=150) < 0.8, Y, RNG.randint(3, size=150))
TEACHER = 0.7 * np.eye(3)[SAYS] + 0.1
NONE = np.full(150, -1)


def make(**params):
    net = DHONet(max_epochs=20, lr=0.01, module__hidden=16)
    return DHOClassifier(net, **{"classes": [0, 1, 2], "random_state": 0, **params})


def hide(n, y=Y):
    return np.where(np.arange(len(y)) < n, y, -1)


def fit(n_labels=30, teacher=TEACHER, y=Y, sample_weight=None, **params):
    clf = make(**params)
    return clf.fit(X, hide(n_labels, y), teacher_proba=teacher, sample_weight=sample_weight)


def accuracy(clf):
    return np.mean(clf.predict(X) == Y)


# The first labels


@pytest.fixture(scope="module")
def digits():
    images, y = load_glyph_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(y))[:600]
    teacher = ZeroShotTeacher().fit(images[order])
    return images[order], y[order], teacher.predict_proba(images[order])


@pytest.fixture(scope="module")
def texts():
    """Texts of four topics, each with its own words, and a teacher that mistakes a third."""
    rng = np.random.RandomState(0)
    y = rng.randint(4, size=400)
    words = [[f"word{number}" for number in rng.randint(200, size=12)] for _ in y]
    for label, text in zip(y, words, strict=True):
        text += [f"topic{label}{number}" for number in rng.randint(20, size=4)]
    rows = TfidfVectorizer().fit_transform([" ".join(text) for text in words])
    says = np.where(rng.uniform(size=400) < 0.65, y, rng.randint(4, size=400))
    return rows, y, 0.6 * np.eye(4)[says] + 0.1


@pytest.mark.slow
@pytest.mark.full_training
@pytest.mark.parametrize("data", ["digits", "texts"])
def test_first_labels_do_not_destroy_what_the_teacher_taught(data, request):
    X, y, teacher = request.getfixturevalue(data)
    classes = range(teacher.shape[1])

    def score(n, seed, **params):
        rows = np.random.RandomState(seed).permutation(len(y))[:n]
        labels = np.full(len(y), -1)
        labels[rows] = y[rows]
        clf = DHOClassifier(classes=classes, random_state=0, **params)
        return np.mean(clf.fit(X, labels, teacher_proba=teacher).predict(X) == y)

    without = score(0, 0)
    assert without > np.mean(teacher.argmax(axis=1) == y) - 0.02
    scores = {n: [score(n, seed) for seed in range(2)] for n in (1, 10)}
    assert min(map(min, scores.values())) > without - 0.04
    # Labels are for something, too.
    assert score(100, 0) > without + 0.02
    # What this is about: two heads, mixed evenly, lose much more.
    assert score(1, 0, heads="dual") < without - 0.1


@pytest.mark.parametrize("n_labels", [0, 1, 2, 5, 30, 150])
def test_labels_all_some_or_none(n_labels):
    clf = fit(n_labels)
    assert clf.trained_heads_ == (("ce", "kd") if n_labels else ("kd",))
    assert clf.predict_proba(X).shape == (150, 3)
    assert accuracy(clf) > np.mean(SAYS == Y) - 0.02
    if n_labels == 150:
        assert accuracy(clf) > np.mean(SAYS == Y) + 0.05
    # The correction leaves the teacher's own head as it is.
    taught = fit(0)
    np.testing.assert_array_equal(clf.predict_proba(X, "kd"), taught.predict_proba(X, "kd"))
    if not n_labels:
        np.testing.assert_array_equal(clf.predict_proba(X), clf.predict_proba(X, "kd"))
        assert clf.distill_weight_ == 1


@pytest.mark.parametrize(("n", "least"), [(5, 0.75), (20, 0.45), (60, 0.35)])
def test_a_class_without_labels_does_not_lose_all_its_rows(n, least):
    labels = np.where((np.arange(150) < n) & (Y != 2), Y, -1)

    def recall(labels, **params):
        clf = make(**params).fit(X, labels, teacher_proba=TEACHER)
        return np.mean(clf.predict(X)[Y == 2] == 2)

    assert recall(NONE) > 0.8
    assert recall(labels) > least
    assert recall(labels, heads="dual") < least


def test_one_class_and_two():
    only = DHOClassifier(DHONet(max_epochs=2), random_state=0)
    only.fit(X, np.where(np.arange(150) < 3, 7, -1), teacher_proba=np.ones((150, 1)))
    assert only.predict_proba(X).tolist() == [[1.0]] * 150
    y = (Y == 0).astype(int)
    teacher = np.c_[1 - TEACHER[:, 0], TEACHER[:, 0]]
    clf = make(classes=None).fit(X, hide(20, y), teacher_proba=teacher)
    assert clf.predict_proba(X).shape == (150, 2)
    assert np.mean(clf.predict(X) == y) > 0.85


@pytest.mark.parametrize("n_labels", [0, 10, 60])
def test_sparse_and_dense_rows_nearly_agree(n_labels, texts):
    rows, y, teacher = texts
    found = [
        make(classes=range(4)).fit(values, hide(n_labels, y), teacher_proba=teacher)
        for values in (rows, rows.toarray())
    ]
    proba = found[0].predict_proba(rows)
    np.testing.assert_allclose(found[0].predict_proba(rows.toarray()), proba, atol=1e-6)
    other = found[1].predict_proba(rows.toarray())
    assert np.mean(proba.argmax(axis=1) == other.argmax(axis=1)) > 0.9
    twin = make(classes=range(4)).fit(
        sparse.csr_array(rows), hide(n_labels, y), teacher_proba=teacher
    )
    np.testing.assert_array_equal(twin.predict_proba(rows), proba)


# Weights


def test_class_weights_favor_a_class():
    share = {
        weight: fit(class_weight={0: weight}, y=np.where(np.arange(150) % 2, Y, 0))
        .predict_proba(X)[:, 0]
        .mean()
        for weight in (0.1, 1.0, 10.0)
    }
    assert share[0.1] < share[1.0] < share[10.0]
    plain = fit().predict_proba(X)
    np.testing.assert_array_equal(fit(class_weight={1: 1.0}).predict_proba(X), plain)
    with pytest.raises(ValueError, match=r"class_weight names \[3\], .* \[0, 1, 2\]"):
        fit(class_weight={0: 1.0, 3: 2.0})
    with pytest.raises(ValueError, match="class_weight"):
        fit(class_weight="even")


def test_balanced_weights_help_a_rare_class():
    rare = np.flatnonzero(Y == 2)[:3]
    labels = np.where((np.arange(150) < 100) & (Y != 2), Y, -1)
    labels[rare] = 2
    teacher = np.full((150, 3), 1 / 3)  # does not know
    recall = [
        np.mean(
            make(class_weight=weight).fit(X, labels, teacher_proba=teacher).predict(X)[Y == 2] == 2
        )
        for weight in (None, "balanced")
    ]
    assert recall[1] > recall[0] + 0.1
    even = np.r_[np.flatnonzero(Y == 0)[:9], np.flatnonzero(Y == 1)[:9], np.flatnonzero(Y == 2)[:9]]
    labels = np.full(150, -1)
    labels[even] = Y[even]
    plain, balanced = (
        make(class_weight=weight).fit(X, labels, teacher_proba=TEACHER).predict_proba(X)
        for weight in (None, "balanced")
    )
    np.testing.assert_array_equal(balanced, plain)


def test_a_weight_of_zero_takes_a_label_away():
    """The teacher's answer of the row counts for nothing either, in both fits."""
    weight = np.where(np.arange(150) < 10, 0.0, 1.0)
    labels = hide(30)
    with_labels = make().fit(X, labels, teacher_proba=TEACHER, sample_weight=weight)
    labels[:10] = -1
    without = make().fit(X, labels, teacher_proba=TEACHER, sample_weight=weight)
    np.testing.assert_array_equal(with_labels.predict_proba(X), without.predict_proba(X))
    wrong = hide(30, (Y + 1) % 3)
    wrong[10:30] = Y[10:30]
    ignored = make().fit(X, wrong, teacher_proba=TEACHER, sample_weight=weight)
    np.testing.assert_array_equal(ignored.predict_proba(X), without.predict_proba(X))


def test_without_a_teacher_weights_are_repeated_rows():
    """The same as scikit-learn's check, to the precision of float32."""
    times = np.random.RandomState(0).randint(3, size=60)
    rows = np.repeat(np.arange(60), times)
    # All rows in one batch: else other ones would meet in it.
    net = DHONet(max_epochs=20, batch_size=-1, module__hidden=16)
    for values in (X[:60], sparse.csr_array(X[:60])):
        weighted = DHOClassifier(net, random_state=0).fit(values, Y[:60], sample_weight=times)
        repeated = DHOClassifier(net, random_state=0).fit(values[rows], Y[rows])
        expected = repeated.predict_proba(values)
        np.testing.assert_allclose(weighted.predict_proba(values), expected, atol=2e-6)


# How far the teacher is followed


def test_distill_weight_goes_from_the_labels_to_the_teacher():
    wrong = (Y + 1) % 3  # so that it is seen which of the two is followed
    weights = [0, 0.05, 0.5, 0.95, 0.999, 1]
    agree = []
    for weight in weights:
        clf = fit(60, y=wrong, distill_weight=weight)
        assert clf.distill_weight_ == weight
        agree.append(np.mean(clf.predict_proba(X)[np.arange(150), wrong]))
    assert agree[1:] == sorted(agree[1:], reverse=True)
    assert min(agree[:2]) > 0.4
    assert agree[-1] < 0.3
    teacher_only = fit(60, y=wrong, distill_weight=1).predict_proba(X)
    np.testing.assert_array_equal(teacher_only, fit(0).predict_proba(X))
    labels_only = make().fit(X, hide(60, wrong)).predict_proba(X)
    np.testing.assert_array_equal(fit(60, y=wrong, distill_weight=0).predict_proba(X), labels_only)


def test_auto_follows_the_evidence():
    right = np.where(np.arange(150) < 150, SAYS, Y)  # labels as the teacher has them
    trusted = fit(100, y=right, distill_weight="auto").distill_weight_
    doubted = fit(100, y=(Y + 1) % 3, distill_weight="auto").distill_weight_
    assert 0 < doubted < trusted < 1
    assert fit(0).distill_weight_ == 1
    assert fit(teacher=None).distill_weight_ == 0
    with pytest.raises(ValueError, match="must be 'auto' or in"):
        fit(distill_weight="some")


@pytest.mark.parametrize("params", [{"alpha": 0.7}, {"beta": 2.0}])
@pytest.mark.parametrize("heads", ["residual", "single"])
def test_a_mixture_is_for_two_heads(heads, params):
    with pytest.raises(ValueError, match="mix the two heads of heads='dual'"):
        fit(heads=heads, **params)
    clf = fit(heads=heads).set_params(**params)
    with pytest.raises(ValueError, match="mix the two heads of heads='dual'"):
        clf.predict_proba(X)
    fit(heads="dual", **params).predict_proba(X)


# Training on


def test_partial_fit_with_labels_alone_corrects_further():
    clf = fit(0)
    before, kd = clf.predict_proba(X), clf.predict_proba(X, "kd")
    n_epochs = len(clf.net_.history)
    clf.partial_fit(X[:60], Y[:60])
    assert clf.trained_heads_ == ("ce", "kd")
    assert len(clf.net_.history) == n_epochs  # nothing was trained
    np.testing.assert_array_equal(clf.predict_proba(X, "kd"), kd)
    gain = np.mean(clf.predict_proba(X)[np.arange(150), Y] - before[np.arange(150), Y])
    assert gain > 0.02
    # One label later, what the first 60 taught is still there.
    known = accuracy(clf)
    clf.partial_fit(X[100:101], Y[100:101])
    assert accuracy(clf) > known - 0.03


def test_partial_fit_without_labels_trains_the_teacher_on():
    clf = fit(60)
    known, n_epochs = accuracy(clf), len(clf.net_.history)
    clf.partial_fit(X, NONE, teacher_proba=TEACHER)
    assert len(clf.net_.history) == 2 * n_epochs
    assert clf.trained_heads_ == ("ce", "kd")
    assert accuracy(clf) > known - 0.05


def test_warm_start_trains_on_and_corrects_anew():
    clf = fit(60, y=(Y + 1) % 3, warm_start=True)
    wrong = accuracy(clf)
    clf.fit(X, hide(60), teacher_proba=TEACHER)
    assert len(clf.net_.history) == 40
    # Nothing is left of a correction that was wrong.
    assert accuracy(clf) > 0.8 > wrong + 0.1


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_what_cannot_be_trained_on_is_refused(method):
    clf = fit(warm_start=True).set_params(heads="dual")
    with pytest.raises(ValueError, match="was fitted with heads='residual'"):
        getattr(clf, method)(X, hide(30), teacher_proba=TEACHER)
    clf = fit(warm_start=True).set_params(distill_weight=0)
    with pytest.raises(ValueError, match="this student started from one"):
        getattr(clf, method)(X, hide(30), teacher_proba=TEACHER)
    clf = fit(teacher=None, warm_start=True)
    getattr(clf, method)(X, hide(30))
    with pytest.raises(ValueError, match="The first fit had no teacher"):
        getattr(clf, method)(X, hide(30), teacher_proba=TEACHER)


def test_copies_and_clones():
    clf = fit()
    expected = clf.predict_proba(X)
    for twin in (pickle.loads(pickle.dumps(clf)), copy.deepcopy(clf)):
        np.testing.assert_array_equal(twin.predict_proba(X), expected)
        twin.partial_fit(X[:60], Y[:60])
        assert not np.array_equal(twin.predict_proba(X), expected)
    np.testing.assert_array_equal(clf.predict_proba(X), expected)
    again = clone(clf)
    assert again.get_params()["distill_weight"] == "auto"
    assert not hasattr(again, "net_")
    again.fit(X, hide(30), teacher_proba=TEACHER)
    np.testing.assert_array_equal(again.predict_proba(X), expected)


# What fails leaves the model as it was


class Interrupt(Callback):
    armed = False

    def on_epoch_end(self, net, **kwargs):
        if self.armed:
            raise KeyboardInterrupt


def spoiled(kind):
    """Arguments of a fit that fails, its error, and how to provoke it."""
    other = np.array(["a", "b", "c", ""], dtype=object)[np.where(np.arange(150) < 30, Y, -1)]
    good = {"y": hide(30), "teacher_proba": TEACHER}
    return {
        "teacher": ({**good, "teacher_proba": np.where(X[:, :3] > 2, np.nan, TEACHER)}, ValueError),
        "labels": ({**good, "y": other}, ValueError),
        "rows": ({**good, "y": hide(30)[:100]}, ValueError),
        "interrupt": (good, KeyboardInterrupt),
    }[kind]


@pytest.mark.parametrize("kind", ["teacher", "labels", "rows", "interrupt"])
@pytest.mark.parametrize("method", ["fit", "warm", "partial_fit"])
def test_a_fit_that_fails_leaves_the_model_as_it_was(kind, method, monkeypatch):
    net = DHONet(max_epochs=5, module__hidden=16, callbacks=[("stop", Interrupt())])
    params = {"warm_start": method == "warm", "random_state": 0, "reuse": False}
    clf = DHOClassifier(net, **params).fit(X, hide(40), teacher_proba=TEACHER)
    expected, attributes = clf.predict_proba(X), dict(vars(clf))
    monkeypatch.setattr(Interrupt, "armed", kind == "interrupt")
    arguments, error = spoiled(kind)
    with pytest.raises(error):
        getattr(clf, method.replace("warm", "fit"))(X[:, ::-1], **arguments)
    assert set(vars(clf)) == set(attributes)
    assert all(vars(clf)[name] is value for name, value in attributes.items())
    np.testing.assert_array_equal(clf.predict_proba(X), expected)
    monkeypatch.setattr(Interrupt, "armed", False)
    # The seeds go on from where they were, too.
    again = DHOClassifier(net, **params).fit(X, hide(40), teacher_proba=TEACHER)
    for model in (clf, again):
        model.partial_fit(X, hide(40), teacher_proba=TEACHER)
    np.testing.assert_array_equal(clf.predict_proba(X), again.predict_proba(X))


# Memory, threads, warnings


class Sliced(np.memmap):
    """Notes how many rows are taken of it at a time, and does not let all be copied."""

    taken = ()

    def __getitem__(self, index):
        part = super().__getitem__(index)
        type(self).taken = max(type(self).taken, (len(part),) if np.ndim(part) == 2 else ())
        return np.array(part)

    def copy(self, *args, **kwargs):
        raise AssertionError("copied")

    astype = copy


def test_a_teacher_on_disk_is_read_in_parts(tmp_path):
    n = 40_000
    rows = np.random.RandomState(0).normal(size=(n, 4)).astype(np.float32)
    says = np.random.RandomState(1).dirichlet(np.ones(120), size=n)
    np.save(tmp_path / "teacher.npy", says)
    opened = np.load(tmp_path / "teacher.npy", mmap_mode="r")
    teacher = Sliced(
        opened.filename, dtype=opened.dtype, mode="r", offset=opened.offset, shape=opened.shape
    )
    Sliced.taken = ()
    clf = DHOClassifier(DHONet(torch.nn.Identity, max_epochs=1), random_state=0)
    labels = np.where(np.arange(n) < 20, 0, -1)
    clf.set_params(classes=range(120)).fit(rows, labels, teacher_proba=teacher)
    assert 0 < Sliced.taken[0] <= n // 2
    plain = clone(clf).set_params(reuse=False).fit(rows, labels, teacher_proba=says)
    np.testing.assert_array_equal(clf.predict_proba(rows[:100]), plain.predict_proba(rows[:100]))


@pytest.mark.thorough
@pytest.mark.parametrize("reuse", [True, False])
def test_fits_in_threads_are_those_of_one(reuse):
    seeds = [0, 1, 0, 2, 0, 1, 2, 0]
    expected = {seed: fit(random_state=seed, reuse=False).predict_proba(X) for seed in set(seeds)}
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda seed: fit(random_state=seed, reuse=reuse), seeds))
    for seed, clf in zip(seeds, found, strict=True):
        np.testing.assert_array_equal(clf.predict_proba(X), expected[seed])


def test_what_the_linear_imitation_warns_of_is_not_the_users_business():
    # Far from converged after any number of steps: a column a million times the others.
    rows = X * np.r_[1e6, np.ones(5)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(reuse=False).fit(rows, hide(20), teacher_proba=TEACHER)
    from skactivekd.student import _distillation

    class Loud:
        def __init__(self, **params):
            pass

        def fit(self, X, y, sample_weight=None):
            from sklearn.exceptions import ConvergenceWarning

            warnings.warn("no convergence", ConvergenceWarning, stacklevel=1)
            raise RuntimeError("reached")

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error")
        patch.setattr(_distillation, "LogisticRegression", Loud)
        with pytest.raises(RuntimeError, match="reached"):
            make(reuse=False).fit(X, hide(20), teacher_proba=TEACHER)
