"""Rows of X as the network takes them: float32, channels first, pixels in [0, 1]."""

import numpy as np
import torch
from scipy import sparse

from ..encoders._arrays_as_images import channel_axis, integer_problem, white_level
from ._image_files import Pictures, as_floats
from ._reading_workers import check_batch


def as_input(rows, indices=None):
    """Turn rows of X into a float32 tensor (n, n_features) or (n, C, H, W), pixels in [0, 1].

    `indices`, their places in X, are for messages: of numbers that float32 or an image cannot hold.
    """
    if isinstance(rows, Pictures):
        pixels = rows.read(np.arange(len(rows)))
        check_batch(pixels)
        return as_floats(pixels)
    rows = rows.toarray() if sparse.issparse(rows) else np.asarray(rows)
    scale = 1
    if rows.ndim in (3, 4):
        scale = white_level(rows.dtype)
        _check_integers(rows, indices)
        axis = channel_axis(rows.shape)
        rows = rows[:, None] if axis is None else np.moveaxis(rows, axis, 1)
    try:
        # The processor notes an overflow by itself, which saves a look at each number.
        with np.errstate(over="raise"):
            # A copy: a view of the caller's memory may be read-only.
            return torch.from_numpy(np.divide(rows, scale, dtype=np.float32, casting="unsafe"))
    except FloatingPointError:
        raise ValueError(_overflow(rows, indices)) from None


def _overflow(rows, indices):
    """Say which row has a number that float32 does not hold."""
    rows = rows.reshape(len(rows), -1)
    with np.errstate(over="ignore"):
        bad = np.isfinite(rows) & ~np.isfinite(rows.astype(np.float32))
    place = int(np.flatnonzero(bad.any(axis=1))[0])
    row = place if indices is None else int(indices[place])
    return (
        f"Row {row} of X holds {rows[place][bad[place]][0]:.3g}, which is too large for float32, "
        "the type in which the student computes. Scale X, with StandardScaler say, or mend the row."
    )


def _check_integers(rows, indices):
    """Refuse integers that no picture holds, as they cannot be brought to [0, 1]."""
    if integer_problem(rows) is None:
        return
    place, problem = next(found for found in enumerate(map(integer_problem, rows)) if found[1])
    row = place if indices is None else int(indices[place])
    raise ValueError(f"Row {row} of X holds {problem}.")
