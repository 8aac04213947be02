"""EASE and its relatives: linear models from items to items, solved in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxrec._checks import check_kinds, number
from jaxrec.errors import JaxrecError
from jaxrec.models._base import SolvedModel, solved_anew
from jaxrec.models._host_inverse import HostRows, available_bytes, check_memory, host_rows, penalized_inverse, shared
from jaxrec.models._itemknn import longest_history
from jaxrec.models._sizes import bound_sizes, history_of, user_item_block
from jaxrec.scorers import ItemWeightScorer
from jaxrec.sparse import SparseOperator, gram
from jaxrec.types import Array

if TYPE_CHECKING:
    from jaxrec.training import TrainData


class EASE(SolvedModel, nn.Module):
    """EASE: the B with zero diagonal that minimizes |X - X B|_F^2 + l2 |B|_F^2, and score(u, i) = (X B)_ui.

    With P = (X^T X + l2 I)^(-1), B_ij = -P_ij / P_jj off the diagonal. X is binary. It has no parameters: B is solved
    when the scorer is made, by LAPACK on the host, in the memory of the result.

    Four further numbers give its relatives. With n_i the users of item i, d_u the items of user u, D = diag(n),
    E = diag(d), G = X^T E^(-b) X, and R = diag(l2 + p / (1 - p) G_jj),

        P = (G + R)^(-1),  B = I - P diag(t),  t_j = max(R_jj, (1 - relax) / P_jj),  weights = D^a B D^(-a),

    which is the least weighted error |E^(-b/2) (X - X B)|^2 + sum_j R_jj |B_j.|^2 with B_jj <= relax.

    | model | numbers |
    |---|---|
    | EASE | the defaults |
    | EDLAE, inputs dropped at random | `dropout` p |
    | LAE, no constraint of the diagonal | `relax=1.0` |
    | RLAE; RDLAE | `relax` between 0 and 1; with `dropout` |
    | each of them with DAN's normalization | `item_exponent` a, `user_exponent` b |

    Attributes:
      l2: the weight of the penalty.
      dropout: p, the share of the inputs that are dropped, at least 0 and below 1.
      relax: the largest entry on the diagonal, from 0 (EASE) to 1 (LAE).
      item_exponent: a; above 0, rare items are scored higher and popular items of a history count more.
      user_exponent: b; above 0, users with many items count less.
      max_items: the largest catalog that is accepted; None for what fits the memory. The weights of I items take
        4 I^2 bytes; with U < I users, where this is much faster, solving takes 4 U^2 more.
      num_users: U; `jaxrec.fit` sets it.
      num_items: I; `jaxrec.fit` sets it.

    Raises:
      JaxrecError: a number out of its range, a catalog over `max_items`, or too little memory.

    Source: Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019, equation 8.

    References:
      Steck, Autoencoders that don't overfit towards the Identity, NeurIPS 2020 (EDLAE).
      Moon et al., It's enough: relaxing diagonal constraints in linear autoencoders for recommendation, SIGIR 2023
        (RLAE, RDLAE).
      Park et al., Why is normalization necessary for linear recommenders?, SIGIR 2025 (DAN). Its penalty is of n_j
        where that here is of G_jj, which follows from dropping inputs; the two are one without `user_exponent`.

    >>> from jaxrec.sparse import from_dense, operator
    >>> adjacency = operator(from_dense(jnp.array([[0, 1.0, 1.0], [1.0, 0, 0], [1.0, 0, 0]])), symmetric=True)
    >>> EASE(l2=1.0, num_users=1, num_items=2).apply({}, adjacency).weights.round(3).tolist()
    [[0.0, 0.5], [0.5, 0.0]]
    >>> EASE(l2=1.0, relax=1.0, num_users=1, num_items=2).apply({}, adjacency).weights.round(3).tolist()
    [[0.333..., 0.333...], [0.333..., 0.333...]]
    """

    serves_new_users: ClassVar[bool] = True

    l2: float = 300.0
    max_items: int | None = None
    dropout: float = 0.0
    relax: float = 0.0
    item_exponent: float = 0.0
    user_exponent: float = 0.0
    num_users: int | None = None
    num_items: int | None = None

    def __post_init__(self) -> None:
        check_kinds(self, finite=False)
        check_penalty(self.l2, self.dropout)
        number("relax", self.relax, 0, 1)
        number("item_exponent", self.item_exponent)
        number("user_exponent", self.user_exponent)
        super().__post_init__()

    def __call__(self, adjacency: SparseOperator) -> ItemWeightScorer:
        """The scorer, from a normalized adjacency [N, N]; only the places of its entries count."""
        num_users, num_items = bound_sizes(self, adjacency)
        if self.max_items is not None and num_items > self.max_items:
            raise JaxrecError(
                f"EASE needs about {4 * num_items**2 / 2**30:.1f} GiB for {num_items:,} items, more than "
                f"max_items={self.max_items:,} allows; raise max_items, or use sansa, itemknn or lightgcn"
            )
        check_memory("EASE", 4 * num_items**2, num_items)
        x = weighted_rows(adjacency, num_users, self.user_exponent)
        ridge = penalties(x, self.l2, self.dropout)
        scale = item_scale(np.diff(np.asarray(adjacency.indptr))[num_users:], self.item_exponent)
        weights = weights_in_place(penalized_inverse(x, ridge), ridge, relax=self.relax, scale=scale)
        return ItemWeightScorer(
            history_of(adjacency, num_users), shared(weights), longest_history(adjacency, num_users)
        )

    def with_items(self, scorer: ItemWeightScorer, data: TrainData) -> ItemWeightScorer:
        """The scorer for old and new items, as a fit to all of them gives it.

        It borders the inverse, which takes 20 bytes an entry of the matrix. Where these are not free, or with a
        `user_exponent`, by which a new item changes the weight of its users, it solves anew.
        """
        num_users, _ = bound_sizes(self)
        num_items = data.adjacency.shape[0] - num_users
        if self.max_items is not None and num_items > self.max_items:
            raise JaxrecError(
                f"EASE would have {num_items:,} items, more than max_items={self.max_items:,} allows; fit it anew with "
                "a larger bound"
            )
        if self.user_exponent or 20 * num_items**2 > available_bytes():
            return solved_anew(self, data)
        block = user_item_block(data.adjacency, num_users, binary=True)
        counts = np.diff(np.asarray(data.adjacency.indptr))[num_users:]
        scale = jnp.asarray(item_scale(counts, self.item_exponent))
        products, before = gram(block), scale[: scorer.num_items]
        ridge = jnp.asarray(penalties(host_rows(block), self.l2, self.dropout))
        old = jnp.asarray(scorer.weights) / before[:, None] * before[None, :]
        weights = bordered(old, products, ridge, self.relax) * scale[:, None] / scale[None, :]
        return ItemWeightScorer(
            history_of(data.adjacency, num_users), weights, longest_history(data.adjacency, num_users)
        )


def check_penalty(l2: float, dropout: float) -> None:
    """Refuse what makes no penalty.

    Raises:
      JaxrecError: an l2 that is not positive, a dropout below 0 or from 1 on.

    >>> check_penalty(1.0, 1.0)
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: dropout must be at least 0 and below 1, got 1.0
    """
    if not 0 < l2 < float("inf"):
        raise JaxrecError(f"l2 must be positive, got {l2}")
    if not 0 <= dropout < 1:
        raise JaxrecError(f"dropout must be at least 0 and below 1, got {dropout}")


def weighted_rows(adjacency: SparseOperator, num_users: int, exponent: float) -> HostRows:
    """E^(-b/2) X of an adjacency [N, N] on the host, float32 [U, I]: the row of a user with d items has d^(-b/2).

    >>> from jaxrec.sparse import from_dense, operator
    >>> adjacency = operator(from_dense(jnp.array([[0, 1.0, 1.0], [1.0, 0, 0], [1.0, 0, 0]])), symmetric=True)
    >>> weighted_rows(adjacency, 1, 2.0).toarray().tolist()
    [[0.5, 0.5]]
    """
    x = host_rows(user_item_block(adjacency, num_users, binary=True))
    degrees = np.diff(x.indptr)
    x.data = np.repeat(np.maximum(degrees, 1).astype(np.float32) ** np.float32(-exponent / 2), degrees)
    return x


def penalties(x: HostRows, l2: float, dropout: float) -> Float[np.ndarray, " I"]:
    """The diagonal of R, float32 [I]: l2 + p / (1 - p) G_jj.

    >>> import scipy.sparse
    >>> penalties(scipy.sparse.csr_array(np.array([[1.0, 0.0], [1.0, 1.0]], np.float32)), 3.0, 0.5).tolist()
    [5.0, 4.0]
    """
    squares = np.bincount(x.indices, np.square(x.data.astype(np.float64)), x.shape[1])
    return (l2 + dropout / (1 - dropout) * squares).astype(np.float32)


def item_scale(counts: np.ndarray, exponent: float) -> Float[np.ndarray, " I"]:
    """n^a of the numbers of users n of the items, float32; an item without users has 1.

    >>> item_scale(np.array([4, 0]), 0.5).tolist()
    [2.0, 1.0]
    """
    return np.maximum(counts, 1).astype(np.float32) ** np.float32(exponent)


def weights_in_place(
    inverse: Float[np.ndarray, "I I"],
    ridge: Float[np.ndarray, " I"],
    *,
    relax: float,
    scale: Float[np.ndarray, " I"],
) -> Float[np.ndarray, "I I"]:
    """Turn P into D^a B D^(-a) in its own memory.

    Args:
      inverse: P.
      ridge: the diagonal of R.
      relax: the largest entry on the diagonal of B.
      scale: the diagonal of D^a.

    >>> p = np.array([[2.0, -1.0], [-1.0, 2.0]], np.float32) / 3
    >>> weights_in_place(p, np.ones(2, np.float32), relax=0.0, scale=np.ones(2, np.float32)).round(3).tolist()
    [[0.0, 0.5], [0.5, 0.0]]
    """
    diagonal = inverse.diagonal().copy()
    bound = (1 - relax) / diagonal
    by = -np.maximum(ridge, bound).astype(np.float32) / scale
    for start in range(0, len(inverse), 512):
        some = slice(start, start + 512)
        inverse[some] *= scale[some, None]
        inverse[some] *= by[None, :]
    np.fill_diagonal(inverse, np.where(ridge > bound, np.clip(1 - ridge * diagonal, 0, relax), relax))
    return inverse


def bordered(
    weights: Float[Array, "i i"], products: Float[Array, "n n"], ridge: float | Float[Array, " n"], relax: float = 0.0
) -> Float[Array, "n n"]:
    """Solve EASE for n items from its solution for the first i of them, without a system of i equations.

    P = (G + R)^(-1) has the columns (e_j - b_j) / t_j, with t_j = G_jj + R_jj - <g_j, b_j> - R_jj b_jj, so the old
    weights give the old P. With C = G[:i, i:], D = G[i:, i:] + R[i:, i:], and S = D - C^T P C, the new P is

        [[P + P C S^(-1) C^T P, -P C S^(-1)], [-S^(-1) C^T P, S^(-1)]].

    Args:
      weights: B of the first i items, for the same users.
      products: G = X^T X of all n items.
      ridge: the diagonal of R, one number for all items or [n].
      relax: the largest entry on the diagonal of B.

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
    ridge = jnp.broadcast_to(jnp.asarray(ridge, products.dtype), (products.shape[0],))
    return _bordered(weights, products, ridge, jnp.asarray(relax, products.dtype))


@jax.jit
def _bordered(weights: jax.Array, products: jax.Array, ridge: jax.Array, relax: jax.Array) -> jax.Array:
    old, size = weights.shape[0], products.shape[0]
    known, crossed, added = products[:old, :old], products[:old, old:], products[old:, old:]
    factors = jnp.diag(known) + ridge[:old] - jnp.sum(known * weights, axis=0) - ridge[:old] * jnp.diag(weights)
    inverse = (jnp.eye(old, dtype=weights.dtype) - weights) / factors[None, :]
    reached = jnp.matmul(inverse, crossed, precision="highest")
    left = added + jnp.diag(ridge[old:]) - jnp.matmul(crossed.T, reached, precision="highest")
    corner = jnp.linalg.inv(left)
    side = -jnp.matmul(reached, corner, precision="highest")
    whole = jnp.block([[inverse - jnp.matmul(side, reached.T, precision="highest"), side], [side.T, corner]])
    diagonal = jnp.diag(whole)
    bound = (1 - relax) / diagonal
    kept = jnp.where(ridge > bound, jnp.clip(1 - ridge * diagonal, 0, relax), relax)
    return jnp.where(jnp.eye(size, dtype=bool), kept[None, :], -whole * jnp.maximum(ridge, bound)[None, :])
