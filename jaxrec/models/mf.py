"""Matrix factorisation: one vector for each user and each item, scored by their inner product."""

from __future__ import annotations

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrec.errors import JaxrecError
from jaxrec.models.scorers import FactorScorer
from jaxrec.models.sizes import bound_sizes
from jaxrec.sparse import SparseMatrix

Initializer = Literal["normal", "xavier"]


class MF(nn.Module):
    """Matrix factorisation, score(u, i) = mu + b_u + b_i + <p_u, q_i>.

    `model.apply(variables)` gives (users [U, w], items [I, w]) whose inner products are the scores. Without biases w is
    d. With them w is d + 2: the users' further columns are (mu + b_u, 1), the items' (1, b_i).

    Attributes:
      dim: d, the width of the embeddings.
      bias: whether users and items have biases b.
      mean: mu, the global mean of the ratings; 0 for implicit feedback. It needs `bias`.
      initializer: "normal" (mean 0, standard deviation `scale`) or "xavier" (uniform, bound sqrt(6 / (rows + d))).
      scale: the standard deviation of "normal".
      num_users: U; `jaxrec.fit` sets it.
      num_items: I; `jaxrec.fit` sets it.

    Raises:
      JaxrecError: sizes that are not set, a width below 1, a mean without biases.

    Source: Koren, Bell and Volinsky, Computer 42(8), 2009; Rendle et al., BPR, UAI 2009.

    >>> model = MF(dim=4, num_users=2, num_items=3)
    >>> variables = model.init(jax.random.key(0))
    >>> users, items = model.apply(variables)
    >>> users.shape, items.shape
    ((2, 4), (3, 4))
    """

    dim: int = 64
    bias: bool = False
    mean: float = 0.0
    initializer: Initializer = "normal"
    scale: float = 0.1
    num_users: int | None = None
    num_items: int | None = None

    def __post_init__(self) -> None:
        check_embedding_options(self)
        if self.mean and not self.bias:
            raise JaxrecError(f"mean={self.mean} is only used with bias=True")
        super().__post_init__()

    def setup(self) -> None:
        num_users, num_items = bound_sizes(self)
        self.user_embedding = embedding(self, "user_embedding", num_users)
        self.item_embedding = embedding(self, "item_embedding", num_items)
        if self.bias:
            self.user_bias = self.param("user_bias", nn.initializers.zeros, (num_users,), jnp.float32)
            self.item_bias = self.param("item_bias", nn.initializers.zeros, (num_items,), jnp.float32)

    def __call__(self, adjacency: SparseMatrix | None = None) -> tuple[jax.Array, jax.Array]:
        """The vectors whose inner products are the scores: (users [U, w], items [I, w]). The adjacency is not used."""
        if adjacency is not None:
            bound_sizes(self, adjacency)
        users, items = self.user_embedding, self.item_embedding
        if not self.bias:
            return users, items
        user_column, item_column = self.user_bias[:, None] + self.mean, self.item_bias[:, None]
        return (
            jnp.concatenate([users, user_column, jnp.ones_like(user_column)], axis=1),
            jnp.concatenate([items, jnp.ones_like(item_column), item_column], axis=1),
        )

    def ego(self) -> tuple[jax.Array, jax.Array]:
        """The embeddings as they are learnt, which L2 acts on: (users [U, d], items [I, d]), biases as last column."""
        if not self.bias:
            return self.user_embedding, self.item_embedding
        return (
            jnp.concatenate([self.user_embedding, self.user_bias[:, None]], axis=1),
            jnp.concatenate([self.item_embedding, self.item_bias[:, None]], axis=1),
        )

    def scorer(self, adjacency: SparseMatrix | None = None) -> FactorScorer:
        """What ranking and prediction need of the model."""
        return FactorScorer(*self(adjacency), dim=self.dim)


def embedding(module: nn.Module, name: str, rows: int) -> jax.Array:
    """A table of embeddings [rows, d], float32, initialised as the module's `initializer`, `scale` and `dim` say.

    It is a parameter of the module that calls it in its `setup`.

    >>> MF(num_users=3, num_items=1, dim=2).init(jax.random.key(0))["params"]["user_embedding"].shape
    (3, 2)
    """
    normal = module.initializer == "normal"
    initial = nn.initializers.normal(module.scale) if normal else nn.initializers.xavier_uniform()
    return module.param(name, initial, (rows, module.dim), jnp.float32)


def check_embedding_options(module: nn.Module) -> None:
    """Check the options `dim`, `scale` and `initializer` of a model with embeddings.

    Raises:
      JaxrecError: a width below 1, a negative scale, an unknown initializer.

    >>> MF(dim=0)
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: dim must be at least 1, got 0
    """
    if module.dim < 1:
        raise JaxrecError(f"dim must be at least 1, got {module.dim}")
    if not module.scale >= 0:
        raise JaxrecError(f"scale must not be negative, got {module.scale}")
    if module.initializer not in ("normal", "xavier"):
        raise JaxrecError(f'initializer must be "normal" or "xavier", got {module.initializer!r}')
