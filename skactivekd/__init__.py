"""Active learning with knowledge distillation, in scikit-learn's manner.

The names of the first row stand here, all others in the subpackages. They load on first use, so
that ``import skactivekd`` brings in neither torch nor open_clip, matplotlib or modAL.
"""

from importlib import import_module
from importlib.metadata import version

__version__ = version("skactivekd")

_HOME = {
    "EmbeddingCache": "cache",
    "CLAPTeacher": "teacher",
    "Embedder": "teacher",
    "EndpointTeacher": "teacher",
    "GenerativeTeacher": "teacher",
    "LabeledOnly": "teacher",
    "OpenCLIPEncoder": "encoders",
    "SentenceEncoder": "encoders",
    "TeacherReport": "inspection",
    "TipAdapterTeacher": "teacher",
    "ZeroShotTeacher": "teacher",
    "teacher_report": "inspection",
    "tidy_classes": "teacher",
    "DHOClassifier": "student",
    "DHONet": "student",
    "TeacherProba": "student",
    "clip_student": "student",
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
    "ClassConfusionDisplay": "plotting",
    "ContactSheetDisplay": "plotting",
    "LabelEfficiencyDisplay": "plotting",
    "PredictionClustersDisplay": "plotting",
    "ReliabilityDisplay": "plotting",
    "TeacherReportDisplay": "plotting",
    "TrainingHistoryDisplay": "plotting",
}

# Tools of research, which most programs do not need: an import from here is told where they are.
_ELSEWHERE = {
    "AcceleratedDHONet": "student",
    "DualHead": "student",
    "GradientCosine": "student",
    "dho_loss": "student",
    "gradient_cosine": "student",
    "mix_heads": "student",
}

_SUBPACKAGES = (
    "app",
    "cache",
    "datasets",
    "encoders",
    "inspection",
    "metrics",
    "modal",
    "model_selection",
    "persistence",
    "plotting",
    "query",
    "session",
    "simulation",
    "student",
    "teacher",
    "utils",
)

# What tutorials type. The rest of the names above is found here too.
__all__ = [
    "CLAPTeacher",
    "DHOClassifier",
    "DHONet",
    "EmbeddingCache",
    "LabeledStratifiedKFold",
    "LabelingSession",
    "OpenCLIPEncoder",
    "PCoreSet",
    "SentenceEncoder",
    "TeacherProba",
    "TipAdapterTeacher",
    "UncertaintyHerding",
    "ZeroShotTeacher",
    "__version__",
    "export",
    "k_center_greedy",
    "labeled_accuracy",
    "load",
    "save",
    "simulate",
    "teacher_report",
]


def __getattr__(name):
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    if name in _SUBPACKAGES:
        return import_module(f"{__name__}.{name}")
    hint = ""
    if name in _ELSEWHERE:
        hint = f"; it is in {__name__}.{_ELSEWHERE[name]}"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")


def __dir__():
    return sorted([*__all__, *_SUBPACKAGES])
