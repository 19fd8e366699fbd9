"""
Photos of clothes, from files to a student
==========================================

Six hundred photos in a folder, a hundred questions, and a small network that reads files as they
are. The photos are those of Fashion-MNIST, as Debian's package ``dataset-fashion-mnist`` has them;
where it is not installed, handwritten digits take their place.
"""

# %%
# The photos, as files.

import gzip
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skactivekd import (
    ClassConfusionDisplay,
    ContactSheetDisplay,
    DHOClassifier,
    DHONet,
    TeacherProba,
    UncertaintyHerding,
    load_glyph_digits,
)

PACKAGE = Path("/usr/share/datasets/fashion-mnist")
CLOTHES = "T-shirt trousers pullover dress coat sandal shirt sneaker bag boot".split()


def read_photos(n):
    """Return pixels and names of the first photos of Fashion-MNIST, or of digits in their place."""
    if not PACKAGE.is_dir():
        images, digits = load_glyph_digits(return_X_y=True)
        return np.round(images * 255).astype(np.uint8)[:n], digits.astype(str)[:n]
    with gzip.open(PACKAGE / "train-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(16 + n * 784), np.uint8)[16:].reshape(n, 28, 28)
    with gzip.open(PACKAGE / "train-labels-idx1-ubyte.gz") as file:
        codes = np.frombuffer(file.read(8 + n), np.uint8)[8:]
    return pixels, np.array(CLOTHES)[codes]


pixels, names = read_photos(1000)
folder = tempfile.TemporaryDirectory()
paths = np.array([str(Path(folder.name, f"{number:04d}.png")) for number in range(len(pixels))])
for path, picture in zip(paths, pixels, strict=True):
    Image.fromarray(picture).save(path)
classes = sorted(set(names))
pool, new, others = slice(0, 600), slice(600, 900), slice(900, 1000)

# %%
# The teacher stands in for a large model. It is somebody else's classifier, which learned from 100
# other photos; anything that makes probabilities of paths would do. For photos of your own it is
# ``ZeroShotTeacher(OpenCLIPEncoder("ViT-B-32", "laion2b_s34b_b79k"), classes=classes)``.

classifier = LogisticRegression(C=0.1, max_iter=500)
classifier.fit(pixels[others].reshape(-1, pixels[0].size) / 255, names[others])


def somebody_elses(paths):
    """Return probabilities of the classes for image files."""
    rows = np.stack([np.asarray(Image.open(path)) for path in paths])
    return classifier.predict_proba(rows.reshape(len(rows), -1) / 255)


right = np.array(classes)[somebody_elses(paths[new]).argmax(axis=1)] == names[new]
print(f"Teacher, on new photos: {right.mean():.2f}")

# %%
# The student reads files. It learns from the teacher alone at first, says what it wants to know,
# and learns again with the answers.

student = DHOClassifier(
    DHONet(max_epochs=30, lr=3e-3), classes=classes, missing_label="", random_state=0
)
model = make_pipeline(TeacherProba(somebody_elses), student)
known = np.full(600, "", dtype=names.dtype)
model.fit(paths[pool], known)
print(f"Student without a label, on new photos: {model.score(paths[new], names[new]):.2f}")

strategy = UncertaintyHerding(missing_label="", random_state=0)
asked = strategy.query(paths[pool], known, model, n_instances=100)
thought = model.predict_proba(paths[pool][asked])
guesses = [(classes[row.argmax()], row.max()) for row in thought]
known[asked] = names[pool][asked]
model.fit(paths[pool], known)
print(f"With 100 labels: {model.score(paths[new], names[new]):.2f}")

# %%
# What it asked first: the answer above each photo, in red where it had guessed another.

first = asked[:15]
ContactSheetDisplay(pixels[first], names[first], guesses[:15]).plot()

# %%
# What it still mixes up on new photos, the pairs most often confused first.

ClassConfusionDisplay.from_predictions(names[new], model.predict(paths[new]))
folder.cleanup()
plt.show()
