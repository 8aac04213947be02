"""The part that item-based and user-based nearest neighbors share: options, their checks and the k nearest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrec._checks import check_kinds
from jaxrec.errors import JaxrecError
from jaxrec.models._base import SolvedModel, solved_anew
from jaxrec.sparse import SparseOperator, map_gram_columns
from jaxrec.types import Scorer

if TYPE_CHECKING:
    from jaxrec.training import TrainData


class NeighborModel(SolvedModel, nn.Module):
    """A model of the k nearest rows or columns of R; see `ItemKNN` and `UserKNN` for the attributes."""

    neighbors: int = 100
    similarity: Literal["cosine", "normalized"] = "cosine"
    shrink: float = 0.0
    num_users: int | None = None
    num_items: int | None = None

    def __post_init__(self) -> None:
        check_kinds(self, finite=False)
        if self.neighbors < 1:
            raise JaxrecError(f"neighbors must be at least 1, got {self.neighbors}")
        if not self.shrink >= 0:
            raise JaxrecError(f"shrink must not be negative, got {self.shrink}")
        if self.similarity not in ("cosine", "normalized"):
            raise JaxrecError(f'similarity must be "cosine" or "normalized", got {self.similarity!r}')
        super().__post_init__()

    def with_items(self, scorer: Any, data: TrainData) -> Scorer:
        """The scorer for old and new items: all similarities are computed from who has what."""
        return solved_anew(self, data)

    def nearest(self, block: SparseOperator, counts: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The k columns of a block that are nearest to each column, itself left out.

        Args:
          block: [m, n], R or R~, or its transpose.
          counts: float32 [n], the interactions of each column, for the cosine.

        Returns:
          (similarities float32 [n, k], columns int32 [n, k]), the nearest first, k = min(neighbors, n).
        """
        size = counts.shape[0]

        def nearest_of(columns: jax.Array, which: jax.Array) -> tuple[jax.Array, jax.Array]:
            if self.similarity == "cosine":
                norms = jnp.sqrt(counts[which])[:, None] * jnp.sqrt(counts)[None, :] + self.shrink
                columns = jnp.where(norms > 0, columns / jnp.where(norms > 0, norms, 1), 0)
            itself = which[:, None] == jnp.arange(size, dtype=jnp.int32)[None, :]
            return jax.lax.top_k(jnp.where(itself, 0, columns), min(self.neighbors, size))

        return map_gram_columns(block, nearest_of)
