"""A map of the items, from their vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrec.errors import JaxrecError
from jaxrec.plots._style import COLORS, MARKS, finished, legend_beside, panel_in, plain

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OTHER = "others"


def principal_plane(vectors: npt.ArrayLike) -> np.ndarray:
    """Project vectors on the two directions in which they vary most (principal components).

    With X the vectors less their mean and X = U S V^T, the coordinates are the first two columns of U S. The sign of a
    direction is that in which the largest coordinate is positive.

    Args:
      vectors: [n, w].

    Returns:
      float64 [n, 2]; a direction without any variation has 0.

    Raises:
      JaxrecError: an array of another shape, or a value that is not finite.

    Source: Pearson, "On lines and planes of closest fit to systems of points in space", Philosophical Magazine 1901.

    >>> principal_plane([[0.0, 0.0], [0.0, 6.0], [0.0, 3.0], [0.0, 7.0]]).round(3).tolist()
    [[4.0, 0.0], [-2.0, 0.0], [1.0, 0.0], [-3.0, 0.0]]
    """
    x = np.asarray(vectors, np.float64)
    if x.ndim != 2 or not x.size or not np.isfinite(x).all():
        raise JaxrecError(f"vectors has shape {x.shape} or values that are not finite; pass finite numbers [n, w]")
    left, values, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    places = np.zeros((len(x), 2))
    places[:, : len(values[:2])] = left[:, :2] * values[:2]
    largest = places[np.argmax(np.abs(places), axis=0), np.arange(2)]
    return places * np.where(largest < 0, -1.0, 1.0) + 0.0


def item_map(
    vectors: npt.ArrayLike,
    *,
    groups: Sequence[object] | None = None,
    sizes: npt.ArrayLike | None = None,
    named: Mapping[int, str] | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Items as points in the plane in which their vectors vary most, see `principal_plane`.

    A plane shows a part of what the vectors say: items that lie apart differ, items that lie together may differ too.

    Args:
      vectors: [I, w], such as the items of `jaxrec.embeddings`; of two columns as they are.
      groups: a label for each item, such as a genre. The six with most items have a color and a mark of their own.
      sizes: [I], not negative, such as the popularity; the area of a point grows with it.
      named: index of an item to the text that stands beside it.
      title: what stands above.
      ax: a panel of a figure of the caller's; None makes a figure.

    Returns:
      The figure, which belongs to no window; see `save_figure`.

    Raises:
      JaxrecError: vectors of another shape or not finite, another number of groups or sizes, an index that is no item,
        or no matplotlib.

    >>> figure = item_map([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], groups=["a", "b", "a"], named={0: "Heat (1995)"})
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['Heat (1995)']
    """
    panel = panel_in(ax, (6.5, 5))
    x = np.asarray(vectors, np.float64)
    places = x if x.ndim == 2 and x.shape[1] == 2 and np.isfinite(x).all() else principal_plane(x)
    count = len(places)
    labels = np.array([""] * count, object) if groups is None else np.asarray([str(one) for one in groups], object)
    weight = np.ones(count) if sizes is None else np.asarray(sizes, np.float64)
    if len(labels) != count or weight.shape != (count,) or not (weight >= 0).all():
        raise JaxrecError(
            f"there are {count} vectors, {len(labels)} groups and sizes of shape {weight.shape}; pass one of each "
            "for every item, sizes at least 0"
        )
    area = 6 + 60 * weight / (weight.max() or 1.0) if sizes is not None else np.full(count, 12.0)
    for at, (label, rows) in enumerate(_by_group(labels)):
        color, mark = ("0.7", ".") if label == _OTHER else (COLORS[at % 7], MARKS[at % 7])
        how: dict[str, Any] = {"s": area[rows], "c": color, "marker": mark, "alpha": 0.7, "linewidths": 0}
        panel.scatter(*places[rows].T, label=plain(f"{label} ({len(rows)})"), zorder=1 if label == _OTHER else 2, **how)
    for item, text in (named or {}).items():
        if not 0 <= item < count:
            raise JaxrecError(
                f"named has item {item}, and there are {count} vectors; use indices from 0 to {count - 1}"
            )
        panel.annotate(plain(text), places[item], (4, 3), textcoords="offset points", fontsize=8, zorder=3)
    panel.set_xticks([])
    panel.set_yticks([])
    panel.spines[["top", "right"]].set_visible(False)
    panel.set_xlabel("first direction")
    panel.set_ylabel("second direction")
    if groups is not None:
        legend_beside(panel)
    return finished(panel, title)


def _by_group(labels: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """The six largest groups and what is left, as (label, rows)."""
    names, counts = np.unique(labels.astype(str), return_counts=True)
    order = names[np.argsort(-counts, kind="stable")]
    kept = list(order[:6])
    made = [(str(name), np.flatnonzero(labels == name)) for name in kept]
    rest = np.flatnonzero(~np.isin(labels.astype(str), kept))
    return [*made, (_OTHER, rest)] if len(rest) else made
