"""
Pipeline and grid search
========================

A teacher and a student in one scikit-learn pipeline, its distillation weights
found by cross-validation on few labeled rows.
"""

# %%
# Handwritten digits, of which 40 are labeled. Unlabeled rows carry ``-1``.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline

from skactivekd import (
    DHOClassifier,
    LabeledStratifiedKFold,
    TeacherProba,
    ZeroShotTeacher,
    load_glyph_digits,
)

X, y = load_glyph_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)
rng = np.random.RandomState(0)
known = np.full_like(y, -1)
labeled = np.concatenate([rng.choice(np.flatnonzero(y == c), 4, replace=False) for c in range(10)])
known[labeled] = y[labeled]

# %%
# The default teacher is a tiny CLIP that has never seen a handwritten digit.
# It needs no labels at all.

teacher = ZeroShotTeacher().fit()
print(f"Zero-shot teacher: {teacher.score(X_test, y_test):.3f}")

# %%
# `TeacherProba` shows it every training row once and hands what it says to the
# student. The search may set any parameter of the pipeline, those of the network
# included; this one asks how far the student should follow its teacher, for which
# the network is trained once for each fold. `LabeledStratifiedKFold` keeps unlabeled
# rows in training and out of the scores, and the teacher encodes no row twice. For classifiers
# that know nothing of unlabeled rows, `~skactivekd.labeled_accuracy` is the ``scoring=``.

pipe = make_pipeline(TeacherProba(teacher), DHOClassifier(random_state=0))
weights = [0.1, 0.3, 0.5, 0.7, 0.9, 1.0]
grid = {"dhoclassifier__distill_weight": weights}
search = GridSearchCV(pipe, grid, cv=LabeledStratifiedKFold(2)).fit(X, known)
print(search.best_params_)
print(f"Cross-validated on the 40 labels: {search.best_score_:.3f}")
print(f"On the test set: {search.score(X_test, y_test):.3f}")

# %%
# Without a search, ``distill_weight="auto"`` averages over such weights, by what the
# labels say of them.

pipe.fit(X, known)
print(f"Followed by {pipe[-1].distill_weight_:.2f}: {pipe.score(X_test, y_test):.3f}")

fig, ax = plt.subplots(layout="constrained")
ax.plot(weights, search.cv_results_["mean_test_score"])
ax.axvline(pipe[-1].distill_weight_, color="gray", linestyle="dotted", label='"auto"')
ax.set(xlabel="distill_weight", ylabel="cross-validated accuracy")
ax.legend()
plt.show()
