"""X together with the teacher's probabilities, on the way to the student."""

import numpy as np
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples


class SoftLabeled:
    """Rows of X and what the teacher says of each.

    `TeacherProba` makes it in `fit_transform`; `DHOClassifier.fit` takes it
    apart. It slices like an array, so cross-validation cuts both together.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n_samples, ...), or pictures
        The student's input.
    proba : ndarray of shape (n_samples, n_classes)
        The teacher's probabilities.
    classes : ndarray of shape (n_classes,) or None
        The labels of the columns; None where the teacher does not name them.
    exact : bool, default=False
        Whether they come from a data frame, whose columns are all classes.
    teacher : callable, default=None
        From images (n, H, W, 3) of bytes to their probabilities, where the
        teacher is to see the student's views of them.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.student._soft_labels import SoftLabeled
    >>> SoftLabeled(np.zeros((3, 2)), np.full((3, 2), 0.5), None)[[0, 2]].shape
    (2, 2)
    """

    def __init__(self, X, proba, classes=None, exact=False, teacher=None):
        self.X = X
        self.proba = proba
        self.classes = classes
        self.exact = exact
        self.teacher = teacher

    @property
    def shape(self):
        """Shape of X; of a sequence, its length."""
        return getattr(self.X, "shape", None) or (_num_samples(self.X),)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, key):
        # scikit-learn slices rows as array[rows, ...].
        rows = key[0] if isinstance(key, tuple) else key
        return SoftLabeled(
            _safe_indexing(self.X, rows), self.proba[rows], self.classes, self.exact, self.teacher
        )

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "X carries the teacher's probabilities, which a step between TeacherProba and "
            "DHOClassifier would lose. Move that step into TeacherProba(features=...)."
        )

    def __repr__(self):
        return f"SoftLabeled(X={self.shape}, proba={np.shape(self.proba)})"
