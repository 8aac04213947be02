"""The rows: LightGCN by BPR with the settings of its authors, and a recipe that converges sooner."""

from __future__ import annotations

from typing import Any

import jaxrec
from experiments.tables import Row
from jaxrec.losses import BPR, SquaredL2
from jaxrec.sampling import Hardest
from jaxrec.training import Adam

SOURCE = "the authors' PyTorch code, 1,000 epochs"
# Layers to recall@20 and nDCG@20.
PUBLISHED = {
    1: {"gowalla": (0.1687, 0.1417), "yelp2018": (0.05604, 0.04557)},
    2: {"gowalla": (0.1786, 0.1524), "yelp2018": (0.05988, 0.04956)},
    3: {"gowalla": (0.1824, 0.1547), "yelp2018": (0.06347, 0.05238)},
    4: {"gowalla": (0.1825, 0.1537), "yelp2018": (0.06515, 0.05325)},
}
EPOCHS = 20


def paper(layers: int, epochs: int = EPOCHS) -> Row:
    """Return the row of the authors: batches of 2,048, one uniform negative, Adam at 0.001, L2 of 0.0001."""
    options = jaxrec.TrainingOptions(
        loss=BPR(), optimizer=Adam(1e-3), regularizer=SquaredL2(1e-4), batch_size=2048, epochs=epochs, validation=None
    )
    return Row(jaxrec.LightGCN(dim=64, layers=layers), options, PUBLISHED[layers], SOURCE, chosen_on="test")


def hardest(*, of: int, learning_rate: float, epochs: int, weight: float = 1e-4, layers: int = 3, **how: Any) -> Row:
    """Return a row with the hardest of several negatives and a higher rate.

    Args:
      of: see `Hardest`.
      learning_rate: of Adam.
      epochs: how many.
      weight: of the L2 penalty.
      layers: of LightGCN.
      how: further options of LightGCN.
    """
    options = jaxrec.TrainingOptions(
        loss=BPR(),
        negatives=Hardest(of=of),
        optimizer=Adam(learning_rate),
        regularizer=SquaredL2(weight),
        batch_size=8192,
        epochs=epochs,
        validation=None,
    )
    return Row(jaxrec.LightGCN(**{"dim": 64, "layers": layers, **how}), options, PUBLISHED[layers], SOURCE)


ROWS = {
    "": {f"{layers} layers, as in the paper, {EPOCHS} epochs": paper(layers) for layers in PUBLISHED}
    | {
        "3 layers, hardest of 16": hardest(of=16, learning_rate=5e-3, epochs=30),
        "3 layers, hardest of 16, from singular vectors": hardest(
            of=16, learning_rate=5e-3, epochs=8, dim=256, initializer="svd"
        ),
    },
}
GRIDS = {
    "3 layers, hardest of 16": {
        f"of {of}, rate {rate:g}": hardest(of=of, learning_rate=rate, epochs=6)
        for of in (8, 32)
        for rate in (5e-3, 1e-2)
    },
}
