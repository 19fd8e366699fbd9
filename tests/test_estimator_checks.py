"""scikit-learn's own checks, on everything that claims to be an estimator."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_array

from skactivekd import DHOClassifier, DHONet, Embedder, LabeledOnly, TeacherProba

EXPECTED = {
    "check_classifiers_classes": (
        "trains on the labels {-1, 1}; -1 marks unlabeled rows, as in scikit-learn's own "
        "semi-supervised estimators, which the check spares by name"
    )
}


# They want equality to rtol=1e-7, less than the rounding of float32, in which networks compute.
# test_default_student.py has the same to the precision of float32.
ROUNDING = {f"check_sample_weight_equivalence_on_{kind}_data" for kind in ("dense", "sparse")}


# What takes texts and files as well takes any container of rows, but not what has no length.
ANY_ROWS = {
    "check_classifier_data_not_an_array": "X that is neither an array nor a list has no rows",
    "check_complex_data": "complex labels are a TypeError, which names the row",
}
ANY_ENCODER = {
    "check_transformer_data_not_an_array": "X that is neither an array nor a list has no rows",
} | dict.fromkeys(
    (
        "check_n_features_in",
        "check_n_features_in_after_fitting",
        "check_transformer_general",
        "check_estimator_sparse_array",
        "check_estimator_sparse_matrix",
    ),
    "what X may be, and how wide, the encoder knows; its rows may be pictures or texts",
)


def expected_failures(estimator):
    """Name the checks that cannot pass, with the reason."""
    if isinstance(estimator, LabeledOnly):
        return ANY_ROWS
    if isinstance(estimator, Embedder):
        return ANY_ENCODER
    markers = isinstance(estimator, DHOClassifier) and estimator.missing_label == -1
    return EXPECTED if markers else {}


def student(**params):
    """A student that learns what the checks ask for in few steps."""
    return DHOClassifier(DHONet(max_epochs=15, module__hidden=32, lr=0.01), **params)


class Waves(BaseEstimator):
    """An encoder of matrices, which fits on one number as well as on many."""

    def fingerprint(self):  # what scikit-learn 1.7 reads in check_array cannot be told
        return "waves"

    def encode_audio(self, X):
        X = np.asarray(check_array(X), dtype=float)
        return np.column_stack([np.cos(X.sum(axis=1)), np.sin(X.sum(axis=1))])


class EmbedderOfMatrices(Embedder):
    """An embedder whose encoder takes matrices, which its tags cannot know."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = tags.input_tags.string = False
        return tags


@pytest.mark.slow
@parametrize_with_checks(
    [
        student(missing_label=np.nan),
        student(),
        TeacherProba(),
        LabeledOnly(LogisticRegression(), missing_label=np.nan),
        EmbedderOfMatrices(Waves()),
    ],
    expected_failed_checks=expected_failures,
)
def test_scikit_learn_checks(estimator, check):
    """One scikit-learn check."""
    if isinstance(estimator, DHOClassifier) and check.func.__name__ in ROUNDING:
        pytest.skip("wants more digits than float32 has")
    check(estimator)


@pytest.mark.thorough
@parametrize_with_checks(
    [student(heads="dual", missing_label=np.nan)], expected_failed_checks=expected_failures
)
def test_scikit_learn_checks_of_two_heads(estimator, check):
    """The same of heads that share all of the above but their training."""
    test_scikit_learn_checks(estimator, check)
