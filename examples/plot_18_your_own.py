"""
A strategy, an encoder, a teacher of your own
=============================================

Each takes a few lines, and one more line tests it as those of the package are tested.
"""

# %%
# A strategy says what it looks at, and picks. This one asks what the model is least sure of, the
# predicted classes taking turns. The check says nothing where nothing is wrong; it also asks for
# picks by a model that knows one class.

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skactivekd import (
    Embedder,
    LabeledOnly,
    LabelEfficiencyDisplay,
    Margin,
    area_under_curve,
    labels_to_reach,
    load_glyph_digits,
    rank_table,
    simulate,
)
from skactivekd.encoders import Encoder, RowError, SkippedRowsWarning
from skactivekd.query import QueryStrategy
from skactivekd.utils.estimator_checks import check_encoder, check_query_strategy, check_teacher


class MarginInTurns(QueryStrategy):
    """Take the smallest margins, one of each predicted class at a time."""

    needs = ("proba_pool",)

    def __init__(self, *, missing_label=-1):
        self.missing_label = missing_label

    def _pick(self, views, n_instances):
        proba = np.asarray(views.proba_pool)
        ordered = np.sort(np.pad(proba, ((0, 0), (1, 0))), axis=1)  # one class has no second
        by_margin = np.argsort(ordered[:, -1] - ordered[:, -2], kind="stable")
        predicted = proba.argmax(axis=1)[by_margin]
        turn = pd.Series(predicted).groupby(predicted).cumcount()
        return by_margin[np.argsort(turn, kind="stable")][:n_instances]


check_query_strategy(MarginInTurns())

# %%
# An encoder gives embeddings of the good rows, and says what is wrong with the others. Norms,
# batches, the cache and the errors come from its base.


class Coarse(Encoder):
    """See a digit of 8 x 8 pixels as 4 x 4 of them."""

    def __init__(self, on_error="raise", batch_size=64, cache=None):
        self.on_error, self.batch_size, self.cache = on_error, batch_size, cache

    def encode_image(self, X):
        return self._encode("encode_image", X)

    def _embed_image(self, X, run):
        images = np.asarray(X)
        blank = {row: "nothing is drawn" for row, image in enumerate(images) if not image.any()}
        drawn = np.delete(images, list(blank), axis=0)
        return drawn.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16), blank

    def _identity(self, params, run):
        return "means of 2 x 2 pixels"


X, y = load_glyph_digits(return_X_y=True)
check_encoder(Coarse(), X[:8])

# %%
# Bad rows are named all at once, in a `RowError` or, on request, in a warning. Of images the error
# is an `~skactivekd.encoders.ImageError`, of texts a `~skactivekd.encoders.TextError`.

spoiled = X[:5].copy()
spoiled[[1, 3]] = 0
try:
    Coarse().encode_image(spoiled)
except RowError as error:
    print(error)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always", SkippedRowsWarning)
    Coarse(on_error="skip").encode_image(spoiled)
print(caught[0].message)

# %%
# A classifier on its embeddings is a teacher that learns from labels.

teacher = LabeledOnly(make_pipeline(Embedder(Coarse()), LogisticRegression(C=10)))
check_teacher(teacher, X[:60], y[:60])

# %%
# Is the strategy worth it? Against its model, and random labels:

results = simulate(
    LabeledOnly(
        make_pipeline(Embedder(Coarse()), LogisticRegression(C=10, max_iter=300)), classes=range(10)
    ),
    *(X[::2], y[::2]),
    X_test=X[1::2],
    y_test=y[1::2],
    strategies={"in turns": MarginInTurns(), "margin": Margin()},
    n_rounds=6,
    n_instances=10,
    seeds=3,
    progress=False,
)
LabelEfficiencyDisplay.from_results(results)
plt.show()

# %%
# The same in figures: the mean accuracy of each curve, the labels until 75 %, and how often each is
# first or near it. With three seeds, differences of a point mean little.

print(area_under_curve(results).groupby("strategy")["area"].mean().round(3).to_string())
print(labels_to_reach(results, 0.75).groupby("strategy")["labels"].median().to_string())
print(rank_table(results).round(2).to_string())
