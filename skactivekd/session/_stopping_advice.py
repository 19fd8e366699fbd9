"""What labels have brought so far, what more of them will bring, and when to stop."""

import numpy as np

STEP = 50  # labels of which people ask what they are worth
_FIRST = (10, 20, 30)  # the curve is steep there
_POINTS = 8  # of a curve; each is a fit, made once
_CHANGED = 0.01  # a person would not label 50 more rows for a point of accuracy
_OF_ERRORS = 0.1  # where classes overlap predictions never settle, and most changes bring nothing
_WINDOWS = 2  # one window alone may be still by chance
_AUDITED = 10  # fewer rows say nothing of a slope


def turning_points(n):
    """Return the numbers of labels, up to n, at which a model is looked at again.

    Multiples of 50, twice as far apart as often as there would be too many; the last
    ones always.

    Examples
    --------
    >>> from skactivekd.session._stopping_advice import turning_points
    >>> turning_points(130)
    [10, 20, 30, 50, 100]
    >>> turning_points(1010)[-5:]
    [600, 800, 900, 950, 1000]
    """
    step = STEP
    while n // step > _POINTS:
        step *= 2
    recent = [n // STEP * STEP - back * STEP for back in range(_WINDOWS + 1)]
    points = {*_FIRST, *range(step, n + 1, step), *recent}
    return sorted(point for point in points if 0 < point <= n)


def changes(snapshots):
    """Return the shares of the pool whose class changed over the last windows of 50 labels.

    Parameters
    ----------
    snapshots : dict of int to ndarray of int
        Predicted classes of the pool by number of labels.

    Returns
    -------
    changes : list of float
        The latest first; shorter than two where there are too few labels.
    """
    last = max((n for n in snapshots if n % STEP == 0), default=0)
    found = []
    for back in range(_WINDOWS):
        after, before = last - back * STEP, last - (back + 1) * STEP
        if after not in snapshots or before not in snapshots:
            break
        found.append(float(np.mean(snapshots[after] != snapshots[before])))
    return found


def worth(curve, changed):
    """Estimate what the next 50 labels will bring, in accuracy.

    The error is taken for a power of the number of labels, fitted to the curve; more than
    the last 50 labels changed they will not bring.

    Parameters
    ----------
    curve : list of dict
        With "labels", "accuracy" and "n".
    changed : list of float
        Of `changes`.

    Returns
    -------
    gain : float or None
        None where there is too little to tell.
    """
    if len(curve) < 3 or curve[-1]["n"] < _AUDITED:
        return None
    labels = np.array([point["labels"] for point in curve], dtype=float)
    error = np.array([1 - point["accuracy"] for point in curve])
    error = np.maximum(error, 0.5 / curve[-1]["n"])  # no error among n rows is half a one
    slope = min(0.0, np.polyfit(np.log(labels), np.log(error), 1)[0])
    gain = error[-1] * (1 - (1 + STEP / labels[-1]) ** slope)
    return float(min([gain, *changed[:1]]))


def bound(accuracy):
    """Return the share of predictions that may change over a window when it is time to stop.

    Parameters
    ----------
    accuracy : dict or None
        With "accuracy" and "n".

    Returns
    -------
    bound : float
        1 %, or a tenth of the errors where these are more.

    Examples
    --------
    >>> from skactivekd.session._stopping_advice import bound
    >>> bound(None), round(bound({"accuracy": 0.7, "n": 20}), 3)
    (0.01, 0.03)
    """
    if accuracy is None or accuracy["n"] < _AUDITED:
        return _CHANGED
    return max(_CHANGED, _OF_ERRORS * (1 - accuracy["accuracy"]))


def advise(changed, limit, gain, n_labels, n_left):
    """Say in a sentence whether to go on.

    Parameters
    ----------
    changed : list of float
        Of `changes`.
    limit : float
        Of `bound`.
    gain : float or None
        Of `worth`.
    n_labels : int
        Labels that count: neither of an audit nor confirmed.
    n_left : int
        Items that can still be asked.

    Returns
    -------
    stop : bool
        True if the last 50 labels, and the 50 before them, each changed the class
        of `limit` of the pool at most, so that neither can have brought more
        accuracy than that; or if nothing is left to ask.
    text : str
    """
    if not n_left:
        return True, "Every item has been asked."
    if len(changed) < _WINDOWS:
        return False, (
            f"Too early to tell: that takes {(_WINDOWS + 1) * STEP} labels beside the audit's and "
            f"the confirmed ones; there are {n_labels}."
        )
    shares = " and ".join(f"{share:.1%}" for share in changed)
    if max(changed) <= limit:
        return True, (
            f"More labels bring little now: the last {STEP} labels and the {STEP} before changed "
            f"the predicted class of {shares} of the pool, and cannot have brought more."
        )
    text = (
        f"Go on: each of the last {STEP} labels still changes predictions ({shares} of the pool)."
    )
    if gain is not None:
        text += f" Another {STEP} are worth about {100 * gain:.1f} points of accuracy."
    return False, text
