"""User-based nearest neighbors: items are recommended that users with a similar history have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import jax.numpy as jnp

from jaxrec.models._fold_in import NeighborUsers
from jaxrec.models._neighbors import NeighborModel
from jaxrec.models._sizes import bound_sizes, user_item_block
from jaxrec.protocols import FoldIn, Task
from jaxrec.scorers import UserWeightScorer
from jaxrec.sparse import SparseOperator

if TYPE_CHECKING:
    from jaxrec.training import TrainData


class UserKNN(NeighborModel):
    """User-kNN: score(u, i) = sum over v among the k nearest of u of s_uv R_vi, with R binary.

    s is the cosine of the rows of R, s_uv = |I_u and I_v| / (sqrt(|I_u|) sqrt(|I_v|)), or, with "normalized", the inner
    product of the rows of R~, which counts a popular item less. The diagonal is 0, or the user's own items would come
    first; but for it, the scores of "normalized" with k = U are R~ R~^T R. Ties among neighbors go to the lower index.
    It has no parameters: the neighbors are found when the scorer is made, with a block of the U x U matrix in memory
    at a time.

    Attributes:
      neighbors: k, how many neighbors each user keeps.
      similarity: "cosine" or "normalized".
      shrink: added to the denominator of the cosine; larger values trust short histories less.
      num_users: U; `jaxrec.fit` sets it.
      num_items: I; `jaxrec.fit` sets it.

    Raises:
      JaxrecError: fewer than one neighbor, a negative shrink, an unknown similarity.

    Source: Resnick et al., GroupLens, CSCW 1994, for the method; Sarwar et al., EC 2000, for binary data.

    >>> from jaxrec.sparse import from_dense, operator
    >>> r = jnp.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    >>> adjacency = operator(from_dense(jnp.block([[jnp.zeros((2, 2)), r], [r.T, jnp.zeros((3, 3))]])), symmetric=True)
    >>> scorer = UserKNN(num_users=2, num_items=3).apply({}, adjacency)
    >>> scorer.scores(jnp.array([0])).round(3).tolist()
    [[0.0, 0.5, 0.5]]
    """

    serves_new_users: ClassVar[bool] = True

    def fold_in(self, variables: Any, scorer: Any, data: TrainData, task: Task) -> FoldIn:
        """A new user has neighbors among the fitted users, by the same similarity."""
        of_user = jnp.sqrt(jnp.diff(scorer.history.indptr).astype(jnp.float32))
        degrees = jnp.diff(scorer.history.T.indptr).astype(jnp.float32)
        cosine = self.similarity == "cosine"
        of_item = jnp.ones_like(degrees) if cosine else 1 / jnp.maximum(degrees, 1)
        shrink = jnp.float32(self.shrink if cosine else 0)
        return NeighborUsers(scorer.history, of_item, of_user, shrink, neighbors=self.neighbors)

    def __call__(self, adjacency: SparseOperator) -> UserWeightScorer:
        """The scorer, from a normalized adjacency [N, N]."""
        num_users, _ = bound_sizes(self, adjacency)
        block = user_item_block(adjacency, num_users, binary=self.similarity == "cosine")
        counts = jnp.diff(adjacency.indptr)[:num_users].astype(jnp.float32)
        weights, neighbors = self.nearest(block.T, counts)
        return UserWeightScorer(user_item_block(adjacency, num_users, binary=True), weights, neighbors)
