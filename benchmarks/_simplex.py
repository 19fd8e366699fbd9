"""Rows of the probability simplex: like a vision-language model's, unstructured, and real ones."""

from pathlib import Path

import numpy as np
import torch

N_CENTERS = 3000


def structured(n_rows, n_classes=1000, *, temperature=1.0, noise=0.5, zipf=0.0, seed=0, out=None):
    """Softmax outputs around a few thousand cluster centers, each with some likely classes."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(N_CENTERS, n_classes, generator=generator)
    likely = torch.randint(n_classes, (N_CENTERS, 20), generator=generator)
    boost = 6 * torch.rand(N_CENTERS, 20, generator=generator)
    boost[:, 0] += 5
    logits.scatter_add_(1, likely, boost)
    weights = torch.arange(1, N_CENTERS + 1).double() ** -zipf
    out = np.empty((n_rows, n_classes), np.float32) if out is None else out
    for start in range(0, n_rows, 8192):
        stop = min(n_rows, start + 8192)
        center = torch.multinomial(weights, stop - start, replacement=True, generator=generator)
        rows = logits[center] + noise * torch.randn(stop - start, n_classes, generator=generator)
        out[start:stop] = torch.softmax(rows / temperature, 1).numpy()
    return out


def dirichlet(n_rows, n_classes=1000, *, alpha=1.0, seed=0):
    """Rows without structure."""
    rows = np.random.default_rng(seed).standard_gamma(alpha, (n_rows, n_classes), np.float32)
    rows += 1e-30
    return rows / rows.sum(axis=1, keepdims=True)


def digits():
    """The embedded teacher's view of real handwritten digits."""
    from skactivekd import ZeroShotTeacher, load_glyph_digits

    return ZeroShotTeacher().fit().predict_proba(load_glyph_digits().images)


def banking77(folder):
    """MiniLM's view of real questions to a bank, with the names of their intents as prompts."""
    from few_shot_teachers import banking77 as load

    from skactivekd import ZeroShotTeacher

    texts, *_, settings = load(Path(folder))
    return ZeroShotTeacher(**settings).fit().predict_proba(texts)


KINDS = {
    "structured": structured,
    "structured, noisy": lambda n, d=1000: structured(n, d, noise=1.0),
    "structured, sharp, uneven": lambda n, d=1000: structured(
        n, d, temperature=0.7, noise=0.3, zipf=0.5
    ),
    "structured, flat": lambda n, d=1000: structured(n, d, temperature=2.0),
    "Dirichlet(1)": dirichlet,
    "Dirichlet(0.1)": lambda n, d=1000: dirichlet(n, d, alpha=0.1),
}
