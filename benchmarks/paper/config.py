"""Configurations: a TOML file per data set, on a base, with changes from the command line."""

import tomllib
from pathlib import Path

FOLDER = Path(__file__).parent / "configs"


def names():
    """Return the names of the configurations, one a data set."""
    return sorted(path.stem for path in FOLDER.glob("[!_]*.toml"))


def load_config(name, changes=()):
    """Read the configuration of a data set.

    Parameters
    ----------
    name : str
        One of `names`, or the path of a TOML file.
    changes : sequence of str, default=()
        Each ``key=value``; values are TOML, or else plain text.

    Returns
    -------
    config : dict

    Raises
    ------
    ValueError
        If there is no such configuration or key, or a value is of another type.

    Examples
    --------
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
        key, _, value = change.partition("=")
        config[key.strip()] = _checked(key.strip(), _parse(value), config)
    return config


def _parse(value):
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value.strip()


def _checked(key, value, config):
    if key not in config:
        raise ValueError(f"there is no setting {key!r}; there are {', '.join(sorted(config))}")
    kind = type(config[key])
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is str:
        return str(value)
    if type(value) is not kind:
        raise ValueError(f"{key}={value!r} must be of type {kind.__name__}")
    return value
