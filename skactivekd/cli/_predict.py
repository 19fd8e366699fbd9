"""``skactivekd predict``: classes of new files."""

import os

import click

from ._errors import Trouble, one_line
from ._options import project_option
from ._progress import say
from ._project import PREDICTIONS, find_project

_SHOWN = 5


@click.command(
    help="""Write the classes of new files into a table.

    FILES are images or folders of them, or .csv, .jsonl and .parquet files with the columns that
    the project has. The status is 1 if some could not be read."""
)
@click.argument("files", nargs=-1)
@project_option
@click.option("--out", default=PREDICTIONS, show_default=True, help="A .csv or .parquet file.")
@click.option("--all", "every", is_flag=True, help="Write the probabilities of all classes.")
@click.pass_context
def predict(ctx, files, project, out, every):
    """Predict."""
    if not files:
        raise Trouble("Name files to predict: images, folders of them, or tables.")
    project = find_project(project)
    n, bad = predict_project(project, files, out, every)
    say(f"{n} {'row is' if n == 1 else 'rows are'} predicted: {os.path.abspath(out)}")
    if bad:
        say(f"{len(bad)} of them cannot be read, as the column 'error' says:", err=True)
        for name, why in list(bad.items())[:_SHOWN]:
            say(f"  {name}: {one_line(why)}", err=True)
        ctx.exit(1)


def predict_project(project, files, out, every=False):
    """Predict files by the saved model of a project.

    Parameters
    ----------
    project : Project
    files : sequence of str
    out : str or path
    every : bool, default=False

    Returns
    -------
    n : int
    bad : dict of str to str
        As `predict_files`.
    """
    out = os.path.expanduser(os.fspath(out))
    if os.path.splitext(out)[1].lower() not in (".csv", ".parquet"):
        raise Trouble(f"--out {out} must end in .csv or .parquet.")
    if os.path.isdir(out):
        raise Trouble(f"--out {out} is a folder; name a file in it.")
    for file in [*files, project.source]:
        if os.path.realpath(os.path.expanduser(file)) == os.path.realpath(out):
            raise Trouble(f"--out {out} would replace what is read; name another file.")
    return _predict(load_model(project), files, project, out, every)


def _predict(model, files, project, out, every):
    from ._predictions import predict_files

    return predict_files(model, files, project.settings, out, every)


def load_model(project):
    """Load the saved model of a project.

    Raises
    ------
    Trouble
        If there is none.
    """
    from ..persistence import load

    if not project.model.exists():
        raise Trouble(
            f"{project.folder} has no model yet; make it by `skactivekd fit --project "
            f"{project.folder}`."
        )
    return load(project.model)


commands = {"predict": predict}
