"""Models: trained ones and solved ones, and what either may do besides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import jax

from jaxrec.protocols._training import Encoded
from jaxrec.types import Scorer

if TYPE_CHECKING:
    from jaxrec.training import TrainData


class Model(Protocol):
    """Whatever ends in a scorer. `jaxrec.fit` sets the sizes, and trains or solves.

    A model with `fold_in(variables, scorer, data, task)`, see `FoldIn`, also serves users who were not fitted on; the
    bases bring it along, and `serves_new_users` says whether splits may hold users out of training.

    A Flax module is cloned with its sizes, another frozen dataclass is replaced.

    >>> import jaxrec
    >>> data = jaxrec.from_arrays([0, 0, 1], [0, 1, 2])
    >>> model: Model = jaxrec.MF(dim=8)
    >>> fitted = jaxrec.fit(model, data, epochs=1, key=jax.random.key(0))
    >>> model.num_items, fitted.model.num_items
    (None, 3)
    """

    num_users: int | None
    num_items: int | None


@runtime_checkable
class Trained(Protocol):
    """A Flax module that is trained by gradients. `jaxrec.models.EmbeddingModel` brings all but `__call__`.

    >>> import flax.linen as nn
    >>> import jaxrec
    >>> from jaxrec.models import EmbeddingModel
    >>> class Tables(EmbeddingModel):
    ...     dim: int = 8
    ...     num_users: int | None = None
    ...     num_items: int | None = None
    ...
    ...     @nn.compact
    ...     def __call__(self, adjacency):
    ...         draw = nn.initializers.normal(0.1)
    ...         sizes = {"users": self.num_users, "items": self.num_items}
    ...         return tuple(self.param(side, draw, (size, self.dim)) for side, size in sizes.items())
    >>> data = jaxrec.from_arrays([0, 0, 1], [0, 1, 2])
    >>> jaxrec.fit(Tables(), data, epochs=1, key=jax.random.key(0)).scorer.num_items
    3
    """

    def lazy_init(self, *args: Any, **kwargs: Any) -> Any:
        """Flax: the initial variables, from shapes."""
        ...

    def apply(self, variables: Any, *args: Any, method: Any = None) -> Any:
        """Flax: call a method below with the variables."""
        ...

    def encode(self, adjacency: Any, user: jax.Array, item: jax.Array, negatives: jax.Array) -> Encoded:
        """The rows of a batch.

        Args:
          adjacency: A~ [N, N], a `SparseOperator`.
          user: int32 [B].
          item: int32 [B].
          negatives: int32 [B, M].
        """
        ...

    def scorer(self, adjacency: Any) -> Scorer:
        """What ranking and prediction need."""
        ...


class EmbeddingTables(Protocol):
    """A trained model whose vectors are rows of tables: the capability that row-sparse steps need.

    `jaxrec.models.MF` has it. A model that lacks it is trained by dense steps.

    >>> from jaxrec.models import MF, LightGCN
    >>> MF(dim=8).user_tables, MF(dim=8).item_tables
    (('user_embedding',), ('item_embedding',))
    >>> LightGCN(dim=8).user_tables
    ()
    """

    @property
    def user_tables(self) -> tuple[str, ...]:
        """The parameters that have a row for each user."""
        ...

    @property
    def item_tables(self) -> tuple[str, ...]:
        """The parameters that have a row for each item."""
        ...

    def user_vectors(self, rows: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
        """From rows of the user tables: (vectors [..., w], what a regularizer acts on [..., d])."""
        ...

    def item_vectors(self, rows: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
        """The same of item tables."""
        ...


class Solution(NamedTuple):
    """What a solved model is.

    Attributes:
      scorer: see `jaxrec.types.Scorer`.
      variables: arrays that are worth keeping beside it.
      info: further entries of `FittedModel.info`, as plain JSON values.

    >>> Solution(None).variables
    {}
    """

    scorer: Any
    variables: Mapping[str, Any] = {}
    info: Mapping[str, Any] = {}


@runtime_checkable
class Solved(Protocol):
    """A model that is solved from data and a key, without gradients.

    >>> import dataclasses
    >>> import jaxrec
    >>> from jaxrec.models import SolvedModel
    >>> from jaxrec.scorers import PopularityScorer
    >>> @dataclasses.dataclass(frozen=True)
    ... class Newest(SolvedModel):
    ...     num_users: int | None = None
    ...     num_items: int | None = None
    ...
    ...     def solve(self, data, key):
    ...         return Solution(PopularityScorer(jax.numpy.arange(self.num_items) * 1.0, num_users=self.num_users))
    >>> data = jaxrec.from_arrays(["u", "u", "v"], ["a", "b", "a"])
    >>> jaxrec.recommend(jaxrec.fit(Newest(), data, key=jax.random.key(0)), ["v"], k=1)["v"][0].item
    'b'
    """

    def solve(self, data: TrainData, key: jax.Array) -> Solution:
        """The solution.

        Args:
          data: the interactions, with the adjacency A~ [N, N].
          key: consumed.
        """
        ...


class Histories(NamedTuple):
    """What B users have who were not fitted on, in L places each.

    Attributes:
      item: int32 [B, L].
      where: bool [B, L], the places that count; they come first.
      rating: float32 [B, L], or None where there are no ratings.

    >>> import numpy as np
    >>> Histories(np.array([[3, 0]]), np.array([[True, False]])).rating is None
    True
    """

    item: Any
    where: Any
    rating: Any = None


@runtime_checkable
class FoldIn(Protocol):
    """From what new users have to a scorer of these users: what `fold_in` of a model gives.

    `jaxrec.models.EmbeddingModel.fold_in` solves for the vector of a user, `SolvedModel.fold_in` asks the scorer for
    `with_history`. A model overrides it where its own equations say more.

    >>> import jax.numpy as jnp
    >>> import jaxrec
    >>> import numpy as np
    >>> data = jaxrec.from_arrays([0, 0, 1, 1, 2], ["a", "b", "a", "b", "c"])
    >>> fitted = jaxrec.fit(jaxrec.EASE(l2=1.0), data, key=jax.random.key(0))
    >>> fold_in: FoldIn = fitted.fold_in
    >>> scorer = fold_in(Histories(np.array([[0]], np.int32), np.array([[True]])))
    >>> scorer.num_users, int(scorer.scores(jnp.array([0]))[0].argmax())
    (1, 1)
    """

    @property
    def needs_ratings(self) -> bool:
        """Whether histories must have ratings."""
        ...

    def __call__(self, histories: Histories) -> Scorer:
        """The scorer of the B users; histories of one shape compile nothing twice."""
        ...


@runtime_checkable
class AddsItems(Protocol):
    """A model whose equations are solved for further items without training, see `jaxrec.add_items`.

    >>> class Grows:
    ...     def with_items(self, scorer, data):
    ...         return scorer
    >>> isinstance(Grows(), AddsItems), isinstance(object(), AddsItems)
    (True, False)
    """

    def with_items(self, scorer: Any, data: TrainData) -> Scorer:
        """The scorer for old and new items.

        Args:
          scorer: of the fitted model, for its I items.
          data: who has what, of all items; the new ones come behind the I old ones.
        """
        ...


@runtime_checkable
class FiltersGraph(Protocol):
    """A model that is a linear filter of the graph: what it makes of each frequency can be drawn.

    >>> class Square:
    ...     def response(self, eigenvalues):
    ...         return eigenvalues**2
    >>> isinstance(Square(), FiltersGraph), isinstance(object(), FiltersGraph)
    (True, False)
    """

    def response(self, eigenvalues: jax.Array) -> jax.Array:
        """The gain of each frequency.

        Args:
          eigenvalues: [n] of the normalized adjacency A~, in -1..1, descending; 1 is the smoothest. They are those of a
            bipartite graph, so with each its negative is there.

        Returns:
          [n], up to what the model makes of degrees besides.

        Raises:
          JaxrecError: a part of the model is no linear filter.
        """
        ...
