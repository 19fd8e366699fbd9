"""
What the strategies ask for
===========================

The same model, the same pool, a dozen questions each: families of strategies side by side.
"""

# %%
# Four groups of points in the plane, of which one is small, and a student with six labels.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_blobs

from skactivekd import (
    Badge,
    CoreSet,
    DHOClassifier,
    DHONet,
    Margin,
    PCoreSet,
    Random,
    UncertaintyHerding,
)

centers = [[-6, 0], [0, 4], [6, 0], [0, -6]]
X, truth = make_blobs([250, 250, 250, 40], centers=centers, cluster_std=1.8, random_state=0)
known = np.full(len(X), -1)
for label in range(3):
    known[np.flatnonzero(truth == label)[:2]] = label
student = DHOClassifier(DHONet(max_epochs=60), classes=range(4), random_state=0).fit(X, known)

# %%
# `Margin` stands on the borders and asks the same thing many times. `CoreSet` takes the rim
# of the data, `PCoreSet` the extremes of what the student *predicts*. `Badge` draws what is
# unsure and diverse, `UncertaintyHerding` what stands for many others of which the student is
# unsure. Random labels go where most of the points are.

strategies = {
    "Random": Random(random_state=0),
    "Margin": Margin(),
    "CoreSet": CoreSet(),
    "PCoreSet": PCoreSet(),
    "Badge": Badge(random_state=0),
    "UncertaintyHerding": UncertaintyHerding(random_state=0),
}
fig, axes = plt.subplots(2, 3, figsize=(9, 6), layout="constrained", sharex=True, sharey=True)
for ax, (name, strategy) in zip(axes.flat, strategies.items(), strict=True):
    picks = strategy.query(X, known, student, n_instances=12)
    ax.scatter(*X.T, s=6, c="lightgray")
    ax.scatter(*X[known != -1].T, s=50, marker="x", c="black", label="labeled")
    ax.scatter(*X[picks].T, s=40, c=[f"C{label}" for label in truth[picks]], edgecolor="black")
    ax.set(title=f"{name}: {len(set(truth[picks]))} classes", xticks=[], yticks=[])
axes[0, 0].legend(loc="lower left")
plt.show()

# %%
# `Entropy` and `~skactivekd.LeastConfidence` ask much as `Margin` does; `~skactivekd.ClassBalanced`
# gives each predicted class its share. Strategies of scikit-activeml take part as
# `~skactivekd.FromSkactiveml`, and ours in its loops by `~skactivekd.to_skactiveml`.
