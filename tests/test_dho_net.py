"""DHONet: backbones, schedule, and skorch's own features around it."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, EpochScoring, GradientNormClipping
from skorch.dataset import ValidSplit
from torch import nn

from skactivekd import DHOClassifier, DHONet, load
from skactivekd.student import WarmupDecay
from skactivekd.student._backbones import (
    AveragePool,
    RandomShift,
    build_backbone,
    channels_side_by_side,
    count_features,
)
from skactivekd.student._dataset import RowDataset
from skactivekd.student._schedule import warmup_decay

RNG = np.random.RandomState(0)
X = RNG.normal(size=(40, 5)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)
HIDDEN = np.where(np.arange(40) < 20, Y, -1)
TEACHER = 0.8 * np.eye(2)[Y] + 0.1


class Lazy(nn.Sequential):
    def __init__(self, width=7):
        super().__init__(nn.LazyLinear(width), nn.Tanh())


def train(net, **params):
    clf = DHOClassifier(net, **{"heads": "dual", "random_state": 0, **params})
    return clf.fit(X, HIDDEN, teacher_proba=TEACHER)


def test_backbone_from_a_class_of_ones_own():
    assert train(DHONet(Lazy, module__width=9, max_epochs=2)).embed(X).shape == (40, 9)


def test_backbone_instance_is_copied_for_each_fit():
    backbone = Lazy()
    backbone(torch.zeros(1, 5))
    before = [p.clone() for p in backbone.parameters()]
    clf = train(DHONet(backbone, max_epochs=2))
    first = clf.predict_proba(X)
    clf.fit(X, HIDDEN, teacher_proba=TEACHER)
    assert np.array_equal(clf.predict_proba(X), first)
    assert all(torch.equal(p, b) for p, b in zip(backbone.parameters(), before, strict=True))
    with pytest.raises(TypeError, match="takes no arguments"):
        train(DHONet(backbone, module__width=3))


def test_backbone_from_timm_by_name():
    images = RNG.normal(size=(8, 3, 32, 32)).astype(np.float32)
    net = DHONet("test_resnet", max_epochs=1, batch_size=4)
    clf = DHOClassifier(net, random_state=0).fit(images, np.arange(8) % 2)
    assert clf.predict_proba(images).shape == (8, 2)
    assert clf.embed(images).ndim == 2


def test_backbone_must_return_features():
    with pytest.raises(ValueError, match=r"features of shape \(n, d\)"):
        count_features(nn.Conv2d(1, 2, 3), (1, 8, 8))


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 8, 8), (1, 28, 28), (3, 40, 24), (1, 1, 1)])
def test_default_cnn_takes_any_size(shape):
    backbone = build_backbone(None, shape, hidden=10)
    assert backbone(torch.zeros(2, *shape)).shape == (2, 10)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 8, 8), (3, 40, 24)])
def test_default_cnn_with_batch_norm_and_shifts(shape, tmp_path):
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(30, *shape)).astype(np.float32)
    net = DHONet(max_epochs=2, module__batch_norm=True, module__shift=0.1, module__hidden=8)
    clf = DHOClassifier(net, random_state=0).fit(images, np.arange(30) % 3)
    backbone = clf.net_.module_.backbone
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in backbone) == sum(
        isinstance(layer, nn.Conv2d) for layer in backbone
    )
    proba = clf.predict_proba(images)  # nothing moves, and each row stands for itself
    np.testing.assert_allclose(clf.predict_proba(images[:1]), proba[:1], atol=1e-6)
    clf.save(tmp_path / "model")
    np.testing.assert_allclose(load(tmp_path / "model").predict_proba(images), proba, atol=1e-6)


def test_shifts_move_all_of_a_batch_by_some_pixels():
    X = torch.arange(2 * 3 * 8 * 6.0).reshape(2, 3, 8, 6)
    layer, seen = RandomShift(0.25), set()
    padded = nn.functional.pad(X, (2, 2, 2, 2), mode="replicate")
    views = {
        (down, right): padded[:, :, down : down + 8, right : right + 6]
        for down in range(5)
        for right in range(5)
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(200):
            moved = layer(X)
            seen |= {place for place, view in views.items() if torch.equal(view, moved)}
    assert seen == set(views)  # 8 / 4 and 6 / 4 are two pixels
    assert layer.eval()(X) is X
    with pytest.raises(ValueError, match="shift must be from 0 to"):
        RandomShift(2)


@pytest.mark.parametrize("shape", [(4, 4), (4, 3), (2, 4), (5, 5)])
def test_average_pooling_is_that_of_torch(shape):
    X = torch.from_numpy(RNG.rand(2, 3, *shape))
    assert torch.equal(AveragePool(4)(X), nn.AdaptiveAvgPool2d(4)(X))


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_pooling_before_the_relu_changes_no_bit(last, batch_norm):
    layers = list(build_backbone(None, (2, 13, 11), batch_norm=batch_norm))
    assert [type(layer) for layer in layers].count(nn.MaxPool2d) == 2
    usual = layers.copy()
    for place, layer in enumerate(layers):
        if isinstance(layer, nn.MaxPool2d):
            usual[place : place + 2] = layers[place + 1], layer
    assert usual != layers
    images = torch.from_numpy(RNG.normal(size=(6, 2, 13, 11)).astype(np.float32))
    if last:
        images = images.contiguous(memory_format=torch.channels_last)
    seen = []
    for net in (nn.Sequential(*layers), nn.Sequential(*usual)):
        out = net(images)
        out.square().sum().backward()
        seen.append([out.detach(), *(weight.grad.clone() for weight in net.parameters())])
        net.zero_grad()
    assert all(map(torch.equal, *seen))


@pytest.mark.parametrize("shape", [(5, 1, 12, 9), (5, 1, 8, 8), (5, 3, 12, 9), (1, 1, 20, 20)])
@pytest.mark.parametrize("upside_down", [False, True])
def test_images_with_channels_side_by_side_are_the_same_images(shape, upside_down):
    images = torch.from_numpy(RNG.rand(*shape))
    images = images.flip(2).transpose(2, 3).contiguous().transpose(2, 3) if upside_down else images
    found = channels_side_by_side(images)
    assert torch.equal(found, images)
    assert found.is_contiguous(memory_format=torch.channels_last)
    if max(shape) > 8:
        assert found.stride(1) == 1  # what torch looks at


@pytest.mark.parametrize("side", [8, 12])
def test_a_gray_image_takes_the_fast_way_where_the_network_can(side):
    class Flat(nn.Module):
        """Flattens by ``view``, which images with channels side by side do not allow."""

        def __init__(self):
            super().__init__()
            self.convolve = nn.Conv2d(1, 4, 3, padding=1)

        def forward(self, images):
            return self.convolve(images).view(len(images), -1)

    pixels = RNG.rand(40, side, side)
    found = {}
    for name, net in {"flat": DHONet(Flat, max_epochs=2), "small": DHONet(max_epochs=2)}.items():
        model = DHOClassifier(net, random_state=0).fit(pixels, HIDDEN, teacher_proba=TEACHER)
        found[name] = model.net_.module_.channels_last
        assert np.isfinite(model.predict_proba(pixels)).all()
    # Of 8 pixels torch chooses the way where channels do not matter.
    assert found == {"flat": side == 8, "small": True}


def test_default_perceptron_takes_widths():
    widths = [
        m.out_features for m in build_backbone(None, (5,), hidden=(4, 3)) if hasattr(m, "bias")
    ]
    assert widths == [4, 3]
    assert count_features(build_backbone(None, (5,), hidden=6, dropout=0.5), (5,)) == 6


def test_learning_rate_goes_up_and_down():
    factors = [warmup_decay(step, 50) for step in range(50)]
    assert np.argmax(factors) in (4, 5)
    assert max(factors) == 1
    assert np.all(np.diff(factors[:5]) > 0)
    assert np.all(np.diff(factors[5:]) < 0)
    assert min(factors) > 0
    assert warmup_decay(0, 1) == 1
    seen = []

    class Spy(WarmupDecay):
        def on_batch_begin(self, net, **kwargs):
            seen.append(net.optimizer_.param_groups[0]["lr"])

    train(DHONet(max_epochs=25, batch_size=10, lr=0.5, callbacks__schedule=Spy()))
    assert seen == pytest.approx([0.5 * factor for factor in factors])
    seen.clear()
    train(DHONet(max_epochs=2, lr=0.5, callbacks__schedule=None))
    assert seen == []


def test_learning_rate_may_go_down_as_a_cosine():
    factors = [warmup_decay(step, 50, warmup=0, shape="cosine") for step in range(51)]
    assert factors == pytest.approx((1 + np.cos(np.pi * np.arange(51) / 50)) / 2)
    assert warmup_decay(4, 50, shape="cosine") == warmup_decay(5, 50, shape="cosine") == 1
    net = train(DHONet(max_epochs=2, callbacks__schedule=WarmupDecay(0, shape="cosine"))).net_
    assert net.optimizer_.param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match="shape must be 'linear' or 'cosine'"):
        train(DHONet(callbacks__schedule=WarmupDecay(shape="square")))


def test_skorch_callbacks_and_validation_split(tmp_path):
    net = DHONet(
        max_epochs=8,
        train_split=ValidSplit(4, stratified=False),
        callbacks=[
            EarlyStopping(patience=50),
            Checkpoint(dirname=tmp_path, monitor="valid_loss_best"),
            GradientNormClipping(1.0),
            EpochScoring("accuracy", lower_is_better=False, name="valid_acc"),
        ],
    )
    clf = train(net, heads="dual")
    history = clf.net_.history
    assert len(history) == 8
    assert np.isfinite(history[:, ("train_loss", "valid_loss", "valid_acc")]).all()
    assert (tmp_path / "params.pt").exists()


def test_history_batches_hold_both_halves():
    clf = train(DHONet(max_epochs=1, batch_size=8), heads="dual")
    assert clf.net_.history[0, "batches", :, "train_batch_size"] == [16, 16, 16]


def test_batches_of_residual_heads_hold_twice_as_many_of_one_kind():
    clf = train(DHONet(max_epochs=1, batch_size=8), heads="residual")
    assert clf.net_.history[0, "batches", :, "train_batch_size"] == [16, 16, 16]
    clf = train(DHONet(max_epochs=1, batch_size=32), heads="residual")
    assert clf.net_.history[0, "batches", :, "train_batch_size"] == [40]


def test_net_on_its_own_mixes_its_heads():
    net = DHONet(n_classes=2, input_shape=(5,), max_epochs=3)
    net.fit(RowDataset(X, HIDDEN, TEACHER.astype(np.float32)), None)
    proba = net.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-5)
    assert net.predict(X).shape == (40,)
    net.fit(X, Y)
    with pytest.raises(ValueError, match="n_classes and input_shape"):
        DHONet().fit(X, Y)


def test_mistyped_parameters_are_refused():
    with pytest.raises(ValueError, match="unexpected argument"):
        train(DHONet(learning_rate=1))


class Interrupt(Callback):
    """Press Ctrl-C in the third epoch."""

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 3:
            raise KeyboardInterrupt


@pytest.mark.parametrize("train", ["fit", "partial_fit"])
def test_an_interrupt_reaches_the_caller(train):
    clf = DHOClassifier(DHONet(max_epochs=9, callbacks=[Interrupt()]), random_state=0)
    with pytest.raises(KeyboardInterrupt):
        getattr(clf, train)(X, HIDDEN)
    assert not hasattr(clf, "net_")
    net = DHONet(n_classes=2, input_shape=(5,), max_epochs=9, callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        getattr(net, train)(X, HIDDEN)


def test_an_interrupt_beside_early_stopping_reaches_the_caller():
    callbacks = [EarlyStopping("train_loss", patience=2), Interrupt()]
    with pytest.raises(KeyboardInterrupt):
        train(DHONet(max_epochs=9, callbacks=callbacks))


def batch_norm():
    return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU())


@pytest.mark.parametrize(("n_labels", "batch_size"), [(1, 64), (3, 1), (33, 32)])
def test_batch_normalization_takes_batches_of_one_row(n_labels, batch_size):
    y = np.where(np.arange(40) < n_labels, Y, -1)
    net = DHONet(batch_norm, max_epochs=3, batch_size=batch_size)
    clf = DHOClassifier(net, classes=[0, 1], random_state=0).fit(X, y)
    assert np.isfinite(clf.predict_proba(X)).all()
    sizes = clf.net_.history[:, "batches", :, "train_batch_size"]
    assert {size for epoch in sizes for size in epoch} == {min(n_labels, batch_size)}
    norm = clf.net_.module_.backbone[1]
    assert bool(norm.num_batches_tracked > 0) == (min(n_labels, batch_size) > 1)


def test_an_image_of_one_row_is_enough_for_batch_normalization():
    def backbone():
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 4), nn.BatchNorm1d(4)
        )

    images = RNG.normal(size=(1, 6, 6)).astype(np.float32)
    clf = DHOClassifier(DHONet(backbone, max_epochs=3), classes=[0, 1], random_state=0)
    layers = clf.fit(images, [1]).net_.module_.backbone
    assert layers[1].num_batches_tracked == 3
    assert layers[4].num_batches_tracked == 0


@pytest.mark.parametrize(
    ("n_labels", "epoch", "expected"),
    [
        (3, "labeled", 1),
        (3, "auto", 1),
        (3, "all", 5),
        (0, "labeled", 5),
        (0, "all", 5),
        (40, "all", 5),
    ],
)
def test_length_of_an_epoch(n_labels, epoch, expected):
    y = np.where(np.arange(40) < n_labels, Y, -1)
    net = DHONet(max_epochs=2, batch_size=8, epoch=epoch)
    clf = DHOClassifier(net, heads="dual", classes=[0, 1], random_state=0)
    net = clf.fit(X, y, teacher_proba=TEACHER).net_
    assert net.history[:, "train_batch_count"] == [expected] * 2
    assert net.count_steps(RowDataset(X, y, TEACHER)) == expected
    assert net.optimizer_.param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match="epoch must be 'auto', 'labeled' or 'all', got 'some'"):
        clf.set_params(net__epoch="some").fit(X, y, teacher_proba=TEACHER)


@pytest.mark.full_training
@pytest.mark.parametrize(
    ("heads", "n_rows", "expected"),
    [
        ("dual", 40, 200),
        ("single", 40, 200),
        ("residual", 40, 1000),
        ("residual", 1000, 125),
        ("residual", 10_000, 20),
    ],
)
def test_number_of_epochs_that_nobody_set(heads, n_rows, expected):
    """1000 steps of 128 rows, or 20 passes over all rows, where these are more."""
    net = DHONet(n_classes=2, input_shape=(5,), heads=heads)
    rows = RowDataset(np.zeros((n_rows, 5)), None, np.full((n_rows, 2), 0.5))
    assert net.count_epochs(rows) == expected
    assert net.set_params(max_epochs=3).count_epochs(rows) == 3


def test_residual_heads_see_all_rows_alike():
    net = train(DHONet(max_epochs=2, batch_size=5), heads="residual").net_
    assert net.history[:, "train_batch_count"] == [4, 4]
    assert net.history[:, "batches", :, "train_batch_size"] == [[10] * 4] * 2


def test_the_net_alone_answers_with_the_heads_it_trained():
    net = DHONet(n_classes=2, input_shape=(5,), max_epochs=3)
    for teacher, y, head in ((None, Y, 0), (TEACHER, np.full(40, -1), 1)):
        net.fit(RowDataset(X, y, teacher), None)
        expected = torch.softmax(net.forward(X)[head], dim=1)
        np.testing.assert_array_equal(net.predict_proba(X), expected)
    net.partial_fit(RowDataset(X, Y), None)
    expected = sum(torch.softmax(logits, dim=1) for logits in net.forward(X)) / 2
    np.testing.assert_allclose(net.predict_proba(X), expected, atol=1e-6)


def test_weights_of_rows_reach_the_loss():
    def fit(**weights):
        torch.manual_seed(0)
        net = DHONet(n_classes=2, input_shape=(5,), max_epochs=3)
        net.fit(RowDataset(X, HIDDEN, TEACHER, **weights), None)
        return net.predict_proba(X)

    ones, few = np.ones(40), np.where(np.arange(40) % 2, 1.0, 0.1)
    plain = fit()
    np.testing.assert_allclose(fit(sample_weight=ones, teacher_weight=ones), plain, atol=1e-5)
    assert np.abs(fit(sample_weight=few) - plain).max() > 1e-3
    assert np.abs(fit(teacher_weight=few) - plain).max() > 1e-3


def test_memory_of_the_teacher_does_not_matter(tmp_path):
    def fit(teacher, **params):
        torch.manual_seed(0)
        net = DHONet(n_classes=2, input_shape=(5,), max_epochs=3)
        return net.fit(RowDataset(X, HIDDEN, teacher, **params), None).predict_proba(X)

    plain = fit(TEACHER.astype(np.float32))
    np.save(tmp_path / "teacher.npy", np.asfortranarray(TEACHER[:, ::-1]))
    mapped = np.load(tmp_path / "teacher.npy", mmap_mode="r")
    assert np.array_equal(fit(mapped, columns=[1, 0]), plain)


@pytest.mark.parametrize(
    ("backbone", "expected"), [(None, 1), (lambda: nn.Linear(5, 2 * 10**7), 2)]
)
def test_small_networks_train_on_one_thread_and_give_the_others_back(backbone, expected):
    seen, before = [], torch.get_num_threads()

    class Spy(WarmupDecay):
        def on_epoch_begin(self, net, **kwargs):
            seen.append(torch.get_num_threads())
            raise KeyboardInterrupt

    torch.set_num_threads(2)
    try:
        net = DHONet(
            backbone, n_classes=2, input_shape=(5,), max_epochs=1, callbacks__schedule=Spy()
        )
        with pytest.raises(KeyboardInterrupt):
            net.fit(X, Y)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == [expected]


class Normalized(nn.Sequential):
    """Batch normalization alone, and a count of the rows that it sees."""

    def __init__(self):
        super().__init__(nn.BatchNorm1d(5, momentum=None))
        self.seen = []

    def forward(self, x):
        if self.training:
            self.seen.append(len(x))
        return super().forward(x)


@pytest.mark.parametrize("heads", ["dual", "single"])
def test_halves_apart_are_normalized_apart(heads):
    fitted = {
        apart: train(DHONet(Normalized, max_epochs=2, batch_size=8, apart=apart), heads=heads).net_
        for apart in (True, False)
    }
    seen = {apart: net.module_.backbone.seen for apart, net in fitted.items()}
    assert seen == {True: [8, 8] * 6, False: [16] * 6}
    assert not torch.equal(*(net.module_.heads.ce.weight for net in fitted.values()))
    batch = fitted[True].get_dataset(X, np.where(np.arange(40) < 3, 0, -1)).__getitems__(range(8))
    fitted[True].module_.train()
    together = fitted[True].module_(batch[0]["X"])
    apart = [
        torch.cat(parts)
        for parts in zip(
            fitted[True].module_(batch[0]["X"][:3]),
            fitted[True].module_(batch[0]["X"][3:]),
            strict=True,
        )
    ]
    found = fitted[True].infer(batch[0])
    for part, expected, other in zip(found, apart, together, strict=True):
        assert torch.equal(part, expected)
        assert not torch.allclose(part, other, atol=1e-3)


def test_one_kind_of_rows_is_not_taken_apart():
    both = [
        DHOClassifier(
            DHONet(Normalized, max_epochs=2, batch_size=8, apart=apart),
            heads="dual",
            random_state=0,
        )
        .fit(X, Y)
        .predict_proba(X)
        for apart in (True, False)
    ]
    assert np.array_equal(*both)


def test_few_labels_fill_a_batch_by_replacement():
    y = np.where(np.arange(40) < 3, Y, -1)
    sizes = []
    for replacement in (True, False):
        net = DHONet(max_epochs=2, batch_size=8, replacement=replacement)
        clf = DHOClassifier(net, heads="dual", random_state=0).fit(X, y, teacher_proba=TEACHER)
        sizes.append(clf.net_.history[:, "batches", :, "train_batch_size"])
    assert sizes == [[[16]] * 2, [[11]] * 2]


@pytest.mark.parametrize("name", ["replacement", "apart"])
def test_halves_are_no_setting_of_a_network_that_has_one(name):
    with pytest.raises(ValueError, match=f"{name}=True is for heads='dual' or 'single'"):
        train(DHONet(max_epochs=1, **{name: True}), heads="residual")
    with pytest.raises(ValueError, match=f"{name}=1 must be True or False"):
        train(DHONet(max_epochs=1, **{name: 1}))
    # Without a teacher the default student has a head for the labels alone.
    clf = DHOClassifier(DHONet(max_epochs=1, **{name: True}), random_state=0).fit(X, HIDDEN)
    assert clf.predict(X).shape == (40,)
