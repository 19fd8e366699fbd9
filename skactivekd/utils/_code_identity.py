"""Which code is installed, and what the code of a user's may reach."""

import dis
import functools
import os
import re
import sys
import sysconfig
import types
from collections import deque
from pathlib import Path

from ._row_identity import stamp_path


class Unsure(Exception):
    """An object's state cannot be told for sure; the text says why."""


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


def home(function):
    """Name the module in which a function runs, which no wrapper can claim to be another."""
    return function.__globals__.get("__name__") or ""


class Reach:
    """What code met while objects are described may read: globals, modules, files.

    A pickler takes it up: what is found is dumped, and what code itself is goes to `objects`.
    """

    def __init__(self):
        self.objects = []
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
            self.add_module(value)
        elif module.__name__.partition(".")[0] != "PIL" and (
            name in _LOADERS or name.startswith("read_")
        ):
            raise Unsure(f"its code uses {module.__name__}.{name}, which reads what may change")

    def check_home(self, module, name):
        root = module.partition(".")[0]
        if root not in _KNOWN:
            raise Unsure(f"it uses {module}.{name}, and what that reads cannot be seen")
        if root != "PIL" and (name in _LOADERS or name.startswith("read_")):
            raise Unsure(f"its code uses {module}.{name}, which reads what may change")

    def add_module(self, module):
        name = module.__name__
        if is_installed(name) and name.partition(".")[0] not in _KNOWN:
            raise Unsure(f"its code uses {name}, and what that reads cannot be seen")
        self._modules[id(module)] = module

    def read_code(self, code, space):
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
            path = describe_path(const)
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
                self.add_module(sys.modules[place])
        if name and not found and parts[0] not in _STDLIB:
            raise Unsure(f"its code imports {name}, which was not imported yet")


def describe_path(value):
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


_LONGEST_PATH = 4096  # PATH_MAX of Linux
_MOST_FILES = 2000  # a model's folder holds a few dozen; to look at more takes too long
_ALPHANUMERIC = re.compile(r"\w")
_PIECE = re.compile(r"[/\\~]|^\.?[\w-]*\.\w+$")  # "/weights", ".npy", "model.pt"
_PYTHON = Path(sysconfig.get_path("stdlib"))
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
