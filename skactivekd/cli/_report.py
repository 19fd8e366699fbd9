"""``skactivekd report``: how good the student is, and what it cost."""

import json

import click

from ._open_session import open_project
from ._options import project_option
from ._progress import say
from ._project import find_project


@click.command(help="Say how good the student is by now, what it cost, and whether to go on.")
@project_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def report(project, as_json):
    """Report."""
    found = report_project(find_project(project))
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    say(found["text"])
    say("\nLabels by class:")
    width = max(len(str(row["class"])) for row in found["by_class"])
    for row in found["by_class"]:
        say(f"  {row['class']:<{width}}  {row['labels']}")


def report_project(project):
    """Return the report of a project, in what JSON knows.

    Parameters
    ----------
    project : Project

    Returns
    -------
    report : dict
        What `LabelingSession.progress` has, "agreement" and "text".
    """
    from ._training_bar import measuring_bar, training_bar

    opened = open_project(project, quiet=True)
    session = opened.session
    try:
        n = session.progress(fresh=False)["labels"]
        with training_bar(len(opened.source), n, opened.has_teacher):
            if session._figures.needs_fits(session._view()):  # else a training would tell nothing
                session.fit()
        with measuring_bar(session):
            found = session.progress()
        return {**found, "agreement": session.agreement(), "text": session.report()}
    finally:
        session.close()


commands = {"report": report}
