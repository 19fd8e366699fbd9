"""Plots, as Display objects in scikit-learn's manner."""

from ._clusters import PredictionClustersDisplay
from ._confusion import ClassConfusionDisplay
from ._contact_sheet import ContactSheetDisplay
from ._curves import LabelEfficiencyDisplay, summarize  # noqa: F401
from ._history import TrainingHistoryDisplay
from ._reliability import ReliabilityDisplay
from ._teacher_report import TeacherReportDisplay

__all__ = [
    "ClassConfusionDisplay",
    "ContactSheetDisplay",
    "LabelEfficiencyDisplay",
    "PredictionClustersDisplay",
    "ReliabilityDisplay",
    "TeacherReportDisplay",
    "TrainingHistoryDisplay",
]
