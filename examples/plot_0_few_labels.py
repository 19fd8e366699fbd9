"""
Ninety percent from a handful of labels
=======================================

Handwritten digits, a teacher that has never seen one, a small convolutional network, and
labels bought ten at a time: with and without the teacher, asked well and at random.
"""

# %%
# The pool has 1,347 digits, and labels are looked up as they are asked for. The teacher is
# the tiny CLIP of this package, trained on printed characters.

import matplotlib.pyplot as plt
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from skactivekd import (
    DHOClassifier,
    LabelEfficiencyDisplay,
    TeacherProba,
    UncertaintyHerding,
    ZeroShotTeacher,
    load_glyph_digits,
    simulate,
    value_report,
)

X, y = load_glyph_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)
teacher = ZeroShotTeacher().fit()

# %%
# `simulate` plays the rounds through; random labels always take part. Everything is at its
# default.

rounds = {"n_rounds": 3, "n_instances": 10, "seeds": 2, "progress": False}
methods = {
    "with teacher": make_pipeline(TeacherProba(teacher), DHOClassifier()),
    "labels alone": DHOClassifier(),
}
results = simulate(
    methods, X, y, X_test=X_test, y_test=y_test, strategies=[UncertaintyHerding()], **rounds
)
display = LabelEfficiencyDisplay.from_results(
    results, baselines={"zero-shot teacher": teacher.score(X_test, y_test)}, direct_labels=True
)

# %%
# One line at a time, among the others in gray: the way to read many strategies.

display.plot_facets()

# %%
# In words, and with what two seeds can say. The report of the benchmarks has five. A
# `~skactivekd.ValueReport` has its tables as attributes.

print(value_report(results, targets=0.9, baseline=("labels alone", "random")))
plt.show()
