"""The recipes: model, training, and evaluation schedule."""

from __future__ import annotations

import dataclasses

import jaxrec
from jaxrec.losses import BPR, InBatchSoftmax, SquaredL2
from jaxrec.training import Adam


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A model, its training, and the schedule of evaluations on the test part.

    Attributes:
      model: the model, without sizes.
      options: training options; `epochs` is the limit for a run that misses the target.
      first: the first epoch that is evaluated.
      every: epochs between two evaluations.
    """

    model: jaxrec.LightGCN
    options: jaxrec.TrainingOptions
    first: int
    every: int


RECIPES = {
    # Chosen on a tenth of the training part; see README.md for what was tried.
    "softmax": Recipe(
        jaxrec.LightGCN(dim=128, layers=1),
        jaxrec.TrainingOptions(
            loss=InBatchSoftmax(temperature=0.12, chunks=16, accidental_hits="keep", logit_adjustment=0.8),
            optimizer=Adam(2e-2),
            regularizer=None,
            batch_size=8192,
            epochs=20,
        ),
        first=4,
        every=1,
    ),
    # As in the paper and its authors' code.
    "bpr": Recipe(
        jaxrec.LightGCN(dim=64, layers=3),
        jaxrec.TrainingOptions(
            loss=BPR(), optimizer=Adam(1e-3), regularizer=SquaredL2(1e-4), batch_size=2048, epochs=1000
        ),
        first=5,
        every=5,
    ),
}
