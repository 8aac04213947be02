"""RP3beta: walks of three steps from a user over items and users to items, which popularity makes less likely."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrec._checks import check_kinds, number, whole
from jaxrec.models._base import SolvedModel, solved_anew
from jaxrec.models._itemknn import longest_history, transposed_rows
from jaxrec.models._sizes import bound_sizes, history_of, user_item_block
from jaxrec.scorers import ItemWeightScorer
from jaxrec.sparse import SparseOperator, map_gram_columns
from jaxrec.types import Scorer

if TYPE_CHECKING:
    from jaxrec.training import TrainData


class RP3Beta(SolvedModel, nn.Module):
    """RP3beta: score(u, i) = sum over j in N(u) of w_ji, w_ji = n_j^(-alpha) n_i^(-beta) sum over v of d_v^(-alpha).

    The inner sum is over the users v who have both items, n_i is the number of users of item i, and d_v that of the
    items of user v. With alpha 1 and beta 0 this is d_u times the probability to be at item i after three random steps
    from user u; `beta` divides by popularity. The default exponents were the best or next to it on held-out parts of
    ML-100K, Gowalla and Yelp2018. Of each scored item i the largest w_ji are kept. The diagonal is 0. It
    has no parameters: the weights are found when the scorer is made, some columns at a time.

    Attributes:
      neighbors: how many weights each scored item keeps.
      alpha: the exponent of the probability of a step.
      beta: the exponent of the popularity that the score is divided by.
      num_users: U; `jaxrec.fit` sets it.
      num_items: I; `jaxrec.fit` sets it.

    Raises:
      JaxrecError: fewer than one neighbor, an exponent that is not finite.

    Source: Christoffel et al., Blockbusters and wallflowers: accurate, diverse, and scalable recommendations with
    random walks, RecSys 2015; Paudel et al., Updatable, accurate, diverse, and scalable recommendations for interactive
    applications, TiiS 7(1), 2017. Both walk at random; the weights here are the exact probabilities.

    >>> from jaxrec.sparse import from_dense, operator
    >>> r = jnp.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    >>> adjacency = operator(from_dense(jnp.block([[jnp.zeros((2, 2)), r], [r.T, jnp.zeros((3, 3))]])), symmetric=True)
    >>> scorer = RP3Beta(alpha=1.0, beta=1.0, num_users=2, num_items=3).apply({}, adjacency)
    >>> scorer.scores(jnp.array([0])).round(3).tolist()  # item 1 from item 0: 1 / 1 user, / 2 items, / 2 users
    [[0.25, 0.25, 0.25]]
    """

    serves_new_users: ClassVar[bool] = True

    neighbors: int = 100
    alpha: float = 0.7
    beta: float = 0.4
    num_users: int | None = None
    num_items: int | None = None

    def __post_init__(self) -> None:
        check_kinds(self, finite=False)
        whole("neighbors", self.neighbors, 1)
        number("alpha", self.alpha)
        number("beta", self.beta)
        super().__post_init__()

    def __call__(self, adjacency: SparseOperator) -> ItemWeightScorer:
        """The scorer, from a normalized adjacency [N, N]; only the places of its entries count."""
        num_users, num_items = bound_sizes(self, adjacency)
        degrees = jnp.maximum(jnp.diff(adjacency.indptr), 1).astype(jnp.float32)
        users, items = degrees[:num_users], degrees[num_users:]
        block = user_item_block(adjacency, num_users, binary=True)
        walk, popularity = items ** jnp.float32(-self.alpha), items ** jnp.float32(-self.beta)

        def largest(columns: jax.Array, which: jax.Array) -> tuple[jax.Array, jax.Array]:
            itself = which[:, None] == jnp.arange(num_items, dtype=jnp.int32)[None, :]
            weights = columns * walk[None, :] * popularity[which][:, None]
            return jax.lax.top_k(jnp.where(itself, 0, weights), min(self.neighbors, num_items))

        weighted = scaled_rows(block, users ** jnp.float32(-self.alpha / 2))
        weights = transposed_rows(*map_gram_columns(weighted, largest), num_items)
        return ItemWeightScorer(history_of(adjacency, num_users), weights, longest_history(adjacency, num_users))

    def with_items(self, scorer: Any, data: TrainData) -> Scorer:
        """The scorer for old and new items: all weights are computed from who has what."""
        return solved_anew(self, data)


def scaled_rows(matrix: SparseOperator, scale: jax.Array) -> SparseOperator:
    """The operator diag(scale) A of an operator A [P, Q] that is not its own transpose, with scale [P].

    >>> from jaxrec.sparse import from_dense, operator
    >>> scaled_rows(operator(from_dense(jnp.array([[1.0, 2.0], [0.0, 3.0]]))), jnp.array([10.0, 1.0])).T.data.tolist()
    [10.0, 20.0, 3.0]
    """
    backward = matrix.T
    turned = (backward.data * scale[backward.columns], backward.stored_rows, backward.columns, backward.indptr)
    return matrix.with_data(matrix.data * scale[matrix.rows], turned)
