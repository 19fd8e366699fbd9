"""skorch's own settings: each works on labeled rows as its documentation says, or is refused."""

import numpy as np
import pytest
import torch
from skorch.callbacks import (
    BatchScoring,
    Callback,
    EarlyStopping,
    EpochScoring,
    LRScheduler,
)
from skorch.dataset import Dataset, ValidSplit
from skorch.helper import predefined_split
from torch.utils.data import DataLoader, Subset

from skactivekd import DHOClassifier, DHONet
from skactivekd.student import AcceleratedDHONet, RowDataset, WarmupDecay
from skactivekd.student._batches import PairedBatchSampler

RNG = np.random.RandomState(0)
X = RNG.normal(size=(60, 5)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)
LABELED = np.arange(60) % 3 == 0
HIDDEN = np.where(LABELED, Y, -1)
NONE = np.full(60, -1)
TEACHER = 0.8 * np.eye(2)[Y] + 0.1


def train(y=HIDDEN, teacher_proba=TEACHER, kind=DHONet, heads="dual", classes=(0, 1), **params):
    net = kind(**{"max_epochs": 3, **params})
    clf = DHOClassifier(net, heads=heads, classes=classes, random_state=0)
    return clf.fit(X, y, teacher_proba=teacher_proba)


class Seen(Callback):
    """Keep the places and the labels of the rows that pass."""

    def initialize(self):
        self.rows_ = {True: [], False: []}
        self.labels_ = {True: [], False: []}
        self.rates_ = []

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        rows, y = batch
        self.rows_[training] += rows["row"].tolist()
        self.labels_[training] += y.tolist()
        if training:
            self.rates_.append(net.optimizer_.param_groups[0]["lr"])


def watched(callbacks=(), **params):
    clf = train(callbacks=[*callbacks, ("seen", Seen())], **params)
    return clf.net_, dict(clf.net_.callbacks_)["seen"]


# Learning rate


@pytest.mark.parametrize(
    "schedule",
    [
        LRScheduler("StepLR", step_size=2, gamma=0.1),
        ("rate", LRScheduler("StepLR", step_size=2, gamma=0.1)),
        ("schedule", LRScheduler("StepLR", step_size=2, gamma=0.1)),
    ],
)
def test_a_scheduler_of_skorch_replaces_the_default(schedule):
    net, seen = watched([schedule], lr=1.0, max_epochs=5)
    assert seen.rates_ == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    assert not any(isinstance(callback, WarmupDecay) for _, callback in net.callbacks_)


@pytest.mark.parametrize("schedule", [WarmupDecay(0), WarmupDecay, ("mine", WarmupDecay(0))])
def test_a_warmup_of_ones_own_replaces_the_default(schedule):
    net, seen = watched([schedule], lr=1.0, max_epochs=20)
    assert sum(isinstance(callback, WarmupDecay) for _, callback in net.callbacks_) == 1
    assert seen.rates_[0] == (0.5 if schedule is WarmupDecay else 1)


def test_other_callbacks_leave_the_default_schedule():
    _, seen = watched([EpochScoring("accuracy")], train_split=ValidSplit(2), max_epochs=20)
    assert seen.rates_[:2] == pytest.approx([0.0005, 0.001])


def test_settings_of_a_schedule_that_is_replaced_are_refused():
    params = {"callbacks": [LRScheduler()], "callbacks__schedule__warmup": 0}
    with pytest.raises(ValueError, match="callbacks__schedule__warmup has no effect"):
        train(**params)
    train(callbacks__schedule__warmup=0)
    train(callbacks=[("schedule", WarmupDecay())], callbacks__schedule__warmup=0)
    with pytest.raises(ValueError, match=r"warmup must be in \[0, 1\), got 1"):
        train(callbacks__schedule__warmup=1)


# Data sets and loaders


class Mine(Dataset):
    pass


@pytest.mark.parametrize(
    ("name", "value"), [("dataset", Mine), ("dataset", Mine(X)), ("dataset__transform", abs)]
)
@pytest.mark.parametrize("kind", [DHONet, AcceleratedDHONet])
def test_a_data_set_that_would_not_be_used_is_refused(kind, name, value):
    params = {name: value}
    if kind is AcceleratedDHONet:
        accelerate = pytest.importorskip("accelerate")
        params["accelerator"] = accelerate.Accelerator(cpu=True)
    net = kind(n_classes=2, input_shape=(5,), **params)
    with pytest.raises(ValueError, match=f"{name} cannot be set on DHONet, .*Transform X"):
        net.fit(X, Y)


@pytest.mark.parametrize("prefix", ["iterator_train", "iterator_valid"])
@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("shuffle", True, "prediction needs them in order"),
        ("drop_last", True, "prediction needs every row"),
        ("collate_fn", list, "Transform X before fit"),
        ("sampler", range(3), "Set batch_size or epoch"),
        ("batch_sampler", [[0, 1]], "Set batch_size or epoch"),
        ("generator", torch.Generator(), "random_state of DHOClassifier"),
    ],
)
def test_what_would_tear_the_batches_apart_is_refused(prefix, name, value, remedy):
    match = rf"{prefix}__{name}=.* cannot be set on DHONet: .*{remedy}"
    with pytest.raises(ValueError, match=match):
        train(**{f"{prefix}__{name}": value})


def test_shuffle_false_is_true_of_prediction_only():
    clf = train(iterator_valid__shuffle=False, iterator_valid__drop_last=False)
    assert np.array_equal(clf.predict_proba(X), train().predict_proba(X))
    train(iterator_train__drop_last=False, iterator_train__collate_fn=None)
    with pytest.raises(ValueError, match="iterator_train__shuffle=False cannot be set"):
        train(iterator_train__shuffle=False)


@pytest.mark.parametrize("prefix", ["iterator_train", "iterator_valid"])
def test_settings_of_the_loader_go_on_working(prefix):
    class Loader(DataLoader):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            made.append((self.num_workers, self.pin_memory, isinstance(self.batch_sampler, kind)))

    made, kind = [], PairedBatchSampler
    settings = {prefix: Loader, f"{prefix}__num_workers": 1, f"{prefix}__pin_memory": False}
    clf = train(**settings, max_epochs=1)
    assert np.array_equal(clf.predict_proba(X), train(max_epochs=1).predict_proba(X))
    assert made == [(1, False, prefix == "iterator_train")]
    net = train(**{f"{prefix}__batch_size": 7}, train_split=ValidSplit(2)).net_
    sizes = [set(batch.items()) for batch in net.history[-1]["batches"]]
    sizes = [size for items in sizes for name, size in items if name.endswith("batch_size")]
    assert sizes == ([14, 14, 10] if prefix == "iterator_train" else [50, 7, 3])


def test_another_nonlinearity_is_refused():
    with pytest.raises(ValueError, match=r"predict_nonlinearity cannot be set.*alpha and beta"):
        train(predict_nonlinearity=torch.exp)
    train(predict_nonlinearity=None)


# Validation


@pytest.mark.parametrize(
    "kind",
    [ValidSplit(4), ValidSplit(4, stratified=True), ValidSplit(0.25, random_state=0)],
)
def test_only_labeled_rows_are_split(kind):
    net, seen = watched(train_split=kind, max_epochs=6)
    valid = set(seen.rows_[False])
    assert len(valid) == 5
    assert valid <= set(np.flatnonzero(LABELED))
    assert min(seen.labels_[False]) == 0
    trained = set(seen.rows_[True])
    assert trained == set(range(60)) - valid
    assert net.history[0, "batches", 0, "train_batch_size"] == 15 + 40
    share = np.mean(seen.labels_[False])
    if kind.stratified:
        assert share == pytest.approx(Y[LABELED].mean(), abs=0.1)


def test_labels_that_come_first_stay_in_training():
    first = np.where(np.arange(60) < 12, Y, -1)
    _, seen = watched(y=first, train_split=ValidSplit(4))
    assert sorted(set(seen.labels_[True])) == [-1, 0, 1]
    assert len(set(seen.rows_[False])) == 3


def test_a_split_of_ones_own_gets_labeled_rows_with_their_labels():
    given = {}

    def split(dataset, y):
        given.update(n=len(dataset), y=y)
        return Subset(dataset, [0, 1, 1, 2]), Subset(dataset, [4, 3])

    _, seen = watched(train_split=split)
    places = np.flatnonzero(LABELED)
    assert given["n"] == 20
    assert given["y"].tolist() == Y[LABELED].tolist()
    assert set(seen.rows_[False]) == {places[3], places[4]}
    trained = [row for row in seen.rows_[True] if row in set(places)]
    assert sorted(set(trained)) == places[[0, 1, 2]].tolist()
    assert trained.count(places[1]) == 2 * trained.count(places[0])


def test_a_validation_set_of_ones_own():
    valid = RowDataset(-X, np.where(np.arange(60) < 7, 1 - Y, -1))
    net, seen = watched([EpochScoring("accuracy")], train_split=predefined_split(valid))
    assert sorted(set(seen.rows_[False])) == list(range(7))
    assert set(seen.rows_[True]) == set(range(60))
    expected = np.mean(net.predict(-X[:7]) == 1 - Y[:7])
    assert net.history[-1, "accuracy"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("valid", "match"),
    [
        (Dataset(X, Y), r"gave a Dataset .*RowDataset\(X, y\)"),
        (RowDataset(X, NONE), "without a labeled row"),
        (RowDataset(X, Y + 1), "has the class 2, but there are 2"),
    ],
)
def test_a_validation_set_that_is_not_clear_is_refused(valid, match):
    with pytest.raises(ValueError, match=match):
        train(train_split=predefined_split(valid))


@pytest.mark.parametrize(
    ("split", "match"),
    [
        (lambda dataset, y: (RowDataset(X, Y), None), "as a torch.utils.data.Subset of the data"),
        (lambda dataset, y: (Subset(dataset, []), dataset), "none of the 20 labeled rows"),
        (ValidSplit(21), "cannot split the 20 labeled rows"),
    ],
)
def test_splits_that_cannot_be_are_refused(split, match):
    with pytest.raises(ValueError, match=match):
        train(train_split=split)


def test_a_split_without_validation_rows():
    _, seen = watched(train_split=lambda dataset, y: (dataset, None))
    assert set(seen.rows_[True]) == set(range(60))
    assert seen.rows_[False] == []
    with pytest.raises(ValueError, match="'EpochScoring' has no validation rows"):
        train(train_split=lambda data, y: (data, None), callbacks=[EpochScoring("accuracy")])


@pytest.mark.parametrize(
    "params",
    [{"train_split": ValidSplit(5)}, {"callbacks": [EpochScoring("accuracy")]}],
)
def test_without_labels_there_is_nothing_to_validate_on(params):
    for settings in ({"y": NONE}, {"heads": "residual"}, {"y": NONE, "heads": "residual"}):
        with pytest.raises(ValueError, match="needs labeled rows, but no row of y is labeled"):
            train(**settings, **params)


# Scores


@pytest.mark.parametrize("use_caching", ["auto", True, False])
@pytest.mark.parametrize("teacher_proba", [None, TEACHER])
@pytest.mark.parametrize("scoring", ["accuracy", "neg_log_loss", "roc_auc", "f1_macro"])
def test_scores_are_those_of_labeled_validation_rows(scoring, teacher_proba, use_caching):
    from sklearn.metrics import get_scorer

    net, _ = watched(
        [EpochScoring(scoring, lower_is_better=False, name="score")],
        teacher_proba=teacher_proba,
        train_split=ValidSplit(4),
        use_caching=use_caching,
        max_epochs=8,
    )
    rows = np.flatnonzero(LABELED)[:5]
    assert set(Y[rows]) == {0, 1}
    expected = get_scorer(scoring)(net, X[rows], Y[rows])
    assert net.history[-1, "score"] == pytest.approx(expected, abs=1e-6)


def test_a_score_without_a_teacher_is_that_of_the_head_of_the_labels():
    clf = train(
        teacher_proba=None,
        train_split=ValidSplit(4),
        callbacks=[EpochScoring("neg_log_loss", lower_is_better=False, name="score")],
    )
    rows = np.flatnonzero(LABELED)[:5]
    expected = np.log(clf.predict_proba(X[rows])[np.arange(5), Y[rows]]).mean()
    assert clf.net_.history[-1, "score"] == pytest.approx(expected, abs=1e-6)


def test_a_cache_of_ones_own_switched_off_by_the_callback():
    clf = train(
        train_split=ValidSplit(4),
        callbacks=[EpochScoring("accuracy", use_caching=False), BatchScoring("accuracy", name="b")],
    )
    history = clf.net_.history
    assert history[:, "accuracy"] == pytest.approx(history[:, "b"])
    with pytest.raises(ValueError, match="use_caching=False does not work with BatchScoring"):
        train(train_split=ValidSplit(4), callbacks=[BatchScoring("accuracy")], use_caching=False)


@pytest.mark.parametrize("kind", [EpochScoring, BatchScoring])
def test_scores_of_training_batches_are_refused(kind):
    callbacks = [("mine", kind("accuracy", on_train=True))]
    with pytest.raises(ValueError, match="on_train=True of the callback 'mine' cannot be right"):
        train(train_split=ValidSplit(4), callbacks=callbacks)


def test_scores_without_validation_rows_are_refused():
    with pytest.raises(ValueError, match=r"'EpochScoring' has no validation rows .*train_split"):
        train(callbacks=[EpochScoring("accuracy")])
    train(callbacks="disable")


def test_training_stops_early_on_the_validation_loss():
    class Worse(Callback):
        """Undo the training at every epoch."""

        def on_epoch_begin(self, net, **kwargs):
            with torch.no_grad():
                net.module_.heads.ce.bias += torch.tensor([1.0, -1.0]) * len(net.history) ** 2

    callbacks = [Worse(), EarlyStopping("valid_loss", patience=3)]
    net = train(max_epochs=50, train_split=ValidSplit(4), callbacks=callbacks).net_
    best = int(np.argmin(net.history[:, "valid_loss"]))
    assert len(net.history) == best + 1 + 3 < 50
