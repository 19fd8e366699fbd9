"""Values as JSON and arrays: what a config can say, and nothing that could run."""

import math
import numbers

import numpy as np
import torch
from skorch.callbacks import EarlyStopping, GradientNormClipping, LRScheduler
from skorch.dataset import Dataset, ValidSplit
from torch.optim import Optimizer, lr_scheduler
from torch.utils.data import DataLoader

from ..student import DHOLoss, WarmupDecay
from ..student._unsaved_setting import LeftOut

# Arrays up to this many numbers stand in the config, where a person can read them.
_READABLE = 64


class Unsaveable(ValueError):
    """A value that has no form but pickle."""


def _of_torch():
    """Return the optimizers and schedules of torch by name."""
    found = {
        f"torch.optim.{name}": value
        for name, value in vars(torch.optim).items()
        if isinstance(value, type) and issubclass(value, Optimizer)
    }
    schedules = vars(lr_scheduler).items()
    found |= {
        f"torch.optim.lr_scheduler.{name}": value
        for name, value in schedules
        if isinstance(value, type) and not name.startswith("_")
    }
    return {name: value for name, value in found.items() if value.__module__.startswith("torch.")}


# The only classes that a config may name.
_CLASSES = {
    "skactivekd.student.DHOLoss": DHOLoss,
    "skactivekd.student.WarmupDecay": WarmupDecay,
    "skorch.dataset.Dataset": Dataset,
    "skorch.dataset.ValidSplit": ValidSplit,
    "skorch.callbacks.EarlyStopping": EarlyStopping,
    "skorch.callbacks.GradientNormClipping": GradientNormClipping,
    "skorch.callbacks.LRScheduler": LRScheduler,
    "torch.utils.data.DataLoader": DataLoader,
    **_of_torch(),
}
_NAMES = {value: name for name, value in _CLASSES.items()}
# Those of which it may have instances, and the arguments that make these again.
_OBJECTS = {
    WarmupDecay: ("warmup", "shape"),
    EarlyStopping: (
        *("monitor", "patience", "threshold", "threshold_mode", "lower_is_better"),
        "load_best",
    ),
    GradientNormClipping: ("gradient_clip_value", "gradient_clip_norm_type"),
    LRScheduler: ("policy", "monitor", "event_name", "step_every"),
    ValidSplit: ("cv", "stratified", "random_state"),
}

# Those that numpy has too.
_TENSORS = {torch.float64, torch.float32, torch.float16, torch.int64, torch.int32, torch.bool}


class Writer:
    """Turn values into what JSON holds; large arrays go to `arrays`, by name.

    Parameters
    ----------
    arrays : dict of str to ndarray
        Filled.
    """

    def __init__(self, arrays):
        self.arrays = arrays

    def write(self, value, place):
        """Return a value in JSON's terms.

        Parameters
        ----------
        value : object
        place : str
            Its name, for messages and for arrays.

        Raises
        ------
        Unsaveable
            If it has no form but pickle.
        """
        if value is None or isinstance(value, bool | str):
            return value
        if type(value) is int:
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"$float": str(value)}
        if isinstance(value, LeftOut):
            return {"$left_out": value.description}
        if isinstance(value, type) and value in _NAMES:
            return {"$class": _NAMES[value]}
        if isinstance(value, torch.device):
            return {"$device": str(value)}
        if isinstance(value, np.generic):
            return {"$scalar": self._array(np.asarray(value), place)}
        if isinstance(value, np.ndarray):
            return {"$array": self._array(value, place)}
        if type(value) is torch.Tensor and value.dtype in _TENSORS:
            return {"$tensor": self._array(value.detach().cpu().numpy(), place)}
        if isinstance(value, np.random.RandomState):
            return {"$random_state": self._random_state(value, place)}
        if type(value) is range:
            return {"$range": [value.start, value.stop, value.step]}
        if type(value) is list:
            return self._each(value, place)
        if type(value) in (tuple, set, frozenset):
            values = value if isinstance(value, tuple) else sorted(value, key=repr)
            return {f"${type(value).__name__}": self._each(values, place)}
        if type(value) is dict:
            pairs = [[self.write(key, place), key, item] for key, item in value.items()]
            return {"$dict": [[key, self.write(v, f"{place}.{k}")] for key, k, v in pairs]}
        if type(value) in _OBJECTS:
            return {"$object": self._object(value, place)}
        raise Unsaveable(f"{place} is {describe(value)}, which has no form but pickle")

    def _each(self, values, place):
        return [self.write(value, f"{place}.{number}") for number, value in enumerate(values)]

    def _object(self, value, place):
        if getattr(value, "sink", print) is not print:
            raise Unsaveable(
                f"{place}.sink is {describe(value.sink)}, which has no form but pickle"
            )
        settings = {name: getattr(value, name) for name in _OBJECTS[type(value)]}
        if type(value) is LRScheduler:
            settings |= value.kwargs
        written = {name: self.write(item, f"{place}.{name}") for name, item in settings.items()}
        return [_NAMES[type(value)], written]

    def _array(self, array, place):
        dtype = array.dtype.str
        if array.dtype.kind == "O":
            # Labels and names of columns: plain values, each with its own type.
            values = [self.write(item, place) for item in array.ravel().tolist()]
            return {"dtype": "O", "shape": list(array.shape), "values": values}
        if array.dtype.kind not in "biufU":
            raise Unsaveable(f"{place} is an array of {array.dtype}, which has no form but pickle")
        if array.dtype.kind == "f" and array.dtype.itemsize > 8:
            raise Unsaveable(f"{place} is an array of {array.dtype}, which has no form but pickle")
        if array.dtype.kind in "bU" or array.size <= _READABLE:
            values = [self.write(item, place) for item in array.ravel().tolist()]
            return {"dtype": dtype, "shape": list(array.shape), "values": values}
        self.arrays[place] = array.astype(array.dtype.newbyteorder("="), order="C")
        return {"dtype": dtype, "shape": list(array.shape), "name": place}

    def _random_state(self, state, place):
        found = state.get_state(legacy=False)
        kind, numbers = found["bit_generator"], found["state"]
        if kind != "MT19937":
            raise Unsaveable(f"{place} draws from {kind}, which has no form but pickle")
        rest = [int(numbers["pos"]), int(found["has_gauss"]), float(found["gauss"])]
        return [self._array(numbers["key"].astype(np.int64), place), *rest]


class Reader:
    """Turn what `Writer` made back into values.

    Parameters
    ----------
    arrays : dict of str to ndarray
    """

    def __init__(self, arrays):
        self.arrays = arrays

    def read(self, value):
        """Return the value.

        Raises
        ------
        ValueError, TypeError, KeyError
            If no `Writer` wrote this.
        """
        if isinstance(value, list):
            return [self.read(item) for item in value]
        if not isinstance(value, dict):
            return value
        ((kind, content),) = value.items()
        return getattr(self, f"_read_{kind.removeprefix('$')}")(content)

    def _read_float(self, content):
        return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[content]

    def _read_left_out(self, content):
        return LeftOut(str(content))

    def _read_class(self, content):
        return _CLASSES[content]

    def _read_device(self, content):
        return torch.device(content)

    def _read_scalar(self, content):
        return self._read_array(content)[()]

    def _read_tensor(self, content):
        return torch.from_numpy(self._read_array(content))

    def _read_random_state(self, content):
        keys, position, has_gauss, gauss = content
        state = np.random.RandomState()
        keys = self._read_array(keys).astype(np.uint32)
        state.set_state(("MT19937", keys, position, has_gauss, gauss))
        return state

    def _read_range(self, content):
        return range(*content)

    def _read_tuple(self, content):
        return tuple(self.read(content))

    def _read_set(self, content):
        return set(self.read(content))

    def _read_frozenset(self, content):
        return frozenset(self.read(content))

    def _read_dict(self, content):
        return {self.read(key): self.read(item) for key, item in content}

    def _read_object(self, content):
        name, settings = content
        kind = _CLASSES[name]
        if kind not in _OBJECTS:
            raise ValueError(f"there are no {name} in a saved model")
        settings = {key: self.read(item) for key, item in settings.items()}
        return kind(**settings)

    def _read_array(self, content):
        dtype, shape = np.dtype(content["dtype"]), tuple(content["shape"])
        if "name" in content:
            array = self.arrays[content["name"]]
            if array.shape != shape or array.dtype != dtype.newbyteorder("="):
                raise ValueError(
                    f"the array {content['name']} is {array.dtype} of shape {array.shape}, not "
                    f"{dtype} of shape {shape}"
                )
            return array.astype(dtype)
        array = np.empty(math.prod(shape), dtype=dtype)
        values = content["values"]
        if len(values) != array.size:
            raise ValueError(f"{len(values)} values for an array of shape {shape}")
        for number, item in enumerate(values):
            array[number] = self.read(item)
        return array.reshape(shape)


def is_plain_number(value):
    """Tell finite numbers, numpy's too, from the rest."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


def describe(value):
    """Say in a few words what a value is, without addresses in memory."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} array of shape {value.shape}"
    if isinstance(value, type) or hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, list | tuple):
        inside = ", ".join(describe(item) for item in value)
        return f"[{inside}]"
    if isinstance(value, str):
        return repr(value)
    text = " ".join(repr(value).split())
    if " at 0x" in text or len(text) > 500:
        return f"{type(value).__module__}.{type(value).__qualname__} instance"
    return text
