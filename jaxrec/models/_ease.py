"""EASE: a linear model from items to items, solved in closed form."""

from __future__ import annotations

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrec._checks import check_kinds
from jaxrec.errors import JaxrecError
from jaxrec.models._base import SolvedModel
from jaxrec.models._itemknn import longest_history
from jaxrec.models._sizes import bound_sizes, history_of, user_item_block
from jaxrec.scorers import ItemWeightScorer
from jaxrec.sparse import SparseOperator, gram


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
