"""``skactivekd fit``: the student of all labels, saved."""

import click

from ._errors import Trouble
from ._new_project import begin
from ._open_session import open_project, tell_state
from ._options import model_options, source_options
from ._progress import say

_SHOWN = 100  # classes


@click.command(
    help="""Train the student on all labels of a project, and save it in model/.

    SOURCE, as for `label`, begins a project without the page: for labels that are there already,
    in the subfolders or the label column, or for a teacher alone. Without it a project goes on."""
)
@click.argument("source", required=False)
@model_options
@source_options
@click.option(
    "--project",
    metavar="DIR",
    help="Folder of the project; without it SOURCE-project, or the one that is here.",
)
def fit(source, project, **options):
    """Fit and save."""
    project = begin(source, project, options)
    if source is None and not project.journal.exists():
        raise Trouble(
            f"{project.folder} has no labels yet; give some by `skactivekd label --project "
            f"{project.folder}`."
        )
    accuracy = fit_project(project, begun=source is not None)
    say(f"The model is saved: {project.model}")
    if accuracy is not None:
        say(
            f"Accuracy: {accuracy['accuracy']:.1%}, between {accuracy['low']:.1%} and "
            f"{accuracy['high']:.1%} (95 %), on {accuracy['n']} random rows."
        )


def fit_project(project, begun=False):
    """Fit the student of a project and save it.

    Parameters
    ----------
    project : Project
    begun : bool, default=False
        Whether to say what was found, which no page has shown.

    Returns
    -------
    accuracy : dict or None
        As `LabelingSession.progress` has it.

    Raises
    ------
    Trouble
        If there are too few labels.
    """
    from ..persistence import save
    from ._training_bar import measuring_bar, training_bar

    opened = open_project(project)
    session = opened.session
    try:
        project.write()  # a journal without its settings would be no project
        if begun:
            tell_state(project, opened)
            names = ", ".join(session.classes[:_SHOWN]) + ", ..." * (len(session.classes) > _SHOWN)
            say(f"The classes are {names}; --classes names others.")
        known = session.progress(fresh=False)
        n = known["labels"]
        if n == 0 and not opened.has_teacher:
            raise Trouble(
                f"{project.folder} has no labels yet; give some by `skactivekd label --project "
                f"{project.folder}`."
            )
        several = sum(row["labels"] > 0 for row in known["by_class"]) > 1
        if not several and not opened.has_teacher:
            raise Trouble(
                "All labels are of one class, so that there is nothing to tell apart; label some "
                "of another class."
            )
        with training_bar(len(opened.source), n, opened.has_teacher):
            model = session.fit().model
        accuracy = None
        if n:
            with measuring_bar(session):  # the curve is for the report, and takes as long again
                accuracy = session._figures.accuracy(session._view())
        scores = {}
        if accuracy is not None:
            scores[f"accuracy on {accuracy['n']} random rows"] = accuracy["accuracy"]
        save(opened.student.deployable(model), project.model, overwrite=True, scores=scores)
    finally:
        session.close()
    return accuracy


commands = {"fit": fit}
