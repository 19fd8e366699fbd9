"""The caller's settings of torch change no number of ours, and are found again as they were."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn

from skactivekd import (
    Badge,
    CLAPTeacher,
    DHOClassifier,
    DHONet,
    OpenCLIPEncoder,
    TipAdapterTeacher,
    UncertaintyHerding,
    ZeroShotTeacher,
    k_center_greedy,
    load_glyph_digits,
)

X, Y = (rows[:60] for rows in load_glyph_digits(return_X_y=True))
FLAT = X.reshape(60, -1)
KNOWN = np.where(np.arange(60) < 20, Y, -1)
RNG = np.random.default_rng(0)
PROBA = RNG.dirichlet(np.ones(10), 60).astype(np.float32)


@contextmanager
def default_dtype(dtype=torch.float64):
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def default_device():
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)
        # What torch 2.9 leaves behind breaks its own get_default_device, and so transformers.
        vars(torch._GLOBAL_DEVICE_CONTEXT).pop("device_context", None)


@contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


SETTINGS = {
    "float64": default_dtype,
    "device": default_device,
    "inference_mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "deterministic": deterministic,
}


def look():
    return (
        torch.get_default_dtype(),
        torch.empty(0).device,  # torch 2.9.1 cannot say its default device here
        torch.is_inference_mode_enabled(),
        torch.is_grad_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.are_deterministic_algorithms_enabled(),
    )


def student(module=None, **params):
    net = DHONet(module, max_epochs=2) if module else DHONet(max_epochs=2, module__hidden=8)
    return DHOClassifier(net, random_state=0, reuse=False, **params)


def fit_and_predict(model):
    model.fit(FLAT, KNOWN, teacher_proba=PROBA)
    return [model.predict_proba(FLAT), *model.predict_proba_embed(FLAT), model.embed(FLAT)]


def again(model):
    model.fit(FLAT, KNOWN, teacher_proba=PROBA).partial_fit(FLAT, KNOWN, teacher_proba=PROBA)
    return [model.predict_proba(FLAT)]


def plain_encoder():
    return OpenCLIPEncoder(cache=False, device="cpu")


def net_alone():
    net = DHONet(n_classes=10, input_shape=(64,), max_epochs=1, module__hidden=8)
    torch.manual_seed(0)
    net.fit(FLAT.astype(np.float32), Y)
    return [net.predict_proba(FLAT.astype(np.float32)), *net.forward(FLAT.astype(np.float32))]


def few_shot(cls, **params):
    teacher = cls(
        plain_encoder(), random_state=0, max_epochs=5, device="cpu", guard=False, **params
    )
    return [teacher.fit(X, KNOWN).predict_proba(X)]


DOORS = {
    "encoder": lambda: [plain_encoder().encode_image(X), plain_encoder().encode_text(["six"])],
    "zero-shot": lambda: [ZeroShotTeacher(plain_encoder()).fit().predict_proba(X)],
    "clap": lambda: few_shot(CLAPTeacher),
    "tip": lambda: few_shot(TipAdapterTeacher),
    "tip-f": lambda: few_shot(TipAdapterTeacher, fine_tune=True),
    "student": lambda: fit_and_predict(student()),
    "dual": lambda: fit_and_predict(student(heads="dual")),
    "partial_fit": lambda: again(student()),
    "module": lambda: fit_and_predict(student(nn.Sequential(nn.Linear(64, 8), nn.ReLU()))),
    "net": net_alone,
    "k-center": lambda: k_center_greedy(FLAT, FLAT[:3], 7, device="cpu"),
    "k-center tensor": lambda: k_center_greedy(torch.from_numpy(FLAT), None, 7, device="cpu"),
    "badge": lambda: [
        Badge(random_state=0, device="cpu").select(PROBA, features_pool=FLAT, n_instances=7)
    ],
    "herding": lambda: [
        UncertaintyHerding(device="cpu").select(PROBA, features_pool=FLAT, n_instances=7)
    ],
}


@pytest.fixture(scope="module")
def usual():
    known = {}

    def compute(door):
        if door not in known:
            torch.manual_seed(0)
            known[door] = DOORS[door]()
        return known[door]

    return compute


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("door", DOORS)
def test_numbers_are_the_same_and_settings_stay(door, setting, usual):
    expected = usual(door)
    if door == "module":  # with weights drawn at random, in another dtype perhaps
        expected = [np.empty_like(rows) for rows in expected]
    with SETTINGS[setting]():
        before = look()
        if setting == "device" and door == "module":
            with torch.device("cpu"):
                found = DOORS[door]()
        else:
            found = DOORS[door]()
        assert look() == before
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        if door == "module":
            assert np.isfinite(ours).all()
        else:
            np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


def test_settings_are_found_again_after_an_error():
    with default_dtype(), torch.inference_mode():
        before = look()
        with pytest.raises(ValueError, match="nothing to learn from"):
            student().fit(FLAT, np.full(60, -1))
        assert look() == before
