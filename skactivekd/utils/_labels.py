"""What a label is, what marks rows without one, and how labels meet the classes."""

import numbers
from collections import Counter
from collections.abc import KeysView, Mapping, Set, ValuesView
from typing import NamedTuple

import numpy as np
from sklearn.utils.validation import column_or_1d

from ._params import refuse_mask

# What None, nan and -1 become where an array of strings is made of them.
_AS_TEXT = ("nan", "NaN", "None", "<NA>", "NaT", "-1")
_SHOWN = 10  # classes in an error


def is_missing(y, missing_label=-1):
    """Tell which entries of y are not labeled.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels; unlabeled rows carry `missing_label`.
    missing_label : int, float nan, pandas.NA, str or None, default=-1
        The marker. ``nan`` and ``pandas.NA`` are one: what is missing to pandas.

    Returns
    -------
    mask : ndarray of bool of shape (n_samples,)
        True where the row is not labeled.

    Examples
    --------
    >>> from skactivekd.utils._labels import is_missing
    >>> is_missing([0, -1, 2])
    array([False,  True, False])
    >>> is_missing(["cat", None], missing_label=None)
    array([False,  True])
    """
    y = as_labels(y)
    if missing_label is None:
        return _each(y, lambda value: value is None)
    if _is_nan(missing_label):
        return np.isnan(y) if y.dtype.kind == "f" else _each(y, _is_nan)
    if y.dtype.kind in "iufb":
        if isinstance(missing_label, str):
            return np.zeros(y.shape, dtype=bool)
        return y == missing_label
    return _each(y, lambda value: _same(value, missing_label))


def as_labels(y):
    """Return labels as an array, without making strings of None or numbers.

    Examples
    --------
    >>> from skactivekd.utils._labels import as_labels
    >>> as_labels(["cat", -1])
    array(['cat', -1], dtype=object)
    """
    if hasattr(y, "dtype") or hasattr(y, "__array__"):
        return np.asarray(y)
    y = list(y)
    kinds = {type(value) for value in y}
    return np.asarray(y, dtype=object if len(kinds) > 1 or type(None) in kinds else None)


def check_labels(y, missing_label=-1, *, name="y", classes=None, n_rows=None, any_class=False):
    """Return labels as a 1-D array and the mask of the labeled rows, or say what is wrong.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels; unlabeled rows carry `missing_label`. One column is taken with
        scikit-learn's warning.
    missing_label : int, float nan, pandas.NA, str or None, default=-1
        The marker.
    name : str, default="y"
        What errors call y.
    classes : array-like of shape (n_classes,), default=None
        The classes, where they are known: none of them is a stray marker.
    n_rows : int, default=None
        The length that y has to have.
    any_class : bool, default=False
        Whether 1 may be the only label beside the marker -1 although `classes`
        are not known.

    Returns
    -------
    y : ndarray of shape (n_samples,)
    labeled : ndarray of bool of shape (n_samples,)

    Raises
    ------
    ValueError
        If y has not one dimension or another length, is no target of a
        classification, or seems to mark rows by something else than
        `missing_label`.
    TypeError
        If `missing_label` or an entry of y is of a kind that no label has.

    Examples
    --------
    >>> from skactivekd.utils._labels import check_labels
    >>> check_labels(["cat", ""], missing_label="")[1]
    array([ True, False])
    """
    _check_marker(missing_label)
    y = _check_column(y, name, n_rows)
    labeled = ~is_missing(y, missing_label)
    declared = () if classes is None else set(as_labels(classes).tolist())
    _refuse_strays(y, labeled, missing_label, name, declared)
    known = plain(y[labeled])
    if known.dtype.kind == "f":
        _check_whole(known, name)
    if classes is None and not any_class and _is_minus_one(missing_label):
        _check_not_binary(known, labeled, name)
    return y, labeled


def encode_labels(y, classes, missing_label=-1, *, name="y", n_rows=None):
    """Turn labels into positions among the classes, -1 where a row is not labeled.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels; `missing_label` marks unlabeled rows.
    classes : array-like of shape (n_classes,)
        In the order of the positions. Labels meet them by value.
    missing_label : int, float nan, pandas.NA, str or None, default=-1
        The marker.
    name : str, default="y"
        What errors call y.
    n_rows : int, default=None
        The length that y has to have.

    Returns
    -------
    codes : ndarray of int64 of shape (n_samples,)

    Raises
    ------
    ValueError
        As for `check_labels`, or if a label is not among `classes`, or
        `missing_label` is.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.utils._labels import encode_labels
    >>> encode_labels(["b", "", "a"], np.array(["a", "b"]), missing_label="")
    array([ 1, -1,  0])
    """
    classes = as_labels(classes)
    y, labeled = check_labels(y, missing_label, name=name, classes=classes, n_rows=n_rows)
    found, inverse = np.unique(plain(y[labeled]), return_inverse=True)
    positions = find_positions(found, classes)
    if (positions < 0).any():
        _refuse_unknown(found, positions, inverse, labeled, classes, missing_label, name)
    codes = np.full(len(y), -1, dtype=np.int64)
    codes[labeled] = positions[inverse]
    return codes


def find_positions(labels, classes):
    """Find each label among classes by value; -1 where it is none of them.

    Examples
    --------
    >>> from skactivekd.utils._labels import find_positions
    >>> find_positions(["owl", "cat", 0], ["cat", "dog", "owl"])
    array([ 2,  0, -1])
    """
    position = {label: place for place, label in enumerate(as_labels(classes).tolist())}
    found = [position.get(label, -1) for label in as_labels(labels).tolist()]
    return np.array(found, dtype=np.int64)


def find_classes(y, labeled):
    """Return the sorted classes of the labeled rows of a checked y."""
    return np.unique(plain(y[labeled]))


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
    """Return classes in sorted order.

    Parameters
    ----------
    classes : sequence of labels, or mapping of label to what it is called
    missing_label : int, float nan, pandas.NA, str or None, default=-1
        The marker, which must not be among them.
    name : str, default="classes"
        What errors call them.

    Returns
    -------
    classes : Classes

    Raises
    ------
    TypeError
        If they are a string, a set or a generator, or not strings or numbers.
    ValueError
        If there is none, one repeats, or one is a marker of unlabeled rows.

    Examples
    --------
    >>> from skactivekd.utils._labels import check_classes
    >>> labels, called, given = check_classes({3: "cat", 1: "dog"})
    >>> labels, called, given
    (array([1, 3]), ['dog', 'cat'], array([1, 0]))
    """
    _check_marker(missing_label)
    mapping = isinstance(classes, Mapping)
    view = isinstance(classes, KeysView | ValuesView)
    if not (mapping or view) and (isinstance(classes, str | bytes) or not _is_list(classes)):
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
    _refuse_odd_values(labels, name)
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
    """Refuse a model that took unlabeled rows for a class of their own.

    Parameters
    ----------
    classes : array-like of shape (n_classes,) or None
        Its ``classes_``; None where it has none.
    missing_label : int, float nan, pandas.NA, str or None
        The marker.
    who : str, default="The estimator"
        Subject of the error.

    Raises
    ------
    ValueError
        If `missing_label` is among `classes`.
    """
    _check_marker(missing_label)
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
    """Say how names and numbers are brought together.

    Parameters
    ----------
    found, classes : sequence of labels
        The first of one kind, the second of the other.
    name : str, default="y"
        What holds the former.
    """
    found, classes = as_labels(found).tolist(), as_labels(classes).tolist()
    if isinstance(found[0], str):
        return (
            f"{name} holds strings such as {found[0]!r}, but the classes are numbers: "
            f"{_show(classes)}. Labels meet classes by value; bring both to one kind, say by "
            f"classes= that hold the strings."
        )
    return (
        f"{name} holds numbers such as {found[0]!r}, but the classes are names: {_show(classes)}. "
        "Labels meet classes by value, and numbers are not taken for positions. If the numbers "
        "are yours, say which name each stands for by a mapping: "
        f"classes={{0: {classes[0]!r}, 1: ...}} of the teacher, or of DHOClassifier where the "
        "teacher is fitted already. If scikit-learn made them of your names, as "
        "VotingClassifier, StackingClassifier, BaggingClassifier and "
        "cross_val_predict(method='predict_proba') do, encode y before: encoder = "
        "LabelEncoder().fit(y), y = encoder.transform(y), "
        "classes=dict(enumerate(encoder.classes_))."
    )


def of_two_kinds(labels, classes):
    """Tell whether one of two sequences holds strings alone, and the other none."""
    texts, others = (
        {isinstance(label, str) for label in as_labels(values).tolist()}
        for values in (labels, classes)
    )
    return len(texts) == len(others) == 1 and texts != others


def plain(labels):
    """Return labels of one kind as an array of a dtype that can be sorted."""
    return labels if labels.dtype.kind in "iufbU" else np.asarray(labels.tolist())


def _each(y, test):
    return np.fromiter((test(value) for value in y.ravel()), bool, y.size).reshape(y.shape)


def _is_nan(value):
    """Tell nan, NaT and pandas.NA, without pandas."""
    if isinstance(value, str | bytes) or value is None:
        return False
    try:
        return bool(value != value)
    except TypeError:  # pandas.NA compares to nothing
        return type(value).__name__ == "NAType"
    except ValueError:  # an array
        return False


def _same(value, marker):
    if isinstance(value, str) != isinstance(marker, str) or _is_nan(value):
        return False
    try:
        return bool(value == marker)
    except (TypeError, ValueError):
        return False


def _is_minus_one(marker):
    return isinstance(marker, numbers.Real) and marker == -1


def _is_list(values):
    """Tell what has an order and a length from sets, mappings, generators and scalars."""
    if isinstance(values, Set | Mapping):
        return False
    return hasattr(values, "__array__") or (hasattr(values, "__len__") and hasattr(values, "index"))


def _check_marker(missing_label):
    is_number = isinstance(missing_label, numbers.Real) and not isinstance(missing_label, bool)
    if not (missing_label is None or isinstance(missing_label, str) or is_number):
        if not _is_nan(missing_label):
            raise TypeError(
                f"missing_label={missing_label!r} must be a number, nan, pandas.NA, a string or "
                "None."
            )


def _check_column(y, name, n_rows):
    if y is None:
        raise ValueError(
            f"This requires {name} to be passed, but the target {name} is None. Where no row is "
            "labeled, pass missing_label for each."
        )
    if isinstance(y, str | bytes) or not (_is_list(y) or hasattr(y, "dtype")):
        raise TypeError(
            f"{name} must be an array or a list with a label for each row, got {type(y).__name__}."
        )
    refuse_mask(y, name)
    try:
        y = as_labels(y)
        y = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
    except ValueError:  # lists of unequal length
        raise ValueError(f"{name} must have one label for each row.") from None
    if y.ndim != 1:
        # The words of scikit-learn, with what to do.
        raise ValueError(
            f"y should be a 1d array, but {name} has shape {y.shape}: one label for each row. "
            "Columns of indicators become labels by their argmax."
        )
    if n_rows is not None and len(y) != n_rows:
        raise ValueError(f"X has {n_rows} rows but {name} has {len(y)} labels.")
    _refuse_odd_values(y, name)
    return y


def _refuse_odd_values(y, name):
    """Refuse what is neither a string nor a real number nor missing."""
    if y.dtype.kind in "iufbU":
        return
    for row, value in enumerate(y.tolist()):
        if isinstance(value, str | numbers.Real | np.bool_) or value is None or _is_nan(value):
            continue
        hint = "; decode it" if isinstance(value, bytes) else ""
        raise TypeError(
            f"{name} holds {value!r}, a {type(value).__name__}, in row {row}: labels are strings "
            f"or real numbers{hint}."
        )


def _refuse_strays(y, labeled, missing_label, name, declared):
    """Refuse labels that look like a marker other than the one declared."""
    stray = _find_stray(y, labeled, missing_label, declared)
    if stray is not None:
        row, found, fix = stray
        # Words that scikit-learn's checks ask for.
        start = f"Input {name} contains NaN: it" if found == "nan" else name
        raise ValueError(
            f"{start} holds {found} among its labels, first in row {row}, while "
            f"missing_label={missing_label!r}. If {found} marks unlabeled rows, did you mean "
            f"{fix}? Otherwise name all classes in classes=, or give the class another label."
        )
    if y.dtype.kind == "O" and len({isinstance(value, str) for value in y[labeled]}) == 2:
        raise ValueError(f"{name} mixes strings and numbers among its labels; use one kind.")


def _find_stray(y, labeled, missing_label, declared):
    """Return row, look and remedy of what seems to be a marker; None if nothing does."""
    rows = np.flatnonzero(labeled)
    known = y[rows]
    for marker, shown in ((None, "None"), (np.nan, "nan")):
        if known.dtype.kind in "fO" and (bad := is_missing(known, marker)).any():
            fix = "np.nan" if shown == "nan" else shown
            return rows[bad.argmax()], shown, f"missing_label={fix}"
    if known.dtype.kind in "OU":
        texts = {value: row for row, value in zip(rows[::-1], known[::-1].tolist(), strict=True)}
        texts = {value: row for value, row in texts.items() if value not in declared}
        own = None if isinstance(missing_label, str) else str(missing_label)
        # A list that mixes strings and numbers becomes an array of strings.
        for text in dict.fromkeys([own, "", *(() if len(rows) < len(y) else _AS_TEXT)]):
            if text in texts:
                fix = f"missing_label={text!r}"
                shown = f"the string {text!r}"
                return texts[text], shown, f"an object array, or {fix}" if text == own else fix
    if _is_minus_one(missing_label) or -1 in declared:
        return None
    signs = _each(known, lambda value: _same(value, -1)) if known.dtype.kind == "O" else known == -1
    if known.dtype.kind not in "ifO" or not signs.any():
        return None
    others = set(known[~signs].tolist())
    names = any(isinstance(label, str) for label in others)
    # -1 below 0, 1, 2 ... is a marker, if no other is there; -1 and 1 are two classes.
    if names or (len(rows) == len(y) and others != {1} and min(others, default=0) >= 0):
        return rows[signs.argmax()], "-1", "missing_label=-1"
    return None


def _check_whole(known, name):
    """Refuse targets of a regression."""
    if not np.isfinite(known).all():
        raise ValueError(
            f"Input {name} contains infinity or a value too large for {known.dtype!r}."
        )
    fractions = known[known != np.floor(known)]
    if len(fractions):
        raise ValueError(
            f"Unknown label type: {name} holds {fractions[0]!r}, but classes are whole numbers or "
            "strings."
        )


def _check_not_binary(known, labeled, name):
    if len(known) and not labeled.all() and known.dtype.kind in "iuf" and (known == 1).all():
        raise ValueError(
            f"{name} holds -1 and 1 alone. If these are two classes, map -1 to another label, as "
            f"by np.where({name} == -1, 0, {name}), or set another missing_label. If -1 marks "
            "unlabeled rows, one class is too few to learn from: label rows of others, or name "
            "all classes in classes= where there is such a parameter."
        )


def _refuse_unknown(found, positions, inverse, labeled, classes, missing_label, name):
    if of_two_kinds(found, classes):
        raise ValueError(explain_kinds(found, classes, name))
    row = int(np.flatnonzero(labeled)[(positions < 0)[inverse].argmax()])
    unknown = found[positions < 0].tolist()
    raise ValueError(
        f"{name} has the labels {_show(unknown)}, first in row {row}, which are not among the "
        f"classes {_show(classes.tolist())}. Name every class in classes=, and mark unlabeled rows "
        f"with missing_label={missing_label!r}."
    )


def _show(labels):
    shown = ", ".join(map(repr, labels[:_SHOWN]))
    return f"[{shown}, ... {len(labels)} in all]" if len(labels) > _SHOWN else f"[{shown}]"
