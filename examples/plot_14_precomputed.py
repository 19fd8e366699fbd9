"""
Embeddings that were computed elsewhere
=======================================

Whoever has embeddings in a file needs no encoder of images any more: rows are numbers, and a text
encoder reads the names of the classes.
"""

# %%
# The file is written here, shard by shard, as a cluster would; a killed run goes on where it was.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from skactivekd import OpenCLIPEncoder, PCoreSet, ZeroShotTeacher, load_glyph_digits
from skactivekd.encoders import PrecomputedEncoder, embed_to_parquet, read_embeddings
from skactivekd.inspection import teacher_report
from skactivekd.teacher import proba_to_memmap

X, y = load_glyph_digits(return_X_y=True)
folder = Path(tempfile.mkdtemp())
embed_to_parquet(X, OpenCLIPEncoder(), folder, shard_size=500)
print(*sorted(path.name for path in folder.glob("*.parquet")), sep="\n")

# %%
# Read back, they are one memory map of half floats, which may be larger than memory.

ids, embeddings = read_embeddings(folder)
print(type(embeddings).__name__, embeddings.shape, embeddings.dtype)

# %%
# The teacher takes ids for rows, and its answers go block by block into a file. What to label
# first, of all rows, by probabilities alone:

encoder = PrecomputedEncoder(folder, OpenCLIPEncoder())
names = dict(enumerate("zero one two three four five six seven eight nine".split()))
teacher = ZeroShotTeacher(encoder, names, "the digit {}").fit()
proba = proba_to_memmap(teacher, ids, folder / "proba.npy")
first = PCoreSet().select(proba, proba[:1], n_instances=8)

fig, axes = plt.subplots(1, 8, figsize=(8, 1.5), layout="constrained")
for ax, row in zip(axes, first, strict=True):
    ax.imshow(X[row], cmap="gray_r")
    ax.set_axis_off()
    ax.set_title(f"{names[proba[row].argmax()]}?", fontsize="medium")
plt.show()

# %%
# How far to trust it, with 200 labels:

rows = np.random.default_rng(0).choice(len(y), 200, replace=False)
known = np.full(len(y), -1)
known[rows] = y[rows]
print(teacher_report(proba, y=known))
