"""Loading open_clip models: trained weights, or an error that says what to do."""

import functools
import logging
from contextlib import contextmanager

import numpy as np

from ._sources import CONFIG, check_source

_PRECISIONS = ("fp32", "fp16", "bf16", "pure_fp16", "pure_bf16")
_PREPROCESS = {
    "mean": None,
    "std": None,
    "interpolation": ("bicubic", "bilinear"),
    "resize_mode": ("shortest", "longest", "squash"),
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
def load_model(name, pretrained, files, precision, device, preprocess, cache_dir):
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
                cache_dir=cache_dir,
                **{f"image_{key}": value for key, value in preprocess},
            )
    except Exception as error:
        raise _explain(name, pretrained, bool(files), error) from error
    return model.eval().requires_grad_(False), transform


@functools.lru_cache(maxsize=8)
def load_tokenizer(name, files, cache_dir):
    """Load the tokenizer of a model, as `load_model` does the model."""
    import open_clip

    try:
        with _leaving_no_trace():
            return open_clip.get_tokenizer(name, cache_dir=cache_dir)
    except Exception as error:
        raise RuntimeError(
            f"the tokenizer of model {name!r} cannot be loaded: {error}\n{_WHAT_TO_DO}"
        ) from error


@contextmanager
def _leaving_no_trace():
    """Undo what open_clip does to torch's generator and to the root logger."""
    import torch

    handlers = logging.root.handlers[:]
    try:
        # Weights are drawn at random before those of the checkpoint replace them.
        with torch.random.fork_rng(devices=[]):
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
    if local:
        what = (
            f"the weights {pretrained} of model {name!r}" if pretrained else f"the model {name!r}"
        )
        return ValueError(
            f"{what} cannot be loaded: {error}\nA directory needs {CONFIG} and "
            "open_clip_model.safetensors (or .bin, .pth); a file needs the architecture it was "
            "trained with."
        )
    from huggingface_hub import constants

    tag = f" with the weights {pretrained!r}" if pretrained else ""
    offline = " (HF_HUB_OFFLINE is set)" if constants.HF_HUB_OFFLINE else ""
    return RuntimeError(f"model {name!r}{tag} cannot be loaded{offline}: {error}\n{_WHAT_TO_DO}")
