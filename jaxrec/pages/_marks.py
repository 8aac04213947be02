"""Marks of series: eight colors, each with a shape of its own, so that they differ in gray too; and their key."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from jaxrec.pages._markup import Html, tag

COLORS = 8
"""Colors and shapes; dashes repeat after four."""


def mark(series: int, x: float, y: float, *, size: float = 4.5, filled: bool = True, title: str = "") -> Html:
    """The mark of a series: shape and color go by its number.

    >>> mark(0, 10.0, 20.0).startswith('<path class="mark s0" d="M')
    True
    """
    d = _shape(series % COLORS, x, y, size)
    name = f"mark s{series % COLORS}" + ("" if filled else " empty")
    return tag("path", tag("title", title), class_=name, d=d) if title else tag("path", class_=name, d=d)


def key_of(labels: Sequence[str], *, lines: bool = False, numbers: Sequence[int] | None = None) -> Html:
    """The list that says which mark is whose, as HTML beside a chart.

    Args:
      labels: of the series, by their number.
      lines: whether the series are lines, which are shown with their dashes.
      numbers: of the series, where they are a part of the runs; by default 0, 1 and so on.

    >>> key_of(["mf"]).startswith('<ul class="key"><li><svg')
    True
    """
    items = []
    for at, label in zip(numbers or range(len(labels)), labels, strict=True):
        stroke = tag("line", class_=f"line s{at % COLORS} d{at % 4}", x1=0, y1=8, x2=26, y2=8) if lines else None
        sample = tag("svg", stroke, mark(at, 13.0, 8.0), viewBox="0 0 26 16", width=26, height=16, aria_hidden="true")
        items.append(tag("li", sample, tag("span", label)))
    return tag("ul", items, class_="key")


def _shape(number: int, x: float, y: float, r: float) -> str:
    """The outline of shape 0 to 7: circle, square, triangle, diamond, triangle down, plus, cross, hexagon."""
    if number == 0:
        return f"M{x - r:.2f} {y:.2f}a{r:g} {r:g} 0 1 0 {2 * r:g} 0a{r:g} {r:g} 0 1 0 {-2 * r:g} 0Z"
    if number in (5, 6):
        return _plus(x, y, r * 1.25, 0.0 if number == 5 else math.pi / 4)
    corners, turn = {1: (4, 0.25), 2: (3, -0.5), 3: (4, 0.0), 4: (3, 0.5), 7: (6, 0.0)}[number]
    angles = [math.pi * (turn + 2 * at / corners) for at in range(corners)]
    return _polygon((x + 1.25 * r * math.cos(angle), y + 1.25 * r * math.sin(angle)) for angle in angles)


def _plus(x: float, y: float, r: float, turn: float) -> str:
    """A plus with arms a third as wide as it is, turned by an angle."""
    w = r / 2.6
    right = [(w, -w), (r, -w), (r, w)]
    corners: list[tuple[float, float]] = []
    for quarter in range(4):
        cos, sin = math.cos(turn + quarter * math.pi / 2), math.sin(turn + quarter * math.pi / 2)
        corners += [(x + a * cos - b * sin, y + a * sin + b * cos) for a, b in right]
    return _polygon(corners)


def _polygon(corners: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in corners) + "Z"
