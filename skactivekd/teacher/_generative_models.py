"""Loading generative models of transformers: safetensors alone, and no code but the library's."""

import functools
import glob
import os
import threading
from typing import NamedTuple

from ..encoders._sentence_models import (
    ModelCodeError,
    check_model_code,
    find_place,
    stamp_folder,
)

LOCK = threading.RLock()  # tokenizers and some models refuse a second thread
_DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
PRECISIONS = ("auto", *_DTYPES)
_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]


class Loaded(NamedTuple):
    """A model of a kind ("causal", "seq2seq" or "vision"), and what makes its inputs."""

    kind: str
    model: object
    tokenizer: object
    processor: object


def find_folder(model, revision=None, cache_dir=None):
    """Return the folder of a model, downloaded if it has to be."""
    place = find_place(model)
    if os.path.isdir(place):
        _check_files(place)
        return place
    from huggingface_hub import snapshot_download

    options = {"revision": revision, "cache_dir": cache_dir, "allow_patterns": _FILES}
    try:
        return snapshot_download(place, local_files_only=True, **options)
    except Exception:  # not here yet; the download will tell
        pass
    try:
        return snapshot_download(place, **options)
    except Exception as error:  # of as many kinds as there are networks
        raise RuntimeError(
            f"model {place!r} is not on this machine and cannot be downloaded "
            f"({type(error).__name__}: {str(error)[:300]}). Without a network pass the directory "
            "that save_pretrained() writes, or set cache_dir to where the download is."
        ) from None


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
    try:
        import transformers  # noqa: F401
    except ImportError:
        raise ImportError(
            'GenerativeTeacher needs transformers: pip install "skactivekd[transformers]".'
        ) from None
    import torch

    from .._torch import own_settings

    if not glob.glob(os.path.join(glob.escape(folder), "*.safetensors")):
        raise ValueError(
            f"{folder} holds no .safetensors, and other weights may run code when they are loaded: "
            "load the model where you trust it, and save_pretrained() it"
        )
    _check_code(folder)
    try:
        with own_settings(), torch.random.fork_rng(devices=[]), _quiet():
            return _load_parts(folder, getattr(torch, _DTYPES[precision]), device)
    except Exception as error:  # of as many kinds as there are files
        if "trust_remote_code" in str(error):
            raise ModelCodeError(
                f"the model in {folder} needs code of its own, which GenerativeTeacher never runs: "
                "take a model whose architecture is part of transformers."
            ) from None
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(f"the model in {folder} cannot be loaded: {kind}{error}") from error


def _check_files(folder):
    if not os.path.isfile(os.path.join(folder, "config.json")):
        raise ValueError(
            f"{folder} holds no config.json; pass the directory that save_pretrained() writes"
        )


def _check_code(folder):
    try:
        check_model_code(folder)
    except ModelCodeError as error:
        what = str(error).partition(" Pass trust_remote_code")[0]
        raise ModelCodeError(f"{what} GenerativeTeacher never runs such code.") from None


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


def _quiet():
    """Keep progress bars of loading away; errors come as exceptions."""
    from contextlib import contextmanager

    from transformers.utils import logging

    @contextmanager
    def quiet():
        shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
        logging.disable_progress_bar()
        logging.set_verbosity_error()
        try:
            yield
        finally:
            logging.set_verbosity(level)
            if shown:
                logging.enable_progress_bar()

    return quiet()
