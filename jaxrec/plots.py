"""Figures: the learning curve of a fit, and the comparison of models. The only importer of matplotlib."""

from __future__ import annotations

import math
import os
import pathlib
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jaxrec.errors import JaxrecError
from jaxrec.evaluation._catalog import MAIN_METRICS
from jaxrec.evaluation._tradeoff import CurvePoint, curve_rows
from jaxrec.files import whole_file
from jaxrec.protocols import Callback, EpochEvent, StageInfo
from jaxrec.reports._report import Report
from jaxrec.reports._values import split_value_name

if TYPE_CHECKING:
    import networkx
    from matplotlib.figure import Figure

# The palette of Okabe and Ito, whose colors differ for color-blind readers too.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_STYLES = ("-", "--", ":", "-.")
_ENDINGS = (".png", ".svg", ".pdf")


def learning_curve(
    records: Sequence[Mapping[str, Any]],
    *,
    names: Sequence[str] | None = None,
    best_epoch: int | None = None,
    title: str = "",
) -> Figure:
    """The training loss over the epochs, and below it the validation metrics where there are any.

    Args:
      records: one for each epoch, as in `FittedModel.info["records"]` or the lines of `log.jsonl`: `epoch` and `loss`,
        and where there are any `stage` and `valid`. Each stage has a line of its own.
      names: the validation metrics to draw; by default recall and nDCG at all lengths.
      best_epoch: an epoch to mark.
      title: what stands above.

    Returns:
      The figure, which belongs to no window; see `save_figure`.

    Raises:
      JaxrecError: no record, a name that no validation has, or no matplotlib.

    >>> records = [{"epoch": 1, "loss": 0.7}, {"epoch": 2, "loss": 0.5, "valid": {"ndcg@10": 0.1}}]
    >>> len(learning_curve(records).axes)
    2
    """
    figure_class = _figure_class()
    if not records:
        raise JaxrecError("records is empty; a model that is not trained in epochs has no learning curve")
    validated = [record for record in records if record.get("valid")]
    have = list(dict.fromkeys(name for record in validated for name in record["valid"]))
    if names is None:
        names = [name for name in have if split_value_name(name).name in MAIN_METRICS] or have
    missing = [name for name in names if name not in have]
    if missing:
        raise JaxrecError(f"no validation has {missing[0]!r}; there are {', '.join(have) or 'no validations'}")
    rows = 2 if names else 1
    figure = figure_class(figsize=(7, 2.9 * rows), layout="constrained")
    panels = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    stages = list(dict.fromkeys(str(record.get("stage", "fit")) for record in records))
    for at, stage in enumerate(stages):
        own = [record for record in records if str(record.get("stage", "fit")) == stage]
        _line(panels[0], [(one["epoch"], one["loss"]) for one in own], stage, _COLORS[at % 7], _STYLES[at % 4])
    panels[0].set_ylabel("training loss")
    for at, name in enumerate(names):
        points = [(one["epoch"], one["valid"][name]) for one in validated if name in one["valid"]]
        _line(panels[1], points, name, _COLORS[at % 7], "-")
    if names:
        panels[1].set_ylabel("validation")
        panels[1].set_ylim(bottom=0)
    for panel in panels:
        if best_epoch is not None:
            panel.axvline(best_epoch, color="0.6", linewidth=1, label=f"best epoch ({best_epoch})")
        _tidy(panel)
        panel.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    panels[-1].set_xlabel("epoch")
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    if title:
        figure.suptitle(_plain(title))
    return figure


class LearningCurve(Callback):
    """Draw the learning curve into a file at the end of a stage, again after a refit with both stages.

    Args:
      path: the file, `.png`, `.svg` or `.pdf`; of several members each has its own, such as curve-0.png.
      names: the validation metrics to draw, see `learning_curve`.

    Raises:
      JaxrecError: another ending, a folder that does not exist, or no matplotlib.

    >>> import jax, jaxrec, tempfile
    >>> data = jaxrec.from_arrays([0, 0, 1], [0, 1, 2])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     curve = LearningCurve(f"{folder}/curve.png")
    ...     model = jaxrec.fit(jaxrec.MF(dim=2), data, epochs=2, callbacks=[curve], key=jax.random.key(0))
    ...     os.listdir(folder)
    ['curve.png']
    """

    def __init__(self, path: str | os.PathLike[str] = "learning_curve.png", names: Sequence[str] | None = None) -> None:
        _figure_class()
        self.path, self.names = pathlib.Path(path), names
        if self.path.suffix not in _ENDINGS or not self.path.absolute().parent.is_dir():
            raise JaxrecError(f"path must end in {', '.join(_ENDINGS)}, in a folder that exists, got {str(path)!r}")
        self._stage, self._records, self._best = StageInfo("", "", ()), dict[int, list[Any]](), dict[int, int]()

    def start(self, stage: StageInfo) -> None:
        """Begin anew, unless the stage follows another of the same fit."""
        if stage.name == "fit":
            self._records, self._best = {}, {}
        self._stage = stage

    def __call__(self, event: EpochEvent) -> None:
        """Keep the record."""
        record = {"stage": self._stage.name, **event.record.to_dict()}
        self._records.setdefault(event.member, []).append(record)
        if event.best:
            self._best[event.member] = event.record.epoch

    def finish(self) -> None:
        """Draw the curve of each member."""
        for member, records in self._records.items():
            name = f"{self.path.stem}-{member}{self.path.suffix}" if self._stage.members > 1 else self.path.name
            best = self._best.get(member)
            figure = learning_curve(records, names=self.names, best_epoch=best, title=self._stage.model)
            save_figure(figure, self.path.with_name(name))

    def checkpoint_state(self) -> Any:
        """The records so far, and the best epoch, of each member."""
        return [[member, records, self._best.get(member)] for member, records in self._records.items()]

    def resume_from(self, state: Any) -> None:
        """Go on after the records of an earlier process."""
        self._records = {member: list(records) for member, records, _ in state}
        self._best = {member: best for member, _, best in state if best is not None}


def comparison(reports: Mapping[str, Report], names: Sequence[str], *, level: float = 0.95, title: str = "") -> Figure:
    """Models from top to bottom, one panel a value, each mean as a dot with its interval over users.

    Two intervals that overlap do not say that two models are alike: that is what `paired_difference` is for.

    Args:
      reports: label of the model to its report, in the order of the rows.
      names: the values, such as "ndcg@10"; those of all lists together, such as "coverage@10", have no interval.
      level: the probability of the intervals.
      title: what stands above.

    Returns:
      The figure, which belongs to no window; see `save_figure`.

    Raises:
      JaxrecError: no report, no name, a report without one of the values, or no matplotlib.

    >>> import numpy as np
    >>> report = Report(np.arange(4), {"recall@10": np.array([0.0, 0.5, 0.5, 1.0])})
    >>> [panel.get_title() for panel in comparison({"random": report}, ["recall@10"]).axes]
    ['recall@10']
    """
    figure_class = _figure_class()
    if not reports or not names:
        raise JaxrecError("reports or names is empty; pass at least one report and the name of one value")
    figure = figure_class(figsize=(1.6 + 2.4 * len(names), 1.2 + 0.32 * len(reports)), layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for panel, name in zip(panels, names, strict=True):
        for row, report in enumerate(reports.values()):
            mean = report.mean(name)
            low, high = report.interval(name, level) if name in report.per_user else (math.nan, math.nan)
            color = _COLORS[row % 7]
            if not math.isnan(low):
                panel.plot([low, high], [row, row], color=color, linewidth=2, solid_capstyle="round")
            panel.plot([mean], [row], "o", color=color, markersize=5)
        panel.set_title(name, fontsize=10)
        panel.set_xlim(left=0)
        panel.set_ylim(len(reports) - 0.5, -0.5)
        panel.set_yticks(range(len(reports)), [_plain(label) for label in reports])
        _tidy(panel)
    if title:
        figure.suptitle(_plain(title))
    return figure


def trade_off_curves(
    curves: Mapping[str, Sequence[CurvePoint] | Sequence[Mapping[str, Any]]],
    *,
    x: str = "ild@20",
    y: str = "ndcg@20",
    level: float = 0.95,
    title: str = "",
) -> Figure:
    """Accuracy against diversity: a line for each model, from its own lists (large dot) to the most re-ranked.

    Args:
      curves: label of the model to its points, see `jaxrec.evaluation`; or to the rows of `curve_rows`, for
        example of a file that was written earlier.
      x: the value to the right, of diversity.
      y: the value upwards, of accuracy.
      level: the probability of the intervals over users, drawn as crosses; a value of all lists together has none. Rows
        have theirs already.
      title: what stands above.

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
    figure_class = _figure_class()
    if not curves or not all(len(points) for points in curves.values()):
        raise JaxrecError("curves is empty or has a curve without a point; pass at least one point for each label")
    figure = figure_class(figsize=(7, 4.2), layout="constrained")
    panel = figure.subplots()
    for at, (label, points) in enumerate(curves.items()):
        color = _COLORS[at % 7]
        rows = [_row_of(point, (x, y), level, label) for point in points]
        places = [(row[x], row[y]) for row in rows]
        for (right, up), row in zip(places, rows, strict=True):
            if f"{x}_low" in row:
                panel.plot([row[f"{x}_low"], row[f"{x}_high"]], [up, up], color=color, linewidth=1, alpha=0.6)
            if f"{y}_low" in row:
                panel.plot([right, right], [row[f"{y}_low"], row[f"{y}_high"]], color=color, linewidth=1, alpha=0.6)
        panel.plot(*zip(*places, strict=True), _STYLES[at // 7 % 4], color=color, label=_plain(label), linewidth=1.5)
        panel.plot(*places[0], "o", color=color, markersize=7)
        panel.plot(*zip(*places, strict=True), ".", color=color, markersize=5)
    panel.set_xlabel(x)
    panel.set_ylabel(y)
    _tidy(panel)
    panel.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    if title:
        figure.suptitle(_plain(title))
    return figure


def _row_of(
    point: CurvePoint | Mapping[str, Any], names: tuple[str, str], level: float, label: str
) -> Mapping[str, Any]:
    """A point as a row of `curve_rows` that has all names."""
    row = curve_rows([point], names, level=level)[0] if isinstance(point, CurvePoint) else point
    missing = [name for name in names if name not in row]
    if missing:
        raise JaxrecError(f"a row of curve {label!r} has no {missing[0]!r}; it has {sorted(row)}")
    return row


def draw_bipartite(
    graph: networkx.Graph,
    *,
    user_color: str = "red",
    item_color: str = "lightblue",
    user_colour: str | None = None,
    item_colour: str | None = None,
) -> Figure:
    """A bipartite graph in two columns, users on the left and items on the right.

    Args:
      graph: nodes with `bipartite=0` (users) or `bipartite=1` (items), as `jaxrec.graph.to_networkx` makes.
      user_color: any color of matplotlib.
      item_color: any color of matplotlib.
      user_colour, item_colour: as 0.1 spelled them.

    Returns:
      The figure, which belongs to no window; see `save_figure`.

    Raises:
      JaxrecError: a node without a side, or no matplotlib.

    >>> import networkx
    >>> graph = networkx.Graph([(0, 100)])
    >>> networkx.set_node_attributes(graph, {0: 0, 100: 1}, "bipartite")
    >>> len(draw_bipartite(graph).axes)
    1
    """
    figure_class = _figure_class()
    if user_colour is not None or item_colour is not None:
        warnings.warn(
            "user_colour and item_colour are names of 0.1 and go in 0.3; use user_color and item_color",
            DeprecationWarning,
            stacklevel=2,
        )
        user_color, item_color = user_colour or user_color, item_colour or item_color
    from matplotlib.colors import to_rgb

    sides: tuple[list[Any], list[Any]] = ([], [])
    for node, side in graph.nodes(data="bipartite"):
        if side not in (0, 1):
            raise JaxrecError(f"node {node!r} has bipartite={side!r}; mark users with 0 and items with 1")
        sides[side].append(node)
    places = {node: (side, -row) for side, nodes in enumerate(sides) for row, node in enumerate(nodes)}
    figure = figure_class(figsize=(4, 0.55 * max(map(len, sides)) + 0.8), layout="constrained")
    panel = figure.add_subplot()
    for one, other in graph.edges:
        panel.plot(*zip(places[one], places[other], strict=True), color="#888888", linewidth=1, zorder=1)
    for nodes, color in zip(sides, (user_color, item_color), strict=True):
        if nodes:
            panel.scatter(*zip(*(places[node] for node in nodes), strict=True), s=420, c=color, zorder=2)
        ink = "white" if sum(to_rgb(color)) < 1.5 else "black"
        for node in nodes:
            panel.annotate(str(node), places[node], ha="center", va="center", fontsize=8, zorder=3, color=ink)
    panel.margins(0.25)
    panel.set_axis_off()
    return figure


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure to a file, whole or not at all.

    Args:
      figure: what a function of this module gave.
      path: ends in .png, .svg or .pdf; its folder must exist.

    Raises:
      JaxrecError: another ending.
      OutputError: the file cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_figure(learning_curve([{"epoch": 1, "loss": 0.7}]), f"{folder}/curve.png")
    ...     os.listdir(folder)
    ['curve.png']
    """
    path = pathlib.Path(path)
    if path.suffix not in _ENDINGS:
        raise JaxrecError(f"cannot draw {str(path)!r}: the ending must be {', '.join(_ENDINGS)}")
    with whole_file(path) as file:
        figure.savefig(file, dpi=150, format=path.suffix.removeprefix("."))


def _figure_class() -> type[Figure]:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise JaxrecError('figures need matplotlib: pip install "jaxrec[plot]"') from None
    return Figure


def _line(panel: Any, points: Sequence[tuple[float, float]], label: str, color: str, style: str) -> None:
    x, y = zip(*points, strict=True)
    # A single point has no line, so it is shown as a dot.
    panel.plot(x, y, style, color=color, label=label, marker="o" if len(points) < 15 else "", markersize=4)


def _tidy(panel: Any) -> None:
    panel.grid(color="0.9", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def _plain(text: str) -> str:
    """A text in which a dollar sign starts no formula."""
    return text.replace("$", r"\$")
