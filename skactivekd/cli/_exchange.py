"""``skactivekd export`` and ``import``: labels and models to and from other programs."""

import os

import click

from ._errors import Trouble
from ._open_session import open_project
from ._options import annotator_option, project_option
from ._predict import load_model
from ._progress import say
from ._project import find_project

_MODELS, _LABELS = (".onnx", ".pt2"), (".csv", ".jsonl", ".json")
_ROWS = 64  # on which an exported model is compared with the saved one


@click.command(
    "export",
    help="""Write the model, or the labels, for other programs.

    FILE ends in .onnx or .pt2 for the saved model as one program, in .csv or .jsonl for the
    labels, and in .json for tasks of Label Studio with annotations and predictions.""",
)
@click.argument("file")
@project_option
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
def export_(file, project, overwrite):
    """Export."""
    export_project(find_project(project), file, overwrite)
    say(f"Written: {os.path.abspath(os.path.expanduser(file))}")


def export_project(project, file, overwrite=False):
    """Write the model or the labels of a project to a file.

    Parameters
    ----------
    project : Project
    file : str or path
    overwrite : bool, default=False

    Raises
    ------
    Trouble
    """
    file = os.path.expanduser(os.fspath(file))
    suffix = os.path.splitext(file)[1].lower()
    if suffix not in (*_MODELS, *_LABELS):
        raise Trouble(
            f"{file} must end in {', '.join(_MODELS)} for the model, or in {', '.join(_LABELS)} "
            "for the labels."
        )
    if os.path.isdir(file):
        raise Trouble(f"{file} is a folder; name a file in it.")
    if os.path.lexists(file) and not overwrite:
        raise Trouble(f"{file} exists already; name another file, or say --overwrite.")
    if not os.path.isdir(os.path.dirname(os.path.abspath(file))):
        raise Trouble(f"{os.path.dirname(os.path.abspath(file))} is no folder; name one that is.")
    if suffix in _MODELS:
        return _export_model(project, file, overwrite)
    if not project.journal.exists():
        raise Trouble(
            f"{project.folder} has no labels yet; give some by `skactivekd label --project "
            f"{project.folder}`."
        )
    opened = open_project(project, teach=suffix == ".json", quiet=True)
    try:
        opened.session.export(file)
    finally:
        opened.session.close()


def _export_model(project, file, overwrite):
    from ..persistence import export
    from ._open_session import read_project_source
    from ._students import as_rows

    model = load_model(project)
    if project.settings.kind == "images":
        return export(model, file, overwrite=overwrite)
    source = read_project_source(project, project.settings.classes)
    rows = as_rows(source.take(list(range(min(_ROWS, len(source))))).X)
    return export(model, file, rows, overwrite=overwrite)


@click.command(
    "import",
    help="""Take in labels from a file: of `export`, of Label Studio (.json), or any .csv or .jsonl
    with the columns "label" and one of "path", "text", "id" and the like.""",
)
@click.argument("file")
@project_option
@annotator_option
@click.option("--new-classes", is_flag=True, help="Labels that are no classes become such.")
def import_(file, project, annotator, new_classes):
    """Import."""
    project = find_project(project)
    counts = import_labels(project, file, annotator, new_classes)
    say(
        f"{counts['imported']} entries are taken in, {counts['known']} were known, "
        f"{counts['unmatched']} are of rows that the project does not have."
    )


def import_labels(project, file, annotator=None, new_classes=False):
    """Take labels of a file into a project, as `LabelingSession.import_labels` does.

    Returns
    -------
    counts : dict
    """
    file = os.path.expanduser(os.fspath(file))
    if not os.path.exists(file):
        raise Trouble(f"{file} does not exist; name a .csv, .jsonl or .json file.")
    opened = open_project(project, annotator=annotator, teach=False, quiet=True)
    try:
        return opened.session.import_labels(file, annotator=annotator, new_classes=new_classes)
    except ValueError as error:
        text = str(error).replace("Pass new_classes=True", "Say --new-classes")
        raise Trouble(text.replace("add_class(", "--new-classes (")) from error
    finally:
        opened.session.close()


commands = {"export": export_, "import": import_}
