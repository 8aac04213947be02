"""The settings of the main job, and the grids that they were chosen from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jaxrec
from jaxrec.losses import BPR, SquaredL2
from jaxrec.training import Adam

RATES = (2e-3, 5e-3)


def training(learning_rate: float, weight: float) -> jaxrec.TrainingOptions:
    """Return the options of a training with BPR, for a learning rate and a weight of L2."""
    return jaxrec.TrainingOptions(loss=BPR(), optimizer=Adam(learning_rate), regularizer=SquaredL2(weight), epochs=120)


# A model, and how it is trained; None for models that are solved. Chosen on the validation part, by
# `python -m experiments.movielens_small --tune`.
CHOSEN: dict[str, tuple[Any, jaxrec.TrainingOptions | None]] = {
    "random": (jaxrec.Random(), None),
    "popularity": (jaxrec.Popularity(), None),
    "itemknn": (jaxrec.ItemKNN(neighbors=20, shrink=10.0), None),
    "ease": (jaxrec.EASE(l2=100.0), None),
    "mf": (jaxrec.MF(dim=64), training(2e-3, 3e-2)),
    "lightgcn": (jaxrec.LightGCN(dim=64, layers=2), training(5e-3, 1e-3)),
}

# All combinations are tried on the validation part.
GRIDS: dict[str, dict[str, Sequence[Any]]] = {
    "itemknn": {
        "model.neighbors": (20, 50, 100, 200),
        "model.shrink": (0.0, 10.0),
        "model.similarity": ("cosine", "normalized"),
    },
    "ease": {"model.l2": (30.0, 100.0, 200.0, 300.0, 500.0, 1000.0)},
    "mf": {"optimizer.learning_rate": RATES, "regularizer.weight": (1e-3, 1e-2, 3e-2, 1e-1)},
    "lightgcn": {
        "model.layers": (1, 2, 3),
        "optimizer.learning_rate": RATES,
        "regularizer.weight": (1e-3, 1e-2, 3e-2),
    },
}
