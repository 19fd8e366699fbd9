"""What computes an embedding: the owner under whose name it is kept."""

import functools
import itertools
import threading
import types
import warnings
from collections import OrderedDict, namedtuple
from hashlib import blake2b

from ..utils._code_identity import Unsure
from ..utils._object_identity import state_key
from ..utils._own_fingerprint import class_name, fingerprint_of

_CODE = types.FunctionType | types.MethodType | types.BuiltinFunctionType | functools.partial
_IRRELEVANT = ("cache", "batch_size", "verbose")
_MOST_STATES = 1024  # of encoders that are told apart at once; each takes a few kB

_LOCK = threading.Lock()
_STATES = OrderedDict()  # key of a state -> number of what encodes in it
_NUMBERS = itertools.count()
_UNSURE = set()  # names of encoders that could not be identified

Local = namedtuple("Local", "name number")
Local.__doc__ = "Owner of rows in this process only: the encoder in one state."


def identify(encoder, method):
    """Name what a method of an encoder computes.

    A str is the same in every process: the class and its ``fingerprint()``. A `Local` means an
    encoder without one in its present state. None: that cannot be told, so rows are not kept.
    """
    owner = fingerprint_owner(encoder, method)
    if owner is not None:
        return owner
    name = f"{class_name(type(encoder))}.{method}"
    try:
        return local_owner(name, state_of(encoder))
    except Unsure as error:
        _warn_of(name, error)
        return None


def fingerprint_owner(encoder, method):
    """Name what answers for itself by its ``fingerprint()``; None if it does not."""
    fingerprint = fingerprint_of(encoder, (method,))
    return None if fingerprint is None else named_owner(encoder, method, fingerprint)


def named_owner(encoder, method, fingerprint):
    """Name what a method computes by what it says itself that this depends on."""
    digest = blake2b(fingerprint.encode(), digest_size=16).hexdigest()
    return f"{class_name(type(encoder))}.{method} {digest}"


def local_owner(name, key):
    """Name what is in the state of a key, in this process."""
    with _LOCK:
        if key not in _STATES:
            _STATES[key] = next(_NUMBERS)
            while len(_STATES) > _MOST_STATES:
                _STATES.popitem(last=False)
        _STATES.move_to_end(key)
        return Local(name, _STATES[key])


def same_owner(owner, key):
    """Let the state of a key be that of an owner."""
    with _LOCK:
        _STATES[key] = owner.number


def keep_identity(encoder, owner):
    """Let an encoder be who it was: what its own method changed, a counter say, is no news."""
    if isinstance(owner, Local):
        try:
            same_owner(owner, state_of(encoder))
        except Unsure:
            return


def state_of(encoder):
    """Tell the present state of an object from every other; raise `Unsure` if that cannot be."""
    if isinstance(encoder, _CODE):
        return state_key(encoder)
    state = object.__getstate__(encoder)
    kept = [
        {name: value for name, value in (part or {}).items() if name not in _IRRELEVANT}
        for part in (state if isinstance(state, tuple) else (state,))
    ]
    inside = encoder.items() if isinstance(encoder, dict) else encoder
    holds = isinstance(encoder, dict | list | tuple | set | frozenset)
    content = list(inside) if holds else None
    return state_key(type(encoder), kept, content)


def _warn_of(name, error):
    """Warn of an encoder whose rows are not kept, once that costs something: the second time."""
    with _LOCK:
        again = name in _UNSURE
        _UNSURE.add(name)
    if again:
        warnings.warn(
            f"{name} encodes its rows anew at each call, as its embeddings cannot be told from "
            f"those of another state for sure: {error}. Give it a method fingerprint() that "
            "returns a str of all that they depend on",
            UserWarning,
            stacklevel=5,
        )
