"""`import jaxrec` is light, and only one room knows `jax.experimental.sparse`."""

import ast
import pathlib
import subprocess
import sys

import jaxrec

PACKAGE = pathlib.Path(jaxrec.__file__).parent
HEAVY = {"matplotlib", "pandas", "polars", "pyarrow", "networkx", "orbax", "pooch", "tyro", "rich", "sklearn"}
HEAVY |= {"starlette", "uvicorn"}


def imported_by(path):
    """The full names that a file imports, wherever in it: modules, and what is taken from them."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_importing_the_package_imports_nothing_heavy():
    """Beyond what JAX, Flax and Optax import themselves: Flax takes rich along."""
    program = """
import sys, jax, flax, flax.linen, optax
before = set(sys.modules)
import jaxrec
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    loaded = set(done.stdout.split())
    assert "jaxrec" in loaded
    assert not sorted(loaded & HEAVY)
    assert done.stderr == ""


def test_what_messages_and_docstrings_name_is_there_after_importing_the_package_alone():
    program = """
import jaxrec
jaxrec.data.deduplicate, jaxrec.fitting.auto_table, jaxrec.errors.JaxrecError, jaxrec.files.write_whole
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
    assert {"data", "errors", "files", "fitting"} <= set(jaxrec.__all__)


def test_only_one_room_imports_the_sparse_library_of_jax():
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 20
    knowing = {
        path.relative_to(PACKAGE).as_posix()
        for path in files
        if any(name.startswith("jax.experimental.sparse") for name in imported_by(path))
    }
    assert {name.partition("/")[0] for name in knowing} == {"sparse"}


def test_only_the_reader_of_published_pickles_imports_pickle():
    knowing = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if {name.partition(".")[0] for name in imported_by(path)} & {"pickle", "dill", "cloudpickle", "joblib"}
        or "allow_pickle=True" in path.read_text(encoding="utf-8")
    }
    assert knowing <= {"data/datasets/_pickles.py"}


# Names that no face has yet; a name leaves this list when its experiment leaves the private module.
def test_experiments_and_examples_import_from_faces_only():
    root = PACKAGE.parent
    files = sorted(path for folder in ("experiments", "examples") for path in (root / folder).rglob("*.py"))
    assert len(files) > 20
    private = {
        path.relative_to(root).as_posix(): found
        for path in files
        if (
            found := {
                name
                for name in imported_by(path)
                if name.startswith("jaxrec.") and any(part[0] == "_" and part[:2] != "__" for part in name.split("."))
            }
        )
    }
    assert private == {}
