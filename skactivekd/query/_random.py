"""The random baseline, and the generators that strategies draw from."""

import numbers
from contextlib import contextmanager

import numpy as np

from .._devices_and_seeds import draw_seed, resolve_device, seeded
from ._base import QueryStrategy


class Random(QueryStrategy):
    """Take samples at random: the baseline every strategy has to beat.

    .. versionadded:: 0.1

    Parameters
    ----------
    random_state : None, int or numpy.random.RandomState, default=None
        With an int, picks depend on it and on the number of labeled samples:
        the same call returns the same picks, the next round others. None and a
        RandomState draw anew at each call; None never touches numpy's global
        generator.
    missing_label : int, float nan, str or None, default=-1
        The marker of unlabeled rows.

    See Also
    --------
    UncertaintyHerding : The strategy to compare with it first.

    Examples
    --------
    >>> from skactivekd.query import Random
    >>> indices = Random(random_state=0).select([[0.5, 0.5]] * 100, n_instances=3)
    >>> len(set(indices.tolist()))
    3
    """

    def __init__(self, *, random_state=None, missing_label=-1):
        self.random_state = random_state
        self.missing_label = missing_label

    def _pick(self, views, n_instances):
        return generator(self.random_state, views.n_labeled).permutation(views.n_pool)[:n_instances]


def generator(random_state, n_labeled=0):
    """Return a generator that repeats within a round and differs between rounds.

    Parameters
    ----------
    random_state : None, int or numpy.random.RandomState
        With an int, draws depend on it and on `n_labeled` alone. None and a
        RandomState give another generator at each call; None never touches
        numpy's global generator.
    n_labeled : int, default=0
        Labeled samples so far.

    Returns
    -------
    rng : numpy.random.Generator

    Examples
    --------
    >>> from skactivekd.query._random import generator
    >>> int(generator(3, 10).integers(100)) == int(generator(3, 10).integers(100))
    True
    """
    if isinstance(random_state, numbers.Integral):
        if random_state < 0:
            raise ValueError(f"random_state must be at least 0, got {random_state}.")
        return np.random.default_rng([int(random_state), n_labeled])
    return np.random.default_rng(draw_seed(random_state))


@contextmanager
def own_generators(seed):
    """Seed numpy's and torch's global generators inside a block, and put them back afterwards."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        with seeded(seed, resolve_device()):
            yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
