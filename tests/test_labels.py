"""Labels, markers and classes: what is understood, and what is refused with its remedy."""

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import DataConversionWarning

from skactivekd.utils._classes import check_classes, refuse_learned_marker
from skactivekd.utils._label_values import as_labels
from skactivekd.utils._labels import check_labels, encode_labels, find_positions
from skactivekd.utils._missing_label import is_missing


@pytest.mark.parametrize(
    ("y", "missing_label", "expected"),
    [
        ([0, -1, 2], -1, [0, 1, 0]),
        (np.array([0.0, np.nan]), np.nan, [0, 1]),
        (np.array([0.0, np.nan]), pd.NA, [0, 1]),
        (["a", None], None, [0, 1]),
        (["a", None], np.nan, [0, 0]),
        (["a", np.nan], np.nan, [0, 1]),
        (["a", pd.NA, np.nan, pd.NaT], pd.NA, [0, 1, 1, 1]),
        (["a", pd.NA], np.nan, [0, 1]),
        (["a", pd.NA], None, [0, 0]),
        (["a", pd.NA], -1, [0, 0]),
        (["a", "?"], "?", [0, 1]),
        (["a", -1], -1, [0, 1]),
        (["-1", "a"], -1, [0, 0]),
        ([1, 2], "?", [0, 0]),
        ([True, False], -1, [0, 0]),
        (np.array([1, 255], dtype=np.uint8), -1, [0, 0]),
        (pd.Series([1, None], dtype="Int64"), np.nan, [0, 1]),
        (pd.Series([1, None], dtype="Int64"), pd.NA, [0, 1]),
        (pd.Series([1, None, -1], dtype="Int64"), -1, [0, 0, 1]),
        (pd.Series(["a", None], dtype="string"), pd.NA, [0, 1]),
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


# y, marker, error, what it says: each with the default marker unless it says otherwise
STRAYS = {
    "nan": ([0.0, np.nan, 1.0], -1, "Input y contains NaN.*first in row 1.*missing_label=np.nan"),
    "nan, some labeled": ([0.0, np.nan, -1.0], -1, "nan .* row 1.*missing_label=np.nan"),
    "nan in objects": (["a", np.nan, "b"], -1, "nan .* row 1.*missing_label=np.nan"),
    "NA": (["a", pd.NA, "b"], -1, "nan .* row 1.*missing_label=np.nan"),
    "NA beside None": (["a", pd.NA, None], None, "nan .* row 1.*missing_label=np.nan"),
    "NA in integers": (pd.Series([0, None, 1], dtype="Int64"), -1, "missing_label=np.nan"),
    "None": (["a", None, "b"], -1, "None .* row 1.*missing_label=None"),
    "None beside nan": (["a", None, np.nan], np.nan, "None .* row 1.*missing_label=None"),
    "empty": (["a", "", "b"], -1, "the string '' .* row 1.*missing_label=''"),
    "empty beside None": (["a", "", None], None, "the string '' .* row 1.*missing_label=''"),
    "text of nan": (np.array(["a", np.nan, "b"]), -1, "the string 'nan' .*missing_label='nan'"),
    "text of None": (np.array(["a", None, "b"]).astype(str), -1, "'None' .*missing_label='None'"),
    "text of NA": (np.array(["a", "<NA>", "b"]), -1, "'<NA>' .*missing_label='<NA>'"),
    "text of -1": (np.array(["a", -1, "b"]), -1, "'-1' .* an object array, or"),
    "text of -1, another marker": (["a", "-1", "b"], "", "'-1' .*missing_label='-1'"),
    "-1 among names": (["a", -1, "b"], "", "-1 .* row 1.*missing_label=-1"),
    "-1 among names, marked too": (["a", -1, ""], "", "-1 .* row 1.*missing_label=-1"),
    "-1 below classes": ([0, -1, 1], np.nan, "-1 .* row 1.*missing_label=-1"),
    "-1 alone": ([-1, -1], None, "-1 .* row 0.*missing_label=-1"),
    "-1 and 1": ([1, -1, 1], -1, r"-1 and 1 alone.*np.where\(y == -1, 0, y\).*missing_label"),
    "-1.0 and 1.0": ([1.0, -1.0], -1, "-1 and 1 alone"),
    "two kinds": (["a", 3, "b"], -1, "mixes strings and numbers"),
    "two columns": ([[0, 1], [1, 0]], -1, r"1d array, but y has shape \(2, 2\).*argmax"),
    "no dimension": (np.array(3), -1, r"1d array, but y has shape \(\)"),
    "ragged": ([[0, 1], [1]], -1, "y must have one label for each row"),
    "nothing": (None, -1, "the target y is None"),
    "fractions": ([0.5, 1.0], -1, "Unknown label type: y holds .*0.5"),
    "infinity": ([0.0, np.inf], -1, "y contains infinity"),
}


@pytest.mark.parametrize("case", STRAYS)
def test_what_cannot_be_meant_is_refused_with_the_remedy(case):
    y, missing_label, message = STRAYS[case]
    with pytest.raises(ValueError, match=message):
        check_labels(y, missing_label)


@pytest.mark.parametrize(
    ("y", "missing_label", "message"),
    [
        ([b"a", b"b"], -1, "y holds b'a', a bytes, in row 0.*decode"),
        (["a", 1j], -1, "1j, a complex, in row 1"),
        ([("a",), None], None, "in row 0: labels are strings"),
        ("cat", -1, "y must be an array or a list"),
        ({0, 1}, -1, "y must be an array or a list"),
        ((label for label in [0, 1]), -1, "y must be an array or a list"),
        ([0, 1], [-1], r"missing_label=\[-1\] must be"),
        ([0, 1], True, "missing_label=True must be"),
    ],
)
def test_what_is_no_label_at_all_is_refused(y, missing_label, message):
    with pytest.raises(TypeError, match=message):
        check_labels(y, missing_label)


@pytest.mark.parametrize(
    ("y", "missing_label", "classes", "labeled"),
    [
        ([-1, 1], np.nan, None, [1, 1]),
        ([-1, 0, 1, np.nan], np.nan, None, [1, 1, 1, 0]),
        ([-1, 0, 1], np.nan, [-1, 0, 1], [1, 1, 1]),
        ([1, -1], -1, [0, 1], [1, 0]),
        ([0, -1], -1, None, [1, 0]),
        (["None", "a"], -1, ["None", "a"], [1, 1]),
        (["None", "a", ""], "", None, [1, 1, 0]),
        (["-1", "a"], "-1", None, [0, 1]),
        ([True, False], -1, None, [1, 1]),
        ([], -1, None, []),
    ],
)
def test_what_can_be_meant_is_taken(y, missing_label, classes, labeled):
    found = check_labels(y, missing_label, classes=classes)[1]
    assert found.tolist() == [bool(value) for value in labeled]


def test_one_column_is_taken_with_a_warning():
    for y in (np.array([[0], [-1], [2]]), [[0], [-1], [2]], pd.DataFrame({"y": [0, -1, 2]})):
        with pytest.warns(DataConversionWarning):
            assert encode_labels(y, [0, 1, 2]).tolist() == [0, -1, 2]


def test_labels_meet_classes_by_value():
    assert encode_labels(["b", None, "a"], ["b", "a"], None).tolist() == [0, -1, 1]
    assert encode_labels([2.0, np.nan, 7.0], [7, 2], np.nan).tolist() == [1, -1, 0]
    assert encode_labels(pd.Series([2, None], dtype="Int64"), [2], pd.NA).tolist() == [0, -1]
    assert encode_labels(np.array([True, False]), [0, 1]).tolist() == [1, 0]
    assert encode_labels([], ["a"]).tolist() == []
    assert find_positions(["2", 2], ["1", "2"]).tolist() == [1, -1]


@pytest.mark.parametrize(
    ("y", "classes", "message"),
    [
        ([0, 1], ["bee", "cat"], r"y holds numbers such as 0, .*names: \['bee', 'cat'\].*classes="),
        ([2, 1], ["1", "10", "2"], "y holds numbers such as 1, .*not taken for positions"),
        (["2", "1"], [1, 2], "y holds strings such as '1', but the classes are numbers"),
        (["cat", "ant"], ["bee", "cat"], r"labels \['ant'\], first in row 1, .*missing_label=-1"),
        ([0, 1], [-1, 0, 1], None),
    ],
)
def test_labels_that_meet_no_class_are_refused(y, classes, message):
    if message is None:
        assert encode_labels(y, classes).tolist() == [1, 2]
        return
    with pytest.raises(ValueError, match=message):
        encode_labels(y, classes)


@pytest.mark.parametrize(
    "classes",
    [
        ["b", "a"],
        ("b", "a"),
        np.array(["b", "a"]),
        pd.Index(["b", "a"]),
        pd.Series(["b", "a"]).astype("category"),
        {"b": 1, "a": 2}.keys(),
        {1: "b", 2: "a"}.values(),
    ],
)
def test_classes_of_every_form_are_sorted(classes):
    labels, called, given = check_classes(classes)
    assert labels.tolist() == called == ["a", "b"]
    assert given.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("classes", "error", "message"),
    [
        ({"a", "b"}, TypeError, "sets and generators have no order"),
        (frozenset("ab"), TypeError, "sets and generators have no order"),
        ((name for name in "ab"), TypeError, "sets and generators have no order"),
        (map(str, [1, 2]), TypeError, "sets and generators have no order"),
        ("ab", TypeError, "must be a sequence"),
        (3, TypeError, "must be a sequence"),
        (None, TypeError, "must be a sequence"),
        ([b"a"], TypeError, "a bytes"),
        ([("a", "b"), ("c",)], (TypeError, ValueError), "classes"),
        ([], ValueError, "classes is empty"),
        ([[0], [1]], ValueError, "one dimension"),
        (["a", "b", "a"], ValueError, "'a' more than once"),
        ([1, 1.0], ValueError, "more than once"),
        (["a", 1], ValueError, "mixes strings and numbers"),
        ([0, -1], ValueError, "missing_label=-1 is one of the classes"),
        ([0.0, np.nan], ValueError, "classes holds nan"),
        (["a", None], ValueError, "classes holds None"),
        (["a", pd.NA], ValueError, "classes holds nan"),
        (["a", ""], ValueError, "classes holds ''"),
    ],
)
def test_classes_without_an_order_or_a_meaning_are_refused(classes, error, message):
    with pytest.raises(error, match=message):
        check_classes(classes)


@pytest.mark.parametrize("marker", [-1, np.nan, None, pd.NA, "?"])
def test_a_marker_that_was_learned_is_refused(marker):
    with pytest.raises(ValueError, match=r"learned missing_label=.*LabeledOnly\(estimator\)"):
        refuse_learned_marker(np.array([0, 1, marker], dtype=object), marker)
    refuse_learned_marker([0, 1], marker)
    refuse_learned_marker(None, marker)
    refuse_learned_marker([np.array([0, -1]), np.array([0])], marker)  # several outputs
