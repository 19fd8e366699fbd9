"""
Two heads in a loop of your own
===============================

`DHOClassifier` trains for you. Whoever has a training loop already may take its parts: the heads,
the loss, the mixture.
"""

# %%
# Digits, of which forty are labeled, and a teacher's probabilities for all. `RowDataset` fetches
# whole batches, labeled rows and others.

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from skactivekd import DHOClassifier, ZeroShotTeacher, load_glyph_digits
from skactivekd.student import (
    DHOLoss,
    DualHead,
    RowDataset,
    dho_loss,
    gradient_cosine,
    mix_heads,
)

X, y = load_glyph_digits(return_X_y=True)
X = X.reshape(len(X), -1).astype("float32")
rng = np.random.default_rng(0)
known = np.full(len(y), -1)
for digit in range(10):
    rows = rng.choice(np.flatnonzero(y == digit), 4, replace=False)
    known[rows] = digit
teacher_proba = ZeroShotTeacher().fit().predict_proba(X.reshape(-1, 8, 8))
rows = RowDataset(X, known, teacher_proba)

# %%
# A loop of plain PyTorch. Before every twentieth step it notes the angle between what the labels
# ask of the backbone and what the teacher asks of it. Below zero they are in conflict; a batch
# without a label leaves a gap.


def train(shared, n_epochs=40):
    """Train a small network whose losses have one head (shared) or two."""
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU())
    heads, loss_of = DualHead(64, 10, shared=shared), DHOLoss(distill_weight=0.5, temperature=2)
    optimizer = torch.optim.Adam([*backbone.parameters(), *heads.parameters()], lr=1e-3)
    loader = DataLoader(rows, batch_size=128, shuffle=True, collate_fn=lambda batch: batch)
    steps, cosines = [], []
    for _ in range(n_epochs):
        for batch, target in loader:
            logits, proba = heads(backbone(batch["X"])), batch["teacher_proba"]
            if (step := len(steps)) % 20 == 0:
                ends = [dho_loss(*logits, target, proba, distill_weight=end) for end in (0, 1)]
                cosines.append((step, gradient_cosine(*ends, backbone.parameters())))
            steps.append(step)
            optimizer.zero_grad()
            loss_of(logits, target, proba).backward()
            optimizer.step()
    return nn.Sequential(backbone, heads).eval(), np.array(cosines)


models = {"one head": train(shared=True), "two heads": train(shared=False)}

# %%
# What the heads say is mixed after training, so that the weight of the labels' head may be chosen
# then. With one head there is nothing to mix.

alphas = np.linspace(0, 1, 11)
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
for name, (model, cosines) in models.items():
    with torch.no_grad():
        logits = model(torch.from_numpy(X))
    scores = [
        (mix_heads(*logits, alpha=alpha).argmax(1).numpy() == y)[known == -1].mean()
        for alpha in alphas
    ]
    left.plot(*cosines.T, label=name)
    right.plot(alphas, scores, label=name)
left.axhline(0, color="gray", linestyle="dotted")
left.set(xlabel="step", ylabel="cosine of the two gradients")
right.set(xlabel="alpha, the weight of the labels' head", ylabel="accuracy on unlabeled rows")
left.legend()
plt.show()

# %%
# The package's default corrects the imitation afterwards, which needs no such choice.

student = DHOClassifier(random_state=0).fit(X, known, teacher_proba=teacher_proba)
print(f"the default student: {(student.predict(X) == y)[known == -1].mean():.3f}")

# %%
# `DHONet` takes more parts of this kind: the callbacks `~skactivekd.student.GradientCosine`, which
# measures the angle within ``fit``, and `~skactivekd.student.WarmupDecay`, the schedule of the
# learning rate. `~skactivekd.clip_student` starts from a CLIP model and the names of the classes,
# `~skactivekd.student.AcceleratedDHONet` trains on several GPUs.
