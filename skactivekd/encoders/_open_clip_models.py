"""Loading open_clip models: trained weights, or an error that says what to do."""

import functools
import logging
import threading
import warnings
from contextlib import contextmanager

import numpy as np

from ._skipping import show_progress
from ._sources import CONFIG, HUB, check_source
from ._texts import shorten

_PRECISIONS = ("fp32", "fp16", "bf16", "pure_fp16", "pure_bf16")
_PREPROCESS = {
    "mean": None,
    "std": None,
    "interpolation": ("bicubic", "bilinear"),
    "resize_mode": ("shortest", "longest", "squash"),
    "resizer": ("pil", "torch"),
}


def check_preprocess(preprocess, precision):
    """Validate what open_clip would pass over in silence.

    Returns
    -------
    items : tuple of (str, value)
        The entries of `preprocess`, hashable.

    Raises
    ------
    ValueError
        If a key, a value or the precision is unknown.
    """
    if precision not in _PRECISIONS:
        raise ValueError(f"precision={precision!r} is not one of {', '.join(_PRECISIONS)}")
    items = {key: _check_entry(key, value) for key, value in dict(preprocess or {}).items()}
    return tuple(sorted(items.items()))


def _check_entry(key, value):
    if key not in _PREPROCESS:
        raise ValueError(f"preprocess has the key {key!r}; it may have {list(_PREPROCESS)}")
    choices = _PREPROCESS[key]
    if choices is None and np.shape(value) == (3,):
        return tuple(map(float, value))
    if choices is None or value not in choices:
        raise ValueError(f"preprocess[{key!r}] is {value!r}, not {choices or 'three numbers'}")
    return value


@functools.lru_cache(maxsize=2)
def load_model(name, pretrained, files, precision, device, preprocess, cache_dir, state=None):
    """Load a model and its image transform, once for all who ask with the same settings.

    Parameters
    ----------
    name, pretrained : str
        From `find_source`.
    files : tuple
        From `stamp`, so that a changed file is loaded anew.
    precision : str
    device : torch.device
    preprocess : tuple
        From `check_preprocess`.
    cache_dir : str or None
        Where downloads are kept.
    state : str or None
        Of the files that were downloaded.

    Returns
    -------
    model : torch.nn.Module
        In evaluation mode, on the device.
    transform : callable
        From PIL image to tensor of shape (3, H, W).

    Raises
    ------
    ValueError
        If there is no such architecture, tag or file, or its weights do not fit.
    RuntimeError
        If the weights are not on this machine and cannot be downloaded.
    """
    import open_clip

    check_source(name, pretrained)
    try:
        with _leaving_no_trace():
            model, transform = open_clip.create_model_from_pretrained(
                name,
                pretrained,
                precision=precision,
                device=device,
                force_quick_gelu=trained_with_quick_gelu(name, pretrained),
                cache_dir=cache_dir,
                **{f"image_{key}": value for key, value in preprocess if key != "resizer"},
            )
    except Exception as error:
        raise _explain(name, pretrained, bool(files), error) from error
    return model.eval().requires_grad_(False), transform


def trained_with_quick_gelu(name, pretrained):
    """Whether the weights of a tag need another activation than the architecture's own."""
    import open_clip

    return bool(pretrained and open_clip.get_pretrained_cfg(name, pretrained).get("quick_gelu"))


@functools.lru_cache(maxsize=8)
def load_tokenizer(name, files, cache_dir):
    """Load the tokenizer of a model, as `load_model` does the model."""
    import open_clip

    try:
        with _leaving_no_trace():
            try:
                # Else a model's settings could say that its own code is to be trusted.
                return open_clip.get_tokenizer(name, cache_dir=cache_dir, trust_remote_code=False)
            except TypeError:  # one of open_clip's own tokenizers, which runs nothing
                return open_clip.get_tokenizer(name, cache_dir=cache_dir)
    except Exception as error:
        raise RuntimeError(
            f"the tokenizer of model {name!r} cannot be loaded: {error}\n{_WHAT_TO_DO}"
        ) from error


def embed(forward, batches, blank, total, verbose):
    """Embed batches in order.

    Parameters
    ----------
    forward : callable
        From a batch to a tensor of shape (m, d).
    batches : iterable of list
    blank : list of length 1
        A batch that tells the width d where there is no other.
    total : int
        Rows, for the progress bar.
    verbose : int

    Returns
    -------
    embeddings : ndarray of float32 of shape (n, d)
    """
    import torch
    from tqdm.auto import tqdm

    from .._torch import own_settings

    rows, hidden = [], not show_progress(verbose)
    with (
        own_settings(),
        torch.inference_mode(),
        tqdm(total=total, unit="rows", disable=hidden) as bar,
    ):
        for batch in batches:
            rows.append(forward(batch).float().cpu())
            bar.update(len(batch))
        return torch.cat(rows or [forward(blank)[:0].float().cpu()]).numpy()


_TOKENIZING = threading.Lock()  # fast tokenizers refuse a second thread


def tokenize(tokenizer, texts):
    """Turn texts into tokens, one thread at a time."""
    with _TOKENIZING:
        return tokenizer(texts)


def warn_of_cuts(texts, tokenizer):
    """Warn of texts that are longer than the model's context."""
    if getattr(tokenizer, "reduction_fn", None):
        return
    limit = tokenizer.context_length
    # A token is a byte at least: short texts need no counting.
    long = [text for text in texts if len(text.encode()) > limit - 2]
    with _TOKENIZING:
        cut = [text for text in long if _count(tokenizer, text) > limit]
    if cut:
        warnings.warn(
            f"{len(cut)} texts are longer than the model's {limit} tokens and lose their end, "
            f"the first: {shorten(cut[0])}",
            UserWarning,
            stacklevel=3,
        )


def _count(tokenizer, text):
    if hasattr(tokenizer, "encode"):
        return len(tokenizer.encode(text)) + 2
    inner = tokenizer.tokenizer  # of transformers
    return len(inner(tokenizer.clean_fn(text), truncation=False, verbose=False)["input_ids"])


@contextmanager
def _leaving_no_trace():
    """Undo what open_clip does to torch's generator and to the root logger."""
    import torch

    from .._torch import own_settings

    handlers = logging.root.handlers[:]
    try:
        # Weights are drawn at random before those of the checkpoint replace them.
        with own_settings(), torch.random.fork_rng(devices=[]):
            yield
    finally:
        logging.root.handlers[:] = handlers


_WHAT_TO_DO = (
    "Without a network pass files of your own: OpenCLIPEncoder('local-dir:/path/to/directory') "
    f"with a {CONFIG} and its weights, or OpenCLIPEncoder(architecture, "
    "'/path/to/checkpoint.safetensors', preprocess={...}); or set cache_dir to where the "
    "download is."
)


def _explain(name, pretrained, local, error):
    tower = _text_tower(name)
    if local:
        what = (
            f"the weights {pretrained} of model {name!r}" if pretrained else f"the model {name!r}"
        )
        tower = (
            f" Its text tower needs the config.json of {tower!r}: keep that in a directory and "
            f"name the directory as text_cfg.hf_model_name in {CONFIG}."
            if tower
            else ""
        )
        return ValueError(
            f"{what} cannot be loaded: {error}\nA directory needs {CONFIG} and "
            "open_clip_model.safetensors (or .bin, .pth); a file needs the architecture it was "
            f"trained with.{tower}"
        )
    from huggingface_hub import constants

    tag = f" with the weights {pretrained!r}" if pretrained else ""
    tag += f" and the text tower {tower!r}" if tower else ""
    offline = " (HF_HUB_OFFLINE is set)" if constants.HF_HUB_OFFLINE else ""
    return RuntimeError(f"model {name!r}{tag} cannot be loaded{offline}: {error}\n{_WHAT_TO_DO}")


def _text_tower(name):
    """Name the model of transformers in a text tower; None if there is none."""
    import open_clip

    if name.startswith(HUB):
        return None
    try:
        return open_clip.get_model_config(name)["text_cfg"].get("hf_model_name")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # a broken config
        return None
