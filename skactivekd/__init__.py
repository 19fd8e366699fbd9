"""Active learning with knowledge distillation, in scikit-learn's manner.

The public names load on first use, so that ``import skactivekd`` brings in
neither torch nor open_clip, matplotlib or modAL.
"""

from importlib import import_module
from importlib.metadata import version

__version__ = version("skactivekd")

_HOME = {
    "OpenCLIPEncoder": "teacher",
    "ZeroShotTeacher": "teacher",
    "DHOClassifier": "student",
    "DHONet": "student",
    "DualHead": "student",
    "TeacherProba": "student",
    "dho_loss": "student",
    "mix_heads": "student",
    "CoreSet": "query",
    "Entropy": "query",
    "Margin": "query",
    "PCoreSet": "query",
    "Random": "query",
    "k_center_greedy": "query",
    "LabeledStratifiedKFold": "model_selection",
    "labeled_accuracy": "model_selection",
    "simulate": "simulation",
    "load_glyph_digits": "datasets",
    "LabelEfficiencyDisplay": "plotting",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__():
    return sorted(__all__)
