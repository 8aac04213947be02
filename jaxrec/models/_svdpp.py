"""SVD++: biased matrix factorization in which what a user rated, whatever the rating, also says who the user is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrec._checks import check_kinds
from jaxrec.errors import JaxrecError
from jaxrec.models._base import EmbeddingModel
from jaxrec.models._least_squares import least_squares
from jaxrec.models._mf import (
    check_embedding_options,
    embedding,
    with_bias_columns,
    with_mean,
    without_cold,
)
from jaxrec.models._sizes import bound_sizes, user_item_block
from jaxrec.protocols import Encoded, FoldIn, Task
from jaxrec.scorers import FactorScorer
from jaxrec.sparse import SparseOperator, spmm

if TYPE_CHECKING:
    from jaxrec.data import Interactions
    from jaxrec.training import TrainData


class SVDPP(EmbeddingModel):
    """SVD++: r_ui = mu + b_u + b_i + <q_i, p_u + |N(u)|^(-1/2) sum over j in N(u) of y_j>.

    N(u) are the items that u has in the adjacency. The sum is one sparse product for all users.

    `model.apply(variables, adjacency)` gives (users [U, d + 2], items [I, d + 2]) whose inner products are the ratings;
    the last two columns carry the biases, as in `MF`.

    Attributes:
      dim: d, the width of the factors.
      mean: mu, the global mean of the ratings. None counts as 0, and `jaxrec.fit` sets it to the mean of the ratings
        that it trains on.
      implicit_l2: coefficient of the L2 term on y: for each rating of u, half the squares of the y_j of N(u).
      initializer: "normal" (mean 0, standard deviation `scale`) or "xavier".
      scale: the standard deviation of "normal".
      num_users: U; `jaxrec.fit` sets it.
      num_items: I; `jaxrec.fit` sets it.

    Raises:
      JaxrecError: sizes that are not set, a width below 1.
      MismatchError: an adjacency of another size.

    Source: Koren, Factorization meets the neighborhood, KDD 2008, equation 15.

    >>> from jaxrec.sparse import from_dense, operator
    >>> adjacency = operator(from_dense(jnp.array([[0, 1.0, 1.0], [1.0, 0, 0], [1.0, 0, 0]])), symmetric=True)
    >>> model = SVDPP(dim=4, mean=3.5, num_users=1, num_items=2)
    >>> users, items = model.apply(model.init(jax.random.key(0), adjacency), adjacency)
    >>> users.shape, items.shape
    ((1, 6), (2, 6))
    """

    dim: int = 20
    mean: float | None = None
    implicit_l2: float = 0.0
    initializer: Literal["normal", "xavier"] = "normal"
    scale: float = 0.1
    num_users: int | None = None
    num_items: int | None = None

    def __post_init__(self) -> None:
        check_kinds(self, finite=False)
        check_embedding_options(self)
        if not self.implicit_l2 >= 0:
            raise JaxrecError(f"implicit_l2 must not be negative, got {self.implicit_l2}")
        super().__post_init__()

    def setup(self) -> None:
        num_users, num_items = bound_sizes(self)
        self.user_embedding = embedding(self, "user_embedding", num_users)
        self.item_embedding = embedding(self, "item_embedding", num_items)
        self.implicit_embedding = embedding(self, "implicit_embedding", num_items)
        self.user_bias = self.param("user_bias", nn.initializers.zeros, (num_users,), jnp.float32)
        self.item_bias = self.param("item_bias", nn.initializers.zeros, (num_items,), jnp.float32)

    def __call__(self, adjacency: SparseOperator) -> tuple[jax.Array, jax.Array]:
        """The vectors whose inner products are the ratings: (users [U, d + 2], items [I, d + 2])."""
        users, items, _ = self._with_penalty(adjacency)
        return users, items

    def prepared(self, part: Interactions, task: Task) -> Any:
        """The model with the mean of the ratings, where it is to predict ratings."""
        return with_mean(self, part) if task == "rating" else self

    def encode(self, adjacency: SparseOperator, user: jax.Array, item: jax.Array, negatives: jax.Array) -> Encoded:
        """The rows of a batch, with the L2 term on y: implicit_l2 / 2 sum over N(u) of |y_j|^2 for each row of u."""
        users, items, penalty = self._with_penalty(adjacency)
        own_users, own_items = self.embeddings(adjacency)
        return Encoded(
            users[user],
            items[item],
            items[negatives],
            (own_users[user], own_items[item], own_items[negatives]),
            penalty[user],
        )

    def penalty(self, adjacency: SparseOperator) -> jax.Array:
        """The L2 term on y of each user, [U]; `encode` has it without a second product."""
        return self._with_penalty(adjacency)[2]

    def _with_penalty(self, adjacency: SparseOperator) -> tuple[jax.Array, jax.Array, jax.Array]:
        """(users, items) of a call, and the L2 term on y of each user [U]."""
        num_users, _ = bound_sizes(self, adjacency)
        history = user_item_block(adjacency, num_users, binary=True)
        counts = jnp.diff(history.indptr).astype(jnp.float32)
        scale = jnp.where(counts > 0, jax.lax.rsqrt(jnp.maximum(counts, 1)), 0)
        y = self.implicit_embedding
        # The squares ride along as one more column: a product costs more by its entries than by its columns.
        sums = spmm(history, jnp.concatenate([y, jnp.sum(jnp.square(y), axis=1, keepdims=True)], axis=1))
        users = self.user_embedding + scale[:, None] * sums[:, : self.dim]
        mean = self.mean or 0.0
        users, items = with_bias_columns(users, self.item_embedding, self.user_bias + mean, self.item_bias)
        return users, items, 0.5 * self.implicit_l2 * sums[:, self.dim]

    def embeddings(self, adjacency: SparseOperator | None = None) -> tuple[jax.Array, jax.Array]:
        """The learnt embeddings: (users [U, d + 1] = (p, b), items [I, d + 1] = (q, b))."""
        return (
            jnp.concatenate([self.user_embedding, self.user_bias[:, None]], axis=1),
            jnp.concatenate([self.item_embedding, self.item_bias[:, None]], axis=1),
        )

    def fold_in(self, variables: Any, scorer: Any, data: TrainData, task: Task) -> FoldIn:
        """A new user has the sum of y over the items, and p and b by least squares, from ratings where there are any.

        Without ratings, a model of ratings takes the mean of the fitted users for p and b.
        """
        y = variables["params"]["implicit_embedding"]
        implicit = jnp.concatenate([y, jnp.zeros_like(y[:, :1])], axis=1)
        return least_squares(type(self).__name__, scorer, data.adjacency, task, fixed=1, implicit=implicit)

    def scorer(self, adjacency: SparseOperator) -> FactorScorer:
        """What ranking and prediction need of the model; nodes without an edge get the mean and the other's bias."""
        users, items = without_cold(*self(adjacency), adjacency, self.dim)
        return FactorScorer(users, items, dim=self.dim)
