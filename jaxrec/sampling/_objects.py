"""Samplers as frozen objects: how many negatives are drawn for each positive, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import jax
import jax.numpy as jnp

from jaxrec.errors import JaxrecError
from jaxrec.protocols import Negatives
from jaxrec.pytrees import options, static
from jaxrec.sampling._functions import uniform_negatives

if TYPE_CHECKING:
    from jaxrec.training import TrainData


@options
class Uniform(Negatives):
    """Items drawn uniformly, with replacement, from those that the user does not have.

    Attributes:
      num: M, how many for each positive.

    >>> Uniform(4).num
    4
    """

    knows_probability: ClassVar[bool] = True

    num: int = static(default=1)

    def __post_init__(self) -> None:
        if self.num < 1:
            raise JaxrecError(f"num must be at least 1, got {self.num}; a loss without negatives takes no sampler")

    def __call__(
        self, data: TrainData, user: jax.Array, item: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Draw for a batch; see `jaxrec.sampling.uniform_negatives`."""
        return uniform_negatives(data.seen, user, self.num, data.num_items, key)

    def log_probability(self, data: TrainData, user: jax.Array, negatives: jax.Array) -> jax.Array:
        """Minus the log of the number of items that the user lacks, [B, M]."""
        indptr = jnp.asarray(data.seen.indptr)
        lacking = data.num_items - (indptr[user + 1] - indptr[user])
        own = -jnp.log(jnp.maximum(lacking, 1).astype(jnp.float32))
        return jnp.broadcast_to(own[:, None], negatives.shape)
