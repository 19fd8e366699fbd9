"""The rounds of one active learner on data whose labels are known."""

import numpy as np

from .utils._classes import classes_of, refuse_learned_marker


def play(estimator, strategy, X, y, start, n_rounds, n_instances, missing_label=-1):
    """Run the rounds of one active learner.

    Parameters
    ----------
    estimator : estimator
        Refitted in each round.
    strategy : query strategy
        Asked between the rounds.
    X : array-like of shape (n_samples, ...)
        The pool.
    y : ndarray of shape (n_samples,)
        All its labels.
    start : ndarray of int
        Rows labeled at the start.
    n_rounds, n_instances : int
        Models to train, and labels bought before each but the first.
    missing_label : int, float nan, str or None, default=-1
        The marker of unlabeled rows.

    Yields
    ------
    estimator : estimator
        Fitted on the labels so far.
    labeled : ndarray of int
        The labeled rows, in the order they were bought.
    """
    turns = play_on(estimator, strategy, X, y, [start], n_rounds, n_instances, missing_label)
    for fitted, labeled, _ in turns:
        yield fitted, labeled


def play_on(estimator, strategy, X, y, bought, n_rounds, n_instances, missing_label=-1, name=None):
    """Run the rounds that an interrupted active learner still lacks.

    Parameters
    ----------
    estimator, strategy, X, y, n_rounds, n_instances, missing_label
        As for `play`.
    bought : list of ndarray of int
        Rows labeled at the start, and those of each query so far.
    name : str, default=None
        What errors call the strategy; None is its class.

    Yields
    ------
    estimator : estimator
        Fitted on the labels so far.
    labeled : ndarray of int
        The labeled rows, in the order they were bought.
    picks : ndarray of int
        What it queries for the next round, nothing in the last.

    Raises
    ------
    ValueError
        If the strategy does not return `n_instances` different unlabeled rows,
        or the estimator learned the marker as a class.
    """
    labeled = np.concatenate(bought).astype(np.int64)
    for number in range(len(bought), n_rounds + 1):
        known = hide_labels(y, labeled, missing_label)
        fitted, picks = estimator.fit(X, known), np.zeros(0, dtype=np.int64)
        refuse_learned_marker(classes_of(fitted), missing_label, type(fitted).__name__)
        if number < n_rounds:
            picks = strategy.query(X, known, estimator, n_instances=n_instances)
            picks = _check_picks(picks, labeled, len(y), n_instances, strategy, name)
        yield fitted, labeled, picks
        labeled = np.concatenate([labeled, picks])


def _check_picks(picks, labeled, n_samples, n_instances, strategy, name):
    """Return the rows that a strategy chose as an array of int64, if they can be bought."""
    n_wanted = min(n_instances, n_samples - len(labeled))

    def refuse(fault):
        kind = type(strategy).__name__
        called = kind if name is None else f"{name!r} ({kind})"
        raise ValueError(
            f"Strategy {called} returned {fault}. Its query(X, y, estimator, n_instances) should "
            f"return a one-dimensional array of {n_wanted} different row numbers of X (integers "
            f"from 0 to {n_samples - 1}) that y marks as unlabeled; it was called with "
            f"n_instances={n_instances} while {len(labeled)} of {n_samples} rows were labeled."
        )

    if picks is None:
        refuse("None")
    if isinstance(picks, tuple):
        refuse(f"a tuple of {len(picks)}")
    try:
        rows = np.asarray(picks)
    except (TypeError, ValueError):  # lists of unequal length, a tensor of another device
        refuse(f"a {type(picks).__name__} that is no array")
    if rows.ndim != 1:
        shape = f" of shape {rows.shape}" if rows.ndim else f", {picks!r:.60}"
        refuse(f"a {type(picks).__name__}{shape}")
    if len(rows) == 0:
        refuse("no row")
    if rows.dtype.kind == "b":
        refuse("a boolean mask; np.flatnonzero turns it into row numbers")
    if rows.dtype.kind not in "iu":
        refuse(f"values of dtype {rows.dtype}, not integers")
    outside = (rows < 0) | (rows >= n_samples)
    if outside.any():
        refuse(f"row {rows[outside][0]}, which X does not have")
    rows = rows.astype(np.int64)
    again = np.isin(rows, labeled)
    if again.any():
        refuse(f"row {rows[again][0]}, which is labeled already")
    unique, counts = np.unique(rows, return_counts=True)
    if len(unique) < len(rows):
        refuse(f"row {unique[counts > 1][0]} more than once")
    if len(rows) != n_wanted:
        refuse(f"{len(rows)} rows")
    return rows


def check_bought(rounds, start, n_samples, n_instances):
    """Tell what is wrong with rounds that were read from a file.

    Parameters
    ----------
    rounds : list of Round
        Of one run, from the first.
    start : ndarray of int
        Rows labeled at the start.
    n_samples, n_instances : int
        Rows of the pool, and labels bought by a query.

    Returns
    -------
    fault : (int, str) or None
        The round, and what is wrong with it.
    """
    labeled = set(start.tolist())
    for number, (n_labels, _, queried) in enumerate(rounds):
        if n_labels != len(labeled):
            return number, f"n_labels is {n_labels}, but {len(labeled)} rows were labeled"
        rows = queried.tolist()
        if not rows:
            continue
        if len(rows) != n_instances:
            return number, f"queried holds {len(rows)} rows in place of n_instances={n_instances}"
        for row in rows:
            if not 0 <= row < n_samples:
                return number, f"queried holds row {row}, but X has {n_samples} rows"
            if row in labeled:
                return number, f"queried holds row {row}, which was labeled already"
            labeled.add(row)
    return None


def hide_labels(y, labeled, missing_label=-1):
    """Return labels of which only some rows are known.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        All labels.
    labeled : array-like of int
        The rows to show.
    missing_label : int, float nan, str or None, default=-1
        What the others carry.

    Returns
    -------
    known : ndarray of shape (n_samples,)
        Of dtype object where y's own cannot hold `missing_label`.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd._played_rounds import hide_labels
    >>> hide_labels(np.array([3, 1, 2]), [2])
    array([-1, -1,  2])
    >>> hide_labels(np.array(["a", "b"]), [0], missing_label=None)
    array(['a', None], dtype=object)
    """
    numeric = y.dtype.kind in "iuf" and isinstance(missing_label, int | float)
    dtype = np.result_type(y.dtype, np.min_scalar_type(missing_label)) if numeric else object
    known = np.full(len(y), missing_label, dtype=dtype)
    known[labeled] = y[labeled]
    return known


def initial_rows(y, n_initial=None, seed=0):
    """Draw the rows that are labeled before the first query.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        All labels.
    n_initial : int, default=None
        Number of rows; None draws one of each class.
    seed : int, default=0
        Governs the draw.

    Returns
    -------
    rows : ndarray of int
    """
    rng = np.random.RandomState(seed)
    if n_initial is not None:
        return rng.permutation(len(y))[:n_initial]
    return np.array([rng.choice(np.flatnonzero(y == label)) for label in np.unique(y)])
