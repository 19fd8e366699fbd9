"""Every public object says what it is, what it takes, what it gives, and what is near."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

import skactivekd

numpydoc = pytest.importorskip("numpydoc.validate")

# What numpydoc calls what is missing: a summary that ends, each parameter by its name, in order,
# described, what comes back, what to see also, an example. See numpydoc's "validation".
OF_OBJECTS = {
    *("GL03", "GL05", "GL06", "GL07", "GL08", "GL10", "SS01", "SS03", "SS06"),
    *("PR01", "PR02", "PR03", "PR05", "PR07", "PR09", "PR10", "RT01", "YD01"),
    *("SA01", "SA02", "SA03", "SA04", "EX01"),
}
# The words of a method are in its class, and many are those of a base in scikit-learn or skorch.
OF_METHODS = {"GL08", "PR02", "PR03", "PR10", "SS01", "SS03"}
# Whose parameters are those of its base, which the signature does not repeat.
KNOWN = {("skactivekd.student.AcceleratedDHONet", "PR02")}
# What moves right now, and is looked at by what is above when it has arrived.
MOVING = ("utils",)


def public_objects():
    for room in (*skactivekd._SUBPACKAGES, "utils.estimator_checks"):
        if room in MOVING:
            continue
        module = importlib.import_module(f"skactivekd.{room}")
        for name in getattr(module, "__all__", ()):
            yield f"skactivekd.{room}.{name}", getattr(module, name)


def own_methods(kind):
    for name in dir(kind):
        if name.startswith("_"):
            continue
        owner = next(base for base in kind.__mro__ if name in vars(base))
        if owner.__module__.startswith("skactivekd") and inspect.isfunction(vars(owner)[name]):
            yield name


OBJECTS = dict(public_objects())
METHODS = [
    f"{path}.{name}"
    for path, thing in OBJECTS.items()
    if inspect.isclass(thing)
    for name in own_methods(thing)
]


def problems(path, codes):
    return [
        f"{code} {message}"
        for code, message in numpydoc.validate(path)["errors"]
        if code in codes and (path, code) not in KNOWN
    ]


@pytest.mark.parametrize("path", OBJECTS)
def test_public_objects_are_documented(path):
    assert not problems(path, OF_OBJECTS)


@pytest.mark.parametrize("path", OBJECTS)
def test_public_objects_say_since_when(path):
    assert ".. versionadded:: " in OBJECTS[path].__doc__


@pytest.mark.parametrize("path", METHODS)
def test_public_methods_are_documented(path):
    assert not problems(path, OF_METHODS)


@pytest.mark.parametrize("path", OBJECTS)
def test_help_is_not_empty(path):
    thing = OBJECTS[path]
    assert len(inspect.getdoc(thing).splitlines()) > 5
    if inspect.isclass(thing) and inspect.isfunction(thing.__init__):
        takes = set(inspect.signature(thing).parameters) - {"args", "kwargs"}
        missing = {name for name in takes if f"{name} :" not in thing.__doc__}
        together = {
            name for name in missing if f"{name}," in thing.__doc__ or f", {name}" in thing.__doc__
        }
        assert missing <= together | {"fit_kwargs"}


# Formulas have their symbols explained wherever they stand.
FORMULAS = {"fit_residual", "choose_residual", "plan_folds", "measure_scaling", "warmup_decay"}


@pytest.mark.parametrize("room", ["student", "utils"])
def test_inner_functions_say_it_in_a_few_lines(room):
    folder = Path(skactivekd.__file__).parent / room
    public = {thing.__name__ for thing in OBJECTS.values()}
    long = []
    for path in sorted(folder.glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.FunctionDef) or node.name in public | FORMULAS:
                continue
            doc = ast.get_docstring(node) or ""
            if len(doc.splitlines()) > 7 or ">>>" in doc:
                long.append(f"{path.name}: {node.name}")
    assert not long
