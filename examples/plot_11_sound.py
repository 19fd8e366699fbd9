"""
Sounds: a student that hears
============================

Spectrograms are pictures, so a small convolutional network hears by them. The teacher here is
two rules that know a little; where a large model is at hand, CLAP through
`TransformersEncoder <skactivekd.encoders.TransformersEncoder>` takes their place.
"""

# %%
# Four kinds of synthetic notes, made here so that the page needs no download: a flute has few
# overtones, a reed odd ones, a string many that fade, a drum is noise. Pitch, length and loudness
# are drawn.

import warnings
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import balanced_accuracy_score
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

# %%
# Real recordings: is somebody speaking? Those of Debian's ``alsa-utils`` and
# ``sound-theme-freedesktop`` are taken if this machine has them; if not, the notes above stand in.
# There is no teacher: twelve labels, six of each kind, and the student.

folder = Path("/usr/share/sounds")
files = [*folder.glob("alsa/*_*.wav"), *folder.glob("freedesktop/stereo/*.oga")]
real = sorted(map(str, files)) if find_spec("soundfile") else []
if len(real) > 30:
    speech = ["channel" in path or "alsa" in path for path in real]
    kinds = np.where(speech, "speech", "other")
else:
    real, kinds = sounds[:60], np.where(y[:60] == "drum", "drum", "other")
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "(?s).*lose both ends")  # some are longer
    heard = LogMel(rate=RATE, n_mels=32, seconds=1.5).fit_transform(real)
right = []
for _ in range(3):  # which six are drawn makes a difference
    few = np.full(len(kinds), "", dtype=object)
    for kind in np.unique(kinds):
        few[rng.choice(np.flatnonzero(kinds == kind), 6, replace=False)] = kind
    listener = DHOClassifier(
        DHONet(max_epochs=40), classes=np.unique(kinds), missing_label="", random_state=0
    ).fit(heard, few)
    rest = few == ""
    right.append(balanced_accuracy_score(kinds[rest], listener.predict(heard[rest])))
print(
    f"{len(real)} recordings, three draws of labels: {min(right):.0%} to {max(right):.0%} right, "
    "the mean of the two kinds"
)

# %%
# With CLAP's weights its embeddings are those to learn few labels on:
# ``CLAPTeacher(TransformersEncoder("laion/clap-htsat-unfused"), classes=[...])``, whose name it
# shares by chance. :ref:`What was tested, and what not <few_shot_sounds>`.
