"""The rounds of one active learner on data whose labels are known."""

import numpy as np


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
        Rows labelled at the start.
    n_rounds, n_instances : int
        Models to train, and labels bought before each but the first.
    missing_label : int, float nan, str or None, default=-1
        The marker of unlabelled rows.

    Yields
    ------
    estimator : estimator
        Fitted on the labels so far.
    labeled : ndarray of int
        The labelled rows, in the order they were bought.
    """
    turns = play_on(estimator, strategy, X, y, [start], n_rounds, n_instances, missing_label)
    for fitted, labeled, _ in turns:
        yield fitted, labeled


def play_on(estimator, strategy, X, y, bought, n_rounds, n_instances, missing_label=-1):
    """Run the rounds that an interrupted active learner still lacks.

    Parameters
    ----------
    estimator, strategy, X, y, n_rounds, n_instances, missing_label
        As for `play`.
    bought : list of ndarray of int
        Rows labelled at the start, and those of each query so far.

    Yields
    ------
    estimator : estimator
        Fitted on the labels so far.
    labeled : ndarray of int
        The labelled rows, in the order they were bought.
    picks : ndarray of int
        What it queries for the next round, nothing in the last.
    """
    labeled = np.concatenate(bought).astype(np.int64)
    for number in range(len(bought), n_rounds + 1):
        known = hide_labels(y, labeled, missing_label)
        fitted, picks = estimator.fit(X, known), np.zeros(0, dtype=np.int64)
        if number < n_rounds:
            picks = strategy.query(X, known, estimator, n_instances=n_instances)
        yield fitted, labeled, picks
        labeled = np.concatenate([labeled, picks])


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
    >>> from skactivekd.simulation import hide_labels
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
    """Draw the rows that are labelled before the first query.

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
