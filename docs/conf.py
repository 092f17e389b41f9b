"""Settings of the documentation site: sphinx-build -W -n --keep-going docs build/docs"""

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "extensions"))

import opzo  # noqa: E402

project = "opzo"
release = opzo.__version__
copyright = "the authors of opzo, Apache-2.0"
extensions = ["myst_nb", "sphinx.ext.autodoc", "numpydoc"]
extensions += ["array_types", "mathml", "public_names", "repository_pages"]

html_theme = "furo"
html_title = f"opzo {release}"
html_copy_source = True
html_static_path = ["static"]
html_css_files = ["site.css"]
# Browsers show MathML without a script; MathJax would come from another host.
html_math_renderer = "mathml"

# Headings have the anchors that forges give them.
myst_heading_anchors = 4
myst_enable_extensions = ["dollarmath", "colon_fence"]

nb_execution_mode = "force"
nb_execution_timeout = 400
nb_execution_raise_on_error = True
# A tutorial runs in its folder and leaves nothing there.
nb_execution_in_temp = True
nb_merge_streams = True

default_role = "py:obj"
numpydoc_show_class_members = False
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}
# Their documentation is on other hosts, which a build does not ask.
nitpick_ignore_regex = [
    ("py:.*", r"ArrayLike|NDArray|Axes|Figure|(numpy|np|pathlib|collections|argparse|enum|matplotlib|sklearn)\..*")
]
