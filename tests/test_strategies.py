"""What each strategy picks, and what it asks of an estimator."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from scipy.spatial.distance import cdist
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC

from skactivekd.query import (
    Badge,
    CoreSet,
    Entropy,
    LeastConfidence,
    Margin,
    PCoreSet,
    QueryStrategy,
    Random,
    _base,
)
from skactivekd.query._features import ask_proba_embed, embed


class Echo:
    """An estimator whose predictions are the samples themselves."""

    def predict_proba(self, X):
        return X


def probabilities(n, n_classes=5, seed=0):
    return np.random.default_rng(seed).dirichlet(np.full(n_classes, 0.5), size=n)


def farthest_first(pool, labeled, n, metric):
    known, picks = list(labeled), []
    for _ in range(n):
        picks.append(int(cdist(pool, known, metric).min(axis=1).argmax()))
        known.append(pool[picks[-1]])
    return picks


def learner_with(X, y, model=None):
    """Offer what strategies ask of a modAL learner."""
    model = model or Echo()
    return SimpleNamespace(
        X_training=X, y_training=y, estimator=model, predict_proba=model.predict_proba
    )


def call(strategy, learner, X_pool, n_instances=1):
    """Call a strategy as modAL does; return the indices, whatever modAL unpacks."""
    result = strategy(learner, X_pool, n_instances=n_instances)
    return result[0] if isinstance(result, tuple) else result


# The rules


def test_pcoreset_is_farthest_first_among_probabilities():
    pool, labeled = probabilities(80), probabilities(6, seed=1)
    expected = farthest_first(pool, labeled, 15, "euclidean")
    np.testing.assert_array_equal(PCoreSet().select(pool, labeled, 15), expected)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_coreset_is_farthest_first_among_features(metric):
    rng = np.random.default_rng(0)
    pool, labeled = rng.normal(size=(80, 4)), rng.normal(size=(6, 4))
    expected = farthest_first(pool, labeled, 15, metric)
    np.testing.assert_array_equal(
        CoreSet(metric=metric).select(features_pool=pool, features_labeled=labeled, n_instances=15),
        expected,
    )


def test_coreset_default_ignores_the_length_of_rows():
    pool = np.random.default_rng(0).normal(size=(30, 4))
    scale = np.geomspace(1e-20, 1e20, 30)[:, None]
    np.testing.assert_array_equal(
        CoreSet().select(features_pool=pool * scale, features_labeled=pool[:2], n_instances=9),
        CoreSet().select(features_pool=pool, features_labeled=pool[:2], n_instances=9),
    )


def test_coreset_takes_rows_of_zeros():
    assert CoreSet().select(
        features_pool=[[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]],
        features_labeled=[[3.0, 0.0]],
        n_instances=3,
    ).tolist() == [
        2,
        0,
        1,
    ]


def test_coreset_refuses_an_unknown_metric():
    with pytest.raises(ValueError, match="metric='l1' must be one of"):
        CoreSet(metric="l1").select(features_pool=[[0.0]])


def test_entropy_takes_the_highest_first():
    proba = probabilities(50)
    entropy = -(proba * np.log(proba)).sum(axis=1)
    np.testing.assert_array_equal(Entropy().select(proba, None, 7), np.argsort(-entropy)[:7])


def test_entropy_of_certain_predictions_is_zero():
    assert Entropy().select([[1.0, 0.0], [0.5, 0.5]], n_instances=2).tolist() == [1, 0]


def test_entropy_ties_between_permuted_rows_go_to_the_first():
    rng = np.random.default_rng(0)
    row = rng.dirichlet(np.ones(11))
    rows = np.array([rng.permutation(row) for _ in range(40)])
    assert Entropy().select(rows, None, 40).tolist() == list(range(40))


def test_margin_takes_the_smallest_first():
    proba = probabilities(50)
    top = np.sort(proba)[:, ::-1]
    expected = np.argsort(top[:, 0] - top[:, 1])[:7]
    np.testing.assert_array_equal(Margin().select(proba, None, 7), expected)


def test_least_confidence_takes_the_lowest_top_probability_first():
    proba = probabilities(50)
    expected = np.argsort(proba.max(axis=1))[:7]
    np.testing.assert_array_equal(LeastConfidence().select(proba, None, 7), expected)


def test_uncertainties_agree_on_two_classes_and_differ_on_three():
    pair = probabilities(50, 2)
    orders = [strategy.select(pair, None, 50).tolist() for strategy in (Entropy(), Margin())]
    assert LeastConfidence().select(pair, None, 50).tolist() == orders[0] == orders[1]
    rows = [[0.5, 0.49, 0.01], [0.45, 0.275, 0.275], [0.48, 0.3, 0.22]]
    assert Margin().select(rows, None, 3).tolist() == [0, 1, 2]
    assert LeastConfidence().select(rows, None, 3).tolist() == [1, 2, 0]


@pytest.mark.parametrize("strategy", [Entropy(), Margin(), LeastConfidence(), PCoreSet()])
def test_ties_go_to_the_first_row(strategy):
    pool = np.tile([[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]], (100, 1))
    best = [1, 2, 0] if isinstance(strategy, PCoreSet) else [0, 3, 6]
    assert strategy.select(pool, None, 3).tolist() == best
    if not isinstance(strategy, PCoreSet):
        assert strategy.select(pool, None, 100).tolist() == list(range(0, 300, 3))
    assert strategy.select(np.ones((4, 1)), None, 3).tolist() == [0, 1, 2]


def test_random_is_spread_evenly():
    counts = np.zeros(10)
    for seed in range(1000):
        counts[Random(random_state=seed).select(range(10), None, 3)] += 1
    assert counts.min() > 230
    assert counts.max() < 370


def test_random_with_a_seed_repeats_within_a_round_and_differs_between_rounds():
    strategy = Random(random_state=3)
    first = strategy.select(range(1000), None, 20)
    np.testing.assert_array_equal(first, strategy.select(range(1000), range(0), 20))
    assert set(first) != set(strategy.select(range(1000), range(10), 20))
    assert set(first) != set(Random(random_state=4).select(range(1000), None, 20))


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(0)])
def test_random_without_an_int_draws_anew(random_state):
    strategy = Random(random_state=random_state)
    assert set(strategy.select(range(1000), None, 20)) != set(
        strategy.select(range(1000), None, 20)
    )


def test_random_refuses_what_is_no_random_state():
    with pytest.raises(ValueError, match="cannot be used to seed"):
        Random(random_state="seed").select(range(5))


@pytest.mark.parametrize(
    "strategy", [PCoreSet(), Entropy(), Margin(), LeastConfidence(), CoreSet()]
)
def test_tensors_and_memmaps_are_welcome(strategy, tmp_path):
    def select(pool, labeled):
        return strategy.select(
            pool, labeled, 5, features_pool=pool, features_labeled=labeled
        ).tolist()

    pool, labeled = probabilities(30), probabilities(4, seed=1)
    np.save(tmp_path / "pool.npy", pool)
    expected = select(pool, labeled)
    mapped = np.load(tmp_path / "pool.npy", mmap_mode="r")
    assert select(mapped, labeled) == expected
    assert select(torch.tensor(pool, requires_grad=True), torch.tensor(labeled)) == expected


# What is refused


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.5, 0.6], r"proba_pool: row 2 does not sum to one; are these logits\?"),
        ([1.5, -0.5], r"proba_pool: row 2 has a negative value; are these logits\?"),
        ([np.nan, 1.0], "proba_pool: row 2 has a value that is not finite"),
    ],
)
def test_rows_that_are_no_probabilities_are_named(row, message):
    with pytest.raises(ValueError, match=message):
        PCoreSet().select([[0.5, 0.5], [0.1, 0.9], row])


def test_faults_in_the_labeled_rows_are_named():
    with pytest.raises(ValueError, match="proba_labeled: row 0 does not sum"):
        PCoreSet().select([[0.5, 0.5]], [[0.0, 0.0]])
    with pytest.raises(ValueError, match="proba_pool has 2 columns but proba_labeled has 3"):
        PCoreSet().select([[0.5, 0.5]], [[0.0, 0.0, 1.0]])
    with pytest.raises(ValueError, match=r"features_labeled: row 1 .*not finite"):
        CoreSet().select(features_pool=[[0.5]], features_labeled=[[0.0], [np.inf]])


def test_rounding_of_half_precision_is_tolerated():
    proba = probabilities(50, 100).astype(np.float16)
    assert len(PCoreSet().select(proba, None, 5)) == 5


def test_one_dimension_is_refused():
    with pytest.raises(ValueError, match=r"proba_pool must have two dimensions.*\(2,\)"):
        Entropy().select([0.5, 0.5])


@pytest.mark.parametrize(
    ("y", "missing_label", "hint"),
    [
        ([0, -1, 1], np.nan, r"-1 .* in row 1, while missing_label=nan.* mean missing_label=-1"),
        ([0, -1, 1], None, r"-1 .* in row 1, while missing_label=None.* mean missing_label=-1"),
        ([0.0, np.nan, 1.0], -1, r"nan .* in row 1.*did you mean missing_label=np.nan"),
        (["a", None, "b"], "?", r"None .* in row 1.*did you mean missing_label=None"),
        (np.array(["a", "-1", "b"]), -1, r"'-1' .* in row 1.* missing_label='-1'"),
        ([0, 1, 1], -1, r"y has no missing_label=-1: no row is left to select\.$"),
        ([[0, 0], [-1, 0], [1, 0]], -1, r"should be a 1d array, but y has shape \(3, 2\)"),
        ([0, -1], -1, "X has 3 rows but y has 2"),
    ],
)
def test_a_y_that_does_not_fit_is_explained(y, missing_label, hint):
    with pytest.raises(ValueError, match=hint):
        PCoreSet(missing_label=missing_label).query(np.full((3, 2), 0.5), y, Echo())


def test_a_marker_of_another_name_is_guessed():
    model = LogisticRegression().fit([[0.0], [1.0]], ["cat", "dog"])
    with pytest.raises(ValueError, match=r"no class 'open': .* pass missing_label='open'"):
        Margin().query(np.zeros((3, 1)), ["cat", "dog", "open"], model)


def test_an_estimator_without_probabilities_is_named():
    model = LinearSVC().fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(TypeError, match=r"Margin needs an estimator with predict_proba.*LinearSVC"):
        Margin().query([[0.0], [1.0]], [0, -1], model)


# X of any kind


X = probabilities(12, 3)
CONTAINERS = {
    "array": X,
    "list": X.tolist(),
    "frame": pd.DataFrame(X, index=range(100, 112), columns=list("abc")),
    "csr": sparse.csr_array(X),
    "coo": sparse.coo_array(X),
    "dia": sparse.dia_array(X),
}


@pytest.mark.parametrize(
    "strategy", [PCoreSet(), CoreSet(), Entropy(), Margin(), Random(random_state=0)]
)
@pytest.mark.parametrize("name", CONTAINERS)
def test_containers_of_samples_do_not_matter(strategy, name):
    y = np.array([0, -1, 1, -1, -1, -1, 2, -1, -1, -1, -1, 0])
    samples = CONTAINERS[name]
    model = make_pipeline(StandardScaler(with_mean=False), LogisticRegression())
    expected = strategy.query(X, y, model.fit(X, np.arange(12) % 3), 4)
    picks = strategy.query(samples, y, model.fit(samples, np.arange(12) % 3), 4)
    np.testing.assert_array_equal(picks, expected)


def test_images_are_sliced_along_the_first_axis():
    images = np.random.default_rng(0).random((10, 4, 4, 3))
    flat = FunctionTransformer(lambda X: X.reshape(len(X), -1))
    y = np.array([0, 1, *[-1] * 8])
    model = make_pipeline(flat, LogisticRegression()).fit(images[:2], y[:2])
    expected = 2 + CoreSet().select(
        features_pool=images[2:].reshape(8, -1),
        features_labeled=images[:2].reshape(2, -1),
        n_instances=3,
    )
    np.testing.assert_array_equal(CoreSet().query(images, y, model, 3), expected)


# Embeddings


class Doubling(LogisticRegression):
    """An estimator with an embedding."""

    def embed(self, X):
        return 2 * np.asarray(X)


ROWS = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 8.0], [6.0, 0.0]])
Y = [0, 0, 1, 1]


def test_embed_asks_the_estimator():
    np.testing.assert_array_equal(embed(Doubling().fit(ROWS, Y), ROWS), 2 * ROWS)


def test_embed_goes_through_pipelines_and_searches():
    pipe = make_pipeline(FunctionTransformer(np.negative), Doubling())
    np.testing.assert_array_equal(embed(pipe.fit(ROWS, Y), ROWS), -2 * ROWS)
    search = GridSearchCV(pipe, {"doubling__C": [1.0]}, cv=2).fit(ROWS, Y)
    np.testing.assert_array_equal(embed(search, ROWS), -2 * ROWS)
    alone = make_pipeline(Doubling()).fit(ROWS, Y)
    np.testing.assert_array_equal(embed(alone, ROWS), 2 * ROWS)
    np.testing.assert_array_equal(embed(FrozenEstimator(pipe), ROWS), -2 * ROWS)


def test_embed_without_an_embedding_is_what_reaches_the_estimator():
    pipe = make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, Y)
    np.testing.assert_array_equal(embed(pipe, ROWS), StandardScaler().fit_transform(ROWS))
    rows = sparse.csr_array(ROWS)
    assert embed(LogisticRegression(), rows) is rows


def test_coreset_refuses_features_that_are_not_rows():
    with pytest.raises(ValueError, match=r"features_pool must have two dimensions.*\(2, 2, 2\)"):
        CoreSet().query(np.zeros((3, 2, 2)), [0, -1, -1], LogisticRegression())


class Both(Doubling):
    """An estimator that gives probabilities and its embedding in one go."""

    def predict_proba_embed(self, X):
        return np.full((len(X), 2), 0.5), 3 * np.asarray(X)


class LaterProba(Both):
    def predict_proba(self, X):
        return np.full((len(X), 2), [0.9, 0.1])


class LaterEmbed(Both):
    def embed(self, X):
        return 5 * np.asarray(X)


class SharpPipeline(Pipeline):
    """A pipeline that makes something else of its last step's predictions."""

    def predict_proba(self, X):
        return np.round(super().predict_proba(X))


def sharpened(model):
    return SharpPipeline([("negative", FunctionTransformer(np.negative)), ("model", model)])


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        Doubling(),
        LaterProba(),
        LaterEmbed(),
        make_pipeline(StandardScaler(), LaterProba()),
        sharpened(LogisticRegression()),
        sharpened(Both()),
        GridSearchCV(sharpened(Doubling()), {"model__C": [1.0]}, cv=2),
    ],
    ids=str,
)
def test_probabilities_and_features_are_those_of_two_questions(model):
    model.fit(ROWS, Y)
    for asked in (model, FrozenEstimator(model)):
        proba, features = ask_proba_embed(Badge(), asked, ROWS)
        np.testing.assert_array_equal(proba, model.predict_proba(ROWS))
        np.testing.assert_array_equal(features, embed(model, ROWS))


@pytest.mark.parametrize(
    "wrap",
    [lambda model: model, FrozenEstimator, lambda model: make_pipeline("passthrough", model)],
)
def test_one_question_is_put_where_it_has_an_answer(wrap):
    proba, features = ask_proba_embed(Badge(), wrap(Both().fit(ROWS, Y)), ROWS)
    np.testing.assert_array_equal(proba, np.full((4, 2), 0.5))
    np.testing.assert_array_equal(features, 3 * ROWS)


def test_an_answer_put_on_the_instance_counts():
    model = Both().fit(ROWS, Y)
    model.predict_proba = lambda X: np.full((len(X), 2), [0.9, 0.1])
    assert ask_proba_embed(Badge(), model, ROWS)[0][0].tolist() == [0.9, 0.1]


# modAL's call


def test_the_call_tells_labeled_rows_by_their_label():
    pool, labeled = probabilities(30), probabilities(5, seed=1)
    expected = PCoreSet().select(pool, labeled, 4)
    whole = np.concatenate([pool[:10], labeled, pool[10:]])
    y = np.concatenate([np.full(10, -1), np.arange(5), np.full(20, -1)])
    for learner in (learner_with(labeled, np.arange(5)), learner_with(whole, y)):
        np.testing.assert_array_equal(call(PCoreSet(), learner, pool, 4), expected)


def test_the_call_works_before_there_is_any_label():
    pool = probabilities(30)
    expected = PCoreSet().select(pool, None, 4)
    for learner in (learner_with(None, None), learner_with(pool, np.full(30, -1))):
        np.testing.assert_array_equal(call(PCoreSet(), learner, pool, 4), expected)


def test_coreset_embeds_with_the_estimator_of_the_learner():
    model = Doubling().fit(ROWS, Y)
    picks = call(CoreSet(), learner_with(ROWS[:1], Y[:1], model), ROWS[1:], 2)
    np.testing.assert_array_equal(
        picks, CoreSet().select(features_pool=ROWS[1:], features_labeled=ROWS[:1], n_instances=2)
    )


def test_the_call_refuses_nan_labels_unless_they_mean_missing():
    learner = learner_with(probabilities(3), [0.0, np.nan, 1.0])
    with pytest.raises(ValueError, match=r"nan .* in row 1.*missing_label=np.nan"):
        PCoreSet()(learner, probabilities(5))
    assert len(call(PCoreSet(missing_label=np.nan), learner, probabilities(5))) == 1


def test_the_call_refuses_a_learner_that_keeps_no_labels():
    with pytest.raises(TypeError, match="SimpleNamespace does not"):
        PCoreSet()(SimpleNamespace(predict_proba=None), probabilities(5))


@pytest.mark.parametrize("n_instances", [1, 2, 3])
@pytest.mark.parametrize(
    ("release", "pair"),
    [("0.4.1", False), ("0.4.2", True), ("0.4.2.1", True), ("0.5", True), ("1.0rc1", True)],
)
def test_modal_gets_what_its_version_unpacks(monkeypatch, release, pair, n_instances):
    monkeypatch.setattr(_base, "version", {"modAL-python": release}.__getitem__)
    _base._modal_wants_pair.cache_clear()
    try:
        pool = probabilities(30)
        result = PCoreSet()(learner_with(None, None), pool, n_instances=n_instances)
    finally:
        _base._modal_wants_pair.cache_clear()
    expected = PCoreSet().select(pool, None, n_instances)
    if pair:
        result, metrics = result
        assert metrics is None
    np.testing.assert_array_equal(result, expected)


def test_the_version_of_modal_is_looked_up_once(monkeypatch):
    asked = []
    monkeypatch.setattr(_base, "version", lambda name: asked.append(name) or "0.4.1")
    _base._modal_wants_pair.cache_clear()
    for _ in range(3):
        PCoreSet()(learner_with(None, None), probabilities(5))
    _base._modal_wants_pair.cache_clear()
    assert asked == ["modAL-python"]


# One's own strategy


def test_a_subclass_needs_only_its_view_and_its_rule():
    class Last(QueryStrategy):
        needs = ("features_pool",)

        def __init__(self, *, missing_label=-1):
            self.missing_label = missing_label

        def _pick(self, views, n_instances):
            assert views.proba_pool is views.features_labeled is None
            return np.arange(len(views.features_pool))[::-1][:n_instances]

    assert Last().query(np.zeros((4, 1)), [-1, 0, -1, -1], None, 2).tolist() == [3, 2]
