"""The generators strategies draw from."""

import numbers
from contextlib import contextmanager

import numpy as np

from .._torch import draw_seed, resolve_device, seeded


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
    >>> from skactivekd.query._draw import generator
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
