"""
Sounds: a student that hears
============================

Spectrograms are pictures, so a small convolutional network hears by them. The teacher here is
two rules that know a little; where a large model is at hand, CLAP through `TransformersEncoder`
takes their place.
"""

# %%
# Four kinds of synthetic notes, made here so that the page needs no download: a flute has few
# overtones, a reed odd ones, a string many that fade, a drum is noise. Pitch, length and loudness
# are drawn.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline

from skactivekd import DHOClassifier, DHONet, TeacherProba, UncertaintyHerding
from skactivekd.encoders import LogMel

KINDS, RATE = ["drum", "flute", "reed", "string"], 8000
rng = np.random.default_rng(0)


def note(kind):
    """Draw one second of a kind of instrument."""
    t, pitch = np.arange(RATE) / RATE, rng.uniform(150, 500)
    if kind == "drum":
        wave, fade = rng.standard_normal(RATE), rng.uniform(8, 20)
    else:
        strengths = {"flute": [1, 0.2], "reed": [1, 0, 0.6, 0, 0.4], "string": 0.75 ** np.arange(9)}
        tones = enumerate(strengths[kind], start=1)
        wave = sum(s * np.sin(2 * np.pi * i * pitch * t) for i, s in tones)
        fade = rng.uniform(3, 8) if kind == "string" else rng.uniform(0, 2)
    wave = wave * np.exp(-fade * t) + 0.05 * rng.standard_normal(RATE)
    return 0.5 * rng.uniform(0.2, 1) * wave / abs(wave).max(), RATE


y = rng.choice(KINDS, 300)
sounds = [note(kind) for kind in y]
pool, test = np.arange(200), np.arange(200, 300)
pictures = LogMel(rate=RATE, n_mels=32, seconds=1.0).fit_transform(sounds)

fig, axes = plt.subplots(1, 4, figsize=(8, 2.4), layout="constrained")
for ax, kind in zip(axes, KINDS, strict=True):
    ax.imshow(pictures[np.flatnonzero(y == kind)[0]], origin="lower", aspect="auto", cmap="magma")
    ax.set(title=kind, xticks=[], yticks=[])
fig.supxlabel("one second")
fig.supylabel("pitch")
plt.show()

# %%
# The rules: what fades is a drum or a string, what is bright is a drum or, not always, a reed.


def rules(rows):
    """Guess from loudness at the end and brightness."""
    loud = np.array([row[:, 40:].mean() / row.mean() for row in rows])
    bright = np.array([row[16:].mean() / row.mean() for row in rows])
    fades, high = 1 / (1 + np.exp(40 * (loud - 0.93))), 1 / (1 + np.exp(-20 * (bright - 1.02)))
    lasts, low = 1 - fades, 1 - high
    return np.stack([fades * high, lasts * low, lasts * high, fades * low], axis=1)


student = DHOClassifier(DHONet(max_epochs=40), classes=KINDS, missing_label="", random_state=0)
model = make_pipeline(TeacherProba(rules), student)
known = np.full(len(pool), "", dtype=object)
right = [np.mean(np.array(KINDS)[rules(pictures[test]).argmax(axis=1)] == y[test])]
counts = [0]
model.fit(pictures[pool], known)
for _ in range(5):
    ask = UncertaintyHerding(missing_label="", random_state=0).query(
        pictures[pool], known, model, n_instances=4
    )
    known[ask] = y[pool][ask]
    model.fit(pictures[pool], known)
    counts.append(int((known != "").sum()))
    right.append(model.score(pictures[test], y[test]))

# %%
# Twenty answers, chosen by what the student is unsure of.

fig, ax = plt.subplots(layout="constrained")
ax.plot(counts[1:], right[1:], marker="o")
ax.axhline(right[0], color="gray", linestyle="dotted")
ax.text(counts[-1], right[0], "the rules alone", ha="right", va="bottom", color="gray")
ax.set(xlabel="labels", ylabel="accuracy on new sounds", xticks=counts[1:])
plt.show()
