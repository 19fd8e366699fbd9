"""
Arrays from any model
=====================

Selection needs no more than arrays of probabilities, whatever made them.
"""

# %%
# A classifier of your own, here a random forest on three classes.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_blobs
from sklearn.ensemble import RandomForestClassifier

from skactivekd import Entropy, PCoreSet, k_center_greedy

X, y = make_blobs(600, centers=3, cluster_std=2.5, random_state=3)
labeled, pool = np.arange(12), np.arange(12, 600)
forest = RandomForestClassifier(200, random_state=0).fit(X[labeled], y[labeled])
proba_pool, proba_labeled = forest.predict_proba(X[pool]), forest.predict_proba(X[labeled])

# %%
# Indices refer to the pool as it was passed, the most wanted first. Entropy asks
# where the model is least sure; PCoreSet spreads its questions over everything
# the model predicts.

picks = {
    "Entropy": Entropy().select(proba_pool, proba_labeled, n_instances=15),
    "PCoreSet": PCoreSet().select(proba_pool, proba_labeled, n_instances=15),
}

# %%
# Three classes make the probabilities a triangle.

corners = np.array([[0, 0], [1, 0], [0.5, np.sqrt(0.75)]])
fig, axes = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
for ax, (name, rows) in zip(axes, picks.items(), strict=True):
    ax.scatter(*(proba_pool @ corners).T, s=5, color="lightgray", label="pool")
    ax.scatter(*(proba_labeled @ corners).T, s=30, marker="x", color="black", label="labeled")
    ax.scatter(*(proba_pool[rows] @ corners).T, s=30, color="C1", label="queried")
    ax.set(title=name, aspect="equal")
    ax.axis("off")
axes[0].legend()

# %%
# The engine below, greedy farthest-first, also works on its own. The distances
# say how far the pool was from what was covered when each row was picked.

rows, distances = k_center_greedy(proba_pool, proba_labeled, n_select=100)
fig, ax = plt.subplots(layout="constrained")
ax.plot(distances)
ax.set(xlabel="picks", ylabel="farthest distance to a covered prediction")
plt.show()
