"""A folder that is written whole or not at all, and read only as it was written."""

import errno
import hashlib
import json
import os
import re
import shutil
import uuid
from pathlib import Path

from ..utils._regular_files import open_regular

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"

FORMAT, VERSION = "skactivekd", 1

# Letters that mean the same on every system; no separators, no hidden files.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def write_folder(directory, config, files, overwrite, check):
    """Write a saved model.

    All is written to a neighbor, which takes the place of `directory` in the
    end: a crash leaves what was there.

    Parameters
    ----------
    directory : path
    config : dict
        What JSON holds.
    files : dict of str to bytes
        The other files.
    overwrite : bool
        Replace a saved model that is there.
    check : callable
        Called with the path of the new folder before it takes its place.

    Raises
    ------
    FileExistsError
        If there is something else than an empty folder, and `overwrite` is
        false or it is no saved model.
    """
    target = Path(os.path.abspath(os.path.expanduser(os.fspath(directory))))
    _check_free(target, overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    # The same file system, so that one rename is all it takes.
    neighbor = target.parent / f".{target.name}.{uuid.uuid4().hex}.tmp"
    neighbor.mkdir()
    try:
        for name, content in files.items():
            write_file(neighbor / name, content)
        write_file(neighbor / CONFIG, _seal(config, files))
        check(neighbor)
        _swap(neighbor, target, overwrite)
    finally:
        shutil.rmtree(neighbor, ignore_errors=True)


def write_file(path, content):
    """Write a file, down to the disk."""
    with open(path, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def read_folder(directory):
    """Read a saved model, each file once, as it was written.

    Parameters
    ----------
    directory : path

    Returns
    -------
    config : dict
    files : dict of str to bytes

    Raises
    ------
    FileNotFoundError
        If there is no saved model, or a file of it is missing.
    ValueError
        If a newer version wrote it, or a file is not as it was written.
    """
    folder = Path(directory).expanduser()
    try:
        written = _read_file(folder / CONFIG)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(
            f"{folder} holds no saved model: there is no {CONFIG} in it. skactivekd.load takes "
            f"the folder that save wrote."
        ) from None
    config = _unseal(written, folder)
    files = {}
    for name, facts in config["files"].items():
        try:
            content = _read_file(folder / name, facts["size"])
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{folder / name} is missing, which belongs to the saved model. Copy the whole "
                f"folder again."
            ) from None
        if content is None or checksum(content) != facts["sha256"]:
            raise ValueError(_changed(folder / name))
        files[name] = content
    return config, files


def _read_file(path, size=None):
    """Return what a file holds; None if it has not the size that it should have."""
    try:
        with open_regular(path) as file:
            if size not in (None, os.fstat(file.fileno()).st_size):
                return None
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error


def _seal(config, files):
    """Return the config as text, with the hashes of all files and of itself."""
    facts = {name: {"sha256": checksum(files[name]), "size": len(files[name])} for name in files}
    config = {"format": FORMAT, "format_version": VERSION, **config, "files": facts}
    return _as_text({**config, "sha256": checksum(_as_text(config))})


def _unseal(written, folder):
    path = folder / CONFIG
    try:
        config = json.loads(written)
    except (ValueError, RecursionError):
        raise ValueError(_changed(path)) from None
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise ValueError(
            f"{path} is no config of a model that skactivekd saved. skactivekd.load takes the "
            f"folder that save wrote."
        )
    version = config.get("format_version")
    if type(version) is int and version > VERSION:
        wrote = config.get("versions", {}) if isinstance(config.get("versions"), dict) else {}
        raise ValueError(
            f"{folder} was saved in format {version}, by skactivekd "
            f"{wrote.get('skactivekd', 'of a newer version')}; this version reads formats up to "
            f"{VERSION}. Upgrade skactivekd."
        )
    try:
        digest = config.pop("sha256", None)
        whole = digest == checksum(_as_text(config)) and written == _as_text(
            {**config, "sha256": digest}
        )
        names = [name for name, facts in config["files"].items() if {*facts} >= {"sha256", "size"}]
        whole = whole and len(names) == len(config["files"]) and {CARD, WEIGHTS} <= {*names}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(_changed(path)) from None
    if version != VERSION or not whole:
        raise ValueError(_changed(path))
    bad = [name for name in names if not _NAME.fullmatch(name) or name == CONFIG]
    if bad:
        raise ValueError(f"{path} names files that are not its own: {bad}. It is not loaded.")
    return config


def _as_text(config):
    return (json.dumps(config, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def checksum(content):
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _changed(path):
    return (
        f"{path} is not as it was saved: it was changed or damaged since. Copy the folder again, "
        f"or save the model again. Notes of your own go into a file of their own, which load does "
        f"not look at."
    )


def _check_free(target, overwrite):
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise FileExistsError(f"{target} is no folder, and is left as it is. Name another one.")
    if not target.exists() or not any(target.iterdir()):
        return
    if not overwrite:
        raise FileExistsError(
            f"{target} is not empty. Name another folder, or pass overwrite=True to replace a "
            f"model that was saved there."
        )
    try:
        own = {CONFIG, *json.loads((target / CONFIG).read_bytes())["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        raise FileExistsError(
            f"{target} is no saved model, and overwrite=True replaces nothing else. Name another "
            f"folder."
        ) from None
    foreign = sorted(path.name for path in target.iterdir() if path.name not in own)
    if foreign:
        raise FileExistsError(
            f"{target} also holds {', '.join(foreign)}, which overwrite=True would delete. Move "
            f"these first, or name another folder."
        )


def _swap(neighbor, target, overwrite):
    """Put the new folder in place of what is there."""
    if not target.exists():
        try:
            neighbor.rename(target)
            return
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            # Somebody was faster.
            _check_free(target, overwrite)
    old = target.with_name(neighbor.name.removesuffix(".tmp") + ".old")
    target.rename(old)
    try:
        neighbor.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old)
