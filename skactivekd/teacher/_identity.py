"""What computes an embedding: the owner under whose name it is kept."""

import os
import types
import weakref
from hashlib import blake2b

_TRUSTED = ("builtins", "abc", "skactivekd", "sklearn")  # versions do not matter, or we see to it
_IRRELEVANT = ("cache", "batch_size")
_PLAIN = {}  # id of a plain encoder -> (weak reference to it, its state at first use)
_FUNCTIONS = weakref.WeakKeyDictionary()  # function -> its text at first use


def identify(encoder, method):
    """Name what a method of an encoder computes.

    Parameters
    ----------
    encoder : object
    method : str

    Returns
    -------
    owner : str or tuple
        A str is the same in every process and on every machine, and depends
        on the encoder's class, the code of its methods, and its
        ``fingerprint()``, else its parameters, else what it holds at its
        first use. A tuple, for what cannot be told so, holds here only.

    Examples
    --------
    >>> from skactivekd import OpenCLIPEncoder
    >>> from skactivekd.teacher._identity import identify
    >>> owner = identify(OpenCLIPEncoder(), "encode_text")
    >>> owner == identify(OpenCLIPEncoder(batch_size=3), "encode_text")
    True
    """
    encode, kind = getattr(encoder, method), _kind(type(encoder))
    function, state = getattr(encode, "__func__", encode), _state(encoder)
    code = _function_text(function)
    if isinstance(state, bytes) or code is None:
        return kind, state, function
    return f"{kind}.{method} {_digest(state, _class_text(type(encoder)), code)}"


def _state(encoder):
    """Return what tells encoders of a class apart: a str, or bytes that hold here only."""
    if hasattr(encoder, "fingerprint"):
        return _text_or_token(encoder.fingerprint())
    if hasattr(encoder, "get_params"):
        return _text_or_token(_relevant(encoder.get_params()))
    if not hasattr(encoder, "__weakref__"):
        return os.urandom(16)
    # At first use only: a counter it keeps must not make it another encoder.
    key = id(encoder)
    if key not in _PLAIN:
        # The reference's callback forgets the id before another object can take it.
        forget = weakref.ref(encoder, lambda _: _PLAIN.pop(key))
        _PLAIN[key] = forget, _text_or_token(_relevant(vars(encoder)))
    return _PLAIN[key][1]


def _relevant(state):
    return {name: value for name, value in state.items() if name not in _IRRELEVANT}


def _text_or_token(value):
    import joblib

    try:
        return value if isinstance(value, str) else joblib.hash(value)
    except Exception:  # cannot be pickled: kept apart from all others
        return os.urandom(16)


def _kind(cls):
    module = cls.__module__.replace("__mp_main__", "__main__")  # as spawned processes call it
    return f"{module}.{cls.__qualname__}"


def _class_text(cls):
    """Describe the code of a class's own methods, for what they help to compute."""
    members = [
        (name, getattr(value, "__func__", getattr(value, "fget", value)))
        for base in cls.__mro__
        if base.__module__.partition(".")[0] not in _TRUSTED
        for name, value in sorted(vars(base).items())
    ]
    functions = [(name, value) for name, value in members if isinstance(value, types.FunctionType)]
    return repr([(name, _code_text(value.__code__)) for name, value in functions])


def _function_text(function):
    """Describe a function by its code and what it closes over; None if that is impossible."""
    if not isinstance(function, types.FunctionType):
        text = _text_or_token(function)
        return text if isinstance(text, str) else None
    if (function.__module__ or "").partition(".")[0] in _TRUSTED:
        return function.__qualname__
    if function not in _FUNCTIONS:  # at first use only, as above
        _FUNCTIONS[function] = None  # should it refer to itself
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        values = [cell.cell_contents for name, cell in cells if name != "__class__"]
        values += [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        values += vars(function).values()
        texts = [_value_text(value) for value in values]
        code = _code_text(function.__code__)
        _FUNCTIONS[function] = None if None in texts else _digest(code, *texts)
    return _FUNCTIONS[function]


def _value_text(value):
    if isinstance(value, types.FunctionType):
        return _function_text(value)
    text = _text_or_token(value)
    return text if isinstance(text, str) else None


def _code_text(code):
    """Describe what code does, not where it stands."""
    constants = [
        _code_text(value)
        if isinstance(value, types.CodeType)
        else sorted(map(repr, value))
        if isinstance(value, frozenset)
        else repr(value)
        for value in code.co_consts
    ]
    return repr((code.co_code, code.co_names, code.co_varnames, code.co_freevars, constants))


def _digest(*parts):
    return blake2b(repr(parts).encode(), digest_size=16).hexdigest()
