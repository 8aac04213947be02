"""The model that a blend is of, and what it makes of users who were not fitted on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.blending import BlendScorer
from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError
from jaxrec.models._base import SolvedModel, model_scorer
from jaxrec.models._fold_in import fold_in_of, rows_of
from jaxrec.protocols import FoldIn, Histories, Solution, Task

if TYPE_CHECKING:
    from jaxrec.fitting._options import TrainingOptions
    from jaxrec.training import TrainData


@dataclasses.dataclass(frozen=True)
class Blend(SolvedModel):
    """Several fitted models whose calibrated scores are added with weights; made by `jaxrec.blend`.

    Attributes:
      members: the models, with their sizes set.
      options: how each was trained; None for one that was solved.
      num_users: U.
      num_items: I.

    >>> import jaxrec
    >>> Blend((jaxrec.EASE(), jaxrec.MF()), (None, jaxrec.TrainingOptions())).serves_new_users
    True
    """

    members: tuple[Any, ...] = ()
    options: tuple[TrainingOptions | None, ...] = ()
    num_users: int | None = None
    num_items: int | None = None

    @property
    def serves_new_users(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride] - asked of the object
        """Whether all members do."""
        return all(member.serves_new_users for member in self.members)

    @property
    def draws(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether another key gives another member."""
        return any(member.draws for member in self.members)

    def solve(self, data: TrainData, key: jax.Array) -> Solution:
        """Refuse: the members come fitted, and the weights from a validation part."""
        raise JaxrecError("a blend is not fitted by itself; fit its members with refit=False, and pass them to blend")

    def fold_in(self, variables: Any, scorer: Any, data: TrainData, task: Task) -> BlendFoldIn:
        """Blend what the members make of the histories, each in its own way; weights and calibrations stay.

        Raises:
          JaxrecError: a member cannot serve new users.
        """
        from jaxrec.fitting._plan import is_trained

        made = []
        for at, (member, options) in enumerate(zip(self.members, self.options, strict=True)):
            own, trained = variables[str(at)], is_trained(member)
            plain = model_scorer(own, data.adjacency, member) if trained else scorer.members[at]
            loss = options.loss if trained and options is not None else None
            try:
                made.append(fold_in_of(member, own, plain, data, task, loss))
            except JaxrecError as error:
                raise JaxrecError(f"the blend cannot serve new users, since member {at + 1} cannot: {error}") from None
        return BlendFoldIn(tuple(made), scorer.calibrations, scorer.weights)


@dataclasses.dataclass(frozen=True, eq=False)
class BlendFoldIn:
    """New users of a blend.

    Attributes:
      members: of the M members, see `jaxrec.protocols.FoldIn`.
      calibrations: of each.
      weights: [M].
    """

    members: Sequence[FoldIn]
    calibrations: tuple[Any, ...]
    weights: jax.Array

    @property
    def needs_ratings(self) -> bool:
        """Whether a member needs those of the histories."""
        return any(member.needs_ratings for member in self.members)

    def __call__(self, histories: Histories) -> BlendScorer:
        """The scorer of the B users."""
        seen = SeenItems(*map(jnp.asarray, rows_of(histories)))
        longest = int(np.shape(histories.item)[1])
        scorers = tuple(member(histories) for member in self.members)
        return BlendScorer(scorers, self.calibrations, self.weights, seen, longest)
