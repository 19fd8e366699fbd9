"""Loading open_clip models: trained weights, or an error that says what to do."""

import functools
import logging
import os
import threading
import warnings
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from ..utils._row_identity import hash_model_file
from ._inputs import warn_of_long_texts
from ._unreadable_rows import explain_download

CONFIG = "open_clip_config.json"
LOCAL, HUB = "local-dir:", "hf-hub:"

# The embedded default: a tiny CLIP of open_clip's architecture for 8x8 digits, made of synthetic
# digits alone by `benchmarks/train_glyph.py`: it never saw handwriting.
GLYPH_DIR = str(Path(__file__).parent / "glyph")

GLYPH_CLASSES = dict(enumerate("zero one two three four five six seven eight nine".split()))

GLYPH_TEMPLATES = [
    "{}",
    "the digit {}.",
    "a photo of the digit {}.",
    'a photo of the number: "{}".',
    "an image of a handwritten {}.",
    "a scan of the handwritten digit {}.",
]

_FILLERS = {"a", "the", "digit", "number", "numeral", "handwritten"}
GLYPH_SCALE = 100.0  # of its logits, never trained

_PRECISIONS = ("fp32", "fp16", "bf16", "pure_fp16", "pure_bf16")
_PREPROCESS = {
    "mean": None,
    "std": None,
    "interpolation": ("bicubic", "bilinear"),
    "resize_mode": ("shortest", "longest", "squash"),
    "resizer": ("auto", "pil", "torch"),
}


def check_preprocess(preprocess, precision):
    """Refuse what open_clip would pass over in silence; return the entries, hashable."""
    if precision not in _PRECISIONS:
        raise ValueError(f"precision={precision!r} is not one of {', '.join(_PRECISIONS)}")
    entries = dict(preprocess or {})
    for key, value in entries.items():
        if key not in _PREPROCESS:
            raise ValueError(f"preprocess has the key {key!r}; it may have {list(_PREPROCESS)}")
        choices = _PREPROCESS[key]
        if value not in choices if choices else np.shape(value) != (3,):
            raise ValueError(f"preprocess[{key!r}] is {value!r}, not {choices or 'three numbers'}")
        entries[key] = value if choices else tuple(map(float, value))
    return tuple(sorted(entries.items()))


@functools.lru_cache(maxsize=2)
def load_model(name, pretrained, precision, device, preprocess, cache_dir, state, local):
    """Load a model and its image transform, once for all who ask with the same settings.

    `state` is that of the files behind it, so that a changed file is loaded anew.
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
        raise _explain(name, pretrained, local, error) from error
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
    with _TOKENIZING:
        warn_of_long_texts(texts, limit, limit - 2, lambda text: _count(tokenizer, text))


def _count(tokenizer, text):
    if hasattr(tokenizer, "encode"):
        return len(tokenizer.encode(text)) + 2
    inner = tokenizer.tokenizer  # of transformers
    return len(inner(tokenizer.clean_fn(text), truncation=False, verbose=False)["input_ids"])


@contextmanager
def _leaving_no_trace():
    """Undo what open_clip does to torch's generator and to the root logger."""
    import torch

    from .._devices_and_seeds import own_settings

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
    import open_clip

    try:  # the model of transformers in a text tower, if there is one
        config = {} if name.startswith(HUB) else open_clip.get_model_config(name)["text_cfg"]
        tower = config.get("hf_model_name")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # a broken config
        tower = None
    if local:
        what = f"weights {pretrained} of model {name!r}" if pretrained else f"model {name!r}"
        needs = (
            f" Its text tower needs the config.json of {tower!r}: keep that in a directory and "
            f"name the directory as text_cfg.hf_model_name in {CONFIG}."
        )
        return ValueError(
            f"the {what} cannot be loaded: {error}\nA directory needs {CONFIG} and "
            "open_clip_model.safetensors (or .bin, .pth); a file needs the architecture it was "
            f"trained with.{needs if tower else ''}"
        )
    what = f"model {name!r}" + (f" with the weights {pretrained!r}" if pretrained else "")
    return explain_download(
        what + (f" and the text tower {tower!r}" if tower else ""), error, _WHAT_TO_DO
    )


def identify_download(name, pretrained, cache_dir=None):
    """Identify a model of a hub by its name and what was downloaded, None where nothing was.

    That is the weights, where open_clip keeps them, and a hub's configuration.
    """
    from huggingface_hub import try_to_load_from_cache
    from open_clip import get_pretrained_cfg
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

    files = [HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME]
    if name.startswith(HUB):
        repo, url = name.removeprefix(HUB), None
        files.append(CONFIG)
    else:
        published = get_pretrained_cfg(name, pretrained or "")
        repo, file = os.path.split(published.get("hf_hub", ""))
        url = published.get("url")
        files = [f"{file[:-4]}.safetensors", file] if file else files if repo else []
    found = [try_to_load_from_cache(repo, file, cache_dir) for file in files]
    if url:
        folder = cache_dir or os.path.expanduser("~/.cache/clip")
        found.append(os.path.join(folder, os.path.basename(url)))
    paths = [path for path in found if isinstance(path, str) and os.path.isfile(path)]
    return f"{name} {pretrained} {hash_model_file(*paths)}" if paths else None


def check_source(name, pretrained):
    """Raise where open_clip would fail late or start from random weights."""
    if name.startswith(HUB):
        return
    if name.startswith(LOCAL):
        folder = name.removeprefix(LOCAL)
        if not os.path.isdir(folder):
            raise FileNotFoundError(f"there is no directory {folder}")
        if not os.path.isfile(os.path.join(folder, CONFIG)):
            raise FileNotFoundError(
                f"{folder} holds no {CONFIG}; to load a bare checkpoint name its architecture in "
                "`model` and the file in `pretrained`"
            )
        return
    import open_clip

    known = {entry.lower(): entry for entry in open_clip.list_models()}
    if name not in known.values():
        near = [known[match] for match in get_close_matches(name.lower(), known, n=3)]
        hint = f"did you mean {' or '.join(near)}?" if near else "see open_clip.list_models()"
        raise ValueError(
            f"model {name!r} is neither an architecture of open_clip nor a directory that holds "
            f"{CONFIG}; {hint}"
        )
    tags = open_clip.list_pretrained_tags_by_model(name)
    choices = ", ".join(tags) if tags else "none are published"
    if pretrained is None:
        raise ValueError(
            f"model {name!r} would start from random weights: set `pretrained` to a checkpoint "
            f"file or to one of its tags ({choices})"
        )
    if open_clip.get_pretrained_cfg(name, pretrained) or os.path.isfile(pretrained):
        return
    if os.path.isdir(pretrained):
        raise ValueError(f"{pretrained} holds no {CONFIG}; pass the checkpoint file itself")
    raise ValueError(
        f"pretrained={pretrained!r} is no file here (looked for {os.path.abspath(pretrained)}) "
        f"and no tag of model {name!r} ({choices})"
    )


def warn_of_other_architecture(model, name):
    """Warn if a directory holds another architecture than the one asked for."""
    import open_clip

    if model.startswith((LOCAL, HUB)) or os.path.isfile(os.path.join(model, CONFIG)):
        return
    asked = open_clip.get_model_config(model.replace("/", "-")) or {}
    held = open_clip.get_model_config(name)
    if any(_differ(asked[part], held.get(part)) for part in asked):
        warnings.warn(
            f"{name.removeprefix(LOCAL)} holds another architecture than model={model!r}; "
            "the directory's is used",
            UserWarning,
            stacklevel=4,
        )


def _differ(asked, held):
    if isinstance(asked, dict) and isinstance(held, dict):
        return any(asked[key] != held[key] for key in asked.keys() & held.keys())
    return held is not None and asked != held


def warn_of_bare_file(path):
    """Warn that a checkpoint file alone does not say how images were prepared."""
    warnings.warn(
        f"{path} is a bare checkpoint: it does not say how images were prepared in training, and "
        "OpenAI's mean, std and bicubic resizing are the wrong ones for many models. Pass "
        "preprocess={'mean': ..., 'std': ..., 'interpolation': ..., 'resize_mode': ...}, or {} "
        "if OpenAI's are right, or a directory with open_clip_config.json",
        UserWarning,
        stacklevel=4,
    )


def check_digits(names):
    """Refuse names of anything but digits, of which the embedded model knows nothing."""
    known = {*GLYPH_CLASSES.values(), *map(str, GLYPH_CLASSES)}
    for name in names:
        words = [word for word in name.lower().split() if word not in _FILLERS]
        if len(words) != 1 or words[0] not in known:
            raise ValueError(
                f"without an encoder the teacher is a tiny model that knows the ten digits alone, "
                f"but classes has the name {name!r}. For images pass "
                f"encoder=OpenCLIPEncoder('ViT-B-32', 'laion2b_s34b_b79k'), for texts "
                f"encoder=SentenceEncoder('all-MiniLM-L6-v2'). If these are the digits, map each "
                f"label to its word: classes={{label: 'seven', ...}}"
            )
