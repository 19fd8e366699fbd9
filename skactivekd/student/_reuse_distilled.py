"""What was distilled in this process before, found by everything that made it."""

import copy
from collections import OrderedDict

import torch
from scipy import sparse

from ..utils._code_identity import Unsure
from ..utils._object_identity import hash_array, state_key
from ._image_files import Pictures

# Some folds of a search over some settings, and no more memory than a process can spare.
_MAX_ENTRIES, _MAX_BYTES = 16, 2**30


class Memory:
    """The last distilled students of this process, by everything that made them.

    An entry is found by the content of the rows and of the teacher's answers,
    by the seed and by the state of the net's settings (`state_key`). What
    cannot be told apart for sure is not kept. The least recently used goes
    first, beyond 16 of them or 1 GiB.
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
    """Return the key of what training a net on rows gives; None if there is no sure one."""
    arrays = rows.X, rows.teacher_proba, rows.columns, rows.teacher_weight
    try:
        state = state_key(type(net), net.get_params(deep=False), settings)
    except Unsure:
        return None
    return state, *map(_hash, arrays)


def _hash(array):
    if isinstance(array, Pictures):
        return "pictures", array.identity()
    if array is None:
        return None
    if sparse.issparse(array):
        return array.shape, *map(_hash, (array.indptr, array.indices, array.data))
    return array.dtype.str, array.shape, hash_array(array)


memory = Memory()
