"""Heads that start from class weights, and students that start as a small CLIP."""

import copy
import pickle

import numpy as np
import open_clip
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from torch.nn import functional as F

from skactivekd import DHOClassifier, DHONet, OpenCLIPEncoder, ZeroShotTeacher, clip_student
from skactivekd.student import DualHead
from skactivekd.student._clip_student import ImageTower

RNG = np.random.RandomState(0)
CLASSES = {"w": "wolf", "c": "cat", "o": "owl"}
TEMPLATES = ["a photo of a {}.", "{}", "the {} in the wild"]


def still(net, n_rows=8, classes=None, X=None, **params):
    """A classifier before its first step, if its net has no epoch to train."""
    X = RNG.normal(size=(n_rows, 5)) if X is None else X
    clf = DHOClassifier(net, random_state=0, classes=classes, device="cpu", **params)
    teacher = np.full((len(X), len(classes)), 1 / len(classes))
    return clf.fit(X, np.full(len(X), clf.missing_label), teacher_proba=teacher)


@pytest.fixture(scope="module")
def encoder(tiny_clip):
    return OpenCLIPEncoder(tiny_clip.directory, device="cpu", cache=False)


@pytest.fixture(scope="module")
def images():
    return RNG.uniform(size=(12, 3, 16, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def by_hand(tiny_clip, images):
    """Features of the images and mean text embeddings, by open_clip alone."""
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{tiny_clip.directory}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{tiny_clip.directory}")
    mean, std = (
        torch.tensor(tiny_clip.preprocess[key]).view(1, 3, 1, 1) for key in ("mean", "std")
    )
    with torch.no_grad():
        features = model.eval().visual((torch.as_tensor(images) - mean) / std)
        weights = [
            model.encode_text(tokenizer([t.format(CLASSES[label]) for t in TEMPLATES])).mean(dim=0)
            for label in sorted(CLASSES)
        ]
    return features, torch.stack(weights)


def test_weights_start_both_heads_without_bias():
    weights = RNG.normal(size=(3, 4))
    head, z = DualHead(4, 3, weights=weights, kd_scale=10.0), torch.randn(6, 4)
    ce, kd = head(z)
    plain = z @ torch.tensor(weights, dtype=torch.float32).T
    torch.testing.assert_close(ce, plain)
    torch.testing.assert_close(kd, 10 * plain / z.norm(dim=1, keepdim=True))
    assert head.ce.weight.data_ptr() != head.kd.weight.data_ptr()
    assert all(weight.requires_grad for weight in head.parameters())
    torch.testing.assert_close(*DualHead(4, 3, weights=weights)(z))


def test_scale_multiplies_the_bias_too():
    head = DualHead(4, 3, kd_scale=100.0)
    z = torch.randn(6, 4)
    expected = 100 * (F.normalize(z) @ head.kd.weight.T + head.kd.bias)
    torch.testing.assert_close(head(z)[1], expected)
    torch.testing.assert_close(head(z)[0], head.ce(z))
    torch.testing.assert_close(head(3 * z)[1], expected)


@pytest.mark.parametrize("heads", ["dual", "residual"])
def test_net_hands_settings_to_the_heads_and_keeps_them_searchable(heads):
    weights = RNG.normal(size=(3, 8))
    net = DHONet(head_weights=weights, kd_scale=5.0, max_epochs=0, module__hidden=8)
    clf = still(net, classes=[0, 1, 2], heads=heads)
    X = RNG.normal(size=(6, 5))
    ce, kd = clf.net_.forward(X.astype(np.float32))
    z = clf.embed(X)
    expected = 5 * z / np.linalg.norm(z, axis=1, keepdims=True) @ weights.T
    np.testing.assert_allclose(kd, expected, atol=1e-5)
    # One that corrects the teacher's head starts as that.
    np.testing.assert_allclose(ce, z @ weights.T if heads == "dual" else kd, atol=1e-5)
    clf.set_params(net__kd_scale=None, net__head_weights=2 * weights)
    assert clone(clf).net.kd_scale is None
    assert np.array_equal(clone(clf).net.head_weights, 2 * weights)


def test_errors_name_what_does_not_fit():
    net = DHONet(head_weights=np.zeros((2, 8)), module__hidden=8, max_epochs=1)
    with pytest.raises(ValueError, match=r"shape \(2, 8\), but .* \(3, 8\).*sorted classes"):
        still(net, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="needs two heads"):
        still(DHONet(kd_scale=1.0, max_epochs=1), classes=[0, 1], heads="single")
    with pytest.raises(ValueError, match=r"kd_scale=.* must be above 0"):
        DualHead(4, 3, kd_scale=0)
    with pytest.raises(TypeError, match="must be an OpenCLIPEncoder"):
        clip_student("ViT-B-32", ["a", "b"])
    with pytest.raises(ValueError, match="set `classes`"):
        clip_student(OpenCLIPEncoder("ViT-B-32"))


def test_student_starts_as_its_clip(encoder, images, by_hand):
    features, weights = by_hand
    net = clip_student(encoder, CLASSES, TEMPLATES, max_epochs=0)
    np.testing.assert_allclose(net.head_weights, weights, rtol=1e-4, atol=1e-5)
    assert (weights.norm(dim=1) - 1).abs().min() > 0.1  # neither texts nor means are normalized
    clf = still(net, classes=sorted(CLASSES), X=images, missing_label="", heads="dual")
    np.testing.assert_allclose(clf.embed(images), features, rtol=1e-4, atol=1e-5)
    ce, kd = clf.net_.forward(images)
    np.testing.assert_allclose(ce, features @ weights.T, rtol=1e-3, atol=1e-4)
    unit = features / features.norm(dim=1, keepdim=True)
    np.testing.assert_allclose(kd, 100 * unit @ weights.T, rtol=1e-3, atol=1e-3)
    by_clip = clf.classes_[(features @ weights.T).argmax(dim=1)]
    assert clf.classes_.tolist() == ["c", "o", "w"]
    assert np.array_equal(clf.predict(images), by_clip)


def test_same_pixels_as_the_teacher_whatever_their_form():
    """The small model of the package, on digits of 8 x 8 pixels, resized by the backbone."""
    digits = load_digits().images[:300] / 16
    gray = (255 * digits).round().astype(np.uint8)
    teacher = ZeroShotTeacher().fit()
    net = clip_student(max_epochs=0)
    clf = still(net, classes=range(10), X=gray[:4])
    predicted = clf.predict(gray)
    # Weights are not normalized, so that few digits near a border fall to another class.
    assert (predicted == teacher.predict(gray)).mean() > 0.9
    z = clf.embed(gray)
    cosines = z / np.linalg.norm(z, axis=1, keepdims=True) * teacher.encoder_.encode_image(gray)
    assert cosines.sum(axis=1).min() > 0.999
    rgb = np.repeat(gray[..., None], 3, axis=3)
    for X in (gray / 255, rgb, np.moveaxis(rgb, 3, 1)):
        clf = still(net, classes=range(10), X=X[:4])
        np.testing.assert_allclose(clf.embed(X), z, atol=1e-4)


def test_student_trains_and_travels_while_the_encoder_stays(encoder, images):
    before = encoder.encode_image(np.moveaxis(images, 1, 3))
    net = clip_student(encoder, CLASSES, TEMPLATES, lr=0.01, max_epochs=20)
    y = np.array(["c", "o", "w", ""] * 3)
    clf = DHOClassifier(net, missing_label="", random_state=0, device="cpu").fit(images, y)
    tower = clf.net_.module_.backbone.visual
    moved = [
        not torch.equal(new, old)
        for new, old in zip(tower.parameters(), net.module.visual.parameters(), strict=True)
    ]
    assert np.mean(moved) > 0.9
    assert clf.score(images, y) > 0.9
    for twin in (pickle.loads(pickle.dumps(clf)), copy.deepcopy(clf)):
        assert np.array_equal(twin.predict_proba(images), clf.predict_proba(images))
    again = clone(clf).fit(images, y)
    assert np.array_equal(again.predict_proba(images), clf.predict_proba(images))
    assert np.array_equal(encoder.encode_image(np.moveaxis(images, 1, 3)), before)


def test_resizing_that_takes_pictures_only_is_refused(tiny_clip, images):
    params = {"device": "cpu", "preprocess": {"resize_mode": "longest"}}
    with pytest.raises(ValueError, match="resize_mode"):
        clip_student(OpenCLIPEncoder(tiny_clip.directory, **params), CLASSES)


def test_towers_that_give_patches_as_well():
    class Pair(torch.nn.Flatten):
        def forward(self, X):
            return super().forward(X), X

    class Nothing:
        transforms = ()

        def __call__(self, X):
            return X

    assert ImageTower(Pair(), Nothing())(torch.zeros(2, 1, 2, 2)).shape == (2, 12)
