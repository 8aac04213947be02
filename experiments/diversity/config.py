"""The models, their training, and the trade-offs of the curves."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import jaxrec

K = 20
CANDIDATES = 100
TRADE_OFFS: dict[Literal["mmr", "dpp"], tuple[float, ...]] = {
    "mmr": (1.0, 0.8, 0.6, 0.4),
    "dpp": (1.0, 0.9, 0.8),
}
LAYERS = (1, 2, 3, 4)
L2_GRID = (1e-3, 1e-2, 3e-2)


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A model and its training options; None for models without training epochs."""

    model: Any
    options: jaxrec.FitOptions | None = None


# BPR, since in-batch softmax falls to the level of popularity on MovieLens.
SMALL = jaxrec.FitOptions(batch_size=1024, learning_rate=5e-3, l2=1e-2, epochs=150, eval_every=5, patience=4)
# The L2 of each model is chosen on the validation part, by `python -m experiments.diversity --data ml-100k --tune`.
SMALL_L2 = {"mf": 1e-2, "lightgcn-1": 1e-2, "lightgcn-2": 1e-3, "lightgcn-3": 1e-3, "lightgcn-4": 1e-3}

# Softmax over chunks of 512 rows of a batch: one propagation serves 8,192 pairs.
LARGE = jaxrec.FitOptions(
    loss="softmax",
    negatives=0,
    batch_size=8192,
    groups=16,
    temperature=0.12,
    learning_rate=2e-2,
    l2=0.0,
    epochs=10,
    eval_every=5,
    patience=1,
)


def candidates(data: str) -> dict[str, Candidate]:
    """List the models of a data set with their options."""
    named: dict[str, Any] = {"mf": jaxrec.MF(dim=64)}
    named |= {f"lightgcn-{layers}": jaxrec.LightGCN(dim=64, layers=layers) for layers in LAYERS}
    made = {"popularity": Candidate(jaxrec.Popularity())}
    for name, model in named.items():
        if data == "gowalla":
            # MF has no propagation along the graph, so it needs more epochs.
            made[name] = Candidate(
                model, dataclasses.replace(LARGE, epochs=30, eval_every=10) if name == "mf" else LARGE
            )
        else:
            made[name] = Candidate(model, dataclasses.replace(SMALL, l2=SMALL_L2[name]))
    return made
