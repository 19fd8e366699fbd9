"""A project: a folder with plain files, and the settings in it."""

import json
import os
import tomllib
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path

from ..utils._atomic_write import replacing
from ._errors import Trouble

CONFIG, FORMAT = "config.toml", 1
JOURNAL, EMBEDDINGS, THUMBNAILS = "labels.sqlite", "embeddings.sqlite", "thumbnails.sqlite"
_SMALLEST, _LARGEST = 8, 1024  # pixels: what the student takes, and what memory takes
MODEL, PREDICTIONS = "model", "predictions.csv"

_HEAD = f"""\
# A labeling project of skactivekd. Change it by hand as you like: every command goes by it.
# Beside it: {JOURNAL} (all answers), {EMBEDDINGS} and {THUMBNAILS} (only save time, and
# may be deleted) and {MODEL}/ (what `skactivekd fit` saved).
"""

# What each setting says, and of which kind it is.
_COMMENTS = {
    "source": "Folder of images, or .csv, .jsonl or .parquet file; relative to this folder.",
    "kind": "images, texts or table.",
    "text_column": "Columns of a table, where it is one.",
    "classes": "A name that is added here becomes a class; those with labels stay.",
    "teacher": "open_clip model and weights (images), sentence-transformers model (texts), folder "
    "of either, glyph (digits) or none.",
    "names": "What the teacher calls a class, where that is not its name.",
    "student": "auto, or a model of timm for images.",
    "strategy": "What chooses the questions.",
    "audit": "Share of random questions that measure the accuracy; fixed from the beginning.",
    "overlap": "Share of questions that several persons are asked.",
    "seed": "The same seed and answers give the same questions and model.",
    "guideline": "Text file that the page shows; relative to this folder.",
    "port": "Where the page is, each time: a browser keeps answers it could not send by its place.",
}


@dataclass
class Settings:
    """What ``config.toml`` says.

    Parameters
    ----------
    source, kind : str
    text_column, path_column, label_column, id_column : str
        Empty where there is none.
    columns : list of str
        Numeric columns.
    classes : list of str
    teacher : str
    names : dict of str to str
    student, strategy : str
    image_size : int
        Side of the pictures that the student sees; 0 is not chosen yet.
    audit, overlap : float
    seed : int
    guideline : str
    port : int
        Of the page; 0 is not chosen yet.
    """

    source: str = ""
    kind: str = ""
    text_column: str = ""
    path_column: str = ""
    label_column: str = ""
    id_column: str = ""
    columns: list = field(default_factory=list)
    classes: list = field(default_factory=list)
    teacher: str = "none"
    names: dict = field(default_factory=dict)
    student: str = "auto"
    image_size: int = 0
    strategy: str = "UncertaintyHerding"
    audit: float = 0.1
    overlap: float = 0.0
    seed: int = 0
    guideline: str = ""
    port: int = 0


class Project:
    """A folder with a ``config.toml``.

    Parameters
    ----------
    folder : str or path
    settings : Settings, default=None
        None reads those of the folder.

    Raises
    ------
    Trouble
        If the folder holds no project, or its settings cannot be used.
    """

    def __init__(self, folder, settings=None):
        self.folder = Path(os.path.abspath(os.path.expanduser(os.fspath(folder))))
        self.settings = read_config(self.folder / CONFIG) if settings is None else settings

    @property
    def journal(self):
        """Where all answers are."""
        return self.folder / JOURNAL

    @property
    def embeddings(self):
        """Where the teacher's embeddings are kept."""
        return self.folder / EMBEDDINGS

    @property
    def thumbnails(self):
        """Where pictures are kept as the student sees them."""
        return self.folder / THUMBNAILS

    @property
    def model(self):
        """The folder of the saved model."""
        return self.folder / MODEL

    @property
    def source(self):
        """Whole path of the source."""
        return self.inside(self.settings.source)

    def inside(self, path):
        """Return a path of the settings from the root."""
        return Path(os.path.abspath(self.folder / os.path.expanduser(path)))

    def relative(self, path):
        """Return how the settings call a path: from here if it is beside, else from the root."""
        path = os.path.abspath(os.path.expanduser(os.fspath(path)))
        try:
            path.encode()
        except UnicodeEncodeError:
            raise Trouble(
                f"The name {path!r} is no UTF-8, and cannot be written into {CONFIG}; rename it."
            ) from None
        near = os.path.commonpath([self.folder.parent, path]) == str(self.folder.parent)
        return os.path.relpath(path, self.folder) if near and self.folder.parent.name else path

    @contextmanager
    def folder_made(self):
        """Make the folder; where nothing comes of it, it is taken away again."""
        new = not self.folder.exists()
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            yield
        except BaseException:
            if new:
                with suppress(OSError):  # there is something in it, after all
                    self.folder.rmdir()
            raise

    def write(self):
        """Write the settings, whole or not at all; what was there is kept as ``.old``."""
        path = self.folder / CONFIG
        text = write_config(self.settings)
        if path.exists():
            before = path.read_bytes()
            if self.settings == read_config(path):
                return
            with replacing(f"{path}.old", "wb") as file:
                file.write(before)
        with replacing(path, encoding="utf-8") as file:
            file.write(text)


def exists(folder):
    """Tell whether a folder holds a project."""
    return os.path.lexists(os.path.join(os.path.expanduser(os.fspath(folder)), CONFIG))


def find_project(folder=None):
    """Open the project of a folder, or else the one that is here.

    Parameters
    ----------
    folder : str or path, default=None
        None looks into the current folder, and then into the folders in it.

    Returns
    -------
    project : Project

    Raises
    ------
    Trouble
    """
    if folder is not None:
        if not str(folder).strip() or "\0" in str(folder):
            raise Trouble(f"--project {str(folder)!r} is no name of a folder; give it one.")
        return Project(folder)
    if exists("."):
        return Project(".")
    near = sorted(entry.path for entry in os.scandir(".") if entry.is_dir() and exists(entry.path))
    if len(near) == 1:
        return Project(near[0])
    if near:
        raise Trouble(
            f"There are {len(near)} projects here ({', '.join(map(os.path.basename, near[:5]))}); "
            "say which by --project."
        )
    raise Trouble(
        "There is no project here: begin one by `skactivekd label SOURCE`, or by `skactivekd fit "
        "SOURCE` if it has labels, or say where it is by --project."
    )


def read_config(path):
    """Read settings.

    Raises
    ------
    Trouble
        If there are none, or something in them cannot be.
    """
    try:
        with open(path, "rb") as file:
            found = tomllib.load(file)
    except (FileNotFoundError, NotADirectoryError):
        raise Trouble(
            f"{path.parent} holds no project, as there is no {CONFIG} in it; begin one by "
            "`skactivekd label SOURCE --project DIR`."
        ) from None
    except UnicodeDecodeError as error:
        raise Trouble(f"{path} is no UTF-8 ({error.reason}); save it as such.") from None
    except tomllib.TOMLDecodeError as error:
        raise Trouble(f"{path} is no valid TOML: {error}. Correct that line.") from None
    version = found.pop("format", FORMAT)
    if type(version) is not int or version > FORMAT:
        raise Trouble(
            f"{path} says format={version!r}; this skactivekd reads formats up to {FORMAT}. "
            "Upgrade skactivekd."
        )
    known = {each.name: each.type for each in fields(Settings)}
    for name, value in found.items():
        if name not in known:
            raise Trouble(f"{path} has a setting {name!r}, but there are only {', '.join(known)}.")
        if known[name] is float and type(value) is int:
            value = found[name] = float(value)
        if type(value) is not known[name]:
            raise Trouble(
                f"{path}: {name} must be a {_KINDS[known[name]]}, not {json.dumps(value)}."
            )
    settings = Settings(**found)
    texts = [*settings.classes, *settings.columns, *settings.names.values()]
    if not all(isinstance(text, str) for text in texts):
        raise Trouble(f"{path}: classes, columns and names must hold texts: put them in quotes.")
    for name in ("audit", "overlap"):
        if not 0 <= getattr(settings, name) < 1:
            raise Trouble(
                f"{path}: {name} must be from 0 to below 1, not {getattr(settings, name)}."
            )
    if not 0 <= settings.seed < 2**32:
        raise Trouble(f"{path}: seed must be from 0 to {2**32 - 1}, not {settings.seed}.")
    if settings.image_size and not _SMALLEST <= settings.image_size <= _LARGEST:
        raise Trouble(
            f"{path}: image_size must be from {_SMALLEST} to {_LARGEST} pixels, or 0 for the size "
            f"of the images, not {settings.image_size}."
        )
    if not 0 <= settings.port < 2**16:
        raise Trouble(f"{path}: port must be from 0 to {2**16 - 1}, not {settings.port}.")
    if not settings.source or settings.kind not in ("images", "texts", "table"):
        raise Trouble(f"{path} must name a source, and as its kind images, texts or table.")
    return settings


_KINDS = {
    str: "text in quotes",
    int: "whole number",
    float: "number",
    list: "list of texts",
    dict: "table of texts",
}


def write_config(settings):
    """Return settings as TOML."""
    lines = [_HEAD, f"format = {FORMAT}"]
    tables = []
    for each in fields(settings):
        value = getattr(settings, each.name)
        if value in ("", [], {}) and each.name not in ("classes",):
            continue
        if each.name in ("image_size", "port") and not value:
            continue
        comment = _COMMENTS.get(each.name)
        block = [] if comment is None else ["", f"# {comment}"]
        if isinstance(value, dict):
            block += [f"[{each.name}]", *(f"{_text(k)} = {_text(v)}" for k, v in value.items())]
            tables += block
        elif isinstance(value, list):
            names = "".join(f"    {_text(item)},\n" for item in value)
            lines += [*block, f"{each.name} = [\n{names}]"]
        else:
            written = _text(value) if isinstance(value, str) else repr(value)
            lines += [*block, f"{each.name} = {written}"]
    return "\n".join([*lines, *tables]) + "\n"


def _text(value):
    """Write a text as TOML reads it: JSON's escapes, but no halves of characters."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
