"""What a model's files would run on this machine; a stranger's may run nothing."""

import json
import os
import re

# What sentence-transformers imports by name, up to version 6 from beside the model, too: modules
# and tokenizers, of which only its own classes are let pass, and activations, of torch alone.
_OWN = re.compile(r"sentence_transformers(\.\w+)*\.[A-Z]\w*")
_ACTIVATION = re.compile(r"torch\.nn(\.\w+)*\.[A-Z]\w*")
_BULKY = ("tokenizer.json", "vocab.json", "added_tokens.json")  # tokens, no settings


class ModelCodeError(ValueError):
    """A model whose files would run code that is not of the packages installed for it."""


def check_model_code(folder):
    """Refuse the folder of a sentence-transformers model that would run code of its own.

    Every JSON file in it counts, as modules have folders, and these modules again.

    Parameters
    ----------
    folder : path

    Raises
    ------
    ModelCodeError
        That names file, setting and value.
    """
    for path in _json_files(folder):
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


def _json_files(folder):
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        place = os.path.realpath(parent)
        if place in seen:  # links in a circle
            folders.clear()
            continue
        seen.add(place)
        yield from (
            os.path.join(parent, name)
            for name in sorted(names)
            if name.lower().endswith(".json") and name.lower() not in _BULKY
        )


def _problems(settings, name):
    """Yield key, value and what is wrong of settings that lead to code."""
    if name == "modules.json":
        yield from _module_problems(settings)
    for key, value in _items(settings):
        if key in ("trust_remote_code", "allow_all_kernels") and value:
            yield key, value, "which is for you to say"
        elif key == "types" and isinstance(value, dict):
            for kind in value.values():
                if not _matches(_OWN, kind):
                    yield "the module", kind, "which is not of sentence_transformers"
        elif key == "tokenizer_class" and _dotted(value) and not _matches(_OWN, value):
            yield key, value, "which is not of sentence_transformers"
        elif key == "activation_function" and _dotted(value) and not _matches(_ACTIVATION, value):
            yield key, value, "which is not of torch.nn"
        elif "attn_implementation" in key and "/" in str(value):
            yield key, value, "which is downloaded and run"


def _module_problems(modules):
    for module in modules if isinstance(modules, list) else []:
        kind, path = (
            (module.get("type"), module.get("path")) if isinstance(module, dict) else (None, None)
        )
        if not _matches(_OWN, kind):
            yield "the module", kind, "which is not of sentence_transformers"
        if os.path.isabs(str(path)) or ".." in re.split(r"[\\/]", str(path)):
            yield "the path", path, "which leads out of the folder"


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


def _dotted(value):
    return "." in str(value)


def _matches(pattern, value):
    return isinstance(value, str) and pattern.fullmatch(value) is not None
