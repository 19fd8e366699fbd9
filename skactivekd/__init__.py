"""Active learning with knowledge distillation, in scikit-learn's manner.

The public names load on first use, so that ``import skactivekd`` brings in
neither torch nor open_clip, matplotlib or modAL.
"""

from importlib import import_module
from importlib.metadata import version

__version__ = version("skactivekd")

_HOME = {
    "EmbeddingCache": "cache",
    "CLAPTeacher": "teacher",
    "Embedder": "teacher",
    "LabeledOnly": "teacher",
    "OpenCLIPEncoder": "encoders",
    "SentenceEncoder": "encoders",
    "TeacherReport": "inspection",
    "TipAdapterTeacher": "teacher",
    "ZeroShotTeacher": "teacher",
    "teacher_report": "inspection",
    "tidy_classes": "teacher",
    "AcceleratedDHONet": "student",
    "DHOClassifier": "student",
    "DHONet": "student",
    "DualHead": "student",
    "GradientCosine": "student",
    "TeacherProba": "student",
    "clip_student": "student",
    "dho_loss": "student",
    "gradient_cosine": "student",
    "mix_heads": "student",
    "export": "persistence",
    "load": "persistence",
    "save": "persistence",
    "Badge": "query",
    "ClassBalanced": "query",
    "CoreSet": "query",
    "Entropy": "query",
    "FromSkactiveml": "query",
    "LeastConfidence": "query",
    "Margin": "query",
    "PCoreSet": "query",
    "Random": "query",
    "UncertaintyHerding": "query",
    "k_center_greedy": "query",
    "to_skactiveml": "query",
    "LabeledStratifiedKFold": "model_selection",
    "labeled_accuracy": "model_selection",
    "simulate": "simulation",
    "ValueReport": "simulation",
    "area_under_curve": "metrics",
    "labels_to_reach": "metrics",
    "rank_table": "metrics",
    "value_report": "simulation",
    "LabelingSession": "session",
    "load_glyph_digits": "datasets",
    "LabelEfficiencyDisplay": "plotting",
    "TeacherReportDisplay": "plotting",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__():
    return sorted(__all__)
