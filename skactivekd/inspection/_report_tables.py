"""The parts of a teacher report: chance, classes, the order of the columns, and the text."""

import numpy as np

from ..metrics._reliability import accuracy_interval

_WORST = 5  # classes and notes stay on one screen


def chance_level(predicted, y, n_classes):
    """Accuracy of guesses that predict each class as often, but not for the same rows.

    Parameters
    ----------
    predicted, y : ndarray of int of shape (n_labeled,)
        Columns.
    n_classes : int

    Returns
    -------
    chance : float
        1 / n_classes without rows. A teacher that always says the same has
        no better accuracy than this.

    References
    ----------
    .. [1] J. Cohen. "A Coefficient of Agreement for Nominal Scales".
       Educational and Psychological Measurement 20, 1960.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.inspection._report_tables import chance_level
    >>> chance_level(np.array([0, 0, 0, 0]), np.array([0, 0, 0, 1]), 2)
    0.75
    """
    if not len(y):
        return 1 / n_classes
    shares = [np.bincount(labels, minlength=n_classes) / len(y) for labels in (predicted, y)]
    return float(np.dot(*shares))


def class_table(proba, columns, classes, confidence_level=0.95):
    """Accuracy, confidence and most frequent confusion of each class.

    Parameters
    ----------
    proba : ndarray of shape (n_samples, n_classes)
    columns : ndarray of int of shape (n_samples,)
        -1 where a row is not labeled.
    classes : ndarray of shape (n_classes,)
    confidence_level : float, default=0.95

    Returns
    -------
    table : pandas.DataFrame
        Indexed by class, in the order of the columns.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.inspection._report_tables import class_table
    >>> proba = np.array([[0.9, 0.1], [0.8, 0.2]])
    >>> class_table(proba, np.array([0, 1]), np.array(["cat", "dog"]))["confused_with"].tolist()
    [None, 'cat']
    """
    import pandas as pd

    predicted, labeled, n_classes = proba.argmax(axis=1), columns >= 0, len(classes)
    own, labels = columns[labeled], classes.tolist()
    n = np.bincount(own, minlength=n_classes)
    right = np.bincount(own[predicted[labeled] == own], minlength=n_classes)
    low, high = accuracy_interval(right, n, confidence_level)
    true, guess, counts = confusions(predicted, columns, n_classes)
    # The most frequent wrong guess of each class, the first of equals.
    order = np.lexsort((guess, -counts, true))
    order = order[true[order] != guess[order]]
    confused, first = np.unique(true[order], return_index=True)
    worst, n_confused = np.full(n_classes, None), np.zeros(n_classes, dtype=int)
    worst[confused] = [labels[column] for column in guess[order][first]]
    n_confused[confused] = counts[order][first]
    with np.errstate(invalid="ignore"):
        figures = {
            "n": n,
            "accuracy": right / n,
            "low": low,
            "high": high,
            "confidence": np.bincount(own, proba[labeled].max(axis=1), n_classes) / n,
            "confused_with": None,
            "n_confused": n_confused,
            "predicted": np.bincount(predicted, minlength=n_classes) / len(proba),
        }
    index = pd.Index(labels, name="class")
    # Not by pandas' choice, which would make nan of None.
    figures["confused_with"] = pd.Series(worst, index=index, dtype=object)
    return pd.DataFrame(figures, index=index)


def confusions(predicted, columns, n_classes):
    """Count the labeled rows by true class and prediction: arrays of the pairs there are."""
    labeled = columns >= 0
    pairs = columns[labeled] * n_classes + predicted[labeled]
    pairs, counts = np.unique(pairs, return_counts=True)
    return *np.divmod(pairs, n_classes), counts


def order_hint(proba, columns, classes):
    """Say so if another order of the classes would be right much more often.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.inspection._report_tables import order_hint
    >>> proba, columns = np.eye(3)[[0, 1, 2] * 3], np.array([1, 2, 0] * 3)
    >>> order_hint(proba, columns, np.array(["a", "b", "c"]))
    ". Another order of the classes would be right in 100.0%: ['b', 'c', 'a']"
    """
    from scipy.optimize import linear_sum_assignment

    n, labels = int((columns >= 0).sum()), classes.tolist()
    if n < 2 * len(labels):
        return ""
    true, guess, found = confusions(proba.argmax(axis=1), columns, len(labels))
    counts = np.zeros((len(labels), len(labels)), dtype=np.int32)
    counts[true, guess] = found
    rows, matched = linear_sum_assignment(counts, maximize=True)
    _, high_now = accuracy_interval(np.trace(counts), n)
    low_then, _ = accuracy_interval(counts[rows, matched].sum(), n)
    if low_then <= high_now:
        return ""
    order = [labels[row] for row in np.argsort(matched)]
    shown = f"{order[:10]}{' ...' if len(order) > 10 else ''}"
    share = counts[rows, matched].sum() / n
    return f". Another order of the classes would be right in {share:.1%}: {shown}"


def report_notes(report, proba, columns):
    """List what to look at in a report, the most alarming first."""
    notes = []
    if not report.n_labeled:
        notes.append("no row is labeled: accuracy and calibration cannot be told")
    if report.near_chance:
        low, high = report.accuracy_interval
        notes.append(
            f"accuracy is {report.accuracy:.1%} on {report.n_labeled} labeled rows (interval "
            f"{low:.1%} to {high:.1%}), no better than chance as far as they can tell "
            f"({report.chance:.1%}): check that the order of the classes is that of the columns, "
            "the names of the classes, the prompts and the preparation of the images, or "
            "label more rows" + order_hint(proba, columns, report.classes)
        )
    never = report.classes[np.bincount(proba.argmax(axis=1), minlength=len(report.classes)) == 0]
    if len(never):
        more = ", ..." if len(never) > 10 else ""
        notes.append(f"never predicted: {', '.join(map(str, never[:10]))}{more}")
    if len(report.skipped):
        notes.append(
            f"{len(report.skipped)} rows were skipped by the {report.subject}, the first "
            f"{report.skipped[0]}"
        )
    return notes


def report_text(report):
    """Write a report for the terminal."""
    found, (low, high) = report.clusters, report.accuracy_interval
    percent = f"{report.confidence_level:.0%}"
    title = f"{report.subject.capitalize()} report"
    lines = [f"{title}: {report.n_samples} rows, {report.n_labeled} of them labeled"]
    if report.n_labeled:
        lines += [
            f"accuracy     {report.accuracy:.1%} ({percent} interval {low:.1%} to {high:.1%}), "
            f"chance {report.chance:.1%}",
            f"calibration  mean confidence {report.mean_confidence:.1%}, expected calibration "
            f"error {report.expected_calibration_error:.3f}, log loss {report.log_loss:.3f}",
            f"             best temperature {report.temperature:.2f}: "
            f"{_verdict(report.temperature)}",
        ]
    lines += [
        f"clusters     {len(found.table)}, mean radius {found.mean_radius:.3f}, shuffled "
        f"{found.control_radius:.3f}, ratio {report.radius_ratio:.2f}",
        f"coverage     labels are in {found.coverage:.1%} of the clusters (at random "
        f"{found.expected_coverage:.1%}), which hold {found.row_coverage:.1%} of the rows",
    ]
    if report.n_labeled:
        known = report.per_class[report.per_class["n"] > 0]
        worst = known.sort_values(["accuracy", "n"], ascending=[True, False]).head(_WORST)
        lines += ["", "worst classes", worst.to_string(float_format="{:.2f}".format)]
    return "\n".join(lines + [f"note: {note}" for note in report.notes])


def _verdict(temperature):
    if temperature > 1.1:
        return "overconfident"
    return "timid" if temperature < 0.9 else "about right"
