"""
Looking into a student
======================

Did it learn, what does it mix up, does it know how often it is right? Three plots of one fit.
"""

# %%
# Two heads, a hundred labels, and a teacher that never saw handwriting.

import matplotlib.pyplot as plt
import numpy as np

from skactivekd import (
    ClassConfusionDisplay,
    DHOClassifier,
    DHONet,
    ReliabilityDisplay,
    TrainingHistoryDisplay,
    ZeroShotTeacher,
    load_glyph_digits,
)

X, y = load_glyph_digits(return_X_y=True)
X, y = X[::2], y[::2]
known = np.full(len(y), -1)
labeled = np.random.default_rng(0).choice(len(y), 100, replace=False)
known[labeled] = y[labeled]
teacher_proba = ZeroShotTeacher().fit().predict_proba(X)
rows = X.reshape(len(X), -1)
student = DHOClassifier(DHONet(max_epochs=80), heads="dual", random_state=0)
student.fit(rows, known, teacher_proba=teacher_proba)

# %%
# The loss of each head, and the weighted sum that training minimizes.

TrainingHistoryDisplay.from_estimator(student)

# %%
# What the student makes of the rows that it has no labels of. Of more than twenty classes, the
# pairs most confused are drawn instead.

rest = known == -1
ClassConfusionDisplay.from_estimator(student, rows[rest], y[rest])

# %%
# Points below the diagonal are surer of themselves than they should be, points above less sure, as
# this student is; the bars say how many rows stand behind each.

ReliabilityDisplay.from_estimator(student, rows[rest], y[rest], teacher=teacher_proba[rest])
plt.show()
