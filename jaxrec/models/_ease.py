"""EASE: a linear model from items to items, solved in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxrec._checks import check_kinds
from jaxrec.errors import JaxrecError
from jaxrec.models._base import SolvedModel
from jaxrec.models._itemknn import longest_history
from jaxrec.models._sizes import bound_sizes, history_of, user_item_block
from jaxrec.scorers import ItemWeightScorer
from jaxrec.sparse import SparseOperator, gram
from jaxrec.types import Array

if TYPE_CHECKING:
    from jaxrec.training import TrainData


class EASE(SolvedModel, nn.Module):
    """EASE: the B with zero diagonal that minimises |X - X B|_F^2 + l2 |B|_F^2, and score(u, i) = (X B)_ui.

    With P = (X^T X + l2 I)^(-1), B_ij = -P_ij / P_jj off the diagonal. X is binary. It has no parameters: B is solved
    when the scorer is made.

    Attributes:
      l2: the weight of the penalty.
      max_items: the largest catalogue that is accepted; the I x I matrices need about 12 I^2 bytes.
      num_users: U; `jaxrec.fit` sets it.
      num_items: I; `jaxrec.fit` sets it.

    Raises:
      JaxrecError: an l2 that is not positive, or a catalogue over `max_items`.

    Source: Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019, equation 8.

    >>> from jaxrec.sparse import from_dense, operator
    >>> adjacency = operator(from_dense(jnp.array([[0, 1.0, 1.0], [1.0, 0, 0], [1.0, 0, 0]])), symmetric=True)
    >>> EASE(l2=1.0, num_users=1, num_items=2).apply({}, adjacency).weights.round(3).tolist()
    [[0.0, 0.5], [0.5, 0.0]]
    """

    serves_new_users: ClassVar[bool] = True

    l2: float = 300.0
    max_items: int = 20_000
    num_users: int | None = None
    num_items: int | None = None

    def __post_init__(self) -> None:
        check_kinds(self, finite=False)
        if not self.l2 > 0:
            raise JaxrecError(f"l2 must be positive, got {self.l2}")
        super().__post_init__()

    def __call__(self, adjacency: SparseOperator) -> ItemWeightScorer:
        """The scorer, from a normalised adjacency [N, N]; only the places of its entries count."""
        num_users, num_items = bound_sizes(self, adjacency)
        if num_items > self.max_items:
            raise JaxrecError(
                f"EASE needs about {12 * num_items**2 / 2**30:.1f} GiB for {num_items:,} items, more than "
                f"max_items={self.max_items:,} allows; raise max_items, or use itemknn or lightgcn"
            )
        x = user_item_block(adjacency, num_users, binary=True)
        penalised = gram(x) + self.l2 * jnp.eye(num_items, dtype=x.data.dtype)
        factor = jax.scipy.linalg.cho_factor(penalised)
        inverse = jax.scipy.linalg.cho_solve(factor, jnp.eye(num_items, dtype=x.data.dtype))
        weights = jnp.where(jnp.eye(num_items, dtype=bool), 0, -inverse / jnp.diag(inverse)[None, :])
        return ItemWeightScorer(history_of(adjacency, num_users), weights, longest_history(adjacency, num_users))

    def with_items(self, scorer: ItemWeightScorer, data: TrainData) -> ItemWeightScorer:
        """The scorer for old and new items, as a fit to all of them gives it, by bordering the inverse."""
        num_users, _ = bound_sizes(self)
        num_items = data.adjacency.shape[0] - num_users
        if num_items > self.max_items:
            raise JaxrecError(
                f"EASE would have {num_items:,} items, more than max_items={self.max_items:,} allows; fit it anew with "
                "a larger bound"
            )
        block = user_item_block(data.adjacency, num_users, binary=True)
        weights = bordered(jnp.asarray(scorer.weights), gram(block), self.l2)
        return ItemWeightScorer(
            history_of(data.adjacency, num_users), weights, longest_history(data.adjacency, num_users)
        )


def bordered(weights: Float[Array, "i i"], products: Float[Array, "n n"], l2: float) -> Float[Array, "n n"]:
    """Solve EASE for n items from its solution for the first i of them, without a system of i equations.

    P = (G + l2 I)^(-1) has the columns p_j (e_j - b_j), with 1 / p_j = G_jj + l2 - <g_j, b_j>, so the old weights give
    the old P. With C = G[:i, i:], D = G[i:, i:] + l2 I, and S = D - C^T P C, the new P is

        [[P + P C S^(-1) C^T P, -P C S^(-1)], [-S^(-1) C^T P, S^(-1)]].

    Args:
      weights: B of the first i items, for the same users.
      products: G = X^T X of all n items.
      l2: the weight of the penalty.

    Returns:
      B of all items.

    References:
      The inverse of a block matrix: Horn and Johnson, Matrix Analysis, 2nd edition, section 0.7.3.

    >>> x = jnp.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    >>> inverse = jnp.linalg.inv(x.T @ x + jnp.eye(3))
    >>> whole = jnp.where(jnp.eye(3, dtype=bool), 0, -inverse / jnp.diag(inverse)[None, :])
    >>> first = jnp.linalg.inv((x.T @ x)[:2, :2] + jnp.eye(2))
    >>> old = jnp.where(jnp.eye(2, dtype=bool), 0, -first / jnp.diag(first)[None, :])
    >>> bool(jnp.allclose(bordered(old, x.T @ x, 1.0), whole, atol=1e-6))
    True
    """
    return _bordered(weights, products, jnp.asarray(l2, products.dtype))


@jax.jit
def _bordered(weights: jax.Array, products: jax.Array, l2: jax.Array) -> jax.Array:
    old, size = weights.shape[0], products.shape[0]
    known, crossed, added = products[:old, :old], products[:old, old:], products[old:, old:]
    diagonal = 1 / (jnp.diag(known) + l2 - jnp.sum(known * weights, axis=0))
    inverse = (jnp.eye(old, dtype=weights.dtype) - weights) * diagonal[None, :]
    reached = jnp.matmul(inverse, crossed, precision="highest")
    left = added + l2 * jnp.eye(size - old, dtype=weights.dtype) - jnp.matmul(crossed.T, reached, precision="highest")
    corner = jnp.linalg.inv(left)
    side = -jnp.matmul(reached, corner, precision="highest")
    whole = jnp.block([[inverse - jnp.matmul(side, reached.T, precision="highest"), side], [side.T, corner]])
    return jnp.where(jnp.eye(size, dtype=bool), 0, -whole / jnp.diag(whole)[None, :])
