"""AcceleratedDHONet: one process trains as DHONet does, and two train as one."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback, EarlyStopping
from skorch.hf import AccelerateMixin
from torch import nn

from skactivekd import DHOClassifier, DHONet
from skactivekd.student import AcceleratedDHONet
from skactivekd.student._batches import PairedBatchSampler
from skactivekd.student._dataset import RowDataset

X = np.random.RandomState(0).normal(size=(41, 5)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)
TEACHER = 0.8 * np.eye(2)[Y] + 0.1
CASES = {  # number of labels, teacher
    "both halves full": (20, TEACHER),
    "a labeled half that does not divide": (7, TEACHER),
    "one label": (1, TEACHER),
    "no teacher": (20, None),
    "no label": (0, TEACHER),
}


class Seen(Callback):
    """Keep what the batches hold: a number by which to know the row, and its label."""

    def initialize(self):
        self.batches_ = []

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        if training:
            self.batches_.append(np.stack([batch[0]["X"][:, 0].numpy(), batch[1].numpy()], 1))


def train(kind, case, passes=1, **params):
    n_labels, teacher = CASES[case]
    # Adam makes a full step of a gradient that is nothing but rounding, which differs here.
    net = kind(
        max_epochs=3,
        batch_size=8,
        lr=0.3,
        optimizer=torch.optim.SGD,
        callbacks=[("seen", Seen())],
        **params,
    )
    clf = DHOClassifier(
        net,
        heads="dual",
        device=None if "accelerator" in params else "cpu",
        classes=[0, 1],
        random_state=0,
    )
    for _ in range(passes):
        clf.partial_fit(X, np.where(np.arange(41) < n_labels, Y, -1), teacher_proba=teacher)
    return clf


def outcome(clf):
    """What a process ends with."""
    weights = torch.cat([weight.detach().flatten() for weight in clf.net_.module_.parameters()])
    return {
        "proba": clf.predict_proba(X),
        "features": clf.embed(X),
        "weights": weights.numpy(),
        "loss": np.array(clf.net_.history[:, "train_loss"]),
        "batches": np.stack(dict(clf.net_.callbacks_)["seen"].batches_),
    }


def backbone(dropout=0.5):
    return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(dropout))


def run_process(folder):
    """Train in one of the processes, and write down how all of it ended."""
    accelerator = Accelerator()
    found = {
        case: outcome(train(AcceleratedDHONet, case, accelerator=accelerator)) for case in CASES
    }
    case = "both halves full"
    found["twice"] = outcome(train(AcceleratedDHONet, case, passes=2, accelerator=accelerator))
    net = AcceleratedDHONet(
        backbone,
        accelerator=accelerator,
        max_epochs=60,
        batch_size=8,
        callbacks=[EarlyStopping("train_loss", patience=2), ("seen", Seen())],
        lr=0.1,
    )
    clf = DHOClassifier(net, device=None, random_state=None).fit(X, Y, teacher_proba=TEACHER)
    found["unseeded"] = outcome(clf)
    net.set_params(batch_size=7)
    try:
        DHOClassifier(net, device=None).fit(X, Y)
    except ValueError as error:
        found["refused"] = {"message": str(error)}
    arrays = {f"{name}/{key}": value for name in found for key, value in found[name].items()}
    np.savez(Path(folder) / f"{accelerator.process_index}.npz", **arrays)


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [*command, __file__, folder],
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return [np.load(folder / f"{process}.npz") for process in (0, 1)]


@pytest.mark.thorough
def test_two_processes_end_alike(processes):
    first, second = processes
    assert set(first) == set(second)
    assert "7 must be a multiple of the 2 processes" in str(first["refused/message"])
    for name in first:
        if not name.endswith("batches"):
            assert np.array_equal(first[name], second[name]), name
    assert len(first["unseeded/proba"]) == 41
    assert 2 < len(first["unseeded/loss"]) < 60  # stopped early, together
    rows = [set(found["unseeded/batches"][0, :, 0]) for found in processes]
    assert rows[0].isdisjoint(rows[1])


@pytest.mark.thorough
@pytest.mark.parametrize("case", [*CASES, "twice"])
def test_two_processes_train_as_one(processes, case):
    one = outcome(train(DHONet, *(("both halves full", 2) if case == "twice" else (case,))))
    for found in processes:
        np.testing.assert_allclose(found[f"{case}/proba"], one["proba"], atol=1e-5)
        np.testing.assert_allclose(found[f"{case}/features"], one["features"], atol=1e-5)
        np.testing.assert_allclose(found[f"{case}/loss"], one["loss"], atol=1e-5)
        if case != "no teacher":  # its head is not trained, and decays here
            np.testing.assert_allclose(found[f"{case}/weights"], one["weights"], atol=1e-5)


@pytest.mark.thorough
@pytest.mark.parametrize("case", CASES)
def test_shares_of_a_batch_stay_paired(processes, case):
    whole = outcome(train(DHONet, case))["batches"]
    shares = [found[f"{case}/batches"] for found in processes]
    for batch, *parts in zip(whole, *shares, strict=True):
        for is_half in (lambda rows: rows[:, 1] >= 0, lambda rows: rows[:, 1] < 0):
            half, *taken = (rows[is_half(rows)].tolist() for rows in (batch, *parts))
            if len(half) % 2:
                assert taken == [half, half]
            else:
                assert len(taken[0]) == len(taken[1])
                assert sorted(taken[0] + taken[1]) == sorted(half)


@pytest.mark.parametrize(("n_labeled", "expected"), [(8, 2), (6, 6), (0, 0)])
def test_shares_have_one_size(n_labeled, expected):
    def batch(share):
        generator = torch.Generator().manual_seed(0)
        rows = np.arange(n_labeled), 100 + np.arange(20)
        return next(iter(PairedBatchSampler(*rows, 8, generator, share)))

    shares = [batch((process, 4)) for process in range(4)]
    assert [sum(share < 100) for share in shares] == [expected] * 4
    assert [sum(share >= 100) for share in shares] == [2] * 4
    assert set(np.concatenate(shares)) == set(batch((0, 1)))


@pytest.mark.parametrize("case", CASES)
def test_one_process_trains_as_without_accelerate(case):
    state = torch.get_rng_state()
    clf = train(AcceleratedDHONet, case, accelerator=Accelerator(cpu=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(clf.predict_proba(X), train(DHONet, case).predict_proba(X))


def test_the_trained_student_can_be_pickled_and_trained_on():
    clf = train(AcceleratedDHONet, "both halves full", accelerator=Accelerator(cpu=True))
    again = pickle.loads(pickle.dumps(clf))
    assert np.array_equal(again.predict_proba(X), clf.predict_proba(X))
    for model in (clf, again):
        model.partial_fit(X, Y, teacher_proba=TEACHER)
    assert np.array_equal(again.predict_proba(X), clf.predict_proba(X))


def test_the_accelerator_keeps_no_network_of_an_earlier_fit():
    accelerator = Accelerator(cpu=True)
    train(AcceleratedDHONet, "both halves full", accelerator=accelerator)
    assert accelerator._models == accelerator._optimizers == []


@pytest.mark.parametrize("verbose", [0, 1])
def test_only_verbose_nets_print(verbose, capsys):
    train(AcceleratedDHONet, "no teacher", accelerator=Accelerator(cpu=True), verbose=verbose)
    assert ("train_loss" in capsys.readouterr().out) == bool(verbose)


class Interrupt(Callback):
    def on_batch_end(self, net, **kwargs):
        raise KeyboardInterrupt


def test_an_interrupt_reaches_the_caller_and_leaves_nothing_behind():
    accelerator = Accelerator(cpu=True)
    net = AcceleratedDHONet(
        accelerator=accelerator, n_classes=2, input_shape=(5,), callbacks=[("stop", Interrupt())]
    )
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            net.fit(X, Y)
        assert accelerator._models == accelerator._optimizers == []
        assert not accelerator.gradient_state.in_dataloader
        pickle.dumps(accelerator)
    net.set_params(callbacks=[], max_epochs=3)
    torch.manual_seed(0)
    net.fit(X, Y)
    torch.manual_seed(0)
    other = AcceleratedDHONet(
        accelerator=accelerator, n_classes=2, input_shape=(5,), max_epochs=3
    ).fit(X, Y)
    assert np.array_equal(net.predict_proba(X), other.predict_proba(X))
    pickle.dumps(net)


def test_what_is_not_finite_is_refused():
    for kind, params in ((DHONet, {}), (AcceleratedDHONet, {"accelerator": Accelerator(cpu=True)})):
        device = None if params else "cpu"
        clf = DHOClassifier(kind(lr=1e6, **params), device=device, random_state=0)
        with pytest.raises(ValueError, match="Lower the learning rate"):
            clf.fit(X, Y, teacher_proba=TEACHER)


@pytest.mark.thorough
def test_a_search_trains_in_other_processes():
    net = AcceleratedDHONet(accelerator=Accelerator(cpu=True), max_epochs=3)
    grid = {"net__lr": [0.1, 0.01]}
    scores = []
    for student, n_jobs in (
        (DHOClassifier(net, device=None, random_state=0), 2),
        (DHOClassifier(DHONet(max_epochs=3), device="cpu", random_state=0), 1),
    ):
        search = GridSearchCV(student, grid, cv=2, n_jobs=n_jobs, error_score="raise")
        scores.append(search.fit(X, Y).cv_results_["mean_test_score"])
        assert search.score(X, Y) > 0.5
    assert np.array_equal(*scores)


@pytest.mark.thorough
def test_a_trained_student_predicts_in_another_process(tmp_path):
    clf = train(AcceleratedDHONet, "both halves full", accelerator=Accelerator(cpu=True))
    (tmp_path / "student.pkl").write_bytes(pickle.dumps((clf, X)))
    script = (
        "import pickle, sys; import numpy as np;"
        "clf, X = pickle.load(open(sys.argv[1], 'rb'));"
        "np.save(sys.argv[2], clf.predict_proba(X)); clf.fit(X, np.arange(41) % 2)"
    )
    files = [tmp_path / "student.pkl", tmp_path / "proba.npy"]
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    subprocess.run(
        [sys.executable, "-c", script, *files],
        env={**os.environ, "PYTHONPATH": path},
        check=True,
    )
    assert np.array_equal(np.load(files[1]), clf.predict_proba(X))


class TwoProcesses(AcceleratedDHONet):
    _share = (0, 2)


def test_what_several_processes_cannot_do_is_refused(monkeypatch):
    net = AcceleratedDHONet(
        accelerator=Accelerator(cpu=True), n_classes=2, input_shape=(5,), max_epochs=1
    ).fit(X, Y)
    net.__class__ = TwoProcesses
    rows = RowDataset(X, Y, sample_weight=np.ones(41))
    with pytest.raises(ValueError, match="cannot be trained on several processes"):
        net.partial_fit(rows)
    net.set_params(apart=True)
    with pytest.raises(ValueError, match=r"apart=True cannot be trained on 2 processes"):
        net._validate_params()
    monkeypatch.setattr("accelerate.state.is_initialized", lambda: False)
    net.set_params(apart=False)
    with pytest.raises(ValueError, match=r"2 processes cannot be sent .* Set n_jobs=None"):
        clone(net)


def test_devices_are_the_accelerators_business():
    net = AcceleratedDHONet(accelerator=Accelerator(cpu=True))
    with pytest.raises(ValueError, match="set device=None"):
        DHOClassifier(net, device="cpu").fit(X, Y)


def test_the_plain_mixin_is_refused_on_several_processes():
    class Mixed(AccelerateMixin, DHONet):
        pass

    accelerator = SimpleNamespace(num_processes=2, device_placement=True, device="cpu")
    with pytest.raises(ValueError, match="train AcceleratedDHONet"):
        DHOClassifier(Mixed(accelerator=accelerator), device=None).fit(X, Y)


if __name__ == "__main__":
    run_process(sys.argv[1])
