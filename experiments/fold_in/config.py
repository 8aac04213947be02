"""The settings of the models, and the grids that they were chosen from on held-out validation users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jaxrec
from jaxrec.losses import BPR, SquaredL2
from jaxrec.training import Adam

SEED = 0
FOLDS = 5


def training(learning_rate: float, weight: float) -> jaxrec.TrainingOptions:
    """Return the options of a training with BPR, for a learning rate and a weight of L2."""
    return jaxrec.TrainingOptions(loss=BPR(), optimizer=Adam(learning_rate), regularizer=SquaredL2(weight), epochs=120)


# A model, and how it is trained; None for models that are solved. Chosen on the validation users of the first fold, by
# `python -m experiments.fold_in --tune`.
CHOSEN: dict[str, tuple[Any, jaxrec.TrainingOptions | None]] = {
    "itemknn": (jaxrec.ItemKNN(neighbors=200), None),
    "ease": (jaxrec.EASE(l2=50.0), None),
    "mf": (jaxrec.MF(dim=64), training(2e-3, 1e-2)),
    "lightgcn": (jaxrec.LightGCN(dim=64, layers=1), training(5e-3, 1e-3)),
}

# All combinations are tried on the validation users.
GRIDS: dict[str, dict[str, Sequence[Any]]] = {
    "itemknn": {"model.neighbors": (20, 50, 100, 200), "model.shrink": (0.0, 10.0)},
    "ease": {"model.l2": (30.0, 50.0, 100.0, 200.0, 300.0, 500.0)},
    "mf": {"regularizer.weight": (1e-2, 3e-2), "model.fold_in_unobserved": (0.1, 0.3)},
    "lightgcn": {"model.layers": (1, 2), "model.fold_in_unobserved": (0.03, 0.1), "regularizer.weight": (1e-4, 1e-3)},
}
