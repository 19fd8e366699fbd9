"""
Teachers that learn
===================

Zero-shot needs names alone. With a few labels, CLAP and Tip-Adapter move away from it as far
as the labels say.
"""

# %%
# Both work on the embeddings of a frozen encoder, so that each image is encoded once.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import train_test_split

from skactivekd import CLAPTeacher, TipAdapterTeacher, ZeroShotTeacher, load_glyph_digits

X, y = load_glyph_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)
zero_shot = ZeroShotTeacher().fit()
teachers = {"CLAP": CLAPTeacher(), "Tip-Adapter": TipAdapterTeacher()}
counts, n_draws = [1, 4, 16], 3
scores = {name: np.zeros((len(counts), n_draws)) for name in teachers}
for (i, draw), _ in np.ndenumerate(np.zeros((len(counts), n_draws))):
    rng = np.random.default_rng(draw)
    rows = [rng.choice(np.flatnonzero(y == c), counts[i], replace=False) for c in range(10)]
    known = np.full_like(y, -1)
    known[np.concatenate(rows)] = y[np.concatenate(rows)]
    for name, teacher in teachers.items():
        scores[name][i, draw] = teacher.fit(X, known).score(X_test, y_test)

# %%
# Three draws of the labels, mean, least and most: with one label of each class the draw decides
# much.

fig, ax = plt.subplots(layout="constrained")
for name, values in scores.items():
    ax.plot(counts, values.mean(axis=1), marker="o", label=name)
    ax.fill_between(counts, values.min(axis=1), values.max(axis=1), alpha=0.2)
ax.axhline(zero_shot.score(X_test, y_test), color="gray", linestyle="dotted", label="zero-shot")
ax.set(xlabel="labels of each class", ylabel="accuracy", xscale="log", xticks=counts)
ax.set_xticklabels(counts)
ax.legend()
plt.show()

# %%
# The sums behind them stand on their own too: `~skactivekd.teacher.clap_loss` in PyTorch,
# `~skactivekd.teacher.tip_adapter_logits` in numpy.
