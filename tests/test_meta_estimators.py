"""What scikit-learn's meta-estimators do with partly labeled y, row by row of the user guide."""

import numpy as np
import pytest
from few_shot_data import NAMES, Directions, make_rows
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer, make_scorer
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, LabelEncoder

from skactivekd import (
    DHOClassifier,
    DHONet,
    LabeledOnly,
    LabeledStratifiedKFold,
    TeacherProba,
    ZeroShotTeacher,
    labeled_accuracy,
)
from skactivekd.datasets import load_glyph_digits

X, Y = make_rows(40, noise=0.4)
Y_NAMES = np.array(NAMES)[Y]
KNOWN = np.where(np.arange(len(Y)) < 30, Y, -1)


def pipe(classes, **params):
    student = DHOClassifier(
        DHONet(max_epochs=15, lr=0.01, module__hidden=16), random_state=0, **params
    )
    teacher = ZeroShotTeacher(Directions(), classes, logit_scale=5.0)
    return make_pipeline(TeacherProba(teacher), student)


def out_of_fold(model, X, y):
    proba = cross_val_predict(model, X, y, method="predict_proba", cv=3)
    return np.unique(y)[proba.argmax(axis=1)]


META = {
    "cross_val_predict": lambda model, y: out_of_fold(model, X, y),
    "VotingClassifier": lambda model, y: (
        VotingClassifier([("a", model), ("b", clone(model))], voting="soft").fit(X, y).predict(X)
    ),
    "StackingClassifier": lambda model, y: (
        StackingClassifier([("a", model)], cv=3).fit(X, y).predict(X)
    ),
    "BaggingClassifier": lambda model, y: (
        BaggingClassifier(model, 2, random_state=0).fit(X, y).predict(X)
    ),
    "CalibratedClassifierCV(ensemble=False)": lambda model, y: (
        CalibratedClassifierCV(model, cv=3, ensemble=False).fit(X, y).predict(X)
    ),
}


@pytest.mark.parametrize("name", META)
def test_names_are_refused_and_encoded_before_they_are_right(name):
    order = ["owl", "cat", "ant"]  # not sorted
    with pytest.raises(ValueError, match=r"numbers such as 0, .*LabelEncoder\(\)\.fit\(y\)"):
        META[name](pipe(order, missing_label=None), Y_NAMES)
    encoder = LabelEncoder().fit(Y_NAMES)
    model = pipe(dict(enumerate(encoder.classes_)))
    predicted = META[name](model, encoder.transform(Y_NAMES))
    alone = model.fit(X, encoder.transform(Y_NAMES)).score(X, encoder.transform(Y_NAMES))
    assert np.mean(encoder.inverse_transform(predicted) == Y_NAMES) > alone - 0.1


@pytest.mark.parametrize("name", META)
def test_the_marker_becomes_a_class_and_is_noticed_where_classes_are_known(name):
    with pytest.raises(ValueError, match=r"labels \[3\].*not among the classes \[0, 1, 2\]"):
        META[name](pipe(dict(enumerate(NAMES))), KNOWN)


def test_what_learns_the_marker_is_refused_where_ours_are_reached():
    for model in (
        OneVsRestClassifier(LogisticRegression()),
        BaggingClassifier(LogisticRegression(), 2),
        CalibratedClassifierCV(LogisticRegression(), cv=2),
    ):
        fitted = model.fit(X, KNOWN)
        assert -1 in fitted.classes_
        with pytest.raises(ValueError, match=r"learned missing_label=-1.*LabeledOnly"):
            labeled_accuracy(fitted, X, KNOWN)
        assert LabeledOnly(clone(model)).fit(X, KNOWN).score(X, Y) > 0.6


def test_a_search_counts_unlabeled_rows_as_wrong_unless_told():
    model = pipe(dict(enumerate(NAMES)))
    grid = {"dhoclassifier__distill_weight": [0.5]}
    with pytest.warns(UserWarning, match=r"unlabeled rows .* as wrong.*LabeledStratifiedKFold"):
        plain = GridSearchCV(model, grid, scoring="accuracy", cv=3).fit(X, KNOWN)
    assert plain.best_score_ < 0.25  # of 25 % labeled rows
    folds = LabeledStratifiedKFold(3)
    for right in (
        GridSearchCV(model, grid, cv=folds),
        GridSearchCV(model, grid, scoring="accuracy", cv=folds),
        GridSearchCV(model, grid, scoring=labeled_accuracy, cv=folds),
    ):
        assert right.fit(X, KNOWN).best_score_ > 0.5
    assert cross_val_score(model, X, KNOWN, cv=folds).mean() > 0.5


def kept(y_true, y_predicted):
    return np.mean(y_predicted[y_true != -1] == y_true[y_true != -1])


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "f1_macro"])
def test_whoever_is_asked_by_a_metric_that_knows_no_marker_warns(metric):
    pictures, truth = load_glyph_digits(return_X_y=True)
    teacher = ZeroShotTeacher().fit()
    model = LabeledOnly(LogisticRegression()).fit(X, KNOWN)
    for asked, rows, y in (
        (model, X, KNOWN),
        (make_pipeline(FunctionTransformer(), model), X, KNOWN),
        (teacher, pictures[:20], np.where(np.arange(20) < 10, truth[:20], -1)),
    ):
        with pytest.warns(UserWarning, match="unlabeled rows"):
            get_scorer(metric)(asked, rows, y)
    get_scorer(metric)(model, X, np.maximum(KNOWN, 0))  # no row is unlabeled
    assert make_scorer(kept)(model, X, KNOWN) > 0.5  # a metric of the user's may know the marker


def test_a_fitted_student_is_calibrated_on_labeled_rows():
    model = pipe(dict(enumerate(NAMES))).fit(X, KNOWN)
    labeled = KNOWN != -1
    calibrated = CalibratedClassifierCV(FrozenEstimator(model)).fit(X[labeled], KNOWN[labeled])
    assert calibrated.classes_.tolist() == [0, 1, 2]
    assert calibrated.score(X, Y) > 0.5
