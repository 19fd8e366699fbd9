"""How the package is laid out: small files, imports in one direction, one room per concept."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import skactivekd

PACKAGE = Path(skactivekd.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 400

# From left to right; a room imports from those to its left. Private modules of the root
# (`_devices_and_seeds.py`, `_take_rows.py`) belong to the first.
ROOMS = (
    "utils",
    "metrics",
    "model_selection",
    "cache",
    "encoders",
    "teacher",
    "inspection",
    "datasets",
    "student",
    "persistence",
    "query",
    "modal",
    "simulation",
    "session",
    "value",
    "plotting",
    "demo",
    "app",
    "cli",
)
# Imports at the time of a call, which go to the right: a method that hands on to another room.
LATE = {
    ("student", "persistence"),  # DHOClassifier.save and export
    ("teacher", "plotting"),  # the plot of a report
    ("inspection", "plotting"),
    ("utils", "teacher"),  # row numbers of skipped images
    ("utils", "encoders"),
}


@cache
def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes_of(path):
    return list(ast.walk(parsed(path)))


def room_of(name):
    if name == "__main__":
        return "cli"
    return "utils" if name.startswith("_") else name


def imports_of(path):
    """Yield the room of each import within the package, and whether it takes place on import."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    at_once = set(map(id, parsed(path).body))
    for node in nodes_of(path):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        folder = parts[:-1][: len(parts) - node.level]
        names = [node.module] if node.module else [alias.name for alias in node.names]
        for name in names:
            yield room_of([*folder, *name.split(".")][0]), id(node) in at_once


def test_no_file_is_long():
    long = {path.name: n for path in FILES if (n := len(path.read_text().splitlines())) > MAX_LINES}
    assert not long


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    here = room_of(path.relative_to(PACKAGE).with_suffix("").parts[0])
    if here == "utils" and path.name == "__init__.py" and path.parent == PACKAGE:
        return
    for room, at_once in imports_of(path):
        if not at_once and (here, room) in LATE:
            continue
        assert ROOMS.index(room) <= ROOMS.index(here), f"{here} imports {room}"
        assert {here, room} != {"simulation", "session"}


def modules_imported(path):
    """Yield the files within the package that a file imports when it is imported itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    for node in parsed(path).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = PACKAGE.joinpath(*parts[:-1][: len(parts) - node.level])
            target = folder.joinpath(*(node.module or "").split("."))
            for place in [target, *(target / alias.name for alias in node.names)]:
                yield from filter(Path.is_file, (place.with_suffix(".py"), place / "__init__.py"))


def test_no_imports_run_in_circles():
    """An `__init__` gathers what is below it, and is left out of what its own files import."""
    left = {
        path: {other for other in modules_imported(path) if other.name != "__init__.py"}
        for path in FILES
        if path.name != "__init__.py"
    }
    while left:
        free = [path for path, others in left.items() if not others & set(left)]
        assert free, sorted(str(path.relative_to(PACKAGE)) for path in left)
        for path in free:
            del left[path]


def test_nothing_is_imported_by_its_full_name():
    for path in FILES:
        for node in nodes_of(path):
            if isinstance(node, ast.Import):
                assert not any(alias.name.startswith("skactivekd") for alias in node.names), path
            if isinstance(node, ast.ImportFrom) and not node.level:
                assert not node.module.startswith("skactivekd"), path


def compares_marker(node):
    """Tell a comparison with `missing_label`, of which only the marker's room knows the rules."""
    if not isinstance(node, ast.Compare):
        return False
    names = {
        getattr(part, "id", getattr(part, "attr", "")) for part in (node.left, *node.comparators)
    }
    return "missing_label" in names


def calls(*names):
    def test(node):
        function = node.func if isinstance(node, ast.Call) else None
        return getattr(function, "id", getattr(function, "attr", None)) in names

    return test


def sums_to_one(node):
    """Tell a check of rows that sum to one: abs(total - 1) > tolerance."""
    return (
        isinstance(node, ast.Compare)
        and calls("abs")(node.left)
        and isinstance(difference := node.left.args[0], ast.BinOp)
        and isinstance(difference.op, ast.Sub)
        and getattr(difference.left, "id", "") == "total"
        and getattr(difference.right, "value", None) == 1
    )


def is_pickler(node):
    bases = node.bases if isinstance(node, ast.ClassDef) else ()
    return any(getattr(base, "attr", getattr(base, "id", "")) == "Pickler" for base in bases)


def positions_of_labels(node):
    """Tell {label: place for place, label in enumerate(...)}, which turns labels into codes."""
    return (
        isinstance(node, ast.DictComp)
        and isinstance(node.key, ast.Name)
        and node.key.id == "label"
        and calls("enumerate")(node.generators[0].iter)
    )


def refuses_weights(node):
    """Tell a check of weights by numpy, or by scikit-learn."""
    names = {"weight", "sample_weight", "teacher_weight"}
    return calls("_check_sample_weight")(node) or (
        calls("isfinite")(node) and getattr(node.args[0], "id", "") in names
    )


@pytest.mark.parametrize(
    ("is_it", "home"),
    [
        (compares_marker, "_missing_label"),
        (positions_of_labels, "_labels"),
        (refuses_weights, "_sample_weight"),
        (sums_to_one, "_proba"),
        (calls("accuracy_score"), "_score"),
        (is_pickler, "_object_identity"),
    ],
    ids=[
        "marker",
        "labels to codes",
        "weights",
        "probabilities",
        "score of labeled rows",
        "state of a model",
    ],
)
def test_each_is_decided_in_one_room(is_it, home):
    found = {str(path.relative_to(PACKAGE)) for path in FILES if any(map(is_it, nodes_of(path)))}
    assert found == {str(Path("utils", f"{home}.py"))}


@pytest.mark.parametrize(
    "name",
    [
        "check_marker",
        "is_missing",
        "check_labels",
        "encode_labels",
        "check_classes",
        "check_proba",
        "labeled_score",
        "check_weights",
        "state_key",
        "fingerprint_of",
        "hash_content",
        "identify_row",
    ],
)
def test_each_check_is_defined_once(name):
    defined = [
        path
        for path in FILES
        for node in nodes_of(path)
        if isinstance(node, ast.FunctionDef) and node.name == name
    ]
    assert [path.parent.name for path in defined] == ["utils"]


@pytest.mark.parametrize("guide", ["CONTRIBUTING.md", "docs/user_guide/inside.rst"])
def test_the_files_that_a_guide_names_exist(guide):
    text = PACKAGE.parent.joinpath(guide).read_text(encoding="utf-8")
    named = set(re.findall(r"[\w/]+\.(?:py|rst)\b", text)) - {
        "skactivekd/query/_your_rule.py",
        "_name.py",
    }
    assert len(named) > 15
    names = {path.name for path in FILES}
    places = (PACKAGE.parent, PACKAGE)
    missing = {
        name
        for name in named
        if name not in names and not any(place.joinpath(name).is_file() for place in places)
    }
    assert not missing


# Rooms whose errors reach the user as they are; those of persistence are parts of longer ones.
SPEAKING = {"student", "query", "session", "model_selection", "plotting", "modal", "datasets"}
ERRORS = {"ValueError", "TypeError", "IndexError", "ImportError", "RuntimeError"}
# Variables that end in a period themselves, or hold the words of another library.
SENTENCES = {"error", "cause", "hint"}


def end_of(message):
    """Return how a message ends: its last letter, or the variable that it ends with."""
    part = message.values[-1] if isinstance(message, ast.JoinedStr) else message
    if isinstance(part, ast.FormattedValue):
        return getattr(part.value, "id", "?")
    return str(getattr(part, "value", "."))[-1:]


@pytest.mark.parametrize("room", sorted(SPEAKING))
def test_errors_are_sentences(room):
    home = PACKAGE / room
    for path in [home.with_suffix(".py")] if not home.is_dir() else sorted(home.glob("*.py")):
        for node in nodes_of(path):
            call = node.exc if isinstance(node, ast.Raise) else None
            if not (isinstance(call, ast.Call) and getattr(call.func, "id", "") in ERRORS):
                continue
            if call.args and isinstance(call.args[0], ast.Constant | ast.JoinedStr):
                end = end_of(call.args[0])
                assert end in {".", "?", ")", *SENTENCES}, (
                    f"{path.name}:{node.lineno} ends in {end!r}"
                )
