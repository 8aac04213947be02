"""The examples are short, import from faces only, and are all listed in the README."""

import ast
import pathlib

import pytest

FOLDER = pathlib.Path(__file__).parents[2] / "examples" / "extending"
FILES = sorted(path for path in FOLDER.glob("*.py") if path.name != "__init__.py")
KINDS = {
    "callback",
    "loss",
    "metric",
    "negatives",
    "reader",
    "regularizer",
    "reranker",
    "solved_model",
    "trained_model",
}


def code_lines(tree):
    """The numbers of the lines with code: neither blank, nor comments, nor docstrings."""
    documented = [node for node in ast.walk(tree) if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))]
    words = [node.body[0] for node in documented if ast.get_docstring(node)]
    told = {line for node in words for line in range(node.lineno, node.end_lineno + 1)}
    lines = {line for node in ast.walk(tree) if hasattr(node, "lineno") for line in (node.lineno, node.end_lineno)}
    return lines - told


def test_there_is_one_of_each_kind():
    assert {path.stem for path in FILES} == KINDS


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_short_and_imports_from_faces_only(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert len(code_lines(tree)) <= 40
    for node in ast.walk(tree):
        names = [node.module] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
        assert not any(part.startswith("_") for name in names for part in name.split("."))


def test_the_loss_has_at_most_twelve_lines():
    assert len(code_lines(ast.parse((FOLDER / "loss.py").read_text(encoding="utf-8")))) <= 12


def test_the_readme_lists_them():
    text = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    assert all(f"extending/{path.name}" in text for path in FILES)
