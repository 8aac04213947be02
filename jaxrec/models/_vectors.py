"""Vectors that are known already: what a fitted model becomes when items are added to it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from jaxrec.errors import JaxrecError
from jaxrec.models._base import SolvedModel
from jaxrec.models._least_squares import least_squares
from jaxrec.protocols import FoldIn, Solution, Task

if TYPE_CHECKING:
    import jax

    from jaxrec.training import TrainData


@dataclasses.dataclass(frozen=True)
class Vectors(SolvedModel):
    """The vectors of a fitted model with further items, see `jaxrec.add_items`; it cannot be fitted itself.

    Attributes:
      source: the name of the model that the vectors are of.
      fixed: how many of the last columns are 1 for every user.
      num_users: U.
      num_items: I.

    >>> Vectors("mf").serves_new_users
    True
    """

    serves_new_users = True

    source: str = ""
    fixed: int = 0
    num_users: int | None = None
    num_items: int | None = None

    def solve(self, data: TrainData, key: jax.Array) -> Solution:
        """Refuse: the vectors come from a fitted model."""
        raise JaxrecError(f"the vectors of {self.source} cannot be fitted again; fit {self.source} on the grown data")

    def fold_in(self, variables: Any, scorer: Any, data: TrainData, task: Task) -> FoldIn:
        """Least squares for the vectors of the items, the added ones too."""
        return least_squares(self.source, scorer, data.adjacency, task, fixed=self.fixed)
