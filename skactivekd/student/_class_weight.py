"""How much each label weighs."""

import numpy as np
from sklearn.utils.class_weight import compute_class_weight


def weigh_labels(class_weight, classes, codes, sample_weight):
    """Return the weight of each row's label, None where all weigh the same."""
    labeled = codes >= 0
    if class_weight is None or not labeled.any():
        return sample_weight
    present = np.unique(codes[labeled])
    if isinstance(class_weight, dict):
        unknown = [label for label in class_weight if label not in classes.tolist()]
        if unknown:
            raise ValueError(
                f"class_weight names {unknown}, which are not among the classes {classes.tolist()}."
            )
        by_class = [class_weight.get(label, 1.0) for label in classes.tolist()]
    else:
        own = None if sample_weight is None else sample_weight[labeled]
        found = compute_class_weight(
            class_weight, classes=present, y=codes[labeled], sample_weight=own
        )
        by_class = np.ones(len(classes))
        by_class[present] = found
    bad = [weight for weight in by_class if not 0 <= weight < np.inf]
    if bad:
        raise ValueError(
            f"class_weight must hold finite numbers, zero or more, got {class_weight!r}."
        )
    weight = np.ones(len(codes)) if sample_weight is None else sample_weight
    return np.where(labeled, weight * np.asarray(by_class, dtype=float)[codes], weight)
