"""Configurations: a TOML file per data set, on a base, with changes from the command line."""

import tomllib
from pathlib import Path

FOLDER = Path(__file__).parent / "configs"


def names():
    """Return the names of the configurations, one a data set."""
    return sorted(path.stem for path in FOLDER.glob("[!_]*.toml"))


def load_config(name, changes=()):
    """Read the configuration of a data set as a dict.

    `name` is one of `names`, or the path of a TOML file; each of `changes` is ``key=value``,
    where the value is TOML, or else plain text.

    >>> from benchmarks.paper.config import load_config
    >>> load_config("dtd", ["rounds=3", "teacher_views=once"])["rounds"]
    3
    """
    path = FOLDER / f"{name}.toml" if name in names() else Path(name)
    if not path.is_file():
        raise ValueError(f"there is no configuration {name!r}; there are {', '.join(names())}")
    own = tomllib.loads(path.read_text())
    base = own.pop("base", None)
    config = {**(tomllib.loads((FOLDER / f"{base}.toml").read_text()) if base else {}), **own}
    for change in changes:
        key, _, value = (part.strip() for part in change.partition("="))
        config[key] = _checked(key, value, config)
    return config


def _checked(key, text, config):
    if key not in config:
        raise ValueError(f"there is no setting {key!r}; there are {', '.join(sorted(config))}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    kind = type(config[key])
    if kind is str:
        return str(value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ValueError(f"{key}={value!r} must be of type {kind.__name__}")
    return value
