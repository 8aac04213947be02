"""The map of the items: vectors projected to two dimensions, with the categories of the items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxrec.pages._document import packed
from jaxrec.pages._evidence import Evidence
from jaxrec.pages._lists import Shown
from jaxrec.pages._marks import key_of
from jaxrec.pages._markup import Html, joined, tag
from jaxrec.pages._parts import counted, paragraph, percent, table
from jaxrec.protocols import VectorScorer
from jaxrec.vectors import unit

COMMON = "all runs: co-occurrence"
_COLORED = 6  # categories with a color of their own
_STEPS = 4095  # of a coordinate
_NEIGHBORS = 10
_MOST_COMPARED = 2000


class Projection(NamedTuple):
    """Items in two dimensions.

    Attributes:
      places: float64 [n, 2].
      explained: the share of the variance of the vectors that the two dimensions have.

    >>> Projection(np.zeros((1, 2)), 1.0).explained
    1.0
    """

    places: np.ndarray
    explained: float


def projected(vectors: np.ndarray) -> Projection:
    """The two leading principal components of vectors [n, d], the sign of each so that its largest entry is positive.

    >>> found = projected(np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    >>> np.abs(found.places[:, 0]).round(3).tolist(), found.explained
    ([3.0, 3.0, 0.0, 0.0], 1.0)
    """
    centered = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    variances, axes = np.linalg.eigh(centered.T @ centered)
    axes = axes[:, ::-1][:, :2]
    if axes.shape[1] < 2:
        axes = np.pad(axes, ((0, 0), (0, 2 - axes.shape[1])))
    places = centered @ axes
    largest = places[np.abs(places).argmax(axis=0), range(2)]
    total = float(variances.sum())
    share = float(variances[::-1][:2].sum()) / total if total > 0 else 0.0
    return Projection(places * np.where(largest < 0, -1, 1), share)


def spaces(evidence: Evidence) -> dict[str, np.ndarray]:
    """Vectors of all items by the name of their space, rows of length 1: the common one, and those of runs."""
    found: dict[str, np.ndarray] = {}
    if evidence.space is not None:
        found[COMMON] = evidence.space.vectors
    for label, entry in evidence.entries.items():
        scorer: Any = entry.model.scorer
        if isinstance(scorer, VectorScorer):
            found[label] = np.asarray(unit(scorer.items[:, : int(scorer.dim)]))
    return found


def colors_of(evidence: Evidence, items: np.ndarray) -> tuple[list[str], np.ndarray, str]:
    """What items are colored by: (names of the colors, the color of each item, what they are).

    With categories the ones that most items have get a color; an item of several has the rarest of these. Without
    categories, quarters by popularity.
    """
    if evidence.categories is None:
        rank = np.argsort(np.argsort(-evidence.popularity[items], kind="stable"), kind="stable")
        names = ["most popular quarter", "second quarter", "third quarter", "least popular quarter"]
        return names, (4 * rank // max(len(items), 1)).astype(np.int32), "popularity"
    labels, matrix = evidence.categories
    own = matrix[items] > 0
    sizes = own.sum(axis=0)
    chosen = np.argsort(-sizes, kind="stable")[:_COLORED]
    chosen = chosen[sizes[chosen] > 0]
    order = chosen[::-1]  # the rarest first
    has = own[:, order]
    color = np.where(has.any(axis=1), len(chosen) - 1 - has.argmax(axis=1), len(chosen))
    return [*(labels[at] for at in chosen), "other or none"], color.astype(np.int32), "category"


def neighbors_alike(vectors: np.ndarray, color: np.ndarray) -> tuple[float, float]:
    """How often the nearest items of an item have its color: (the share of the 10 nearest, the share by chance).

    >>> axes = np.repeat(np.eye(2), 12, axis=0)
    >>> nearest, chance = neighbors_alike(axes, np.repeat([0, 1], 12))
    >>> nearest, round(chance, 2)
    (1.0, 0.48)
    """
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -np.inf)
    k = min(_NEIGHBORS, len(vectors) - 1)
    nearest = np.argpartition(-likeness, k - 1, axis=1)[:, :k]
    sizes = np.bincount(color)
    chance = float((sizes * (sizes - 1)).sum()) / max(len(color) * (len(color) - 1), 1)
    return float((color[nearest] == color[:, None]).mean()), chance


def map_data(evidence: Evidence, found: Shown) -> tuple[dict[str, Any], Html]:
    """The map for the script, and its part of the section with the table behind it."""
    items = found.similar_of
    vectors = spaces(evidence)
    if len(items) < 3 or not vectors:
        return {}, paragraph("There is no map: it needs at least three items with data and vectors.")
    names, color, what = colors_of(evidence, items)
    data: dict[str, Any] = {"items": packed(found.place[items]), "colors": names, "color": packed(color), "spaces": {}}
    rows = []
    compared = np.sort(np.random.default_rng(evidence.seed).permutation(len(items))[:_MOST_COMPARED])
    for name, own in vectors.items():
        projection = projected(own[items])
        data["spaces"][name] = _quantized(projection.places)
        nearest, chance = neighbors_alike(own[items][compared], color[compared])
        rows.append([name, str(own.shape[1]), percent(projection.explained), percent(nearest), percent(chance)])
    head = ["space", "dimensions", "variance in the map", f"nearest {_NEIGHBORS} of one color", "by chance"]
    behind = table(head, rows, caption=f"How well items of one {what} stand together")
    centers = _centers(vectors, items, names, color)
    total = int((evidence.popularity > 0).sum())
    part = "" if len(items) == total else f" the {len(items):,} most popular of"
    lead = paragraph(
        f"A point is an item; there are{part} {counted(total, 'item')} with data. Items that stand together have "
        f"similar vectors; color and shape are the {what}. Two dimensions show a small part of the distances: the "
        "table says how much."
    )
    options = [tag("option", name, value=name) for name in vectors]
    colored = np.unique(color).tolist()  # a category may have given all of its items to rarer ones
    controls = tag(
        "div",
        tag("label", tag("span", "Space"), tag("select", options, id="map-space")),
        tag(
            "label",
            tag("span", "Find"),
            tag("input", type="search", id="map-search", autocomplete="off", spellcheck="false"),
        ),
        class_="controls",
    )
    hint = "Point at an item, or move with the arrow keys to the nearest item in a direction."
    canvas = tag(
        "canvas", hint, id="map", tabindex="0", role="img", aria_describedby="map-told",
        aria_label=f"Map of {counted(len(items), 'item')}; arrow keys go from item to item",
    )  # fmt: skip
    figure = tag(
        "figure",
        controls,
        canvas,
        key_of([names[at] for at in colored], numbers=colored),
        tag("figcaption", tag("p", hint, id="map-told", role="status")),
        tag("details", tag("summary", "The figures as a table"), behind, centers),
        class_="wide",
    )
    return data, joined(lead, figure)


def _quantized(places: np.ndarray) -> dict[str, Any]:
    low, high = places.min(axis=0), places.max(axis=0)
    span = float((high - low).max()) or 1.0
    middle = (low + high) / 2
    whole = np.clip(np.round((places - middle) / span * _STEPS + _STEPS / 2), 0, _STEPS).astype(int)
    return {"x": packed(whole[:, 0]), "y": packed(whole[:, 1])}


def _centers(vectors: Mapping[str, np.ndarray], items: np.ndarray, names: list[str], color: np.ndarray) -> Html:
    """Where the items of each color lie in the first space, in words of the map."""
    name, own = next(iter(vectors.items()))
    places = projected(own[items]).places
    scale = np.abs(places).max(axis=0)
    places = places / np.where(scale > 0, scale, 1)
    rows = []
    for at, label in enumerate(names):
        mine = places[color == at]
        if len(mine):
            x, y = mine.mean(axis=0)
            rows.append([label, f"{len(mine):,}", f"{x:+.2f}", f"{y:+.2f}", f"{np.sqrt(mine.var(axis=0).sum()):.2f}"])
    head = ["", "items", "center, right", "center, up", "spread"]
    return table(head, rows, caption=f"Where they lie on the map of {name}, in -1 to 1")
