"""A Sphinx extension: tables that are made from the code and from result files, so that they cannot rot.

`{options} jaxrec.models.MF` has the options of a class, `{registry} loss` all names of a kind, `{rows} LightGCN` the
figures of a class, `{results}` all result files, `{told}` the warnings that the code gives, `{errors}` the exceptions.
"""

from __future__ import annotations

import importlib
import inspect
import pathlib
import re
from typing import Any

from docstrings import escaped
from docutils import nodes
from docutils.parsers.rst import Parser
from docutils.utils import new_document
from options import options_of, warnings_of
from results import ROOT, all_rows, figure
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import jaxrec
from jaxrec import errors, registry

MAIN = ("recall@10", "ndcg@10", "recall@20", "ndcg@20")


class Table(SphinxDirective):
    """A table of cells in reStructuredText."""

    has_content = False
    optional_arguments = 1
    final_argument_whitespace = True

    def table(self, head: list[str], rows: list[list[str]]) -> list[nodes.Node]:
        """The table; references in its cells are resolved like all others."""
        lines = [".. list-table::", "   :header-rows: 1", ""]
        for row in [head, *rows]:
            lines += [f"   {'* -' if at == 0 else '  -'} {cell}" for at, cell in enumerate(row)]
        document = new_document(self.get_source_info()[0], self.state.document.settings)
        Parser().parse("\n".join(lines) + "\n", document)
        return list(document.children)

    def known(self) -> Any:
        """The names that a word in backticks may lead to."""
        return self.env.app.reference.bare  # type: ignore[attr-defined]


class Options(Table):
    """The options of a class."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make the table, or say that there are none."""
        room, _, name = self.arguments[0].rpartition(".")
        found = options_of(getattr(importlib.import_module(room), name))
        if not found:
            return [nodes.paragraph("", "It has no options.")]
        rows = [
            [f"``{one.name}``", f"``{one.default}``" if one.default else "", escaped(one.text, self.known())]
            for one in found
        ]
        return self.table(["option", "default", "meaning"], rows)


class Registry(Table):
    """The names of a kind."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make the table from the registry."""
        rows = []
        for name in registry.names(self.arguments[0], installed=False):
            thing = registry.find(self.arguments[0], name)
            text = " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())
            owner = thing if inspect.isclass(thing) else type(thing)
            rows.append([f"``{name}``", f"``{owner.__name__}``", escaped(text, self.known())])
        return self.table(["name", "class", "what it is"], rows)


class Rows(Table):
    """What was measured of a model or loss."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make the table from the result files."""
        found = [row for row in all_rows() if self.arguments[0] in row.classes]
        for path in sorted({row.file for row in all_rows()}):
            self.env.note_dependency(str(ROOT / path))
        if not found:
            return [nodes.paragraph("", "No result file has a row of it.")]
        names = [name for name in MAIN if any(name in row.values for row in found)]
        rows = [
            [row.data, row.label, *(figure(row, name) for name in names), seconds(row.seconds), f"``{row.file}``"]
            for row in found
        ]
        return self.table(["data", "row", *names, "seconds", "file"], rows)


class Results(Table):
    """All result files with rows."""

    def run(self) -> list[nodes.Node]:
        """One table a file, with its date and machine."""
        made: list[nodes.Node] = []
        everything = all_rows()
        for file in dict.fromkeys(row.file for row in everything):
            own = [row for row in everything if row.file == file]
            self.env.note_dependency(str(ROOT / file))
            folder = file.split("/")[1]
            names = [name for name in MAIN if any(name in row.values for row in own)]
            where = ", ".join(part for part in (own[0].date, own[0].machine) if part) or "date and machine not recorded"
            text = f":doc:`{folder} </experiments/{folder}>`, {own[0].data}: {escaped(where)}. File ``{file}``."
            document = new_document("results", self.state.document.settings)
            Parser().parse(text + "\n", document)
            made += document.children
            rows = [[escaped(row.label), *(figure(row, name) for name in names), seconds(row.seconds)] for row in own]
            made += self.table(["row", *names, "seconds"], rows)
        return made


class Told(Table):
    """The warnings that the code gives."""

    def run(self) -> list[nodes.Node]:
        """Make the table from the sources."""
        folder = pathlib.Path(jaxrec.__file__).parent
        rows = [[f"``{one.room}``", f"``{one.category}``", escaped(one.message)] for one in warnings_of(folder)]
        return self.table(["room", "class", "text"], rows)


class Errors(Table):
    """The exceptions."""

    def run(self) -> list[nodes.Node]:
        """Make the table from `jaxrec.errors`."""
        rows = []
        for name, thing in vars(errors).items():
            if inspect.isclass(thing) and issubclass(thing, Exception):
                bases = ", ".join(f"``{base.__name__}``" for base in thing.__bases__)
                text = re.split(r"\n\n", inspect.getdoc(thing) or "")[0]
                rows.append(
                    [f":py:obj:`{name} <jaxrec.errors.{name}>`", bases, escaped(" ".join(text.split()), self.known())]
                )
        return self.table(["class", "is also", "when"], rows)


def seconds(value: float | None) -> str:
    """Seconds as tables have them."""
    return "" if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    directives = {"options": Options, "registry": Registry, "rows": Rows, "results": Results, "told": Told}
    for name, directive in {**directives, "errors": Errors}.items():
        app.add_directive(name, directive)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
