"""
From a fitted student to a program
==================================

Save without pickle, load in another process, export to ONNX, and run where neither this
package nor torch is installed.
"""

# %%
# A student of the digits.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import onnx
import onnxruntime
from sklearn.pipeline import make_pipeline

import skactivekd
from skactivekd import DHOClassifier, TeacherProba, ZeroShotTeacher, load_glyph_digits

X, y = load_glyph_digits(return_X_y=True)
known = np.where(np.arange(len(y)) < 40, y, -1)
model = make_pipeline(TeacherProba(ZeroShotTeacher()), DHOClassifier(random_state=0))
model.fit(X, known)

# %%
# A folder of safetensors, JSON and a model card. The teacher is not in it.

folder = tempfile.TemporaryDirectory()
skactivekd.save(model, Path(folder.name, "digits"))
for file in sorted(Path(folder.name, "digits").rglob("*")):
    if file.is_file():
        print(f"{file.relative_to(folder.name)}: {file.stat().st_size:,} bytes")
again = skactivekd.load(Path(folder.name, "digits"))
print("equal to the bit:", np.array_equal(again.predict_proba(X), model.predict_proba(X)))

# %%
# One program from pixels to probabilities. ``export`` compares it with ``predict_proba`` before
# it returns, and the classes stand in its metadata. Of a whole pipeline
# `~skactivekd.export` writes the steps before the student beside the program.

path = Path(folder.name, "digits.onnx")
model[-1].export(path)
session = onnxruntime.InferenceSession(path)
classes = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
print(sorted(classes))

# %%
# What runs it needs numpy and onnxruntime only.

[inputs] = session.get_inputs()
rows = X[:12].astype(np.float32).reshape(-1, *inputs.shape[1:])
[proba, *_] = session.run(None, {inputs.name: rows})
fig, axes = plt.subplots(1, 12, figsize=(9, 1.3), layout="constrained")
for ax, image, p in zip(axes, X[:12], proba, strict=True):
    ax.imshow(image, cmap="gray_r")
    ax.set_title(f"{p.argmax()}: {p.max():.2f}", fontsize=8)
    ax.axis("off")
folder.cleanup()
plt.show()
