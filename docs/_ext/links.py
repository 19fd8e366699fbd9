"""Links by short names, pages of other projects and a MathJax of our own."""

import re
import shutil
import zlib
from importlib.metadata import files
from pathlib import Path

from sphinx.util.nodes import make_refnode

_HERE = Path(__file__).parents[1]
_MATHJAX = "mathjax/tex-svg.js"
_HEADER = (
    "# Sphinx inventory version 2\n# Project: {}\n# Version:\n"
    "# The remainder of this file is compressed using zlib.\n"
)


def write_inventories(addresses, folder):
    """Make inventories of ``docs/inventories/*.txt`` for intersphinx, without a network.

    The files have a line for each name that our pages link; a name without one fails the
    build, so that no link is silently left out.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    mapping = {}
    for name, address in addresses.items():
        lines = (_HERE / "inventories" / f"{name}.txt").read_bytes()
        path = folder / f"{name}.inv"
        path.write_bytes(_HEADER.format(name).encode() + zlib.compress(lines))
        mapping[name] = (address, str(path))
    return mapping


_KINDS = ("class", "function", "exception")


def _find_public(env, name):
    """Return name and entry of what the package documents as `name`, if it does.

    An object has an entry under its public name and one where its code lies; the
    shorter is the public one.
    """
    found = [
        (full, entry)
        for full, entry in env.get_domain("py").objects.items()
        if full.startswith("skactivekd.")
        and full.rsplit(".", 1)[-1] == name
        and entry.objtype in _KINDS
    ]
    return min(found, key=lambda item: len(item[0]), default=None)


def _resolve(app, env, node, contnode):
    """Link a public name from wherever it stands; leave names of parameters as they are."""
    name = node.get("reftarget", "").removesuffix("()")
    if node.get("refdomain") != "py" or node.get("reftype") not in ("obj", "class", "func"):
        return None
    # Methods stand on the page of their class.
    found = _find_public(env, name) or ("." in name and _find_public(env, name.split(".")[-2]))
    if found:
        full, entry = found
        return make_refnode(
            app.builder, node["refdoc"], entry.docname, entry.node_id, contnode, full
        )
    # Parameters, attributes and methods of the object in question stand in single
    # backticks by numpydoc's convention; what is spelled as a class or with a path must
    # lead somewhere.
    if node["reftype"] == "obj" and re.fullmatch(r"[a-z_][a-z0-9_]*|(return_)?X(_[a-z]+)?", name):
        return contnode
    return None


def _copy_mathjax(app, error):
    if error is None and app.builder.format == "html":
        target = Path(app.outdir, "_static", _MATHJAX)
        target.parent.mkdir(parents=True, exist_ok=True)
        [script] = [f for f in files("sphinx-mathjax-offline") if f.name == target.name]
        shutil.copyfile(script.locate(), target)


def setup(app):
    """Connect what Sphinx calls."""
    app.config.mathjax_path = _MATHJAX
    app.connect("missing-reference", _resolve)
    app.connect("build-finished", _copy_mathjax)
    return {"parallel_read_safe": True}
