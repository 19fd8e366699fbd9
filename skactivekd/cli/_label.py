"""``skactivekd label``: a project begun or gone on with, and its page."""

import os
import shlex

import click

from ._errors import Trouble
from ._new_project import begin, begin_demo
from ._open_session import STRATEGIES, open_project, tell_state
from ._options import annotator_option, model_options, source_options
from ._port import choose_port
from ._progress import say
from ._project import PREDICTIONS


@click.command(
    help="""Label on a page in your browser, while a student learns from each answer.

    SOURCE is a folder of images, whose subfolders are taken for labels, or a .csv, .jsonl or
    .parquet file with texts, paths of images or numbers. A project that was begun goes on where
    it was left, with new files of the folder; then SOURCE may be left out."""
)
@click.argument("source", required=False)
@click.option("--demo", is_flag=True, help="Handwritten digits with the embedded teacher, offline.")
@model_options
@click.option("--project", metavar="DIR", help="Folder of the project.  [default: SOURCE-project]")
@click.option("--strategy", metavar="NAME", help=f"One of {', '.join(STRATEGIES)}.")
@click.option("--audit", type=float, help="Share of random questions that measure the accuracy.")
@click.option("--overlap", type=float, help="Share of questions that several persons are asked.")
@click.option("--guideline", metavar="FILE", help="Text that the page shows to who labels.")
@source_options
@annotator_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the page listens.")
@click.option("--allow-remote", is_flag=True, help="Let other machines in, with another --host.")
@click.option("--port", type=int, help="Of the page; 0 is any.  [default: always the same one]")
@click.option("--no-browser", is_flag=True, help="Print the address, and open no browser.")
def label(source, demo, project, annotator, host, allow_remote, port, no_browser, **options):
    """Open a project and serve its page."""
    if demo:
        if source is not None:
            raise Trouble("--demo brings its own digits; leave SOURCE out.")
        project = begin_demo(project, options)
    else:
        project = begin(source, project, options)
    serve = find_page()
    guideline = read_guideline(project)
    check_host(host, allow_remote)
    port = choose_port(project, host, port)
    opened = open_project(project, annotator=annotator, refit=False)
    project.write()
    session = opened.session
    try:
        tell_state(project, opened)
        serve(
            session,
            items=make_items(opened.source),
            title=project.folder.name,
            host=host,
            port=port,
            open_browser=not no_browser,
            allow_remote=allow_remote,
            guideline=guideline,
            on_finish=lambda: say_what_next(project, session),
        )
        text = say_what_next(project, session)
    finally:
        session.close()
    say(text)


def say_what_next(project, session):
    """Return what there is now, where it is, and the commands that follow."""
    n, where = session.progress(fresh=False)["labels"], os.path.relpath(project.folder)
    where = shlex.quote(where)
    return (
        f"{n} items are labeled; all answers are in {project.journal}. What you may do next:\n"
        f"  skactivekd fit --project {where}\n"
        f"  skactivekd predict FILES --project {where} --out {PREDICTIONS}\n"
        f"  skactivekd report --project {where}\n"
        f"  skactivekd label --project {where}"
    )


def find_page():
    """Return what serves the page.

    Raises
    ------
    Trouble
        If what it needs is not installed.
    """
    try:
        from ..app import serve
    except ImportError as error:
        raise Trouble(
            f"The page needs more packages: pip install skactivekd[label] ({error})."
        ) from None
    return serve


def check_host(host, allow_remote):
    """Refuse to let others in by accident, before a teacher works for an hour."""
    from ..app._guard import is_loopback

    if not is_loopback(host) and not allow_remote:
        raise Trouble(
            f"--host {host!r} lets other machines in. Say --allow-remote if that is what you want, "
            "or leave it at 127.0.0.1."
        )


def make_items(source):
    """Return what the page shows of a source."""
    from ..app import ImageFiles, TableRows, Texts

    if source.kind == "images":
        return ImageFiles(source.X)
    if source.kind == "texts":
        return Texts(source.X)
    hidden = source.columns.get("label_column")
    return TableRows(source.table.drop(columns=[hidden] if hidden else []))


def read_guideline(project):
    """Return the text of the guideline; None where there is none."""
    name = project.settings.guideline
    if not name:
        return None
    path = project.inside(name)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise Trouble(f"--guideline {path} is no UTF-8; save it as such.") from None
    except OSError as error:
        raise Trouble(f"--guideline {path} cannot be read: {error.strerror}.") from None


commands = {"label": label}
