"""Text output: aligned columns and formatted numbers."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Collection, Sequence
from typing import Any

__all__ = ["aligned_text", "html_table", "last_notes", "natural_key", "number_text"]


def aligned_text(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """Join rows of text into aligned columns; those in `right` to the right.

    >>> print(aligned_text([["model", "recall"], ["mf", "0.5"]]))
    model  recall
    mf     0.5
    >>> print(aligned_text([("name", "users"), ("gowalla", "29,858")], right=[1]))
    name      users
    gowalla  29,858
    """
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    put = [str.rjust if at in right else str.ljust for at in range(len(widths))]
    lines = ([one(cell, width) for one, cell, width in zip(put, row, widths, strict=True)] for row in rows)
    return "\n".join("  ".join(cells).rstrip() for cells in lines)


def number_text(value: float) -> str:
    """Format a value with four decimals, or as a dash if it is NaN.

    >>> number_text(0.5), number_text(float("nan"))
    ('0.5000', '-')
    """
    return "-" if math.isnan(value) else f"{value:.4f}"


def natural_key(label: Any) -> tuple[Any, ...]:
    """A key that sorts labels as people do: numbers by their value, also within texts.

    >>> sorted(["10", "2", "b", 1.5, "a10", "a9"], key=natural_key)
    [1.5, '2', '10', 'a9', 'a10', 'b']
    """
    if isinstance(label, (int, float)):
        return ((0, label, ""),)
    parts = re.split(r"(\d+)", str(label))
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part)


def html_table(title: str, rows: Sequence[Sequence[str]], notes: Sequence[str] = ()) -> str:
    """A titled table with a header row, and notes below it, as HTML for notebooks; all text is escaped.

    >>> html_table("a < b", [["name"], ["x"]], ["one"])
    '<p><b>a &lt; b</b></p><table><tr><th>name</th></tr><tr><td>x</td></tr></table><p>one</p>'
    """
    lines = [f"<p><b>{html.escape(title)}</b></p>"]
    if rows:
        lines.append("<table>")
        for at, row in enumerate(rows):
            cell = "td" if at else "th"
            cells = "".join(f"<{cell}>{html.escape(str(value))}</{cell}>" for value in row)
            lines.append(f"<tr>{cells}</tr>")
        lines.append("</table>")
    return "".join([*lines, *(f"<p>{html.escape(note)}</p>" for note in notes)])


def last_notes(notes: Sequence[str], most: int = 4, width: int = 160) -> list[str]:
    """The last notes, the long ones cut, and how many there are before them.

    >>> last_notes(["read", "filtered", "split"], most=2)
    ['... 1 earlier note', 'filtered', 'split']
    """
    cut = [note if len(note) <= width else note[: width - 3] + "..." for note in notes[-most:]]
    before = len(notes) - len(cut)
    return [f"... {before} earlier note{'s' if before > 1 else ''}", *cut] if before else cut
