"""Handwritten digits as images for the embedded teacher."""

from sklearn.datasets import load_digits
from sklearn.utils import Bunch

from ..encoders._open_clip_models import GLYPH_CLASSES
from ..utils._check_params import check_flag


def load_glyph_digits(*, return_X_y=False):
    """Load scikit-learn's handwritten digits as images of the embedded teacher's kind.

    They come with scikit-learn: nothing is downloaded.

    .. versionadded:: 0.1

    Parameters
    ----------
    return_X_y : bool, default=False
        Return ``(images, target)`` instead of a Bunch.

    Returns
    -------
    data : sklearn.utils.Bunch
        images, data : ndarray of float32 of shape (1797, 8, 8)
            Share of ink in each pixel, in [0, 1]; the same array twice.
        target : ndarray of int of shape (1797,)
            The digits, 0 to 9.
        target_names : list of str
            Their names, "zero" to "nine".
        classes : dict of int to str
            Each label and its name, as `ZeroShotTeacher` takes them.
        DESCR : str
            Where the data come from.
    (images, target) : tuple of ndarray
        If `return_X_y`.

    See Also
    --------
    sklearn.datasets.load_digits : The same data, flat and in [0, 16].

    References
    ----------
    .. [1] E. Alpaydin, C. Kaynak. "Optical Recognition of Handwritten Digits".
       UCI Machine Learning Repository, 1998. doi:10.24432/C50P49.

    Examples
    --------
    >>> from skactivekd.datasets import load_glyph_digits
    >>> digits = load_glyph_digits()
    >>> digits.images.shape
    (1797, 8, 8)
    >>> digits.classes[digits.target[0]]
    'zero'
    >>> X, y = load_glyph_digits(return_X_y=True)
    """
    check_flag(return_X_y, "return_X_y")
    digits = load_digits()
    images = (digits.images / 16).astype("float32")
    if return_X_y:
        return images, digits.target
    return Bunch(
        images=images,
        data=images,
        target=digits.target,
        target_names=list(GLYPH_CLASSES.values()),
        classes=dict(GLYPH_CLASSES),
        DESCR=digits.DESCR,
    )
