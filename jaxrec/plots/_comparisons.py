"""Models side by side: means, paired differences, accuracy against diversity, quality against cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jaxrec.errors import JaxrecError
from jaxrec.evaluation._tradeoff import CurvePoint, curve_rows
from jaxrec.plots._style import (
    COLORS,
    MARKS,
    STYLES,
    figure_of,
    finished,
    legend_beside,
    panel_in,
    panels_in,
    plain,
    tidy,
)
from jaxrec.reports._report import Report
from jaxrec.statistics._comparison import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def comparison(
    reports: Mapping[str, Report],
    names: Sequence[str],
    *,
    level: float = 0.95,
    title: str = "",
    ax: Axes | Sequence[Axes] | None = None,
) -> Figure:
    """Models from top to bottom, one panel a value, each mean as a dot with its interval over users.

    Two intervals that overlap do not say that two models are alike: that is what `forest` is for.

    Args:
      reports: label of the model to its report, in the order of the rows.
      names: the values, such as "ndcg@10"; those of all lists together, such as "coverage@10", have no interval.
      level: the probability of the intervals.
      title: what stands above.
      ax: panels of a figure of the caller's, one for each name; None makes a figure.

    Returns:
      The figure, which belongs to no window; see `save_figure`.

    Raises:
      JaxrecError: no report, no name, a report without one of the values, another number of panels,
        or no matplotlib.

    >>> import numpy as np
    >>> report = Report(np.arange(4), {"recall@10": np.array([0.0, 0.5, 0.5, 1.0])})
    >>> [panel.get_title() for panel in comparison({"random": report}, ["recall@10"]).axes]
    ['recall@10']
    """
    if not reports or not names:
        raise JaxrecError("reports or names is empty; pass at least one report and the name of one value")
    size = (1.6 + 2.4 * len(names), 1.2 + 0.32 * len(reports))
    panels = panels_in(ax, 1, len(names), size, sharey=True)
    for panel, name in zip(panels, names, strict=True):
        for row, report in enumerate(reports.values()):
            mean = report.mean(name)
            low, high = report.interval(name, level) if name in report.per_user else (math.nan, math.nan)
            color = COLORS[row % 7]
            if not math.isnan(low):
                panel.plot([low, high], [row, row], color=color, linewidth=2, solid_capstyle="round")
            panel.plot([mean], [row], MARKS[row % 7], color=color, markersize=5)
        panel.set_title(name, fontsize=10)
        panel.set_xlim(left=0)
        panel.set_ylim(len(reports) - 0.5, -0.5)
        panel.set_yticks(range(len(reports)), [plain(label) for label in reports])
        tidy(panel)
    return figure_of(panels[0], title)


def forest(
    comparisons: Sequence[Comparison], *, metric: str | None = None, title: str = "", ax: Axes | None = None
) -> Figure:
    """Paired differences from top to bottom, each with its interval over the users that both models have.

    A filled mark is significant after Holm's correction over all comparisons of the study, an open one is not.
    Intervals are for each row alone, so an open mark may have an interval without 0.

    Args:
      comparisons: of `jaxrec.reports.compare_reports`.
      metric: the value that is shown, such as "ndcg@10"; None for that of the only one there is.
      title: what stands above.
      ax: a panel of a figure of the caller's; None makes a figure.

    Returns:
      The figure, which belongs to no window; see `save_figure`.

    Raises:
      JaxrecError: no comparison, no such metric, several metrics and none chosen, or no matplotlib.

    >>> import jax, numpy as np
    >>> from jaxrec.reports import compare_reports
    >>> values = {"ease": [0.5, 0.75, 1.0], "mf": [0.25, 0.5, 0.75]}
    >>> reports = {label: Report(np.arange(3), {"ndcg@10": np.array(own)}) for label, own in values.items()}
    >>> forest(compare_reports(reports, jax.random.key(0))).axes[0].get_yticklabels()[0].get_text()
    'ease - mf'
    """
    have = list(dict.fromkeys(row.metric for row in comparisons))
    if not have:
        raise JaxrecError("comparisons is empty; pass the rows of jaxrec.reports.compare_reports")
    if metric not in have and (metric is not None or len(have) > 1):
        raise JaxrecError(f"metric is {metric!r}, and the comparisons are of {', '.join(have)}; choose one of these")
    rows = [row for row in comparisons if row.metric == (metric or have[0])]
    panel = panel_in(ax, (6.5, 1.2 + 0.32 * len(rows)))
    panel.axvline(0, color="0.4", linewidth=1)
    for at, row in enumerate(rows):
        color = COLORS[0] if row.difference >= 0 else COLORS[1]
        mark = MARKS[0] if row.difference >= 0 else MARKS[1]
        panel.plot([row.low, row.high], [at, at], color=color, linewidth=2, solid_capstyle="round")
        panel.plot([row.difference], [at], mark, color=color, markersize=7, mfc=color if row.significant else "white")
    panel.set_ylim(len(rows) - 0.5, -0.5)
    panel.set_yticks(range(len(rows)), [plain(f"{row.a} - {row.b}") for row in rows])
    panel.set_xlabel(f"difference of {rows[0].metric}; filled: significant after Holm's correction")
    tidy(panel)
    return finished(panel, title)


def pareto(
    points: Mapping[str, tuple[float, float]],
    *,
    x: str = "seconds",
    y: str = "ndcg@10",
    logarithmic: bool = True,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Gain against cost: filled marks and a line for what nothing else beats in both, open marks for the rest.

    Args:
      points: label to (cost, gain): the cost is better low, the gain is better high.
      x: what the cost is.
      y: what the gain is.
      logarithmic: whether costs are drawn by their logarithm.
      title: what stands above.
      ax: a panel of a figure of the caller's; None makes a figure.

    Returns:
      The figure, which belongs to no window; see `save_figure`.

    Raises:
      JaxrecError: no point, a value that is not finite, a cost that has no logarithm, or no matplotlib.

    >>> panel = pareto({"popularity": (0.1, 0.06), "ease": (1.0, 0.11), "slow": (9.0, 0.1)}).axes[0]
    >>> sorted(text.get_text() for text in panel.texts)
    ['ease', 'popularity', 'slow']
    """
    if not points:
        raise JaxrecError("points is empty; pass at least one label with its cost and gain")
    for label, (cost, gain) in points.items():
        if not (math.isfinite(cost) and math.isfinite(gain)) or (logarithmic and cost <= 0):
            below = " and above 0, or pass logarithmic=False" if logarithmic else ""
            raise JaxrecError(f"points[{label!r}] is ({cost}, {gain}); both must be finite, costs{below}")
    panel = panel_in(ax, (7, 4.2))
    best = pareto_front([cost for cost, _ in points.values()], [gain for _, gain in points.values()])
    front = sorted(place for place, own in zip(points.values(), best, strict=True) if own)
    panel.plot(*zip(*front, strict=True), drawstyle="steps-post", color="0.6", linewidth=1.2, zorder=1)
    for at, ((label, (cost, gain)), own) in enumerate(zip(points.items(), best, strict=True)):
        color = COLORS[at % 7]
        panel.plot([cost], [gain], MARKS[at % 7], color=color, markersize=7, mfc=color if own else "white", zorder=2)
        panel.annotate(plain(label), (cost, gain), (6, 4), textcoords="offset points", fontsize=8)
    if logarithmic:
        panel.set_xscale("log")
    panel.margins(0.12)
    panel.set_xlabel(x)
    panel.set_ylabel(y)
    tidy(panel)
    return finished(panel, title)


def pareto_front(costs: Sequence[float], gains: Sequence[float]) -> list[bool]:
    """Whether each point is on the Pareto front: no other has at most its cost and at least its gain, and differs.

    Args:
      costs: n numbers, better low.
      gains: n numbers, better high.

    Returns:
      n booleans; of equal points all are on the front, or none.

    Raises:
      JaxrecError: other numbers of costs and gains.

    >>> pareto_front([1.0, 2.0, 3.0], [0.1, 0.3, 0.2])
    [True, True, False]
    """
    if len(costs) != len(gains):
        raise JaxrecError(f"costs has {len(costs)} numbers and gains {len(gains)}; pass one of each for every point")
    pairs = list(zip(costs, gains, strict=True))
    return [
        not any(
            other_cost <= cost and other >= gain and (other_cost, other) != (cost, gain) for other_cost, other in pairs
        )
        for cost, gain in pairs
    ]


def trade_off_curves(
    curves: Mapping[str, Sequence[CurvePoint] | Sequence[Mapping[str, Any]]],
    *,
    x: str = "ild@20",
    y: str = "ndcg@20",
    level: float = 0.95,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Accuracy against diversity: a line for each model, from its own lists (large mark) to the most re-ranked.

    Args:
      curves: label of the model to its points, see `jaxrec.evaluation`; or to the rows of `curve_rows`, for
        example of a file that was written earlier.
      x: the value to the right, of diversity.
      y: the value upwards, of accuracy.
      level: the probability of the intervals over users, drawn as crosses; a value of all lists together has none. Rows
        have theirs already.
      title: what stands above.
      ax: a panel of a figure of the caller's; None makes a figure.

    Returns:
      The figure, which belongs to no window; see `save_figure`.

    Raises:
      JaxrecError: no curve, a curve without a point, a report or row without one of the values, or no matplotlib.

    >>> import numpy as np
    >>> report = Report(np.arange(2), {"ndcg@20": np.array([0.0, 1.0]), "ild@20": np.array([1.0, 1.2])})
    >>> trade_off_curves({"mf": [CurvePoint(1.0, report)]}).axes[0].get_ylabel()
    'ndcg@20'
    >>> trade_off_curves({"mf": [{"trade_off": 1.0, "ild@20": 0.7, "ndcg@20": 0.1}]}).axes[0].get_xlabel()
    'ild@20'
    """
    if not curves or not all(len(points) for points in curves.values()):
        raise JaxrecError("curves is empty or has a curve without a point; pass at least one point for each label")
    panel = panel_in(ax, (7, 4.2))
    for at, (label, points) in enumerate(curves.items()):
        color = COLORS[at % 7]
        rows = [_row_of(point, (x, y), level, label) for point in points]
        places = [(row[x], row[y]) for row in rows]
        for (right, up), row in zip(places, rows, strict=True):
            if f"{x}_low" in row:
                panel.plot([row[f"{x}_low"], row[f"{x}_high"]], [up, up], color=color, linewidth=1, alpha=0.6)
            if f"{y}_low" in row:
                panel.plot([right, right], [row[f"{y}_low"], row[f"{y}_high"]], color=color, linewidth=1, alpha=0.6)
        panel.plot(*zip(*places, strict=True), STYLES[at // 7 % 4], color=color, label=plain(label), linewidth=1.5)
        panel.plot(*places[0], MARKS[at % 7], color=color, markersize=8)
        panel.plot(*zip(*places, strict=True), MARKS[at % 7], color=color, markersize=3)
    panel.set_xlabel(x)
    panel.set_ylabel(y)
    tidy(panel)
    legend_beside(panel)
    return finished(panel, title)


def _row_of(
    point: CurvePoint | Mapping[str, Any], names: tuple[str, str], level: float, label: str
) -> Mapping[str, Any]:
    """A point as a row of `curve_rows` that has all names."""
    row = curve_rows([point], names, level=level)[0] if isinstance(point, CurvePoint) else point
    missing = [name for name in names if name not in row]
    if missing:
        raise JaxrecError(f"a row of curve {label!r} has no {missing[0]!r}; it has {sorted(row)}")
    return row
