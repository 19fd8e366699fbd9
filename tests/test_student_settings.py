"""Settings that cannot work are refused by name, before anything is trained."""

import numpy as np
import pytest
import torch

from skactivekd import DHOClassifier, DHONet

X = np.random.RandomState(0).standard_normal((30, 4))
y = np.r_[0, 1, np.full(28, -1)]
proba = np.full((30, 2), 0.5)


class Double(torch.nn.Module):
    def __init__(self, answer=torch.float64):
        super().__init__()
        self.layer, self.answer = torch.nn.Linear(4, 8).double(), answer

    def forward(self, rows):
        return self.layer(rows.double()).to(self.answer)


class Stubborn(Double):
    def forward(self, rows):
        return self.layer(rows)


def fit(**settings):
    net = settings.pop("net", None) or DHONet(max_epochs=2, module__hidden=8)
    return DHOClassifier(net, random_state=0, **settings).fit(X, y, teacher_proba=proba)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", "a"),
        ("temperature", 0),
        ("temperature", np.inf),
        ("alpha", None),
        ("alpha", "half"),
        ("beta", [1]),
        ("distill_weight", True),
        ("distill_weight", "always"),
        ("distill_weight", [0.5]),
        ("class_weight", "even"),
        ("class_weight", [1, 2]),
        ("heads", None),
        ("device", "gpu"),
        ("device", 99),
    ],
)
def test_settings_of_the_classifier(name, value):
    with pytest.raises(ValueError, match=name):
        fit(**{name: value})


@pytest.mark.parametrize("net", ["resnet18", DHONet, torch.nn.Linear(4, 8)])
def test_net_must_be_a_net(net):
    with pytest.raises(TypeError, match="net must be a DHONet"):
        fit(net=net)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", 0),
        ("batch_size", 2.5),
        ("batch_size", True),
        ("max_epochs", -1),
        ("max_epochs", "many"),
        ("lr", -1),
        ("lr", "fast"),
        ("lr", np.nan),
        ("optimizer", "adam"),
        ("module__hidden", 0),
        ("module__hidden", (8, -1)),
        ("module__hidden", "wide"),
    ],
)
def test_settings_of_the_net(name, value):
    with pytest.raises((ValueError, TypeError), match=name.removeprefix("module__")):
        fit(net=DHONet(**{"max_epochs": 2, name: value}))


def test_backbones_of_double_precision():
    with pytest.raises(ValueError, match="Stubborn cannot take one row of float32"):
        fit(net=DHONet(Stubborn, max_epochs=2))
    with pytest.raises(ValueError, match=r"must return float32 features.*\.float\(\)"):
        fit(net=DHONet(Double, max_epochs=2))
    fit(net=DHONet(Double, max_epochs=2, module__answer=torch.float32))


def test_unknown_models_of_timm():
    with pytest.raises(ValueError, match=r"'resnet19' is no model of timm; timm.list_models"):
        DHOClassifier(DHONet("resnet19"), random_state=0).fit(
            np.zeros((30, 3, 8, 8)), y, teacher_proba=proba
        )


@pytest.mark.parametrize("pretrained", [True, False])
def test_weights_of_timm_that_cannot_be_had_say_what_to_do(monkeypatch, pretrained):
    def offline(*_, **__):
        raise OSError("nobody is there")

    monkeypatch.setattr("timm.create_model", offline)
    net = DHONet("resnet18", module__pretrained=pretrained, max_epochs=1)
    what_to_do = (
        r"'resnet18' with its trained weights cannot be loaded.*\n.*pretrained_cfg_overlay="
    )
    kind, message = (RuntimeError, what_to_do) if pretrained else (OSError, "^nobody is there$")
    with pytest.raises(kind, match=message):
        DHOClassifier(net, random_state=0).fit(np.zeros((30, 3, 8, 8)), y, teacher_proba=proba)


def test_rows_must_be_numbers_or_images():
    with pytest.raises(ValueError, match="X must have rows of numbers"):
        DHOClassifier(DHONet(max_epochs=2)).fit(X.reshape(30, 1, 1, 2, 2), y, teacher_proba=proba)
