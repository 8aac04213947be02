"""A Sphinx extension: one page of reference a room, made from the faces; the build fails where one is incomplete."""

from __future__ import annotations

import inspect
import pathlib
import re
from typing import Any

from docstrings import to_rst
from docutils import nodes
from rooms import Symbol, faults, names_of, rooms, symbols
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util import logging

log = logging.getLogger(__name__)


class Reference:
    """The public names, and where a word in a docstring leads."""

    def __init__(self) -> None:
        self.symbols = symbols()
        self.places = {place: one for one in self.symbols for place in (one.path, *one.also)}
        self.rooms = rooms()
        bare: dict[str, list[Symbol]] = {}
        for one in self.symbols:
            for name in {one.name, *(place.rpartition(".")[2] for place in one.also)}:
                bare.setdefault(name, []).append(one)
        # A bare word leads somewhere if it is one name only, or if one of those has it at the top.
        self.bare = {}
        for name, found in bare.items():
            top = [one for one in found if f"jaxrec.{name}" in one.also]
            if len(found) == 1 or len(top) == 1:
                self.bare[name] = (top or found)[0]

    def find(self, target: str) -> Symbol | None:
        """The name that a reference means; of a method or field, the class that has it."""
        target = re.sub(r"\._\w+", "", target)
        for word in (target, target.rpartition(".")[0]):
            if word in self.places or word in self.bare:
                return self.places.get(word) or self.bare[word]
        return None


def write_pages(app: Sphinx) -> None:
    """Write `docs/api/ROOM.rst`, and refuse incomplete documentation."""
    reference = Reference()
    lines = faults(reference.symbols)
    if lines:
        raise ExtensionError("public names are not documented:\n" + "\n".join(lines))
    app.reference = reference  # type: ignore[attr-defined]
    folder = pathlib.Path(app.srcdir) / "api"
    folder.mkdir(exist_ok=True)
    pages = {f"{room}.rst": page_of(room, reference) for room in reference.rooms}
    pages["index.rst"] = index_of(reference)
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for path in folder.glob("*.rst"):
        if path.name not in pages:
            path.unlink()


def index_of(reference: Reference) -> str:
    """The table of all rooms with their first sentence."""
    lines = [
        "API reference",
        "=============",
        "",
        f"{len(reference.symbols)} public names, from their docstrings. The names of ``jaxrec`` itself are those that"
        " most programs need.",
        "",
        ".. list-table::",
        "",
    ]
    for room, module in reference.rooms.items():
        lines += [f"   * - :doc:`{room} <{room}>`", f"     - {_first(module)}"]
    lines += ["", ".. toctree::", "   :hidden:", "", *(f"   {room}" for room in reference.rooms), ""]
    return "\n".join(lines)


def page_of(room: str, reference: Reference) -> str:
    """The page of a room: its sentence, its table of names, and each name that is at home here."""
    module = reference.rooms[room]
    own = [one for one in reference.symbols if one.room == room]
    lines = [room, "=" * len(room), "", *to_rst((inspect.getdoc(module) or "").splitlines(), reference.places), ""]
    listed = [name for name in names_of(module) if f"{room}.{name}" in reference.places]
    if listed:
        lines += [".. list-table::", ""]
        for name in listed:
            one = reference.places[f"{room}.{name}"]
            lines += [f"   * - :py:obj:`{name} <{one.path}>`", f"     - {_first(one.thing, one.kind)}"]
        lines += [""]
    lines += [f".. py:module:: {room}", ""]
    for one in own:
        lines += [one.name, "-" * max(len(one.name), 3), ""]
        lines += [*_directive(one), ""]
        if one.also:
            lines += ["   Also " + ", ".join(f"``{place}``" for place in one.also) + ".", ""]
    return "\n".join(lines)


def _directive(one: Symbol) -> list[str]:
    if one.kind == "data":
        return [f".. py:data:: {one.path}", "", f"   {_first(one.thing, 'data')}", ""]
    lines = [f".. auto{one.kind}:: {one.path}"]
    return [*lines, "   :members:"] if one.kind in ("class", "exception") else lines


def _first(thing: Any, kind: str = "") -> str:
    """The first sentence of a docstring; of data their value."""
    if kind == "data":
        text = repr(thing)
        return f"``{text if len(text) <= 100 else text[:97] + '...'}``"
    paragraph = " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())
    return " ".join(to_rst([re.split(r"(?<=[.:]) (?=[A-Z])", paragraph)[0]]))


def process_docstring(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Before Napoleon reads the sections."""
    lines[:] = to_rst(lines, app.reference.bare)  # type: ignore[attr-defined]


def skip(app: Sphinx, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Fields are told by the docstring of their class."""
    text = inspect.getdoc(thing) or ""
    if text.startswith("Alias for field number") or name in ("tree_flatten", "tree_unflatten", "replace"):
        return True
    return None


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.reference | nodes.TextElement | None:
    """Lead a name to its home. Names of other libraries stay text, and one that jaxrec has not breaks the build."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py":
        return None
    reference: Reference = app.reference  # type: ignore[attr-defined]
    if target in reference.rooms:
        place, anchor = target, f"module-{target}"
    elif (one := reference.find(target)) is not None:
        place, anchor = one.room, one.path
    else:
        variable = len(target.rpartition(".")[2]) == 1  # of a type, which no page has
        return None if target.startswith("jaxrec.") and "._" not in target and not variable else content
    uri = app.builder.get_relative_uri(node.get("refdoc", env.docname), f"api/{place}")
    made = nodes.reference("", "", internal=True, refuri=f"{uri}#{anchor}")
    made += content
    return made


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the pages, the docstrings and the references."""
    app.connect("builder-inited", write_pages, priority=100)
    app.connect("autodoc-process-docstring", process_docstring, priority=100)
    app.connect("autodoc-skip-member", skip)
    app.connect("missing-reference", resolve)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
