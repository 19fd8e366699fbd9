"""Checks that a strategy, a teacher or an encoder of your own keeps to what skactivekd relies on.

Call them in a test of yours. Each raises AssertionError, which says what is wrong and where.
"""

import pickle
import warnings

import joblib
import numpy as np
from sklearn.base import clone
from sklearn.utils import _safe_indexing

from ._proba import check_proba
from ._strategy_checks import STRATEGY_CHECKS, VIEWS, attempt, expect, expect_instance, make_task

__all__ = ["check_encoder", "check_query_strategy", "check_teacher"]

_TOLERANCE = 1e-4  # float32 of another batch size, or of a GPU, differs by rounding


def check_query_strategy(strategy):
    """Check that a query strategy chooses what it may, and leaves all else as it is.

    .. versionadded:: 0.1

    Parameters
    ----------
    strategy : QueryStrategy
        An instance. It is cloned, and seeded where it has a ``random_state``
        that is None.

    Raises
    ------
    AssertionError
        If it returns anything but distinct positions of unlabeled rows, as many
        as asked for; if `select`, `query` and modAL's call choose differently;
        if ``candidates`` are left out of account; if it cannot do without labels,
        with one class, with equal rows, with tensors or with sparse features; if
        it depends on the values of labels; if it changes data, model, parameters
        or global generators; or if it does not refuse what it cannot do.

    See Also
    --------
    skactivekd.query.QueryStrategy : What to write.

    Examples
    --------
    >>> from skactivekd.query import Margin
    >>> from skactivekd.utils.estimator_checks import check_query_strategy
    >>> check_query_strategy(Margin())
    """
    expect_instance(strategy, "check_query_strategy")
    name = type(strategy).__name__
    params = strategy.get_params(deep=False)
    expect("missing_label" in params, name, "__init__ has no parameter missing_label")
    unknown = [view for view in strategy.needs if view not in VIEWS]
    expect(not unknown, name, f"needs names {unknown}, which are none of {', '.join(VIEWS)}")

    def make(**changes):
        made = clone(strategy)
        if made.get_params(deep=False).get("random_state", 0) is None:
            made.set_params(random_state=0)
        return made.set_params(missing_label=-1).set_params(**changes)

    task = make_task()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for check in STRATEGY_CHECKS:
            check(name, make, task)


def check_teacher(teacher, X, y=None, *, missing_label=-1):
    """Check that a teacher gives probabilities for classes that it names.

    .. versionadded:: 0.1

    Parameters
    ----------
    teacher : estimator
        An instance with ``fit`` and ``predict_proba``. It is cloned.
    X : rows
        A few samples that it takes, at least four; some should differ.
    y : array-like of shape (n_samples,), default=None
        Their labels, for a teacher that learns from them. None fits it with no row labeled.
    missing_label : int, float nan, str or None, default=-1
        Marks unlabeled rows.

    Raises
    ------
    AssertionError
        If it cannot be cloned or pickled; if fitting sets no sorted ``classes_``; if its
        probabilities are not rows that sum to one, depend on the other rows of the call, or
        differ from one call to the next; or if it changes its parameters or X.

    See Also
    --------
    check_encoder : Where a teacher asks an encoder.

    Examples
    --------
    >>> from skactivekd import ZeroShotTeacher
    >>> from skactivekd.datasets import load_glyph_digits
    >>> from skactivekd.utils.estimator_checks import check_teacher
    >>> X, y = load_glyph_digits(return_X_y=True)
    >>> check_teacher(ZeroShotTeacher(), X[:8])
    """
    expect_instance(teacher, "check_teacher")
    name, n = type(teacher).__name__, _count(X)
    expect(n >= 4, name, f"the check needs four rows or more, got {n}")
    _check_parameters(name, teacher)
    given = joblib.hash(X)
    labels = [missing_label] * n if y is None else y
    fitted = clone(teacher)
    what = "fit(X, y)"
    if y is None:
        what = f"fit(X, y) with no row labeled, all of y missing_label={missing_label!r},"
    fit = attempt(name, what, lambda: fitted.fit(X, labels))
    expect(fit is fitted, name, "fit does not return the teacher itself")
    expect(
        str(fitted.get_params()) == str(clone(teacher).get_params()),
        name,
        "fit changes parameters of __init__; keep what it learns in attributes that end in _",
    )
    expect(hasattr(fitted, "classes_"), name, "fit sets no classes_")
    classes = list(fitted.classes_)
    fault = f"classes_ are not sorted and distinct: {np.asarray(classes).tolist()}; see np.unique"
    expect(classes == sorted(set(classes)), name, fault)
    proba = np.asarray(fitted.predict_proba(X))
    expect(
        proba.shape == (n, len(classes)),
        name,
        f"predict_proba of {n} rows and {len(classes)} classes has the shape {proba.shape}",
    )
    try:
        check_proba(proba, "predict_proba")
    except (ValueError, TypeError) as error:
        raise AssertionError(f"{name}: {error}") from error
    _check_rows(name, "predict_proba", fitted.predict_proba, X, proba)
    again = pickle.loads(pickle.dumps(fitted)).predict_proba(X)
    expect(_close(again, proba), name, "predicts otherwise after it was pickled")
    expect(joblib.hash(X) == given, name, "changes X")


def check_encoder(encoder, X, texts=None):
    """Check that an encoder embeds each row by itself, as unit vectors, and can be cached.

    .. versionadded:: 0.1

    Parameters
    ----------
    encoder : object
        With a method that embeds rows: ``encode_image``, ``encode_audio`` or,
        where rows are texts, ``encode_text``.
    X : rows
        A few samples that it takes, at least four; some should differ.
    texts : list of str, default=None
        Texts for its ``encode_text``, where rows are something else.

    Raises
    ------
    AssertionError
        If embeddings are not one row of length 1 for each of X; if they depend
        on the other rows of the call, or differ from one call to the next; if
        texts have embeddings of another width; if it changes X; if it cannot be
        pickled; or if ``fingerprint``, by which `EmbeddingCache` keeps
        embeddings in a file, is no text that stays the same.

    See Also
    --------
    check_teacher : What is made of an encoder.

    Examples
    --------
    >>> from skactivekd import OpenCLIPEncoder
    >>> from skactivekd.datasets import load_glyph_digits
    >>> from skactivekd.utils.estimator_checks import check_encoder
    >>> X, y = load_glyph_digits(return_X_y=True)
    >>> check_encoder(OpenCLIPEncoder(), X[:6], ["a photo of a 3", "a photo of a 7"])
    """
    expect_instance(encoder, "check_encoder")
    name, n = type(encoder).__name__, _count(X)
    expect(n >= 4, name, f"the check needs four rows or more, got {n}")
    methods = ("encode_image", "encode_audio", "encode_text")
    method = next((method for method in methods if hasattr(encoder, method)), None)
    expect(method is not None, name, f"has none of the methods {', '.join(methods)}")
    given, encode = joblib.hash(X), getattr(encoder, method)
    embeddings = _check_embeddings(name, method, encode(X), n)
    _check_rows(name, method, encode, X, embeddings)
    expect(joblib.hash(X) == given, name, f"{method} changes X")
    if method != "encode_text" and hasattr(encoder, "encode_text"):
        texts = ["a cat", "a dog on a sofa", "a cat"] if texts is None else list(texts)
        call, hint = f"encode_text({texts})", "give texts that it takes: check_encoder(..., texts=)"
        found = attempt(name, call, lambda: encoder.encode_text(texts), hint)
        found = _check_embeddings(name, "encode_text", found, len(texts))
        expect(
            found.shape[1] == embeddings.shape[1],
            name,
            f"{method} returns {embeddings.shape[1]} columns but encode_text {found.shape[1]}",
        )
    copied = pickle.loads(pickle.dumps(encoder))
    again = np.asarray(getattr(copied, method)(X))
    expect(_close(again, embeddings), name, "embeds otherwise after it was pickled")
    if hasattr(encoder, "fingerprint"):
        print_ = attempt(name, "fingerprint()", encoder.fingerprint)
        again = encoder.fingerprint(), copied.fingerprint()
        expect(
            isinstance(print_, str) and again == (print_, print_),
            name,
            f"fingerprint() is {print_!r} and then {again[1]!r}, and no str that stays the same: a "
            "cache would not find its rows again",
        )


def _count(X):
    return X.shape[0] if hasattr(X, "shape") else len(X)


def _close(one, other):
    one, other = np.asarray(one), np.asarray(other)
    return one.shape == other.shape and np.allclose(one, other, rtol=0, atol=_TOLERANCE)


def _bad_rows(values):
    rows = np.flatnonzero(~np.isfinite(values).all(axis=1))
    return f"row {rows[:1].sum()} and {max(len(rows) - 1, 0)} more"


def _check_parameters(name, estimator):
    expect(hasattr(estimator, "get_params"), name, "has no get_params; derive from BaseEstimator")
    copied = clone(estimator)
    same = str(copied.get_params()) == str(estimator.get_params())
    expect(same, name, "clone has other parameters; __init__ must keep each as it is given")


def _check_rows(name, method, call, X, expected):
    """Check that the answer for a row is its own: in any order, in part, and again."""
    expect(_close(call(X), expected), name, f"{method} differs from one call to the next")
    order = np.arange(_count(X))[::-1]
    turned = np.asarray(call(_safe_indexing(X, order)))
    fault = f"{method} does not follow the order of the rows"
    expect(_close(turned, expected[order]), name, fault)
    part = np.asarray(call(_safe_indexing(X, order[:2])))
    expect(
        _close(part, expected[order[:2]]),
        name,
        f"{method} of two rows alone is not what it was among the others",
    )


def _check_embeddings(name, method, embeddings, n):
    embeddings = np.asarray(embeddings)
    expect(
        embeddings.ndim == 2 and len(embeddings) == n,
        name,
        f"{method} of {n} rows has the shape {embeddings.shape}; (n, d) is expected",
    )
    finite = np.isfinite(embeddings).all()
    expect(finite, name, f"{method} is not finite in {_bad_rows(embeddings)}")
    norms = np.linalg.norm(embeddings, axis=1)
    for row in np.flatnonzero(abs(norms - 1) > 1e-3)[:1]:
        fault = f"{method}: row {row} has the length {norms[row]:g} and not 1; divide it by that"
        expect(False, name, fault)
    return embeddings
