"""
How good is my teacher?
=======================

A student can only be as good as what it learns from. A few labels tell what to
expect of a teacher, and where it errs.
"""

# %%
# The embedded teacher, which never saw handwriting, on handwritten digits, of
# which a hundred are labeled.

import matplotlib.pyplot as plt
import numpy as np

from skactivekd import (
    PredictionClustersDisplay,
    ZeroShotTeacher,
    load_glyph_digits,
    teacher_report,
)
from skactivekd.metrics import (
    best_temperature,
    expected_calibration_error,
    reliability_curve,
)

X, y = load_glyph_digits(return_X_y=True)
labeled = np.random.default_rng(0).choice(len(y), 100, replace=False)
known = np.full(len(y), -1)
known[labeled] = y[labeled]
teacher = ZeroShotTeacher().fit()
report = teacher_report(teacher, X, known)
print(report)

# %%
# On the left, points below the diagonal are predictions that are surer of
# themselves than they should be. In the middle, each class with its interval:
# a hundred labels tell the worst classes from the best, no more. On the right,
# the clusters into which the predictions of *all* rows fall are narrower than
# they would be if the classes that share a row's probability were random: this
# teacher errs in habits. A student inherits them, and `PCoreSet` asks for labels
# in the clusters that have none.

report.plot()

# %%
# The report is a `~skactivekd.TeacherReport`, the picture a `~skactivekd.TeacherReportDisplay`.
# Its figures can be had one by one, of any probabilities. Here are those of a teacher that is twice
# as sure as it should be. The labels say what to divide its logits by, and on the rows without them
# confidence comes near accuracy. Teachers that compare embeddings do this themselves with
# ``logit_scale="auto"``, by `~skactivekd.metrics.best_logit_scale`.


def soften(proba, temperature):
    powers = proba ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


too_sure, rest = soften(teacher.predict_proba(X), 0.5), known == -1
temperature = best_temperature(too_sure[labeled], y[labeled])
for proba in (too_sure, soften(too_sure, temperature)):
    print(f"calibration error {expected_calibration_error(proba[rest], y[rest]):.3f}")
print(f"temperature {temperature:.2f}")
reliability_curve(too_sure[rest], y[rest], n_bins=5).round(2)

# %%
# Labels show which habits are errors. Here are the clusters of at least two
# labels, the class predicted at their center and how often that is right.

report.to_frame("clusters").query("n_labeled >= 2").sort_values("accuracy").head()

# %%
# The predictions of all rows in the plane, and where the labels are among them. The clusters are
# those of `~skactivekd.inspection.prediction_clusters`.

PredictionClustersDisplay.from_predictions(teacher.predict_proba(X), labeled=known != -1)

# %%
# A mistake to catch early: names in another order than the labels. The report
# warns that the teacher is no better than chance, and says which order would be.

names = load_glyph_digits().target_names
wrong = {digit: names[(digit + 1) % 10] for digit in range(10)}
mistaken = ZeroShotTeacher(classes=wrong).fit()
mistaken_report = teacher_report(mistaken, X, known)
plt.show()
