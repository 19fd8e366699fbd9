"""The student: DHO, a compact network with two heads, as a scikit-learn estimator."""

from ._clip_student import clip_student
from ._dataset import RowDataset
from ._dho_classifier import DHOClassifier
from ._dho_loss import DHOLoss, dho_loss
from ._dho_net import DHONet
from ._gradient_cosine import GradientCosine, gradient_cosine
from ._heads import DualHead, mix_heads
from ._multi_gpu import AcceleratedDHONet
from ._schedule import WarmupDecay
from ._teacher_proba import TeacherProba

__all__ = [
    "AcceleratedDHONet",
    "DHOClassifier",
    "DHOLoss",
    "DHONet",
    "DualHead",
    "GradientCosine",
    "RowDataset",
    "TeacherProba",
    "WarmupDecay",
    "clip_student",
    "dho_loss",
    "gradient_cosine",
    "mix_heads",
]
