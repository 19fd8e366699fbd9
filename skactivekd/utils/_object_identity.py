"""What makes an object the one that it is: all that may change what it computes.

Two questions are answered here. *Does an object say itself what it depends on?* That is its
``fingerprint()``, and the only thing that holds in other processes and after an update of
Python. *Is an object, in this process, in the very state of before?* That is `state_key`: its
values by content, functions and classes as the objects that they are, those of the user's
together with all that their code can reach. What cannot be known for sure is `Unsure`.
"""

import functools
import hashlib
import os
import pickle
import sys
import threading
import types

import numpy as np

from ._code_identity import Reach, Unsure, describe_path, home, is_installed
from ._own_fingerprint import ADDED, fingerprint_of

_BLOCK = 2**24  # bytes hashed at once, so that no array is copied as a whole


def state_key(*values):
    """Return a tuple that tells a state of some objects from every other, in this process.

    Values count by content; functions and classes as objects, those of the user's also by all they
    read; what names a file by the file's state. What cannot be seen for sure raises `Unsure`.
    """
    describer = _Describer()
    try:
        describer.dump(values)
        describer.follow_modules()
    except Unsure:
        raise
    except Exception as error:  # whatever an attribute of the user's raises on pickling
        raise Unsure(f"its state cannot be read ({type(error).__name__}: {error})") from error
    return describer.digest.hexdigest(), *describer.objects


def hash_array(array):
    """Hash the values of an array, whatever their order in memory."""
    # SHA-256 has instructions of its own on today's processors: twice BLAKE2's speed or more.
    hasher = hashlib.sha256()
    array = np.atleast_1d(array)
    step = max(1, _BLOCK // max(array[:1].nbytes, 1))
    for start in range(0, len(array), step):
        block = np.ascontiguousarray(array[start : start + step])
        hasher.update(block.reshape(-1).view(np.uint8))  # dates have no buffer of their own
    return hasher.digest()


def _module_of(kind):
    """Name the module of a class; some of Cython's have a descriptor in its place."""
    name = kind.__module__
    return name if isinstance(name, str) else "builtins"


class _Describer(Reach, pickle.Pickler):
    """Pickle values by content, functions and classes by identity and by what they reach."""

    def __init__(self):
        Reach.__init__(self)
        self.digest = hashlib.blake2b(digest_size=16)
        pickle.Pickler.__init__(self, types.SimpleNamespace(write=self.digest.update), protocol=5)
        self._places = {}
        self._alive = []  # else another object could get the id of one that is gone

    def persistent_id(self, value):
        if isinstance(value, str | os.PathLike):
            return describe_path(value)
        is_array = type(value) in (np.ndarray, np.memmap) and not value.dtype.hasobject
        if not is_array and not isinstance(value, _OBJECTS) and not _is_tensor(value):
            return None
        if id(value) in self._places:
            return b"again", self._places[id(value)]
        self._places[id(value)] = len(self._places)
        self._alive.append(value)
        if is_array:
            dtype = np.lib.format.dtype_to_descr(value.dtype)
            return b"array", repr(dtype).encode(), value.shape, hash_array(value)
        if _is_tensor(value):
            # torch itself would write an address, which another copy of a module does not have.
            kind = f"{value.dtype} {tuple(value.shape)} {value.device} {value.requires_grad}"
            return b"tensor", type(value), kind.encode(), _hash_tensor(value)
        if isinstance(value, types.ModuleType):
            self.add_module(value)
            return b"module", value.__name__.encode()
        self.objects.append(value)
        # The pickler goes on into the definition, where there may be functions again.
        return b"object", self._definition(value)

    def reducer_override(self, value):
        kind = type(value)
        if isinstance(value, functools._lru_cache_wrapper):
            raise Unsure(f"{name_of(value)} remembers earlier results (functools.lru_cache)")
        if kind in _LOCKS or getattr(kind, "_decides_nothing", False):
            return _mark, (kind,)
        if kind is property:
            return _mark, (kind,), (value.fget, value.fset, value.fdel)
        if kind in (staticmethod, classmethod):
            return _mark, (kind,), (value.__func__, getattr(value, "__dict__", None))
        if kind is types.MappingProxyType:
            return _mark, (kind,), dict(value)
        if kind is types.CellType:
            return _mark, (kind,), _content(value)
        if hasattr(kind, "fingerprint"):
            text = fingerprint_of(value, [name for name in dir(kind) if name.startswith("encode_")])
            if text is not None:
                return _mark, (kind,), text
        if is_installed(_module_of(kind)):
            return NotImplemented
        # A class of the user's may leave out what matters when it is pickled.
        reduced = value.__reduce_ex__(5)
        if not isinstance(reduced, str):
            reduced = [
                list(part) if place > 2 and part is not None else part
                for place, part in enumerate(reduced)
            ]
        return _mark, (kind,), (object.__getstate__(value), reduced)

    def _definition(self, value):
        """Return what may change in place of a function or a class."""
        if isinstance(value, types.BuiltinFunctionType | types.MethodWrapperType):
            owner = value.__self__
            if owner is None or isinstance(owner, types.ModuleType):
                self.check_home(value.__module__ or "builtins", value.__name__)
                return value.__name__
            return value.__name__, owner
        if isinstance(value, types.FunctionType):
            return self._define_function(value)
        if isinstance(value, type):
            return self._define_class(value)
        return None

    def _define_function(self, function):
        if is_installed(home(function)):
            self.check_home(home(function), function.__name__)
            found = None
        else:
            self.objects.append(function.__code__)
            found = self.read_code(function.__code__, function.__globals__)
        cells = [_content(cell) for cell in function.__closure__ or ()]
        return found, function.__defaults__, function.__kwdefaults__, cells, vars(function)

    def _define_class(self, kind):
        if is_installed(_module_of(kind)):
            self.check_home(_module_of(kind), kind.__name__)
        own = [base for base in kind.__mro__ if not is_installed(_module_of(base))]
        theirs = [base for base in kind.__mro__ if is_installed(_module_of(base))]
        # A method that someone put into an installed class, such as one that counts calls,
        # is taken as it is, without what it reads.
        self.objects += [
            value
            for base in theirs
            for value in list(vars(base).values())
            if isinstance(value, types.FunctionType) and not is_installed(home(value))
        ]
        return type(kind), kind.__mro__[1:], [_members(base) for base in own]


def _mark(*parts):
    """Stand for an object in a description; it is never called."""


def name_of(value):
    """Name a function, a class, or else the class of a value."""
    # A ufunc of numpy has no qualified name before 2.2.
    short = value.__name__ if isinstance(value, np.ufunc) else type(value).__qualname__
    return getattr(value, "__qualname__", short)


def _content(cell):
    try:
        return ("cell", cell.cell_contents)
    except ValueError:
        return "an empty cell"


def _is_tensor(value):
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _hash_tensor(tensor):
    import torch

    values = tensor.detach().cpu().contiguous()
    return hash_array(values.reshape(-1).view(torch.uint8).numpy())


def _members(kind):
    """Return the attributes of a class, without what Python itself adds."""
    return {name: value for name, value in vars(kind).items() if name not in ADDED}


_DESCRIPTORS = (
    types.WrapperDescriptorType
    | types.MethodDescriptorType
    | types.ClassMethodDescriptorType
    | types.GetSetDescriptorType
    | types.MemberDescriptorType
)
_OBJECTS = (
    type
    | types.FunctionType
    | types.BuiltinFunctionType
    | types.MethodWrapperType
    | types.ModuleType
    | _DESCRIPTORS
)
_LOCKS = (type(threading.Lock()), type(threading.RLock()))
