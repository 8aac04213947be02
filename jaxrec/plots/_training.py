"""The learning curve of a fit, as a figure and as a callback."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jaxrec.errors import JaxrecError
from jaxrec.evaluation._catalog import MAIN_METRICS
from jaxrec.plots._style import (
    COLORS,
    ENDINGS,
    MARKS,
    STYLES,
    figure_class,
    figure_of,
    legend_beside,
    panels_in,
    save_figure,
    tidy,
)
from jaxrec.protocols import Callback, EpochEvent, StageInfo
from jaxrec.reports._values import split_value_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def learning_curve(
    records: Sequence[Mapping[str, Any]],
    *,
    names: Sequence[str] | None = None,
    best_epoch: int | None = None,
    title: str = "",
    ax: Axes | Sequence[Axes] | None = None,
) -> Figure:
    """The training loss over the epochs, and below it the validation metrics where there are any.

    Args:
      records: one for each epoch, as in `FittedModel.info["records"]` or the lines of `log.jsonl`: `epoch` and `loss`,
        and where there are any `stage` and `valid`. Each stage has a line of its own.
      names: the validation metrics to draw; by default recall and nDCG at all lengths.
      best_epoch: an epoch to mark.
      title: what stands above.
      ax: panels of a figure of the caller's: two, or one where no validation is drawn; None makes a figure.

    Returns:
      The figure, which belongs to no window; see `save_figure`.

    Raises:
      JaxrecError: no record, a name that no validation has, another number of panels, or no matplotlib.

    >>> records = [{"epoch": 1, "loss": 0.7}, {"epoch": 2, "loss": 0.5, "valid": {"ndcg@10": 0.1}}]
    >>> len(learning_curve(records).axes)
    2
    """
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
    panels = panels_in(ax, rows, 1, (7, 2.9 * rows), sharex=True)
    stages = list(dict.fromkeys(str(record.get("stage", "fit")) for record in records))
    for at, stage in enumerate(stages):
        own = [record for record in records if str(record.get("stage", "fit")) == stage]
        _line(panels[0], [(one["epoch"], one["loss"]) for one in own], stage, at, STYLES[at % 4])
    panels[0].set_ylabel("training loss")
    for at, name in enumerate(names):
        points = [(one["epoch"], one["valid"][name]) for one in validated if name in one["valid"]]
        _line(panels[1], points, name, at, STYLES[at // 7 % 4])
    if names:
        panels[1].set_ylabel("validation")
        panels[1].set_ylim(bottom=0)
    for panel in panels:
        if best_epoch is not None:
            panel.axvline(best_epoch, color="0.6", linewidth=1, label=f"best epoch ({best_epoch})")
        tidy(panel)
        legend_beside(panel)
    panels[-1].set_xlabel("epoch")
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    return figure_of(panels[0], title)


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
        figure_class()
        self.path, self.names = pathlib.Path(path), names
        if self.path.suffix not in ENDINGS or not self.path.absolute().parent.is_dir():
            raise JaxrecError(f"path must end in {', '.join(ENDINGS)}, in a folder that exists, got {str(path)!r}")
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


def _line(panel: Any, points: Sequence[tuple[float, float]], label: str, at: int, style: str) -> None:
    x, y = zip(*points, strict=True)
    # Some marks along a long line tell it from the others; a single point has no line, so it is a mark.
    every = max(1, len(points) // 12)
    mark = {"marker": MARKS[at % 7], "markersize": 4, "markevery": every}
    panel.plot(x, y, style, color=COLORS[at % 7], label=label, **mark)
