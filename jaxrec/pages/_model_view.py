"""The model's view: the spectrum of the graph and the response of filters, and the popularity of what is shown."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.errors import JaxrecError
from jaxrec.graph import biadjacency, normalized_biadjacency, to_scipy
from jaxrec.pages._charts import bar_chart, line_chart
from jaxrec.pages._evidence import Evidence
from jaxrec.pages._marks import key_of
from jaxrec.pages._markup import Html, joined, tag
from jaxrec.pages._parts import figure, grid, number, paragraph, percent, table
from jaxrec.pages._scale import tick_text
from jaxrec.protocols import FiltersGraph, VectorScorer
from jaxrec.spectral import truncated_svd

_DENSE = 1500  # users or items up to which the whole spectrum is computed
_LEADING = 64  # singular values of larger graphs
_BINS = 20
_SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)


class Spectrum(NamedTuple):
    """Singular values of the normalized interactions R~ = D_U^(-1/2) R D_I^(-1/2), and their item vectors.

    With each singular value s, the adjacency A~ of the bipartite graph has the eigenvalues s and -s.

    Attributes:
      values: float64 [r], descending, in 0..1.
      items: float32 [I, r], orthonormal columns.
      whole: whether these are all that there are.
      nodes: U + I.
    """

    values: np.ndarray
    items: np.ndarray
    whole: bool
    nodes: int

    def eigenvalues(self) -> np.ndarray:
        """Those of A~ that are known, descending, without the zeros besides."""
        return np.concatenate([self.values, -self.values[::-1]])


def spectrum_of(evidence: Evidence) -> Spectrum | None:
    """The spectrum of the fitted interactions: of a small graph all of it, of a large one the smoothest part."""
    data = evidence.fitted
    if min(data.num_users, data.num_items) < 2 or not len(data):
        return None
    matrix = normalized_biadjacency(biadjacency(data))
    nodes = data.num_users + data.num_items
    if min(matrix.shape) <= _DENSE:
        values, items = _dense(to_scipy(matrix).astype(np.float64))
        return Spectrum(values, items, True, nodes)
    _, values, items = truncated_svd(matrix, _LEADING, jax.random.key(evidence.seed))
    return Spectrum(np.clip(np.asarray(values, np.float64), 0, 1), np.asarray(items).T, False, nodes)


def _dense(matrix: Any) -> tuple[np.ndarray, np.ndarray]:
    """All singular values above rounding, and the vectors of the columns, from the Gram matrix of the smaller side."""
    by_row = matrix.shape[0] <= matrix.shape[1]
    gram = (matrix @ matrix.T if by_row else matrix.T @ matrix).toarray()
    squares, vectors = np.linalg.eigh(gram)
    kept = squares[::-1] > 1e-12
    values = np.sqrt(np.clip(squares[::-1][kept], 0, 1))
    vectors = vectors[:, ::-1][:, kept]
    return values, (matrix.T @ vectors) / values if by_row else vectors


def responses_of(evidence: Evidence, spectrum: Spectrum) -> dict[str, np.ndarray]:
    """Of each run that is a linear filter of the graph its gain at each known eigenvalue."""
    found = {}
    for label, entry in evidence.entries.items():
        model: Any = entry.model.model
        if not isinstance(model, FiltersGraph):
            continue
        try:
            found[label] = np.asarray(model.response(jnp.asarray(spectrum.eigenvalues(), jnp.float32)))
        except JaxrecError:  # a part of it is no linear filter
            continue
    return found


def smoothness_of(evidence: Evidence, spectrum: Spectrum) -> dict[str, np.ndarray]:
    """Of each run with vectors, how much of the item vectors lies in the smoothest frequencies, cumulated, [r].

    The share of frequency j is ||v_j^T X||^2 / ||X||^2, with X the item vectors of length 1 and v_j the item vector
    of singular value j.
    """
    found = {}
    for label, entry in evidence.entries.items():
        scorer: Any = entry.model.scorer
        if not isinstance(scorer, VectorScorer):
            continue
        vectors = np.asarray(scorer.items)[:, : int(scorer.dim)].astype(np.float64)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = np.where((evidence.popularity > 0)[:, None], vectors / np.where(lengths > 0, lengths, 1), 0)
        total = float((vectors**2).sum())
        if total > 0:
            found[label] = np.cumsum(((spectrum.items.T.astype(np.float64) @ vectors) ** 2).sum(axis=1)) / total
    return found


def spectral_view(evidence: Evidence) -> Html:
    """The part on frequencies."""
    heading = tag("h3", "Frequencies of the graph")
    spectrum = spectrum_of(evidence)
    if spectrum is None:
        return joined(heading, paragraph("The graph is too small for a spectrum."))
    figures: list[Html | None] = [_spectrum_figure(spectrum)]
    responses, smooth = responses_of(evidence, spectrum), smoothness_of(evidence, spectrum)
    figures.append(_response_figure(evidence, spectrum, responses))
    figures.append(_smoothness_figure(evidence, spectrum, smooth))
    lead = paragraph(
        "The eigenvectors of the normalized adjacency of users and items are its frequencies. Eigenvalue 1 is the "
        "smoothest: neighbors agree. At −1 they disagree most. A graph model weighs frequencies; its response says how."
    )
    if not responses:
        none = paragraph("No run is a linear filter of the graph, so there is no response to draw.", note=True)
        return joined(heading, lead, grid(figures), none)
    return joined(heading, lead, grid(figures))


def _spectrum_figure(spectrum: Spectrum) -> Html:
    if not spectrum.whole:
        points = [(float(at + 1), float(value)) for at, value in enumerate(spectrum.values)]
        chart = line_chart(
            {"singular value": points}, name="The leading singular values.", x_label="rank", y_label="singular value",
            y_include=[0.0, 1.0],
        )  # fmt: skip
        rows = [[f"{at:g}", number(value)] for at, value in points[::8]]
        caption = f"The {len(points)} smoothest frequencies of {spectrum.nodes:,} nodes; the rest was not computed."
        return figure(chart, caption, table(["rank", "singular value"], rows, caption="Every eighth"))
    zeros = max(spectrum.nodes - 2 * len(spectrum.values), 0)
    counts, edges = np.histogram(spectrum.eigenvalues(), bins=_BINS, range=(-1, 1))
    bars = [(tick_text(round(float(edge), 1)), float(count)) for edge, count in zip(edges, counts, strict=False)]
    chart = bar_chart(bars, name="Eigenvalues of the adjacency.", x_label="eigenvalue, from", y_label="how many")
    ends = zip(itertools.pairwise(edges), counts, strict=True)
    rows = [[f"{low:+.1f} to {high:+.1f}", f"{count:,}"] for (low, high), count in ends]
    largest = ", ".join(number(value, 3) for value in spectrum.values[:4])
    caption = (
        f"The spectrum of the adjacency, {spectrum.nodes:,} nodes: values come in pairs ±s. The largest are {largest}; "
        f"{zeros:,} further ones are 0 and are not drawn."
    )
    return figure(chart, caption, table(["eigenvalue", "how many"], rows, caption="Eigenvalues"))


def _response_figure(evidence: Evidence, spectrum: Spectrum, responses: Mapping[str, np.ndarray]) -> Html | None:
    if not responses:
        return None
    x = spectrum.eigenvalues()
    scale = {label: float(np.abs(gains).max()) or 1.0 for label, gains in responses.items()}
    keep = np.unique(np.linspace(0, len(x) - 1, 160).astype(int))
    series = {
        label: [(float(x[at]), float(gains[at]) / scale[label]) for at in keep] for label, gains in responses.items()
    }
    numbers = [evidence.labels.index(label) for label in responses]
    chart = line_chart(
        series, name="The response of each filter over the eigenvalues.", x_label="eigenvalue",
        y_label="gain, as a share of the largest", numbers=numbers, y_include=[0.0], x_include=[-1.0, 1.0],
        marked=dict.fromkeys(series, 1.0),
    )  # fmt: skip
    ends = [x[0], *(value for value in (0.75, 0.5, 0.25, 0.0, -0.25, -0.5, -0.75) if x[-1] < value < x[0]), x[-1]]
    at = [int(np.abs(x - value).argmin()) for value in ends]
    shares = {label: gains / scale[label] for label, gains in responses.items()}
    rows = [[number(x[one], 3), *(number(float(own[one])) for own in shares.values())] for one in at]
    caption = "The response: how much of each frequency a graph model lets through, up to what it makes of degrees."
    behind = table(["eigenvalue", *responses], rows, caption="Gain as a share of the largest")
    return figure(chart, caption, behind, key=key_of(list(series), lines=True, numbers=numbers))


def _smoothness_figure(evidence: Evidence, spectrum: Spectrum, smooth: Mapping[str, np.ndarray]) -> Html | None:
    if not smooth:
        return None
    size = len(spectrum.values)
    keep = np.unique(np.geomspace(1, size, 80).astype(int)) - 1
    series = {label: [(float(at + 1), float(shares[at])) for at in keep] for label, shares in smooth.items()}
    numbers = [evidence.labels.index(label) for label in smooth]
    chart = line_chart(
        series, name="The share of the item vectors in the smoothest frequencies.", x_label="smoothest frequencies",
        y_label="share of the item vectors", numbers=numbers, x_log=True, y_include=[0.0],
        marked=dict.fromkeys(series, float(max(size // 10, 1))),
    )  # fmt: skip
    at = [one for one in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if one <= size]
    rows = [[f"{one:,}", *(percent(float(shares[one - 1])) for shares in smooth.values())] for one in at]
    caption = "How smooth the item vectors are: the share of their squared length in the first frequencies."
    behind = table(["frequencies", *smooth], rows, caption="Share of the item vectors, cumulated")
    return figure(chart, caption, behind, key=key_of(list(series), lines=True, numbers=numbers))


def shares_of_places(lists: np.ndarray, popularity: np.ndarray) -> np.ndarray:
    """The share of the places that go to the first items by popularity, cumulated, float64 [I].

    >>> shares_of_places(np.array([[1, 0], [1, -1]]), np.array([5, 9, 1])).round(3).tolist()
    [0.667, 1.0, 1.0]
    """
    order = np.argsort(-popularity, kind="stable")
    places = np.bincount(lists[lists >= 0], minlength=len(popularity))
    return np.cumsum(places[order]) / max(places.sum(), 1)


def popularity_view(evidence: Evidence) -> Html:
    """The part on popularity: what is shown beside what was consumed."""
    popularity = evidence.popularity
    order = np.argsort(-popularity, kind="stable")
    consumed = np.cumsum(popularity[order]) / max(popularity.sum(), 1)
    curves = {label: shares_of_places(lists, popularity) for label, lists in evidence.lists.items()}
    size = len(popularity)
    keep = np.unique(np.geomspace(1, size, 100).astype(int)) - 1
    lines = {**curves, "consumed": consumed}
    series = {label: [((at + 1) / size, float(shares[at])) for at in keep] for label, shares in lines.items()}
    chart = line_chart(
        series,
        name="The share of list places and of interactions that the most popular items have.",
        x_label="share of the catalog, the most popular first",
        y_label="share of the places",
        x_log=True,
        y_include=[0.0, 1.0],
        marked=dict.fromkeys(series, 0.1),
    )
    head = ["", *(f"top {percent(share)}" for share in _SHARES), "mean popularity", "items shown"]
    rows = []
    for label, shares in lines.items():
        cells = [percent(float(shares[max(round(share * size), 1) - 1])) for share in _SHARES]
        if label in curves:
            places = evidence.lists[label]
            places = places[places >= 0]
            mean, items = float(popularity[places].mean()) if places.size else float("nan"), len(np.unique(places))
        else:
            mean, items = float((popularity**2).sum() / max(popularity.sum(), 1)), int((popularity > 0).sum())
        rows.append([label, *cells, number(mean, 1), f"{items:,}"])
    caption = "What is shown against what was consumed: a line above that of consumption shows popular items more."
    shown = figure(
        chart, caption, table(head, rows, caption="Share of the places or interactions of the most popular items"),
        key=key_of(list(series), lines=True),
    )  # fmt: skip
    return joined(tag("h3", "Popularity of what is shown"), grid(shown))
