"""
Looking into a student
======================

Did it learn, what does it mix up, does it know how often it is right? Three plots of one fit.
"""

# %%
# Two heads, a hundred labels, and a teacher that never saw handwriting.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline

from skactivekd import (
    ClassConfusionDisplay,
    DHOClassifier,
    DHONet,
    ReliabilityDisplay,
    TeacherProba,
    TrainingHistoryDisplay,
    ZeroShotTeacher,
    load_glyph_digits,
)

X, y = load_glyph_digits(return_X_y=True)
X, y = X[::2], y[::2]
known = np.full(len(y), -1)
labeled = np.random.default_rng(0).choice(len(y), 100, replace=False)
known[labeled] = y[labeled]
teacher = ZeroShotTeacher().fit()
student = make_pipeline(
    TeacherProba(teacher), DHOClassifier(DHONet(max_epochs=15), heads="dual", random_state=0)
).fit(X, known)

# %%
# The loss of each head, and the weighted sum that training minimizes.

TrainingHistoryDisplay.from_estimator(student)

# %%
# What the student makes of the rows that it has no labels of. Of more than twenty classes, the
# pairs most confused are drawn instead.

rest = known == -1
ClassConfusionDisplay.from_estimator(student, X[rest], y[rest])

# %%
# Points below the diagonal are surer of themselves than they should be; the bars say how many
# rows stand behind each.

ReliabilityDisplay.from_estimator(student, X[rest], y[rest], teacher=teacher)
plt.show()
