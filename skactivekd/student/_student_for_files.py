"""A student that learned from an array of pictures, for files."""

import copy

from ._image_files import ROW_SHAPE


def for_files(classifier):
    """Let a student that was fitted on an array of pictures take files in its place.

    Files are then brought to the size of that array as in any student of files.
    """
    shape = tuple(classifier._row_shape)
    if len(shape) != 3 or shape[-1] != 3:
        raise ValueError(f"The student was fitted on rows of shape {shape}, not on pictures.")
    twin = copy.copy(classifier)
    twin._row_shape = ROW_SHAPE
    for name in ("n_features_in_", "feature_names_in_"):
        twin.__dict__.pop(name, None)
    return twin
