"""Every public name is linked from prose and in the gallery; what pages name is there."""

import ast
import re
import runpy
from pathlib import Path

import pytest

import skactivekd

ROOT = Path(__file__).parents[1]
PACKAGE = Path(skactivekd.__file__).parent
pytestmark = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="needs a checkout")

PAGES = sorted(p for p in (ROOT / "docs").glob("*.rst") if p.name != "api.rst")
PAGES += sorted((ROOT / "docs" / "user_guide").glob("*.rst"))
EXAMPLES = sorted((ROOT / "examples").glob("plot_*.py"))
MARKDOWN = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "benchmarks/README.md"]


def assigned(path, name):
    """Return the constant that a file gives to a name at its top level."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == name:
            return ast.literal_eval(node.value)
    return []


def public_names():
    found = set(assigned(PACKAGE / "__init__.py", "__all__"))
    for room in skactivekd._SUBPACKAGES:
        home = PACKAGE / room
        found.update(
            assigned(home / "__init__.py" if home.is_dir() else home.with_suffix(".py"), "__all__")
        )
    found.update(assigned(PACKAGE / "utils" / "estimator_checks.py", "__all__"))
    return sorted(name for name in found if not name.startswith("__"))


NAMES = public_names()


def references(text):
    """Yield what stands in single backticks, without titles: `~a.b` and `title <a.b>` are a.b."""
    for content in re.findall(r"(?<!`)`(?!`)([^`]+)`(?!`)", text):
        target = re.search(r"<([^>]+)>\s*$", content)
        yield (target[1] if target else content).strip().lstrip("~.").removesuffix("()")


def name_of(reference):
    """Return the public name that a reference leads to, methods to that of their class."""
    *path, last = reference.split(".")
    if last in NAMES and not (path and path[-1] in NAMES):
        return last
    return path[-1] if path and path[-1] in NAMES else None


def prose(example):
    """Return the text of an example: its docstring and its blocks of comments."""
    source = example.read_text(encoding="utf-8")
    comments = re.findall(r"^# ?(.*)$", source, flags=re.MULTILINE)
    return "\n".join([ast.get_docstring(ast.parse(source)), *comments])


def names_in_code(example):
    for node in ast.walk(ast.parse(example.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("skactivekd"):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", None) == "skactivekd":
            yield node.attr


def test_every_public_name_has_a_page():
    text = (ROOT / "docs" / "api.rst").read_text(encoding="utf-8")
    listed = re.findall(r"^   skactivekd\.((?:\w+\.)*)(\w+)$", text, flags=re.MULTILINE)
    assert sorted(name for _, name in listed) == NAMES
    # Under the shortest name, as sphinx-gallery notes who uses it.
    assert [name for room, name in listed if room and name in skactivekd._HOME] == []


def test_every_public_name_is_linked_from_prose():
    linked = {name_of(ref) for page in PAGES for ref in references(page.read_text("utf-8"))}
    assert sorted(set(NAMES) - linked) == []


def test_every_public_name_is_in_the_gallery():
    """Used in an example's code, or named in its text with the path that sphinx-gallery needs."""
    shown = {name for example in EXAMPLES for name in names_in_code(example)}
    for example in EXAMPLES:
        paths = filter(lambda ref: ref.startswith("skactivekd."), references(prose(example)))
        shown.update(map(name_of, paths))
    assert sorted(set(NAMES) - shown) == []


def test_the_gallery_has_an_order_and_an_index():
    order = assigned(ROOT / "docs" / "_ext" / "gallery.py", "ORDER")
    assert sorted(order) == [example.name for example in EXAMPLES]
    index = (ROOT / "examples" / "README.rst").read_text(encoding="utf-8")
    assert re.findall(r"auto_examples_(plot_\w+\.py)>`", index) == order


def anchors(text):
    """Return the anchors that GitHub gives to the headings of a Markdown file."""
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", MARKDOWN)
def test_what_markdown_links_is_there(name):
    path = ROOT / name
    text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    missing = []
    for link in links:
        target, _, anchor = link.partition("#")
        if re.match(r"\w+:", target):
            continue
        there = (path.parent / target).resolve() if target else path
        if not there.exists() or (anchor and anchor not in anchors(there.read_text("utf-8"))):
            missing.append(link)
    assert not missing


def test_broken_links_of_a_built_site_are_found(tmp_path):
    check = runpy.run_path(str(ROOT / "docs" / "check_links.py"))["check"]
    (tmp_path / "a").mkdir()
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "template.html").write_text('<script src="{{ path }}">')
    (tmp_path / "a" / "index.html").write_text(
        '<h1 id="top">A</h1><a href="../index.html#b%20c">B</a>'
    )
    (tmp_path / "index.html").write_text(
        '<p id="b c"><a href="a/#top">A</a> <a href="#b c">B</a> <a href="https://example.org/x">X</a>'
        '<a href="a/#bottom"> <img src="a/no.png"> <img src="data:image/png;base64,AA==">'
    )
    assert check(tmp_path) == (
        2,
        5,
        [
            ("index.html", "a/#bottom", "no such anchor"),
            ("index.html", "a/no.png", "no such file"),
        ],
    )


@pytest.mark.parametrize("page", [*PAGES, ROOT / "examples" / "README.rst"], ids=lambda p: p.stem)
def test_pictures_and_examples_that_pages_name_are_there(page):
    text = page.read_text(encoding="utf-8")
    pictures = re.findall(r"\.\. (?:image|figure):: (\S+)", text)
    made = re.compile(r"(?:\.\./)?auto_examples/images/sphx_glr_(plot_\w+)_\d{3}\.png")
    used = [found[1] for picture in pictures if (found := made.fullmatch(picture))]
    used += re.findall(r"auto_examples[_/](plot_\w+)", text)
    assert not set(used) - {example.stem for example in EXAMPLES}
    for picture in pictures:
        if not made.fullmatch(picture):
            home = ROOT / "docs" if picture.startswith("/") else page.parent
            assert (home / picture.lstrip("/")).is_file(), picture
