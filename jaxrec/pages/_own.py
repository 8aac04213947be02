"""Sections of one's own on a report: text, a table, and lines with their figures behind them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from jaxrec.errors import JaxrecError
from jaxrec.pages._charts import line_chart
from jaxrec.pages._document import Section
from jaxrec.pages._marks import key_of
from jaxrec.pages._markup import Html, joined
from jaxrec.pages._parts import figure, paragraph, table

Points = Sequence[tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class OwnSection:
    """A section of one's own, which stands behind those that every report has.

    All of it is text and numbers: what looks like markup is shown as it is written.

    Attributes:
      title: its heading.
      text: paragraphs, with an empty line between two of them.
      table: rows of text or numbers; the first one is the head, and the first column names the rows.
      lines: label to points (x, y) in the order of x. They become a chart with its figures as a table behind it; the
        label of a run has the color, dash and mark of that run.
      axes: what x and y are, of a section with lines.

    Raises:
      JaxrecError: no title, nothing in it, rows of unequal length, a point that is not finite, or lines without axes.

    >>> own = OwnSection("Time to a list", "Medians of 100 calls.", table=[["run", "ms"], ["MF", 1.9]])
    >>> OwnSection("Empty")
    Traceback (most recent call last):
    jaxrec.errors.JaxrecError: section 'Empty' has nothing in it; give it text, a table or lines
    """

    title: str
    text: str = ""
    table: Sequence[Sequence[object]] = ()
    lines: Mapping[str, Points] = dataclasses.field(default_factory=dict)
    axes: tuple[str, str] = ("", "")

    def __post_init__(self) -> None:
        name = f"section {self.title!r}"
        if not self.title.strip():
            raise JaxrecError(f"the title of a section is {self.title!r}; give it one")
        if not (self.text.strip() or len(self.table) or self.lines):
            raise JaxrecError(f"{name} has nothing in it; give it text, a table or lines")
        widths = sorted({len(row) for row in self.table})
        if len(self.table) == 1 or len(widths) > 1 or widths == [0]:
            raise JaxrecError(
                f"{name}: table has {len(self.table)} rows of {widths} cells; pass a head and rows of one length"
            )
        for label, points in self.lines.items():
            wrong = next((point for point in points if len(point) != 2 or not all(map(math.isfinite, point))), None)
            if wrong is not None or not len(points):
                what = "has no point" if wrong is None else f"has the point {wrong!r}"
                raise JaxrecError(f"{name}: line {label!r} {what}; pass finite pairs (x, y)")
        if self.lines and not all(self.axes):
            raise JaxrecError(f"{name}: axes is {self.axes!r}; say what x and y are, such as ('epoch', 'loss')")

    def section(self, anchor: str, runs: Sequence[str] = ()) -> Section:
        """The section as a page has it.

        Args:
          anchor: its id.
          runs: labels of the runs, in the order of their colors.
        """
        told = [paragraph(part.strip()) for part in self.text.split("\n\n") if part.strip()]
        rows = None
        if len(self.table):
            head, *body = self.table
            rows = table(head, body, caption=self.title, text_columns=_text_columns(body))
        return Section(anchor, self.title, joined(told, self._chart(runs) if self.lines else None, rows))

    def _chart(self, runs: Sequence[str]) -> Html:
        others = iter(range(len(runs), len(runs) + len(self.lines)))
        numbers = [runs.index(label) if label in runs else next(others) for label in self.lines]
        x, y = self.axes
        chart = line_chart(self.lines, name=f"{y} against {x}", x_label=x, y_label=y, numbers=numbers)
        rows = [[f"{a:g}", label, f"{b:.6g}"] for label, points in self.lines.items() for a, b in points]
        behind = table([x, "line", y], rows, caption=f"{y} by {x}", text_columns=(0, 1))
        return figure(chart, f"{y} against {x}.", behind, key=key_of(list(self.lines), lines=True, numbers=numbers))


def _text_columns(rows: Sequence[Sequence[object]]) -> tuple[int, ...]:
    """The columns in which not all cells are numbers, and the first."""
    columns = range(len(rows[0]))
    return tuple(at for at in columns if at == 0 or not all(isinstance(row[at], (int, float)) for row in rows))
