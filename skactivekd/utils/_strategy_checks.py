"""What a query strategy is checked for, one function each; `check_query_strategy` calls them."""

import warnings
from types import SimpleNamespace

import joblib
import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.naive_bayes import GaussianNB

VIEWS = ("proba_pool", "proba_labeled", "features_pool", "features_labeled", "y_labeled")
_N, _N_LABELED, _N_CLASSES = 40, 12, 3


def expect(condition, name, fault):
    """Raise AssertionError with a sentence, unless a condition holds."""
    if not condition:
        raise AssertionError(f"{name}: {fault}.")


def attempt(name, what, call, hint=""):
    """Return what a call returns; an error of any kind becomes one of the check."""
    try:
        return call()
    except Exception as error:
        fault = f"{name}: {what} raises {type(error).__name__}: {error}"
        raise AssertionError(f"{fault}; {hint}." if hint else fault) from error


def expect_instance(thing, check):
    """Refuse a class where an object of it is to be checked."""
    if isinstance(thing, type):
        name = thing.__name__
        raise AssertionError(f"{name}: {check} takes an instance, {name}(...), and not the class.")


def make_task():
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
    expect(
        isinstance(picks, np.ndarray) and picks.dtype == np.int64,
        name,
        f"{call} returns {type(picks).__name__} of {getattr(picks, 'dtype', '?')}, not an ndarray "
        "of int64",
    )
    expect(picks.shape == (n,), name, f"{call} returns the shape {picks.shape} for n_instances={n}")
    expect(len(set(picks.tolist())) == n, name, f"{call} chooses a row twice: {picks.tolist()}")
    wrong = sorted(set(picks.tolist()) - {int(row) for row in among})
    expect(not wrong, name, f"{call} chooses rows {wrong}, which it may not")


def _check_picks(name, make, task):
    X, y, model, pool = task.X, task.y, task.model, task.pool
    for n in (1, 3, len(pool)):
        picks = make().query(X, y, model, n)
        _expect_picks(name, picks, pool, n, "query")
        selected = make().select(**_views(task, y, pool), n_instances=n)
        _expect_picks(name, selected, range(len(pool)), n, "select")
        same = np.array_equal(pool[selected], picks)
        expect(same, name, "select and query choose differently from the same rows")
        learner = SimpleNamespace(
            X_training=X[y != -1],
            y_training=y[y != -1],
            estimator=model,
            predict_proba=model.predict_proba,
        )
        answer = make()(learner, X[pool], n_instances=n)
        answer = answer[0] if isinstance(answer, tuple) else answer
        same = np.array_equal(pool[answer], picks)
        expect(same, name, "modAL's call and query choose differently from the same rows")


def _check_edges(name, make, task):
    X, y, model, pool = task.X, task.y, task.model, task.pool
    nothing = np.full(_N, -1)
    what = "query without a label"
    picks = attempt(name, what, lambda: make().query(X, nothing, model, 5))
    _expect_picks(name, picks, range(_N), 5, what)
    what, first = "query for a model of one class, (n, 1) probabilities", np.arange(_N) < 5
    alone = GaussianNB().fit(X[first], np.zeros(5, dtype=int))
    picks = attempt(name, what, lambda: make().query(X, np.where(first, 0, -1), alone, 3))
    _expect_picks(name, picks, np.flatnonzero(~first), 3, what)
    last = np.where(np.arange(_N) == 17, -1, 0)
    what = "query of one row"
    picks = attempt(name, what, lambda: make().query(X, last, model, 1))
    _expect_picks(name, picks, [17], 1, what)
    what, equal = "select among equal rows", np.full((6, _N_CLASSES), 1 / _N_CLASSES)
    ones = np.ones((6, 4))
    picks = attempt(name, what, lambda: make().select(equal, features_pool=ones, n_instances=6))
    _expect_picks(name, picks, range(6), 6, what)
    some = pool[::2]
    picks = make().query(X, y, model, 4, candidates=some)
    _expect_picks(name, picks, some, 4, "query with candidates")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        picks = make().query(X, y, model, len(pool) + 5)
    _expect_picks(name, picks, pool, len(pool), "query for more than there is")
    told = any("n_instances" in str(warning.message) for warning in caught)
    expect(told, name, "does not warn that n_instances is more than the pool holds")


def _check_containers(name, make, task):
    """Check that tensors and sparse features, which a model may return, are chosen among alike."""
    import torch

    views = _views(task, task.y, task.pool)
    expected = make().select(**views, n_instances=3)
    dense = [view for view in views if view != "y_labeled"]
    features = [view for view in dense if view.startswith("features")]
    forms = {
        "tensors": (torch.from_numpy, dense),
        "features in a csr_array": (sparse.csr_array, features),
        "features in a csr_matrix": (sparse.csr_matrix, features),
    }
    for what, (form, chosen) in forms.items():
        changed = {**views, **{view: form(views[view]) for view in chosen}}
        try:
            picks = make().select(**changed, n_instances=3)
        except Exception as error:
            if isinstance(error, TypeError | ValueError) and "features_pool" in str(error):
                continue  # a refusal of its own, which says what it means
            raise AssertionError(
                f"{name}: select raises {type(error).__name__} for {what}, which models may "
                f"return: {error} -- in _pick, take np.asarray of a tensor and .toarray() of a "
                "sparse matrix, or raise an error that names features_pool"
            ) from error
        same = np.array_equal(picks, expected)
        expect(same, name, f"select chooses otherwise from {what}: {picks}, and not {expected}")


def _check_repeats(name, make, task):
    strategy, arguments = make(), (task.X, task.y, task.model, 5)
    before = joblib.hash((task.X, task.y, task.model, strategy.get_params()))
    state = str(np.random.get_state())  # noqa: NPY002
    picks = strategy.query(*arguments)
    after = joblib.hash((task.X, task.y, task.model, strategy.get_params()))
    expect(before == after, name, "changes X, y, the model or its own parameters")
    kept = str(np.random.get_state()) == state  # noqa: NPY002
    expect(kept, name, "draws from numpy's global generator; take random_state")
    again = np.array_equal(strategy.query(*arguments), picks)
    expect(again, name, "chooses otherwise when the same is asked again, though it is seeded")
    cloned = np.array_equal(clone(strategy).query(*arguments), picks)
    expect(cloned, name, "chooses otherwise once it is cloned")


def _check_labels(name, make, task):
    X, y, known = task.X, task.y, task.y != -1
    expected = make().query(X, y, task.model, 5)
    for marker, classes in (("?", ["ant", "bee", "cow"]), (None, ["ant", "bee", "cow"])):
        labels = np.array([marker if code == -1 else classes[code] for code in y], dtype=object)
        named = GaussianNB(var_smoothing=0.1).fit(X[known], np.array(classes)[y[known]])
        picks = make(missing_label=marker).query(X, labels, named, 5)
        same = np.array_equal(picks, expected)
        expect(same, name, f"chooses otherwise with names of classes and missing_label={marker!r}")


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
        expect(False, name, f"takes {what} without an error")


STRATEGY_CHECKS = (
    _check_picks,
    _check_edges,
    _check_containers,
    _check_repeats,
    _check_labels,
    _check_refusals,
)
