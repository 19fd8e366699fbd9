"""DHOClassifier: labels, inputs, heads, reproducibility."""

import copy
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits, make_blobs
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import cross_val_score

from skactivekd import DHOClassifier, DHONet, LabeledStratifiedKFold

N_LABELED = 15


@pytest.fixture(scope="module")
def blobs():
    """X, y, y with most labels hidden, and a teacher that is right but unsure."""
    X, y = make_blobs(120, centers=3, n_features=4, cluster_std=1.5, random_state=0)
    hidden = np.where(np.arange(120) < N_LABELED, y, -1)
    return X, y, hidden, 0.7 * np.eye(3)[y] + 0.1


def student(**params):
    params = {"random_state": 0, **params}
    return DHOClassifier(DHONet(max_epochs=40, lr=0.01, module__hidden=16), **params)


@pytest.fixture(scope="module")
def fitted(blobs):
    X, _, hidden, teacher = blobs
    return student().fit(X, hidden, teacher_proba=teacher)


def test_learns_from_few_labels_and_a_teacher(blobs, fitted):
    X, y, *_ = blobs
    assert fitted.score(X, y) > 0.9
    assert fitted.trained_heads_ == ("ce", "kd")
    proba = fitted.predict_proba(X)
    assert proba.shape == (120, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-5)


def test_score_counts_labeled_rows_only(blobs, fitted):
    X, y, hidden, _ = blobs
    assert fitted.score(X, hidden) == fitted.score(X[:N_LABELED], y[:N_LABELED])
    with pytest.raises(ValueError, match="needs labeled rows"):
        fitted.score(X, np.full(120, -1))


def test_teacher_alone_teaches_the_unlabeled(blobs):
    X, y, _, teacher = blobs
    clf = student().fit(X, np.full(120, -1), teacher_proba=teacher)
    assert clf.trained_heads_ == ("kd",)
    assert clf.classes_.tolist() == [0, 1, 2]
    assert clf.score(X, y) > 0.9


def test_labels_alone_are_plain_supervision(blobs):
    X, _y, hidden, teacher = blobs
    for heads in ("residual", "dual", "single"):
        alone = student(heads=heads).fit(X, hidden)
        assert alone.trained_heads_ == ("ce",)
        assert alone.distill_weight_ == 0
        unused = student(heads=heads, distill_weight=0).fit(X, hidden, teacher_proba=teacher)
        assert np.array_equal(alone.predict_proba(X), unused.predict_proba(X))
        labels_only = student(heads=heads).fit(X[:N_LABELED], hidden[:N_LABELED])
        # By default the unlabeled rows have a say in how the input is scaled, and only there.
        same = np.array_equal(alone.predict_proba(X), labels_only.predict_proba(X))
        assert same == (heads != "residual")


def test_weight_one_is_pure_distillation(blobs):
    X, _, hidden, teacher = blobs
    wrong = np.where(hidden >= 0, (hidden + 1) % 3, -1)
    clf = student(distill_weight=1).fit(X, hidden, teacher_proba=teacher)
    other = student(distill_weight=1).fit(X, wrong, teacher_proba=teacher)
    assert clf.trained_heads_ == ("kd",)
    assert np.array_equal(clf.predict_proba(X), other.predict_proba(X))


def test_single_head_is_one_distribution(blobs):
    X, _, hidden, teacher = blobs
    clf = student(heads="single").fit(X, hidden, teacher_proba=teacher)
    assert np.array_equal(clf.predict_proba(X), clf.predict_proba(X, head="ce"))
    with pytest.raises(ValueError, match="not trained"):
        clf.predict_proba(X, head="kd")


def test_mixture_follows_alpha_and_beta_after_fit(blobs):
    X, _, hidden, teacher = blobs
    clf = student(heads="dual").fit(X, hidden, teacher_proba=teacher)
    ce, kd = clf.predict_proba(X, head="ce"), clf.predict_proba(X, head="kd")
    clf.set_params(alpha=0.25)
    np.testing.assert_allclose(clf.predict_proba(X), 0.25 * ce + 0.75 * kd, atol=1e-6)
    clf.set_params(alpha=0.0, beta=0.5)
    sharper = kd**2 / (kd**2).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(clf.predict_proba(X), sharper, atol=1e-5)
    with pytest.raises(ValueError, match="alpha must be in"):
        clf.set_params(alpha=2).predict(X)


@pytest.mark.parametrize(
    ("names", "missing_label"),
    [
        (["ape", "bee", "cat"], "?"),
        (["ape", "bee", "cat"], None),
        (["ape", "bee", "cat"], np.nan),
        ([0, 2, 5], -1),
        ([0.0, 1.0, 2.0], np.nan),
        ([-3, -2, -1], -9),
        ([True, False], -1),
    ],
)
def test_any_kind_of_label(blobs, names, missing_label):
    X, y, hidden, _teacher = blobs
    rows = y < len(names)
    X, hidden = X[rows], hidden[rows]
    labels = [names[code] if code >= 0 else missing_label for code in hidden]
    clf = student(missing_label=missing_label).fit(X, labels)
    assert clf.classes_.tolist() == sorted(names)
    predicted = clf.predict(X)
    assert set(predicted.tolist()) <= set(names)
    assert clf.score(X, labels) > 0.8


def test_list_series_and_array_of_labels_agree(blobs):
    X, _, hidden, _ = blobs
    y = [str(code) if code >= 0 else None for code in hidden]
    fits = [
        student(missing_label=None).fit(X, labels).predict_proba(X)
        for labels in (y, np.array(y, dtype=object), pd.Series(y, dtype=object))
    ]
    assert np.array_equal(fits[0], fits[1])
    assert np.array_equal(fits[0], fits[2])


def test_declared_class_without_a_label(blobs):
    X, _, hidden, teacher = blobs
    hidden = np.where(hidden == 2, -1, hidden)
    clf = student(classes=[0, 1, 2]).fit(X, hidden, teacher_proba=teacher)
    assert clf.predict_proba(X).shape == (120, 3)
    assert 2 in clf.classes_[clf.predict_proba(X, head="kd").argmax(axis=1)]
    with pytest.raises(ValueError, match=r"3 columns for the 2 classes .* in classes="):
        student().fit(X, hidden, teacher_proba=teacher)


def test_columns_follow_classes_as_given(blobs):
    X, _y, hidden, teacher = blobs
    reference = student().fit(X, hidden, teacher_proba=teacher)
    clf = student(classes=[2, 0, 1]).fit(X, hidden, teacher_proba=teacher[:, [2, 0, 1]])
    assert clf.classes_.tolist() == [0, 1, 2]
    assert np.array_equal(clf.predict_proba(X), reference.predict_proba(X))


def test_one_label_per_class_of_many_is_no_regression():
    X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    student = DHOClassifier(DHONet(max_epochs=1), random_state=0)
    assert len(student.fit(X, np.r_[np.arange(40), [-1] * 20]).classes_) == 40


def test_one_class_and_one_row(blobs):
    X, _, hidden, teacher = blobs
    only = np.where(hidden == 0, 0, -1)
    assert student().fit(X, only).predict_proba(X).shape == (120, 1)
    single = np.full(120, -1)
    single[5] = 2
    clf = student(classes=[0, 1, 2]).fit(X, single, teacher_proba=teacher)
    assert (clf.predict_proba(X, head="kd").argmax(axis=1) == blobs[1]).mean() > 0.8
    assert student().fit(X[:1], [7]).predict(X[:2]).tolist() == [7, 7]


@pytest.mark.parametrize(
    "convert",
    [
        lambda X: X.astype(np.float32),
        lambda X: X.tolist(),
        lambda X: pd.DataFrame(X, columns=list("abcd")),
        sparse.csr_matrix,
        sparse.csr_array,
        sparse.csc_array,
        np.asfortranarray,
    ],
)
def test_forms_of_x_agree(blobs, convert):
    X, _, hidden, teacher = blobs
    Z = convert(X)
    # By default the columns of a sparse X are not centered.
    heads = "dual" if sparse.issparse(Z) else "residual"
    expected = student(heads=heads).fit(X, hidden, teacher_proba=teacher).predict_proba(X)
    clf = student(heads=heads).fit(Z, hidden, teacher_proba=teacher)
    np.testing.assert_allclose(clf.predict_proba(Z), expected, atol=1e-3)
    if hasattr(Z, "columns"):
        assert clf.feature_names_in_.tolist() == list("abcd")


@pytest.mark.parametrize("shape", [(6, 6), (6, 6, 1), (6, 6, 3), (3, 6, 6), (1, 6, 6)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_images(shape, dtype):
    rng = np.random.RandomState(0)
    y = np.arange(40) % 2
    X = rng.randint(0, 60, (40, *shape)) + 150 * y.reshape(-1, *[1] * len(shape))
    X = X.astype(np.uint8) if dtype == np.uint8 else X / 255
    clf = DHOClassifier(DHONet(max_epochs=15, lr=0.01), random_state=0)
    clf.fit(X, np.where(np.arange(40) < 20, y, -1))
    assert clf.score(X, y) > 0.9
    with pytest.raises(ValueError, match="rows of shape"):
        clf.predict(X[:, :, :5])


def test_errors_say_what_to_do(blobs):
    X, _y, hidden, teacher = blobs
    cases = [
        (student(missing_label=np.nan), hidden, None, r"did you mean missing_label=-1"),
        (student(), np.where(hidden < 0, np.nan, hidden), None, "missing_label=np.nan"),
        (student(), np.array(["a", None] * 60, dtype=object), None, "missing_label=None"),
        (student(), np.array(["a", "-1"] * 60), None, "an object array"),
        (student(), np.array(["a", 3] * 60, dtype=object), None, "mixes strings and numbers"),
        (student(), np.full(120, -1), None, "nothing to learn from"),
        (student(distill_weight=0), np.full(120, -1), teacher, "nothing to learn from"),
        (student(classes=[0, 1]), hidden, None, r"labels \[2\]"),
        (student(classes=[0, 1, 1]), hidden, None, "1 more than once"),
        (student(), hidden, teacher[:50], "each of the 120 rows of X, but has 50"),
        (student(), hidden, teacher * 2, "teacher_proba: row 0 .* softmax"),
        (student(), hidden, np.where(np.eye(120, 3, -7), np.nan, teacher), "row 7 "),
        (student(temperature=0), hidden, teacher, "temperature=0 must be above 0"),
        (
            student(distill_weight=1.5),
            hidden,
            teacher,
            r"must be 'auto' or in \[0, 1\], got 1.5",
        ),
        (student(heads="triple"), hidden, teacher, "heads='triple' must be"),
    ]
    for clf, labels, proba, message in cases:
        with pytest.raises(ValueError, match=message):
            clf.fit(X, labels, teacher_proba=proba)
    with pytest.raises(ValueError, match="head='both' must be"):
        student().fit(X, hidden).predict_proba(X, head="both")


def test_a_class_the_teacher_does_not_know_gets_none_of_its_mass(blobs):
    X, _y, hidden, teacher = blobs
    from skactivekd.student._soft_labels import SoftLabeled

    partial = teacher[:, :2] / teacher[:, :2].sum(axis=1, keepdims=True)
    taught = SoftLabeled(X, partial, np.array([0, 1]))
    with pytest.raises(ValueError, match=r"labels \[2\]"):
        student().fit(taught, hidden)
    clf = student(classes=[0, 1, 2]).fit(taught, hidden)
    assert clf.predict_proba(X, head="kd")[:, 2].max() < 0.2


def test_same_seed_same_bits(blobs, fitted):
    X, _, hidden, teacher = blobs
    again = student().fit(X, hidden, teacher_proba=teacher)
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X))
    other = student(random_state=1).fit(X, hidden, teacher_proba=teacher)
    assert not np.array_equal(other.predict_proba(X), fitted.predict_proba(X))


@pytest.mark.full_training
@pytest.mark.thorough
def test_same_bits_in_another_process(tmp_path):
    script = (
        "import sys; import numpy as np; from skactivekd import DHOClassifier, DHONet;"
        "from sklearn.datasets import load_digits;"
        "X, y = load_digits(return_X_y=True); y[50:] = -1;"
        "np.save(sys.argv[1], DHOClassifier(DHONet(max_epochs=3), random_state=0)"
        ".fit(X[:300], y[:300]).predict_proba(X[:300]))"
    )
    file = tmp_path / "there.npy"
    subprocess.run([sys.executable, "-c", script, str(file)], check=True)
    X, y = load_digits(return_X_y=True)
    y[50:] = -1
    here = DHOClassifier(DHONet(max_epochs=3), random_state=0).fit(X[:300], y[:300])
    assert np.array_equal(here.predict_proba(X[:300]), np.load(file))


@pytest.mark.parametrize("random_state", [0, None])
def test_global_state_is_left_alone(blobs, random_state):
    X, _, hidden, teacher = blobs

    def state():
        legacy = np.random.get_state()
        return (
            legacy[1].tolist(),
            legacy[2],
            torch.get_rng_state().tolist(),
            torch.get_num_threads(),
            torch.is_grad_enabled(),
        )

    before = state()
    clf = student(random_state=random_state).fit(X, hidden, teacher_proba=teacher)
    clf.predict(X)
    clf.embed(X)
    assert state() == before


def test_copies_predict_the_same(tmp_path, blobs, fitted):
    X = blobs[0]
    joblib.dump(fitted, tmp_path / "student.joblib")
    for other in (
        copy.deepcopy(fitted),
        pickle.loads(pickle.dumps(fitted)),
        joblib.load(tmp_path / "student.joblib"),
        FrozenEstimator(fitted),
    ):
        assert np.array_equal(other.predict_proba(X), fitted.predict_proba(X))


class Normed(torch.nn.Module):
    """A backbone whose output depends on the mode and, by rounding, on the batch."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(4, 16), torch.nn.BatchNorm1d(16), torch.nn.Dropout(0.5)
        )

    def forward(self, X):
        return self.layers(X)


@pytest.mark.parametrize(
    "params", [{}, {"heads": "dual", "alpha": 0.2, "beta": 3.0}, {"heads": "single"}], ids=str
)
@pytest.mark.parametrize("taught_by", ["both", "labels", "teacher"])
def test_one_pass_gives_what_two_calls_give(blobs, params, taught_by):
    X, _, hidden, teacher = blobs
    y = np.full(120, -1) if taught_by == "teacher" else hidden
    teacher = None if taught_by == "labels" else teacher
    clf = DHOClassifier(DHONet(Normed, max_epochs=2), random_state=0, **params)
    clf.fit(X, y, teacher_proba=teacher)
    many = np.concatenate([X, X, X])  # more than a batch
    clf.net_.module_.train()
    proba, features = clf.predict_proba_embed(many)
    assert proba.dtype == features.dtype == np.float32
    assert np.array_equal(proba, clf.predict_proba(many))
    assert np.array_equal(features, clf.embed(many))


@pytest.mark.parametrize("convert", [sparse.csr_array, lambda X: X.reshape(-1, 1, 2, 2)])
def test_one_pass_takes_what_predict_proba_takes(blobs, convert):
    X, _, hidden, teacher = blobs
    rows = convert(X)
    clf = DHOClassifier(DHONet(max_epochs=1), random_state=0)
    clf.fit(rows, hidden, teacher_proba=teacher)
    proba, features = clf.predict_proba_embed(rows)
    assert np.array_equal(proba, clf.predict_proba(rows))
    assert np.array_equal(features, clf.embed(rows))


def test_one_pass_rounds_as_the_two_calls_do_in_mixed_precision(blobs):
    X, _, hidden, teacher = blobs
    clf = student().fit(X, hidden, teacher_proba=teacher)
    plain = clf.predict_proba(X)
    # What accelerate does to a network, which embed goes past.
    module = clf.net_.module_
    rounding = torch.autocast("cpu", dtype=torch.bfloat16)(module.forward)
    module.forward = lambda X: tuple(logits.float() for logits in rounding(X))
    proba, features = clf.predict_proba_embed(X)
    assert not np.array_equal(proba, plain)
    assert np.array_equal(proba, clf.predict_proba(X))
    assert np.array_equal(features, clf.embed(X))


@pytest.mark.parametrize("heads", ["residual", "dual"])
def test_partial_fit_and_warm_start_continue(blobs, heads):
    X, _y, hidden, teacher = blobs
    once = student(heads=heads).fit(X, hidden, teacher_proba=teacher)
    twice = copy.deepcopy(once).partial_fit(X, hidden, teacher_proba=teacher)
    assert len(twice.net_.history) == 2 * len(once.net_.history)
    losses = [clf.net_.history[-1, "train_loss"] for clf in (once, twice)]
    assert losses[1] < losses[0]
    warm = student(heads=heads, warm_start=True).fit(X, hidden, teacher_proba=teacher)
    warm.fit(X, hidden, teacher_proba=teacher)
    # With residual heads partial_fit keeps the old correction as well.
    same = np.array_equal(warm.predict_proba(X), twice.predict_proba(X))
    assert same == (heads == "dual")
    assert np.array_equal(warm.embed(X), twice.embed(X))
    afresh = once.fit(X, hidden, teacher_proba=teacher)
    assert len(afresh.net_.history) == 40


def test_partial_fit_starts_with_declared_classes(blobs):
    X, y, _hidden, _ = blobs
    clf = student().partial_fit(X[:3], [0, 0, 0], classes=[0, 1, 2])
    assert clf.partial_fit(X, y).classes_.tolist() == [0, 1, 2]
    assert clf.partial_fit(X, y).score(X, y) > 0.9
    with pytest.raises(ValueError, match="differ from those of the first fit"):
        clf.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match=r"labels \[9\]"):
        clf.partial_fit(X[:1], [9])


def test_net_parameters_are_searchable():
    clf = DHOClassifier().set_params(net__lr=0.1, net__module__hidden=8)
    assert clf.get_params()["net__lr"] == 0.1
    assert clone(clf).net.module__hidden == 8
    X = np.eye(4)
    clf.set_params(net__max_epochs=2).fit(X, [0, 1, 0, 1])
    assert clf.embed(X).shape == (4, 8)
    assert clf.net.initialized_ is False


def test_settings_of_the_loss_have_one_place(blobs):
    X, y, *_ = blobs
    clf = DHOClassifier(DHONet(criterion__temperature=3.0))
    with pytest.raises(ValueError, match=r"Set \['temperature'\] on DHOClassifier"):
        clf.fit(X, y)


def test_cross_validation_of_labeled_rows(blobs):
    X, _, hidden, _ = blobs
    scores = cross_val_score(student(), X, hidden, cv=LabeledStratifiedKFold(2))
    assert scores.mean() > 0.6


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_fit_predicts_on_the_cpu_after_pickling(blobs):
    X, y, hidden, teacher = blobs
    clf = student(device="cuda").fit(X, hidden, teacher_proba=teacher)
    assert next(clf.net_.module_.parameters()).is_cuda
    assert clf.score(X, y) > 0.9
    assert pickle.loads(pickle.dumps(clf)).score(X, y) == clf.score(X, y)


class FlattensByView(torch.nn.Module):
    """A network that refuses pixels whose channels lie side by side in memory."""

    def __init__(self):
        super().__init__()
        self.convolve, self.layer = torch.nn.Conv2d(3, 4, 3), torch.nn.Linear(144, 5)

    def forward(self, X):
        X = self.convolve(X)
        return self.layer(X.view(len(X), -1))


@pytest.mark.parametrize("backbone", [None, FlattensByView])
def test_where_the_channels_of_an_array_lie_does_not_matter(backbone):
    images = np.random.RandomState(0).randint(256, size=(30, 8, 8, 3)).astype(np.uint8)
    found = []
    for X in (images, np.moveaxis(images, 3, 1), np.moveaxis(images, 3, 1).copy()):
        clf = DHOClassifier(DHONet(backbone, max_epochs=2), random_state=0)
        clf.fit(X, np.arange(30) % 3)
        assert clf.net_.module_.channels_last == (backbone is None)
        found.append(clf.predict_proba(X))
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)
    np.testing.assert_allclose(found[2], found[0], atol=1e-5)
