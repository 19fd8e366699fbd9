"""scikit-learn's own checks, on everything that claims to be an estimator."""

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from skactivekd import DHOClassifier, DHONet, TeacherProba

EXPECTED = {
    "check_classifiers_classes": (
        "trains on the labels {-1, 1}; -1 marks unlabelled rows, as in scikit-learn's own "
        "semi-supervised estimators, which the check spares by name"
    )
}


def expected_failures(estimator):
    """Name the checks that cannot pass, with the reason."""
    markers = isinstance(estimator, DHOClassifier) and estimator.missing_label == -1
    return EXPECTED if markers else {}


@pytest.mark.slow
@parametrize_with_checks(
    [
        DHOClassifier(missing_label=np.nan),
        DHOClassifier(DHONet(max_epochs=60, module__hidden=32), missing_label=np.nan),
        DHOClassifier(),
        TeacherProba(),
    ],
    expected_failed_checks=expected_failures,
)
def test_scikit_learn_checks(estimator, check):
    """One scikit-learn check."""
    check(estimator)
