"""Sphinx configuration."""

import skactivekd

project = "skactivekd"
author = "The skactivekd developers"
copyright = "2026, the skactivekd developers"
release = skactivekd.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]

html_theme = "pydata_sphinx_theme"
html_title = "skactivekd"
html_theme_options = {"show_toc_level": 2}
html_sidebars = {"installation": [], "changelog": []}
exclude_patterns = ["_build"]
templates_path = ["_templates"]
default_role = "obj"

autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": "/plot_",
    "within_subsection_order": "FileNameSortKey",
    "show_memory": False,
    "plot_gallery": "True",
    "abort_on_example_error": True,
}
