"""Folders of models of transformers: found, or downloaded; safetensors alone, and no own code."""

import glob
import os
from contextlib import contextmanager

from ._sentence_models import ModelCodeError, check_model_code, find_place

DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]


def find_folder(model, revision=None, cache_dir=None):
    """Return the folder of a model, downloaded if it has to be."""
    place = find_place(model)
    if os.path.isdir(place):
        if not os.path.isfile(os.path.join(place, "config.json")):
            raise ValueError(
                f"{place} holds no config.json; pass the directory that save_pretrained() writes"
            )
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


@contextmanager
def loading(folder, who):
    """Load a model for an estimator: refused before anything is read if it could run code.

    Nothing is left behind, progress bars are kept away, and what goes wrong names the folder.
    """
    try:
        import transformers  # noqa: F401
    except ImportError:
        raise ImportError(
            f'{who} needs transformers: pip install "skactivekd[transformers]".'
        ) from None
    import torch

    from .._devices_and_seeds import own_settings

    _check_safe(folder, who)
    try:
        with own_settings(), torch.random.fork_rng(devices=[]), _quiet():
            yield
    except Exception as error:  # of as many kinds as there are files
        if "trust_remote_code" in str(error):
            raise ModelCodeError(
                f"the model in {folder} needs code of its own, which {who} never runs: "
                "take a model whose architecture is part of transformers."
            ) from None
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(f"the model in {folder} cannot be loaded: {kind}{error}") from error


def _check_safe(folder, who):
    if not glob.glob(os.path.join(glob.escape(folder), "*.safetensors")):
        raise ValueError(
            f"{folder} holds no .safetensors, and other weights may run code when they are loaded: "
            "load the model where you trust it, and save_pretrained() it"
        )
    try:
        check_model_code(folder)
    except ModelCodeError as error:
        what = str(error).partition(" Pass trust_remote_code")[0]
        raise ModelCodeError(f"{what} {who} never runs such code.") from None


@contextmanager
def _quiet():
    """Keep progress bars of loading away; errors come as exceptions."""
    from transformers.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
