"""Strategies of scikit-activeml as ours, and ours as its strategies."""

import importlib
import sys

import numpy as np
import pytest
import skactiveml.pool
from skactiveml.base import SingleAnnotatorPoolQueryStrategy
from skactiveml.classifier import ParzenWindowClassifier, SklearnClassifier
from skactiveml.pool import (
    ContrastiveAL,
    CostEmbeddingAL,
    DiscriminativeAL,
    MonteCarloEER,
    ProbCover,
    QueryByCommittee,
    RandomSampling,
    SubSamplingWrapper,
    TypiClust,
    UncertaintySampling,
)
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skactivekd.query import (
    Badge,
    ClassBalanced,
    CoreSet,
    Entropy,
    FromSkactiveml,
    LeastConfidence,
    Margin,
    PCoreSet,
    QueryStrategy,
    Random,
    _skactiveml_classes,
    to_skactiveml,
)

NAN = np.nan
QUERY = sys.modules["skactivekd.query"]
N = 60


@pytest.fixture
def X():
    X = np.random.default_rng(0).normal(size=(N, 3))
    X[N // 2 :] += 4
    return X


@pytest.fixture
def y():
    """Labels of eight rows in two blobs, at rows that are not the first."""
    y = np.full(N, NAN)
    y[[3, 10, 11, 25, 33, 40, 41, 59]] = [0, 0, 0, 0, 1, 1, 1, 1]
    return y


@pytest.fixture
def model(X, y):
    return GaussianNB().fit(X[~np.isnan(y)], y[~np.isnan(y)])


def ours(strategy, **params):
    return FromSkactiveml(strategy, **{"random_state": 0, "missing_label": NAN, **params})


def labeled_first(X, y):
    """Return the order in which the adapter hands the rows on."""
    return np.argsort(np.isnan(y), kind="stable")


# Theirs as ours


@pytest.mark.parametrize("n_instances", [1, 2, 3, 7, 30])
@pytest.mark.parametrize("n_labeled", [0, 1, 8])
@pytest.mark.parametrize(
    "strategy",
    [
        TypiClust(random_state=5),
        ProbCover(n_classes=2, random_state=5),
        ProbCover(n_classes=2, deltas=[0.4, 0.8], random_state=5),
        skactiveml.pool.CoreSet(random_state=5),
    ],
    ids=["TypiClust", "ProbCover", "ProbCover-deltas", "CoreSet"],
)
def test_strategies_on_features_pick_what_they_pick_by_themselves(
    strategy, X, y, n_labeled, n_instances
):
    y[np.flatnonzero(~np.isnan(y))[n_labeled:]] = NAN
    order = labeled_first(X, y)
    expected = order[clone(strategy).query(X[order], y[order], batch_size=n_instances)]
    picks = ours(strategy, random_state=None).query(X, y, None, n_instances)
    np.testing.assert_array_equal(picks, expected)
    again = ours(clone(strategy).set_params(random_state=None), random_state=5)
    np.testing.assert_array_equal(again.query(X, y, None, n_instances), expected)


@pytest.mark.parametrize(
    "strategy",
    [UncertaintySampling(method="entropy"), skactiveml.pool.Badge(), ContrastiveAL()],
)
def test_strategies_that_ask_a_classifier_get_the_predictions_of_ours(strategy, X, y):
    # The same model, wrapped by scikit-activeml and fitted by itself.
    order = labeled_first(X, y)
    clf = SklearnClassifier(LogisticRegression(), classes=[0, 1])
    seeded = clone(strategy).set_params(random_state=0)
    expected = order[seeded.query(X[order], y[order], clf, batch_size=5)]
    known = ~np.isnan(y)
    fitted = LogisticRegression().fit(X[known], y[known])
    np.testing.assert_array_equal(ours(strategy).query(X, y, fitted, 5), expected)


def test_typiclust_takes_one_of_each_blob_and_probcover_the_uncovered_one(X):
    assert sorted(ours(TypiClust()).select(features_pool=X, n_instances=2) >= N // 2) == [
        False,
        True,
    ]
    picks = ours(TypiClust()).select(features_pool=X, features_labeled=X[:1], n_instances=1)
    assert (picks >= N // 2).all()
    tight = X * 0.1
    picks = ours(ProbCover(n_classes=2)).select(
        features_pool=tight[1:], features_labeled=tight[:20], n_instances=1, y_labeled=np.zeros(20)
    )
    assert picks[0] + 1 >= N // 2


def test_the_number_of_classes_comes_from_the_labels(X):
    class Counting(ProbCover):
        def query(self, X, y, candidates=None, batch_size=1):
            seen.append(sorted(set(y[~np.isnan(y)])))
            return super().query(X, y, candidates=candidates, batch_size=batch_size)

    seen = []
    ours(Counting()).select(
        features_pool=X, features_labeled=X[:3], y_labeled=["owl", "ant", "owl"]
    )
    ours(Counting()).select(features_pool=X, features_labeled=X[:3])
    assert seen == [[0, 1], [0]]


def test_features_are_those_of_the_model(X, y):
    class Doubling(GaussianNB):
        def embed(self, X):
            return X[:, :1] * 2

    model = Doubling().fit(X, np.arange(N) % 2)
    known = ~np.isnan(y)
    pool = np.flatnonzero(~known)
    expected = pool[
        ours(TypiClust()).select(
            features_pool=X[pool, :1] * 2, features_labeled=X[known, :1] * 2, n_instances=4
        )
    ]
    np.testing.assert_array_equal(ours(TypiClust()).query(X, y, model, 4), expected)
    scaled = make_pipeline(StandardScaler(), GaussianNB()).fit(X, np.arange(N) % 2)
    Z = scaled[0].transform(X)
    expected = pool[
        ours(TypiClust()).select(features_pool=Z[pool], features_labeled=Z[known], n_instances=4)
    ]
    np.testing.assert_array_equal(ours(TypiClust()).query(X, y, scaled, 4), expected)


def test_wrappers_and_what_is_nested_in_them_are_seeded(X, y, model):
    nested = SubSamplingWrapper(UncertaintySampling(missing_label=-1), max_candidates=0.5)
    picks = [ours(nested, random_state=seed).query(X, y, model, 3) for seed in (0, 0, 1, 2, 3)]
    np.testing.assert_array_equal(picks[0], picks[1])
    assert len({tuple(row) for row in picks}) > 1
    typical = SubSamplingWrapper(TypiClust(), max_candidates=0.5)
    np.testing.assert_array_equal(
        ours(typical).query(X, y, None, 3), ours(typical).query(X, y, None, 3)
    )


@pytest.mark.parametrize("strategy", [TypiClust(), ProbCover(n_classes=2), RandomSampling()])
def test_random_states(strategy, X):
    state = np.random.get_state()[1].tolist(), np.random.get_state()[2]
    drawn = {
        tuple(ours(strategy, random_state=random_state).select(features_pool=X, n_instances=3))
        for random_state in (None, np.random.RandomState(0), *range(8))
    }
    assert len(drawn) > 1
    assert (np.random.get_state()[1].tolist(), np.random.get_state()[2]) == state
    own = ours(clone(strategy).set_params(random_state=3), random_state=None)
    np.testing.assert_array_equal(
        own.select(features_pool=X, n_instances=3), own.select(features_pool=X, n_instances=3)
    )


def test_rows_returned_twice_are_asked_for_again(X):
    class Stutter(RandomSampling):
        def query(self, X, y, candidates=None, batch_size=1):
            asked.append((None if candidates is None else len(candidates), batch_size))
            rows = np.flatnonzero(np.isnan(y)) if candidates is None else candidates
            return [rows[-1]] * batch_size

    asked = []
    assert ours(Stutter()).select(
        features_pool=X[:5], features_labeled=X[5:7], n_instances=3
    ).tolist() == [4, 3, 2]
    assert asked == [(None, 3), (4, 2), (3, 1)]


@pytest.mark.parametrize("answer", [[], [0]])
def test_answers_that_are_no_candidates_are_an_error(X, answer):
    class Broken(RandomSampling):
        def query(self, X, y, candidates=None, batch_size=1):
            return answer

    with pytest.raises(RuntimeError, match=r"Broken\(.*no candidates"):
        ours(Broken()).select(features_pool=X[:5], features_labeled=X[5:7], n_instances=2)


def test_errors_inside_name_the_strategy(X):
    with pytest.raises(TypeError) as caught:
        ours(TypiClust(k="many")).select(features_pool=X)
    assert "TypiClust(k='many'" in caught.value.__notes__[0]


def test_further_arguments_go_through(X, y, model):
    clf = ParzenWindowClassifier(classes=[0, 1])
    order = labeled_first(X, y)
    for strategy, params in (
        (DiscriminativeAL(), {"discriminator": clf}),
        (MonteCarloEER(), {"clf": clf}),
        (QueryByCommittee(), {"ensemble": [clf, clone(clf).set_params(n_neighbors=3)]}),
    ):
        if "ensemble" in params:
            params["ensemble"] = [member.fit(X[order], y[order]) for member in params["ensemble"]]
            params["fit_ensemble"] = False
        seeded = clone(strategy).set_params(random_state=0)
        expected = order[seeded.query(X[order], y[order], **params, batch_size=2)]
        picks = ours(strategy, query_params=params).query(X, y, model, 2)
        np.testing.assert_array_equal(picks, expected)


def test_a_missing_argument_is_named(X, y, model):
    with pytest.raises(TypeError, match=r"DiscriminativeAL.query: .*'discriminator'.*query_params"):
        ours(DiscriminativeAL()).query(X, y, model)
    with pytest.raises(TypeError, match=r"looks at proba_pool, .*by name: "):
        ours(UncertaintySampling()).select(features_pool=X)
    with pytest.raises(TypeError, match="FromSkactiveml needs an estimator with predict_proba"):
        ours(UncertaintySampling()).query(X, y, None)


def test_classes_of_the_strategy_are_coded_as_the_labels_are(X):
    names = np.where(np.arange(N) < N // 2, "owl", "ant")
    y = np.where(np.arange(N) % 5 == 0, names, "?")
    coded = np.where(y == "?", NAN, (names == "owl").astype(float))
    costs = np.array([[0, 1], [3, 0]])
    named = CostEmbeddingAL(classes=["ant", "owl"], cost_matrix=costs, missing_label="?")
    picks = ours(named, missing_label="?").query(X, y, None, 3)
    plain = CostEmbeddingAL(classes=[0, 1], cost_matrix=costs)
    np.testing.assert_array_equal(picks, ours(plain).query(X, coded, None, 3))


def test_predictions_are_looked_up_row_by_row():
    X, proba = np.arange(8.0).reshape(4, 2), np.eye(4) * 0.6 + 0.1
    clf = _skactiveml_classes.KnownPredictions(X, proba)
    np.testing.assert_array_equal(clf.predict_proba(X), proba)
    np.testing.assert_array_equal(clf.predict_proba(X[2:]), proba[2:])
    np.testing.assert_array_equal(clf.predict_proba(X[[2, 0, 2]]), proba[[2, 0, 2]])
    assert clf.predict(X[[1, 3]]).tolist() == [1, 3]
    with pytest.raises(ValueError, match="rows that are not in X: pass a classifier"):
        clf.predict_proba(X + 0.5)
    with pytest.raises(TypeError, match="fits its classifier itself"):
        clf.fit(X, [0, 1, 2, 3])


def test_predictions_that_are_needed_but_not_given(X):
    proba = np.full((N, 2), 0.5)
    known = {"proba_pool": proba[5:], "y_labeled": [0, 1, 0, 1, 1]}
    with pytest.raises(ValueError, match="predictions of labeled rows: proba_labeled"):
        ours(ContrastiveAL()).select(features_pool=X[5:], features_labeled=X[:5], **known)
    with pytest.raises(ValueError, match="proba_pool has 60 rows but features_pool has 55"):
        ours(UncertaintySampling()).select(
            features_pool=X[5:], features_labeled=X[:5], proba_pool=proba
        )
    with pytest.raises(ValueError, match="features_labeled has 5 rows but y_labeled"):
        ours(TypiClust()).select(features_pool=X[5:], features_labeled=X[:5], y_labeled=[0])


def test_what_is_no_strategy_of_theirs_is_refused(X):
    for strategy in (TypiClust, Entropy(), None):
        with pytest.raises(TypeError, match="SingleAnnotatorPoolQueryStrategy of scikit-activeml"):
            FromSkactiveml(strategy).select(features_pool=X)


# Ours as theirs

OURS = [
    Badge(),
    ClassBalanced(),
    CoreSet(),
    Entropy(),
    LeastConfidence(),
    Margin(),
    PCoreSet(),
    Random(),
    FromSkactiveml(UncertaintySampling()),
]


def names_of(strategies):
    return [type(strategy).__name__ for strategy in strategies]


@pytest.fixture(params=OURS, ids=names_of(OURS))
def strategy(request):
    params = request.param.get_params()
    seeded = {"random_state": 0} if "random_state" in params else {}
    return clone(request.param).set_params(missing_label=NAN, **seeded)


@pytest.fixture
def clf():
    return SklearnClassifier(GaussianNB(), classes=[0, 1])


def test_they_are_strategies_of_scikit_activeml(strategy):
    theirs = to_skactiveml(strategy, missing_label="?", random_state=3)
    assert isinstance(theirs, SingleAnnotatorPoolQueryStrategy)
    copy = clone(theirs)
    assert (copy.missing_label, copy.random_state) == ("?", 3)
    assert type(copy.strategy) is type(strategy)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 52])
def test_they_pick_what_ours_pick(strategy, X, y, model, clf, batch_size):
    picks = to_skactiveml(strategy).query(X, y, clf, batch_size=batch_size)
    np.testing.assert_array_equal(picks, strategy.query(X, y, model, batch_size))


def test_candidates_may_be_none_rows_or_samples(strategy, X, y, clf):
    theirs, rows = to_skactiveml(strategy), np.flatnonzero(np.isnan(y))
    expected, utilities = theirs.query(X, y, clf, batch_size=4, return_utilities=True)
    picks, same = theirs.query(X, y, clf, candidates=rows, batch_size=4, return_utilities=True)
    np.testing.assert_array_equal(picks, expected)
    np.testing.assert_array_equal(same, utilities)
    picks, short = theirs.query(X, y, clf, candidates=X[rows], batch_size=4, return_utilities=True)
    np.testing.assert_array_equal(rows[picks], expected)
    np.testing.assert_array_equal(short, utilities[:, rows])
    some = rows[[30, 4, 17]]
    assert set(theirs.query(X, y, clf, candidates=some, batch_size=3)) == set(some)


def test_utilities_are_highest_at_the_pick(strategy, X, y, clf):
    theirs = to_skactiveml(strategy)
    picks, utilities = theirs.query(X, y, clf, batch_size=5, return_utilities=True)
    assert utilities.shape == (5, N)
    np.testing.assert_array_equal(np.nanargmax(utilities, axis=1), picks)
    assert np.isnan(utilities[:, ~np.isnan(y)]).all()
    assert np.isnan(utilities).sum(axis=1).tolist() == [8, 9, 10, 11, 12]


def test_utilities_of_scores_are_the_scores(X, y, model, clf):
    _, utilities = to_skactiveml(LeastConfidence()).query(X, y, clf, return_utilities=True)
    pool = np.isnan(y)
    np.testing.assert_allclose(utilities[0, pool], 1 - model.predict_proba(X[pool]).max(axis=1))


@pytest.mark.parametrize("n_labeled", [0, 1])
def test_few_labels(strategy, X, y, n_labeled):
    clf = ParzenWindowClassifier(classes=[0, 1])
    y[np.flatnonzero(~np.isnan(y))[n_labeled:]] = NAN
    assert len(set(to_skactiveml(strategy).query(X, y, clf, batch_size=6))) == 6


def test_more_than_all_and_none_left(strategy, X, y, clf):
    with pytest.warns(UserWarning, match="batch_size=100"):
        picks = to_skactiveml(strategy).query(X, y, clf, batch_size=100)
    assert set(picks) == set(np.flatnonzero(np.isnan(y)))
    with (
        pytest.warns(UserWarning, match="batch_size=1"),
        pytest.raises(ValueError, match="No candidate is left"),
    ):
        to_skactiveml(strategy).query(X, np.zeros(N), clf)


def test_a_fitted_classifier_is_left_alone(strategy, X, y, clf):
    clf.fit(X, y)
    means = clf.estimator_.theta_.copy()
    expected = to_skactiveml(strategy).query(X, y, clf, batch_size=4)
    picks = to_skactiveml(strategy).query(X, y, clf, fit_clf=False, batch_size=4)
    np.testing.assert_array_equal(picks, expected)
    np.testing.assert_array_equal(clf.estimator_.theta_, means)
    weights = np.where(np.arange(N) == 3, 50.0, 1.0)
    to_skactiveml(strategy).query(X, y, clf, sample_weight=weights, batch_size=4)
    np.testing.assert_array_equal(clf.estimator_.theta_, means)


def test_random_state_of_theirs_governs(X, y):
    def picks(random_state):
        theirs = to_skactiveml(Random(random_state=1), random_state=random_state)
        return tuple(theirs.query(X, y, batch_size=5))

    assert picks(0) == picks(0) != picks(1)
    assert picks(None) == tuple(Random(random_state=1, missing_label=NAN).query(X, y, None, 5))
    state = np.random.get_state()[2]
    to_skactiveml(Random()).query(X, y)
    assert np.random.get_state()[2] == state


@pytest.mark.parametrize("missing_label", [-1, None, "?"])
def test_missing_labels_of_theirs(X, y, missing_label):
    names = [missing_label, 0, 1] if missing_label == -1 else [missing_label, "ant", "owl"]
    # Of dtype int, object or str, as scikit-activeml asks for each marker.
    labels = np.array([names[0 if np.isnan(label) else int(label) + 1] for label in y])
    clf = SklearnClassifier(GaussianNB(), classes=names[1:], missing_label=missing_label)
    expected = to_skactiveml(PCoreSet()).query(
        X, y, SklearnClassifier(GaussianNB(), classes=[0, 1]), batch_size=5
    )
    theirs = to_skactiveml(PCoreSet(), missing_label=missing_label)
    np.testing.assert_array_equal(theirs.query(X, labels, clf, batch_size=5), expected)


def test_another_missing_label_of_the_classifier_is_refused(X, y):
    clf = SklearnClassifier(GaussianNB(), classes=[0, 1], missing_label=-1)
    with pytest.raises(ValueError, match="missing_label1=-1 and missing_label2=nan must be equal"):
        to_skactiveml(Entropy()).query(X, y, clf)


def test_features_go_through_what_scikit_activeml_wraps(X, y):
    X = X * [1, 100, 1e4]
    pipe = make_pipeline(StandardScaler(), LogisticRegression())
    known = ~np.isnan(y)
    expected = CoreSet(missing_label=NAN).query(X, y, clone(pipe).fit(X[known], y[known]), 4)
    picks = to_skactiveml(CoreSet()).query(X, y, SklearnClassifier(pipe), batch_size=4)
    np.testing.assert_array_equal(picks, expected)


def test_strategies_that_need_no_model_need_no_classifier(X, y):
    expected = CoreSet(missing_label=NAN).query(X, y, None, 3)
    np.testing.assert_array_equal(to_skactiveml(CoreSet()).query(X, y, batch_size=3), expected)
    with pytest.raises(TypeError, match="PCoreSet needs an estimator with predict_proba, got None"):
        to_skactiveml(PCoreSet()).query(X, y)


def test_their_wrappers_take_ours(X, y, clf):
    wrapped = SubSamplingWrapper(to_skactiveml(Margin()), max_candidates=10, random_state=0)
    assert len(set(wrapped.query(X, y, clf=clf, batch_size=3))) == 3


def test_there_and_back_again(X, y, model):
    back = ours(to_skactiveml(PCoreSet()))
    expected = PCoreSet(missing_label=NAN).query(X, y, model, 6)
    np.testing.assert_array_equal(back.query(X, y, model, 6), expected)


def test_what_is_no_strategy_of_ours_is_refused():
    for strategy in (TypiClust(), Entropy, None):
        with pytest.raises(TypeError, match="must be one of skactivekd's query strategies"):
            to_skactiveml(strategy)
    assert issubclass(FromSkactiveml, QueryStrategy)


# Without scikit-activeml


def test_without_scikit_activeml_all_imports_work_and_the_extra_is_named(monkeypatch, X):
    import skactivekd

    monkeypatch.setattr(skactivekd, "query", skactivekd.query)  # put back afterwards
    for name in list(sys.modules):
        if name.startswith("skactivekd.query"):
            monkeypatch.delitem(sys.modules, name)
        elif name.split(".")[0] == "skactiveml":
            monkeypatch.setitem(sys.modules, name, None)
    query = importlib.import_module("skactivekd.query")
    assert query is not QUERY
    assert len(query.Random().select(X)) == 1
    hint = r"scikit-activeml: pip install skactivekd\[skactiveml\]"
    with pytest.raises(ImportError, match=hint):
        query.to_skactiveml(query.Entropy())
    with pytest.raises(ImportError, match=hint):
        query.FromSkactiveml(TypiClust()).select(features_pool=X)
