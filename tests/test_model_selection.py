"""Folds and scores for partly labeled data."""

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score

from skactivekd import LabeledOnly, LabeledStratifiedKFold, labeled_accuracy

Y = np.array([0, -1, 1, 0, -1, 1, 0, 1, -1, -1, 0, 1])


def test_unlabeled_rows_train_in_every_fold_and_test_in_none():
    tested = []
    for train, test in LabeledStratifiedKFold(4).split(np.zeros(12), Y):
        assert set(np.flatnonzero(Y == -1)) <= set(train)
        assert not set(train) & set(test)
        assert len(train) + len(test) == 12
        assert sorted(Y[test]) == [0, 1]
        tested += test.tolist()
    assert sorted(tested) == np.flatnonzero(Y != -1).tolist()


@pytest.mark.parametrize("missing_label", [np.nan, None, "?"])
def test_other_markers(missing_label):
    y = Y.astype(float) if missing_label is np.nan else np.where(Y == 0, "no", "yes").astype(object)
    y[Y == -1] = missing_label
    cv = LabeledStratifiedKFold(4, missing_label=missing_label)
    expected = LabeledStratifiedKFold(4).split(Y, Y)
    for (train, test), (train_0, test_0) in zip(cv.split(y, y), expected, strict=True):
        assert np.array_equal(train, train_0)
        assert np.array_equal(test, test_0)


def test_shuffle_follows_the_seed():
    y = np.tile(Y, 5)

    def folds(seed):
        cv = LabeledStratifiedKFold(3, shuffle=True, random_state=seed)
        return [test.tolist() for _, test in cv.split(y, y)]

    assert folds(0) == folds(0) != folds(1)


def test_one_label_per_class_still_splits_with_a_warning():
    y = np.array([0, 1, 2, 3, -1, -1])
    with pytest.warns(UserWarning, match="disregard the classes"):
        folds = list(LabeledStratifiedKFold(2).split(y, y))
    assert [len(test) for _, test in folds] == [2, 2]


def test_fewer_labels_than_folds_is_an_error():
    with pytest.raises(ValueError, match="only 2 of 4 in y are labeled"):
        list(LabeledStratifiedKFold(3).split(np.zeros(4), [0, 1, -1, -1]))
    with pytest.raises(ValueError, match="X has 3 rows but y has 2"):
        list(LabeledStratifiedKFold(2).split(np.zeros(3), [0, 1]))


def test_score_ignores_unlabeled_rows():
    labeled = Y >= 0
    clf = DummyClassifier(strategy="constant", constant=1).fit(np.zeros((8, 1)), Y[labeled])
    assert labeled_accuracy(clf, np.zeros((12, 1)), Y) == 0.5
    with pytest.raises(
        ValueError, match="needs labeled rows, but every entry of y is missing_label=-1"
    ):
        labeled_accuracy(clf, np.zeros((2, 1)), [-1, -1])


def test_score_works_as_scoring_of_any_classifier():
    X = Y.reshape(-1, 1) + 0.0
    model = LabeledOnly(LogisticRegression())
    search = GridSearchCV(model, {"estimator__C": [1, 10]}, scoring=labeled_accuracy, cv=2)
    assert search.fit(np.tile(X, (4, 1)), np.tile(Y, 4)).best_score_ > 0.4


def test_cross_val_score_takes_the_splitter():
    clf = DummyClassifier(strategy="constant", constant=0)
    scores = cross_val_score(clf, np.zeros((12, 1)), Y, cv=LabeledStratifiedKFold(4))
    assert scores.tolist() == [0.5] * 4
