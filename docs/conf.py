"""How the documentation is built: `make docs`, without a network, warnings being errors.

Pages are Markdown (MyST). Tutorials and the gallery are Python scripts, run when the site is built;
`sphinx-build -D plot_gallery=0` builds without running them. The extensions of this project stand
in `_ext/`.
"""

import logging
import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
os.environ.setdefault("MPLBACKEND", "agg")
logging.getLogger("matplotlib.mathtext").setLevel(logging.WARNING)

project = "meanfield"
author = "The meanfield developers"
copyright = author
release = version = version_of("meanfield-zerosum")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
    "mathml",
    "plain_docstrings",
    "toml_schema",
    "command_line",
]
# The scripts of tutorials/ and gallery/ become pages under generated/.
exclude_patterns = ["_build", "tutorials", "gallery"]
nitpicky = True
# Python's and numpy's own names, whose documentation lies elsewhere.
nitpick_ignore_regex = [("py:.*", r"(?!meanfield).*")]
suppress_warnings = ["config.cache"]

myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 3
math_renderer = "mathml"
math_eqref_format = "({number})"

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
python_maximum_signature_line_length = 80
napoleon_use_param = False
napoleon_use_rtype = False
# "x, y" names two attributes of one line.
napoleon_custom_sections = [("Attributes", "params_style")]

sphinx_gallery_conf = {
    "examples_dirs": ["tutorials", "gallery"],
    "gallery_dirs": ["generated/tutorials", "generated/gallery"],
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": ("pictures.scraper",),
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "min_reported_time": 1e9,
    "remove_config_comments": True,
    "copyfile_regex": "",
    "thumbnail_size": (480, 320),
}

html_theme = "furo"
html_title = f"meanfield {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_show_sphinx = False
