"""Sphinx configuration."""

import sys
from pathlib import Path

import skactivekd

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
from links import write_inventories

project = "skactivekd"
author = "The skactivekd developers"
copyright = "2026, the skactivekd developers"
release = skactivekd.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "myst_parser",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "links",
]

html_theme = "pydata_sphinx_theme"
html_title = "skactivekd"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_theme_options = {"show_toc_level": 2}
html_sidebars = {"installation": [], "changelog": []}
exclude_patterns = ["_build", "_ext"]
templates_path = ["_templates"]
default_role = "obj"
nitpicky = True
suppress_warnings = ["myst.header"]  # the changelog begins below its own title
# Of a docstring inherited from scikit-learn.
nitpick_ignore = [("py:obj", '["class_name0", "class_name1", "class_name2"]')]

intersphinx_mapping = write_inventories(
    {
        "python": "https://docs.python.org/3",
        "sklearn": "https://scikit-learn.org/stable",
        "skorch": "https://skorch.readthedocs.io/en/stable",
        "torch": "https://docs.pytorch.org/docs/stable",
    },
    Path(__file__).parent / "_build" / "inventories",
)

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": "/plot_",
    "within_subsection_order": "gallery.Order",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("skactivekd",),
    "reference_url": {"skactivekd": None},
    "show_memory": False,
    "parallel": 2,
    "plot_gallery": "True",
    "abort_on_example_error": True,
}
