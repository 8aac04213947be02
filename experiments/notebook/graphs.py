"""The graphs of the notebook, random or given as a table, and their figures in two columns."""

from __future__ import annotations

import dataclasses
import pathlib

import networkx
import numpy as np

import jaxrec
from jaxrec.graph import from_networkx
from jaxrec.plots import draw_bipartite, save_figure
from jaxrec.sparse import BCOO

TABLE = np.array([[0, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0]], np.float32)
"""The preferences of five users for four items, as the notebook gives them."""


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A random bipartite graph: its networkx form, its matrix R [U, I], and its edges."""

    graph: networkx.Graph
    matrix: BCOO
    data: jaxrec.Interactions

    @property
    def edges(self) -> list[tuple[int, int]]:
        """The edges (user, item), sorted by user."""
        return sorted((int(user), int(item)) for user, item in self.graph.edges)

    @property
    def isolated(self) -> list[int]:
        """The nodes without edges."""
        return sorted(int(node) for node in networkx.isolates(self.graph))


def draw_graphs() -> tuple[Drawn, Drawn]:
    """Draw the two graphs from the random stream of `np.random.seed(16)`, one after the other."""
    stream = np.random.RandomState(16)
    first = _draw(stream, users=3, items=4, probability=0.45)
    return first, _draw(stream, users=7, items=10, probability=0.15)


def _draw(stream: np.random.RandomState, users: int, items: int, probability: float) -> Drawn:
    graph = networkx.Graph()
    graph.add_nodes_from(range(users), bipartite=0)
    graph.add_nodes_from(range(100, 100 + items), bipartite=1)
    for user in range(users):
        for item in range(100, 100 + items):
            if stream.random_sample() < probability:
                graph.add_edge(user, item)
    return Drawn(graph, *from_networkx(graph))


def draw_figures(first: Drawn, second: Drawn, out: pathlib.Path) -> list[str]:
    """Draw both graphs in two columns, as PNG and SVG."""
    names = []
    for name, drawn, colour in (("graph_3x4", first, "lightblue"), ("graph_7x10", second, "blue")):
        figure = draw_bipartite(drawn.graph, user_color="red", item_color=colour)
        for ending in ("png", "svg"):
            save_figure(figure, out / f"{name}.{ending}")
        names.append(f"{name}.png")
    return names
