"""A metric of one's own: rank-biased precision, for a reader who goes on to the next item with some probability.

jaxrec evaluate runs/movielens-small-mf --metrics recall examples.extending.metric:RankBiasedPrecision
"""

import dataclasses

import jax.numpy as jnp

from jaxrec.protocols import Metric


@dataclasses.dataclass(frozen=True)
class RankBiasedPrecision(Metric):
    """(1 - p) times the sum over the places r = 1 to k of p^(r - 1) hit_r.

    It needs no number of relevant items, and a list with k hits has 1 - p^k.

    Attributes:
      persistence: p, the probability of looking at the next item.

    References:
      Moffat and Zobel, Rank-biased precision for measurement of retrieval effectiveness, ACM TOIS 27(1), 2008.
    """

    persistence: float = 0.8
    name = "rbp"

    def __call__(self, user, *, k):
        """The value of one list."""
        weights = (1 - self.persistence) * self.persistence ** jnp.arange(k, dtype=jnp.float32)
        return jnp.sum(jnp.where(user.hits[:k], weights, 0))
