"""Our strategies as those of scikit-activeml."""

import numpy as np

from ._base import QueryStrategy


def to_skactiveml(strategy, *, missing_label=np.nan, random_state=None):
    """Make a pool strategy of scikit-activeml of one of ours.

    Needs the extra ``skactiveml``.

    .. versionadded:: 0.1

    Parameters
    ----------
    strategy : QueryStrategy
        Any strategy of ``skactivekd.query``, or a subclass of `QueryStrategy`.
    missing_label : scalar, str, nan or None, default=nan
        The marker of unlabeled rows, as scikit-activeml takes it. That of
        `strategy` does not matter.
    random_state : None, int or numpy.random.RandomState, default=None
        Seeds `strategy`, if it draws. None leaves it as it is.

    Returns
    -------
    strategy : skactiveml.base.SingleAnnotatorPoolQueryStrategy
        With ``query(X, y, clf=None, fit_clf=True, sample_weight=None,
        candidates=None, batch_size=1, return_utilities=False)``. `clf` is any
        classifier of scikit-activeml, or one with ``predict_proba`` that takes
        `missing_label`, such as ``DHOClassifier(missing_label=np.nan)``.

    Raises
    ------
    ImportError
        If scikit-activeml is not installed.
    TypeError
        If `strategy` is none of ours.

    See Also
    --------
    FromSkactiveml : The way back.

    Examples
    --------
    >>> import numpy as np
    >>> from skactiveml.classifier import ParzenWindowClassifier
    >>> from skactivekd.query import PCoreSet, to_skactiveml
    >>> X = np.array([[0.0], [1.0], [4.0], [9.0]])
    >>> y = [0, np.nan, np.nan, 1]
    >>> clf = ParzenWindowClassifier(classes=[0, 1])
    >>> to_skactiveml(PCoreSet()).query(X, y, clf, batch_size=1)
    array([2])
    """
    if not isinstance(strategy, QueryStrategy):
        raise TypeError(f"strategy must be one of skactivekd's query strategies, got {strategy!r}.")
    wrapper = require_skactiveml().SkactivemlStrategy
    return wrapper(strategy, missing_label=missing_label, random_state=random_state)


def require_skactiveml():
    """Import what derives from scikit-activeml's classes, or say how to install it."""
    try:
        from . import _skactiveml_classes
    except ImportError as error:
        raise ImportError(
            f"This needs scikit-activeml: pip install skactivekd[skactiveml] ({error})."
        ) from error
    return _skactiveml_classes
