"""The marker of unlabelled rows in every form y may take."""

import numpy as np
import pandas as pd
import pytest

from skactivekd.utils._labels import as_labels, is_missing


@pytest.mark.parametrize(
    ("y", "missing_label", "expected"),
    [
        ([0, -1, 2], -1, [0, 1, 0]),
        (np.array([0.0, np.nan]), np.nan, [0, 1]),
        (["a", None], None, [0, 1]),
        (["a", np.nan], np.nan, [0, 1]),
        (["a", "?"], "?", [0, 1]),
        (["a", -1], -1, [0, 1]),
        (["-1", "a"], -1, [0, 0]),
        ([1, 2], "?", [0, 0]),
        (pd.Series([1, None], dtype="Int64"), np.nan, [0, 1]),
        (pd.Series([1, None, -1], dtype="Int64"), -1, [0, 0, 1]),
        (pd.Series(["a", "b"], index=[7, 9]), "b", [0, 1]),
        (pd.Series(["a", "b"], dtype="category"), "a", [1, 0]),
        ([], -1, []),
    ],
)
def test_missing_entries(y, missing_label, expected):
    assert is_missing(y, missing_label).tolist() == [bool(value) for value in expected]


def test_lists_of_one_kind_keep_their_dtype():
    assert as_labels([1, 2]).dtype.kind == "i"
    assert as_labels(["a", "b"]).dtype.kind == "U"
    assert as_labels(["a", 1]).tolist() == ["a", 1]
