"""Encoders around encoders, and methods that an encoder has for some of its models alone."""

import copy
import os
import uuid
from types import MethodType

import numpy as np

from ._base import Run, encode_texts, owner_of
from ._unreadable_rows import RowError, collecting

_PROCESS = uuid.uuid4().hex


class OnlyWhere:
    """A method that an object has where ``_lack(name)`` is None, and else the error that says why.

    It is what `sklearn.utils.metaestimators.available_if` does, but of the class it is still the
    method itself, by which the cache knows who encodes.
    """

    def __init__(self, method):
        self.method = method
        self.__doc__ = method.__doc__

    def __get__(self, obj, owner=None):
        if obj is None:
            return self.method
        lack = obj._lack(self.method.__name__)
        if lack is not None:
            raise AttributeError(lack)
        return MethodType(self.method, obj)


class WrapsEncoder:
    """Mixin of encoders that hold another one; `_wrapped` names its parameter."""

    _shared = ()  # parameters that clones have in common, as they may be large

    def __sklearn_clone__(self):
        # A plain encoder may hold gigabytes and never changes: clones share it.
        plain = not hasattr(getattr(self, self._wrapped), "get_params")
        shared = [*self._shared, *([self._wrapped] if plain else [])]
        kept = {name: getattr(self, name) for name in shared}
        bare = copy.copy(self)
        for name in shared:
            setattr(bare, name, None)
        return super(WrapsEncoder, bare).__sklearn_clone__().set_params(**kept)

    @property
    def logit_scale_(self):
        """What teachers multiply cosines by: that of the encoder within."""
        return getattr(getattr(self, self._wrapped), "logit_scale_", None)


def identity_of(encoder, method):
    """Say what another encoder's embeddings depend on.

    One that says nothing of itself is told from others within this process alone.
    """
    owner = owner_of(encoder, method, Run())
    if isinstance(owner, str):
        return owner
    return (_PROCESS, os.getpid(), *(owner or (uuid.uuid4().hex,)))


def encode_good(encode, rows):
    """Call an encoder's method for rows, and again without those that it names as bad.

    Returned are the embeddings of the others, and the bad rows with the reasons.
    """
    left, bad = list(range(len(rows))), {}
    while left:
        with collecting() as warned:
            try:
                found = np.asarray(encode([rows[row] for row in left]), dtype=np.float32)
            except RowError as error:
                found, worse = None, error.bad
            else:
                worse = {row: why for warning in warned for row, why in warning.bad.items()}
        bad.update({left[row]: why for row, why in worse.items()})
        kept = [place for place in range(len(left)) if place not in worse]
        if found is not None:
            return found[kept], bad
        left = [left[place] for place in kept]
    return np.empty((0, 0), dtype=np.float32), bad


def embed_texts(encoder, texts):
    """Embed texts as `_embed_text` has to, by another encoder and its cache."""
    from ._inputs import check_texts

    good, bad = check_texts(texts)
    places = [row for row in range(len(good) + len(bad)) if row not in bad]
    rows, worse = encode_good(lambda some: encode_texts(encoder, some), good)
    bad.update({places[row]: why for row, why in worse.items()})
    return rows, bad
