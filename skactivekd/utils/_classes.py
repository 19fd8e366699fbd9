"""What the classes are: declared, learned by a model, or called by other names."""

from collections import Counter
from collections.abc import KeysView, Mapping, ValuesView
from typing import NamedTuple

import numpy as np

from ._label_values import as_labels, is_list, plain, refuse_odd_values
from ._missing_label import check_marker, is_missing

_SHOWN = 10  # classes in an error


class Classes(NamedTuple):
    """Classes in sorted order.

    Attributes
    ----------
    labels : ndarray of shape (n_classes,)
    called : list of length n_classes
        The values of a mapping, or else the labels.
    given : ndarray of int of shape (n_classes,)
        The place of each in the order in which they were given.
    """

    labels: np.ndarray
    called: list
    given: np.ndarray


def check_classes(classes, missing_label=-1, *, name="classes"):
    """Return a sequence of labels, or a mapping of label to name, as `Classes` in sorted order.

    Refused are sets and generators, which have no order, kinds mixed, labels twice, and markers.
    """
    check_marker(missing_label)
    mapping = isinstance(classes, Mapping)
    view = isinstance(classes, KeysView | ValuesView)
    if not (mapping or view) and (isinstance(classes, str | bytes) or not is_list(classes)):
        raise TypeError(
            f"{name}={classes!r} must be a sequence of labels or a mapping of label to name; sets "
            "and generators have no order to rely on."
        )
    try:
        labels = as_labels(list(classes) if mapping or view else classes)
    except ValueError:  # lists of unequal length
        raise ValueError(f"{name} must have one label for each class.") from None
    if labels.ndim != 1:
        raise ValueError(f"{name} must have one dimension, got shape {labels.shape}.")
    if not len(labels):
        raise ValueError(f"{name} is empty.")
    refuse_odd_values(labels, name)
    if is_missing(labels, missing_label).any():
        raise ValueError(
            f"missing_label={missing_label!r} is one of the classes in {name}; choose another "
            "marker of unlabeled rows."
        )
    for marker, shown in ((None, "None"), (np.nan, "nan"), ("", "''")):
        if is_missing(labels, marker).any():
            raise ValueError(f"{name} holds {shown}, which is no label.")
    if len({isinstance(label, str) for label in labels.tolist()}) == 2:
        raise ValueError(f"{name} mixes strings and numbers; use one kind.")
    repeated = [label for label, count in Counter(labels.tolist()).items() if count > 1]
    if repeated:
        raise ValueError(f"{name} has {repeated[0]!r} more than once.")
    labels = plain(labels)
    given = np.argsort(labels, kind="stable")
    called = list(classes.values()) if mapping else labels.tolist()
    return Classes(labels[given], [called[place] for place in given], given)


def refuse_learned_marker(classes, missing_label, who="The estimator"):
    """Refuse a model that took unlabeled rows for a class of their own; `who` is the subject."""
    check_marker(missing_label)
    classes = _of_one_output(classes)
    if classes is None or not is_missing(classes, missing_label).any():
        return
    raise ValueError(
        f"{who} learned missing_label={missing_label!r}, the marker of unlabeled rows, as a class. "
        "Wrap it in LabeledOnly(estimator), which keeps unlabeled rows from it; one that was "
        "fitted on labeled rows goes into sklearn.frozen.FrozenEstimator(estimator). If "
        f"{missing_label!r} is a class, set another missing_label."
    )


def classes_of(model):
    """Return the ``classes_`` of a fitted model, or of the one that it holds; None without."""
    for holder in (model, getattr(model, "estimator", None)):
        classes = getattr(holder, "classes_", None)
        if classes is not None:
            return _of_one_output(classes)
    return None


def _of_one_output(classes):
    """Return classes as an array; None for those of several outputs, a list of arrays."""
    try:
        classes = None if classes is None else as_labels(classes)
    except ValueError:
        return None
    return None if classes is None or classes.ndim != 1 else classes


def explain_kinds(found, classes, name="y"):
    """Say how labels found in `name`, and classes of the other kind, are brought together."""
    found, classes = as_labels(found).tolist(), as_labels(classes).tolist()
    if isinstance(found[0], str):
        return (
            f"{name} holds strings such as {found[0]!r}, but the classes are numbers: "
            f"{listed(classes)}. Labels meet classes by value; bring both to one kind, say by "
            f"classes= that hold the strings."
        )
    return (
        f"{name} holds numbers such as {found[0]!r}, but the classes are names: {listed(classes)}. "
        "Labels meet classes by value, and numbers are not taken for positions. If the numbers "
        "are yours, say which name each stands for by a mapping: "
        f"classes={{0: {classes[0]!r}, 1: ...}} of the teacher, or of DHOClassifier where the "
        "teacher is fitted already. If scikit-learn made them of your names, as "
        "VotingClassifier, StackingClassifier, BaggingClassifier and "
        "cross_val_predict(method='predict_proba') do, encode y before: encoder = "
        "LabelEncoder().fit(y), y = encoder.transform(y), "
        "classes=dict(enumerate(encoder.classes_))."
    )


def listed(labels):
    shown = ", ".join(map(repr, labels[:_SHOWN]))
    return f"[{shown}, ... {len(labels)} in all]" if len(labels) > _SHOWN else f"[{shown}]"
