"""What all figures share: colors and marks, panels, and files."""

from __future__ import annotations

import functools
import io
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrec.errors import JaxrecError
from jaxrec.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The palette of Okabe and Ito, whose colors differ for color-blind readers too.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", ":", "-.")
MARKS = ("o", "s", "^", "D", "v", "P", "X")
ENDINGS = (".png", ".svg", ".pdf")
PIXELS = 144
"""Dots an inch of a figure in a notebook, twice those that it is shown with."""


def figure_class() -> type[Figure]:
    """The class of figures that show themselves in a notebook cell, whatever its backend is.

    Raises:
      JaxrecError: no matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise JaxrecError('figures need matplotlib: pip install "jaxrec[plot]"') from None
    return _shown(Figure)


@functools.cache
def _shown(base: type[Figure]) -> type[Figure]:
    class Figure(base):
        """A figure of no window, which a notebook shows as the value of a cell."""

        def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
            file = io.BytesIO()
            self.savefig(file, format="png", dpi=PIXELS)
            width, height = self.get_size_inches() * PIXELS / 2
            return file.getvalue(), {"width": int(width), "height": int(height)}

    return Figure


def panel_in(ax: Axes | None, size: tuple[float, float]) -> Any:
    """The panel to draw into: the one that is given, or that of a new figure.

    Args:
      ax: of the caller, or None.
      size: of a new figure, in inches.
    """
    made = figure_class()
    return made(figsize=size, layout="constrained").subplots() if ax is None else ax


def panels_in(
    ax: Axes | Sequence[Axes] | None,
    rows: int,
    columns: int,
    size: tuple[float, float],
    *,
    sharex: bool = False,
    sharey: bool = False,
) -> list[Any]:
    """So many panels: those that are given, or those of a new figure.

    Args:
      ax: of the caller: one where one is needed, or a sequence of them.
      rows, columns: of panels.
      size: of a new figure, in inches.
      sharex: whether the panels of a new figure have one axis of x.
      sharey: the same of y.

    Raises:
      JaxrecError: another number of panels than are needed.
    """
    made = figure_class()
    if ax is None:
        figure = made(figsize=size, layout="constrained")
        return list(figure.subplots(rows, columns, sharex=sharex, sharey=sharey, squeeze=False).ravel())
    given = list(np.ravel(np.asarray(ax, object)))
    if len(given) != rows * columns:
        raise JaxrecError(f"ax has {len(given)} panel(s) and {rows * columns} are needed; pass so many, or none")
    return given


def figure_of(panel: Any, title: str = "") -> Figure:
    """The whole figure that a panel is part of, with a title above all its panels."""
    figure = panel.get_figure(root=True)
    if title:
        figure.suptitle(plain(title))
    return figure


def finished(panel: Any, title: str) -> Figure:
    """The figure of a single panel, with the title above the panel."""
    if title:
        panel.set_title(plain(title))
    return panel.get_figure(root=True)


def legend_beside(panel: Any) -> None:
    """A legend to the right, which hides nothing."""
    panel.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))


def tidy(panel: Any) -> None:
    """A light grid behind the marks, and no box around them."""
    panel.grid(color="0.9", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def plain(text: object) -> str:
    """A text in which a dollar sign starts no formula."""
    return str(text).replace("$", r"\$")


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure to a file, whole or not at all.

    Args:
      figure: what a function of this module gave.
      path: ends in .png, .svg or .pdf; its folder must exist.

    Raises:
      JaxrecError: another ending.
      OutputError: the file cannot be written.

    >>> import tempfile
    >>> from jaxrec.plots import learning_curve
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_figure(learning_curve([{"epoch": 1, "loss": 0.7}]), f"{folder}/curve.png")
    ...     os.listdir(folder)
    ['curve.png']
    """
    path = pathlib.Path(path)
    if path.suffix not in ENDINGS:
        raise JaxrecError(f"cannot draw {str(path)!r}: the ending must be {', '.join(ENDINGS)}")
    with whole_file(path) as file:
        figure.savefig(file, dpi=150, format=path.suffix.removeprefix("."))
