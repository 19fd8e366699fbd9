"""``skactivekd simulate``: the loop played on rows whose labels are known."""

import math
import os

import click

from ._errors import Trouble
from ._new_project import begin
from ._options import Count, project_option, source_options
from ._progress import say


@click.command(
    help="""Play the labeling through on a source whose labels are known: how good would the
    student be after how many labels, by which strategy? Prints a table and writes a picture.

    SOURCE is as for `label`, with labels; without it those of a project are taken."""
)
@click.argument("source", required=False)
@click.option("--teacher", metavar="MODEL", help="As for `label`.")
@click.option("--student", metavar="MODEL", help="As for `label`.")
@click.option(
    "--strategies",
    default="UncertaintyHerding,PCoreSet",
    show_default=True,
    help="By commas; random questions are compared always.",
)
@click.option("--rounds", type=Count(), default=6, show_default=True, help="Points of the curve.")
@click.option("--labels", type=Count(), default=10, show_default=True, help="Labels a round.")
@click.option("--seeds", type=Count(), default=3, show_default=True, help="Runs per curve.")
@click.option("--test", type=float, default=0.25, show_default=True, help="Share to be tested on.")
@click.option("--out", default="simulation.png", show_default=True, help="The picture.")
@source_options
@project_option
def simulate(source, project, strategies, rounds, labels, seeds, test, out, **options):
    """Play."""
    from ..demo import find_plot

    try:
        plot = find_plot(out)
    except (ImportError, OSError, ValueError) as error:
        raise click.BadParameter(str(error), param_hint="--out") from error
    if not 0 < test < 1:
        raise Trouble(f"--test must be between 0 and 1, not {test}.")
    table, display = play(
        begin(source, project, options),
        [name.strip() for name in strategies.split(",") if name.strip()],
        rounds,
        labels,
        seeds,
        test,
    )
    say("Accuracy in percent, mean (standard deviation), by labels:\n")
    say(table.to_string())
    display.figure_.savefig(plot, dpi=120)
    say(f"\nPicture: {plot}")


def play(project, strategies, rounds, labels, seeds, test):
    """Simulate labeling on the rows of a project whose labels are known.

    Parameters
    ----------
    project : Project
    strategies : list of str
    rounds, labels, seeds : int
    test : float

    Returns
    -------
    table : DataFrame
    display : LabelEfficiencyDisplay
    """
    import numpy as np
    from sklearn.model_selection import train_test_split

    from .._take_rows import take_rows
    from ..demo import tabulate
    from ..plotting import LabelEfficiencyDisplay
    from ..simulation import simulate
    from ._open_session import check_source_labels, check_strategy, read_project_source, tell_notes
    from ._students import Student
    from ._teachers import ask_teacher, make_encoder, make_teacher

    asked = {name: check_strategy(name) for name in strategies}
    settings = project.settings
    source = read_project_source(project, settings.classes)
    classes = settings.classes or source.classes()
    check_source_labels(source, classes)
    known = [row for row, label in enumerate(source.labels) if label]
    if len(source.classes()) < 2:
        raise Trouble(
            f"{project.source} has labels of {len(source.classes())} classes; to play, the labels "
            "must be known: as subfolders of images, or in a column named by --label-column."
        )
    student = Student(source.take(known), settings, _cache(project.thumbnails))
    tell_notes(student)
    X, y = student.X, np.array(student.source.labels, dtype=object)
    encoder = make_encoder(settings.teacher, source.kind, _cache(project.embeddings))
    teacher = None
    if encoder is not None:
        teacher = make_teacher(encoder, settings, classes)
        ask_teacher(teacher, X, classes)  # with a bar, and kept for every run
    check_shares(len(y), len(np.unique(y.astype(str))), test)
    several = np.unique(y.astype(str), return_counts=True)[1].min() > 1
    pool, held = train_test_split(
        np.arange(len(y)),
        test_size=test,
        random_state=settings.seed,
        stratify=y.astype(str) if several else None,
    )
    if len(pool) < rounds * labels + len(classes):
        raise Trouble(
            f"{project.source} has {len(y)} labels, too few to play {rounds} rounds of {labels}; "
            "play fewer by --rounds and --labels."
        )
    estimator = student.estimator(teacher)
    estimator.set_params(student__random_state=None, student__classes=classes)
    results = simulate(
        {"student": estimator},
        take_rows(X, pool),
        y[pool],
        X_test=take_rows(X, held),
        y_test=y[held],
        strategies=asked,
        n_rounds=rounds,
        n_instances=labels,
        seeds=seeds,
        n_jobs=min(os.cpu_count() or 1, 8),
    )
    baselines = {}
    if teacher is not None:
        said = teacher.predict(take_rows(X, held))
        baselines["zero-shot teacher"] = float(np.mean(said == y[held].astype(str)))
        say(f"Zero-shot teacher, no labels: {100 * baselines['zero-shot teacher']:.1f}", err=True)
    return tabulate(results), LabelEfficiencyDisplay.from_results(results, baselines=baselines)


def check_shares(n, n_classes, test):
    """Refuse a split of rows that leaves too few on one side."""
    n_test = math.ceil(n * test)
    if min(n_test, n - n_test) < n_classes:
        raise Trouble(
            f"--test {test} leaves {n - n_test} of {n} labeled rows to learn from and {n_test} to "
            f"be tested on, but there are {n_classes} classes; take another share, or label more."
        )


def _cache(path):
    """Return a file of a project that has been begun; else nothing is kept."""
    return path if path.parent.is_dir() else None


commands = {"simulate": simulate}
