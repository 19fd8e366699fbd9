"""How firmly CLAP holds each class to its name: the multipliers of its penalty."""

WEIGHTINGS = ("standard", "balanced", "corrected", "constant")


def class_multipliers(proba, targets, weighting="standard"):
    """Weight each class's constraint by how well zero-shot does on its labels, see `CLAPTeacher`.

    It is 1, the largest value, for a class without rows: nothing speaks against its name.
    """
    if weighting not in WEIGHTINGS:
        raise ValueError(f"weighting={weighting!r} must be one of {WEIGHTINGS}")
    ones = proba.new_ones(proba.shape[1])
    if weighting == "balanced":
        return ones
    counts = targets.bincount(minlength=len(ones))
    own = proba.gather(1, targets[:, None])[:, 0]
    sums = (0 * ones).index_add(0, targets, own)
    standard = (sums / counts.clamp(min=1)).where(counts > 0, ones)
    if weighting == "corrected":
        return standard / standard.mean()
    return ones * standard.mean() if weighting == "constant" else standard


def augmented_lagrangian(multipliers, penalty, violation):
    """Return max(a + rho h, 0) and the next rho, h: of Powell, Hestenes and Rockafellar."""
    return (multipliers + penalty * violation).clamp(min=0), violation
