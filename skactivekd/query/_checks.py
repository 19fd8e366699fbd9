"""Validation of what a strategy is given: clear errors, rows named."""

import numbers
import warnings

import numpy as np

from ..utils._matrix import as_matrix, blocks, refuse_rows


def check_same_width(first, first_name, second, second_name):
    """Raise ValueError if two matrices differ in their number of columns."""
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"{first_name} has {first.shape[1]} columns but {second_name} has {second.shape[1]}."
        )


def check_finite(values, name):
    """Return a 2-D matrix all of whose values are finite; the error names the row."""
    matrix = as_matrix(values, name)
    for rows, block in blocks(matrix):
        refuse_rows(rows, ~np.isfinite(block).all(axis=1), name, "has a value that is not finite.")
    return matrix


def check_n_instances(n_instances, n_pool):
    """Return the number of rows to pick: `n_instances`, or the whole pool with a warning."""
    if not isinstance(n_instances, numbers.Integral):
        raise TypeError(f"n_instances must be an integer, got {n_instances!r}.")
    if n_instances < 1:
        raise ValueError(f"n_instances must be at least 1, got {n_instances}.")
    if n_pool == 0:
        raise ValueError("The pool is empty: there is nothing left to select from.")
    if n_instances > n_pool:
        warnings.warn(
            f"n_instances={n_instances} is more than the pool holds: all {n_pool} are selected.",
            UserWarning,
            stacklevel=3,
        )
    return min(int(n_instances), n_pool)
