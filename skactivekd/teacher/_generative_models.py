"""Loading generative models of transformers: safetensors alone, and no code but the library's."""

import functools
import threading
from typing import NamedTuple

from ..encoders._sentence_models import stamp_folder
from ..encoders._transformers_folder import DTYPES, loading

LOCK = threading.RLock()  # tokenizers and some models refuse a second thread
PRECISIONS = ("auto", *DTYPES)


class Loaded(NamedTuple):
    """A model of a kind ("causal", "seq2seq" or "vision"), and what makes its inputs."""

    kind: str
    model: object
    tokenizer: object
    processor: object


def resolve_precision(precision, device):
    """Return the precision on a device: "auto" is bf16 on GPUs that have it, else fp32."""
    import torch

    if precision != "auto":
        return precision
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return "bf16" if fast else "fp32"


def load(folder, precision, device):
    """Load a model, once for all who ask with the same settings, safetensors alone."""
    return _load(folder, stamp_folder(folder), precision, device)


@functools.lru_cache(maxsize=1)
def _load(folder, files, precision, device):
    import torch

    with loading(folder, "GenerativeTeacher"):
        return _load_parts(folder, getattr(torch, DTYPES[precision]), device)


def _load_parts(folder, dtype, device):
    import transformers

    safe = {"trust_remote_code": False, "local_files_only": True}
    config = transformers.AutoConfig.from_pretrained(folder, **safe)
    kind = _find_kind(config, folder)
    auto = {
        "causal": transformers.AutoModelForCausalLM,
        "seq2seq": transformers.AutoModelForSeq2SeqLM,
        "vision": transformers.AutoModelForImageTextToText,
    }[kind]
    model = auto.from_pretrained(folder, use_safetensors=True, dtype=dtype, **safe)
    model = model.to(device).eval().requires_grad_(False)
    processor = None
    if kind == "vision":
        processor = transformers.AutoProcessor.from_pretrained(folder, **safe)
        tokenizer = processor.tokenizer
    else:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **safe)
    return Loaded(kind, model, tokenizer, processor)


def _find_kind(config, folder):
    from transformers.models.auto import modeling_auto as auto

    tables = {
        "vision": auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
        "seq2seq": auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
        "causal": auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    }
    built = (getattr(config, "architectures", None) or [None])[0]
    named = [kind for kind, table in tables.items() if built in table.values()]
    typed = [kind for kind, table in tables.items() if config.model_type in table]
    encodes = bool(getattr(config, "is_encoder_decoder", False))
    for kind in named or typed:
        if kind == "vision" and encodes:
            raise ValueError(
                f"{built or config.model_type} has an encoder of texts beside that of images, "
                "which is not supported"
            )
        if (kind == "seq2seq") == encodes:
            return kind
    raise ValueError(
        f"{built or config.model_type} generates no text: it is none of AutoModelForCausalLM, "
        "AutoModelForSeq2SeqLM and AutoModelForImageTextToText"
    )
