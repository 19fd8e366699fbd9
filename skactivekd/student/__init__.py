"""The student: DHO, a compact network with two heads, as a scikit-learn estimator."""

from ._classifier import DHOClassifier
from ._heads import DualHead, mix_heads
from ._loss import DHOLoss, dho_loss
from ._net import DHONet
from ._pipeline import TeacherProba
from ._schedule import WarmupDecay

__all__ = [
    "DHOClassifier",
    "DHOLoss",
    "DHONet",
    "DualHead",
    "TeacherProba",
    "WarmupDecay",
    "dho_loss",
    "mix_heads",
]
