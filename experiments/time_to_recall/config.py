"""The recipes: how the model is trained, and when its recall is read."""

from __future__ import annotations

import dataclasses

import jaxrec


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A model, its training, and the schedule on which the test part is read.

    Attributes:
      model: the module, without sizes.
      options: `epochs` is where a run ends that does not reach the target.
      first: the epoch after which recall is read for the first time.
      every: epochs between two readings.
    """

    model: jaxrec.LightGCN
    options: jaxrec.FitOptions
    first: int
    every: int


RECIPES = {
    # Chosen on a tenth of the training part; see README.md for what was tried.
    "softmax": Recipe(
        jaxrec.LightGCN(dim=128, layers=1),
        jaxrec.FitOptions(
            loss="softmax",
            negatives=0,
            batch_size=8192,
            groups=16,
            temperature=0.12,
            popularity_prior=0.8,
            learning_rate=2e-2,
            l2=0.0,
            epochs=20,
        ),
        first=4,
        every=1,
    ),
    # As in the paper and its authors' code.
    "bpr": Recipe(
        jaxrec.LightGCN(dim=64, layers=3),
        jaxrec.FitOptions(loss="bpr", batch_size=2048, learning_rate=1e-3, l2=1e-4, epochs=1000),
        first=5,
        every=5,
    ),
}
