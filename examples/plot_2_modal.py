"""
modAL's ActiveLearner with PCoreSet
===================================

The strategies are callables as modAL wants them, and the student is an
estimator as modAL wants it.
"""

# %%
# The learner holds the whole pool from the start, so that the student distills
# from every row; those nobody has labeled carry ``-1``.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from skactivekd import (
    DHOClassifier,
    PCoreSet,
    TeacherProba,
    ZeroShotTeacher,
    load_glyph_digits,
)
from skactivekd.modal import ActiveLearner

X, y = load_glyph_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)
first = [np.flatnonzero(y == label)[0] for label in range(10)]
known = np.full_like(y, -1)
known[first] = y[first]

learner = ActiveLearner(
    estimator=make_pipeline(TeacherProba(ZeroShotTeacher()), DHOClassifier(random_state=0)),
    query_strategy=PCoreSet(),
    X_training=X,
    y_training=known,
)

# %%
# Ask, label, teach, repeat. Here the answers are looked up.

pool = np.setdiff1d(np.arange(len(y)), first)
scores = [learner.score(X_test, y_test)]
for _ in range(4):
    picks, samples = learner.query(X[pool], n_instances=10)
    learner.teach(samples, y[pool[picks]])
    pool = np.delete(pool, picks)
    scores.append(learner.score(X_test, y_test))

# %%
# The last batch, and the accuracy so far.

fig, axes = plt.subplots(1, 10, figsize=(8, 1.2), layout="constrained")
for ax, image in zip(axes, samples, strict=True):
    ax.imshow(image, cmap="gray_r")
    ax.axis("off")
for n_labels, score in zip(range(10, 60, 10), scores, strict=True):
    print(f"{n_labels} labels: {score:.3f}")
plt.show()
