"""What a fit distills from the teacher, and when another fit may take it over."""

import copy
import pickle

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback, GradientNormClipping
from torch import nn

from skactivekd import DHOClassifier, DHONet, LabeledStratifiedKFold, TeacherProba, simulate
from skactivekd.student import RowDataset, _distillation, _reuse_distilled

RNG = np.random.RandomState(0)
X = RNG.normal(size=(60, 5)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)
HIDDEN = np.where(np.arange(60) < 20, Y, -1)
TEACHER = np.where(RNG.uniform(size=(60, 1)) < 0.8, 0.8 * np.eye(2)[Y] + 0.1, 0.5)
WEIGHT = RNG.uniform(0.5, 2, size=60)


class Wide(nn.Sequential):
    width = 6
    options = {"bias": True}

    def __init__(self):
        super().__init__(nn.Linear(5, self.width, **self.options), nn.Tanh())


def make(net=None, **params):
    net = {"max_epochs": 2, "module__hidden": 8, **(net or {})}
    if net.get("module") is not None:
        del net["module__hidden"]
    return DHOClassifier(DHONet(**net), **{"classes": [0, 1], "random_state": 0, **params})


def fit(clf, X=X, y=HIDDEN, teacher=TEACHER, **kwargs):
    return clf.fit(X, y, teacher_proba=teacher, **kwargs)


@pytest.fixture(autouse=True)
def trainings(monkeypatch):
    """The trainings of any network, beginning with nothing remembered."""
    _reuse_distilled.memory.clear()
    seen, train = [], DHONet.fit_loop

    def fit_loop(net, *args, **kwargs):
        seen.append(net)
        return train(net, *args, **kwargs)

    monkeypatch.setattr(DHONet, "fit_loop", fit_loop)
    yield seen
    _reuse_distilled.memory.clear()


def changed(array, value):
    array = array.copy()
    array[3] = value
    return array


SAME = {
    "the same": {},
    "a label": {"y": changed(HIDDEN, 1 - Y[3])},
    "no labels": {"y": np.full(60, -1)},
    "copies": {"X": X.copy(), "teacher": np.asfortranarray(TEACHER)},
    "distill_weight": {"params": {"distill_weight": 0.3}},
    "distill_weight=1": {"params": {"distill_weight": 1}},
    "class_weight": {"params": {"class_weight": "balanced"}},
}
OTHER = {
    "X": {"X": changed(X, X[3] + np.eye(5, dtype=np.float32)[2] * 1e-6)},
    "type of X": {"X": X.astype(np.float64)},
    "sparse X": {"X": sparse.csr_array(X)},
    "teacher": {"teacher": changed(TEACHER, [0.5 + 1e-9, 0.5 - 1e-9])},
    "columns": {"params": {"classes": [1, 0]}},
    "number of classes": {"params": {"classes": None}, "teacher": np.c_[TEACHER, 0 * Y]},
    "weights": {"sample_weight": WEIGHT},
    "temperature": {"params": {"temperature": 3.0}},
    "seed": {"params": {"random_state": 1}},
    "lr": {"net": {"lr": 0.01}},
    "epochs": {"net": {"max_epochs": 3}},
    "hidden": {"net": {"module__hidden": 9}},
    "batch size": {"net": {"batch_size": 4}},
    "optimizer": {"net": {"optimizer": torch.optim.SGD}},
    "callback": {"net": {"callbacks": [GradientNormClipping(1.0)]}},
}
OTHER["number of classes"]["params"]["classes"] = [0, 1, 2]


def call(case):
    clf = make(case.get("net"), **case.get("params", {}))
    return fit(clf, **{k: v for k, v in case.items() if k not in ("net", "params")})


@pytest.mark.parametrize("name", SAME)
def test_what_does_not_touch_the_training_is_not_trained_again(name, trainings):
    fit(make())
    found = call(SAME[name])
    assert len(trainings) == 1
    alone = {**SAME[name], "params": {"reuse": False, **SAME[name].get("params", {})}}
    expected = call(alone)
    assert len(trainings) == 2
    for head in ("mixed", "kd"):
        assert np.array_equal(found.predict_proba(X, head), expected.predict_proba(X, head))
    assert found.distill_weight_ == expected.distill_weight_
    assert np.array_equal(found.embed(X), expected.embed(X))


@pytest.mark.parametrize("name", OTHER)
def test_what_touches_the_training_trains_anew(name, trainings):
    fit(make())
    found = call(OTHER[name])
    assert len(trainings) == 2
    _reuse_distilled.memory.clear()
    rows = OTHER[name].get("X", X)
    assert np.array_equal(found.predict_proba(rows), call(OTHER[name]).predict_proba(rows))
    call(OTHER[name])
    assert len(trainings) == 3  # it is remembered too


def test_devices_are_told_apart():
    rows = RowDataset(X, None, TEACHER)
    keys = [_reuse_distilled.identify(DHONet(device=device), rows, 0) for device in ("cpu", "cuda")]
    assert None not in keys
    assert keys[0] != keys[1]
    assert keys[0] == _reuse_distilled.identify(DHONet(device="cpu"), rows, 0)
    assert keys[0] != _reuse_distilled.identify(DHONet(device="cpu"), rows, 1)


def test_other_weights_train_anew(trainings):
    fit(make(), sample_weight=WEIGHT)
    fit(make(), sample_weight=WEIGHT.copy())
    assert len(trainings) == 1
    fit(make(), sample_weight=changed(WEIGHT, 0.0))
    assert len(trainings) == 2


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(0)])
def test_without_a_number_for_a_seed_nothing_is_kept(random_state, trainings):
    clf = make(random_state=random_state)
    fit(clf)
    fit(clf)
    assert len(trainings) == 2
    assert not _reuse_distilled.memory._entries


def test_reuse_false_neither_takes_nor_keeps(trainings):
    fit(make(reuse=False))
    fit(make())
    fit(make(reuse=False))
    assert len(trainings) == 3
    assert len(_reuse_distilled.memory._entries) == 1


def is_new(net, trainings):
    """Whether a net, after the change to it, is trained again."""
    before = len(trainings)
    fit(make(net))
    return len(trainings) > before


def test_parameters_of_callbacks_count(trainings):
    assert is_new({"callbacks": [GradientNormClipping(1.0)]}, trainings)
    assert not is_new({"callbacks": [GradientNormClipping(1.0)]}, trainings)
    assert is_new({"callbacks": [GradientNormClipping(2.0)]}, trainings)
    assert is_new({"callbacks": [("clip", GradientNormClipping(2.0))]}, trainings)


def test_weights_of_a_module_count(trainings):
    module = nn.Sequential(nn.Linear(5, 6), nn.Tanh())
    assert is_new({"module": module}, trainings)
    assert not is_new({"module": copy.deepcopy(module)}, trainings)
    with torch.no_grad():
        module[0].weight[0, 0] += 1e-6
    assert is_new({"module": module}, trainings)
    module[0].weight.requires_grad_(False)
    assert is_new({"module": module}, trainings)
    twins = nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 5))
    twins[1].load_state_dict(twins[0].state_dict())
    assert is_new({"module": twins}, trainings)
    twins[1].weight = twins[0].weight  # one weight in two places learns otherwise
    assert is_new({"module": twins}, trainings)
    assert not is_new({"module": twins}, trainings)


def define(width, activation="Tanh"):
    """Define a class as a cell of a notebook does, over and over."""
    space = {"nn": nn, "__name__": "__main__"}
    exec(
        "class Net(nn.Sequential):\n"
        "    def __init__(self):\n"
        f"        super().__init__(nn.Linear(5, {width}), nn.{activation}())\n",
        space,
    )
    return space["Net"]


def test_a_class_defined_again_counts_as_another(trainings):
    first = define(6)
    assert is_new({"module": first}, trainings)
    assert not is_new({"module": first}, trainings)
    assert is_new({"module": define(6)}, trainings)
    assert is_new({"module": define(7)}, trainings)


def test_a_class_changed_in_place_counts_as_another(trainings, monkeypatch):
    assert is_new({"module": Wide}, trainings)
    assert not is_new({"module": Wide}, trainings)
    monkeypatch.setattr(Wide, "width", 7)
    assert is_new({"module": Wide}, trainings)
    Wide.options["bias"] = False
    try:
        assert is_new({"module": Wide}, trainings)
    finally:
        Wide.options["bias"] = True
    assert not is_new({"module": Wide}, trainings)
    monkeypatch.setattr(Wide, "forward", lambda self, X: -nn.Sequential.forward(self, X))
    assert is_new({"module": Wide}, trainings)

    class Narrow(Wide):
        pass

    assert is_new({"module": Narrow}, trainings)
    monkeypatch.setattr(Wide, "width", 4)
    assert is_new({"module": Narrow}, trainings)


SETTINGS = {"width": 6}


def by_settings():
    return nn.Linear(5, SETTINGS["width"])


def test_a_function_and_what_it_reads_count(trainings, monkeypatch):
    assert is_new({"module": lambda: nn.Linear(5, 6)}, trainings)
    assert is_new({"module": lambda: nn.Linear(5, 6)}, trainings)  # another object

    width = 6

    def factory(bias=True):
        return nn.Linear(5, width, bias)

    assert is_new({"module": factory}, trainings)
    assert not is_new({"module": factory}, trainings)
    width = 7
    assert is_new({"module": factory}, trainings)
    factory.__defaults__ = (False,)
    assert is_new({"module": factory}, trainings)
    factory.__code__ = (lambda bias: nn.Linear(5, 3, width > 0)).__code__
    assert is_new({"module": factory}, trainings)

    assert is_new({"module": by_settings}, trainings)
    assert not is_new({"module": by_settings}, trainings)
    monkeypatch.setitem(SETTINGS, "width", 7)
    assert is_new({"module": by_settings}, trainings)
    assert is_new({"module": lambda: by_settings()}, trainings)


def test_a_function_that_calls_itself_is_described():
    def factory(depth=3):
        return nn.Sequential(nn.Linear(5, 5), factory(depth - 1)) if depth else nn.Tanh()

    fit(make({"module": factory}))
    assert len(_reuse_distilled.memory._entries) == 1


def test_what_cannot_be_described_is_trained_anew(trainings):
    class Closed(Callback):
        def __init__(self, generator):
            self.generator = generator

    net = {"callbacks": [Closed(None)]}
    assert is_new(net, trainings)
    assert not is_new(net, trainings)

    class Lock(Closed):
        def __reduce_ex__(self, protocol):
            raise RuntimeError("not to be pickled")

        def __deepcopy__(self, memo):
            return self

    net = {"callbacks": [Lock(None)]}
    assert is_new(net, trainings)
    assert is_new(net, trainings)


def state(clf):
    return [weight.clone() for weight in clf.net_.module_.state_dict().values()]


@pytest.mark.parametrize("which", ["first", "second"])
def test_a_fitted_model_is_a_copy(which, trainings):
    first = fit(make())
    expected = first.predict_proba(X)
    spoiled = first if which == "first" else fit(make())
    with torch.no_grad():
        for weight in spoiled.net_.module_.state_dict().values():
            weight.fill_(1)
    assert not np.array_equal(spoiled.predict_proba(X), expected)
    assert np.array_equal(fit(make()).predict_proba(X), expected)
    assert len(trainings) == 1


def test_training_on_leaves_what_is_remembered(trainings):
    first = fit(make())
    expected = state(first)
    first.partial_fit(X, Y, teacher_proba=TEACHER)
    assert len(trainings) == 2
    again = fit(make())
    assert len(trainings) == 2
    assert all(map(torch.equal, state(again), expected))


def test_a_student_that_was_found_trains_on_as_one_that_was_trained(trainings):
    fit(make())
    found, trained = fit(make()), fit(make(reuse=False))
    for clf in (found, trained):
        clf.partial_fit(X, Y, teacher_proba=TEACHER)
    assert all(map(torch.equal, state(found), state(trained)))
    assert len(found.net_.history) == len(trained.net_.history) == 4
    assert np.array_equal(
        pickle.loads(pickle.dumps(found)).predict_proba(X), found.predict_proba(X)
    )


def test_the_memory_is_bounded(monkeypatch, trainings):
    for seed in range(20):
        fit(make({"max_epochs": 1}, random_state=seed))
    assert len(_reuse_distilled.memory._entries) == 16
    fit(make({"max_epochs": 1}, random_state=19))
    fit(make({"max_epochs": 1}, random_state=4))
    assert len(trainings) == 20
    fit(make({"max_epochs": 1}, random_state=0))
    assert len(trainings) == 21  # forgotten
    fit(make({"max_epochs": 1}, random_state=4))
    assert len(trainings) == 21  # used more lately than 5, which went
    fit(make({"max_epochs": 1}, random_state=5))
    assert len(trainings) == 22


def test_the_memory_is_bounded_in_bytes(monkeypatch):
    fit(make())
    ((_, size),) = _reuse_distilled.memory._entries.values()
    n_weights = sum(value.numel() for value in fit(make()).net_.module_.parameters())
    assert size >= 3 * 4 * n_weights  # the optimizer keeps two numbers for each weight
    monkeypatch.setattr(_reuse_distilled, "_MAX_BYTES", 3 * size)
    for seed in range(1, 6):
        fit(make(random_state=seed))
    assert len(_reuse_distilled.memory._entries) == 3
    fit(make({"module__hidden": 100}, random_state=9))  # too large to be kept at all
    assert len(_reuse_distilled.memory._entries) == 3


def test_the_memory_holds_a_gibibyte():
    assert _reuse_distilled._MAX_BYTES == 2**30


def test_a_grid_over_distill_weight_distills_once_per_fold(trainings):
    grid = {"distill_weight": [0.1, 0.5, 0.9, "auto"], "class_weight": [None, "balanced"]}
    search = GridSearchCV(make(), grid, cv=LabeledStratifiedKFold(4), error_score="raise")
    search.fit(X, HIDDEN, teacher_proba=TEACHER)
    assert len(trainings) == 4 + 1


def test_a_simulation_distills_once_per_seed(trainings):
    pipe = make_pipeline(TeacherProba(TEACHER), make())
    settings = {"n_rounds": 4, "n_instances": 2, "n_initial": 2, "progress": False}
    simulate(pipe, X, Y, X_test=X, y_test=Y, seeds=3, **settings)
    assert len(trainings) == 3


def test_clones_share_what_was_distilled(trainings):
    clf = fit(make())
    fit(clone(clf))
    assert len(trainings) == 1


def test_without_a_teacher_nothing_is_kept(trainings):
    for _ in range(2):
        make().fit(X, HIDDEN)
    assert len(trainings) == 2
    assert not _reuse_distilled.memory._entries


# What the pass over the pool finds


def test_the_surest_rows_and_the_mass_are_those_of_the_distilled_student():
    many = np.concatenate([X] * 10)  # more than a batch of prediction
    proba = np.concatenate([TEACHER] * 10)
    many = many + np.random.RandomState(1).normal(scale=0.1, size=many.shape).astype(np.float32)
    clf = make().fit(many, np.full(600, -1), teacher_proba=proba)
    ((distilled, _),) = _reuse_distilled.memory._entries.values()
    sure = clf.predict_proba(many, head="kd")
    np.testing.assert_allclose(distilled.class_mass, sure.mean(axis=0), atol=1e-5)
    assert distilled.anchors.shape == (2, 16)
    for label in (0, 1):
        order = np.sort(sure[:, label])[::-1][:16]
        np.testing.assert_allclose(sure[distilled.anchors[label], label], order, atol=1e-6)
    features = (clf.embed(many) - distilled.shift.numpy()) * distilled.scale.numpy()
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-4)


def test_stand_ins_are_unlabeled_rows_of_classes_with_few_labels():
    anchors = np.array([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 4, 5]])
    distilled = _distillation.Distilled(None, None, None, 1.0, anchors, np.ones(len(anchors)))
    codes = np.full(12, -1)
    codes[[0, 1, 4]] = 0, 0, 1
    rows, classes = _distillation.stand_ins(distilled, codes)
    assert rows.tolist() == [5, 6, 7, 8, 9, 5]  # row 4 has a label
    assert classes.tolist() == [1, 1, 1, 2, 2, 2]
    codes[:] = 0
    codes[[3, 4]], codes[[8, 9]] = 1, 2
    rows, classes = _distillation.stand_ins(distilled, codes)
    assert len(rows) == len(classes) == 0


def test_nobody_stands_for_a_class_that_the_pool_does_not_hold():
    anchors = np.arange(12).reshape(3, 4)
    distilled = _distillation.Distilled(None, None, None, 1.0, anchors, np.array([0.6, 0.4, 1e-6]))
    _, classes = _distillation.stand_ins(distilled, np.full(12, -1))
    assert set(classes) == {0, 1}
