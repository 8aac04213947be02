"""A solved model of one's own: RP3beta, three steps of a random walk between users and items.

jaxrec fit movielens-small --model examples.extending.solved_model:RP3Beta --beta 0.4
"""

import dataclasses

import jax.numpy as jnp

from jaxrec.models import SolvedModel
from jaxrec.protocols import Solution
from jaxrec.scorers import ItemWeightScorer


@dataclasses.dataclass(frozen=True)
class RP3Beta(SolvedModel):
    """Walk from the user's items to users who have them, and on to their items: W = D_I^-1 R^T D_U^-1 R D_I^-beta.

    The score of an item is the sum of W over the user's items. W has no diagonal. It is dense, 4 I^2 bytes.

    Attributes:
      beta: 0 favors popular items, 1 gives each step back in proportion to popularity.

    References:
      Paudel et al., Updatable, Accurate, Diverse, and Scalable Recommendations, ACM TiiS 7(1), 2016.
    """

    serves_new_users = True

    beta: float = 0.6
    num_users: int | None = None
    num_items: int | None = None

    def solve(self, data, key):
        """The weights between items."""
        r = jnp.zeros((self.num_users, self.num_items), jnp.float32).at[data.user, data.item].set(1)
        of_user, of_item = (jnp.maximum(jnp.sum(r, axis=axis), 1) for axis in (1, 0))
        weights = (r / of_item[None, :]).T @ (r / of_user[:, None]) / of_item[None, :] ** self.beta
        weights = jnp.where(jnp.eye(self.num_items, dtype=bool), 0, weights)
        longest = int(jnp.diff(data.seen.indptr).max())
        return Solution(ItemWeightScorer(data.seen, weights, longest))
