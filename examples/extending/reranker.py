"""A re-ranker of one's own: lists with a large sum of distances between their items.

reranked, scores = jaxrec.ranking.rerank(items, scores, vectors, 10, MaxSum(0.7))
"""

import jax
import jax.numpy as jnp

from jaxrec.protocols import Reranker
from jaxrec.pytrees import options


@options
class MaxSum(Reranker):
    """Choose one candidate after another by theta r + (1 - theta) times its mean distance from those chosen before.

    r are the scores, scaled to 0..1. Where `MMR` looks at the nearest chosen item, this looks at all of them.

    Attributes:
      theta: the trade-off; 1 keeps the order of the scores.

    References:
      Borodin, Lee and Ye, Max-Sum Diversification, Monotone Submodular Functions and Dynamic Updates, PODS 2012.
    """

    theta: float = 0.5

    def __call__(self, scores, vectors, k, *, where):
        """The places of the chosen candidates, int32 [k]."""
        low, high = jnp.min(scores, where=where, initial=jnp.inf), jnp.max(scores, where=where, initial=-jnp.inf)
        relevance = (scores - low) / jnp.where(high > low, high - low, 1)
        distances = jnp.linalg.norm(vectors[:, None] - vectors[None, :], axis=2)

        def choose(at, state):
            total, free, chosen = state
            gain = self.theta * relevance + (1 - self.theta) * total / jnp.maximum(at, 1).astype(jnp.float32)
            best = jnp.argmax(jnp.where(free, gain, -jnp.inf)).astype(jnp.int32)
            chosen = chosen.at[at].set(jnp.where(free[best], best, -1))
            return total + distances[best], free.at[best].set(False), chosen

        start = jnp.zeros_like(relevance), where, jnp.full(k, -1, jnp.int32)
        return jax.lax.fori_loop(0, k, choose, start)[2]
