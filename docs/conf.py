"""How the documentation is built: `make docs`."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "trio-agent"
author = "the trio-agent authors"
copyright = "the trio-agent authors, MIT license"  # noqa: A001
release = version = version_of("trio-agent")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib_trio",
    "_reference",
]
exclude_patterns = ["_build", "examples"]

html_theme = "furo"
html_title = "trio-agent"
html_copy_source = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_use_legacy_class_based = True  # what sphinxcontrib_trio builds on
default_role = "py:obj"  # a name between single backticks in a docstring
napoleon_numpy_docstring = False
napoleon_use_rtype = False
python_use_unqualified_type_names = True
