"""The models, their training, and the trade-offs of the curves."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import jaxrec
from jaxrec.losses import BPR, InBatchSoftmax, SquaredL2
from jaxrec.training import Adam

K = 20
CANDIDATES = 100
TRADE_OFFS: dict[Literal["mmr", "dpp"], tuple[float, ...]] = {
    "mmr": (1.0, 0.8, 0.6, 0.4),
    "dpp": (1.0, 0.9, 0.8),
}
LAYERS = (1, 2, 3, 4)
L2_GRID = (1e-3, 1e-2, 3e-2)


# BPR, since the softmax over a batch, without logit adjustment, falls to the level of popularity on MovieLens.
SMALL = jaxrec.TrainingOptions(loss=BPR(), optimizer=Adam(5e-3), epochs=150)
# The L2 of each model is chosen on the validation part, by `python -m experiments.diversity --data ml-100k --tune`.
SMALL_L2 = {"mf": 1e-2, "lightgcn-1": 1e-2, "lightgcn-2": 1e-3, "lightgcn-3": 1e-3, "lightgcn-4": 1e-3}

# Softmax over runs of 512 rows of a batch: one propagation serves 8,192 pairs.
LARGE = jaxrec.TrainingOptions(
    loss=InBatchSoftmax(temperature=0.12, chunks=16, accidental_hits="keep", logit_adjustment=None),
    optimizer=Adam(2e-2),
    regularizer=None,
    batch_size=8192,
    epochs=10,
    validation=jaxrec.Validation(every=5, patience=1),
)


def candidates(data: str) -> dict[str, tuple[Any, jaxrec.TrainingOptions | None]]:
    """Return the models that are compared on a data set, each with its training; None for a model that is solved."""
    named: dict[str, Any] = {"mf": jaxrec.MF(dim=64)}
    named |= {f"lightgcn-{layers}": jaxrec.LightGCN(dim=64, layers=layers) for layers in LAYERS}
    made: dict[str, tuple[Any, jaxrec.TrainingOptions | None]] = {"popularity": (jaxrec.Popularity(), None)}
    for name, model in named.items():
        if data == "gowalla":
            # Without a graph to spread what a pair says, MF needs more epochs.
            longer = dataclasses.replace(LARGE, epochs=30, validation=jaxrec.Validation(every=10, patience=1))
            made[name] = (model, longer if name == "mf" else LARGE)
        else:
            made[name] = (model, dataclasses.replace(SMALL, regularizer=SquaredL2(SMALL_L2[name])))
    return made
