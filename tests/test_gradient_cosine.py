"""The cosine between the two losses' gradients, and a training that does not notice."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from skorch.dataset import ValidSplit
from torch import nn

from skactivekd import DHOClassifier, DHONet
from skactivekd.student import GradientCosine, dho_loss, gradient_cosine

RNG = np.random.RandomState(0)
X = RNG.normal(size=(40, 5)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)
HIDDEN = np.where(np.arange(40) < 20, Y, -1)
TEACHER = 0.8 * np.eye(2)[Y] + 0.1


class Moody(nn.Sequential):
    """Running statistics, randomness, and a buffer that is replaced, not filled."""

    def __init__(self):
        super().__init__(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, X):
        self.calls = self.calls + 1
        return super().forward(X)


def train(callbacks=(), y=HIDDEN, teacher=TEACHER, heads="dual", **net):
    net = {"module": Moody, "max_epochs": 6, "batch_size": 8, **net}
    clf = DHOClassifier(DHONet(**net, callbacks=list(callbacks)), heads=heads, random_state=0)
    return clf.fit(X, y, teacher_proba=teacher)


def measure(every=1, **kwargs):
    clf = train([("cosine", GradientCosine(every))], **kwargs)
    return dict(clf.net_.callbacks_)["cosine"].cosines_


def test_cosine_of_known_gradients():
    v, w = (torch.tensor(values, requires_grad=True) for values in ([1.0, 2.0], [[0.5]]))
    pairs = [(3 * v.sum(), v.sum(), 1), (v.sum(), -v[0], -math.sqrt(0.5)), (v[0], v[1], 0)]
    for a, b, expected in pairs:
        assert gradient_cosine(a, b, [v, w]) == pytest.approx(expected)
    # All parameters are one vector: (1, 1, 2) against (1, 0, 0).
    assert gradient_cosine(v.sum() + 2 * w.sum(), v[0], [v, w]) == pytest.approx(1 / math.sqrt(6))
    assert math.isnan(gradient_cosine(v.sum(), w.sum(), [w]))
    assert math.isnan(gradient_cosine(v.sum(), v.sum(), []))
    assert v.grad is w.grad is None


def test_frozen_weights_do_not_count():
    v = torch.ones(2, requires_grad=True)
    frozen = torch.ones(2)
    assert gradient_cosine((v * frozen).sum(), v.sum(), iter([v, frozen])) == pytest.approx(1)


@pytest.mark.parametrize("heads", ["dual", "single"])
def test_training_is_the_same_to_the_last_bit(heads):
    settings = {"heads": heads, "train_split": ValidSplit(4, stratified=False)}
    plain = train(**settings)
    watched = train([GradientCosine(every=2)], **settings)
    pairs = zip(
        plain.net_.module_.state_dict().items(),
        watched.net_.module_.state_dict().items(),
        strict=True,
    )
    assert all(torch.equal(a, b) for (_, a), (_, b) in pairs)
    assert plain.net_.history[:, "valid_loss"] == watched.net_.history[:, "valid_loss"]
    assert np.array_equal(plain.predict_proba(X), watched.predict_proba(X))
    assert watched.net_.criterion_.distill_weight == 0.5


def test_first_measurement_by_hand():
    """Without dropout the first cosine is that of the losses at the initial weights."""
    net = {"module": lambda: nn.Sequential(nn.Linear(5, 3), nn.Tanh()), "batch_size": -1}
    (found,) = measure(max_epochs=1, **net)
    start = train(lr=0.0, max_epochs=1, **net).net_.module_
    ce, kd = start(torch.as_tensor(X))
    arguments = ce, kd, torch.as_tensor(HIDDEN), torch.as_tensor(TEACHER, dtype=torch.float32)
    gradients = []
    for weight in (0, 1):
        start.zero_grad()
        dho_loss(*arguments, distill_weight=weight).backward(retain_graph=True)
        gradients.append(torch.cat([p.grad.flatten() for p in start.backbone.parameters()]))
    expected = torch.cosine_similarity(*gradients, dim=0).item()
    assert found == {"step": 0, "backbone": pytest.approx(expected, abs=1e-5)}
    assert abs(expected) < 0.999


def test_measured_in_the_mode_of_training():
    modes = []

    class Spy(Moody):
        def forward(self, X):
            if torch.is_grad_enabled():
                modes.append(self.training)
            return super().forward(X)

    train([GradientCosine(1)], module=Spy, train_split=ValidSplit(4, stratified=False))
    assert len(modes) == 2 * 6 * 2  # measured and trained, epochs, steps
    assert all(modes)


def test_a_teacher_who_agrees_or_objects_is_told_apart():
    # Certain and right, certain and wrong: in the one head the gradients are (nearly) +-parallel.
    plain = {"module": lambda: nn.Identity(), "heads": "single", "y": Y, "max_epochs": 1}
    agree = measure(teacher=np.eye(2)[Y], **plain)[0]
    object_ = measure(teacher=np.eye(2)[1 - Y], **plain)[0]
    assert agree["head"] > 0.9
    assert object_["head"] < -0.9
    assert math.isnan(agree["backbone"])  # no weights in it


def test_steps_are_counted_over_epochs_and_fits():
    callback = GradientCosine(every=4)
    clf = train([("cosine", callback)])  # 3 steps in each of 6 epochs
    seen = dict(clf.net_.callbacks_)["cosine"]
    assert [row["step"] for row in seen.cosines_] == [0, 4, 8, 12, 16]
    assert all(set(row) == {"step", "backbone"} for row in seen.cosines_)
    pickle.loads(pickle.dumps(copy.deepcopy(clf)))
    clf.partial_fit(X, HIDDEN, teacher_proba=TEACHER)
    seen = dict(clf.net_.callbacks_)["cosine"]
    assert [row["step"] for row in seen.cosines_][-3:] == [24, 28, 32]
    assert not hasattr(callback, "cosines_")


def test_one_loss_alone_has_no_cosine():
    assert all(math.isnan(row["backbone"]) for row in measure(teacher=None))
    alone = measure(y=np.full(40, -1), heads="single")
    assert all(math.isnan(row["head"]) for row in alone)


def test_a_training_on_the_teacher_alone_is_refused():
    with pytest.raises(ValueError, match=r"trained on the teacher alone\. Set heads='dual'"):
        measure(heads="residual")


def test_senseless_interval_is_refused():
    with pytest.raises(ValueError, match="every must be 1 or more"):
        measure(every=0)
