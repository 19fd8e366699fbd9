"""Teachers: from samples and the names of classes to probabilities."""

from ._chat_server import EndpointError
from ._clap import CLAPTeacher, clap_loss
from ._class_names import tidy_classes, tidy_name
from ._embedding_teacher import Embedder
from ._endpoint import EndpointTeacher
from ._generative import GenerativeTeacher
from ._labeled_only import LabeledOnly
from ._prompts import (
    class_prompts,
    embed_classes,
    list_prompt_templates,
    prompt_templates,
)
from ._tip_adapter import TipAdapterTeacher
from ._tip_adapter_math import tip_adapter_logits
from ._to_memmap import proba_to_memmap
from ._transductive import TransductiveTeacher
from ._zero_shot import ZeroShotTeacher

__all__ = [
    "CLAPTeacher",
    "Embedder",
    "EndpointError",
    "EndpointTeacher",
    "GenerativeTeacher",
    "LabeledOnly",
    "TipAdapterTeacher",
    "TransductiveTeacher",
    "ZeroShotTeacher",
    "clap_loss",
    "class_prompts",
    "embed_classes",
    "list_prompt_templates",
    "proba_to_memmap",
    "prompt_templates",
    "tidy_classes",
    "tidy_name",
    "tip_adapter_logits",
]
