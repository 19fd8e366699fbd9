"""
A sitting, played by a script
=============================

`LabelingSession` asks; a person answers. Here a script answers, and errs now and then, to show
what the session makes of it.
"""

# %%
# The answers go to a file before the next question is asked.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression

from skactivekd import ContactSheetDisplay, LabelingSession, load_glyph_digits

X, truth = load_glyph_digits(return_X_y=True)
X = X.reshape(len(X), -1)
folder = tempfile.TemporaryDirectory()
session = LabelingSession(
    LogisticRegression(C=10, max_iter=300),
    X,
    classes=range(10),
    journal=Path(folder.name, "labels.sqlite"),
)
rng = np.random.default_rng(0)
for _ in range(15):
    for question in session.ask(10):
        answer = truth[question.index]
        session.tell(question, answer if rng.random() > 0.03 else (answer + 1) % 10)

# %%
# The accuracy is measured on random rows that were asked without a suggestion, with its
# interval; the true one is known here.

progress = session.progress()
shown = progress["accuracy"]
true = session.fit().model.score(X, truth)
print(f"{progress['labels']} labels; shown {shown['accuracy']:.2f}", end=" ")
print(f"({shown['low']:.2f} to {shown['high']:.2f}), true {true:.2f}")
print(progress["advice"])

# %%
# What was asked last: the answer above each digit, in red where it was not the suggestion. Some
# came without a suggestion, those on which the accuracy is measured.

ContactSheetDisplay.from_session(session, 10, show=X.reshape(-1, 8, 8))

# %%
# Labels that a student contradicts which did not see them, for a second look: title and red where
# the script had erred.

found = session.contradictions()[:10]
fig, axes = plt.subplots(1, len(found), figsize=(9, 1.6), layout="constrained")
for ax, question in zip(axes, found, strict=True):
    wrong = question.label != truth[question.index]
    ax.imshow(X[question.index].reshape(8, 8), cmap="gray_r")
    ax.set_title(f"said {question.label}", color="C3" if wrong else "black", fontsize=9)
    ax.axis("off")
session.close()
folder.cleanup()
plt.show()

# %%
# Each `~skactivekd.session.Question` says which row it is about and what the student thinks. For
# people there is a page: `~skactivekd.app.serve` opens it, `~skactivekd.app.make_app` is for a
# server of one's own. What it shows of a row are `~skactivekd.app.ImageArrays`,
# `~skactivekd.app.ImageFiles`, `~skactivekd.app.Texts`, `~skactivekd.app.TableRows`,
# `~skactivekd.app.SoundFiles`, or `~skactivekd.app.Items` of your own. Here it would be
# ``serve(session, items=ImageArrays(images), title="Digits")``.
