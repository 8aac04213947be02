"""The scorer of a filter among the best candidates of a linear score."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jaxrec.data._seen import SeenItems
from jaxrec.pytrees import register, static
from jaxrec.scorers._filters import FilterScorer
from jaxrec.scorers._histories import with_own
from jaxrec.scorers._likeness import Lane, likeness_for, weighed
from jaxrec.scorers._networks import below
from jaxrec.sparse import spmm


@register
@dataclasses.dataclass(frozen=True)
class CandidateScorer:
    """Scores of a filter for the best candidates of a linear score; all other items are below, in the linear order.

    The linear score is scale * R^T W (R D h)^power, one product with the Gram matrix. Candidates are items that the
    user does not have.

    Attributes:
      filter: scores the candidates.
      lane: the product; its `own` and `scored` are places among the scales here, both 0.
      own: [I], the diagonal of D.
      scale: [I], of the scored items.
      candidates: C, how many items of a user are candidates; static.

    >>> from jaxrec.sparse import from_dense, operator
    >>> r, ones = operator(from_dense(jnp.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]]))), jnp.ones(3)
    >>> history, lane = SeenItems(jnp.array([0, 1]), jnp.array([0])), Lane(jnp.ones(2), own=0, scored=0)
    >>> base = FilterScorer(history, r, (ones,), (10 * ones,), (lane,))
    >>> CandidateScorer(base, lane, ones, ones, candidates=1).scores(jnp.array([0])).tolist()  # item 1
    [[9.0, 10.0, 8.0]]
    """

    filter: FilterScorer
    lane: Lane
    own: jax.Array
    scale: jax.Array
    candidates: int = static(default=400)

    @property
    def num_users(self) -> int:
        """The number of users of the histories."""
        return self.filter.num_users

    @property
    def num_items(self) -> int:
        """I."""
        return self.filter.num_items

    def scores(self, users: jax.Array) -> jax.Array:
        """Score all items for users (int32 [B]), [B, I]."""
        return self._scores(self.filter.history, users)

    def _scores(self, history: SeenItems, users: jax.Array) -> jax.Array:
        matrix, lanes, owns = self.filter.interactions, self.filter.lanes, self.filter.owns
        # One reading of the histories serves both: the product of the linear score stands behind those of the filter.
        lanes = (*lanes, dataclasses.replace(self.lane, own=len(owns)))
        alike, placed = likeness_for(lanes, matrix, history, users, (*owns, self.own))
        place, lane = placed[-1]
        linear = self.scale[:, None] * spmm(matrix.T, weighed(alike[:, :, place], lane).T)
        _, found = jax.lax.top_k(with_own(history, users, linear, -1.0).T, min(self.candidates, self.num_items))
        linear, scores = linear.T, self.filter.at_items(history, users, found, alike=(alike, placed[:-1]))
        rows = jnp.arange(users.shape[0], dtype=jnp.int32)[:, None]
        return below(linear, jnp.min(scores, axis=1)).at[rows, found].set(scores)

    def pair_scores(self, users: jax.Array, items: jax.Array) -> jax.Array:
        """Score the pairs of users (int32 [B]) and items (int32 [B]), [B]."""
        return jnp.take_along_axis(self.scores(users), items[:, None], axis=1)[:, 0]

    def with_history(self, history: SeenItems) -> CandidateScorer:
        """The scorer for users with these items, also for those who were not fitted on."""
        return dataclasses.replace(self, filter=self.filter.with_history(history))

    def similarities(self, items: jax.Array) -> jax.Array:
        """Score all items for a user who has one of the items (int32 [B]) alone, [B, I]."""
        alone = SeenItems(jnp.arange(items.shape[0] + 1, dtype=jnp.int32), items)
        return self._scores(alone, jnp.arange(items.shape[0], dtype=jnp.int32))
