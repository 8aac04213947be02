"""Models without a parameter: the most popular items for everybody, and items at random."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrec.models._base import SolvedModel, solved_anew
from jaxrec.models._sizes import bound_sizes
from jaxrec.scorers import PopularityScorer, RandomScorer
from jaxrec.sparse import SparseOperator
from jaxrec.types import Scorer

if TYPE_CHECKING:
    from jaxrec.training import TrainData


class Popularity(SolvedModel, nn.Module):
    """The same list for every user: score(u, i) = the number of users who have i.

    Attributes:
      num_users: U; `jaxrec.fit` sets it.
      num_items: I; `jaxrec.fit` sets it.

    >>> from jaxrec.sparse import from_dense, operator
    >>> adjacency = operator(from_dense(jnp.array([[0, 0, 1.0], [0, 0, 1.0], [1.0, 1.0, 0]])), symmetric=True)
    >>> Popularity(num_users=2, num_items=1).apply({}, adjacency).counts.tolist()
    [2.0]
    """

    serves_new_users: ClassVar[bool] = True

    num_users: int | None = None
    num_items: int | None = None

    def __call__(self, adjacency: SparseOperator) -> PopularityScorer:
        """The scorer; only the places of the adjacency's entries count, not their values."""
        num_users, _ = bound_sizes(self, adjacency)
        counts = jnp.diff(adjacency.indptr)[num_users:].astype(jnp.float32)
        return PopularityScorer(counts, num_users=num_users)

    def with_items(self, scorer: Any, data: TrainData) -> Scorer:
        """The scorer for old and new items: their users are counted."""
        return solved_anew(self, data)


class Random(SolvedModel, nn.Module):
    """A list at random for every user: scores uniform in [0, 1), fixed by the key that `init` consumes.

    Attributes:
      num_users: U; `jaxrec.fit` sets it.
      num_items: I; `jaxrec.fit` sets it.

    >>> model = Random(num_users=2, num_items=3)
    >>> variables = model.init(jax.random.key(0))
    >>> model.apply(variables).scores(jnp.array([0], jnp.int32)).shape
    (1, 3)
    """

    serves_new_users: ClassVar[bool] = True
    draws: ClassVar[bool] = True

    num_users: int | None = None
    num_items: int | None = None

    @nn.compact
    def __call__(self, adjacency: SparseOperator | None = None) -> RandomScorer:
        """The scorer; the adjacency is not used."""
        num_users, num_items = bound_sizes(self, adjacency)
        key_data = self.variable("draw", "key", lambda: jax.random.key_data(self.make_rng("params")))
        return RandomScorer(key_data.value, num_users=num_users, num_items=num_items)
