"""The sizes of the data, and what is trained on them."""

from __future__ import annotations

import dataclasses
from typing import Any

from jaxrec import PowerLaw


@dataclasses.dataclass(frozen=True)
class Size:
    """One size of the data.

    Attributes:
      users: U.
      items: I.
      interactions: E.
      batch_size: of the training.
    """

    users: int
    items: int
    interactions: int
    batch_size: int


SIZES = {
    "1e4": Size(600, 400, 10_000, 1_024),  # for tests
    "4e5": Size(12_000, 8_000, 400_000, 1_311),  # a fiftieth of the next, in every number
    "2e7": Size(600_000, 400_000, 20_000_000, 65_536),
    "1e8": Size(2_000_000, 500_000, 100_000_000, 65_536),
}

LAW = PowerLaw(communities=100)


def training(size: Size, epochs: int) -> tuple[Any, Any]:
    """Give the model and its training: as the paper of LightGCN has them, but for the batch."""
    # What only trains is imported here, since a process that reads has no use for its memory.
    import jaxrec
    from jaxrec.losses import BPR
    from jaxrec.training import Adam

    model = jaxrec.LightGCN(dim=64, layers=3)
    return model, jaxrec.TrainingOptions(
        loss=BPR(),
        optimizer=Adam(1e-3),
        batch_size=size.batch_size,
        epochs=epochs,
        validation=None,
        refit=False,
    )
