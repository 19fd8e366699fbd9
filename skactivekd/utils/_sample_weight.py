"""What weights of rows are."""

import numpy as np

from ._check_params import is_number, naming, refuse_mask

# Weights whose sums are finite, and which single precision tells from zero.
_LEAST, _MOST = 1e-30, 1e30


def check_weights(weight, n_rows, name="sample_weight", *, all_zero=False):
    """Return weights of rows as an array: finite, zero or more; None stays None.

    A number is the weight of each row. That none weighs anything is refused unless it may be so.
    """
    if weight is None:
        return None
    refuse_mask(weight, name)
    with naming(name):
        weight = np.asarray(weight)
        weight = np.full(n_rows, weight) if is_number(weight[()]) else weight
        if weight.dtype.kind not in "biufO" or _holds_texts(weight):
            kind = "texts" if weight.dtype.kind in "SUTO" else f"the type {weight.dtype}"
            raise TypeError(f"{name} must hold real numbers, got {kind}.")
        if weight.dtype not in (np.float32, np.float64):
            weight = weight.astype(np.float64)
    if weight.shape != (n_rows,):
        raise ValueError(
            f"{name} must have shape ({n_rows},), a number for each row of X, but has the shape "
            f"{weight.shape}."
        )
    with np.errstate(over="ignore"):
        bad = ~np.isfinite(weight) | (weight < 0) | (weight > _MOST)
        bad |= (weight > 0) & (weight < _LEAST)
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"{name} must hold finite numbers, zero or from 1e-30 to 1e30, but that of row "
            f"{row} is {weight[row]}."
        )
    if n_rows and not (all_zero or weight.any()):
        # The first words are those that scikit-learn's checks ask for.
        raise ValueError(
            f"Sample weights must contain at least one non-zero number, but {name} is zero for "
            "every row."
        )
    return weight


def _holds_texts(values):
    return values.dtype == object and any(isinstance(v, str | bytes) for v in values.ravel())
