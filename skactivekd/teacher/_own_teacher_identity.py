"""Who a teacher of the user's own is: the same as before, or one that has to be asked again."""

import functools
import types
import warnings

from sklearn.frozen import FrozenEstimator

from ..cache._encoder_identity import Local, fingerprint_owner, local_owner, same_owner, state_of
from ..utils._code_identity import Unsure
from ..utils._object_identity import state_key
from ..utils._own_fingerprint import class_name

# Libraries whose classifiers compute on this machine what they learned from the labels: new with
# each fit, and so are their answers.
_LEARNERS = {"sklearn", "skactivekd", "skorch", "xgboost", "lightgbm", "catboost"}
_WARNED = set()


def learns_here(teacher):
    """Tell classifiers of known libraries, which learn anew at each fit, from all else."""
    if not hasattr(teacher, "fit") or isinstance(teacher, FrozenEstimator):
        return False
    parts = teacher.get_params().values() if hasattr(teacher, "get_params") else ()
    parts = [teacher, *(part for part in parts if hasattr(part, "get_params"))]
    return all(type(part).__module__.partition(".")[0] in _LEARNERS for part in parts)


class Who:
    """The identity of a teacher around one call of a method.

    `owner` is as `identify` has it, None where answers must not be kept. `doubt` says why it cannot
    be told for sure whether the teacher would answer as before.
    """

    def __init__(self, teacher, method):
        while isinstance(teacher, FrozenEstimator):
            teacher = teacher.estimator
        self.teacher, self.doubt = teacher, None
        self.name = f"{class_name(type(teacher))}.{method}"
        text = fingerprint_owner(teacher, method)
        if text is not None:
            self.owner = text
            return
        try:
            key = state_of(teacher)
        except Unsure as error:
            self.doubt = str(error)
            # What is fitted may have learned something else in place.
            key = None if hasattr(teacher, "fit") else _loose_key(teacher)
        self.owner = None if key is None else local_owner(self.name, key)

    def keep(self):
        """Let the teacher be who it was: what its own call changed, a counter say, is no news."""
        if not isinstance(self.owner, Local):
            return
        try:
            key = _loose_key(self.teacher) if self.doubt else state_of(self.teacher)
        except Unsure:
            return
        same_owner(self.owner, key)

    def warn(self, name, n_kept):
        """Say once that a teacher is asked again, or was not, although nobody can tell for sure."""
        if self.doubt is None or (self.owner is not None and not n_kept):
            return
        known = (self.name, self.owner)
        again = known in _WARNED
        _WARNED.add(known)
        if self.owner is None:
            if again:  # to ask once costs nothing more
                warnings.warn(
                    f"{name} is asked anew for the same rows, as it cannot be told whether it "
                    f"would answer as before: {self.doubt}. {_REMEDY}",
                    UserWarning,
                    stacklevel=5,
                )
        elif not again:
            warnings.warn(
                f"{name}: {n_kept} rows have the answers that this very object gave before, "
                f"although it cannot be told whether it still would: {self.doubt}. {_REMEDY}, or "
                "set TeacherProba(cache=False)",
                UserWarning,
                stacklevel=5,
            )


_REMEDY = "Give it a method fingerprint() that returns a str of all that its answers depend on"


def _loose_key(teacher):
    """Tell apart what can be told apart of an object; the rest counts as the objects they are."""
    parts, met = [], {}
    _describe(teacher, parts, met)
    return "loose", *parts


def _describe(value, parts, met):
    if id(value) in met:
        return
    met[id(value)] = value
    parts.append(_Same(value))
    for name, part in _pieces(value):
        try:
            parts.append((name, state_key(part)))
        except Unsure:
            if isinstance(part, types.FunctionType | types.MethodType | functools.partial):
                parts.append(name)
                _describe(part, parts, met)
            else:
                parts.append((name, _Same(part)))


def _pieces(value):
    """Yield names and values of what a function or an object holds or reads."""
    if isinstance(value, types.MethodType):
        yield "self", value.__self__
        yield "function", value.__func__
    elif isinstance(value, functools.partial):
        yield from {"function": value.func, "args": value.args, "keywords": value.keywords}.items()
    elif isinstance(value, types.FunctionType):
        yield "defaults", (value.__defaults__, value.__kwdefaults__, vars(value))
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            try:
                yield name, cell.cell_contents
            except ValueError:  # not assigned yet
                yield name, None
        for name in sorted(_names(value.__code__)):
            if name in value.__globals__:
                yield name, value.__globals__[name]
    else:
        yield from sorted(getattr(value, "__dict__", {}).items())


def _names(code):
    found = set(code.co_names)
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            found |= _names(const)
    return found


class _Same:
    """An object as itself, whatever it says of being equal."""

    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return isinstance(other, _Same) and self.value is other.value

    def __hash__(self):
        return id(self.value)
