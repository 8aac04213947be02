"""The recipes: model, training, and evaluation schedule."""

from __future__ import annotations

import dataclasses

import jaxrec


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
