"""scikit-learn's own checks, on everything that claims to be an estimator."""

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from skactivekd import DHOClassifier, DHONet, TeacherProba

EXPECTED = {
    "check_classifiers_classes": (
        "trains on the labels {-1, 1}; -1 marks unlabeled rows, as in scikit-learn's own "
        "semi-supervised estimators, which the check spares by name"
    )
}


# They want equality to rtol=1e-7, less than the rounding of float32, in which networks compute.
# test_default_student.py has the same to the precision of float32.
ROUNDING = {f"check_sample_weight_equivalence_on_{kind}_data" for kind in ("dense", "sparse")}


def expected_failures(estimator):
    """Name the checks that cannot pass, with the reason."""
    markers = isinstance(estimator, DHOClassifier) and estimator.missing_label == -1
    return EXPECTED if markers else {}


def student(**params):
    """A student that learns what the checks ask for in few steps."""
    return DHOClassifier(DHONet(max_epochs=60, module__hidden=32), **params)


@pytest.mark.slow
@parametrize_with_checks(
    [
        student(missing_label=np.nan),
        student(),
        student(heads="dual", missing_label=np.nan),
        TeacherProba(),
    ],
    expected_failed_checks=expected_failures,
)
def test_scikit_learn_checks(estimator, check):
    """One scikit-learn check."""
    if isinstance(estimator, DHOClassifier) and check.func.__name__ in ROUNDING:
        pytest.skip("wants more digits than float32 has")
    check(estimator)
