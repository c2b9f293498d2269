"""How Sphinx builds the documentation; every code cell is run, every warning is an error."""

from importlib.metadata import version as installed_version
from pathlib import Path

project = "logloss"
author = "The logloss developers"
copyright = "The logloss developers"
version = release = installed_version("logloss")

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_design",
    # MathJax from the build itself: the pages show their formulas without a network.
    "sphinx-mathjax-offline",
]

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_execution_show_tb = True
nb_merge_streams = True

autosummary_generate = True
# The class template lists members, so that numpydoc need not.
numpydoc_show_class_members = False
templates_path = ["_templates"]
autodoc_typehints = "none"

html_theme = "pydata_sphinx_theme"
html_title = "logloss"
html_static_path = ["_static"]
html_css_files = ["logloss.css"]
html_show_sourcelink = False
html_theme_options = {
    "header_links_before_dropdown": 8,
    "navbar_align": "left",
    "secondary_sidebar_items": ["page-toc"],
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}
# Only the names of the API, which have pages of their own, are walked through at the side.
html_sidebars = {page.stem: [] for page in Path(__file__).parent.glob("*.md")}
