"""The steps before the student: scikit-learn's by skops, and what is left of TeacherProba."""

from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from ..student import TeacherProba
from ._json_values import Unsaveable, describe

# Steps of this package that are settings alone, and run nothing when they are loaded.
_OWN = {"skactivekd.encoders._log_mel.LogMel"}


class AbsentTeacher(BaseEstimator):
    """Stand in for the teacher of a loaded pipeline, which predicts without one.

    Parameters
    ----------
    description : str
        Who taught.
    """

    def __init__(self, description):
        self.description = description

    def fit(self, X, y=None):
        """Ask for the teacher.

        Raises
        ------
        ValueError
            Always.
        """
        raise ValueError(
            f"This pipeline was loaded from files, and its teacher is not among them "
            f"({self.description}). Set one before fit: "
            f"pipeline.set_params(teacherproba__teacher=...)."
        )

    def predict_proba(self, X):
        """Ask for the teacher, as `fit` does."""
        self.fit(X)


def write_steps(steps, files):
    """Write the steps before the student.

    Parameters
    ----------
    steps : list of (name, transformer)
    files : dict of str to bytes
        Filled.

    Returns
    -------
    written : list of dict

    Raises
    ------
    Unsaveable
        If a step has no form but pickle; the message names it.
    """
    written = []
    for number, (name, step) in enumerate(steps):
        file = f"step_{number}.skops"
        entry = {"name": name}
        if step is None or isinstance(step, str):
            entry |= {"kind": "passthrough"}
        elif type(step) is TeacherProba:
            entry |= _write_teacher_step(step, name, file, files)
        else:
            files[file] = dump_step(step, f"the step {name!r}")
            entry |= {"kind": "skops", "file": file}
        written.append(entry)
    return written


def _write_teacher_step(step, name, file, files):
    absent = isinstance(step.teacher, AbsentTeacher)
    entry = {
        "kind": "teacher",
        "teacher": step.teacher.description if absent else describe_teacher(step.teacher),
        "n_features_in": getattr(step, "n_features_in_", None),
        "feature_names_in": None,
        "file": None,
    }
    if hasattr(step, "feature_names_in_"):
        entry["feature_names_in"] = [str(column) for column in step.feature_names_in_]
    if not isinstance(step.features_, str):
        files[file] = dump_step(step.features_, f"features of the step {name!r}")
        entry["file"] = file
    return entry


def read_steps(written, files):
    """Return the steps before the student, fitted.

    Returns
    -------
    steps : list of (name, transformer)
    """
    return [(entry["name"], _read_step(entry, files)) for entry in written]


def _read_step(entry, files):
    if entry["kind"] == "passthrough":
        return "passthrough"
    if entry["kind"] == "skops":
        return load_step(files[entry["file"]], entry["name"])
    if entry["kind"] != "teacher":
        raise ValueError(f"there is no step of the kind {entry['kind']!r}")
    features = "passthrough"
    if entry["file"] is not None:
        features = load_step(files[entry["file"]], entry["name"])
    teacher = None if entry["teacher"] is None else AbsentTeacher(entry["teacher"])
    step = TeacherProba(teacher, features)
    step.features_, step.teacher_ = features, teacher
    if entry["n_features_in"] is not None:
        step.n_features_in_ = entry["n_features_in"]
    if entry["feature_names_in"] is not None:
        import numpy as np

        step.feature_names_in_ = np.array(entry["feature_names_in"], dtype=object)
    return step


def describe_teacher(teacher):
    """Say who taught, in a line; None if nobody did."""
    return None if teacher is None else describe(teacher)


def dump_step(step, what):
    """Return a fitted scikit-learn estimator as skops writes it.

    Raises
    ------
    Unsaveable
        If there is anything in it that skops does not trust by default.
    """
    skops = import_skops()
    odd = sorted({_name(part) for part in _parts(step) if not _is_trusted(part)})
    if odd:
        raise Unsaveable(
            f"{what} is or holds {', '.join(odd)}, which is not scikit-learn's; without pickle "
            f"only scikit-learn's own steps can be saved. Do its work before the pipeline"
        )
    try:
        content = skops.dumps(step)
        untrusted = sorted(set(skops.get_untrusted_types(data=content)) - _OWN)
    except Exception as error:  # whatever an object of the user's raises
        raise Unsaveable(f"{what} cannot be saved by skops: {error}") from error
    if untrusted:
        raise Unsaveable(
            f"{what} holds {', '.join(untrusted)}, which skops does not trust by default, as it "
            f"could run code when it is loaded. Take a setting of scikit-learn's own in its place"
        )
    return content


def load_step(content, name):
    """Return an estimator that `dump_step` wrote."""
    skops = import_skops()
    found = set(skops.get_untrusted_types(data=content))
    if untrusted := sorted(found - _OWN):
        raise ValueError(f"the step {name!r} holds {', '.join(untrusted)}, which is not trusted")
    return skops.loads(content, trusted=sorted(found))


def import_skops():
    """Return skops.io, or say where it comes from."""
    try:
        import skops.io
    except ImportError as error:
        raise ImportError(
            "Steps of scikit-learn are saved by skops, which is not installed: "
            'pip install "skactivekd[save]".'
        ) from error
    return skops.io


def _parts(step):
    """Return an estimator and those that its parameters hold."""
    parts = [step]
    if hasattr(step, "get_params"):
        for value in step.get_params(deep=True).values():
            if hasattr(value, "get_params") and not isinstance(value, type):
                parts.append(value)
    if isinstance(step, Pipeline):
        parts += [part for _, inner in step.steps for part in _parts(inner)]
    return parts


def _is_trusted(part):
    if isinstance(part, str) or _name(part) in _OWN:
        return True
    return type(part).__module__.partition(".")[0] == "sklearn"


def _name(part):
    return f"{type(part).__module__}.{type(part).__qualname__}"
