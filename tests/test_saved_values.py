"""Values in a saved model: each comes back as it was, or is refused by name."""

import math

import numpy as np
import pytest
import torch

from skactivekd.persistence._json_values import LeftOut, Reader, Unsaveable, Writer

VALUES = [
    None, True, "é", 3, 2.5, math.inf, -math.inf, (1, "a"), {1, 2}, frozenset({"a"}),
    range(1, 9, 2), {("a", 1): [0.5, None]}, np.float32(0.5), np.array(["a", "bc"]),
    np.array([1, "a", None], object), np.arange(6, dtype=np.int16).reshape(2, 3),
    np.zeros((0, 4)), torch.device("cpu"),
]  # fmt: skip


def there_and_back(value):
    arrays = {}
    written = Writer(arrays).write(value, "v")
    return Reader(arrays).read(written)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_come_back(value):
    found = there_and_back(value)
    assert type(found) is type(value)
    np.testing.assert_equal(found, value)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int32, torch.bool])
def test_tensors_come_back(dtype):
    value = torch.tensor([[0, 1, 1]]).to(dtype)
    found = there_and_back(value)
    assert found.dtype == dtype
    assert torch.equal(found, value)
    large = torch.arange(5000).to(torch.float64)
    assert torch.equal(there_and_back(large), large)


def test_what_was_left_out_is_said_again():
    found = there_and_back(LeftOut("a function"))
    assert isinstance(found, LeftOut)
    assert found.description == "a function"
    assert repr(found) == "<left out of the saved model: a function>"


def test_a_generator_goes_on_where_it_was():
    state = np.random.RandomState(3)
    state.normal()  # keeps a second number back
    found = there_and_back(state)
    np.testing.assert_array_equal(found.normal(size=4), state.normal(size=4))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda: 0, "which has no form but pickle"),
        (object(), "v is "),
        (np.array([1j]), "array of complex128"),
        (np.zeros(2, dtype=[("a", int)]), "array of"),
        (np.zeros(2, dtype="datetime64[s]"), "array of datetime64"),
        pytest.param(
            np.zeros(2, dtype=np.longdouble),
            "array of float",
            marks=pytest.mark.skipif(np.dtype("longdouble").itemsize == 8, reason="is a double"),
        ),
        (np.random.RandomState(np.random.SFC64(0)), "draws from SFC64"),
        ([1, {2: object()}], r"v\.1\.2 is"),
    ],
)
def test_what_has_no_form_is_named(value, message):
    with pytest.raises(Unsaveable, match=message):
        Writer({}).write(value, "v")


@pytest.mark.parametrize(
    "written",
    [
        {"$nothing": 1},
        {"$float": "1"},
        {"$class": "os.system"},
        {"$object": ["subprocess.Popen", {}]},
        {"$array": {"dtype": "<f8", "shape": [2], "values": [1.0]}},
        {"$array": {"dtype": "<f8", "shape": [2], "name": "gone"}},
        {"$array": {"dtype": "O8x", "shape": [1], "values": [1]}},
    ],
)
def test_what_nobody_wrote_is_refused(written):
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        Reader({}).read(written)
