"""Loading sentence-transformers models: found, hashed, shared, or an error that says what to do."""

import functools
import hashlib
import itertools
import json
import os
import re
import threading
from contextlib import contextmanager

from ..utils._row_identity import hash_model_file, stamp_status
from ._inputs import warn_of_long_texts
from ._unreadable_rows import explain_download

LOCK = threading.RLock()
_DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")  # and no path
_FOLDER = "SENTENCE_TRANSFORMERS_HOME"  # the variable that names where downloads are
_ORGANIZATION = "sentence-transformers"  # of names without one
_WHAT_TO_DO = (
    "Without a network pass a directory: SentenceEncoder('/path/to/model'), as "
    "SentenceTransformer(...).save('/path/to/model') writes it where there is one; or set "
    "cache_dir to where the download is."
)


def find_place(model):
    """Say where a model is: the absolute path of a directory, or a name on the hub."""
    if not isinstance(model, str | os.PathLike):
        raise TypeError(
            f"model is a {type(model).__name__}; pass the directory of a saved model or a name "
            "on the Hugging Face Hub"
        )
    place = os.path.expanduser(os.fspath(model))
    if os.path.isdir(place):
        return os.path.abspath(place)
    if isinstance(model, os.PathLike) or not _HUB_NAME.fullmatch(place):
        kind = "is a file, not a directory" if os.path.isfile(place) else "is no directory here"
        raise FileNotFoundError(
            f"model {os.fspath(model)!r} {kind} (looked for {os.path.abspath(place)}). Pass the "
            "directory that holds modules.json or config.json and the weights"
        )
    return place


def stamp_folder(folder):
    """Tell one state of a model's files from another."""
    return tuple((name, stamp_status(os.stat(path))) for name, path in _model_files(folder))


def _walk(folder):
    """Walk through a folder, also behind links, but nowhere twice."""
    met = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        place = os.path.realpath(parent)
        if place in met:  # a link that leads in a circle
            folders.clear()
            continue
        met.add(place)
        yield parent, folders, sorted(names)


def _model_files(folder):
    """Yield name and path of each file of a model that is not hidden."""
    for parent, folders, names in _walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if not name.startswith(".") and not name.lower().endswith(".md"):
                path = os.path.join(parent, name)
                yield os.path.relpath(path, folder).replace(os.sep, "/"), path


def hash_folder(folder, cache=None):
    """Hash the names and contents of a model's files, each read again only when it changes."""
    names, paths = zip(*_model_files(folder), strict=True)
    return hashlib.sha256(f"{names} {hash_model_file(*paths, cache=cache)}".encode()).hexdigest()


def find_commit(name, revision, cache_dir):
    """Find the commit of a model of the hub that is on this machine, None where none is."""
    from huggingface_hub import try_to_load_from_cache

    folder = cache_dir or os.getenv(_FOLDER)
    for repo, file in itertools.product(_repos(name), ("modules.json", "config.json")):
        path = try_to_load_from_cache(repo, file, folder, revision)
        if isinstance(path, str):
            return os.path.basename(os.path.dirname(path))
    return None


def _repos(name):
    return (name,) if "/" in name else (f"{_ORGANIZATION}/{name}", name)


def _download_settings(name, revision, cache_dir):
    """Download all of a model of the hub that says what would be run, and return where it is."""
    from huggingface_hub import snapshot_download

    folder, failed = cache_dir or os.getenv(_FOLDER), None
    known = find_commit(name, revision, cache_dir) is not None
    for repo in _repos(name):
        try:
            return snapshot_download(
                repo,
                revision=revision,
                cache_dir=folder,
                allow_patterns=["*.json"],
                local_files_only=known,
            )
        except Exception as error:
            failed = failed or error
    raise failed


@functools.lru_cache(maxsize=2)
def load_model(place, files, revision, precision, device, cache_dir, trust_remote_code):
    """Load a model, once for all who ask with the same settings.

    `files` is the state of those in a directory, so that a changed one is loaded anew.
    """
    import torch

    from .._devices_and_seeds import own_settings

    if precision not in _DTYPES:
        raise ValueError(f"precision={precision!r} is not one of {', '.join(_DTYPES)}")
    local = os.path.isdir(place)
    transformer = _import_sentence_transformer()
    try:
        if not trust_remote_code:
            check_model_code(place if local else _download_settings(place, revision, cache_dir))
        with own_settings(), torch.random.fork_rng(devices=[]), _quiet(local):
            model = transformer(
                place,
                device=str(device),
                revision=None if local else revision,
                cache_folder=cache_dir,
                local_files_only=local,
                trust_remote_code=trust_remote_code,
            )
    except ModelCodeError:
        raise
    except Exception as error:
        raise _explain(place, local, error) from error
    return model.to(getattr(torch, _DTYPES[precision])).eval().requires_grad_(False)


def _import_sentence_transformer():
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ImportError(
            f"SentenceEncoder needs sentence-transformers: pip install skactivekd[text] ({error})"
        ) from error
    return SentenceTransformer


@contextmanager
def _quiet(quiet):
    """Hide the progress bar of what loads in a moment; a download keeps it."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    if quiet and shown:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if quiet and shown:
            logging.enable_progress_bar()


def _explain(place, local, error):
    if local:
        return ValueError(
            f"the model in {place} cannot be loaded: {error}\nThe directory needs modules.json or "
            "config.json, the weights (model.safetensors or pytorch_model.bin) and the tokenizer, "
            "as SentenceTransformer(...).save(directory) writes them."
        )
    return explain_download(f"model {place!r}", error, _WHAT_TO_DO)


def warn_of_cuts(model, texts, prompt):
    """Warn of texts that are longer than the model's limit."""
    limit, tokenizer = getattr(model, "max_seq_length", None), getattr(model, "tokenizer", None)
    if not limit or not hasattr(tokenizer, "num_special_tokens_to_add"):
        return
    if prompt is None:
        prompt = model.prompts.get(model.default_prompt_name) or ""
    room = limit - tokenizer.num_special_tokens_to_add() - len(prompt.encode())
    warn_of_long_texts(
        texts,
        limit,
        room,
        lambda text: len(tokenizer(prompt + text, truncation=False, verbose=False)["input_ids"]),
    )


# What sentence-transformers imports by name, up to version 6 from beside the model, too: modules
# and tokenizers, of which only its own classes are let pass, and activations, of torch alone.
_OWN = re.compile(r"sentence_transformers(\.\w+)*\.[A-Z]\w*")
_ACTIVATION = re.compile(r"torch\.nn(\.\w+)*\.[A-Z]\w*")
_BULKY = ("tokenizer.json", "vocab.json", "added_tokens.json")  # tokens, no settings


class ModelCodeError(ValueError):
    """A model whose files would run code that is not of the packages installed for it."""


def check_model_code(folder):
    """Refuse the folder of a model that would run code of its own; a stranger's may run nothing.

    Every JSON file in it counts, as modules have folders, and these modules again.
    """
    paths = [os.path.join(parent, name) for parent, _, names in _walk(folder) for name in names]
    for path in paths:
        own = os.path.basename(path).lower()
        if not own.endswith(".json") or own in _BULKY:
            continue
        try:
            with open(path, encoding="utf8") as file:
                settings = json.load(file)
        except (OSError, ValueError, RecursionError):  # the loader will say
            continue
        name = os.path.relpath(path, folder)
        for key, value, problem in _problems(settings, os.path.basename(path)):
            raise ModelCodeError(
                f"the model in {folder} would run code of its own: {name} has {key} {value!r}, "
                f"{problem}. Pass trust_remote_code=True if you trust who made it."
            )


def _problems(settings, name):
    """Yield key, value and what is wrong of settings that lead to code."""
    kinds = []
    if name == "modules.json":
        for module in settings if isinstance(settings, list) else []:
            module = module if isinstance(module, dict) else {}
            kinds.append(module.get("type"))
            path = str(module.get("path"))
            if os.path.isabs(path) or ".." in re.split(r"[\\/]", path):
                yield "the path", path, "which leads out of the folder"
    for key, value in _items(settings):
        dotted = "." in str(value)
        if key in ("trust_remote_code", "allow_all_kernels") and value:
            yield key, value, "which is for you to say"
        elif key == "types" and isinstance(value, dict):
            kinds.extend(value.values())
        elif key == "tokenizer_class" and dotted and not _matches(_OWN, value):
            yield key, value, "which is not of sentence_transformers"
        elif key == "activation_function" and dotted and not _matches(_ACTIVATION, value):
            yield key, value, "which is not of torch.nn"
        elif "attn_implementation" in key and "/" in str(value):
            yield key, value, "which is downloaded and run"
    for kind in kinds:
        if not _matches(_OWN, kind):
            yield "the module", kind, "which is not of sentence_transformers"


def _items(settings):
    """Yield all keys and values, however deep."""
    todo = [settings]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            yield from value.items()
            todo.extend(value.values())
        elif isinstance(value, list):
            todo.extend(value)


def _matches(pattern, value):
    return isinstance(value, str) and pattern.fullmatch(value) is not None
