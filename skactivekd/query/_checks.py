"""Validation of what a strategy is given: clear errors, rows named."""

import numbers
import warnings

import numpy as np
from scipy.sparse import csr_array, issparse

from ..utils._matrix import as_matrix, blocks, refuse_rows


def check_same_width(first, first_name, second, second_name):
    """Raise ValueError if two matrices differ in their number of columns."""
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"{first_name} has {first.shape[1]} columns but {second_name} has {second.shape[1]}."
        )


def check_labeled(features, pool):
    """Return features of labeled rows, finite and as wide as the pool's, sparse if these are."""
    if features is None:
        return pool[:0]
    labeled = check_finite(features, "features_labeled")
    check_same_width(pool, "features_pool", labeled, "features_labeled")
    if issparse(pool) and not issparse(labeled):
        return csr_array(labeled.cpu() if hasattr(labeled, "cpu") else labeled)
    return labeled.toarray() if issparse(labeled) and not issparse(pool) else labeled


def check_finite(values, name):
    """Return a 2-D matrix all of whose values are finite; the error names the row."""
    matrix = as_matrix(values, name, sparse=True)
    if issparse(matrix):
        bad = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        bad = bad[~np.isfinite(matrix.data)]
        refuse_rows(slice(0, None), np.bincount(bad) > 0, name, "has a value that is not finite.")
        return matrix
    for rows, block in blocks(matrix):
        refuse_rows(rows, ~np.isfinite(block).all(axis=1), name, "has a value that is not finite.")
    return matrix


def check_n_instances(n_instances, n_pool, candidates=None):
    """Return the number of rows to pick: `n_instances`, or all there are with a warning."""
    if not isinstance(n_instances, numbers.Integral):
        raise TypeError(f"n_instances must be an integer, got {n_instances!r}.")
    if n_instances < 1:
        raise ValueError(f"n_instances must be at least 1, got {n_instances}.")
    if n_pool == 0:
        raise ValueError("The pool is empty: there is nothing left to select from.")
    most, holder = n_pool, "the pool holds"
    if candidates is not None:
        most, holder = len(candidates), "there are candidates"
    if n_instances > most:
        warnings.warn(
            f"n_instances={n_instances} is more than {holder}: all {most} are selected.",
            UserWarning,
            stacklevel=3,
        )
    return min(int(n_instances), most)
