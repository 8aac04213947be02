"""The rows of the table, and the grid that the numbers of the given filters were chosen from on a held-out part."""

from __future__ import annotations

import itertools
from typing import Any, Literal

from jaxrec.models import GraphFilter, Hop, LearntFilter, LearntNetwork, LowPass, OneHop, SpectralRanker

Held = Literal["random", "data"]
"""How the validation part is cut from train: a random tenth, or each user's last tenth in the order of the file."""

# Yelp2018's file is sorted, so its order is lost.
ORDERED = {"gowalla": True, "yelp2018": False}

PUBLISHED = {
    "gowalla": {"ChebyCF": (0.1941, 0.1616)},
    "yelp2018": {"BSPM": (0.0720, 0.0593)},
}
"""recall@20 and ndcg@20 of the best published filter, its settings chosen on the test part."""


def given(scored: float, low_scored: float, weight: float) -> GraphFilter:
    """Return a filter with given numbers: a product with the Gram matrix, and 512 vectors where they have a weight."""
    hop = OneHop(scored=scored)
    return GraphFilter(terms=(hop, LowPass(weight=weight, scored=low_scored)) if weight else (hop,))


def learnt(dataset: str, head: Any, candidates: int | None = 400) -> SpectralRanker:
    """Return a ranker that learns from the last tenth of each user where the file has an order, else a random tenth."""
    held_out = "last" if ORDERED[dataset] else "random"
    return SpectralRanker(head=head, candidates=candidates, candidates_scored=SCORED[dataset], held_out=held_out)


# Products with the Gram matrix, by exponents of the degrees of users and of own items; the first chooses candidates.
FILTER_HOPS = {
    "gowalla": (Hop(0.5), Hop(0.5, 1.0)),
    "yelp2018": (Hop(0.5), Hop(1.0), Hop(0.5, 1.0), Hop(1.0, 1.0)),
}
"""Of the row with one exponent; the other has the six of `LearntFilter`."""

NETWORK_HOPS = {
    "gowalla": (Hop(1.0), Hop(0.5), Hop(0.5, 1.0), Hop(1.0, 1.0)),
    "yelp2018": (Hop(0.5), Hop(1.0), Hop(0.5, 1.0), Hop(1.0, 1.0)),
}

# Chosen by `python -m experiments.filters --dataset NAME --tune`.
SCORED = {"gowalla": 0.2, "yelp2018": 0.5}
CHOSEN = {"gowalla": (0.2, -0.2, 0.4), "yelp2018": (0.4, -0.2, 0.8)}

GRID = tuple(itertools.product((0.1, 0.2, 0.3, 0.4, 0.5), (-0.4, -0.2, 0.0), (0.2, 0.4, 0.8)))
"""(scored, low_scored, weight) of `given`."""


def rows(dataset: str) -> dict[str, Any]:
    """Return the models of the rows by name."""
    scored, low_scored, weight = CHOSEN[dataset]
    network = LearntNetwork(hops=NETWORK_HOPS[dataset])
    return {
        "hop": given(SCORED[dataset], 0.0, 0.0),
        "given": given(scored, low_scored, weight),
        "filter": learnt(dataset, LearntFilter()),
        "filter-one": learnt(dataset, LearntFilter(hops=FILTER_HOPS[dataset], one_exponent=True)),
        "network": learnt(dataset, network),
        "network-all": learnt(dataset, network, None),
    }
