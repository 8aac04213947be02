"""The reference has every public name, with docstring, example and types; pages of models and losses are complete."""

import dataclasses
import importlib
import pathlib
import re

import pytest

import jaxrec
from docs._ext.docstrings import to_rst
from docs._ext.options import attributes_of, options_of, warnings_of
from docs._ext.results import all_rows
from docs._ext.rooms import Symbol, faults, names_of, rooms, symbols
from jaxrec import registry

ROOT = pathlib.Path(jaxrec.__file__).parents[1]
DOCS = ROOT / "docs"
NOT_MEASURED = {"SquaredError"}  # no row of experiments/overview: a loss of ratings, which have another metric
WITH_OPTIONS = (
    "model",
    "loss",
    "regularizer",
    "negatives",
    "optimizer",
    "weights",
    "splitter",
    "reranker",
    "calibration",
)


def test_public_names_without_page_docstring_example_or_types():
    assert faults(symbols()) == []


def test_every_name_of_every_face_is_at_home_in_one_room():
    found = symbols()
    places = {place for one in found for place in (one.path, *one.also)}
    listed = {
        f"{room}.{name}"
        for room, module in rooms().items()
        for name in names_of(module)
        if not isinstance(getattr(module, name), type(jaxrec))
    }
    assert listed == places
    assert len(found) > 300
    assert {one.room for one in found if one.name in ("fit", "LightGCN", "spmm")} == {
        "jaxrec.fitting",
        "jaxrec.models",
        "jaxrec.sparse",
    }


def test_what_is_missing_is_said():
    def bare(x):
        pass

    def told(x: int) -> int:
        """Say something.

        >>> told(1)
        1
        """
        return x

    assert faults([Symbol("room", "bare", bare), Symbol("room", "told", told)]) == [
        "room.bare: no docstring",
        "room.bare: no example",
        "room.bare: argument 'x' without a type",
        "room.bare: result without a type",
    ]


@pytest.mark.parametrize(
    ("line", "rst"),
    [
        ("|x|^2 and x* of `fit`", r"\|x\|^2 and x\* of :py:obj:`fit`\ "),
        ("D_ is `D_U^(-1/2)`", r"D\_ is ``D_U^(-1/2)``\ "),
        ("see `jaxrec.fit`", r"see :py:obj:`jaxrec.fit`\ "),
        (">>> a | b", ">>> a | b"),
    ],
)
def test_text_of_docstrings_is_no_markup(line, rst):
    assert to_rst([line], known=("fit",)) == [rst]


def test_a_formula_and_an_example_stay_as_they_are_and_a_table_becomes_one():
    kept = [".. math:: a_1 * b_", "    + c", "", ">>> x * y", "z_", ""]
    assert to_rst(kept) == kept
    made = to_rst(["| a | b |", "|---|---|", "| 1 | `x` |"])
    assert [line.strip() for line in made if line] == [
        *(".. list-table::", ":header-rows: 1"),
        *("* - a", "- b", "* - 1", "- ``x``\\"),
    ]


@pytest.mark.parametrize("kind", WITH_OPTIONS)
def test_every_option_has_a_default_or_is_required_and_a_text(kind):
    silent = []
    for name in registry.names(kind, installed=False):
        thing = registry.find(kind, name)
        if dataclasses.is_dataclass(thing):
            silent += [f"{name}.{option.name}" for option in options_of(thing) if not option.text]
    assert silent == []


def test_attributes_of_a_docstring_may_share_an_entry_and_go_over_lines():
    text = "Do.\n\nAttributes:\n  a, b: first\n    and more.\n  c: other.\n\nRaises:\n  d: not one.\n"
    assert attributes_of(text) == {"a": "first and more.", "b": "first and more.", "c": "other."}


def test_warnings_are_found_in_the_sources():
    found = warnings_of(ROOT / "jaxrec")
    assert len(found) > 10
    assert any(one.category == "SampledMetricsWarning" for one in found)
    assert not any(one.category == "DeprecationWarning" for one in found)


@pytest.mark.parametrize(("kind", "folder"), [("model", "models"), ("loss", "losses")])
def test_every_model_and_loss_has_a_page_of_one_shape(kind, folder):
    for name in registry.names(kind, installed=False):
        text = (DOCS / folder / f"{name}.md").read_text(encoding="utf-8")
        place = f"jaxrec.{folder}.{registry.find(kind, name).__name__}"
        assert f"{{py:obj}}`{place}`" in text, name
        assert f"```{{options}} {place}\n" in text, name
        assert f"```{{rows}} {place.rpartition('.')[2]}\n" in text, name
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["When to use it", "Options", "Figures", "Example"], name
        assert "\n$$\n" in text, name
        assert "**Source.** " in text, name


def test_every_page_is_in_a_table_of_contents():
    texts = {page: page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md")}
    own = {page for page in texts if page.relative_to(DOCS).parts[0] not in ("api", "experiments", "project")}
    listed = set()
    for page, text in texts.items():
        for tree in re.findall(r"```\{toctree\}\n(.*?)```", text, re.DOTALL):
            entries = [line.strip() for line in tree.splitlines() if line.strip() and not line.startswith(":")]
            for entry in entries:
                listed |= (
                    {found.resolve() for found in page.parent.glob(f"{entry}.md")}
                    if ".." not in entry
                    else {(page.parent / f"{entry}.md").resolve()}
                )
    assert {page.relative_to(DOCS).as_posix() for page in own if page.resolve() not in listed} == {"index.md"}


def test_every_metric_is_in_the_table_of_definitions():
    text = (DOCS / "evaluation" / "metrics.md").read_text(encoding="utf-8")
    assert [name for name in registry.names("metric", installed=False) if f"`{name}`" not in text] == []


def test_rows_of_results_are_read_from_the_files():
    rows = all_rows()
    files = {row.file for row in rows}
    assert "experiments/overview/movielens-small.json" in files
    overview = [row for row in rows if row.file == "experiments/overview/movielens-small.json"]
    assert all(row.date and row.machine and row.seconds for row in overview)
    classes = {name for row in overview for name in row.classes}
    wanted = {
        registry.find(kind, name).__name__
        for kind in ("model", "loss")
        for name in registry.names(kind, installed=False)
    }
    assert wanted - classes == NOT_MEASURED
    for row in overview:
        low, high = row.intervals["ndcg@10"]
        assert low <= row.values["ndcg@10"] <= high


def test_the_pages_name_no_function_that_is_not_there():
    words = set()
    for page in DOCS.rglob("*.md"):
        words |= set(re.findall(r"\{py:obj\}`(?:[^`<]*<)?(jaxrec[\w.]*)>?`", page.read_text(encoding="utf-8")))
    assert len(words) > 30
    for word in words:
        room, _, name = word.rpartition(".")
        assert hasattr(importlib.import_module(room), name), word
