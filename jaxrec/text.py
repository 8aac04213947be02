"""Text output: aligned columns and formatted numbers."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Collection, Sequence
from typing import Any

__all__ = ["aligned_text", "cell_text", "html_table", "last_notes", "natural_key", "number_text", "printable"]

# What a terminal obeys or hides: controls, ends of lines and paragraphs, marks of direction, halves of a pair.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
_FORMULA = re.compile("[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")  # the last four are the wide forms of the first


def printable(text: str) -> str:
    """The text with its control characters, line ends and marks of direction escaped, as Python writes them.

    A title could otherwise move the cursor, color or clear a terminal, begin a line of its own, or be read from right
    to left.

    >>> printable("Heat\\x1b[2J (1995)")
    'Heat\\\\x1b[2J (1995)'
    """
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)


def cell_text(value: Any) -> Any:
    """A cell that a spreadsheet shows and does not run: text that starts like a formula gets a quote before it.

    >>> cell_text("=1+1"), cell_text("Heat"), cell_text(-1.5)
    ("'=1+1", 'Heat', -1.5)
    """
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value.lstrip(" ")) else value


def aligned_text(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """Join rows of text into aligned columns; those in `right` to the right. Control characters are escaped.

    >>> print(aligned_text([["model", "recall"], ["mf", "0.5"]]))
    model  recall
    mf     0.5
    >>> print(aligned_text([("name", "users"), ("gowalla", "29,858")], right=[1]))
    name      users
    gowalla  29,858
    """
    rows = [[printable(cell) for cell in row] for row in rows]
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
    """A titled table with a header row, and notes below it, as HTML for notebooks; all text is escaped and printable.

    >>> html_table("a < b", [["name"], ["x"]], ["one"])
    '<p><b>a &lt; b</b></p><table><tr><th>name</th></tr><tr><td>x</td></tr></table><p>one</p>'
    """
    lines = [f"<p><b>{_escaped(title)}</b></p>"]
    if rows:
        lines.append("<table>")
        for at, row in enumerate(rows):
            cell = "td" if at else "th"
            cells = "".join(f"<{cell}>{_escaped(str(value))}</{cell}>" for value in row)
            lines.append(f"<tr>{cells}</tr>")
        lines.append("</table>")
    return "".join([*lines, *(f"<p>{_escaped(note)}</p>" for note in notes)])


def _escaped(text: str) -> str:
    return html.escape(printable(text))


def last_notes(notes: Sequence[str], most: int = 4, width: int = 160) -> list[str]:
    """The last notes, the long ones cut, and how many there are before them.

    >>> last_notes(["read", "filtered", "split"], most=2)
    ['... 1 earlier note', 'filtered', 'split']
    """
    cut = [note if len(note) <= width else note[: width - 3] + "..." for note in notes[-most:]]
    before = len(notes) - len(cut)
    return [f"... {before} earlier note{'s' if before > 1 else ''}", *cut] if before else cut
