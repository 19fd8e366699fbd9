"""
Clips: what frames say together
===============================

`FrameEncoder` makes a teacher of images a teacher of clips: it embeds frames that are evenly
spaced in time, and takes their mean.
"""

# %%
# Clips made of real images: in each, sixteen people write the same digit, a frame each.

import matplotlib.pyplot as plt
import numpy as np

from skactivekd import OpenCLIPEncoder, ZeroShotTeacher, load_glyph_digits
from skactivekd.encoders import FrameEncoder

X, labels = load_glyph_digits(return_X_y=True)
rng = np.random.default_rng(0)
y = np.arange(200) % 10
frames = [rng.choice(np.flatnonzero(labels == digit), 16, replace=False) for digit in y]
clips = np.repeat(X[np.array(frames)][..., None], 3, axis=-1)
names = dict(enumerate("zero one two three four five six seven eight nine".split()))
scores = {}
for n_frames in (1, 2, 4, 8, 16):
    encoder = FrameEncoder(OpenCLIPEncoder(), n_frames=n_frames)
    teacher = ZeroShotTeacher(encoder, names, "the digit {}").fit()
    scores[n_frames] = teacher.score(clips, y)

fig, axes = plt.subplots(1, 5, figsize=(8, 1.8), layout="constrained")
for ax, frame in zip(axes, clips[3][[0, 4, 8, 12, 15]], strict=True):
    ax.imshow(frame)
    ax.set_axis_off()
fig.suptitle(f"five frames of a clip: {names[y[3]]}")
plt.show()

# %%
# The teacher has never seen a clip. One frame may mislead it; the mean of a few does so less.

fig, ax = plt.subplots(layout="constrained")
ax.plot(list(scores), list(scores.values()), marker="o")
ax.set(xlabel="frames looked at", ylabel="accuracy without a label", xscale="log")
ax.set_xticks(list(scores), list(scores))
ax.minorticks_off()
plt.show()

# %%
# From here on all is as with images: ``TeacherProba(teacher)`` before a student, whose input may
# be one frame of each clip, or ``features=Embedder(encoder)``.
