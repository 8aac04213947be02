"""The sizes of the data, and what is trained on them."""

from __future__ import annotations

import dataclasses

import jaxrec
from jaxrec.losses import BPR
from jaxrec.training import Adam


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

LAW = jaxrec.PowerLaw(communities=100)

MODEL = jaxrec.LightGCN(dim=64, layers=3)


def options(size: Size, epochs: int) -> jaxrec.TrainingOptions:
    """Give the training of a size: as the paper of LightGCN has it, but for the batch."""
    return jaxrec.TrainingOptions(
        loss=BPR(),
        optimizer=Adam(1e-3),
        batch_size=size.batch_size,
        epochs=epochs,
        validation=None,
        refit=False,
    )
