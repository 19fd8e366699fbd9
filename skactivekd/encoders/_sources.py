"""Where an open_clip model comes from: the embedded one, a directory, a hub, a tag or a file."""

import json
import os
import warnings

from ..utils._files import hash_model_file

CONFIG = "open_clip_config.json"
LOCAL, HUB = "local-dir:", "hf-hub:"


def find_source(model=None, pretrained=None):
    """Say in open_clip's words where a model comes from.

    Parameters
    ----------
    model : str, path or None, default=None
        Architecture, directory, "local-dir:..." or "hf-hub:..."; None is the
        embedded model.
    pretrained : str, path or None, default=None
        Tag, checkpoint file or directory.

    Returns
    -------
    name : str
        Architecture, or "local-dir:" or "hf-hub:" and a place.
    pretrained : str or None
        Tag or file for an architecture, None for a place.

    Raises
    ------
    ValueError
        If the two contradict each other.

    Examples
    --------
    >>> from skactivekd.encoders._sources import find_source
    >>> find_source("ViT-B/32", "openai")
    ('ViT-B-32', 'openai')
    """
    model, pretrained = _to_text(model), _to_text(pretrained)
    if pretrained is not None and _is_place(pretrained):
        if model is not None and (_is_place(model) or pretrained.startswith(HUB)):
            raise ValueError(
                f"model={model!r} and pretrained={pretrained!r} both name a model; drop `model`"
            )
        model, pretrained = pretrained, None
    if model is None:
        if pretrained is not None:
            raise ValueError(
                f"pretrained={pretrained!r} needs the name of its architecture in `model`"
            )
        from ._glyph import GLYPH_DIR

        model = LOCAL + os.fspath(GLYPH_DIR)
    if not _is_place(model):
        return model.replace("/", "-"), pretrained
    if pretrained is not None:
        raise ValueError(
            f"model={model!r} brings its own weights; pretrained={pretrained!r} must be None"
        )
    if model.startswith(HUB):
        return model, None
    return LOCAL + os.path.abspath(os.path.expanduser(model.removeprefix(LOCAL))), None


def _to_text(value):
    return None if value is None else os.path.expanduser(os.fspath(value))


def _is_place(text):
    if text.startswith((LOCAL, HUB)):
        return True
    return os.path.isfile(os.path.join(text, CONFIG))


def stamp(name, pretrained):
    """Tell one state of the local files behind a model from another.

    Returns
    -------
    files : tuple of (name, hash of the content)
        Empty where nothing is local.
    """
    if name.startswith(LOCAL):
        folder = name.removeprefix(LOCAL)
        paths = [path for place in (folder, *_text_folders(folder)) for path in _files_in(place)]
    else:
        paths = [pretrained] if pretrained is not None and os.path.isfile(pretrained) else []
    return tuple((os.path.basename(path), hash_model_file(path)) for path in paths)


def _files_in(folder):
    paths = [entry.path for entry in os.scandir(folder)] if os.path.isdir(folder) else []
    return sorted(path for path in paths if os.path.isfile(path))


def _text_folders(folder):
    """Name the directories that a model's configuration takes text tower and tokenizer from."""
    try:
        with open(os.path.join(folder, CONFIG), encoding="utf-8") as file:
            config = json.load(file)["model_cfg"]["text_cfg"]
        names = [config.get(key) for key in ("hf_model_name", "hf_tokenizer_name")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # loading it will tell
        return []
    return sorted({name for name in names if isinstance(name, str) and os.path.isdir(name)})


def identify_source(name, pretrained, cache_dir=None):
    """Identify a model by its name and the content of its files, wherever they are.

    Returns
    -------
    identity : tuple or None
        None for a model of a hub that was never downloaded.
    """
    if name.startswith(LOCAL):
        return LOCAL, stamp(name, pretrained)
    if pretrained is not None and os.path.isfile(pretrained):
        return name, [content for _, content in stamp(name, pretrained)]
    paths = [path for path in _downloads(name, pretrained, cache_dir) if path]
    return (name, pretrained, [hash_model_file(path) for path in paths]) if paths else None


def _downloads(name, pretrained, cache_dir):
    """Yield where open_clip keeps the weights it downloaded, and a hub's configuration."""
    from huggingface_hub import try_to_load_from_cache
    from open_clip import get_pretrained_cfg
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

    hub = name.startswith(HUB)
    published = {} if hub else get_pretrained_cfg(name, pretrained or "")
    repo, file = (name.removeprefix(HUB), "") if hub else os.path.split(published.get("hf_hub", ""))
    safe = file[:-4] + ".safetensors" if file else HF_SAFE_WEIGHTS_NAME
    weights = [safe, file or HF_WEIGHTS_NAME]
    for file in [*weights, CONFIG] if hub else weights if repo else []:
        path = try_to_load_from_cache(repo, file, cache_dir)
        yield path if isinstance(path, str) else None
    if published.get("url"):
        folder = cache_dir or os.path.expanduser("~/.cache/clip")
        path = os.path.join(folder, os.path.basename(published["url"]))
        yield path if os.path.isfile(path) else None


def check_source(name, pretrained):
    """Raise where open_clip would fail late or start from random weights."""
    if name.startswith(LOCAL):
        return _check_folder(name.removeprefix(LOCAL))
    if name.startswith(HUB):
        return None
    import open_clip

    _check_known(name, open_clip.list_models())
    tags = open_clip.list_pretrained_tags_by_model(name)
    choices = ", ".join(tags) if tags else "none are published"
    if pretrained is None:
        raise ValueError(
            f"model {name!r} would start from random weights: set `pretrained` to a checkpoint "
            f"file or to one of its tags ({choices})"
        )
    if open_clip.get_pretrained_cfg(name, pretrained) or os.path.isfile(pretrained):
        return None
    if os.path.isdir(pretrained):
        raise ValueError(f"{pretrained} holds no {CONFIG}; pass the checkpoint file itself")
    raise ValueError(
        f"pretrained={pretrained!r} is no file here (looked for {os.path.abspath(pretrained)}) "
        f"and no tag of model {name!r} ({choices})"
    )


def _check_folder(folder):
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"there is no directory {folder}")
    if not os.path.isfile(os.path.join(folder, CONFIG)):
        raise FileNotFoundError(
            f"{folder} holds no {CONFIG}; to load a bare checkpoint name its architecture in "
            "`model` and the file in `pretrained`"
        )


def _check_known(name, known):
    from difflib import get_close_matches

    if name in known:
        return
    lower = {entry.lower(): entry for entry in known}
    near = [lower[match] for match in get_close_matches(name.lower(), lower, n=3)]
    hint = f"did you mean {' or '.join(near)}?" if near else "see open_clip.list_models()"
    raise ValueError(
        f"model {name!r} is neither an architecture of open_clip nor a directory that holds "
        f"{CONFIG}; {hint}"
    )


def warn_of_other_architecture(model, name):
    """Warn if a directory holds another architecture than the one asked for."""
    import open_clip

    if model is None or not name.startswith(LOCAL) or _is_place(model := _to_text(model)):
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
