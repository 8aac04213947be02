"""Charts as SVG that the server writes: colors come from the style sheet, and shapes and dashes differ besides.

Each chart is about as wide as a telephone, so that its letters stay readable there; on a wide page charts stand beside
each other. All text is text, so it can be searched, printed and read in any color scheme.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from jaxrec.pages._marks import mark
from jaxrec.pages._markup import Html, joined, tag
from jaxrec.pages._scale import Scale, spanning, tick_text

WIDTH = 420.0
_MOST_LETTERS = 22  # of a line of the labels of a forest plot
_LETTER = 6.8  # the mean width of a letter of 12.5 units, for labels that must not meet


@dataclasses.dataclass(frozen=True)
class Point:
    """A mark with a label, and intervals in both directions where there are any.

    Attributes:
      x: to the right.
      y: upwards.
      x_interval: (low, high), or None.
      y_interval: (low, high), or None.
    """

    x: float
    y: float
    x_interval: tuple[float, float] | None = None
    y_interval: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of a chart of intervals.

    Attributes:
      label: at its left.
      value: the mark.
      low: of the interval; NaN for none.
      high: likewise.
      filled: whether the mark is filled; an empty one is not significant.
    """

    label: str
    value: float
    low: float = math.nan
    high: float = math.nan
    filled: bool = True


def line_chart(
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    name: str,
    x_label: str,
    y_label: str,
    x_log: bool = False,
    y_log: bool = False,
    x_include: Sequence[float] = (),
    y_include: Sequence[float] = (),
    numbers: Sequence[int] | None = None,
    marked: Mapping[str, float] | None = None,
    height: float = 260.0,
) -> Html:
    """Lines of points, each with the color, dash and mark of its number.

    Args:
      series: label to its points (x, y), in order; points that are not finite break nothing and are left out.
      name: what the chart shows, for those who do not see it.
      x_label, y_label: of the axes.
      x_log, y_log: whether the axes are logarithmic.
      x_include, y_include: values that the axes must show.
      numbers: the number of each series, where a part of the runs is shown; by default 0, 1 and so on.
      marked: label to an x at which the line has a mark, such as the best epoch; by default each line has its last.
      height: in units of which the width has 420.
    """
    numbers = range(len(series)) if numbers is None else numbers
    points = {label: [one for one in given if all(map(math.isfinite, one))] for label, given in series.items()}
    x, y, frame = _frame(
        [one[0] for given in points.values() for one in given],
        [one[1] for given in points.values() for one in given],
        x_label=x_label, y_label=y_label, x_log=x_log, y_log=y_log, x_include=x_include, y_include=y_include,
        height=height,
    )  # fmt: skip
    drawn = []
    for number, (label, given) in zip(numbers, points.items(), strict=True):
        if not given:
            continue
        at = (marked or {}).get(label, given[-1][0])
        near = min(given, key=lambda one, at=at: abs(one[0] - at))
        places = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in given)
        title = f"{label}: {y_label} {near[1]:.4g} at {x_label} {near[0]:g}"
        drawn.append(tag("polyline", points=places, class_=f"line s{number % 8} d{number % 4}"))
        drawn.append(mark(number, x(near[0]), y(near[1]), title=title))
    return _svg(name, height, frame, drawn)


def scatter_chart(
    points: Mapping[str, Point],
    *,
    name: str,
    x_label: str,
    y_label: str,
    x_log: bool = False,
    y_include: Sequence[float] = (),
    height: float = 290.0,
) -> Html:
    """Labelled marks with their intervals as crosses; labels go where no other label is.

    Args:
      points: label to its point; the number of a series is its place.
      name, x_label, y_label, x_log, y_include, height: as in `line_chart`.
    """
    shown = {label: one for label, one in points.items() if math.isfinite(one.x) and math.isfinite(one.y)}
    ends = [one.x_interval or (one.x, one.x) for one in shown.values()]
    tops = [one.y_interval or (one.y, one.y) for one in shown.values()]
    x, y, frame = _frame(
        [end for pair in ends for end in pair], [end for pair in tops for end in pair],
        x_label=x_label, y_label=y_label, x_log=x_log, y_include=y_include, height=height, pad=0.12,
    )  # fmt: skip
    numbers = {label: at for at, label in enumerate(points)}
    taken = [(x(one.x) - 7, y(one.y) - 7, x(one.x) + 7, y(one.y) + 7) for one in shown.values()]
    taken += [
        (x(one.x) - 1, y(one.y_interval[1]), x(one.x) + 1, y(one.y_interval[0]))
        for one in shown.values()
        if one.y_interval is not None and all(map(math.isfinite, one.y_interval))
    ]
    drawn = []
    for label, one in shown.items():
        number, right, up = numbers[label], x(one.x), y(one.y)
        for interval, along in ((one.x_interval, True), (one.y_interval, False)):
            if interval is None or not all(map(math.isfinite, interval)):
                continue
            low, high = ((x if along else y)(end) for end in interval)
            places = {"x1": low, "x2": high, "y1": up, "y2": up}
            if not along:
                places = {"x1": right, "x2": right, "y1": low, "y2": high}
            drawn.append(tag("line", class_=f"interval s{number % 8}", **places))
        drawn.append(mark(number, right, up, size=5.5, title=f"{label}: {x_label} {one.x:.4g}, {y_label} {one.y:.4g}"))
        drawn.append(_placed(label, right, up, taken, (x.start, x.stop)))
    return _svg(name, height, frame, drawn)


def interval_chart(
    rows: Sequence[Row],
    *,
    name: str,
    x_label: str,
    zero: bool = False,
    x_include: Sequence[float] = (),
    numbers: Sequence[int] | None = None,
) -> Html:
    """A forest plot: a line a row, each with its label at the left, its mark and its interval.

    A label that is too long breaks at a minus sign or at a blank, or is cut.

    Args:
      rows: from top to bottom.
      name, x_label: as in `line_chart`.
      zero: whether a line at 0 says where there is no difference.
      x_include: values that the axis must show.
      numbers: the series of each row; by default all have the first.
    """
    labels = [_broken(row.label, _MOST_LETTERS) for row in rows]
    left = 18.0 + _LETTER * max((len(line) for lines in labels for line in lines), default=0)
    step, top = 34.0 if any(len(lines) > 1 for lines in labels) else 26.0, 6.0
    height = top + step * len(rows) + 40
    values = [end for row in rows for end in (row.low, row.high, row.value)]
    x = spanning([*values, *([0.0] if zero else [])], left, WIDTH - 10.0, include=x_include)
    frame = _axis_below(x, top, height - 38, x_label)
    drawn = []
    if zero:
        drawn.append(tag("line", class_="zero", x1=x(0), x2=x(0), y1=top, y2=height - 38))
    for at, row in enumerate(rows):
        up = top + step * (at + 0.5)
        number = 0 if numbers is None else numbers[at]
        lines = labels[at]
        for place, line in enumerate(lines):
            down = up + 4 + 14 * (place - (len(lines) - 1) / 2)
            whole = tag("title", row.label) if place == 0 and len(lines) > 1 else None
            drawn.append(tag("text", whole, line, x=4, y=down, class_="label"))
        if math.isfinite(row.low) and math.isfinite(row.high):
            drawn.append(tag("line", class_=f"interval s{number % 8}", x1=x(row.low), x2=x(row.high), y1=up, y2=up))
        if math.isfinite(row.value):
            interval = f" [{row.low:.4f}, {row.high:.4f}]" if math.isfinite(row.low) else ""
            title = f"{row.label}: {row.value:.4f}{interval}"
            drawn.append(mark(number, x(row.value), up, filled=row.filled, title=title))
    return _svg(name, height, frame, drawn)


def grouped_chart(
    groups: Sequence[str],
    series: Mapping[str, Sequence[Row | None]],
    *,
    name: str,
    x_label: str,
    x_include: Sequence[float] = (0.0,),
) -> Html:
    """A block of rows for each group, and in it a mark with its interval for each series.

    Args:
      groups: labels of the blocks, from top to bottom.
      series: label to a row for each group, or None where it has none.
      name, x_label, x_include: as in `interval_chart`.
    """
    step, head, top = 12.0, 20.0, 4.0
    block = head + step * max(len(series), 1) + 6
    height = top + block * len(groups) + 40
    values = [end for rows in series.values() for row in rows if row for end in (row.low, row.high, row.value)]
    x = spanning(values, 10.0, WIDTH - 10.0, include=x_include)
    frame = _axis_below(x, top, height - 38, x_label)
    drawn = []
    for place, group in enumerate(groups):
        start = top + block * place
        if place:
            drawn.append(tag("line", class_="rule", x1=10, x2=WIDTH - 10, y1=start, y2=start))
        drawn.append(tag("text", group, x=10, y=start + 14, class_="label strong halo"))
        for number, (label, rows) in enumerate(series.items()):
            row, up = rows[place], start + head + step * number + 4
            if row is None or not math.isfinite(row.value):
                continue
            if math.isfinite(row.low):
                drawn.append(tag("line", class_=f"interval s{number % 8}", x1=x(row.low), x2=x(row.high), y1=up, y2=up))
            drawn.append(mark(number, x(row.value), up, size=4.0, title=f"{label}, {group}: {row.value:.4f}"))
    return _svg(name, height, frame, drawn)


def bar_chart(
    bars: Sequence[tuple[str, float]], *, name: str, x_label: str, y_label: str, height: float = 220.0, every: int = 0
) -> Html:
    """Bars side by side from 0.

    Args:
      bars: (label, value) from left to right.
      name, x_label, y_label, height: as in `line_chart`.
      every: which labels are written, such as each fifth; 0 for as many as there is room for.
    """
    top, left, bottom = 10.0, 52.0, height - 40
    y = spanning([value for _, value in bars], bottom, top, include=[0.0])
    wide = (WIDTH - left - 8) / max(len(bars), 1)
    longest = max((len(label) for label, _ in bars), default=1)
    every = every or max(1, math.ceil((longest * _LETTER + 8) / wide))
    drawn = [_axis_left(y, left, WIDTH - 8, y_label)]
    for at, (label, value) in enumerate(bars):
        start = left + wide * at
        if value > 0:
            d = f"M{start + wide * 0.08:.2f} {bottom:.2f}V{y(value):.2f}H{start + wide * 0.92:.2f}V{bottom:.2f}Z"
            drawn.append(tag("path", tag("title", f"{label}: {value:,.6g}"), class_="bar", d=d))
        if at % every == 0:
            drawn.append(tag("text", label, x=start + wide / 2, y=bottom + 14, class_="tick middle"))
    drawn.append(tag("text", x_label, x=(left + WIDTH) / 2, y=height - 6, class_="axis middle"))
    return _svg(name, height, drawn)


def _broken(label: str, most: int) -> list[str]:
    """A label in one line, or in two: broken at the last minus sign or blank that leaves both short enough, or cut."""
    if len(label) <= most:
        return [label]
    places = [at for at in range(1, len(label)) if label[at - 1] == " " and (label[at] == "−" or at <= most)]
    signs = [at for at in places if label[at] == "−"]
    at = (signs or [one for one in places if one <= most + 1] or [most])[-1]
    return [line if len(line) <= most else f"{line[: most - 1]}…" for line in (label[:at].rstrip(), label[at:])]


def _frame(
    xs: Sequence[float],
    ys: Sequence[float],
    *,
    x_label: str,
    y_label: str,
    x_log: bool = False,
    y_log: bool = False,
    x_include: Sequence[float] = (),
    y_include: Sequence[float] = (),
    height: float,
    pad: float = 0.05,
) -> tuple[Scale, Scale, Html]:
    left, right, top, bottom = 52.0, WIDTH - 12.0, 20.0, height - 42.0
    x = spanning(xs, left, right, log=x_log, include=x_include, pad=pad)
    y = spanning(ys, bottom, top, log=y_log, include=y_include, pad=pad)
    return x, y, joined(_axis_left(y, left, right, y_label), _axis_below(x, top, bottom, x_label, grid=False))


def _axis_left(y: Scale, left: float, right: float, label: str) -> Html:
    lines = []
    for value in y.ticks():
        up = y(value)
        lines.append(tag("line", class_="grid", x1=left, x2=right, y1=up, y2=up))
        lines.append(tag("text", tick_text(value), x=left - 6, y=up + 4, class_="tick end"))
    return joined(lines, tag("text", label, x=4, y=12, class_="axis"))


def _axis_below(x: Scale, top: float, bottom: float, label: str, *, grid: bool = True) -> Html:
    lines: list[Html] = [tag("line", class_="base", x1=x.start, x2=x.stop, y1=bottom, y2=bottom)]
    for value in x.ticks():
        across = x(value)
        lines.append(tag("line", class_="grid", x1=across, x2=across, y1=top if grid else bottom, y2=bottom + 4))
        lines.append(tag("text", tick_text(value), x=across, y=bottom + 16, class_="tick middle"))
    return joined(lines, tag("text", label, x=(x.start + x.stop) / 2, y=bottom + 33, class_="axis middle"))


def _svg(name: str, height: float, *parts: object) -> Html:
    return tag("svg", *parts, viewBox=f"0 0 {WIDTH:g} {height:g}", role="img", aria_label=name, class_="chart")


def _placed(label: str, x: float, y: float, taken: list[tuple[float, ...]], bounds: tuple[float, float]) -> Html:
    """A label beside its mark, at the first of some places where nothing else is."""
    wide = len(label) * _LETTER
    chosen, least = None, math.inf
    for across, down, where in (
        (9, 4, "start"), (-9, 4, "end"), (0, -11, "middle"), (0, 19, "middle"),
        (9, -9, "start"), (9, 17, "start"), (-9, -9, "end"), (-9, 17, "end"),
        (14, -20, "start"), (14, 28, "start"), (-14, -20, "end"), (-14, 28, "end"),
    ):  # fmt: skip
        start = x + across - {"start": 0.0, "middle": wide / 2, "end": wide}[where]
        box = (start, y + down - 10, start + wide, y + down + 2)
        cost = sum(_overlap(box, other) for other in taken)
        cost += 1e4 * (box[0] < bounds[0] - 40) + 1e4 * (box[2] > bounds[1] + 8)
        if cost < least:
            chosen, least = (across, down, where, box), cost
    assert chosen is not None
    across, down, where, box = chosen
    taken.append(box)
    return tag("text", label, x=x + across, y=y + down, class_=f"label halo {where}")


def _overlap(one: Sequence[float], other: Sequence[float]) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return wide * high if wide > 0 and high > 0 else 0.0
