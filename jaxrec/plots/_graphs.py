"""A bipartite graph in two columns, and matrices as tables of shades."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrec.errors import JaxrecError
from jaxrec.plots._style import MARKS, finished, panel_in, plain

if TYPE_CHECKING:
    import networkx
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_NUMBERS = 12  # rows or columns up to which the numbers can be read


def draw_bipartite(
    graph: networkx.Graph,
    *,
    user_color: str = "red",
    item_color: str = "lightblue",
    user_colour: str | None = None,
    item_colour: str | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """A bipartite graph in two columns: users on the left as circles, items on the right as squares.

    Args:
      graph: nodes with `bipartite=0` (users) or `bipartite=1` (items), as `jaxrec.graph.to_networkx` makes.
      user_color: any color of matplotlib.
      item_color: any color of matplotlib.
      user_colour, item_colour: as 0.1 spelled them.
      title: what stands above.
      ax: a panel of a figure of the caller's; None makes a figure.

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
    if user_colour is not None or item_colour is not None:
        warnings.warn(
            "user_colour and item_colour are names of 0.1 and go in 0.3; use user_color and item_color",
            DeprecationWarning,
            stacklevel=2,
        )
        user_color, item_color = user_colour or user_color, item_colour or item_color
    sides: tuple[list[Any], list[Any]] = ([], [])
    for node, side in graph.nodes(data="bipartite"):
        if side not in (0, 1):
            raise JaxrecError(f"node {node!r} has bipartite={side!r}; mark users with 0 and items with 1")
        sides[side].append(node)
    places = {node: (side, -row) for side, nodes in enumerate(sides) for row, node in enumerate(nodes)}
    panel = panel_in(ax, (4, 0.55 * max(map(len, sides)) + 0.8))
    from matplotlib.colors import to_rgb

    for one, other in graph.edges:
        panel.plot(*zip(places[one], places[other], strict=True), color="#888888", linewidth=1, zorder=1)
    for nodes, color, mark in zip(sides, (user_color, item_color), MARKS[:2], strict=True):
        if nodes:
            panel.scatter(*zip(*(places[node] for node in nodes), strict=True), s=420, c=color, marker=mark, zorder=2)
        ink = "white" if sum(to_rgb(color)) < 1.5 else "black"
        for node in nodes:
            panel.annotate(str(node), places[node], ha="center", va="center", fontsize=8, zorder=3, color=ink)
    panel.margins(0.25)
    panel.set_axis_off()
    return finished(panel, title)


def draw_matrix(
    matrix: Any,
    *,
    rows: Sequence[object] | None = None,
    columns: Sequence[object] | None = None,
    decimals: int = 2,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """A matrix as a table of shades: the numbers stand in it up to 12 rows and columns, a scale beside it above that.

    Zeros are left white and empty. The shades of a matrix with entries of both signs are those of their sign, and the
    numbers, or the scale, say which it is.

    Args:
      matrix: [n, m], dense or sparse (whatever has `todense` or `toarray`).
      rows, columns: names of the rows and columns, n and m; by default their numbers.
      decimals: of the numbers; whole numbers are written without any.
      title: what stands above.
      ax: a panel of a figure of the caller's; None makes a figure.

    Returns:
      The figure, which belongs to no window; see `save_figure`.

    Raises:
      JaxrecError: no matrix, another number of names, or no matplotlib.

    >>> panel = draw_matrix([[1, 0], [0.5, -1]], rows=["ann", "ben"]).axes[0]
    >>> [text.get_text() for text in panel.texts]
    ['1', '0.50', '-1']
    """
    panel = panel_in(ax, (4.2, 3.6))
    for method in ("todense", "toarray"):
        if hasattr(matrix, method):
            matrix = getattr(matrix, method)()
            break
    values = np.asarray(matrix, np.float64)
    if values.ndim != 2 or not values.size:
        raise JaxrecError(f"matrix has shape {values.shape}; pass one with rows and columns")
    for name, given, size in (("rows", rows, values.shape[0]), ("columns", columns, values.shape[1])):
        if given is not None and len(given) != size:
            raise JaxrecError(f"{name} has {len(given)} names and the matrix {size} {name}; pass one name for each")
    largest = float(np.max(np.abs(values))) or 1.0
    signed = bool(np.any(values < 0))
    shades = (
        {"cmap": "PuOr", "vmin": -largest, "vmax": largest} if signed else {"cmap": "Blues", "vmin": 0, "vmax": largest}
    )
    drawn = panel.imshow(np.where(values == 0, np.nan, values), **shades)
    small = max(values.shape) <= MOST_NUMBERS
    if small:
        for row, column in np.argwhere(values != 0):
            value = float(values[row, column])
            text = f"{value:.0f}" if value.is_integer() else f"{value:.{decimals}f}"
            ink = "white" if abs(value) > 0.65 * largest else "black"
            panel.annotate(text, (column, row), ha="center", va="center", fontsize=8, color=ink)
        names = [
            range(size) if given is None else given for given, size in zip((rows, columns), values.shape, strict=True)
        ]
        panel.set_yticks(range(values.shape[0]), [plain(name) for name in names[0]])
        panel.set_xticks(range(values.shape[1]), [plain(name) for name in names[1]])
        panel.tick_params(length=0, labelsize=8)
    else:
        panel.get_figure(root=True).colorbar(drawn, ax=panel, shrink=0.8)
    return finished(panel, title)
