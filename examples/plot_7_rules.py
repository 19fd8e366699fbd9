"""
Texts, with rules for a teacher
===============================

A teacher need not be a large model: here it is ten lines of rules that know some words of
each class and say so when they see none. The student reads all texts and finds the rest.
"""

# %%
# Real texts that come with every scikit-learn: its documentation. What is an estimator or
# function for, by the first words of its help?

import importlib
import re

import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from skactivekd import DHOClassifier, TeacherProba

MODULES = ["cluster", "datasets", "ensemble", "linear_model", "metrics", "preprocessing"]
texts, y = [], []
for module in MODULES:
    content = importlib.import_module(f"sklearn.{module}")
    for name in content.__all__:
        help_ = getattr(getattr(content, name), "__doc__", None) or ""
        for paragraph in re.split(r"\n\s*\n", help_):
            words = " ".join(paragraph.split())
            if len(words) > 80 and ">>>" not in words:
                texts.append(words)
                y.append(module)
texts, y = np.array(texts, dtype=object), np.array(y, dtype=object)
texts, X_test, y, y_test = train_test_split(
    texts, y, train_size=900, test_size=900, stratify=y, random_state=0
)
print(f"{len(texts)} paragraphs, such as: {texts[0][:90]}...")

# %%
# The rules. Where none holds, all classes are equally likely.

WORDS = {
    "cluster": ["cluster", "centroid"],
    "datasets": ["dataset", "download", "generate"],
    "ensemble": ["tree", "boosting", "bagging", "forest"],
    "linear_model": ["coefficient", "regression", "lasso", "ridge"],
    "metrics": ["score", "metric", "distance", "loss"],
    "preprocessing": ["transform", "scale", "encod"],
}


def rules(rows):
    """Count the words of each class."""
    counts = [[sum(row.lower().count(word) for word in WORDS[m]) for m in MODULES] for row in rows]
    counts = np.asarray(counts, dtype=float) + 0.2
    return counts / counts.sum(axis=1, keepdims=True)


# %%
# The student sees TF-IDF, the teacher the texts. Labels come one at a time, at random.

student = make_pipeline(
    TeacherProba(rules, features=TfidfVectorizer(stop_words="english", sublinear_tf=True)),
    DHOClassifier(classes=MODULES, missing_label="", random_state=0),
)
order = np.random.default_rng(0).permutation(len(texts))
budgets = [0, 12, 24, 48, 96]
scores = []
for n_labels in budgets:
    known = np.full(len(texts), "", dtype=object)
    known[order[:n_labels]] = y[order[:n_labels]]
    scores.append(student.fit(texts, known).score(X_test, y_test))
alone = np.mean(np.array(MODULES)[rules(X_test).argmax(axis=1)] == y_test)
print(f"The rules alone: {alone:.3f}; without a label: {scores[0]:.3f}")

# %%
fig, ax = plt.subplots(layout="constrained")
ax.plot(budgets, scores, marker="o", label="student")
ax.axhline(alone, color="gray", linestyle="dotted", label="the rules")
ax.set(xlabel="labels", ylabel="accuracy")
ax.legend()
plt.show()

# %%
# A model takes the place of the rules in one line: `ZeroShotTeacher` on a
# `~skactivekd.SentenceEncoder` compares texts with the names of the classes,
# `~skactivekd.GenerativeTeacher` asks a language model from a folder,
# `~skactivekd.EndpointTeacher` one behind a server. What a server did not answer, a
# `~skactivekd.teacher.EndpointError` names; what it did is kept.
