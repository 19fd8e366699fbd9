"""
What a teacher reads
====================

A zero-shot teacher knows a class by its prompts alone: from the name in a data set to the vector
that rows are compared with, step by step.
"""

# %%
# Data sets call their classes otherwise than captions do. What is tidied is for you to read before
# it is used.

import matplotlib.pyplot as plt
import numpy as np

from skactivekd import OpenCLIPEncoder, ZeroShotTeacher, load_glyph_digits
from skactivekd.teacher import (
    class_prompts,
    embed_classes,
    list_prompt_templates,
    prompt_templates,
    tidy_classes,
    tidy_name,
)

print(tidy_classes(["AnnualCrop", "apple_pie", "001.ak47"]))
print(tidy_name("Acura RL Sedan 2012", year_first=True))

# %%
# Templates put a name into a caption. Those of the usual data sets are here by name.

for name in list_prompt_templates():
    first, *others = prompt_templates(name)
    print(f"{name:14} {first:40} {f'and {len(others)} more' if others else ''}")

# %%
# Where a name says too little, describe the class. All that a class has is averaged.

names = "zero one two three four five six seven eight nine".split()
templates = ["the digit {}.", {7: ["a stroke with a bar on top"]}]
for prompts in class_prompts(names, templates, labels=range(10))[6:8]:
    print(prompts)

# %%
# On the left, the classes compared with each other: names that are close are hard to tell apart.
# On the right, the images of each digit compared with each class, on average: what is brightest in
# a row is what the teacher mostly says.

encoder = OpenCLIPEncoder()
classes = embed_classes(encoder, names, "the digit {}.")
X, y = load_glyph_digits(return_X_y=True)
images = encoder.encode_image(X)
means = np.stack([images[y == digit].mean(axis=0) for digit in range(10)])

fig, axes = plt.subplots(1, 2, figsize=(8, 3.8), layout="constrained")
for ax, rows, title in [(axes[0], classes, "classes"), (axes[1], means, "images of a digit")]:
    picture = ax.imshow(rows @ classes.T, cmap="viridis")
    ax.set(title=f"{title} and classes", xticks=range(10), yticks=range(10), xlabel="class")
    fig.colorbar(picture, ax=ax, label="cosine", shrink=0.8)
plt.show()

# %%
# The teacher does all of this: of the cosines it makes probabilities. With
# `~skactivekd.EmbeddingCache` in ``OpenCLIPEncoder(cache=...)`` no image is encoded twice, in any
# process; for texts there is `~skactivekd.SentenceEncoder`.

teacher = ZeroShotTeacher(encoder, dict(enumerate(names)), "the digit {}.").fit()
print(f"{teacher.score(X, y):.0%} of the digits are right, without a label")
