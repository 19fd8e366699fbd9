"""From a project to a session: rows, labels that are there, teacher, student, journal."""

import re
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from .. import query
from ..session import LabelingSession
from ..session._journal import Journal
from ..session._journal_state import State
from ._class_names import check_class_names, check_shown
from ._errors import Trouble, one_line
from ._progress import say
from ._sources import read_source
from ._students import Student
from ._teachers import ask_teacher, make_encoder, make_teacher

STRATEGIES = (
    *("UncertaintyHerding", "PCoreSet", "Margin", "Entropy", "LeastConfidence"),
    *("CoreSet", "Badge", "ClassBalanced", "Random"),
)
_CONFLICT = re.compile(r"Row (\d+) of X has the content of an earlier row, but y says (.*)\.$")
_SHOWN = 5
_WHAT = {"images": "images", "texts": "texts", "table": "rows"}


@dataclass
class Opened:
    """A project at work.

    Parameters
    ----------
    session : LabelingSession
    student : Student
    has_teacher : bool
    """

    session: LabelingSession
    student: Student
    has_teacher: bool

    @property
    def source(self):
        """The rows that can be read."""
        return self.student.source


def open_project(project, *, annotator=None, refit=True, teach=True, quiet=False):
    """Open a project.

    Parameters
    ----------
    project : Project
        Its settings get what is found on the way: the classes, the size of pictures.
    annotator : str, default=None
    refit : bool, default=True
        Of the session.
    teach : bool, default=True
        Whether the student is going to be fitted; else no teacher is asked.
    quiet : bool, default=False
        Say nothing of files that are left out.

    Returns
    -------
    opened : Opened

    Raises
    ------
    Trouble
    """
    settings = project.settings
    named = check_strategy(settings.strategy)
    before = known_classes(project.journal)
    source = read_project_source(project, [*settings.classes, *before])
    settings.classes = settings.classes or source.classes()
    if not settings.classes and not before:
        raise Trouble(
            f"{project.source} has no labels that could say what the classes are; name them: "
            "--classes cat,dog."
        )
    new = [name for name in settings.classes if name not in before]
    if before:
        check_shown(new, "classes")  # what a journal has stays, and looks are compared with it
    else:
        check_class_names(settings.classes, "classes")
    classes = [*before, *new]
    check_names(settings.names, classes)
    check_source_labels(source, classes)
    with project.folder_made():
        return _open(project, source, classes, named, annotator, refit, teach, quiet)


def _open(project, source, classes, strategy, annotator, refit, teach, quiet):
    settings = project.settings
    proba, encoder = None, None
    if teach:
        encoder = make_encoder(settings.teacher, source.kind, project.embeddings)
    teacher = None if encoder is None else make_teacher(encoder, settings, classes)
    student = Student(source, settings, project.thumbnails)
    if not project.journal.exists():
        student.check_several()
    if teacher is not None:
        proba, unknown = ask_teacher(teacher, student.X, classes)
        if unknown:
            path = student.source.names[min(unknown)]
            student.notes.append(
                f"The teacher can make nothing of {len(unknown)} rows, such as {path}: "
                f"{one_line(unknown[min(unknown)])}"
            )
    if not quiet:
        tell_notes(student)
    y = np.full(len(student.source), -1, dtype=object)
    for row, label in enumerate(student.source.labels):
        if label:
            y[row] = label
    try:
        session = LabelingSession(
            student.estimator(proba),
            student.X,
            journal=project.journal,
            classes=classes,
            strategy=strategy,
            annotator=annotator,
            audit=settings.audit,
            overlap=settings.overlap,
            random_state=settings.seed,
            ids=student.source.ids,
            y=y if any(student.source.labels) else None,
            refit=refit,
        )
    except ValueError as error:
        raise _in_words(error, project, student.source) from error
    return Opened(session, student, proba is not None)


def read_project_source(project, classes):
    """Read the source of a project."""
    settings = project.settings
    columns = ("text_column", "path_column", "label_column", "id_column", "columns")
    given = {name: getattr(settings, name) for name in columns}
    source = read_source(project.source, classes=classes, avoid=project.folder, **given)
    if settings.kind and settings.kind != source.kind:
        raise Trouble(
            f"{project.source} now holds {source.kind}, but the project is of {settings.kind}; "
            "put back what it was, or begin another project by --project."
        )
    settings.kind = source.kind
    for name, value in source.columns.items():
        setattr(settings, name, value)
    return source


def tell_state(project, opened):
    """Say what there is to label and to learn from."""
    settings, session = project.settings, opened.session
    n = session.progress(fresh=False)["labels"]
    say(
        f"{project.folder.name}: {len(opened.source)} {_WHAT[settings.kind]} and {n} labels, "
        f"{len(session.classes)} classes, teacher {settings.teacher}."
    )
    if not opened.has_teacher and settings.kind != "table":
        say(
            "Without a teacher the student learns from your labels alone: its first guesses are "
            "poor. --teacher names a model that knows what the classes are called."
        )


def tell_notes(student):
    """Say what a person should know of the rows."""
    for note in [*student.source.notes, *student.notes]:
        say(note, err=True)
    if student.bad:
        are = (
            "image cannot be read and is"
            if len(student.bad) == 1
            else "images cannot be read and are"
        )
        say(f"{len(student.bad)} {are} left out:", err=True)
        for path, why in list(student.bad.items())[:_SHOWN]:
            say(f"  {path}: {one_line(why).removeprefix(f'{path}: ')}", err=True)
        if len(student.bad) > _SHOWN:
            say("  ...", err=True)


def check_strategy(name):
    """Return the strategy of a name.

    Raises
    ------
    Trouble
    """
    by_name = {known.lower(): known for known in STRATEGIES}
    if name.lower() not in by_name:
        raise Trouble(f"--strategy {name!r} is none of {', '.join(STRATEGIES)}.")
    return getattr(query, by_name[name.lower()])()


def check_names(names, classes):
    """Refuse what the teacher is to call a class that there is not."""
    strange = [name for name in names if name not in classes]
    if strange:
        near = get_close_matches(strange[0], classes, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "; name one, or take it out."
        raise Trouble(f"[names] of config.toml has {strange[0]!r}, which is no class{hint}")


def known_classes(journal):
    """Return the classes of a journal; none where there is no journal yet."""
    if not journal.exists():
        return []
    opened, state = Journal(journal), State()
    for event in opened.read():
        if event.kind in ("opened", "class"):
            state.apply(event)
    opened.close()
    return list(state.classes)


def check_source_labels(source, classes):
    """Refuse labels of a source that are none of the classes."""
    known = set(classes)
    for label, name in zip(source.labels, source.names, strict=True):
        if label and label not in known:
            near = get_close_matches(label, classes, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise Trouble(
                f"{name} has the label {label!r}{hint}, which is none of the classes "
                f"{', '.join(classes[:10])}{', ...' * (len(classes) > 10)}; name it among them, or "
                "correct it."
            )


def _in_words(error, project, source):
    """Return what a session says in the words of the command line."""
    text = one_line(error)
    found = _CONFLICT.match(text)
    if found:
        name = source.names[int(found[1])]
        return Trouble(
            f"{name} holds the same as an earlier row or file, but is labeled {found[2]}; correct "
            "one of them."
        )
    if "is the journal of other rows" in text:
        return Trouble(
            f"{project.folder} is a project of other rows than {project.source} holds now; put "
            "them back, or begin another project by --project. No answer is lost."
        )
    return Trouble(text.replace("random_state=", "seed="))
