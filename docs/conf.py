"""How the documentation is built: `make docs`, or `python -m sphinx -W -b html docs build/docs`."""

import gc
import hashlib
import importlib.metadata
import importlib.util
import os
import pathlib
import sys

from jupyter_cache import get_cache

DOCS = pathlib.Path(__file__).parent
ROOT = DOCS.parent
CACHE = ROOT / ".cache" / "docs"
gc.set_threshold(100_000, 50, 100)  # the trees of all pages are kept, so there is little garbage to look for
sys.path[:0] = [str(DOCS / "_ext"), str(ROOT)]

# XLA's older emitter of kernels compiles sooner; jaxlib 0.10 is the last to have it.
OLD_EMITTER = tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2])) < (0, 11)
QUICK = (
    "--xla_backend_optimization_level=1 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_parallel_codegen_split_count=1" + (" --xla_cpu_use_fusion_emitters=false" if OLD_EMITTER else "")
)
# What the kernels of the notebooks inherit: nothing is written into the home folder, and a program that two notebooks
# need is compiled once.
os.environ.update(
    IPYTHONDIR=str(CACHE / "ipython"),
    JUPYTER_CONFIG_DIR=str(CACHE / "jupyter"),
    JUPYTER_DATA_DIR=str(CACHE / "jupyter"),
    JUPYTER_PATH=str(CACHE / "jupyter"),
    JUPYTER_RUNTIME_DIR=str(CACHE / "jupyter"),
    JUPYTER_PLATFORM_DIRS="1",
    MPLCONFIGDIR=str(CACHE / "matplotlib"),
    MPLBACKEND="module://matplotlib_inline.backend_inline",
    JAX_COMPILATION_CACHE_DIR=str(CACHE / "programs"),
    JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
    JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES="-1",
    # Without optimization programs compile sooner, and what the pages train takes three times as long.
    XLA_FLAGS=os.environ.get("XLA_FLAGS", QUICK),
    JAX_PLATFORMS=os.environ.get("JAX_PLATFORMS", "cpu"),
    PYTHONPATH=os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
)

# A kernel says at its start that it talks over TCP; its log is for errors.
_PROFILE = CACHE / "ipython" / "profile_default"
(_PROFILE / "startup").mkdir(parents=True, exist_ok=True)
(_PROFILE / "ipython_kernel_config.py").write_text('c.IPKernelApp.log_level = "ERROR"\n', encoding="utf-8")
# A warning is shown without the line that it comes from, whose file has another name on every machine.
(_PROFILE / "startup" / "warnings.py").write_text(
    "import warnings\n\n"
    "warnings.filterwarnings('ignore', message='IProgress not found')\n"  # Optuna's bar in a notebook
    "warnings.formatwarning = lambda message, category, *place, **line: f'{category.__name__}: {message}\\n'\n",
    encoding="utf-8",
)

import kernels

import jaxrec
from jaxrec.fitting import versions

kernels.start(CACHE / "jupyter")

# MathJax 3 in one file, which loads nothing else; the package brings it along, so that it is not in the repository.
_PACKAGE = importlib.util.find_spec("sphinx-mathjax-offline")
assert _PACKAGE is not None, "the formulas need MathJax: pip install 'jaxrec[docs]'"
assert _PACKAGE.origin is not None
MATHJAX = pathlib.Path(_PACKAGE.origin).parent / "static" / "mathjax" / "tex-svg.js"


def sources() -> str:
    """A hash of what a notebook's output depends on besides its own cells."""
    made = hashlib.sha256(repr(sorted(versions().items())).encode() + pathlib.Path(__file__).read_bytes())
    for folder in ("jaxrec", "experiments", "examples"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            made.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return made.hexdigest()[:16]


project = "jaxrec"
author = "jaxrec contributors"
copyright = author
version = release = jaxrec.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
    "pages_beside",
    "reading_order",
    "api_pages",
    "tables",
]
exclude_patterns = ["_ext", "_static"]
root_doc = "index"

# Text in Markdown with formulas between dollar signs; headings are targets of links.
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Notebooks are run by the build. jupyter-cache looks at their code alone, so the folder has a hash of the rest.
nb_execution_mode = "cache"
nb_execution_cache_path = str(CACHE / "notebooks" / sources())
_ = get_cache(nb_execution_cache_path).db  # two reading processes that find none would both make it, and one fails
nb_execution_raise_on_error = False  # an error is a warning, so that one build tells of all of them; -W makes it fail
nb_execution_timeout = 300
nb_execution_show_tb = True
nb_kernel_rgx_aliases = {".*": "python3"}
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]  # a list; as objects they would be targets of other words
napoleon_use_rtype = False
python_maximum_signature_line_length = 80
python_use_unqualified_type_names = True

html_theme = "sphinx_book_theme"
html_title = f"jaxrec {version}"
html_static_path = ["_static", str(MATHJAX)]
mathjax_path = MATHJAX.name
html_css_files = ["jaxrec.css"]
html_show_search_summary = False  # a page that is opened from disk may not fetch others
html_show_sphinx = False
html_copy_source = True
html_sidebars = {"_modules/**": []}  # to draw the whole tree beside each source takes half of the build's time
html_theme_options = {
    "show_navbar_depth": 1,
    "collapse_navbar": True,  # to draw the whole tree beside each page takes half of the time of writing
    "use_download_button": True,
    "use_fullscreen_button": False,
    "navigation_with_keys": False,
    "navbar_persistent": [],
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
