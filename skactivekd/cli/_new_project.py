"""Projects begun, and options that change one."""

import os

from ._class_names import check_class_names, read_classes
from ._errors import Trouble, is_shown
from ._project import Project, Settings, exists, find_project
from ._teachers import GLYPH

_CONTENT = ("text_column", "path_column", "columns")
DEMO = "skactivekd-demo"
DIGITS = "digits"


def begin(source, folder, options):
    """Return the project of a source, begun if there is none.

    Nothing is written yet.

    Parameters
    ----------
    source : str or None
        None goes on with a project.
    folder : str or None
        Of the project.
    options : dict
        Settings that were given, by name; None where not.

    Returns
    -------
    project : Project

    Raises
    ------
    Trouble
    """
    if source is None:
        project = find_project(folder)
        return change(project, options)
    if not source.strip():
        raise Trouble("SOURCE is empty; name a folder of images or a table.")
    place = os.path.abspath(os.path.expanduser(source))
    if not os.path.lexists(place):
        raise Trouble(f"{source} does not exist; name a folder of images or a table.")
    if folder is None:
        stem = os.path.basename(place) if os.path.isdir(place) else _stem(place)
        folder = f"{stem}-project"
    check_folder(folder)
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise Trouble(f"--project {folder} is a file; name a folder.")
    if exists(folder):
        project = Project(folder)
        if os.path.realpath(project.source) != os.path.realpath(place):
            raise Trouble(
                f"{project.folder} is a project of {project.source}, not of {place}; choose "
                "another --project, or write the new place into its config.toml."
            )
        return change(project, options)
    if os.path.isdir(folder) and os.path.realpath(folder) == os.path.realpath(place):
        raise Trouble("A project is no part of its source; choose another folder for --project.")
    project = Project(folder, Settings())
    project.settings.source = project.relative(place)
    return change(project, options)


def check_folder(folder):
    """Refuse what is no name of a folder."""
    if not folder.strip() or "\0" in folder:
        raise Trouble(f"--project {folder!r} is no name of a folder; give it one.")


def _stem(path):
    return os.path.splitext(os.path.basename(path))[0]


def begin_demo(folder, options):
    """Return the project of the digits; their files are written if they are not there."""
    folder = DEMO if folder is None else folder
    check_folder(folder)
    project = Project(folder, Settings())
    if exists(project.folder):
        project = Project(project.folder)
        if not project.source.is_dir():
            write_digits(project.source)
        return change(project, options)
    project.settings.source = DIGITS
    write_digits(project.source)
    given = {"classes": ",".join(map(str, range(10))), "teacher": GLYPH}
    return change(project, {**options, **{k: options.get(k) or v for k, v in given.items()}})


def write_digits(folder):
    """Write scikit-learn's handwritten digits as image files.

    Parameters
    ----------
    folder : path
        It appears whole or not at all.
    """
    import shutil

    import numpy as np
    from PIL import Image

    from ..datasets import load_glyph_digits

    images = load_glyph_digits().images
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    draft.mkdir(parents=True)
    try:
        for number, pixels in enumerate(images):
            Image.fromarray(np.round(pixels * 255).astype(np.uint8)).save(
                draft / f"{number:04d}.png"
            )
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def change(project, options):
    """Put given options into the settings of a project.

    Raises
    ------
    Trouble
        If one cannot be.
    """
    settings = project.settings
    if options.get("classes") is not None:
        settings.classes = read_classes(options["classes"])
    for name in ("student", "strategy", "audit", "overlap", "seed", "teacher"):
        if options.get(name) is not None:
            setattr(settings, name, options[name])
    if any(options.get(name) for name in _CONTENT):
        settings.text_column, settings.path_column, settings.columns = "", "", []
    for name in ("text_column", "path_column", "label_column", "id_column"):
        if options.get(name):
            setattr(settings, name, options[name])
    if options.get("columns"):
        settings.columns = [name.strip() for name in options["columns"].split(",")]
    if options.get("guideline") is not None:
        settings.guideline = project.relative(options["guideline"])
    if settings.classes:
        check_class_names(settings.classes, "classes")
    for name in ("audit", "overlap"):
        if not 0 <= getattr(settings, name) < 1:
            raise Trouble(f"--{name} must be from 0 to below 1, not {getattr(settings, name)}.")
    if not 0 <= settings.seed < 2**32:
        raise Trouble(f"--seed must be from 0 to {2**32 - 1}, not {settings.seed}.")
    for name in ("student", "strategy"):
        if not getattr(settings, name).strip():
            raise Trouble(f"--{name} is empty; leave it out.")
    if not settings.teacher.strip() or not is_shown(settings.teacher):
        raise Trouble("--teacher is empty; name a model, or none.")
    return project
