"""The settings of the main job, and their grids."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import jaxrec


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A model and its training options; None for models without training epochs."""

    model: Any
    options: jaxrec.FitOptions | None = None


TRAINING = jaxrec.FitOptions(batch_size=1024, learning_rate=5e-3, l2=1e-2, epochs=120, eval_every=5, patience=4)

# Chosen on the validation part, by `python -m experiments.movielens_small --tune`.
CHOSEN = {
    "random": Candidate(jaxrec.Random()),
    "popularity": Candidate(jaxrec.Popularity()),
    "itemknn": Candidate(jaxrec.ItemKNN(neighbors=20, shrink=10.0)),
    "ease": Candidate(jaxrec.EASE(l2=100.0)),
    "mf": Candidate(jaxrec.MF(dim=64), dataclasses.replace(TRAINING, learning_rate=2e-3, l2=3e-2)),
    "lightgcn": Candidate(jaxrec.LightGCN(dim=64, layers=2), dataclasses.replace(TRAINING, l2=1e-3)),
}


def grid(name: str) -> list[Candidate]:
    """List the candidates of one model for the validation part."""
    if name == "itemknn":
        return [
            Candidate(jaxrec.ItemKNN(neighbors=k, shrink=s, similarity=how))
            for k, s, how in itertools.product((20, 50, 100, 200), (0.0, 10.0), ("cosine", "normalized"))
        ]
    if name == "ease":
        return [Candidate(jaxrec.EASE(l2=l2)) for l2 in (30.0, 100.0, 200.0, 300.0, 500.0, 1000.0)]
    if name == "mf":
        return [Candidate(jaxrec.MF(dim=64), options) for options in _training((1e-3, 1e-2, 3e-2, 1e-1))]
    if name == "lightgcn":
        return [
            Candidate(jaxrec.LightGCN(dim=64, layers=layers), options)
            for layers, options in itertools.product((1, 2, 3), _training((1e-3, 1e-2, 3e-2)))
        ]
    return [CHOSEN[name]]


def _training(penalties: tuple[float, ...]) -> list[jaxrec.FitOptions]:
    return [
        dataclasses.replace(TRAINING, learning_rate=rate, l2=l2)
        for rate, l2 in itertools.product((2e-3, 5e-3), penalties)
    ]
