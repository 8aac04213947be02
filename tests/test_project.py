"""The files beside the code agree with it: version, dependencies, make targets, links, renamed names."""

import ast
import importlib
import json
import pathlib
import re
import sys
import tomllib
import warnings

import pytest

import jaxrec
from jaxrec._moved import OLD

ROOT = pathlib.Path(jaxrec.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PAGES = [ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")]
# Modules whose package has another name.
PACKAGES = {
    "axe_playwright_python": "axe-playwright-python",
    "mlflow": "mlflow-skinny",
    "orbax": "orbax-checkpoint",
    "sklearn": "scikit-learn",
    "surprise": "scikit-surprise",
    "torch_geometric": "torch-geometric",
    "xdist": "pytest-xdist",
}


def imported(folder):
    """The top-level modules that the files of a folder import, wherever in them."""
    found = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found


def declared(*extras):
    """The packages of `dependencies` and of some extras, in lower case."""
    lists = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in extras)]
    names = set()
    for one in (one for each in lists for one in each):
        within = re.match(r"jaxrec\[(.*)\]", one)
        names |= declared(*within[1].split(",")) if within else {re.match(r"[\w-]+", one)[0].lower()}
    return names


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("jaxrec", set(PROJECT["optional-dependencies"]) - {"lint", "peers", "bench"}),  # pytest for jaxrec.testing
        ("experiments", {"bench", "plot", "test"}),
        ("tests", {"test"}),
    ],
)
def test_every_imported_package_is_declared(folder, extras):
    beside = {path.stem for place in ("tests", "tests/models") for path in (ROOT / place).iterdir()}  # found by pytest
    modules = (
        imported(folder) - set(sys.stdlib_module_names) - beside - {"jaxrec", "experiments", "examples", "outside_data"}
    )
    assert {PACKAGES.get(name, name).lower() for name in modules} <= declared(*extras)
    assert "numpy" in modules


def test_every_dependency_has_a_lower_bound_and_no_upper_one():
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    named = [one for group in groups for one in group if not one.startswith("jaxrec[")]
    assert [one for one in named if not re.fullmatch(r"[\w-]+>=[\d.]+", one)] == []


def test_the_version_is_written_once_and_the_pages_agree():
    assert "version" not in PROJECT
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+)", changelog, re.MULTILINE)[1] == jaxrec.__version__
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (\S+)$", citation, re.MULTILINE)[1] == jaxrec.__version__


def test_every_target_is_in_the_help_and_every_named_target_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())
    assert targets == set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    texts = [*PAGES, ROOT / "README.md", ROOT / ".pre-commit-config.yaml", *(ROOT / ".github").rglob("*.*")]
    named = set()
    for path in (path for path in texts if path.is_file()):
        text = path.read_text(encoding="utf-8")
        named |= set(re.findall(r"(?:`|^|: )make ([a-z][a-z-]*)", text, re.MULTILINE))
        named |= set(re.findall(r"target: ([a-z-]+)", text))
    assert {"lint", "test", "test-lowest", "test-newest"} <= named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_beside_the_code_leads_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    if not (ROOT / "examples").is_dir():  # not in a source archive
        targets = [target for target in targets if not target.startswith("examples/")]
    assert [target for target in targets if not (ROOT / target).exists()] == []
    assert targets


def test_every_module_of_the_version_before_is_in_the_table_of_renamed_names():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    table = {}
    for room, files, new in re.findall(r"^\| modules `([\w.]+)\.\{(.*)\}` \| `([\w.]+)` \|$", changelog, re.MULTILINE):
        table |= {f"{room}.{name}": new for name in files.split(", ")}
    table |= dict(re.findall(r"^\| module `([\w.]+)` \| `([\w.]+)` \|$", changelog, re.MULTILINE))
    others = re.search(r"^\| other modules in (.*?) \|", changelog, re.MULTILINE)[1]
    rooms = {f"jaxrec.{room}" for room in re.findall(r"`(\w+)`", others)}
    moved = {old: new.partition("._")[0] for old, new in OLD.items()}
    stayed = {old for old, new in moved.items() if new == old.rpartition(".")[0] and new in rooms}
    assert {old: new for old, new in moved.items() if old not in stayed} == {
        old: new for old, new in table.items() if old in moved
    }


# What 0.1's files had for themselves, and four pieces of its runner: CHANGELOG.md says what replaces the latter.
GONE = {
    "jaxrec.api": "METRICS Stage Training VALIDATION_K VALIDATION_METRICS OptimizerName fitted_model make_optimizer"
    " make_training one_catalogue predicts_ratings rating_scale trained_scorer",
    "jaxrec.cli": "TaskOptions command_for model_name table",
    "jaxrec.data": "FEW_USERS Method Order find_layout",
    "jaxrec.evaluation": "LOWER_IS_BETTER Method check_key check_scorer common_pairs mask_seen",
    "jaxrec.factorization": "Course Problem entry_products",
    "jaxrec.sparse": "EXACT Gradients Residuals SHARE_OF_ENTRIES SHARE_OF_ROWS few_rows",
    "jaxrec.training": "EmbeddingModel HitMask Initialisable LossFunction LossName PenaltyForm SMALLER_IS_BETTER"
    " Settings StepFunction Watch check_rows json_lines make_epoch make_many_epoch make_row_epoch make_row_rule"
    " not_finite progress_bar row_step scan_batches train_many",
}


def test_the_names_of_the_version_before_are_found_where_they_were():
    names = json.loads((ROOT / "tests" / "data" / "names-0.1.json").read_text(encoding="utf-8"))
    missing = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for module, words in names.items():
            found = importlib.import_module(module)
            room = ".".join(module.split(".")[:2])
            missing.setdefault(room, set()).update(name for name in words.split() if not hasattr(found, name))
    assert {room: kept for room, kept in missing.items() if kept} == {
        room: set(words.split()) for room, words in GONE.items()
    }


def test_the_tests_that_the_page_on_reliability_names_are_there():
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", page)
    assert len(named) > 25
    for file, test in named:
        content = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert f"def {test}" in content if test else True, (file, test)


def test_the_tests_that_are_listed_as_slow_exist():
    listed = (ROOT / "tests" / "slow.txt").read_text(encoding="utf-8").splitlines()
    assert len(listed) > 100
    assert listed == sorted(set(listed))
    for line in listed:
        file, *names = line.split("::")
        text = (ROOT / file).read_text(encoding="utf-8")
        if file.startswith("tests/"):
            assert re.search(rf"(def|class) {re.escape(names[0].partition('[')[0])}\b", text), line
