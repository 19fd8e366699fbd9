"""The main job, end to end: handwritten digits, few labels, an offline teacher."""

import os
from pathlib import Path

import pandas as pd
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from .datasets import load_glyph_digits
from .plotting import LabelEfficiencyDisplay
from .query import PCoreSet, UncertaintyHerding
from .simulation._simulate import simulate
from .student import DHOClassifier, TeacherProba
from .teacher import ZeroShotTeacher

__all__ = ["run_demo"]


def run_demo(out="skactivekd-demo.png", seeds=3):
    """Compare learning with and without a teacher, print the table, plot it.

    Parameters
    ----------
    out : str or path, default="skactivekd-demo.png"
        Where to write the plot, of a kind that matplotlib knows by its ending.
        "~" is the home folder; missing folders are made.
    seeds : int, default=3
        Runs per curve.

    Returns
    -------
    table : pandas.DataFrame
        Mean accuracy in percent: a row per method, a column per number of
        labels.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    ValueError
        If `seeds` is below 1, or `out` names no kind of picture.
    OSError
        If `out` cannot be written. All this is found out before anything runs.
    """
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}.")
    out = find_plot(out)
    X, y = load_glyph_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)
    teacher = ZeroShotTeacher().fit()
    accuracy = teacher.score(X_test, y_test)
    rounds = {"n_rounds": 6, "n_instances": 14, "seeds": seeds, "n_jobs": min(os.cpu_count(), 8)}
    strategies = {"UncertaintyHerding": UncertaintyHerding(), "PCoreSet": PCoreSet()}
    taught = make_pipeline(TeacherProba(teacher), DHOClassifier())
    results = pd.concat(
        simulate({name: model}, X, y, X_test=X_test, y_test=y_test, strategies=asked, **rounds)
        for name, model, asked in (
            ("no teacher", DHOClassifier(), {}),
            ("with teacher", taught, strategies),
        )
    )
    table = tabulate(results)
    print(f"Handwritten digits: {len(y)} in the pool, {len(y_test)} to test, {seeds} seeds.")
    print("Accuracy in percent on the test set, mean (standard deviation), by labels spent.\n")
    print(table.to_string())
    print(f"\nZero-shot teacher, no labels: {100 * accuracy:.1f}")
    display = LabelEfficiencyDisplay.from_results(
        results, baselines={"zero-shot teacher": accuracy}, direct_labels=True
    )
    display.figure_.savefig(out, dpi=120)
    print(f"Plot: {out}")
    return table


def find_plot(out):
    """Return the whole path of a plot, once it is sure that it can be written.

    Parameters
    ----------
    out : str or path

    Returns
    -------
    path : Path
        ".png" is added where it has no ending.
    """
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError as error:
        raise ImportError(
            f"The plot needs matplotlib: pip install skactivekd[plots] ({error})"
        ) from error

    path = Path(out).expanduser().resolve()
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file in it, such as demo.png")
    path = path if path.suffix else path.with_name(f"{path.name}.png")
    kinds = FigureCanvasBase.get_supported_filetypes()
    if path.suffix[1:].lower() not in kinds:
        raise ValueError(f"{path.name} ends in none of {', '.join(sorted(kinds))}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        with path.open("ab"):  # the only way to know
            pass
    except OSError as error:
        raise type(error)(error.errno, f"cannot be written: {error.strerror}", str(path)) from error
    if new:
        path.unlink()
    return path


def tabulate(results):
    """Lay out what `simulate` returned, one row per method."""
    percent = results.assign(score=100 * results["score"])
    groups = percent.groupby(["estimator", "strategy", "n_labels"], sort=False)["score"]
    cells = groups.agg(lambda scores: f"{scores.mean():.1f} ({scores.std(ddof=0):.1f})")
    return cells.unstack("n_labels")
