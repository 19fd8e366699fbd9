"""What makes an object the one that it is: all that may change what it computes.

Two questions are answered here. *Does an object say itself what it depends on?* That is its
``fingerprint()``, and the only thing that holds in other processes and after an update of
Python. *Is an object, in this process, in the very state of before?* That is `state_key`: its
values by content, functions and classes as the objects that they are, those of the user's
together with all that their code can reach. What cannot be known for sure is `Unsure`.
"""

import dis
import functools
import hashlib
import inspect
import os
import pickle
import re
import sys
import sysconfig
import threading
import types
from collections import deque
from pathlib import Path

import numpy as np

from ._row_identity import stamp_path

_BLOCK = 2**24  # bytes hashed at once, so that no array is copied as a whole


class Unsure(Exception):
    """An object's state cannot be told for sure; the text says why."""


def state_key(*values):
    """Tell a state of some objects from every other, in this process.

    Parameters
    ----------
    *values : object
        Values count by content; functions and classes as objects, those of the user's also by
        their attributes and all they read. What names a file counts by the file's state too.

    Returns
    -------
    key : tuple
        Equal for the same state, and for no other. It keeps alive what it names.

    Raises
    ------
    Unsure
        If there is something whose state cannot be seen, such as an open file, or code that
        may read what nobody can foresee.
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


def fingerprint_of(obj, methods=()):
    """Return the fingerprint by which an object answers for its methods; None if it does not.

    A class that overrides a method but inherits ``fingerprint()`` has none: what it inherits
    knows nothing of what it changed.
    """
    if not callable(getattr(obj, "fingerprint", None)) or not _answers_for(obj, methods):
        return None
    text = obj.fingerprint()
    if not isinstance(text, str):
        raise TypeError(
            f"{type(obj).__qualname__}.fingerprint() returned a {type(text).__name__}; it must "
            "return a str that changes whenever the embeddings may"
        )
    return text


def _answers_for(obj, methods):
    own = getattr(obj, "__dict__", {})
    if "fingerprint" in own:
        return True
    if any(name in own for name in methods):
        return False
    for kind in type(obj).__mro__:
        if "fingerprint" in vars(kind) or "_identity" in vars(kind):
            break
        if any(name not in _ADDED and name != "__init__" for name in vars(kind)):
            return False
    # A method that someone put into an installed class is not what the class answers for.
    found = [inspect.getattr_static(type(obj), name, None) for name in methods]
    code = [function for function in found if isinstance(function, types.FunctionType)]
    return not is_installed(kind.__module__) or all(is_installed(_home(f)) for f in code)


def class_name(kind):
    """Name a class as every process of a program calls it."""
    module = kind.__module__.replace("__mp_main__", "__main__")  # as spawned processes call it
    return f"{module}.{kind.__qualname__}"


def is_installed(name):
    """Tell whether a module is Python's, this package's or another installed one.

    What these define does not change while a program runs.
    """
    root = name.partition(".")[0]
    if root == __name__.partition(".")[0] or root in sys.builtin_module_names:
        return True
    module = sys.modules.get(name)
    if name == "__main__" or module is None:
        return False
    file = getattr(module, "__file__", None)
    if file is None:  # frozen, or a package of several folders, or made by the user
        spec = getattr(module, "__spec__", None)
        places = list(getattr(spec, "submodule_search_locations", None) or ())
        return getattr(spec, "origin", None) == "frozen" or any(map(_is_library, places))
    return _is_library(file)


@functools.lru_cache(maxsize=4096)
def _is_library(file):
    folders = Path(file).parents
    return _PYTHON in folders or any(f.name in ("site-packages", "dist-packages") for f in folders)


def _home(function):
    """Name the module in which a function runs, which no wrapper can claim to be another."""
    return function.__globals__.get("__name__") or ""


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


class _Describer(pickle.Pickler):
    """Pickle values by content, functions and classes by identity and by what they reach."""

    def __init__(self):
        self.digest, self.objects = hashlib.blake2b(digest_size=16), []
        super().__init__(types.SimpleNamespace(write=self.digest.update), protocol=5)
        self._places = {}
        self._alive = []  # else another object could get the id of one that is gone
        self._names, self._modules, self._followed = set(), {}, set()
        self._reads = None  # the first sign that code opens files
        self._pieces = None  # the first text in code that may be a part of a file's name

    def follow_modules(self):
        """Describe what the names in the code met so far mean in the modules met so far."""
        while True:
            new = []
            for module in list(self._modules.values()):
                new += [(module, name) for name in self._wanted(module)]
            new = [entry for entry in new if (id(entry[0]), entry[1]) not in self._followed]
            if not new:
                break
            for module, name in sorted(new, key=lambda entry: (entry[0].__name__, entry[1])):
                self._followed.add((id(module), name))
                value = vars(module)[name]
                if is_installed(module.__name__):
                    self._check_installed(module, name, value)
                else:
                    self.dump((module.__name__, name, value))
        if self._reads and self._pieces:
            raise Unsure(
                f"its code {self._reads} and may compute names of files ({self._pieces!r})"
            )

    def _wanted(self, module):
        space = vars(module)
        if is_installed(module.__name__):
            return [name for name in self._names if name in space]
        if type(module) is not types.ModuleType or "__getattr__" in space:
            raise Unsure(f"the module {module.__name__} computes its attributes")
        if self._names & _BY_NAME:
            return [name for name in space if not name.startswith("__")]
        return [name for name in self._names if name in space]

    def _check_installed(self, module, name, value):
        if isinstance(value, types.ModuleType):
            self._add_module(value)
        elif module.__name__.partition(".")[0] != "PIL" and (
            name in _LOADERS or name.startswith("read_")
        ):
            raise Unsure(f"its code uses {module.__name__}.{name}, which reads what may change")

    def persistent_id(self, value):
        if isinstance(value, str | os.PathLike):
            return _describe_path(value)
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
            self._add_module(value)
            return b"module", value.__name__.encode()
        self.objects.append(value)
        # The pickler goes on into the definition, where there may be functions again.
        return b"object", self._definition(value)

    def reducer_override(self, value):
        kind = type(value)
        if isinstance(value, functools._lru_cache_wrapper):
            raise Unsure(f"{_name(value)} remembers earlier results (functools.lru_cache)")
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
        if is_installed(kind.__module__):
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
                self._check_home(value.__module__ or "builtins", value.__name__)
                return value.__name__
            return value.__name__, owner
        if isinstance(value, types.FunctionType):
            return self._define_function(value)
        if isinstance(value, type):
            return self._define_class(value)
        return None

    def _define_function(self, function):
        if is_installed(_home(function)):
            self._check_home(_home(function), function.__name__)
            found = None
        else:
            self.objects.append(function.__code__)
            found = self._read_code(function.__code__, function.__globals__)
        cells = [_content(cell) for cell in function.__closure__ or ()]
        return found, function.__defaults__, function.__kwdefaults__, cells, vars(function)

    def _define_class(self, kind):
        if is_installed(kind.__module__):
            self._check_home(kind.__module__, kind.__name__)
        own = [base for base in kind.__mro__ if not is_installed(base.__module__)]
        theirs = [base for base in kind.__mro__ if is_installed(base.__module__)]
        # A method that someone put into an installed class, such as one that counts calls,
        # is taken as it is, without what it reads.
        self.objects += [
            value
            for base in theirs
            for value in list(vars(base).values())
            if isinstance(value, types.FunctionType) and not is_installed(_home(value))
        ]
        return type(kind), kind.__mro__[1:], [_members(base) for base in own]

    def _check_home(self, module, name):
        root = module.partition(".")[0]
        if root not in _KNOWN:
            raise Unsure(f"it uses {module}.{name}, and what that reads cannot be seen")
        if root != "PIL" and (name in _LOADERS or name.startswith("read_")):
            raise Unsure(f"its code uses {module}.{name}, which reads what may change")

    def _add_module(self, module):
        name = module.__name__
        if is_installed(name) and name.partition(".")[0] not in _KNOWN:
            raise Unsure(f"its code uses {name}, and what that reads cannot be seen")
        self._modules[id(module)] = module

    def _read_code(self, code, space):
        """Return the globals that code reads, and note what else it may reach."""
        found, codes = {}, deque([code])
        while codes:
            code = codes.popleft()
            self._names.update(code.co_names)
            self._note_readers(code)
            for const in code.co_consts:
                if isinstance(const, types.CodeType):
                    codes.append(const)
                else:
                    self._note_constant(code, const, found)
            for step in dis.get_instructions(code):
                if step.opname == "IMPORT_NAME":
                    self._import(step.argval, space)
                elif "GLOBAL" in step.opname or step.opname == "LOAD_NAME":
                    name = step.argval
                    if name in space and name not in ("__name__", "__qualname__"):
                        found[name] = space[name]
                    elif name in _FORBIDDEN:
                        raise Unsure(f"its code uses {name}")
        return [(name.encode(), found[name]) for name in sorted(found)]

    def _note_readers(self, code):
        for name in sorted(set(code.co_names) & _ELSEWHERE):
            raise Unsure(f"its code uses {name}")
        for name in sorted(set(code.co_names) & _READERS):
            self._reads = self._reads or f"uses {name}"

    def _note_constant(self, code, const, found):
        if isinstance(const, tuple | frozenset):
            for item in const:
                self._note_constant(code, item, found)
        elif isinstance(const, str):
            path = _describe_path(const)
            if path is not None:
                found[f"file {const}"] = path
            elif const != code.co_consts[0] and _PIECE.search(const):  # not a docstring
                self._pieces = self._pieces or const

    def _import(self, name, space):
        """Add the modules that an import in a function may mean."""
        package = (space.get("__package__") or "").split(".")
        parts = name.split(".")
        absolute = [".".join(parts[: n + 1]) for n in range(len(parts))]
        relative = [".".join(package[: n + 1]) for n in range(len(package)) if package[0]]
        relative += [f"{start}.{part}" for start in relative for part in absolute if part]
        found = [place for place in absolute + relative if place in sys.modules]
        for place in found:
            if place in absolute or not is_installed(place):
                self._add_module(sys.modules[place])
        if name and not found and parts[0] not in _STDLIB:
            raise Unsure(f"its code imports {name}, which was not imported yet")


def _mark(*parts):
    """Stand for an object in a description; it is never called."""


def _name(value):
    return getattr(value, "__qualname__", type(value).__qualname__)


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


def _describe_path(value):
    """Return the state of the file or folder that a text or a path names, None if of none."""
    text = os.fspath(value)
    if isinstance(text, bytes):
        text = os.fsdecode(text)
    stamp = None
    if len(text) < _LONGEST_PATH and _ALPHANUMERIC.search(text) and "\n" not in text:
        stamp = stamp_path(os.path.expanduser(text), _MOST_FILES)
        if stamp == "too many":
            raise Unsure(f"it names the folder {text}, which holds more than {_MOST_FILES} files")
    if stamp is None and isinstance(value, str):
        return None
    # As bytes: the pickler would ask for the state of each text among these, too.
    parts = text, stamp or ""
    return b"path", *[part.encode(errors="surrogatepass") for part in parts]


def _members(kind):
    """Return the attributes of a class, without what Python itself adds."""
    return {name: value for name, value in vars(kind).items() if name not in _ADDED}


_LONGEST_PATH = 4096  # PATH_MAX of Linux
_MOST_FILES = 2000  # a model's folder holds a few dozen; to look at more takes too long
_ALPHANUMERIC = re.compile(r"\w")
_PIECE = re.compile(r"[/\\~]|^\.?[\w-]*\.\w+$")  # "/weights", ".npy", "model.pt"
_PYTHON = Path(sysconfig.get_path("stdlib"))
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
_ADDED = {
    *("__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__annotations__"),
    *("__annotate__", "__annotate_func__", "__annotations_cache__", "__firstlineno__"),
    *("__static_attributes__", "__abstractmethods__", "__parameters__", "_abc_impl"),
}
# Libraries whose functions give the same for the same arguments, but for their loaders.
_STDLIB = sys.stdlib_module_names - {
    *("asyncio", "ctypes", "fileinput", "ftplib", "gc", "glob", "http", "imaplib", "importlib"),
    *("inspect", "mmap", "multiprocessing", "pkgutil", "poplib", "runpy", "select", "shelve"),
    *("socket", "socketserver", "sqlite3", "ssl", "subprocess", "sys", "sysconfig", "urllib"),
    *("xmlrpc", "zipimport", "dbm", "curses", "readline", "pty", "signal", "site", "secrets"),
}
_KNOWN = _STDLIB | {
    *("numpy", "scipy", "sklearn", "pandas", "torch", "skorch", "skactivekd", "torchvision"),
    *("timm", "open_clip", "sentence_transformers", "transformers", "tokenizers", "PIL", "cv2"),
    *("skimage", "einops", "tqdm", "joblib", "safetensors", "huggingface_hub", "accelerate"),
    *("modAL", "skactiveml", "typing_extensions", "threadpoolctl", "xgboost", "lightgbm"),
}
# What loads weights or settings from places that the arguments need not show.
_LOADERS = {
    *("load", "loads", "load_file", "load_model", "loadmat", "loadtxt", "genfromtxt", "fromfile"),
    *("memmap", "open_memmap", "open_code", "safe_open", "from_pretrained", "from_file"),
    *("load_state_dict_from_url", "hf_hub_download", "snapshot_download", "fetch_openml"),
}
# Names in code that mean what nobody can foresee: other places, or all variables.
_FORBIDDEN = {
    *("eval", "exec", "compile", "globals", "locals", "__import__", "input", "breakpoint"),
    *("__file__", "__loader__", "__spec__", "__builtins__"),
}
_ELSEWHERE = {
    *("environ", "environb", "getenv", "import_module", "__globals__", "f_globals", "listdir"),
    *("scandir", "iterdir", "rglob", "from_pretrained", "urlopen"),
}
# Attributes found by a computed name: of modules all count.
_BY_NAME = {"getattr", "attrgetter", "methodcaller", "vars", "__dict__", "__getattribute__", "dir"}
# What may read the files that are rows; a name that code computes may be another file's.
_READERS = {"open", "read_bytes", "read_text", "imread", "read", "readlines", "FileIO"}
