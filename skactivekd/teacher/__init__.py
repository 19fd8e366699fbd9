"""Teachers: from images to class probabilities."""

from ._cache import EmbeddingCache
from ._calibration import best_logit_scale, best_temperature
from ._clap import CLAPTeacher
from ._clap_math import clap_loss
from ._embedder import Embedder
from ._encoders import OpenCLIPEncoder
from ._image_error import ImageError, RowError, TextError
from ._labeled_only import LabeledOnly
from ._prediction_clusters import prediction_clusters
from ._prompts import class_prompts, embed_classes
from ._reliability import expected_calibration_error, reliability_curve
from ._report import TeacherReport
from ._sentence import SentenceEncoder
from ._skipping import SkippedRowsWarning
from ._teacher_report import teacher_report
from ._templates import list_prompt_templates, prompt_templates, tidy_classes, tidy_name
from ._tip_adapter import TipAdapterTeacher
from ._tip_adapter_math import tip_adapter_logits
from ._zero_shot import ZeroShotTeacher

__all__ = [
    "CLAPTeacher",
    "Embedder",
    "EmbeddingCache",
    "ImageError",
    "LabeledOnly",
    "OpenCLIPEncoder",
    "RowError",
    "SentenceEncoder",
    "SkippedRowsWarning",
    "TeacherReport",
    "TextError",
    "TipAdapterTeacher",
    "ZeroShotTeacher",
    "best_logit_scale",
    "best_temperature",
    "clap_loss",
    "class_prompts",
    "embed_classes",
    "expected_calibration_error",
    "list_prompt_templates",
    "prediction_clusters",
    "prompt_templates",
    "reliability_curve",
    "teacher_report",
    "tidy_classes",
    "tidy_name",
    "tip_adapter_logits",
]
