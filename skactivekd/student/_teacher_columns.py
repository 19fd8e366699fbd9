"""Whose columns the teacher's probabilities are."""

import numpy as np

from ..utils._classes import explain_kinds
from ..utils._label_values import as_labels, of_two_kinds
from ..utils._labels import find_positions
from ..utils._proba import find_columns


def resolve_classes(seen, declared=None, teacher_classes=None, n_teacher=None, exact=False):
    """Find the classes, sorted, and the teacher's column of each: -1 for one it does not know.

    Classes are those declared, else the teacher's, else those seen in y. With `exact` the teacher's
    columns have to be just the classes, as those of a data frame.
    """
    if declared is not None:
        found = declared.labels
    elif teacher_classes is not None:
        found = np.unique(as_labels(teacher_classes))
    else:
        found = seen if len(seen) or n_teacher is None else np.arange(n_teacher)
    if len(found) == 0:
        raise ValueError(
            "No row of y is labeled and there is no teacher: there is nothing to learn from."
        )
    if n_teacher is None:
        return found, None
    if teacher_classes is None:
        return found, _columns_as_given(found, declared, n_teacher)
    return found, _columns_by_name(found, declared, as_labels(teacher_classes), exact)


def _columns_as_given(found, declared, n_teacher):
    """Columns of a plain array follow the classes as they were declared."""
    if len(found) != n_teacher:
        where = " in y," if declared is None else ""
        raise ValueError(
            f"teacher_proba has {n_teacher} columns for the {len(found)} classes"
            f"{where} {found.tolist()[:10]}. Name every class, in the order of the columns, in "
            "classes=."
        )
    return np.arange(n_teacher) if declared is None else declared.given


def _columns_by_name(found, declared, names, exact):
    called = found if declared is None else declared.called
    if (find_positions(names, called) < 0).any():
        called = found  # the teacher knows the labels, not what a mapping calls them
    if exact:
        return find_columns(names, called, "teacher_proba")
    extra = names[find_positions(names, called) < 0].tolist()
    if extra and of_two_kinds(found, names):
        raise ValueError(explain_kinds(found, names, "classes"))
    if extra:
        raise ValueError(
            f"The teacher has the classes {extra}, which are not among classes={found.tolist()}."
        )
    return find_positions(called, names)
