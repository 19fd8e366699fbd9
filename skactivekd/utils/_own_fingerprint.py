"""What an object says itself that it depends on."""

import inspect
import types

from ._code_identity import home, is_installed


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
            "return a str that changes whenever the embeddings may."
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
        if any(name not in ADDED and name != "__init__" for name in vars(kind)):
            return False
    # A method that someone put into an installed class is not what the class answers for.
    found = [inspect.getattr_static(type(obj), name, None) for name in methods]
    code = [function for function in found if isinstance(function, types.FunctionType)]
    return not is_installed(kind.__module__) or all(is_installed(home(f)) for f in code)


def class_name(kind):
    """Name a class as every process of a program calls it."""
    module = kind.__module__.replace("__mp_main__", "__main__")  # as spawned processes call it
    return f"{module}.{kind.__qualname__}"


ADDED = {
    *("__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__annotations__"),
    *("__annotate__", "__annotate_func__", "__annotations_cache__", "__firstlineno__"),
    *("__static_attributes__", "__abstractmethods__", "__parameters__", "_abc_impl"),
}
