"""What was distilled in this process before, found by everything that made it."""

import copy
import dis
import hashlib
import inspect
import pickle
import sys
import sysconfig
import types
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from scipy import sparse

from ._pictures import Pictures

_MAX_ENTRIES, _MAX_BYTES = 16, 2**30


class Memory:
    """The last distilled students of this process, by everything that made them.

    An entry is found by the content of the rows and of the teacher's answers,
    by the seed and by every setting of the net. Functions and classes count
    as the objects that they are, those of the user's also by their code, their
    attributes and the variables around them that they read. What cannot be
    told apart for sure is not kept. The least recently used goes first, beyond
    16 of them or 1 GiB.
    """

    def __init__(self):
        self._entries = OrderedDict()

    def get(self, key):
        """Return a copy of an entry, or None."""
        if key is None or key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return copy.deepcopy(self._entries[key][0])

    def put(self, key, distilled):
        """Keep a copy of an entry, if it can be copied."""
        if key is None:
            return
        size = _size(distilled)
        if size > _MAX_BYTES:
            return
        try:
            self._entries[key] = copy.deepcopy(distilled), size
        except Exception:  # a callback that holds an open file, say
            return
        while (
            len(self._entries) > _MAX_ENTRIES
            or sum(size for _, size in self._entries.values()) > _MAX_BYTES
        ):
            self._entries.popitem(last=False)

    def clear(self):
        """Forget all."""
        self._entries.clear()


def _size(distilled):
    """Return the bytes of a trained network with what its optimizer keeps, and of features."""
    net = distilled.net
    tensors = [] if distilled.features is None else [distilled.features.rows]
    tensors += list(net.module_.state_dict().values())
    for state in net.optimizer_.state.values():
        tensors += [value for value in state.values() if torch.is_tensor(value)]
    return sum(value.numel() * value.element_size() for value in tensors)


def identify(net, rows, *settings):
    """Return the key of what training a net on rows gives, or None if there is no sure one.

    Parameters
    ----------
    net : DHONet
        Unfitted.
    rows : RowDataset
    *settings : object
        What else decides the training.

    Returns
    -------
    key : tuple or None
    """
    digest, objects = hashlib.blake2b(digest_size=16), []
    params = net.get_params(deep=False)
    try:
        _Describe(digest, objects).dump((type(net), params, settings))
    except Exception:  # whatever an attribute of the user's raises on pickling
        return None
    arrays = rows.X, rows.teacher_proba, rows.columns, rows.teacher_weight
    for array in arrays:
        _add_array(digest, array)
    return digest.hexdigest(), *objects


class _Describe(pickle.Pickler):
    """Pickle values by content; functions and classes by identity and by what they are made of."""

    def __init__(self, digest, objects):
        super().__init__(types.SimpleNamespace(write=digest.update), protocol=5)
        self._objects = objects
        self._places = {}
        self._alive = []  # else another object could get the id of one that is gone

    def persistent_id(self, value):
        if not isinstance(value, _OBJECTS | torch.Tensor):
            return None
        if id(value) in self._places:
            return "again", self._places[id(value)]
        self._places[id(value)] = len(self._places)
        self._alive.append(value)
        if isinstance(value, torch.Tensor):
            # torch itself would write an address, which another copy of a module does not have.
            return type(value), value.requires_grad, str(value.device), *_content(value)
        self._objects.append(value)
        # The pickler goes on into the definition, where there may be functions again.
        return "object", _definition(value)


def _content(tensor):
    values = tensor.detach().cpu().contiguous()
    return values.dtype, tuple(values.shape), values.reshape(-1).view(torch.uint8).numpy()


def _definition(value):
    """Return what may change in place of a function or a class of the user's."""
    if isinstance(value, _FIXED) or _is_installed(value.__module__):
        return None
    if isinstance(value, types.FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        defaults = value.__defaults__, value.__kwdefaults__
        return _code(value.__code__), defaults, cells, _globals(value), vars(value)
    own = [base for base in value.__mro__ if not _is_installed(base.__module__)]
    return value.__mro__[1:], [_members(base) for base in own]


def _code(code):
    consts = [
        _code(const) if isinstance(const, types.CodeType) else repr(const)
        for const in code.co_consts
    ]
    return code.co_code, code.co_names, consts


def _globals(function):
    """Return the global names that a function reads, with their values."""
    names, attributes = set(), set()
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        codes += [const for const in code.co_consts if isinstance(const, types.CodeType)]
        attributes.update(code.co_names)
        names.update(
            step.argval
            for step in dis.get_instructions(code)
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")
        )
    space = function.__globals__
    found = {name: space[name] for name in sorted(names) if name in space}
    for name, value in list(found.items()):
        if isinstance(value, types.ModuleType) and not _is_installed(value.__name__):
            for attribute in sorted(attributes & set(vars(value))):
                found[name, attribute] = vars(value)[attribute]
    return found


def _members(kind):
    """Return the attributes of a class, without what Python itself adds."""
    members = {}
    for name, value in vars(kind).items():
        if isinstance(value, staticmethod | classmethod):
            value = type(value), value.__func__
        elif isinstance(value, property):
            value = value.fget, value.fset, value.fdel
        if name not in _ADDED and not inspect.isdatadescriptor(value):
            members[name] = value
    return members


def _is_installed(name):
    """Tell whether a module is Python's, this package's or another installed one.

    What these define does not change while a program runs.
    """
    if name.split(".")[0] == __name__.split(".")[0]:
        return True
    if name == "__main__" or name not in sys.modules:
        return False
    file = getattr(sys.modules[name], "__file__", None)
    if file is None:
        return True
    folders = Path(file).parents
    return _PYTHON in folders or any(f.name in ("site-packages", "dist-packages") for f in folders)


_FIXED = types.BuiltinFunctionType | types.ModuleType
_OBJECTS = _FIXED | type | types.FunctionType
_PYTHON = Path(sysconfig.get_path("stdlib"))
_ADDED = {
    *("__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__annotations__"),
    *("__annotate__", "__annotate_func__", "__annotations_cache__", "__firstlineno__"),
    *("__static_attributes__", "__abstractmethods__", "__parameters__", "_abc_impl"),
}


def _add_array(digest, array):
    if isinstance(array, Pictures):
        digest.update(b"pictures" + array.identity())
        return
    if array is None:
        digest.update(b"none")
        return
    if sparse.issparse(array):
        digest.update(f"csr {array.shape}".encode())
        for part in (array.indptr, array.indices, array.data):
            _add_array(digest, part)
        return
    digest.update(f"{array.dtype.str} {array.shape}".encode())
    step = max(1, 2**24 // max(array[:1].nbytes, 1))
    for start in range(0, len(array), step):
        digest.update(np.ascontiguousarray(array[start : start + step]))


memory = Memory()
