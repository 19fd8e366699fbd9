"""
A table: from a forest to a network of a few kilobytes
======================================================

Rows of numbers. The teacher is a large forest that somebody trained on another table; the
student is small, and learns from it and from a few labels of one's own.
"""

# %%
# Measurements of tumors. The forest was trained on 100 rows of another clinic, say, in whose
# table half of the columns were measured with another offset.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skactivekd import DHOClassifier, LabeledOnly, TeacherProba

X, y = load_breast_cancer(return_X_y=True)
y = np.array(["malignant", "benign"])[y]
there, X, y_there, y = train_test_split(X, y, train_size=100, stratify=y, random_state=0)
rng = np.random.default_rng(0)
there[:, ::2] += rng.normal(scale=1.0, size=there[:, ::2].shape[1]) * there[:, ::2].std(0)
forest = RandomForestClassifier(500, random_state=0).fit(there, y_there)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.4, stratify=y, random_state=0)
print(f"The forest here: {forest.score(X_test, y_test):.3f}")

# %%
# Strings as labels; unlabeled rows carry an empty one. ``FrozenEstimator`` keeps the
# forest as it was fitted. It sees the rows, the student sees what ``features`` makes of them.

student = make_pipeline(
    TeacherProba(FrozenEstimator(forest), features=StandardScaler()),
    DHOClassifier(missing_label="", random_state=0),
)
alone = make_pipeline(
    StandardScaler(), LabeledOnly(LogisticRegression(), missing_label="", classes=forest.classes_)
)
order = rng.permutation(len(X))
budgets = [0, 2, 4, 8, 16, 32, 64]
scores = {"forest and labels": [], "labels alone": []}
for n_labels in budgets:
    known = np.full(len(X), "", dtype=y.dtype)
    known[order[:n_labels]] = y[order[:n_labels]]
    scores["forest and labels"].append(student.fit(X, known).score(X_test, y_test))
    if len(set(known)) > 2:
        scores["labels alone"].append(alone.fit(X, known).score(X_test, y_test))

# %%
fig, ax = plt.subplots(layout="constrained")
for name, values in scores.items():
    ax.plot(budgets[-len(values) :], values, marker="o", label=name)
ax.axhline(forest.score(X_test, y_test), color="gray", linestyle="dotted", label="the forest")
ax.set(xlabel="labels", ylabel="accuracy")
ax.legend()
plt.show()
