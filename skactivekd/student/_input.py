"""What X the student takes: numbers, images, and files read later."""

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.utils.validation import (
    validate_data,
)

from ..encoders._arrays_as_images import channel_axis, white_level
from ..encoders._inputs import refuse_single
from ..utils._check_params import (
    naming,
    refuse_mask,
)
from ..utils._matrix import as_ndarray
from ..utils._proba import column_names
from ..utils._row_identity import tensor_values
from ._image_files import ROW_SHAPE, Pictures, holds_pictures, holds_texts
from ._soft_labels import SoftLabeled


class TakesRows:
    """The part of `DHOClassifier` that takes in X."""

    def _take_in_new(self, X):
        """Return a first X, checked."""
        if holds_pictures(X):
            for name in ("n_features_in_", "feature_names_in_"):
                self.__dict__.pop(name, None)
            return Pictures(X, getattr(self.net, "on_error", "raise"))
        if holds_texts(X):
            raise ValueError(
                "X holds texts, which the student cannot take as numbers: make numbers of them, by "
                "TfidfVectorizer() in a pipeline say. (If they are to be paths: the first of them "
                "name no files.)"
            )
        return self._validate(X, reset=True)

    def _take_in(self, X):
        """Return a further X, checked."""
        if self._row_shape == ROW_SHAPE:
            return Pictures(X, self.net_.on_error)
        if holds_pictures(X):
            raise ValueError(
                "X holds pictures one by one, but DHOClassifier was fitted on an array with rows "
                f"of shape {self._row_shape}. Pass such an array, or fit on pictures."
            )
        return self._validate(X, reset=False)

    def _validate(self, X, reset):
        """Return X as an array of numbers or a CSR matrix."""
        refuse_mask(X, "X")
        refuse_single(X)
        if hasattr(X, "__next__"):  # Path.glob returns one
            raise TypeError(f"X is a {type(X).__name__}, which can be read once: pass list(X).")
        with naming("X"):
            X = tensor_values(X) if torch.is_tensor(X) else X
            X = validate_data(self, X, accept_sparse="csr", allow_nd=True, reset=reset)
            if X.dtype.kind not in "fiub":
                raise TypeError(f"X must hold real numbers, got dtype {X.dtype}.")
        _check_images(X)
        if issparse(X):
            return X.astype(np.float64) if X.dtype.itemsize > 8 else X
        return as_ndarray(X)

    def _rows(self, X):
        X = self._take_in(X.X if isinstance(X, SoftLabeled) else X)
        if isinstance(X, Pictures):
            return self.net_._show(X)
        if X.shape[1:] != self._row_shape:
            raise ValueError(
                f"X has rows of shape {X.shape[1:]}, but DHOClassifier was fitted on rows of shape "
                f"{self._row_shape}."
            )
        return X


def _check_images(X):
    """Refuse arrays of images that may mean two things, before anything is learned."""
    if len(X.shape) not in (3, 4):
        return
    try:
        channel_axis(X.shape)
        white_level(X.dtype)
    except ValueError as error:
        raise ValueError(f"X has images of {error}.") from None


def unpack(X, teacher_proba):
    """Split into X, probabilities, what their columns are called, and whether in a frame."""
    if not isinstance(X, SoftLabeled):
        names = column_names(teacher_proba, "teacher_proba")
        return X, teacher_proba, names, names is not None
    if teacher_proba is not None:
        raise ValueError(
            "X comes from TeacherProba and carries teacher probabilities already; "
            "do not pass teacher_proba as well."
        )
    return X.X, X.proba, X.classes, X.exact


def readable(X):
    """Return the rows that can be read, and which they are; None stands for all."""
    if not isinstance(X, Pictures) or X.on_error == "raise":
        return X, None
    good = X.without_bad()
    return X[good], good
