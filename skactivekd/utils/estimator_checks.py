"""Checks that a strategy, a teacher or an encoder of your own keeps to what skactivekd relies on.

Call them in a test of yours. Each raises AssertionError, which says what is wrong and where.
"""

import pickle
import warnings
from types import SimpleNamespace

import joblib
import numpy as np
from sklearn.base import clone
from sklearn.naive_bayes import GaussianNB
from sklearn.utils import _safe_indexing

from ._proba import check_proba

__all__ = ["check_encoder", "check_query_strategy", "check_teacher"]

_VIEWS = ("proba_pool", "proba_labeled", "features_pool", "features_labeled", "y_labeled")
_N, _N_LABELED, _N_CLASSES = 40, 12, 3
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
        if ``candidates`` are left out of account; if it cannot do without labels
        or with equal rows; if it depends on the values of labels; if it changes
        data, model, parameters or global generators; or if it does not refuse
        what it cannot do.

    See Also
    --------
    skactivekd.query.QueryStrategy : What to write.

    Examples
    --------
    >>> from skactivekd.query import Margin
    >>> from skactivekd.utils.estimator_checks import check_query_strategy
    >>> check_query_strategy(Margin())
    """
    name = type(strategy).__name__
    params = strategy.get_params(deep=False)
    _expect("missing_label" in params, name, "__init__ has no parameter missing_label")
    unknown = [view for view in strategy.needs if view not in _VIEWS]
    _expect(not unknown, name, f"needs names {unknown}, which are none of {', '.join(_VIEWS)}")

    def make(**changes):
        made = clone(strategy)
        if made.get_params(deep=False).get("random_state", 0) is None:
            made.set_params(random_state=0)
        return made.set_params(missing_label=-1).set_params(**changes)

    task = _make_task()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for check in _STRATEGY_CHECKS:
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
    name, n = type(teacher).__name__, _count(X)
    _expect(n >= 4, name, f"the check needs four rows or more, got {n}")
    _check_parameters(name, teacher)
    given = joblib.hash(X)
    labels = [missing_label] * n if y is None else y
    fitted = clone(teacher)
    _expect(fitted.fit(X, labels) is fitted, name, "fit does not return the teacher itself")
    _expect(
        str(fitted.get_params()) == str(clone(teacher).get_params()),
        name,
        "fit changes parameters of __init__; keep what it learns in attributes that end in _",
    )
    _expect(hasattr(fitted, "classes_"), name, "fit sets no classes_")
    classes = list(fitted.classes_)
    _expect(classes == sorted(set(classes)), name, f"classes_ are not sorted: {classes}")
    proba = np.asarray(fitted.predict_proba(X))
    _expect(
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
    _expect(_close(again, proba), name, "predicts otherwise after it was pickled")
    _expect(joblib.hash(X) == given, name, "changes X")


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
    name, n = type(encoder).__name__, _count(X)
    _expect(n >= 4, name, f"the check needs four rows or more, got {n}")
    methods = ("encode_image", "encode_audio", "encode_text")
    method = next((method for method in methods if hasattr(encoder, method)), None)
    _expect(method is not None, name, f"has none of the methods {', '.join(methods)}")
    given, encode = joblib.hash(X), getattr(encoder, method)
    embeddings = _check_embeddings(name, method, encode(X), n)
    _check_rows(name, method, encode, X, embeddings)
    _expect(joblib.hash(X) == given, name, f"{method} changes X")
    if method != "encode_text" and hasattr(encoder, "encode_text"):
        texts = ["a cat", "a dog on a sofa", "a cat"] if texts is None else list(texts)
        found = _check_embeddings(name, "encode_text", encoder.encode_text(texts), len(texts))
        _expect(
            found.shape[1] == embeddings.shape[1],
            name,
            f"{method} returns {embeddings.shape[1]} columns but encode_text {found.shape[1]}",
        )
    copied = pickle.loads(pickle.dumps(encoder))
    again = np.asarray(getattr(copied, method)(X))
    _expect(_close(again, embeddings), name, "embeds otherwise after it was pickled")
    if hasattr(encoder, "fingerprint"):
        print_ = encoder.fingerprint()
        _expect(
            print_ is not None and print_ == encoder.fingerprint() == copied.fingerprint(),
            name,
            f"fingerprint() is {print_!r} and then {copied.fingerprint()!r}: a cache would not "
            "find its rows again",
        )


def _expect(condition, name, fault):
    if not condition:
        raise AssertionError(f"{name}: {fault}.")


def _count(X):
    return X.shape[0] if hasattr(X, "shape") else len(X)


def _close(one, other):
    one, other = np.asarray(one), np.asarray(other)
    return one.shape == other.shape and np.allclose(one, other, rtol=0, atol=_TOLERANCE)


def _bad_rows(values):
    rows = np.flatnonzero(~np.isfinite(values).all(axis=1))
    return f"row {rows[:1].sum()} and {max(len(rows) - 1, 0)} more"


def _check_parameters(name, estimator):
    _expect(hasattr(estimator, "get_params"), name, "has no get_params; derive from BaseEstimator")
    copied = clone(estimator)
    same = str(copied.get_params()) == str(estimator.get_params())
    _expect(same, name, "clone has other parameters; __init__ must keep each as it is given")


def _check_rows(name, method, call, X, expected):
    """Check that the answer for a row is its own: in any order, in part, and again."""
    _expect(_close(call(X), expected), name, f"{method} differs from one call to the next")
    order = np.arange(_count(X))[::-1]
    turned = np.asarray(call(_safe_indexing(X, order)))
    fault = f"{method} does not follow the order of the rows"
    _expect(_close(turned, expected[order]), name, fault)
    part = np.asarray(call(_safe_indexing(X, order[:2])))
    _expect(
        _close(part, expected[order[:2]]),
        name,
        f"{method} of two rows alone is not what it was among the others",
    )


def _check_embeddings(name, method, embeddings, n):
    embeddings = np.asarray(embeddings)
    _expect(
        embeddings.ndim == 2 and len(embeddings) == n,
        name,
        f"{method} of {n} rows has the shape {embeddings.shape}; (n, d) is expected",
    )
    finite = np.isfinite(embeddings).all()
    _expect(finite, name, f"{method} is not finite in {_bad_rows(embeddings)}")
    norms = np.linalg.norm(embeddings, axis=1)
    off = np.flatnonzero(abs(norms - 1) > 1e-3)
    _expect(
        not len(off), name, f"{method}: row {off[:1]} has the length {norms[off][:1]} and not 1"
    )
    return embeddings


# Query strategies


def _make_task():
    """Return rows that are features and probabilities at once, labels and a model."""
    rng = np.random.default_rng(0)
    X, y = rng.dirichlet(np.full(4, 0.7), size=_N), np.full(_N, -1)
    y[rng.permutation(_N)[:_N_LABELED]] = np.arange(_N_LABELED) % _N_CLASSES
    model = GaussianNB(var_smoothing=0.1).fit(X[y != -1], y[y != -1])
    return SimpleNamespace(X=X, y=y, model=model, pool=np.flatnonzero(y == -1))


def _views(task, y, pool):
    labeled, proba = y != -1, task.model.predict_proba(task.X)
    return {
        "proba_pool": proba[pool],
        "proba_labeled": proba[labeled],
        "features_pool": task.X[pool],
        "features_labeled": task.X[labeled],
        "y_labeled": y[labeled],
    }


def _expect_picks(name, picks, among, n, call):
    _expect(
        isinstance(picks, np.ndarray) and picks.dtype == np.int64,
        name,
        f"{call} returns {type(picks).__name__} of {getattr(picks, 'dtype', '?')}, not an ndarray "
        "of int64",
    )
    _expect(
        picks.shape == (n,), name, f"{call} returns the shape {picks.shape} for n_instances={n}"
    )
    _expect(len(set(picks.tolist())) == n, name, f"{call} chooses a row twice: {picks.tolist()}")
    wrong = sorted(set(picks.tolist()) - {int(row) for row in among})
    _expect(not wrong, name, f"{call} chooses rows {wrong}, which it may not")


def _check_picks(name, make, task):
    X, y, model, pool = task.X, task.y, task.model, task.pool
    for n in (1, 3, len(pool)):
        picks = make().query(X, y, model, n)
        _expect_picks(name, picks, pool, n, "query")
        selected = make().select(**_views(task, y, pool), n_instances=n)
        _expect_picks(name, selected, range(len(pool)), n, "select")
        same = np.array_equal(pool[selected], picks)
        _expect(same, name, "select and query choose differently from the same rows")
        learner = SimpleNamespace(
            X_training=X[y != -1],
            y_training=y[y != -1],
            estimator=model,
            predict_proba=model.predict_proba,
        )
        answer = make()(learner, X[pool], n_instances=n)
        answer = answer[0] if isinstance(answer, tuple) else answer
        same = np.array_equal(pool[answer], picks)
        _expect(same, name, "modAL's call and query choose differently from the same rows")


def _check_edges(name, make, task):
    X, y, model, pool = task.X, task.y, task.model, task.pool
    nothing = np.full(_N, -1)
    picks = make().query(X, nothing, model, 5)
    _expect_picks(name, picks, range(_N), 5, "query without a label")
    last = np.where(np.arange(_N) == 17, -1, 0)
    _expect_picks(name, make().query(X, last, model, 1), [17], 1, "query of one row")
    equal = np.full((6, _N_CLASSES), 1 / _N_CLASSES)
    picks = make().select(equal, features_pool=np.ones((6, 4)), n_instances=6)
    _expect_picks(name, picks, range(6), 6, "select among equal rows")
    some = pool[::2]
    picks = make().query(X, y, model, 4, candidates=some)
    _expect_picks(name, picks, some, 4, "query with candidates")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        picks = make().query(X, y, model, len(pool) + 5)
    _expect_picks(name, picks, pool, len(pool), "query for more than there is")
    told = any("n_instances" in str(warning.message) for warning in caught)
    _expect(told, name, "does not warn that n_instances is more than the pool holds")


def _check_repeats(name, make, task):
    strategy, arguments = make(), (task.X, task.y, task.model, 5)
    before = joblib.hash((task.X, task.y, task.model, strategy.get_params()))
    state = str(np.random.get_state())  # noqa: NPY002
    picks = strategy.query(*arguments)
    after = joblib.hash((task.X, task.y, task.model, strategy.get_params()))
    _expect(before == after, name, "changes X, y, the model or its own parameters")
    kept = str(np.random.get_state()) == state  # noqa: NPY002
    _expect(kept, name, "draws from numpy's global generator; take random_state")
    again = np.array_equal(strategy.query(*arguments), picks)
    _expect(again, name, "chooses otherwise when the same is asked again, though it is seeded")
    cloned = np.array_equal(clone(strategy).query(*arguments), picks)
    _expect(cloned, name, "chooses otherwise once it is cloned")


def _check_labels(name, make, task):
    X, y, known = task.X, task.y, task.y != -1
    expected = make().query(X, y, task.model, 5)
    for marker, classes in (("?", ["ant", "bee", "cow"]), (None, ["ant", "bee", "cow"])):
        labels = np.array([marker if code == -1 else classes[code] for code in y], dtype=object)
        named = GaussianNB(var_smoothing=0.1).fit(X[known], np.array(classes)[y[known]])
        picks = make(missing_label=marker).query(X, labels, named, 5)
        same = np.array_equal(picks, expected)
        _expect(same, name, f"chooses otherwise with names of classes and missing_label={marker!r}")


def _check_refusals(name, make, task):
    X, y, model, pool = task.X, task.y, task.model, task.pool
    views = _views(task, y, pool)
    bad = np.where(np.arange(len(pool))[:, None] == 3, np.nan, views["features_pool"])
    calls = {
        "n_instances=0": lambda: make().query(X, y, model, 0),
        "a y without unlabeled rows": lambda: make().query(X, np.zeros(_N, int), model),
        "a y of another length": lambda: make().query(X, y[1:], model),
        "an empty pool": lambda: make().select(X[:0], features_pool=X[:0]),
        "candidates that are labeled": lambda: make().query(
            X, y, model, candidates=np.flatnonzero(y != -1)
        ),
    }
    if "features_pool" in make().needs:
        calls["features that are not finite"] = lambda: make().select(
            **{**views, "features_pool": bad}
        )
    if "proba_pool" in make().needs:
        calls["probabilities that do not sum to one"] = lambda: make().select(
            **{**views, "proba_pool": 2 * views["proba_pool"]}
        )
    for what, call in calls.items():
        try:
            call()
        except (ValueError, TypeError):
            continue
        _expect(False, name, f"takes {what} without an error")


_STRATEGY_CHECKS = (_check_picks, _check_edges, _check_repeats, _check_labels, _check_refusals)
