"""Cosines over training: smoothed, summed up, drawn."""

import pandas as pd


def smooth(cell):
    """Return the cosines of a cell by step and seed, each the mean of a fiftieth of the training.

    Parameters
    ----------
    cell : DataFrame with the columns seed, step and cosine

    Returns
    -------
    curves : DataFrame
        A row for each step, a column for each seed.
    """
    steps = cell.pivot(index="step", columns="seed", values="cosine")
    return steps.rolling(max(1, len(steps) // 50), min_periods=1).mean()


def summary(curves):
    """Describe the cosines of each task, kind of student and part, over steps and seeds."""
    cells, keys = [], ["task", "heads", "part"]
    for key, cell in curves.groupby(keys, sort=False):
        progress, line = cell["step"] / (cell["step"].max() + 1), smooth(cell).mean(axis=1)
        by_seed = cell.groupby("seed")[["cosine", "accuracy"]].mean()
        numbers = {
            "mean": by_seed["cosine"].mean(),
            "spread": by_seed["cosine"].std(),
            "first tenth": cell.loc[progress < 0.1, "cosine"].mean(),
            "last half": cell.loc[progress >= 0.5, "cosine"].mean(),
            "steps below 0": 100 * (cell["cosine"] < 0).mean(),
            "line below 0": 100 * (line < 0).mean(),
            "accuracy": by_seed["accuracy"].mean(),
            "accuracy spread": by_seed["accuracy"].std(),
        }
        cells.append({**dict(zip(keys, key, strict=True)), **numbers})
    return pd.DataFrame(cells)


def plot(curves, kinds, path):
    """Draw the backbone's cosine over training, a panel for each task."""
    import matplotlib.pyplot as plt

    tasks = curves["task"].unique()
    fig, axes = plt.subplots(
        1, len(tasks), squeeze=False, figsize=(8, 3), sharey=True, layout="constrained"
    )
    backbone = curves[curves["part"] == "backbone"]
    for ax, name in zip(axes[0], tasks, strict=True):
        for heads in kinds:
            cell = backbone[(backbone["task"] == name) & (backbone["heads"] == heads)]
            steps = smooth(cell)
            ax.plot(steps.mean(axis=1), label=heads)
            ax.fill_between(steps.index, steps.min(axis=1), steps.max(axis=1), alpha=0.25)
        ax.axhline(0, color="gray", linewidth=0.8)
        ax.set(title=name, xlabel="training step")
    axes[0, 0].set_ylabel("cosine of the two gradients")
    axes[0, 0].legend()
    fig.savefig(path, dpi=110)
    plt.close(fig)
