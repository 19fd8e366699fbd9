"""Strategies of scikit-activeml as ours."""

import inspect
import numbers

import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone

from .._devices_and_seeds import draw_seed
from ..utils._classes import check_classes
from ..utils._label_values import as_labels
from ..utils._labels import encode_labels, find_classes
from ..utils._matrix import blocks
from ._base import QueryStrategy
from ._random import own_generators
from ._to_skactiveml import require_skactiveml

DENSE_LIMIT = 2**30  # bytes of what a sparse matrix may grow to; most laptops have them twice
_CLASSIFIERS = ("clf", "estimator")  # what its strategies call the model they ask


class FromSkactiveml(QueryStrategy):
    """Use a pool strategy of scikit-activeml as one of ours.

    Its strategy sees the features of the model (see `CoreSet`) in place of X;
    where it asks a classifier, it gets the predictions of the fitted estimator,
    which is not fitted again. Needs the extra ``skactiveml``.

    .. versionadded:: 0.1

    Parameters
    ----------
    strategy : skactiveml.base.SingleAnnotatorPoolQueryStrategy
        TypiClust, ProbCover, UncertaintySampling or another. It is cloned for
        each call; its own ``missing_label`` does not matter.
    query_params : dict, default=None
        Further arguments of its ``query``, such as a ``discriminator``, an
        ``ensemble``, or a ``clf`` of scikit-activeml for strategies that fit
        one: these see the features, and labels coded 0 to n_classes - 1 in
        sorted order, nan where missing.
    random_state : None, int or numpy.random.RandomState, default=None
        Governs the strategy and all inside it, whatever their own
        ``random_state``. With an int, the same call returns the same picks.
        None keeps theirs, and draws anew where they have none. Global
        generators are left as found.
    missing_label : int, float nan, str or None, default=-1
        The marker of unlabeled rows, for `query` and modAL's call.

    See Also
    --------
    to_skactiveml : The way back.

    Notes
    -----
    In `select`, ``y_labeled`` may hold labels of any kind; without it all labels
    count as one class, which is all the same to most strategies. Without
    ``proba_labeled`` a strategy that asks for it raises.

    Some of its strategies may choose a row twice, e.g. TypiClust among
    duplicates. They are then asked again for what is missing, with the rows
    not yet chosen as candidates. Time and memory are those of the strategy:
    many hold a matrix of n_instances x n_samples, ProbCover one of
    n_samples x n_samples.

    Examples
    --------
    Typical samples of clusters without a label, and samples that cover most of
    the others; both work before there is any label:

    >>> import numpy as np
    >>> from skactiveml.pool import ProbCover, TypiClust
    >>> from skactivekd.query import FromSkactiveml
    >>> features = np.random.default_rng(0).normal(size=(40, 2)) * 0.1
    >>> features[20:] += 3
    >>> typical = FromSkactiveml(TypiClust(), random_state=0)
    >>> picks = typical.select(features_pool=features, n_instances=2)
    >>> sorted((picks // 20).tolist())  # one of each cluster
    [0, 1]
    >>> cover = FromSkactiveml(ProbCover(n_classes=2), random_state=0)
    >>> y = np.full(40, -1)
    >>> y[:5] = 0
    >>> cover.query(features, y, estimator=None) >= 20  # the first 20 are covered
    array([ True])
    """

    needs_whole_pool = True
    _optional = ("proba_labeled", "y_labeled")

    def __init__(self, strategy, *, query_params=None, random_state=None, missing_label=-1):
        self.strategy = strategy
        self.query_params = query_params
        self.random_state = random_state
        self.missing_label = missing_label

    @property
    def needs(self):
        """What its strategy looks at: features, and predictions where it asks a classifier."""
        _check_strategy(self.strategy)
        proba = ("proba_pool", "proba_labeled") if self._asked() else ()
        return ("features_pool", "features_labeled", "y_labeled", *proba)

    def _pick(self, views, n_instances):
        n_labeled, X = views.n_labeled, _stacked(views.features_labeled, views.features_pool)
        y = np.full(len(X), np.nan)
        y[:n_labeled] = self._codes(views.y_labeled, n_labeled)
        params = self._arguments(X, views)
        _check_arguments(self.strategy, params)
        seed = self._seed()
        with own_generators(seed):
            among = None if views.candidates is None else views.candidates + n_labeled
            picks = _ask(self._prepared(seed), X, y, n_instances, params, among)
        return picks - n_labeled

    def _code(self, model, y):
        return as_labels(y)  # its strategy may ask no model; `_codes` numbers them

    def _asked(self):
        """Name the argument of the strategy that takes a classifier, if we have to give it."""
        names = inspect.signature(self.strategy.query).parameters
        given = self.query_params or {}
        return next((name for name in _CLASSIFIERS if name in names and name not in given), None)

    def _arguments(self, X, views):
        name = self._asked()
        if name is None:
            return dict(self.query_params or {})
        adapters = require_skactiveml()
        proba = adapters.join_proba(views.proba_labeled, views.proba_pool, views.n_labeled)
        model = adapters.KnownPredictions(X, proba)
        return {name: model, f"fit_{name}": False, **(self.query_params or {})}

    def _codes(self, y_labeled, n_labeled):
        if y_labeled is None:
            return np.zeros(n_labeled)
        labels = as_labels(y_labeled)
        classes = getattr(self.strategy, "classes", None)
        if classes is None:
            classes = find_classes(labels, np.full(n_labeled, True))
        else:
            classes = check_classes(classes, None).labels
        return encode_labels(labels, classes, None, name="y_labeled")

    def _seed(self):
        own = self.random_state
        seed = getattr(self.strategy, "random_state", None) if own is None else own
        return int(seed) if isinstance(seed, numbers.Integral) else draw_seed(seed)

    def _prepared(self, seed):
        """Clone the strategy, seeded, and told how labels are coded here."""
        strategy = clone(self.strategy)
        changes = {}
        for name, value in strategy.get_params().items():
            last = name.split("__")[-1]
            if last == "missing_label":
                changes[name] = np.nan
            elif last == "classes" and value is not None:
                changes[name] = np.arange(len(value))
            elif last == "random_state" and (value is None or self.random_state is not None):
                changes[name] = seed
        return strategy.set_params(**changes)


def _ask(strategy, X, y, n_instances, params, candidates=None):
    """Query until there are enough different rows."""
    rest, picks = np.flatnonzero(np.isnan(y)) if candidates is None else candidates, []
    while len(picks) < n_instances:
        size = n_instances - len(picks)
        try:
            answer = strategy.query(X, y, candidates=candidates, batch_size=size, **params)
        except Exception as error:
            error.add_note(f"Raised by scikit-activeml's {strategy!r}.")
            raise
        new = list(dict.fromkeys(np.ravel(answer).tolist()))
        if not set(new) <= set(rest.tolist()) or not new:
            raise RuntimeError(f"{strategy!r} returned {answer!r}: no candidates.")
        picks += new
        candidates = rest = np.setdiff1d(rest, new)
    return np.array(picks, dtype=np.int64)


def _stacked(*matrices):
    """Return rows below each other, as scikit-activeml takes them: dense, of float64."""
    shape = sum(matrix.shape[0] for matrix in matrices), matrices[0].shape[1]
    size = 8 * shape[0] * shape[1]
    if size > DENSE_LIMIT and any(map(issparse, matrices)):
        raise ValueError(
            f"The features of {shape[0]} samples are sparse with {shape[1]} columns; made dense, "
            f"as scikit-activeml needs them, they would take {size} bytes ({size / 2**30:.1f} "
            f"GiB), and the limit is {DENSE_LIMIT / 2**30:g} GiB. Put a step such as "
            "TruncatedSVD(n_components=256) before the classifier in a pipeline, give the "
            "estimator a method embed that returns fewer columns, or take a strategy of "
            "skactivekd, which takes them as they are. Where the memory is there, a step that "
            "returns X.toarray() makes them dense all the same."
        )
    X, start = np.empty(shape), 0
    for matrix in matrices:
        for rows, block in blocks(matrix):
            X[start : start + matrix.shape[0]][rows] = block
        start += matrix.shape[0]
    return X


def _check_arguments(strategy, params):
    try:
        inspect.signature(strategy.query).bind(None, None, **params)
    except TypeError as error:
        kind = type(strategy).__name__
        raise TypeError(f"{kind}.query: {error}; query_params is {sorted(params)}.") from None


def _check_strategy(strategy):
    base = require_skactiveml().SingleAnnotatorPoolQueryStrategy
    if not isinstance(strategy, base):
        raise TypeError(
            f"strategy must be a {base.__name__} of scikit-activeml, e.g. TypiClust(), "
            f"got {strategy!r}."
        )
