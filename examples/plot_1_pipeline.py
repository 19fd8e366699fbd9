"""
Pipeline and grid search
========================

A teacher and a student in one scikit-learn pipeline, its distillation weights
found by cross-validation on few labelled rows.
"""

# %%
# Handwritten digits, of which 40 are labelled. Unlabelled rows carry ``-1``.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline

from skactivekd import (
    DHOClassifier,
    DHONet,
    LabeledStratifiedKFold,
    TeacherProba,
    ZeroShotTeacher,
    load_glyph_digits,
)

X, y = load_glyph_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)
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
# included. `LabeledStratifiedKFold` keeps unlabelled rows in training and out of
# the scores, and the teacher encodes no row twice in the whole search.

pipe = make_pipeline(TeacherProba(teacher), DHOClassifier(DHONet(max_epochs=50), random_state=0))
grid = {
    "dhoclassifier__distill_weight": [0.25, 0.5, 0.75],
    "dhoclassifier__net__lr": [1e-3, 3e-3],
}
search = GridSearchCV(pipe, grid, cv=LabeledStratifiedKFold(4)).fit(X, known)
print(search.best_params_)
print(f"Cross-validated on the 40 labels: {search.best_score_:.3f}")
print(f"On the test set: {search.score(X_test, y_test):.3f}")

# %%
# The two heads can be weighed anew without training.

student = search.best_estimator_[-1]
alphas = np.linspace(0, 1, 21)
scores = [student.set_params(alpha=alpha).score(X_test, y_test) for alpha in alphas]
fig, ax = plt.subplots(layout="constrained")
ax.plot(alphas, scores)
ax.set(xlabel="alpha, the weight of the head trained on labels", ylabel="test accuracy")
plt.show()
