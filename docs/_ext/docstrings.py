"""Docstrings as reStructuredText: they are written as plain text with backticks, formulas and tables of Markdown."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

_NAME = re.compile(r"[A-Za-z_]\w*(\.\w+)*(\(\))?")


def to_rst(lines: Iterable[str], known: Collection[str] = ()) -> list[str]:
    """Escape what reStructuredText would read as markup, and keep examples, formulas and lists.

    Args:
      lines: of a docstring, without its indentation.
      known: names that a reference may lead to; other words in backticks are literals.
    """
    made: list[str] = []
    rows: list[str] = []
    example, formula = False, None
    for line in _listed_references(list(lines)):
        stripped = line.strip()
        indent = len(line) - len(line.lstrip())
        if re.fullmatch(r"\|( .*|-+\|.*)\|", stripped) and not example:
            rows.append(line)
            continue
        if rows:
            made += _table(rows, known)
            rows = []
        if example or stripped.startswith(">>>"):
            example = bool(stripped)
            made.append(line)
        elif stripped.startswith(".. "):
            formula = indent
            made.append(line)
        elif formula is not None and (not stripped or indent > formula):
            made.append(line)
        else:
            formula = None
            made.append(" " * indent + escaped(stripped, known))
    return made + (_table(rows, known) if rows else [])


def _listed_references(lines: list[str]) -> list[str]:
    """The section "References" as a list where its entries have indented further lines."""
    start = next((at for at, line in enumerate(lines) if line.strip() == "References:"), len(lines))
    end = next((at for at in range(start + 1, len(lines)) if lines[at][:1].strip()), len(lines))
    own = lines[start + 1 : end]
    if not any(line.startswith("    ") for line in own):
        return lines
    listed = [line if not line.strip() or line.startswith("    ") else f"  - {line.strip()}" for line in own]
    return [*lines[: start + 1], *listed, *lines[end:]]


def escaped(text: str, known: Collection[str] = ()) -> str:
    """One line of text, with its backticks as literals or references."""
    parts = re.split(r"(`+[^`]+`+)", text)
    return "".join(_inline(part, known) if part.startswith("`") else _plain(part) for part in parts)


def _plain(text: str) -> str:
    text = re.sub(r"([*|\\`])", r"\\\1", text)
    return re.sub(r"(?<=\w)_(?=\W|$)", r"\\_", text)


def _inline(part: str, known: Collection[str]) -> str:
    word = part.strip("`")
    bare = word.removesuffix("()")
    if _NAME.fullmatch(word) and (bare in known or (bare.startswith("jaxrec.") and "._" not in bare)):
        return f":py:obj:`{bare}`\\ "
    return f"``{word}``\\ "


def _table(rows: list[str], known: Collection[str]) -> list[str]:
    indent = len(rows[0]) - len(rows[0].lstrip())
    cells = [[cell.strip() for cell in row.strip().strip("|").split("|")] for row in rows]
    cells = [row for row in cells if not all(re.fullmatch(r":?-+:?", cell) for cell in row)]
    lines = ["", ".. list-table::", "   :header-rows: 1", ""]
    for row in cells:
        lines += [f"   {'* -' if at == 0 else '  -'} {escaped(cell, known)}" for at, cell in enumerate(row)]
    return [f"{' ' * indent}{line}" if line else "" for line in [*lines, ""]]
