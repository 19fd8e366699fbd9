"""The digits as the embedded teacher wants them."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from skactivekd.datasets import load_glyph_digits


def test_images_are_float_in_the_unit_range():
    images = load_glyph_digits().images
    assert images.shape == (1797, 8, 8)
    assert images.dtype == np.float32
    assert images.min() == 0
    assert images.max() == 1


def test_rows_are_those_of_scikit_learn():
    digits, raw = load_glyph_digits(), load_digits()
    np.testing.assert_array_equal(digits.images * 16, raw.images)
    np.testing.assert_array_equal(digits.target, raw.target)
    assert digits.data is digits.images
    assert digits.DESCR == raw.DESCR


def test_classes_name_every_label():
    digits = load_glyph_digits()
    assert digits.target.dtype.kind == "i"
    assert sorted(digits.classes) == sorted(set(digits.target.tolist()))
    assert digits.target_names == [digits.classes[label] for label in range(10)]
    assert digits.target_names[3] == "three"


def test_changing_the_result_changes_nothing_else():
    load_glyph_digits().classes[0] = "naught"
    assert load_glyph_digits().classes[0] == "zero"


def test_return_x_y():
    images, target = load_glyph_digits(return_X_y=True)
    digits = load_glyph_digits()
    np.testing.assert_array_equal(images, digits.images)
    np.testing.assert_array_equal(target, digits.target)
    with pytest.raises(TypeError):
        load_glyph_digits(True)
