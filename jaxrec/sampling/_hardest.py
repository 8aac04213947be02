"""Dynamic negative sampling: of several drawn items, those with the highest scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from jaxrec.errors import JaxrecError
from jaxrec.protocols import Batch, Encoded, Negatives
from jaxrec.pytrees import options, static
from jaxrec.sampling._functions import uniform_negatives
from jaxrec.types import Array
from jaxrec.vectors import unit

if TYPE_CHECKING:
    from jaxrec.training import TrainData


@options
class Hardest(Negatives):
    """The highest scored of n items that are drawn uniformly from those that the user does not have.

    The step draws n items, the model makes vectors of them, and the loss and the regularizer see the `num` with the
    highest scores. A row-sparse step chooses first and then moves the rows of the chosen ones only.

    Attributes:
      of: n, how many are drawn for each positive, with replacement.
      num: M, how many of them are kept.
      similarity: scores are the "dot" product of the vectors, or their "cosine"; as in the loss.

    References:
      Zhang et al., Optimizing Top-N Collaborative Filtering via Dynamic Negative Item Sampling, SIGIR 2013.

    >>> Hardest(of=8, num=2).drawn
    8
    """

    chooses: ClassVar[bool] = True

    of: int = static(default=8)
    num: int = static(default=1)
    similarity: Literal["dot", "cosine"] = static(default="dot")

    def __post_init__(self) -> None:
        if not 1 <= self.num <= self.of:
            raise JaxrecError(f"num must lie in 1..of, got num={self.num} and of={self.of}")
        if self.similarity not in ("dot", "cosine"):
            raise JaxrecError(f'similarity must be "dot" or "cosine", got {self.similarity!r}')

    @property
    def drawn(self) -> int:
        """How many are drawn for each positive."""
        return self.of

    def __call__(
        self, data: TrainData, user: jax.Array, item: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Draw n for each row of a batch; see `jaxrec.sampling.uniform_negatives`."""
        return uniform_negatives(data.seen, user, self.of, data.num_items, key)

    def chosen(self, rows: Encoded, batch: Batch) -> tuple[Encoded, Batch]:
        """The batch with the M highest scored of its negatives; as it is where it has no more."""
        if batch.negatives.shape[1] <= self.num:
            return rows, batch
        places = hardest(rows.user, rows.negative, self.num, cosine=self.similarity == "cosine")

        def taken(values: jax.Array) -> jax.Array:
            index = places.reshape(*places.shape, *(1,) * (values.ndim - 2))
            return jnp.take_along_axis(values, index, axis=1)

        own = rows.embeddings
        return (
            rows._replace(negative=taken(rows.negative), embeddings=(*own[:2], *(taken(one) for one in own[2:]))),
            batch._replace(negatives=taken(batch.negatives), log_q=None),
        )


def hardest(
    user: Float[Array, "B w"], negative: Float[Array, "B n w"], num: int, *, cosine: bool = False
) -> Int[Array, "B num"]:
    """The places of the highest scored negatives of each row, without a gradient.

    Args:
      user: [B, w].
      negative: [B, n, w].
      num: M; static.
      cosine: whether scores are cosines, or inner products.

    Returns:
      int32 [B, M], the highest first.

    >>> hardest(jnp.ones((1, 1)), jnp.array([[[1.0], [5.0], [3.0]]]), 2).tolist()
    [[1, 2]]
    """
    user, negative = jax.lax.stop_gradient((user, negative))
    if cosine:
        user, negative = unit(user), unit(negative)
    return jax.lax.top_k(jnp.sum(user[:, None] * negative, axis=2), num)[1].astype(jnp.int32)
