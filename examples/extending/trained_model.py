"""A trained model of one's own: users and items as points, near each other where the user likes the item.

jaxrec fit movielens-small --model examples.extending.trained_model:Euclidean --dim 32
"""

import flax.linen as nn
import jax.numpy as jnp

from jaxrec.models import EmbeddingModel
from jaxrec.scorers import FactorScorer


class Euclidean(EmbeddingModel):
    """Metric learning, score(u, i) = -|p_u - q_i|^2, as an inner product with two further columns.

    Since -|p - q|^2 = <(2p, -|p|^2, 1), (q, 1, -|q|^2)>, every loss, the exact top-k and saving work as they do for
    matrix factorization.

    Attributes:
      dim: d, of the space.
      scale: the standard deviation of the initial points.

    References:
      Hsieh et al., Collaborative Metric Learning, WWW 2017.
    """

    dim: int = 64
    scale: float = 0.1
    num_users: int | None = None
    num_items: int | None = None

    def setup(self):
        draw = nn.initializers.normal(self.scale)
        self.users = self.param("users", draw, (self.num_users, self.dim), jnp.float32)
        self.items = self.param("items", draw, (self.num_items, self.dim), jnp.float32)

    def __call__(self, adjacency=None):
        """The vectors (users [U, d + 2], items [I, d + 2])."""
        p, q = self.users, self.items
        far, near = (-jnp.sum(jnp.square(x), axis=1, keepdims=True) for x in (p, q))
        users = jnp.concatenate([2 * p, far, jnp.ones_like(far)], axis=1)
        return users, jnp.concatenate([q, jnp.ones_like(near), near], axis=1)

    def embeddings(self, adjacency=None):
        """The points, which regularizers act on."""
        return self.users, self.items

    def scorer(self, adjacency=None):
        """Similar items are compared by their points, without the further columns."""
        return FactorScorer(*self(adjacency), dim=self.dim)
